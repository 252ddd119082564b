"""Groups: what five people and more stand for, and every number in the fold."""

from dataclasses import replace

from fer_bench.cautions import Caution
from fer_bench.reports.aggregate import Estimate
from fer_bench.reports.sections.groups import _large, _tables


def accuracy(mean, *cautions, n=40):
    return Estimate(mean, None, None, 0, None, 1, n, "fraction", "", (mean,), cautions)


def rows(summary):
    few = Caution("few-clusters", clusters=4, of="subjects")
    scores = {
        "groups/age.v1.5": accuracy(0.5),
        "groups/age.old": accuracy(0.6, few),
        "groups/age.gap": accuracy(0.1),
        "groups/age.worst_cell": accuracy(0.2),
    }
    return [replace(summary.row("ERM"), scores=scores), replace(summary.row("EIF"), scores={})]


def test_groups_of_fewer_than_five_people_stay_in_the_fold(summary):
    (table,) = _tables(rows(summary), "groups", "attribute", "group")
    assert _large([table]) == {"age: v1.5": {"ERM": 0.5}}
    assert {line["level"] for line in table["lines"]} == {
        "v1.5", "old", "Gap", "Worst group × expression",
    }  # fmt: skip
    assert table["labels"] == ["ERM"]


def test_no_groups_are_no_table(summary):
    assert _tables([replace(summary.row("ERM"), scores={})], "groups", "attribute", "group") == []
