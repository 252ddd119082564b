import numpy as np
import pandas as pd
import pytest

from fer_bench.metrics.affect import ccc
from fer_bench.reports.figures.style import drawing
from fer_bench.reports.figures.traces import longest_sequences, trace_figure


def films(**lengths):
    names = [name for name, n in lengths.items() for _ in range(n)]
    labels = pd.DataFrame({"sequence": pd.Series(names, dtype="str")})
    t = np.linspace(0, 6, len(names))
    target = np.stack([np.sin(t), np.cos(t)], axis=1)
    return labels, 0.5 * target + 0.1, target


def draw(*args, paper):
    with drawing(paper=paper):
        return trace_figure(*args, paper=paper)


@pytest.mark.parametrize("paper", [False, True])
def test_the_lines_are_the_frames_of_each_sequence_in_order(paper):
    labels, predicted, target = films(b=6, a=9)
    order = np.random.default_rng(0).permutation(15)  # sequences need not lie together
    labels, predicted, target = labels.iloc[order], predicted[order], target[order]
    figure = draw(labels, predicted, target, paper=paper)
    valence_a, valence_b, arousal_a, _ = figure.axes
    rows = np.flatnonzero(labels["sequence"] == "a")
    lines = {line.get_label(): line.get_ydata() for line in arousal_a.lines}
    np.testing.assert_array_equal(lines["true"], target[rows, 1])
    np.testing.assert_array_equal(lines["predicted"], predicted[rows, 1])
    assert valence_a.get_title() == f"a, CCC {ccc(predicted[rows, 0], target[rows, 0]):.2f}"
    assert valence_b.get_title().startswith("b, ")
    assert arousal_a.get_xlabel() == "frame"


def test_the_longest_are_shown_and_equal_ones_by_name():
    labels, _, target = films(short=4, z=7, long=20, m=7, y=6, x=6)
    assert longest_sequences(labels, target) == ["long", "m", "z", "x"]
    target[labels["sequence"] == "long", 0] = np.nan
    assert "long" not in longest_sequences(labels, target)


def test_a_missing_label_leaves_a_gap_and_counts_nothing():
    labels, predicted, target = films(a=9)
    target[4] = np.nan
    axes = draw(labels, predicted, target, paper=False).axes[0]
    known = np.arange(9) != 4
    assert np.isnan(axes.lines[1].get_ydata()[4])
    assert axes.get_title() == f"a, CCC {ccc(predicted[known, 0], target[known, 0]):.2f}"


def test_no_figure_without_sequences():
    labels, predicted, target = films(a=9)
    assert draw(labels.assign(sequence=None), predicted, target, paper=False) is None
    assert draw(labels.drop(columns="sequence"), predicted, target, paper=False) is None
    labels, predicted, target = films(a=4, b=3)
    assert draw(labels, predicted, target, paper=False) is None
