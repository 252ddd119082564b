"""The curve of an eraser, and who lies above it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_bench.attackers.frontier import (
    SCORES_ALONE,
    Encoded,
    Labelled,
    Point,
    against_curve,
    encoded,
    eraser_curve,
    frontier,
    measure,
    points_of,
    utility_at,
)
from fer_bench.errors import DataError
from fer_bench.metrics.sanity import planted_run


def encoder(*, tangled=1.0, leak=1.5, noise=1.0, seed=0, people=(40, 16, 30), d=12):
    """Expression and person in the same directions (tangled = 1) or in others (0)."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(3)
    axes = np.linalg.qr(fixed.normal(size=(d, d)))[0]
    own = axes[6:12] * (1 - tangled) + axes[:6] * tangled
    parts, first = [], 0
    for n in people:
        s, y = np.repeat(np.arange(n), 12), np.tile(np.arange(12) % 6, n)
        codes = np.random.default_rng(50).normal(size=(200, 6))[first : first + n]
        x = 3 * axes[:6][y] + leak * codes[s] @ own + noise * rng.normal(size=(len(s), d))
        parts.append(Labelled.of(x, s, y))
        first += n
    return Encoded(*parts)


def point(leak, utility, *, spread=0.001, draws=50, seed=0):
    rng = np.random.default_rng(seed)
    leaks, utilities = (v + spread * rng.normal(size=draws) for v in (leak, utility))
    return Point(0, leak, utility, leaks, utilities, 30)


CURVE = [point(0.9, 0.8), point(0.7, 0.7), point(0.55, 0.3)]


@pytest.mark.parametrize(
    ("leak", "utility", "state"),
    [
        (0.7, 0.8, "above"),
        (0.8, 0.6, "below"),
        (0.8, 0.75, "no verdict"),
        (0.5, 0.3, "no verdict"),
        (0.95, 0.9, "no verdict"),
    ],
)
def test_above_below_and_beyond_the_curve(leak, utility, state):
    points = against_curve([point(leak, utility)], [CURVE])
    assert points.state == state
    assert np.isfinite(points.difference) == (0.55 <= leak <= 0.9)


def test_seeds_that_disagree_give_no_verdict():
    curves = [CURVE] * 4
    apart = [point(0.7, u) for u in (0.95, 0.55, 0.9, 0.5)]
    assert against_curve(apart, curves).state == "no verdict"
    assert against_curve([point(0.7, 0.8)] * 4, curves).state == "above"


def test_unpaired_points_are_refused():
    with pytest.raises(DataError, match="same seeds"):
        against_curve([point(0.7, 0.8)] * 2, [CURVE])
    with pytest.raises(DataError, match="same seeds"):
        against_curve([point(0.7, 0.8, draws=9)], [CURVE])


def test_curves_of_older_results_are_compared_at_the_strengths_that_all_have():
    line = [replace(each, strength=rank) for rank, each in enumerate(CURVE)]
    alone = replace(point(0.52, 0.8), strength=SCORES_ALONE)
    both = [point(0.7, 0.8)] * 2
    assert against_curve(both, [line, [*line, alone]]) == against_curve(both, [line, line])


lines = st.lists(st.tuples(st.floats(0.5, 1), st.floats(0, 1)), min_size=2, max_size=8)


@given(lines, st.floats(0.5, 1))
def test_the_curve_never_falls_with_the_leak(line, leak):
    curve = np.array(line)
    least, most = curve[:, 0].min(), curve[:, 0].max()
    values = [utility_at(x, curve) for x in np.linspace(least, most, 20)]
    assert (np.diff(values) >= -1e-12).all()
    assert np.isnan(utility_at(leak, curve)) == (not least <= leak <= most)


def test_erasing_costs_utility_where_person_and_expression_share_directions():
    run = encoder(tangled=1.0)
    points = eraser_curve(run, "leace", sweep=(2, 5), draws=40)
    assert points[0].leak > 0.75
    assert points[-1].leak < points[0].leak - 0.1
    assert points[-1].utility < points[0].utility - 0.1
    apart = eraser_curve(encoder(tangled=0.0), "leace", sweep=(6,), draws=40)
    assert apart[-1].utility > apart[0].utility - 0.05
    assert apart[-1].leak < 0.6


def test_a_method_that_separates_is_above_the_line_of_one_that_does_not():
    line = eraser_curve(encoder(tangled=1.0), "leace", sweep=(1, 3, 5), draws=60)
    method = measure(encoder(tangled=0.0, leak=0.7), draws=60)
    assert against_curve([method], [line]).state == "above"
    itself = eraser_curve(encoder(tangled=1.0), "leace", sweep=(3,), draws=60)[1]
    assert against_curve([itself], [line]).state != "above"


def test_class_scores_keep_the_utility_and_lower_the_line_for_everybody_else():
    plain, method = encoder(tangled=1.0), measure(encoder(tangled=0.0, leak=0.7), draws=60)
    line = eraser_curve(plain, "leace", sweep=(1, 3, 5), draws=60)
    alone = measure(plain.erased("scores"), draws=60)
    assert alone.utility > line[0].utility - 0.02
    assert alone.leak <= line[0].leak + 0.01
    with_scores = against_curve([method], [[*line, alone]])
    assert with_scores.difference <= against_curve([method], [line]).difference


def test_a_run_keeps_its_curve():
    kept = frontier(planned := planted_run(leak=0.5))
    points = points_of(kept.arrays)
    assert points[0].strength == 0
    assert kept["leace.0.leak"].value == points[0].leak
    assert kept[f"leace.{points[-2].strength}.utility"].value == points[-2].utility
    assert kept["scores.utility"].value == points[-1].utility
    assert measure(encoded(planned)).leak == points[0].leak
    assert against_curve([points[0]], [points]).difference <= 0


def test_the_widest_embeddings_have_the_ends_of_the_curve_alone(monkeypatch):
    run = planted_run(leak=0.5)
    monkeypatch.setattr(
        "fer_bench.attackers.frontier.WIDEST", run.parts["train"].expression.shape[1]
    )
    whole = points_of(frontier(run).arrays)
    monkeypatch.setattr("fer_bench.attackers.frontier.WIDEST", 1)
    ends = points_of(frontier(run).arrays)
    assert [p.strength for p in ends] == [0, -1]
    assert [p.leak for p in ends] == [whole[0].leak, whole[-1].leak]


def test_parts_of_a_run_are_taken_over():
    run = planted_run(leak=0.5)
    assert encoded(run).test.x.shape == run.test.expression.shape
    del run.parts["validation"]
    with pytest.raises(DataError, match="validation part"):
        encoded(run)
