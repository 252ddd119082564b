"""Laws and stored values as assertions: what holds passes, what is planted fails in one line."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench.baselines.erm.adapter import ERM
from fer_bench.information.estimators.gaussian import Gaussian
from fer_bench.method import Embeddings
from fer_bench.score import Score
from fer_bench.testing import (
    LawBroken,
    Tolerance,
    at_least,
    at_most,
    check_estimator,
    check_method,
    compare_with_stored,
    parametrize_with_checks,
    within,
)


class Bits(Gaussian):
    """The normal estimate in the wrong unit."""

    name = "bits"

    def fit(self, x, y, **how):
        return super().fit(x, y, **how)

    def estimate_many(self, problems):
        from dataclasses import replace

        return [
            replace(found, value=found.value / math.log(2))
            for found in super().estimate_many(problems)
        ]


class Wide(ERM):
    """An adapter whose embedding is no matrix."""

    def embed(self, images):
        return Embeddings(expression=super().embed(images).expression[:, :, None])


def test_an_estimator_that_keeps_the_laws_passes():
    check_estimator("gaussian")


def test_a_broken_estimator_ends_with_one_line():
    with pytest.raises(LawBroken) as broken:
        check_estimator(Bits)
    assert broken.value.line.startswith("law broken: truth 1, truth 2")
    assert broken.value.line.endswith("bits are returned instead of nats")
    assert str(broken.value).splitlines()[-1] == broken.value.line


def test_methods():
    check_method("random-encoder")
    answers = cases(parametrize_with_checks([Wide]))["Wide-answers"]
    with pytest.raises(LawBroken, match=r"law broken: shape; likely cause: embed\(\).expression"):
        answers()


def cases(mark):
    return {case.id: case.values[0] for case in mark.args[1]}


def test_one_test_a_law():
    made = cases(parametrize_with_checks(["gaussian", Bits, "random-encoder"]))
    assert {"gaussian-truth", "Bits-truth", "random-encoder-stages"} <= {*made}
    made["gaussian-truth"]()
    made["Bits-independence"]()
    made["random-encoder-build"]()
    with pytest.raises(LawBroken, match="law broken: truth 1.*nats"):
        made["Bits-truth"]()


# --- stored values -------------------------------------------------------------------------------

ONE_SIDED = {"accuracy": at_least(0.02), "leak": at_most(0.02), "mig": within(0.02)}
STORED = {"accuracy": 0.8, "leak": 0.4, "mig": 0.1}


@pytest.fixture
def stored(tmp_path):
    file = tmp_path / "values.json"
    compare_with_stored(STORED, file, ONE_SIDED, write=True)
    return file


@pytest.mark.parametrize(
    ("moved", "line"),
    [
        ({}, None),
        ({"accuracy": 0.99}, None),
        ({"leak": 0.1}, None),
        ({"accuracy": 0.75}, r"accuracy fell from 0.8 to 0.75; 0.02 .*one-sided: it may rise"),
        ({"leak": 0.45}, r"leak rose from 0.4 to 0.45; 0.02 .*one-sided: it may fall"),
        ({"mig": 0.15}, r"mig rose .*two-sided"),
        ({"mig": 0.05}, r"mig fell .*two-sided"),
        ({"mig": math.nan}, "mig"),
        ({"accuracy": 0.7, "leak": 0.9}, "and 1 more"),
    ],
)
def test_one_sided_and_two_sided_tolerances(stored, moved, line):
    values = {**STORED, **moved}
    if line is None:
        compare_with_stored(values, stored, ONE_SIDED)
        return
    with pytest.raises(LawBroken, match=line) as broken:
        compare_with_stored(values, stored, ONE_SIDED)
    assert "\n" not in broken.value.line


def test_scores_count_by_their_value(stored):
    compare_with_stored({**STORED, "leak": Score(0.41)}, stored, ONE_SIDED)


def test_names_must_agree(stored, tmp_path):
    with pytest.raises(LawBroken, match="needs a tolerance"):
        compare_with_stored({**STORED, "auc": 0.5}, stored, ONE_SIDED)
    with pytest.raises(LawBroken, match="measured or stored, not both"):
        compare_with_stored({"mig": 0.1}, stored, {"mig": within(0.1)})
    with pytest.raises(LawBroken, match="--fer-baseline-write"):
        compare_with_stored(STORED, tmp_path / "absent.json", ONE_SIDED)


@settings(max_examples=40)
@given(st.floats(-10, 10), st.floats(-10, 10), st.floats(0, 5), st.sampled_from(["above", "below"]))
def test_two_sided_is_both_one_sided_ones(value, stored, by, side):
    one, other = Tolerance(by, side), Tolerance(by, "below" if side == "above" else "above")
    both = within(by).allows(value, stored)
    assert both == (one.allows(value, stored) and other.allows(value, stored))
    assert one.allows(stored, stored)
