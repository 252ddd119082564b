"""The consistency checks: ours pass, and each check catches an estimator made for it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from typer.testing import CliRunner

from fer_bench.cli.mi import app
from fer_bench.information import Estimator, EstimatorError
from fer_bench.information.consistency import CHECKS, check_estimator
from fer_bench.information.estimators.discrete import PlugIn
from fer_bench.information.estimators.gaussian import Gaussian
from fer_bench.information.estimators.neighbours import Ross
from fer_bench.labels import label_entropy
from fer_bench.registry import estimators


def honest(x, y):
    """What an estimator of ours finds, whatever the sides are."""
    tool = {0: Gaussian, 1: Ross, 2: PlugIn}[(x.ndim == 1) + (y.ndim == 1)]
    return tool().fit(x, y).estimate().value


def foreign(read, sides="continuous"):
    """Somebody's estimator that reads the value read(x, y)."""

    class Tool:
        def fit(self, x, y):
            self.value = read(x, y)
            return self

        def estimate(self):
            return self.value

    Tool.sides = sides
    return Tool


def failed(estimator, **options):
    return {check.name for check in check_estimator(estimator, **options) if not check.passed}


def repeated(x):
    """How many times more rows there are than different ones."""
    return len(x) / len(np.unique(x, axis=0)) - 1


def linear(x, y):
    """Of numbers, whatever they stand for."""
    x = x if x.ndim == 1 else x[:, 0]
    return -0.5 * math.log(1 - np.corrcoef(x, y)[0, 1] ** 2)


BROKEN = {
    ("continuous", "independence"): lambda x, y: honest(x, y) + 0.1,
    ("continuous", "row order"): lambda x, y: honest(x[:30], y[:30]),
    ("continuous", "monotone"): lambda x, y: -honest(x, y),
    ("continuous", "revealed rows"): lambda x, y: min(honest(x, y), 0.1),
    ("continuous", "duplicated rows"): lambda x, y: honest(x, y) * (1 + 0.3 * repeated(x)),
    ("continuous", "doubled rows"): lambda x, y: honest(x, y) + 0.3 * math.log(len(x) / 1000),
    ("continuous", "truth 1"): lambda x, y: 0.62 * honest(x, y),
    ("continuous", "truth 2"): lambda x, y: 1.35 * honest(x, y),
    ("continuous", "much information"): lambda x, y: min(0.9 * honest(x, y), 1.0),
    ("continuous", "few rows"): lambda x, y: honest(x, y) + 30 / len(x),
    ("continuous", "symmetry"): lambda x, y: honest(x, y[:, :1]),
    ("continuous", "bijection"): lambda x, y: honest(x, y) * x.std(),
    ("continuous", "data processing: copy"): lambda x, y: honest(x, y) + 0.2 * x.shape[1] - 0.4,
    ("continuous", "data processing: loss"): lambda x, y: honest(x, y) / y.shape[1],
    ("continuous", "additivity"): lambda x, y: min(honest(x, y), 0.75),
    ("continuous", "noise column"): lambda x, y: honest(x, y) + 0.25 * (x.shape[1] - y.shape[1]),
    ("continuous", "offset"): lambda x, y: honest(np.tanh(x), y),
    ("mixed", "independence, mixed"): lambda x, y: honest(x, y) + 0.1,
    ("mixed", "truth 1, mixed"): lambda x, y: 1.35 * honest(x, y),
    ("mixed", "relabelling, mixed"): linear,
    ("mixed", "bounded, mixed"): lambda x, y: 1.1 * honest(x, y),
    ("discrete", "row order, discrete"): lambda x, y: honest(x[:30], y[:30]),
    ("discrete", "truth 2, discrete"): lambda x, y: 0.62 * honest(x, y),
    ("discrete", "relabelling, discrete"): linear,
    ("discrete", "bounded, discrete"): lambda x, y: 1.1 * honest(x, y),
    ("discrete", "symmetry, discrete"): lambda x, y: honest(x, y) / label_entropy(y),
}


@pytest.mark.parametrize("sides", CHECKS)
def test_an_honest_estimator_passes(sides):
    assert failed(foreign(honest, sides)) == set()


@pytest.mark.parametrize(("sides", "check"), BROKEN)
def test_each_check_catches_an_estimator_made_for_it(sides, check):
    assert check in failed(foreign(BROKEN[sides, check], sides))


def test_no_check_is_without_such_an_estimator():
    caught = {check.split(",")[0] for _, check in BROKEN}
    for sides in CHECKS:
        assert {
            check.name.split(",")[0] for check in check_estimator(foreign(honest, sides), n=100)
        } <= caught


