"""Claims: which attackers are shown, who stands where, and the line of ERM with an eraser."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fer_bench.reports.aggregate import Estimate
from fer_bench.reports.columns import columns_of
from fer_bench.reports.sections.claims import (
    SECTION,
    Place,
    asked,
    curve_verdicts,
    kept_curves,
    places,
)
from fer_bench.score import Outcome, Score

LEFT = ("leak", "utility")


def leak(mean, half=0.01):
    return Estimate(mean, mean - half, mean + half, 0, 0.5, 1, 40, "", "", (mean,))


def with_scores(summary, leaks, metric="attackers"):
    """The summary with leaks (fixed, trained) of some rows."""
    keys = [f"{metric}/E.identity.fixed.auc", f"{metric}/E.identity.auc"]
    rows = [
        replace(row, scores=row.scores | dict(zip(keys, map(leak, leaks[row.label]), strict=True)))
        if row.label in leaks
        else row
        for row in summary.rows
    ]
    return replace(summary, rows=tuple(rows))


def page_of(summary, curves=None, outcomes=None):
    """What the section asks of a page."""
    kept = {run: curves for row in summary.rows for run in row.runs} if curves else {}
    records = SimpleNamespace(
        record=lambda run: SimpleNamespace(
            metric_arrays=lambda name: kept.get(run, {}), outcomes=lambda: outcomes or {}
        )
    )
    return SimpleNamespace(summary=summary, store=records)


def test_places_change_once_the_attacker_learns(summary):
    made = with_scores(summary, {"ERM": (0.8, 0.9), "EIF": (0.6, 0.95), "DICE-FER": (0.7, 0.7)})
    content = SECTION.content(page_of(made))
    shown = {line.row.label: [p.at for p in line.places] for line in content["lines"]}
    assert shown == {"DICE-FER": [2, 1], "ERM": [3, 2], "EIF": [1, 3]}
    assert (content["moved"], content["ranked"]) == (3, 3)
    assert [column.title for column in content["columns"]] == [
        "Fixed attacker AUC",
        "Trained attacker AUC",
    ]


def test_what_follows_is_told_of_the_methods_and_the_others_stand_below(summary):
    reference, *_ = [row.label for row in summary.rows if row.role != "method"]
    leaks = {"ERM": (0.8, 0.9), "EIF": (0.505, 0.95), "DICE-FER": (0.7, 0.7), reference: (0.5, 0.5)}
    content = SECTION.content(page_of(with_scores(summary, leaks)))
    assert [line.row.label for line in content["lines"]] == ["DICE-FER", "ERM", "EIF", reference]
    assert content["lines"][-1].places is None
    fixed, trained = content["readings"]
    assert (fixed.least, fixed.low, fixed.high, fixed.told) == ("EIF", 0.505, 0.8, 2)
    assert (trained.least, trained.low, trained.high, trained.told) == ("DICE-FER", 0.7, 0.95, 3)
    assert not any(content["standings"].values())


def test_a_method_without_the_fixed_attacker_is_shown_and_not_ranked(summary):
    made = with_scores(summary, {"ERM": (0.8, 0.9), "EIF": (0.6, 0.95), "DICE-FER": (0.7, 0.7)})
    made.rows[[row.label for row in made.rows].index("EIF")].scores.pop(
        "attackers/E.identity.fixed.auc"
    )
    content = SECTION.content(page_of(made))
    shown = {line.row.label: line.places for line in content["lines"]}
    assert shown["EIF"] is None
    assert [p.at for p in shown["ERM"]] == [2, 2]
    assert [told.least for told in content["readings"]] == ["DICE-FER", "DICE-FER"]
    assert content["ranked"] == 2


def test_all_attackers_stand_for_the_default_ones_where_they_were_asked(summary):
    made = with_scores(summary, {"ERM": (0.6, 0.9)})
    both = with_scores(made, {"ERM": (0.6, 0.95)}, "attackers-all")
    assert {c.key.partition("/")[0] for c in asked(made, "claims")} == {"attackers"}
    assert {c.key.partition("/")[0] for c in asked(both, "claims")} == {"attackers-all"}


def test_without_attackers_there_is_no_section(summary):
    earlier = replace(summary.row("ERM"), scores={"attackers/E.identity.auc": leak(0.7)})
    assert SECTION.content(page_of(replace(summary, rows=(earlier,)))) is None
    assert SECTION.content(page_of(replace(summary, rows=summary.rows[:0]))) is None


values = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.3)), min_size=1, max_size=6)


@given(values)
def test_the_place_by_the_mean_is_among_those_left_open(drawn):
    column = columns_of("claims")[0]
    rows = [
        SimpleNamespace(label=str(i), scores={column.key: leak(mean, half)})
        for i, (mean, half) in enumerate(drawn)
    ]
    for place in places(rows, column).values():
        assert 1 <= place.first <= place.at <= place.last <= len(rows)


def test_far_apart_means_leave_one_place_open():
    column = columns_of("claims")[0]
    rows = [
        SimpleNamespace(label=str(m), scores={column.key: leak(m)}) for m in (0.9, 0.5, 0.7, 0.705)
    ]
    placed = places(rows, column)
    assert placed["0.5"] == Place(1, 1, 1)
    assert placed["0.7"] == Place(2, 2, 3)
    assert placed["0.9"] == Place(4, 4, 4)


def test_every_method_but_erm_is_held_against_its_curve(summary):
    rng = np.random.default_rng(0)
    values = np.array([[0.9, 0.8], [0.7, 0.7], [0.55, 0.3]])
    curve = {
        "strength": np.array([0, 2, 4]),
        "people": np.full(3, 30),
        "values": values,
        "drawn": values[..., None] + 0.001 * rng.normal(size=(3, 2, 40)),
    }
    curves = kept_curves(page_of(summary, curve))
    verdicts = curve_verdicts(curves, "ERM")
    methods = {row.label for row in summary.of_role("method")}
    assert curves.keys() == methods
    assert verdicts.keys() == methods - {"ERM"}
    assert {verdict.state for verdict in verdicts.values()} == {"no verdict"}
    assert curve_verdicts(curves, "") == {}
    assert kept_curves(page_of(summary)) == {}
    leaks = {"ERM": (0.8, 0.9), "EIF": (0.6, 0.95)}
    content = SECTION.content(page_of(with_scores(summary, leaks), curve))
    assert content["curve"]
    assert "EIF" in content["figure"]


def test_what_erasers_leave_is_shown_by_rank(summary):
    made = with_scores(summary, {"ERM": (0.8, 0.9), "EIF": (0.6, 0.95)})
    kept = {f"frontier/leace.{k}.{what}": leak(0.5 + k / 100) for k in (0, 2, 16) for what in LEFT}
    made.row("ERM").scores.update(kept)
    made.row("EIF").scores.update({f"frontier/scores.{what}": leak(0.6) for what in LEFT})
    content = SECTION.content(page_of(made))
    assert content["strengths"] == ["0", "2", "16", "class scores"]
    shown = {line.row.label: line.left for line in content["lines"]}
    assert {k: v["leak"].mean for k, v in shown["ERM"].items()} == {"0": 0.5, "2": 0.52, "16": 0.66}
    assert shown["EIF"]["class scores"].keys() == set(LEFT)


def test_the_people_and_pairs_behind_the_leak_are_told(summary):
    counts = {"people": 7, "genuine_pairs": 30, "impostor_pairs": 900}
    outcome = Outcome(5, scores={"E.identity.auc": Score(0.7, details=counts)})
    made = with_scores(summary, {"ERM": (0.8, 0.9), "EIF": (0.6, 0.95)})
    told = SECTION.content(page_of(made, outcomes={"attackers": outcome}))["rests_on"]
    assert told == counts
    assert SECTION.content(page_of(made))["rests_on"] is None
