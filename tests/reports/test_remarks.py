"""Each caution once, gravest first."""

from fer_bench.cautions import Caution, merged
from fer_bench.reports.remarks import Said, remarks


def test_cautions_of_one_kind_are_one_remark():
    several = [Caution("few-clusters", clusters=n, of="subjects") for n in (3, 12, 3)]
    assert len({caution.kind for caution in several}) == 1
    assert several[0].kind != Caution("few-clusters", clusters=3, of="images").kind
    assert merged(several) == "the interval rests on 3 to 12 subjects only"
    assert merged(several[:1]) == str(several[0])


def test_one_kind_is_one_remark_and_grave_ones_come_first():
    said = [
        Said(Caution("few-clusters", clusters=3, of="subjects"), "ERM", "groups"),
        Said(Caution("few-clusters", clusters=4, of="subjects"), "EIF", "groups"),
        Said(Caution("fitted"), "ERM", "classification"),
        Said(Caution("runs-failed", runs=2), "EIF"),
    ]
    failed, few = remarks(said, methods=["ERM", "EIF"])
    assert (failed.level, failed.rows) == ("error", ("EIF",))
    assert few.text == "The interval rests on 3 to 4 subjects only"
    assert (few.rows, few.metrics, few.runs) == (("ERM", "EIF"), ("groups",), 2)


def test_what_is_said_of_references_alone_comes_after_methods():
    said = [
        Said(Caution("below-zero"), "pixels", "mi"),
        Said(Caution("one-group"), "ERM", "mi"),
    ]
    assert [r.rows for r in remarks(said, methods=["ERM"])] == [("ERM",), ("pixels",)]
