"""Splits by group and training many problems at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fer_bench.information import estimate_mi
from fer_bench.information.inputs import clean_pair
from fer_bench.information.training import Budget, Fold, split, split_groups, train


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


def test_a_group_lies_in_one_part_only():
    groups = np.repeat(np.arange(20), 15)
    for parts in split(300, groups=groups, folds=5, seed=0):
        owners = [set(groups[rows]) for rows in parts]
        assert not owners[0] & owners[1]
        assert not owners[0] & owners[2]
        assert not owners[1] & owners[2]
        assert sum(len(rows) for rows in parts) == 300
    tested = np.concatenate([test for *_, test in split(300, groups=groups, folds=5, seed=0)])
    assert sorted(tested) == list(range(300))


def test_few_groups_are_said_not_to_be_kept_apart():
    random = np.random.default_rng(0)
    for count, said in ((8, True), (12, False)):
        groups = np.arange(240) % count
        x = random.normal(size=(count, 3))[groups] + 0.1 * random.normal(size=(240, 3))
        for estimator in ("classifier", "mine"):
            y = groups % 2 if estimator == "classifier" else x + random.normal(size=(240, 3))
            options = {"steps": 40, "null": 0, "groups": groups}
            score = estimate_mi(x, y, estimator=estimator, **options)
            assert any(f"only {count} groups" in str(w) for w in score.cautions) is said


def test_a_label_that_is_the_group_is_not_split_by_group():
    subjects = np.repeat(np.arange(20), 15)
    sample = clean_pair(np.random.default_rng(0).normal(size=(300, 2)), subjects, groups=subjects)
    assert split_groups(sample) is None
    score = estimate_mi(
        np.eye(20)[subjects] + 0.1 * np.random.default_rng(1).normal(size=(300, 20)),
        subjects, estimator="classifier", groups=subjects, null=0,
    )  # fmt: skip
    assert score.value > 2
