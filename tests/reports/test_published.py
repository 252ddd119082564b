"""Published numbers: one unit everywhere, one row a setting, remarks where they belong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_bench.reports.published import PublishedNumber, PublishedRow, _number, published_rows
from fer_bench.reports.tables import LAYOUTS, RENDERERS

SOURCE = "its paper"


def printed(dataset, metric, value, unit="", **more):
    fact = {"dataset": dataset, "metric": metric, "value": value, "unit": unit, "source": SOURCE}
    return fact | more


def with_published(summary, *numbers, label="EIF"):
    """The summary with these numbers of one method, under a title that no card knows."""
    rows = [
        replace(row, title="Own method", published=numbers)
        if row.label == label
        else replace(row, published=())
        for row in summary.rows
    ]
    return replace(summary, rows=tuple(rows))


def here(summary):
    return [row for row in published_rows(summary) if row.method == "Own method"]


@given(st.floats(0.01, 100))
def test_percent_and_fraction_are_one_number(value):
    percent = _number(printed("X", "accuracy", value, "percent"))
    fraction = _number(printed("X", "accuracy", value / 100, "fraction"))
    assert percent.value == pytest.approx(fraction.value, abs=1e-9)
    assert str(percent) == str(fraction)


@pytest.mark.parametrize("value", [0.995, 99.5])
def test_folders_without_units_are_read(value):
    assert str(_number({"metric": "accuracy", "value": value})) == "99.5 %"


def test_numbers_read_as_printed():
    assert str(PublishedNumber(0.504, "")) == "0.504"
    assert str(PublishedNumber(13, "")) == "13"
    assert str(PublishedNumber(0.8893, "fraction")) == "88.93 %"
    assert str(PublishedNumber(0.448, "nats")) == "0.448 nats"


def test_a_number_that_a_card_carries_too_is_shown_once(summary):
    """A result folder of before names another setting, or the classes with the data set."""
    numbers = [
        printed("AffectNet-7", "accuracy", 64.37, "percent", setting="ResNet-18"),
        printed("AFEW-VA", "ccc.valence", 0.689, setting="AlexNet-tuned"),
        printed("KDEF", "accuracy", 91, "percent"),
    ]
    rows = [replace(r, published=numbers if r.label == "EIF" else ()) for r in summary.rows]
    shown = [row for row in published_rows(replace(summary, rows=tuple(rows))) if row.here]
    of_eif = [(row.name, row.dataset) for row in shown if row.method == "EIF"]
    assert ("EIF", "KDEF") in of_eif
    assert ("EIF (ResNet-18, 7 classes)", "AffectNet") in of_eif
    assert not {name for name, _ in of_eif if "tuned" in name}
    assert len(of_eif) == len(set(of_eif))


def test_a_remark_on_all_numbers_of_a_row_is_said_once():
    numbers = {"accuracy": PublishedNumber(0.9, "fraction", "one fold")}
    row = PublishedRow("Own", "", "CK+", here=True, numbers=numbers)
    assert row.note == "one fold"
    numbers["mig"] = PublishedNumber(0.4, "nats")
    assert row.note == "accuracy: one fold"


@pytest.mark.parametrize("value_unit", [(0.995, "fraction"), (99.5, "percent")])
@pytest.mark.parametrize("layout", ["mig", "published"])
def test_every_layout_prints_percent(summary, layout, value_unit):
    summary = with_published(summary, printed("CK+", "accuracy", *value_unit))
    text = RENDERERS["markdown"](LAYOUTS[layout](summary, None))
    line = next(x for x in text.splitlines() if x.startswith("| Own method") and "CK+" in x)
    assert "99.5" in line


@pytest.mark.parametrize("key", ["setting", "note"])
def test_two_backbones_are_two_rows(summary, key):
    numbers = [
        printed("RAF-DB", "accuracy", 88.93, "percent", **{key: "ResNet-18"}),
        printed("RAF-DB", "accuracy", 89.44, "percent", **{key: "ResNet-50"}),
    ]
    rows = here(with_published(summary, *numbers))
    assert [(row.name, row.text) for row in rows] == [
        ("Own method (ResNet-18)", "accuracy 88.93 %"),
        ("Own method (ResNet-50)", "accuracy 89.44 %"),
    ]
    text = RENDERERS["csv"](LAYOUTS["mig"](with_published(summary, *numbers), None))
    assert "Own method (ResNet-18), RAF-DB" in text
    assert "Own method (ResNet-50), RAF-DB" in text


def test_a_remark_belongs_to_its_number(summary):
    numbers = [
        printed("AffectNet", "accuracy", 0.859, "fraction", note="18 points above"),
        printed("AffectNet", "mig", 0.448, "nats"),
    ]
    (row,) = here(with_published(summary, *numbers))
    assert row.here
    assert row.note == "accuracy: 18 points above"
    text = RENDERERS["markdown"](LAYOUTS["mig"](with_published(summary, *numbers), None))
    line = next(x for x in text.splitlines() if "Own method, AffectNet" in x)
    accuracy, mig = line.split("|")[2], next(c for c in line.split("|") if "0.45" in c)
    assert "<sup>" in accuracy
    assert "<sup>" not in mig


def test_affect_layout_has_what_papers_print(summary):
    numbers = [
        printed("AFEW-VA", f"ccc.{side}", value) for side, value in (("valence", 0.689),
                                                                    ("arousal", 0.694))
    ]  # fmt: skip
    text = RENDERERS["markdown"](LAYOUTS["va"](with_published(summary, *numbers), None))
    line = next(x for x in text.splitlines() if "Own method, AFEW-VA" in x)
    assert "0.689" in line
    assert "0.694" in line


def test_another_value_of_a_second_source_is_a_row_of_its_own(summary):
    numbers = [
        printed("RAF-DB", "accuracy", 0.855, "fraction"),
        printed("RAF-DB", "accuracy", 0.825, "fraction", source="a report"),
        printed("RAF-DB", "accuracy", 85.5, "percent", source="a copy"),
    ]
    rows = here(with_published(summary, *numbers))
    assert [row.text for row in rows] == ["accuracy 85.5 %", "accuracy 82.5 %"]


def test_other_systems_are_sourced_and_no_fraction_is_taken_for_percent(summary):
    rows = published_rows(summary)
    assert all(row.sources for row in rows)
    dmue = {
        row.name: row.numbers["accuracy"].value
        for row in rows
        if row.method == "DMUE" and "ResNet-50" in row.setting
    }
    assert dmue == {"DMUE (ResNet-50, 7 classes)": 0.6311, "DMUE (ResNet-50)": 0.8942}
    for row in rows:
        if "accuracy" in row.numbers:
            assert 0.3 < row.numbers["accuracy"].value <= 1, row
    assert not {row.dataset for row in rows} & {"Aff-Wild2 validation"}
