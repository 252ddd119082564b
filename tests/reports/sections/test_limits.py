"""Cautions: grouped, numbered as they are referred to, and not those that were meant."""

from dataclasses import replace

from fer_bench.reports.remarks import Remark
from fer_bench.reports.sections.limits import GROUPS, _calibrated, _group, numbered


def remark(code, *rows, metrics=("classification",), level="warning"):
    return Remark(f"{code} is said", level, rows, metrics, 1, (code,))


def with_remarks(summary, *remarks):
    return replace(summary, cautions=remarks)


def test_what_oracles_are_made_for_is_not_shown(summary):
    meant = remark("collapsed", "Oracle: label")
    about_all = remark("collapsed", "Oracle: label", "ERM")
    odd = remark("few-clusters", "Oracle: label")
    shown = numbered(with_remarks(summary, meant, about_all, odd))
    assert list(shown.values()) == [about_all, odd]


def test_remarks_stand_in_three_groups(summary):
    here, estimator, aside = (
        remark("few-clusters", "ERM"),
        remark("below-zero", "EIF", metrics=("mi", "mig")),
        remark("few-clusters", "Pixels (PCA)"),
    )
    assert [_group(summary, r) for r in (here, estimator, aside)] == list(GROUPS)
    assert _group(summary, remark("runs-failed", metrics=())) == GROUPS[0]


def test_numbers_run_through_the_groups(summary):
    remarks = (remark("few-clusters", "Pixels (PCA)"), remark("few-clusters", "ERM"))
    assert list(numbered(with_remarks(summary, *remarks))) == [1, 2]
    assert numbered(with_remarks(summary, *remarks))[1].rows == ("ERM",)


def test_what_failed_its_calibration_is_counted(summary):
    key = summary.about("separation").key
    able = [row.label for row in summary.rows if key in row.scores and row.role != "oracle"]
    oracle = remark("calibration-bias", "Oracle: label", metrics=("mig",))
    faulty = replace(remark("calibration-bias", "Oracle: label", able[0], metrics=("mig",)), runs=6)
    said = _calibrated(with_remarks(summary, oracle, faulty))
    assert said == {"numbers": 6, "failed": able[:1], "migs": {"passed": able}}
    assert _calibrated(with_remarks(summary, oracle))["failed"] == []


def test_what_is_left_of_each_mig_is_said(summary, cautioned):
    key = summary.about("separation").key
    first, second, *_ = (r.label for r in summary.of_role("method") if key in r.scores)
    codes = {first: "calibration-slope", second: "gap-at-most"}
    migs = _calibrated(cautioned(summary, key, **codes))["migs"]
    assert migs["withheld"] == [first]
    assert migs["bounded from above only"] == [second]
    assert not {first, second} & set(migs["passed"])
    constant = _calibrated(cautioned(summary, key, **{first: "constant-side"}))["migs"]
    assert first not in [label for labels in constant.values() for label in labels]
