"""Sizes are those that were measured, in millions; without a measurement it is said."""

import pytest

from fer_bench.metrics.metric import missing, score_run
from fer_bench.metrics.size import regime, size


def test_sizes_are_those_of_the_training(planted):
    run = planted.run(subjects=4, images=7, train_subjects=4)
    object.__setattr__(run, "facts", {"size": {"parameters": 11_200_000, "multiply_adds": 5e8,
                                               "images_per_s": 320.0}})  # fmt: skip
    scores = size(run)
    assert [s.value for s in scores.values()] == [11.2, 500.0, 320.0]
    assert scores["parameters"].details["regime"] == "middle"


def test_earlier_results_have_none(planted):
    run = planted.run(subjects=4, images=7, train_subjects=4)
    assert "earlier version" in missing(size, run)
    assert "earlier version" in score_run(run, {"size": size})["size"].skipped


@pytest.mark.parametrize(
    ("millions", "word"), [(4.9, "light"), (5, "middle"), (19.9, "middle"), (20.1, "heavy")]
)
def test_regimes_of_the_paper(millions, word):
    assert regime(millions * 1e6) == word
