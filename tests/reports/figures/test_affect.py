"""Points where the predictions are; missing ones nowhere."""

import numpy as np
import pytest

from fer_bench.reports.figures.affect import affect_figure


@pytest.mark.parametrize("paper", [False, True])
def test_points_are_true_against_predicted(paper):
    rng = np.random.default_rng(0)
    predicted, target = rng.uniform(-1, 1, (2, 20, 2))
    target[3] = np.nan
    valence, arousal, circle = affect_figure(predicted, target, paper=paper).axes
    known = np.arange(20) != 3
    for axes, i in ((valence, 0), (arousal, 1)):
        points = axes.collections[0].get_offsets()
        np.testing.assert_allclose(points, np.c_[target[known, i], predicted[known, i]])
    np.testing.assert_allclose(circle.collections[0].get_offsets(), target[known])
    np.testing.assert_allclose(circle.collections[1].get_offsets(), predicted[known])


def test_nothing_known_is_no_figure():
    assert affect_figure(np.zeros((4, 2)), np.full((4, 2), np.nan)) is None
