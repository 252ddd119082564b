"""The contract of a metric, and the one function that scores a run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fer_bench import registry
from fer_bench.arrays import RunArrays
from fer_bench.errors import FerBenchError
from fer_bench.score import Outcome, Score, ScoreSpec
from fer_bench.threads import RUN_THREADS, limited_threads

RunRequirement = Literal[
    "logits",
    "identity",
    "subjects",
    "valence_arousal",
    "factors",
    "attributes",
    "extra_tests",
    "faces",
    "size",
]


class Scores(dict[str, Score]):
    """What a metric returns that also draws: scores by key, with arrays to keep beside them.

    >>> scores = Scores({"n": Score(3)}, arrays={"drawn": [[0, 1]]})
    >>> list(scores), list(scores.arrays)
    (['n'], ['drawn'])
    """

    def __init__(self, scores: Mapping[str, Score], *, arrays: Mapping[str, NDArray[Any]]) -> None:
        super().__init__(scores)
        self.arrays = dict(arrays)


@runtime_checkable
class Metric(Protocol):
    """Anything with these attributes that can be called on a run.

    Attributes:
        name: registered name, such as "leakage".
        version: raised whenever the values change, so that old scores are computed again.
        needs: what the run must have; it is skipped with that reason otherwise.
        default: whether it runs when an experiment names no metrics.
        scores: what its keys mean, and which of them are columns of a leaderboard.
    """

    name: str
    version: int
    needs: frozenset[RunRequirement]
    default: bool
    scores: Sequence[ScoreSpec]

    def __call__(self, run: RunArrays, *, seed: int = 0) -> Mapping[str, Score]:
        """Score one run: short key -> Score, such as {"E.identity.linear": ...}.

        A metric that has arrays to keep with the run (pictures) returns `Scores`.
        """
        ...


_REASONS: dict[str, str] = {
    "logits": "the method predicts no classes",
    "identity": "the method has no identity embedding",
    "subjects": "the test part has no subject labels",
    "valence_arousal": "there are no valence-arousal labels and predictions",
    "factors": "the data have no exact factors (only generated faces do)",
    "attributes": "the data have no attribute columns",
    "extra_tests": "the experiment names no further test sets",
    "size": "the size was not measured: these results were trained by an earlier version",
    "faces": "no small copies of the faces are kept with the results",
}


def missing(metric: Metric, run: RunArrays) -> str | None:
    """The reason why a run cannot give what a metric needs, or None."""
    test = run.test
    have = {
        "logits": test.logits is not None,
        "identity": test.identity is not None,
        "subjects": test.has_subjects,
        "valence_arousal": test.valence_arousal is not None
        and bool((test.target == test.target).any()),
        "factors": bool(test.factor_names()),
        "attributes": bool(test.attribute_names()),
        "size": bool(run.facts.get("size")),
        "extra_tests": any(name.startswith("test:") for name in run.parts),
        # Read from disk only for a metric that looks at them.
        "faces": "faces" in metric.needs and run.faces is not None,
    }
    return next((_REASONS[need] for need in sorted(metric.needs) if not have[need]), None)


def load_metrics(names: Sequence[str] | None = None) -> dict[str, Metric]:
    """Metrics by name; by default all registered ones that are marked `default`."""
    if names is not None:
        return {name: registry.metrics.get(name) for name in names}
    metrics = {name: registry.metrics.get(name) for name in registry.metrics.names()}
    return {name: metric for name, metric in metrics.items() if metric.default}


def metric_names(
    names: Sequence[str] | None, *, attackers: Literal["default", "all"] = "default"
) -> tuple[str, ...] | None:
    """Metrics to run: those named, or all default ones (None).

    "all" adds trained attackers, the photo link and the line that an eraser draws.

    >>> metric_names(["leakage"], attackers="all")
    ('leakage', 'attackers-all', 'photo-link', 'frontier')
    """
    if attackers == "default":
        return None if names is None else tuple(names)
    chosen = load_metrics() if names is None else names
    return tuple(dict.fromkeys((*chosen, "attackers-all", "photo-link", "frontier")))


def score_specs() -> dict[str, ScoreSpec]:
    """What every registered metric declares, by "<metric>/<score key>".

    A metric that cannot be imported declares nothing; `fer-bench list metrics` says why.
    """
    out = {}
    for name in registry.metrics.names():
        try:
            declared = getattr(registry.metrics.get(name), "scores", ())
        except FerBenchError:
            continue
        for spec in declared:
            out[f"{name}/{spec.key}"] = replace(spec, key=f"{name}/{spec.key}")
    return out


def score_run(
    run: RunArrays,
    metrics: Mapping[str, Metric],
    *,
    seed: int = 0,
    on_metric: Callable[[int, int, str], None] = lambda number, total, name: None,
) -> dict[str, Outcome]:
    """Score one run with several metrics; a failing metric costs its own numbers only.

    Args:
        run: the arrays.
        metrics: by name.
        seed: of bootstrap, permutations and probes.
        on_metric: told (number, in all, name) before each metric.
    """
    outcomes = {}
    for number, (name, metric) in enumerate(metrics.items(), 1):
        on_metric(number, len(metrics), name)
        reason = missing(metric, run)
        if reason is not None:
            outcomes[name] = Outcome(metric.version, skipped=reason)
            continue
        try:
            scores = metric(run, seed=seed)
            arrays = dict(scores.arrays) if isinstance(scores, Scores) else {}
            arrays |= _effect_arrays(metric, scores, run)
            outcomes[name] = Outcome(metric.version, scores=dict(scores), arrays=arrays)
        except Exception as error:  # a third party's metric may raise anything
            outcomes[name] = Outcome(metric.version, failed=f"{type(error).__name__}: {error}")
    return outcomes


def _effect_arrays(
    metric: Metric, scores: Mapping[str, Score], run: RunArrays
) -> dict[str, NDArray[Any]]:
    """What each test person changes in the scores that tables compare, to be kept with the run."""
    out: dict[str, NDArray[Any]] = {}
    columns = {spec.key for spec in getattr(metric, "scores", ()) if spec.column}
    for key, score in scores.items():
        if key in columns and score.effects is not None:
            people = score.effects.people
            named = run.test.groups is not None and people.max() < len(run.test.subjects)
            names = [run.test.subjects[i] if named else f"{run.fold}:{i}" for i in people]
            ids = np.array([person_id(name) for name in names])
            out |= replace(score.effects, people=ids).to_arrays(key)
    return out


def person_id(name: str) -> int:
    """The number by which the effects of a person are kept; it is the same in every run."""
    digest = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(digest[:8], "little", signed=True)


@dataclass(frozen=True)
class FunctionMetric:
    """A metric made of a function; see `metric`."""

    function: Callable[..., Mapping[str, Score]]
    name: str
    version: int
    needs: frozenset[RunRequirement]
    default: bool
    scores: tuple[ScoreSpec, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "__doc__", self.function.__doc__)

    def __call__(self, run: RunArrays, *, seed: int = 0) -> Mapping[str, Score]:
        """Score one run, with as many threads as a run trains with: the work is small."""
        with limited_threads(RUN_THREADS):
            return self.function(run, seed=seed)


def metric(
    name: str,
    *,
    version: int = 1,
    needs: Iterable[RunRequirement] = (),
    default: bool = True,
    scores: Iterable[ScoreSpec] = (),
) -> Callable[[Callable[..., Mapping[str, Score]]], FunctionMetric]:
    """Make a metric of a function `(run, *, seed) -> {key: Score}`.

    >>> @metric("size")
    ... def size(run, *, seed=0):
    ...     return {"n": Score(len(run.test), n=len(run.test))}
    >>> size.name, isinstance(size, Metric)
    ('size', True)
    """

    def wrap(function: Callable[..., Mapping[str, Score]]) -> FunctionMetric:
        return FunctionMetric(function, name, version, frozenset(needs), default, tuple(scores))

    return wrap