@pytest.mark.parametrize(
    "read",
    [
        lambda x, y: 0.62 * honest(x, y), lambda x, y: 1.35 * honest(x, y),
        lambda x, y: honest(x, y) + 0.25 * (x.shape[1] - y.shape[1]),
        lambda x, y: honest(x, y**9), lambda x, y: honest(x, y[:, :1]),
    ],
)  # fmt: skip
def test_errors_that_look_like_information_are_caught(read):
    assert failed(foreign(read)) & {"truth 1", "truth 2", "symmetry", "noise column"}


def test_the_sides_of_an_estimator_decide_what_is_checked():
    def kinds(sides):
        names = [c.name for c in check_estimator(foreign(honest, sides), n=100)]
        return {name.split(", ")[1] if ", " in name else "continuous" for name in names}

    assert kinds("labels") == {"mixed", "discrete"}
    assert kinds("any") == set(CHECKS)
    with pytest.raises(EstimatorError, match="did you mean 'discrete'"):
        check_estimator(foreign(honest, "discreet"))


def test_what_is_not_ours_gets_its_arrays_as_they_are():
    def largest(x, y):
        return float(np.abs(x).max())

    by_name = {check.name: check for check in check_estimator(foreign(largest), n=100)}
    assert by_name["offset"].value > 1e5


def nothing(*_):
    return None


class Raises:
    def fit(self, x, y):
        raise ValueError("singular\nmatrix")

    def estimate(self):
        return 0.0


class Demands:
    def __init__(self, k):
        self.k = k

    fit = estimate = nothing


@pytest.mark.parametrize(
    ("tool", "sentence"),
    [
        (Raises, "ValueError: singular matrix"),
        (foreign(nothing), "estimate() returned NoneType"),
        (foreign(lambda x, y: np.zeros(3)), "estimate() returned ndarray"),
        (foreign(lambda x, y: float("nan")), "estimate() returned nan"),
    ],
)  # fmt: skip
def test_an_estimator_that_breaks_fails_with_a_sentence(monkeypatch, tool, sentence):
    monkeypatch.setitem(estimators._local, "theirs", tool)
    run = CliRunner().invoke(app, ["check", "--estimator", "theirs"])
    assert run.exit_code == 1
    lines = run.output.splitlines()
    assert all(line.startswith("FAIL") and sentence in line for line in lines)
    assert "nan  expected" not in run.output


@pytest.mark.parametrize(
    ("thing", "sentence"),
    [(math, "is no estimator"), (math.sqrt, "is no estimator"), (Demands, "cannot be built")],
)
def test_what_is_no_estimator_is_refused(monkeypatch, thing, sentence):
    monkeypatch.setitem(estimators._local, "theirs", thing)
    run = CliRunner().invoke(app, ["check", "--estimator", "theirs"])
    assert isinstance(run.exception, EstimatorError)
    assert sentence in str(run.exception)


def test_options_that_nobody_reads_are_refused():
    with pytest.raises(EstimatorError, match="no option"):
        check_estimator("ksg", neighbours=3)
    with pytest.raises(EstimatorError, match="cannot be built"):
        check_estimator(foreign(honest), neighbours=3)


def test_our_own_kind_is_run_as_estimate_mi_runs_it():
    class Mine(Gaussian):
        name = "mine-too"

    assert issubclass(Mine, Estimator)
    assert failed(Mine) == set()


class Constant:
    """Somebody's estimator that ignores the data."""

    def fit(self, x, y):
        return self

    def estimate(self):
        return 0.7


class InSample:
    """Somebody's estimator that depends on the order of rows."""

    def fit(self, x, y):
        self.value = float(np.abs(x.ravel()[0]) + np.abs(y.ravel()[0]))
        return self

    def estimate(self):
        return self.value


@pytest.mark.parametrize(
    "estimator", ["copula", "gaussian", "ksg", "ksg2", "miller-madow", "plugin", "ross"]
)
def test_our_estimators_pass_the_checks(estimator):
    checks = check_estimator(estimator)
    assert len(checks) >= len(CHECKS)
    assert [check for check in checks if not check.passed] == []


SHORT = {"patience": 3, "rate": 0.004}  # trainings: a check of all laws has up to sixty


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "options"),
    [("auto", {}), ("classifier", SHORT), ("doe", SHORT), ("infonce", SHORT | {"patience": 2})],
)
def test_the_trained_ones_pass_the_checks(estimator, options):
    checks = check_estimator(estimator, n=500, **options)
    assert [check for check in checks if not check.passed] == []


@pytest.mark.parametrize(
    ("foreign", "fails"), [(Constant, "independence"), (InSample, "row order")]
)
def test_the_checks_catch_broken_foreign_estimators(foreign, fails):
    failed = {check.name for check in check_estimator(foreign, n=200) if not check.passed}
    assert fails in failed
