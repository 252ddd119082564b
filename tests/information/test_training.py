"""Training many problems at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fer_bench.information.training import Budget, Fold, train


def test_training_that_dips_below_nothing_is_not_given_up():
    """Its best counts as progress, though the untrained model stays ahead of it for a while."""
    dip = [0.0, *np.linspace(-1, -0.1, 10), 0.5]

    class Dipping:
        def initial(self, generator, fold):
            self.at = -1
            return {"w": torch.zeros(1)}

        def loss(self, parameters, x, y, state):
            return parameters["w"].sum(1)

        def score(self, parameters, blocks):
            self.at += 1
            return torch.tensor([dip[min(self.at, len(dip) - 1)]])

    x = torch.zeros(40, 1)
    rows = np.arange(40)
    fold = Fold(x, x, torch.arange(40), rows[:20], rows[20:30], rows[30:], seed=0)
    fitted = train(Dipping(), [fold], Budget(steps=300, patience=3))
    assert fitted.curve_of(0)[: len(dip)] == pytest.approx(dip, abs=1e-4)
    assert fitted.parameters["w"].item() < 0  # trained, not the untrained zero
