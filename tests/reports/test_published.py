"""Published numbers: one unit everywhere, one row a setting, remarks where they belong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_bench.reports.published import PublishedNumber, _number, published_rows
from fer_bench.reports.tables import LAYOUTS, RENDERERS

SOURCE = "its paper"


def printed(dataset, metric, value, unit="", **more):
    fact = {"dataset": dataset, "metric": metric, "value": value, "unit": unit, "source": SOURCE}
    return fact | more


def with_published(summary, *numbers, label="EIF"):
    rows = [replace(r, published=numbers) if r.label == label else r for r in summary.rows]
    return replace(summary, rows=tuple(replace(r, published=()) if r.label != label else r
                                       for r in rows))  # fmt: skip


def here(summary):
    return [row for row in published_rows(summary) if row.here]


@given(st.floats(0.01, 100))
def test_percent_and_fraction_are_one_number(value):
    percent = _number(printed("X", "accuracy", value, "percent"))
    fraction = _number(printed("X", "accuracy", value / 100, "fraction"))
    assert percent.value == pytest.approx(fraction.value, abs=1e-9)
    assert str(percent) == str(fraction)


@pytest.mark.parametrize("value", [0.995, 99.5])
def test_folders_without_units_are_read(value):
    assert str(_number({"metric": "accuracy", "value": value})) == "99.5 %"


def test_bare_numbers_stay_bare():
    assert str(PublishedNumber(0.504, "")) == "0.504"
    assert str(PublishedNumber(0.448, "nats")) == "0.45 nats"


@pytest.mark.parametrize("value_unit", [(0.995, "fraction"), (99.5, "percent")])
@pytest.mark.parametrize("layout", ["mig", "published"])
def test_every_layout_prints_percent(summary, layout, value_unit):
    summary = with_published(summary, printed("CK+", "accuracy", *value_unit))
    text = RENDERERS["markdown"](LAYOUTS[layout](summary, None))
    line = next(x for x in text.splitlines() if x.startswith("| EIF") and "CK+" in x)
    assert "99.5" in line


@pytest.mark.parametrize("key", ["setting", "note"])
def test_two_backbones_are_two_rows(summary, key):
    numbers = [
        printed("RAF-DB", "accuracy", 88.93, "percent", **{key: "ResNet-18"}),
        printed("RAF-DB", "accuracy", 89.44, "percent", **{key: "ResNet-50"}),
    ]
    rows = here(with_published(summary, *numbers))
    assert [(row.name, row.text) for row in rows] == [
        ("EIF (ResNet-18)", "accuracy 88.9 %"),
        ("EIF (ResNet-50)", "accuracy 89.4 %"),
    ]
    text = RENDERERS["csv"](LAYOUTS["mig"](with_published(summary, *numbers), None))
    assert "EIF (ResNet-18), RAF-DB" in text
    assert "EIF (ResNet-50), RAF-DB" in text


def test_a_remark_belongs_to_its_number(summary):
    numbers = [
        printed("AffectNet", "accuracy", 0.859, "fraction", note="18 points above"),
        printed("AffectNet", "mig", 0.448, "nats"),
    ]
    (row,) = here(with_published(summary, *numbers))
    assert row.note == "accuracy: 18 points above"
    text = RENDERERS["markdown"](LAYOUTS["mig"](with_published(summary, *numbers), None))
    line = next(x for x in text.splitlines() if "EIF, AffectNet" in x)
    accuracy, mig = line.split("|")[2], next(c for c in line.split("|") if "0.45" in c)
    assert "<sup>" in accuracy
    assert "<sup>" not in mig


def test_affect_layout_has_what_papers_print(summary):
    numbers = [
        printed("AFEW-VA", f"ccc.{side}", value) for side, value in (("valence", 0.689),
                                                                    ("arousal", 0.694))
    ]  # fmt: skip
    text = RENDERERS["markdown"](LAYOUTS["va"](with_published(summary, *numbers), None))
    line = next(x for x in text.splitlines() if "EIF, AFEW-VA" in x)
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
    assert [row.numbers["accuracy"].value for row in rows if row.name == "DMUE (ResNet-50)"] == [
        pytest.approx(0.6311),
        pytest.approx(0.8942),
    ]
    for row in rows:
        if "accuracy" in row.numbers:
            assert 0.3 < row.numbers["accuracy"].value <= 1, row
    assert not {row.dataset for row in rows} & {"Aff-Wild2 validation"}
