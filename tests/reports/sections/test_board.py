"""The leaderboard: a star for who is best beyond doubt, and for nobody else."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from fer_bench.cautions import Caution
from fer_bench.reports.sections.board import _ranks, cells, content, deciding_columns
from fer_bench.reports.standing import FAULTY

USE = "classification/test.accuracy"


def with_verdict(summary, **changes):
    """The summary with another verdict on the accuracy."""
    verdict = replace(summary.verdict(USE), **changes)
    others = [v for v in summary.verdicts if v.key != USE]
    return replace(summary, verdicts=(verdict, *others))


def ranks(summary):
    return _ranks(summary, summary.use)


def test_what_decides_are_recognition_affect_leak_and_separation(summary):
    assert [c.key for c in deciding_columns(summary)] == [
        USE,
        "affect/test.ccc.mean",
        "leakage/E.identity.normalised",
        "mig/normalised",
    ]


def test_without_a_ceiling_the_strongest_probe_stands_for_the_leak(summary):
    columns = tuple(c for c in summary.columns if not c.endswith("identity.normalised"))
    keys = [c.key for c in deciding_columns(replace(summary, columns=columns))]
    assert "leakage/E.identity.strongest" in keys


def test_one_clear_best_has_the_star(summary):
    assert ranks(with_verdict(summary, tied=())) == {"DICE-FER": "best"}


def test_a_tie_has_no_star(summary):
    tied = with_verdict(summary, tied=("EIF",))
    assert ranks(tied) == {"DICE-FER": "tied", "EIF": "tied"}


def test_nobody_separated_is_no_colour(summary):
    others = tuple(r.label for r in summary.of_role("method") if r.label != "DICE-FER")
    assert ranks(with_verdict(summary, tied=others)) == {}


def test_a_guess_has_no_star(summary):
    value = replace(summary.verdict(USE).value, mean=0.25, low=0.1, high=0.4, floor=0.1, null=0.2)
    assert ranks(with_verdict(summary, tied=(), value=value)) == {}


@pytest.mark.parametrize("code", sorted(FAULTY))
def test_information_that_failed_its_calibration_has_no_star(summary, code):
    value = summary.verdict(USE).value
    made = with_verdict(summary, tied=(), value=replace(value, cautions=(Caution(code),)))
    assert ranks(made) == {}
    assert ranks(with_verdict(summary, tied=(), value=value)) == {"DICE-FER": "best"}


def test_a_collapsed_embedding_has_no_star(summary):
    best = summary.row("DICE-FER")
    score = best.scores["mig/mig"].__class__(**best.scores["mig/mig"].__dict__)
    wreck = replace(score, cautions=(Caution("collapsed", rank=1.0),))
    row = replace(best, scores=best.scores | {"mig/mig": wreck})
    rows = tuple(row if r.label == row.label else r for r in summary.rows)
    assert ranks(replace(with_verdict(summary, tied=()), rows=rows)) == {}


def test_a_cell_is_the_mean_with_half_its_interval(summary):
    drawn_cells = cells(summary, [summary.use])
    value = summary.row("ERM").scores[USE]
    cell = drawn_cells["ERM", USE]
    assert cell.text == f"{100 * value.mean:.1f}"
    assert cell.half == f"{50 * (value.high - value.low):.1f}"
    assert cell.bar == pytest.approx((0, value.mean))
    assert cell.null == pytest.approx(value.null)


def test_a_missing_number_says_why(summary):
    (mig,) = [c for c in deciding_columns(summary) if c.key == "mig/normalised"]
    assert cells(summary, [mig])["ERM", mig.key].text == "no identity embedding"


def cautioned(summary, key, **codes):
    """The summary where rows, by label, carry a caution with the score."""
    rows = [
        replace(row, scores=row.scores | {key: replace(row.scores[key], cautions=(Caution(code),))})
        if (code := codes.get(row.label))
        else row
        for row in summary.rows
    ]
    return replace(summary, rows=tuple(rows))


def test_a_number_that_failed_its_calibration_stands_behind_the_fold(summary):
    key = "mig/normalised"
    (mig,) = [c for c in deciding_columns(summary) if c.key == key]
    made = cautioned(summary, key, EIF="calibration-bias")
    cell = cells(made, [mig], decides=True)["EIF", key]
    assert (cell.text, cell.bar) == ("fails its calibration", None)
    board = content(SimpleNamespace(summary=made))
    assert board["cells"]["EIF", key] == cell
    assert mig in board["more"]
    assert board["more_cells"]["EIF", key] == cells(summary, [mig])["EIF", key]
    assert mig not in content(SimpleNamespace(summary=summary))["more"]


def test_of_a_gap_with_a_leak_read_too_low_the_upper_end_is_shown(summary):
    key = "mig/normalised"
    (mig,) = [c for c in deciding_columns(summary) if c.key == key]
    high = summary.row("EIF").scores[key].high
    cell = cells(cautioned(summary, key, EIF="gap-at-most"), [mig], decides=True)["EIF", key]
    assert cell.text == f"≤ {high:.3f}".replace("-", "−")
    assert (cell.order, cell.half) == (high, "")


def test_a_bar_of_a_negative_number_ends_at_zero(summary):
    (mig,) = [c for c in deciding_columns(summary) if c.key == "mig/normalised"]
    values = [cell for cell in cells(summary, [mig]).values() if cell.bar is not None]
    lowest = min(min(c.order for c in values), 0.0)
    span = max(max(c.order for c in values), 0.0) - lowest
    for cell in values:
        start, length = cell.bar
        zero = -lowest / span
        assert length == pytest.approx(abs(cell.order) / span)
        assert start == pytest.approx(min(zero, (cell.order - lowest) / span))


def test_the_lowest_leak_has_the_star_where_it_is_alone(summary):
    (column,) = [c for c in deciding_columns(summary) if "leak" in c.title]
    verdict = replace(summary.verdict(column.key), tied=())
    others = [v for v in summary.verdicts if v.key != column.key]
    made = replace(summary, verdicts=(verdict, *others))
    assert _ranks(made, column) == {verdict.best: "best"}
