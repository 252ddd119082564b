"""Folds keep groups apart, and every row is valued by a network that has not seen it."""

from __future__ import annotations

import numpy as np
import torch

from fer_bench.information import estimate_mi
from fer_bench.information.cross_fitting import build_folds, cross_fit, split, split_groups
from fer_bench.information.estimator import Problem
from fer_bench.information.inputs import clean_pair
from fer_bench.information.training import Budget


class RowNumbers:
    """A model whose weights are the rows that it was trained on."""

    def initial(self, generator, fold):
        seen = torch.zeros(len(fold.order))
        seen[torch.as_tensor(np.r_[fold.train, fold.valid])] = 1
        return {"base.seen": seen, "w": torch.zeros(1)}

    def loss(self, parameters, x, y, state):
        return parameters["w"].sum(1)

    def score(self, parameters, blocks):
        return torch.zeros(len(parameters["w"]))


def test_every_row_is_valued_once_by_a_network_that_has_not_seen_it():
    random = np.random.default_rng(0)
    sample = clean_pair(random.normal(size=(60, 2)), random.normal(size=(60, 1)))
    problems = [Problem(sample, seed=3), Problem(sample, seed=4, order=random.permutation(60))]
    folds = build_folds(problems, count=5, device="cpu")
    real, null = cross_fit(RowNumbers(), folds, Budget(steps=20))
    estimate = real.estimate(lambda fold, p, rows: p["base.seen"][0].numpy()[rows])
    assert sorted(estimate.index) == list(range(60))
    assert estimate.rows.tolist() == [0.0] * 60
    assert estimate.details["fitted_value"] == 1.0
    assert (estimate.details["folds"], len(null.networks)) == (5, 1)


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
