"""Objectives against their formulas, and the moving average of Donsker-Varadhan."""

from __future__ import annotations

import math

import pytest
import torch

from fer_bench.information.critics import Scores
from fer_bench.information.objectives import (
    donsker_varadhan,
    info_nce,
    interpolated,
    jensen_shannon,
    nguyen_wainwright_jordan,
)


def all_pairs(matrix: torch.Tensor) -> Scores:
    eye = torch.eye(matrix.shape[-1], dtype=torch.bool)
    negative = matrix.masked_fill(eye, -math.inf)
    return Scores(matrix.diagonal(dim1=-2, dim2=-1), negative, matrix.shape[-1] - 1)


def test_objectives_agree_with_their_formulas():
    random = torch.Generator().manual_seed(0)
    matrix = torch.randn(2, 9, 9, generator=random)
    scores = all_pairs(matrix)
    for p in range(2):
        t = matrix[p].double()
        positive = t.diagonal()
        negative = t[~torch.eye(9, dtype=torch.bool)]
        dv = positive.mean() - negative.exp().mean().log()
        nwj = 1 + positive.mean() - negative.exp().mean()
        jsd = (
            math.log(4) - torch.log1p((-positive).exp()).mean() - torch.log1p(negative.exp()).mean()
        )
        nce = (positive - t.logsumexp(1)).mean() + math.log(9)
        assert donsker_varadhan(scores)[p] == pytest.approx(float(dv), abs=1e-5)
        assert nguyen_wainwright_jordan(scores)[p] == pytest.approx(float(nwj), abs=1e-5)
        assert jensen_shannon(scores)[p] == pytest.approx(float(jsd), abs=1e-5)
        assert info_nce(scores)[p] == pytest.approx(float(nce), abs=1e-5)
    assert torch.allclose(interpolated(scores, 0.0), nguyen_wainwright_jordan(scores), atol=1e-4)


def test_the_moving_average_starts_where_the_batches_are():
    """Uncorrected it would start at a tenth of the first batch's mean."""
    state: dict[str, torch.Tensor] = {}
    scores = all_pairs(torch.full((1, 6, 6), 2.0))
    for _ in range(3):
        donsker_varadhan(scores, state)
        corrected = state["average"] - torch.log(1 - 0.9 ** state["steps"])
        assert corrected.item() == pytest.approx(2.0, abs=1e-5)
