"""The leaderboard: a star for who is best beyond doubt, and for nobody else."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from types import SimpleNamespace

import pytest

from fer_bench.cautions import Caution
from fer_bench.reports.rendering import environment
from fer_bench.reports.sections import methods
from fer_bench.reports.sections.board import _ranks, cells, content, deciding_columns
from fer_bench.reports.standing import FAULTY

USE = "classification/test.accuracy"
MIG = "mig/normalised"


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


def test_a_number_that_failed_its_calibration_stands_behind_the_fold(summary, cautioned):
    (mig,) = [c for c in deciding_columns(summary) if c.key == MIG]
    made = cautioned(summary, MIG, EIF="calibration-bias")
    cell = cells(made, [mig])["EIF", MIG]
    assert (cell.text, cell.bar) == ("fails its calibration", None)
    board = content(SimpleNamespace(summary=made))
    assert board["cells"]["EIF", MIG] == cell
    assert mig in board["more"]
    assert board["meanings"].count(mig) == 1
    behind, known = board["more_cells"]["EIF", MIG], cells(summary, [mig])["EIF", MIG]
    assert (behind.text, behind.half, behind.remark) == (known.text, known.half, cell.text)
    assert mig not in content(SimpleNamespace(summary=summary))["more"]


def test_of_a_gap_with_a_leak_read_too_low_the_upper_end_is_shown(summary, cautioned):
    (mig,) = [c for c in deciding_columns(summary) if c.key == MIG]
    made = cautioned(summary, MIG, EIF="gap-at-most")
    high = summary.row("EIF").scores[MIG].high
    cell = cells(made, [mig])["EIF", MIG]
    assert cell.text == f"≤ {high:.3f}".replace("-", "−")
    assert (cell.order, cell.half) == (high, "")
    board = content(SimpleNamespace(summary=made))
    assert board["bounds"]
    assert board["more_cells"]["EIF", MIG].remark == "at most"


def test_a_bound_without_an_interval_is_none(summary, cautioned):
    (mig,) = [c for c in deciding_columns(summary) if c.key == MIG]
    made = cautioned(summary, MIG, EIF="gap-at-most")
    row = made.row("EIF")
    open_ = replace(row, scores={MIG: replace(row.scores[MIG], low=None, high=None)})
    rows = tuple(open_ if r is row else r for r in made.rows)
    assert cells(replace(made, rows=rows), [mig])["EIF", MIG].text == "fails its calibration"


def test_bars_are_scaled_by_what_is_drawn(summary, cautioned):
    """A withheld number a hundred times as large leaves the bars of the others as they are."""
    (mig,) = [c for c in deciding_columns(summary) if c.key == MIG]
    made = cautioned(summary, MIG, EIF="calibration-bias")
    row = made.row("EIF")
    large = replace(row, scores=row.scores | {MIG: replace(row.scores[MIG], mean=100.0)})
    rows = tuple(large if r is row else r for r in made.rows)
    drawn = cells(replace(made, rows=rows), [mig])
    assert drawn["DICE-FER", MIG].bar == cells(made, [mig])["DICE-FER", MIG].bar


def test_nobody_is_best_where_another_could_not_be_compared(summary):
    alone = with_verdict(summary, tied=())
    assert ranks(alone) == {"DICE-FER": "best"}
    fewer = summary.verdict(USE).comparable - 1
    assert ranks(with_verdict(summary, tied=(), comparable=fewer)) == {}


def test_what_is_withheld_is_nowhere_in_the_open(summary, cautioned, monkeypatch):
    """Neither in the leaderboard nor in the heading of its method."""
    made = cautioned(summary, MIG, EIF="calibration-bias")
    monkeypatch.setattr(methods, "_method", lambda *_: None)
    page = SimpleNamespace(summary=made)
    assert methods.content(page)["cells"]["EIF", MIG].text == "fails its calibration"
    html = (
        environment()
        .get_template("sections/board.html.j2")
        .render(
            s=made,
            page=SimpleNamespace(slugs=defaultdict(str), confounding=None),
            **content(page),
        )
    )
    columns = deciding_columns(summary)
    number = cells(summary, [c for c in columns if c.key == MIG])["EIF", MIG].text
    open_, _, folded = html.partition("<summary>More measures")
    row = next(line for line in open_.split("<tr>") if ">EIF<" in line)
    assert "fails its calibration" in row
    assert number not in row
    assert number in folded


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
