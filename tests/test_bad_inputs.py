"""Every public function on a table of inputs as people have them: a right value, or one sentence.

The table is made from the signatures: a public function whose arrays have no entry here fails.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

import fer_bench
from fer_bench import FaceData, estimate_mi, information, metrics, statistics
from fer_bench.errors import FerBenchError
from fer_bench.information.calibration import calibrate
from fer_bench.metrics.network_probe import mlp_probes
from fer_bench.score import Score

RNG = np.random.default_rng(0)
N = 60
Y = np.arange(N) % 3
PEOPLE = np.arange(N) // 6
X = RNG.normal(size=(N, 3)) + 2 * np.eye(3)[Y]
E = RNG.normal(size=(N, 2))
VALUES = RNG.uniform(0.01, 0.99, N)
NAMES = ["a", "b", "c"]


# What an argument is -------------------------------------------------------------------------


@dataclass(frozen=True)
class Argument:
    """A clean array, and what it is made of."""

    values: np.ndarray
    rows: bool = True  # whether its rows are those of the other arguments

    same: tuple[str, ...] = ("big-endian", "Fortran", "read-only", "list", "pandas", "unmasked")
    broken: tuple[str, ...] = ("None", "empty", "0-d", "dict", "complex", "dates", "ragged")
    gaps: tuple[str, ...] = ("NaN", "masked")


@dataclass(frozen=True)
class Numbers(Argument):
    """Measurements [n] or [n, d]."""

    same: tuple[str, ...] = (*Argument.same, "tensor", "sparse", "objects")
    broken: tuple[str, ...] = (*Argument.broken, "text")
    gaps: tuple[str, ...] = (*Argument.gaps, "inf")


@dataclass(frozen=True)
class Labels(Argument):
    """Class labels [n]; with names, text stands for them."""

    names: tuple[str, ...] = ("c00", "c01", "c02", "c03", "c04", "c05", "c06", "c07", "c08", "c09")

    same: tuple[str, ...] = (*Argument.same, "text", "categories", "floats", "column", "tensor")
    broken: tuple[str, ...] = (
        "None", "empty", "0-d", "dict", "complex", "ragged", "fractions", "inf everywhere"
    )  # fmt: skip
    gaps: tuple[str, ...] = (*Argument.gaps, "NA")


@dataclass(frozen=True)
class Groups(Labels):
    """Ids [n] of people or clusters, which may be anything."""

    same: tuple[str, ...] = (*Labels.same, "negative")
    broken: tuple[str, ...] = ("empty", "0-d", "dict", "complex", "ragged")


def numbers(values: Any, **options: Any) -> Numbers:
    return Numbers(np.asarray(values, dtype=np.float64), **options)


def amounts(values: Any) -> Numbers:
    """Numbers that are no rows of samples."""
    return numbers(values, rows=False)


# How it comes --------------------------------------------------------------------------------


def as_text(argument: Labels) -> list[str]:
    return [argument.names[code] for code in argument.values]


SAME: Mapping[str, Callable[[Any], Any]] = {
    "big-endian": lambda a: a.values.astype(a.values.dtype.newbyteorder(">")),
    "Fortran": lambda a: np.asfortranarray(a.values),
    "read-only": lambda a: _read_only(a.values),
    "list": lambda a: a.values.tolist(),
    "pandas": lambda a: _pandas(a.values),
    "unmasked": lambda a: np.ma.array(a.values, mask=False),
    "tensor": lambda a: _tensor(a.values),
    "sparse": lambda a: scipy.sparse.csr_matrix(a.values) if a.values.ndim == 2 else a.values,
    "objects": lambda a: a.values.astype(object),
    "text": as_text,
    "categories": lambda a: pd.Categorical(as_text(a)),
    "floats": lambda a: a.values.astype(float),
    "column": lambda a: a.values[:, None],
    "negative": lambda a: a.values - 5,
}
BROKEN: Mapping[str, Callable[[Any], Any]] = {
    "None": lambda a: None,
    "empty": lambda a: a.values[:0],
    "0-d": lambda a: a.values.ravel()[0],
    "dict": lambda a: {"a": 1},
    "complex": lambda a: a.values + 1j,
    "dates": lambda a: a.values.astype("datetime64[s]"),
    "ragged": lambda a: [[1.0, 2.0], [3.0]],
    "text": lambda a: a.values.astype(str),
    "fractions": lambda a: a.values + 0.5,
    "inf everywhere": lambda a: np.full(len(a.values), np.inf),
}
GAPS: Mapping[str, Callable[[Any], Any]] = {
    "NaN": lambda a: _with(a.values.astype(float), np.nan),
    "inf": lambda a: _with(a.values.astype(float), np.inf),
    "NA": lambda a: _with(a.values.astype(object), pd.NA),
    "masked": lambda a: np.ma.array(a.values, mask=_with(np.zeros(a.values.shape, bool), True)),
}
GAP = 7  # the row that has one


def _with(values: np.ndarray, gap: Any) -> np.ndarray:
    values = values.copy()
    values[(GAP if len(values) > GAP else 0, *(0,) * (values.ndim - 1))] = gap
    return values


def _read_only(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values.setflags(write=False)
    return values


def _pandas(values: np.ndarray) -> pd.Series | pd.DataFrame:
    kind = pd.Series if values.ndim == 1 else pd.DataFrame
    return kind(values, index=range(100, 100 + len(values)))


def _tensor(values: np.ndarray) -> torch.Tensor:
    tensor = torch.tensor(values)
    return tensor.requires_grad_() if tensor.is_floating_point() else tensor


# The table -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """A public function with clean arguments.

    Attributes:
        call: the function, or a wrapper whose arguments are named as the function's.
        arrays: its arrays by name.
        options: further arguments.
        optional: arrays that may be None.
        single: what the first row alone gives; "" where the function must refuse it or say that
            the value is undefined.
        empty: the same of no rows.
    """

    call: Callable[..., Any]
    arrays: Mapping[str, Argument]
    options: Mapping[str, Any] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    single: Any = ""
    empty: Any = ""

    def __call__(self, **changed: Any) -> Any:
        clean = {name: argument.values for name, argument in self.arrays.items()}
        return plain(self.call(**{**clean, **self.options, **changed}))


SPLIT = metrics.Split(np.arange(0, 30), np.arange(30, 45), np.arange(45, 60))
NAN = float("nan")
FACTORS = {  # of which one may be text
    "codes": numbers(X),
    "factors": numbers(np.c_[Y, VALUES], broken=("None", "empty", "0-d", "dict", "complex")),
}
WHO = {"subject": Labels(PEOPLE), "expression": Labels(Y)}
CLASSES = Labels(Y, names=("a", "b", "c"))
PROBE = {"x": numbers(X), "y": Labels(Y)}
NO_ROWS: list[int] = []
SUMS = amounts(np.c_[VALUES, np.ones(N)])


def attacks(embeddings: Any, **arguments: Any) -> Any:
    attacked = metrics.identity_attacks({"E": embeddings}, **arguments)
    return {name: a.probed.predicted for name, a in attacked["E"].items()}


def drawn(x: Any, faces: Any, held: Any) -> Any:
    return metrics.fit_decoder(x, faces, held=(held, VALUES[:, None] * np.ones(4)), steps=2)(X)


TABLE: dict[str, Entry] = {
    # metrics
    "affect_scores": Entry(
        metrics.affect_scores,
        {"predicted": numbers(E), "target": numbers(X[:, :2]), "groups": Groups(PEOPLE)},
        {"draws": 20},
        ("groups",),
        single={"rmse.arousal": abs(E[0, 1] - X[0, 1]), "pcc.valence": NAN, "ccc.mean": 0.0},
    ),
    **{
        name: Entry(
            getattr(metrics, name),
            {"predicted": numbers(X[:, 0]), "target": numbers(X[:, 1])},
            single=single,
        )
        for name, single in (
            ("ccc", 0.0),
            ("pcc", ""),
            ("rmse", abs(X[0, 0] - X[0, 1])),
            ("sagr", float(np.sign(X[0, 0]) == np.sign(X[0, 1]))),
        )
    },
    "classification_scores": Entry(
        metrics.classification_scores,
        {"logits": numbers(X), "y": CLASSES, "groups": Groups(PEOPLE)},
        {"classes": NAMES, "draws": 20},
        ("groups",),
        single={"accuracy": 1.0, "f1.a": 1.0, "support.b": 0.0},
    ),
    "confusion_matrix": Entry(
        metrics.confusion_matrix,
        {"y": Labels(Y, same=Argument.same), "predicted": Labels(PEOPLE % 3, same=Argument.same)},
        {"n_classes": 3},
        single=[[1, 0, 0], [0, 0, 0], [0, 0, 0]],
    ),
    "effective_rank": Entry(metrics.effective_rank, {"x": numbers(X)}, single=0.0),
    "fit_decoder": Entry(
        drawn, {"x": numbers(X), "faces": numbers(X @ RNG.normal(size=(3, 4))), "held": numbers(X)}
    ),
    "beta_vae_score": Entry(metrics.beta_vae_score, FACTORS, {"votes": 100}),
    "dci_importance": Entry(metrics.dci_importance, FACTORS, {"trees": 3}),
    "dci_scores": Entry(metrics.dci_scores, {"importance": amounts(np.abs(X[:4]))}),
    "discretise": Entry(metrics.discretise, {"x": numbers(VALUES)}, single=[0]),
    "information": Entry(
        metrics.information, FACTORS, single={"mi": [[0.0] * 2] * 3, "entropies": [0.0, 0.0]}
    ),
    "mutual_information": Entry(
        metrics.mutual_information,
        {"a": Labels(Y, same=Argument.same), "b": Labels(PEOPLE, same=Argument.same)},
        single=0.0,
    ),
    "explicitness": Entry(metrics.explicitness, FACTORS),
    "factor_vae_score": Entry(metrics.factor_vae_score, FACTORS, {"votes": 100}),
    "infoe_score": Entry(metrics.infoe_score, FACTORS),
    "infomec_scores": Entry(
        metrics.infomec_scores,
        {"mi": amounts(np.abs(X[:4])), "code_entropies": amounts(VALUES[:4])},
        optional=("code_entropies",),
    ),
    "irs_score": Entry(metrics.irs_score, FACTORS),
    "mig_score": Entry(
        metrics.mig_score, {"mi": amounts(np.abs(X[:4])), "entropies": amounts(VALUES[:3])}
    ),
    "modularity_score": Entry(metrics.modularity_score, {"mi": amounts(np.abs(X[:4]))}),
    "sap_score": Entry(metrics.sap_score, FACTORS),
    "factor_scores": Entry(metrics.factor_scores, FACTORS, {"permutations": 2}),
    "group_scores": Entry(
        metrics.group_scores,
        {"correct": numbers(Y > 0), "group": CLASSES, "subjects": Groups(PEOPLE)},
        {"names": NAMES},
        ("subjects",),
        single={"a": 0.0},
    ),
    "worst_cell_score": Entry(
        metrics.worst_cell_score,
        {
            "correct": numbers(Y > 0),
            "group": CLASSES,
            "expression": Labels(Y // 2, names=("x", "y")),
            "subjects": Groups(PEOPLE),
        },
        {"names": NAMES, "classes": ["x", "y"]},
        ("subjects",),
    ),
    "cross_covariance": Entry(metrics.cross_covariance, {"x": numbers(X), "y": numbers(E)}),
    "dependence": Entry(metrics.dependence, {"x": numbers(X), "y": numbers(E)}),
    "dependence_score": Entry(
        metrics.dependence_score,
        {"x": numbers(X), "y": numbers(E), "given": Labels(Y)},
        {"draws": 3},
        ("given",),
    ),
    "conditional_information": Entry(
        metrics.conditional_information,
        {
            "x": numbers(X),
            "codes": Labels(PEOPLE % 2),
            "given": Labels(Y),
            "groups": Groups(PEOPLE),
            "clusters": Groups(PEOPLE),
        },
        optional=("groups", "clusters"),
    ),
    "label_entropy": Entry(metrics.label_entropy, {"codes": Labels(Y)}, single=0.0, empty=0.0),
    "label_information": Entry(
        metrics.label_information,
        {
            "x": numbers(X),
            "codes": Labels(Y),
            "groups": Groups(PEOPLE),
            "clusters": Groups(PEOPLE),
        },
        {"estimator": "ross", "null": 2},
        ("groups", "clusters"),
    ),
    "modified_mig": Entry(
        metrics.modified_mig,
        {
            "e_m": numbers(X[:, :2]),
            "e_n": numbers(E + X[:, :2]),
            "i_m": numbers(E),
            "groups": Groups(PEOPLE),
            "clusters": Groups(PEOPLE),
        },
        {"estimator": "gaussian", "null": 2},
        ("groups", "clusters"),
    ),
    "expression_pairs": Entry(
        metrics.expression_pairs,
        {
            "expression": Labels(Y),
            "subject": Labels(PEOPLE),
            "sequence": Labels(np.arange(N) // 2, names=tuple(f"{i:02d}" for i in range(N))),
        },
        optional=("subject", "sequence"),
        single=[NO_ROWS, NO_ROWS, NO_ROWS],
    ),
    "knn_probe": Entry(metrics.knn_probe, PROBE, {"split": SPLIT}),
    "linear_probe": Entry(metrics.linear_probe, PROBE, {"split": SPLIT}),
    "mlp_probes": Entry(
        lambda xs, ys: metrics.mlp_probes([xs], [ys], SPLIT),
        {"xs": numbers(X), "ys": Labels(Y)},
    ),
    "identity_attacks": Entry(
        attacks,
        {"embeddings": numbers(X), "subject": Labels(Y), "expression": Labels(PEOPLE % 2)},
        {"split": SPLIT},
    ),
    "subject_halves": Entry(
        metrics.subject_halves,
        WHO,
        single=[
            {"train": NO_ROWS, "validation": NO_ROWS, "test": [0]},
            {"train": [0], "validation": NO_ROWS, "test": NO_ROWS},
        ],
    ),
    "within_subject_split": Entry(
        metrics.within_subject_split,
        {**WHO, "sequence": Labels(PEOPLE)},
        optional=("sequence",),
        single=[{"train": NO_ROWS, "validation": NO_ROWS, "test": NO_ROWS}, "expression"],
    ),
    "nearest_images": Entry(
        metrics.nearest_images,
        {"x": numbers(X), "expression": Labels(Y)},
        single=[{"query": 0, "hits": [], "cosine": []}],
    ),
    "retrieval_scores": Entry(
        metrics.retrieval_scores,
        {
            "x": numbers(X),
            "target": Labels(PEOPLE),
            "groups": Groups(PEOPLE),
            "same_target_excluded": Labels(Y),
        },
        {"draws": 20},
        ("groups",),
    ),
    "roc_auc": Entry(
        metrics.roc_auc, {"genuine": amounts(VALUES + 0.2), "impostor": amounts(VALUES)}
    ),
    "verification_scores": Entry(
        metrics.verification_scores, {"x": numbers(X), **WHO}, {"draws": 20}
    ),
    # statistics
    "agreement_null": Entry(
        statistics.agreement_null,
        {"predicted": Labels(Y), "truth": Labels(PEOPLE % 3), "within": Groups(PEOPLE)},
        {"draws": 9},
        ("within",),
        single={"mean": 1.0, "p": 1.0},
    ),
    "bootstrap_draws": Entry(
        lambda sums: statistics.bootstrap_draws(sums, lambda t: t[:, 0] / t[:, 1], draws=5),
        {"sums": SUMS},
    ),
    "cluster_sums": Entry(
        statistics.cluster_sums,
        {"rows": numbers(SUMS.values), "groups": Groups(PEOPLE)},
        optional=("groups",),
        single=SUMS.values[:1].tolist(),
    ),
    "corrected_t_test": Entry(
        statistics.corrected_t_test,
        {"differences": numbers(VALUES)},
        {"test_to_train": 0.25},
        single={"t": NAN, "p": NAN},
        empty={"t": NAN, "p": NAN},
    ),
    "friedman": Entry(
        lambda ranks: statistics.friedman(ranks, 14), {"ranks": amounts([3.1, 2.0, 2.9, 2.0])}
    ),
    "delete_one": Entry(
        lambda sums: statistics.delete_one(sums, lambda t: t[:, 0] / t[:, 1]), {"sums": SUMS}
    ),
    "holm": Entry(statistics.holm, {"p_values": amounts(VALUES)}),
    "interval": Entry(
        statistics.interval, {"draws": numbers(VALUES)}, {"clusters": 9}, single=[VALUES[0]] * 2
    ),
    "jackknife_interval": Entry(
        lambda leave_one_out: statistics.jackknife_interval(0.5, leave_one_out),
        {"leave_one_out": numbers(VALUES)},
        single=[NAN, NAN],
        empty=[NAN, NAN],
    ),
    "null_of": Entry(
        lambda values: statistics.null_of(0.5, values),
        {"values": numbers(VALUES)},
        single={"p": 1},
        empty={"p": NAN, "draws": 0},
    ),
    "permutation_null": Entry(
        lambda within: statistics.permutation_null(
            lambda order: float(VALUES @ VALUES[order]), 1.0, N, draws=5, within=within
        ),
        {"within": Groups(PEOPLE, rows=False)},
        optional=("within",),
    ),
    "wilcoxon_p": Entry(
        statistics.wilcoxon_p, {"differences": numbers(VALUES[:9])}, single=1.0, empty=1.0
    ),
    # information
    "estimate_mi": Entry(
        estimate_mi,
        {"x": numbers(X), "y": numbers(E), "groups": Groups(PEOPLE), "clusters": Groups(PEOPLE)},
        {"estimator": "gaussian", "null": 2},
        ("groups", "clusters"),
    ),
    "estimate_mi of labels": Entry(
        estimate_mi,
        {"x": numbers(X), "y": Labels(Y, same=tuple({*Labels.same} - {"floats"}), broken=())},
        {"estimator": "ross", "null": 2, "discrete_y": True},
    ),
    "estimate_mi given z": Entry(
        estimate_mi,
        {
            "x": numbers(X),
            "y": numbers(E),
            "z": Labels(Y, same=tuple({*Labels.same} - {"floats"}), broken=()),
        },
        {"estimator": "gaussian", "null": 2},
        ("z",),
    ),
    "calibrate": Entry(
        calibrate,
        {"x": numbers(X), "y": numbers(E), "groups": Groups(PEOPLE)},
        {"estimator": "gaussian", "tasks": 3},
        ("groups",),
    ),
}
# Public names that take no arrays of numbers or labels: kinds of results, numbers alone, what
# takes a data frame or faces (tested below), and the front of evaluation, which reads files too
# (tests/evaluation).
ELSEWHERE = {
    "Comparison", "CrossedComparison", "Recorder", "RunScore", "compare_crossed", "evaluate",
    "Estimate", "Estimator", "EstimatorError", "FaceData", "Metric", "Null",
    "Outcome", "Recognizer", "Score", "Split", "compare", "load_dataset", "load_metrics",
    "nemenyi_critical_difference", "normalised_leak", "normalised_mig", "run", "score_run",
    "summarise",
}  # fmt: skip
ARRAY = re.compile(r"ArrayLike|\bAny\b|Floats|Ints")


def public() -> Iterator[tuple[str, Any]]:
    for package in (fer_bench, metrics, statistics, information):
        for name in package.__all__:
            yield name, getattr(package, name)
    yield "calibrate", calibrate


@pytest.mark.filterwarnings("ignore")
def test_every_public_function_has_an_entry():
    covered = {name.split()[0] for name in TABLE}
    assert {name for name, _ in public()} == covered | ELSEWHERE


def test_every_array_of_a_public_function_has_an_entry():
    for name, function in public():
        if name in ELSEWHERE:
            continue
        wanted = {
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if ARRAY.search(str(parameter.annotation))
            and parameter.kind is not parameter.VAR_KEYWORD
        }
        entries = [entry for key, entry in TABLE.items() if key.split()[0] == name]
        assert wanted - {"function"} == {array for entry in entries for array in entry.arrays}, name


# What comes of it ----------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """A result as lists, dictionaries and numbers."""
    if isinstance(value, Score):
        names = ("value", "low", "high", "null", "p", "n")
        return {name: getattr(value, name) for name in names} | {
            "why": list(map(str, value.cautions))
        }
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def numbers_in(value: Any) -> list[float]:
    if isinstance(value, Mapping):
        return [number for item in value.values() for number in numbers_in(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers_in(item)]
    return [float(value)] if isinstance(value, int | float) else []


def agrees(value: Any, expected: Any) -> bool:
    """Whether a result holds what is expected: all keys of a mapping, equal numbers."""
    if isinstance(expected, Mapping):
        return all(agrees(value[key], item) for key, item in expected.items())
    if isinstance(value, Mapping) and "why" in value:
        value = value["value"]
    if isinstance(expected, list):
        return len(value) == len(expected) and all(map(agrees, value, expected))
    if isinstance(expected, float | int):
        return value == pytest.approx(expected, rel=1e-6, abs=1e-9, nan_ok=True)
    return bool(value == expected)


def outcome(entry: Entry, **changed: Any) -> Any:
    """The result, or None where the function said in a sentence why there is none."""
    try:
        return entry(**changed)
    except FerBenchError as error:
        message = str(error)
        assert "\n" not in message
        assert not re.search(r"[.!?] [A-Z]", message), message
        assert message[-1] in ".?", message
        assert len(message) < 400, message
        return None


def undefined(entry: Entry, value: Any) -> bool:
    """Whether a result says that there is none: NaN with a reason, or as the docstring has it."""
    if isinstance(value, Mapping) and "why" in value:
        return bool(np.isnan(value["value"]) and value["why"])
    if isinstance(value, Mapping):
        return all(undefined(entry, item) for item in value.values())
    told = "NaN" in inspect.getdoc(entry.call or "")
    return told and all(map(np.isnan, numbers_in(value)))


@functools.wraps(mlp_probes)
def few_steps(*arguments: Any, **options: Any) -> Any:
    return mlp_probes(*arguments, **options | {"steps": 2})


@pytest.fixture(autouse=True)
def short_training(monkeypatch):
    monkeypatch.setattr("fer_bench.metrics.mi.LABEL_OPTIONS", {"steps": 2, "null": 0})
    monkeypatch.setattr("fer_bench.metrics.attacks.CONTROLS", 1)
    monkeypatch.setattr("fer_bench.metrics.network_probe.mlp_probes", few_steps)


CLEAN: dict[str, Any] = {}


def clean(name: str) -> Any:
    """What the clean arrays give, computed once."""
    if name not in CLEAN:
        CLEAN[name] = TABLE[name]()
    return CLEAN[name]


@pytest.mark.parametrize("name", TABLE)
def test_the_container_does_not_change_the_value(name):
    entry = TABLE[name]
    for kind, changed in SAME.items():
        arrays = {array: changed(a) for array, a in entry.arrays.items() if kind in a.same}
        if arrays:
            assert agrees(outcome(entry, **arrays), clean(name)), kind


@pytest.mark.parametrize("name", TABLE)
def test_what_cannot_be_read_gets_a_sentence(name):
    entry = TABLE[name]
    for array, argument in entry.arrays.items():
        for kind in argument.broken:
            value = outcome(entry, **{array: BROKEN[kind](argument)})
            if kind == "None" and array in entry.optional:
                assert value is not None, array
            elif kind == "empty" and entry.empty != "":
                assert agrees(value, entry.empty), array
            else:
                none = value is None or (kind == "empty" and undefined(entry, value))
                assert none, (array, kind, value)


@pytest.mark.parametrize("name", TABLE)
def test_a_gap_is_refused_or_left_out(name):
    entry = TABLE[name]
    for array, argument in entry.arrays.items():
        for kind in argument.gaps:
            value = outcome(entry, **{array: GAPS[kind](argument)})
            if value is not None:
                assert agrees(value, without_gap(name, array)), (array, kind)
            else:
                assert not isinstance(argument, Groups), "a person without a name is no fault"


def without_gap(name: str, array: str) -> Any:
    """What a function gives where the gap in one of its arrays is treated rightly."""
    entry = TABLE[name]
    argument = entry.arrays[array]
    if isinstance(argument, Labels):  # somebody else, or no label
        code = 99 if isinstance(argument, Groups) else -1
        return entry(**{array: _with(argument.values, code)})
    if name == "affect_scores":  # one of the two dimensions is missing, the other is as it was
        return {key: score for key, score in clean(name).items() if key.endswith("arousal")}
    rest = entry(**{key: np.delete(a.values, GAP, axis=0) for key, a in entry.arrays.items()})
    return [*rest[:GAP], NAN, *rest[GAP:]] if name == "holm" else rest


@pytest.mark.parametrize("name", TABLE)
def test_one_row_gives_what_is_known_of_it(name):
    entry = TABLE[name]
    single = {array: a.values[:1] for array, a in entry.arrays.items() if a.rows}
    if not single:
        return
    value = outcome(entry, **single)
    if entry.single == "":
        assert value is None or undefined(entry, value), value
    else:
        assert agrees(value, entry.single), value


@pytest.mark.parametrize("name", TABLE)
def test_another_length_is_refused(name):
    entry = TABLE[name]
    paired = [array for array, argument in entry.arrays.items() if argument.rows]
    for array in paired if len(paired) > 1 else ():
        assert outcome(entry, **{array: entry.arrays[array].values[:-1]}) is None, array


# Frames, faces and splits --------------------------------------------------------------------

RUNS = pd.DataFrame(
    {
        "method": ["a", "b"] * 6,
        "metric": "accuracy",
        "seed": 0,
        "fold": np.arange(12) // 2,
        "value": VALUES[:12],
    }
)


@pytest.mark.parametrize(
    "call", [statistics.summarise, lambda frame: statistics.compare(frame, "accuracy")]
)
@pytest.mark.parametrize(
    "frame",
    [
        None,
        [],
        RUNS.to_numpy(),
        RUNS.drop(columns="fold"),
        RUNS.assign(value="good"),
        RUNS.assign(value=1j),
        pd.concat([RUNS, RUNS]),
    ],
    ids=["None", "list", "array", "no column", "text", "complex", "twice"],
)
def test_frames_that_cannot_be_read_get_a_sentence(call, frame):
    with pytest.raises(FerBenchError):
        call(frame)


def test_a_run_without_a_value_is_counted_as_missing():
    table = statistics.summarise(RUNS.assign(value=_with(VALUES[:12], np.nan)))
    assert table["missing"].tolist() == [0, 1]
    assert table["runs"].tolist() == [6, 5]


@pytest.mark.parametrize(
    ("images", "table"),
    [
        (None, RUNS),
        (np.zeros((12, 4, 4, 1)), RUNS),
        (np.zeros((11, 4, 4, 1), np.uint8), RUNS),
        (np.zeros((12, 4, 4), np.uint8), RUNS),
        (np.zeros((12, 4, 4, 1), np.uint8), None),
        (np.ma.array(np.zeros((12, 4, 4, 1), np.uint8), mask=True), RUNS),
    ],
)
def test_faces_that_cannot_be_read_get_a_sentence(images, table):
    with pytest.raises(FerBenchError):
        FaceData(images, table)


def test_faces_are_read_from_any_container():
    pixels = RNG.integers(0, 256, (12, 4, 4, 1), dtype=np.uint8)
    table = pd.DataFrame({"expression": ["anger"] * 12})
    for images in (pixels.tolist(), torch.tensor(pixels), np.asfortranarray(pixels)):
        if isinstance(images, list):
            with pytest.raises(FerBenchError, match="uint8"):
                FaceData(images, table)
        else:
            assert np.array_equal(FaceData(images, table).images, pixels)


@pytest.mark.parametrize("rows", [[-1], [0.5], ["a"], [np.nan], 3, None, [3]])
def test_rows_of_a_split_are_row_numbers_and_in_one_set_only(rows):
    with pytest.raises(FerBenchError):
        metrics.Split(rows, np.array([], dtype=int), [3])


@pytest.mark.parametrize("probe", [metrics.linear_probe, metrics.knn_probe])
def test_rows_of_a_split_exist_and_have_a_label(probe):
    with pytest.raises(FerBenchError, match="row 70"):
        probe(X, Y, metrics.Split([0, 1], [], [70]))
    with pytest.raises(FerBenchError, match="no label in row 1"):
        probe(X, np.r_[0, -1, Y[2:]], metrics.Split([0, 1], [], [5]))
    with pytest.raises(FerBenchError, match="no rows to fit"):
        probe(X, Y, metrics.Split([], [], [5]))
