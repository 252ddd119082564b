"""One measured number with everything that makes it honest, and what a metric declares of it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fer_bench.cautions import Caution, as_cautions


@dataclass(frozen=True, slots=True)
class Effects:
    """How much a score depends on each person it was measured on.

    Saved beside the scores, so that two methods can be compared person by person.

    Attributes:
        people: [G] codes of the people; codes of faces where there are no people.
        changes: [G] the score less its value without that person (delete-one jackknife).
        faces: [G] how many faces each stands for.
    """

    people: NDArray[np.int64]
    changes: NDArray[np.float64]
    faces: NDArray[np.float64]

    def scaled(self, factor: float) -> Effects:
        """The effects on a multiple of the score."""
        return replace(self, changes=self.changes * factor)

    def to_arrays(self, key: str) -> dict[str, NDArray[Any]]:
        """The arrays that a run keeps of them, named after the score."""
        return {f"effects:{key}:{name}": getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], key: str) -> Effects | None:
        """Inverse of `to_arrays`; None where the score has no effects."""
        kept = {name: arrays.get(f"effects:{key}:{name}") for name in cls.__slots__}
        if any(array is None for array in kept.values()):
            return None
        return cls(**kept)  # type: ignore[arg-type]  # none of them is None


@dataclass(frozen=True, slots=True)
class Score:
    """A measured value, its uncertainty, and what it would be without any effect.

    Attributes:
        value: the estimate, in `unit`; NaN only together with a caution that says why.
        low, high: bounds of the 95 % interval (bootstrap over subjects where there are any).
        null: the value under a permutation null (its mean), or None if none was run.
        p: one-sided permutation p-value against that null.
        n: number of samples the value was computed on (never those it was fitted on).
        unit: "nats", "bits", "fraction", "" for a bare number, ...
        cautions: what a reader must know, such as `Caution("saturated", ceiling=3.47)`;
            sentences are taken as uncoded ones.
        details: JSON-able extras: curves, matrices, estimator, null interval, calibration.
        effects: of each person, where the score has them; kept in a file of arrays.

    >>> score = Score(0.82, 0.79, 0.85, n=400, unit="fraction")
    >>> str(score)
    '0.820 [0.790, 0.850]'
    """

    value: float
    low: float | None = None
    high: float | None = None
    null: float | None = None
    p: float | None = None
    n: int = 0
    unit: str = ""
    cautions: tuple[Caution, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    effects: Effects | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cautions", as_cautions(self.cautions))

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def __float__(self) -> float:
        return self.value

    @property
    def warnings(self) -> tuple[str, ...]:
        """The cautions in words."""
        return tuple(map(str, self.cautions))

    def with_caution(self, *cautions: Caution | str) -> Score:
        """Return a copy that carries further cautions (each at most once)."""
        return replace(self, cautions=as_cautions((*self.cautions, *cautions)))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; NaN and infinities become None."""
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "effects"}
        return _finite(fields | {"cautions": [c.to_json() for c in self.cautions]})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Score:
        """Inverse of `to_json` (a missing value comes back as NaN)."""
        fields = dict(data)
        fields["value"] = math.nan if fields.get("value") is None else float(fields["value"])
        said = fields.pop("warnings", ())  # the sentences of results before cautions had codes
        fields["cautions"] = tuple(map(Caution.from_json, fields.get("cautions", said)))
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one metric on one run: scores, a reason it was skipped, or a failure.

    `arrays` are what a metric draws; they are kept in a file of their own.
    """

    version: int
    scores: Mapping[str, Score] = field(default_factory=dict)
    skipped: str | None = None
    failed: str | None = None
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; without the arrays."""
        return {
            "version": self.version,
            "scores": {key: score.to_json() for key, score in self.scores.items()},
            "skipped": self.skipped,
            "failed": self.failed,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        """Inverse of `to_json`."""
        scores = {key: Score.from_json(value) for key, value in data["scores"].items()}
        return cls(data["version"], scores, data.get("skipped"), data.get("failed"))


Direction = Literal["high", "low", ""]
Aspect = Literal["recognition", "affect", "leak", "separation", ""]
Style = Literal["percent", "ratio", "nats", "count"]
_STYLES: dict[str, Style] = {
    "fraction": "percent",
    "nats": "nats",
    "count": "count",
    "images": "count",
}


@dataclass(frozen=True, slots=True)
class ScoreSpec:
    """What one key of a metric is called, which way is better, and what it means.

    The leaderboard iterates over these, on the page, in tables and in LaTeX; `fer-bench list
    metrics` names them. A column's key is typed once, where it is measured.

    Attributes:
        key: as the metric returns it, such as "test.accuracy"; `<name>` stands for any words, as
            in "test.recall.<class>".
        title: in the head of a table.
        meaning: one sentence for a reader who has never seen it.
        unit: of the value: "fraction", "nats", "count", "images", or "" for a number that is
            printed as it is, such as an AUC.
        better: which way is better; "" where neither is (a target of zero, or a fact).
        range: what the value can be.
        needs: what a run must have, beyond what the metric needs.
        column: "main" stands in the short leaderboard, "more" in the full one, "" in neither.
        order: of the columns; smaller is further left.
        headline: what the best method is said to do best; "" keeps it out of the summary.
        null: what the value without any effect is called beside the number; "" leaves it out.
        aspect: what it decides on the page: the first by `order` that the results have of every
            aspect stands in the headline, the trade-off and the leaderboard.
        tables: further tables and sections that show it, such as "mig" or "probes".
        published: what numbers of it in papers are filed under, such as "accuracy".

    >>> ScoreSpec("E.rank", "Rank of E", "Effective rank of E.", unit="").style
    'ratio'
    """

    key: str
    title: str
    meaning: str
    unit: str = "fraction"
    better: Direction = ""
    range: tuple[float, float] = (-math.inf, math.inf)
    needs: frozenset[str] = frozenset()
    column: Literal["main", "more", ""] = ""
    order: int = 100
    headline: str = ""
    null: str = ""
    aspect: Aspect = ""
    tables: tuple[str, ...] = ()
    published: str = ""

    @property
    def style(self) -> Style:
        """How the value is printed: fractions in percent, bare numbers with three digits."""
        return _STYLES.get(self.unit, "ratio")

    def matches(self, key: str) -> bool:
        """Whether a key of the metric is this one.

        >>> ScoreSpec("recall.<class>", "Recall", "Share found.").matches("recall.anger")
        True
        """
        return self.words(key) is not None

    def words(self, key: str) -> dict[str, str] | None:
        """What the placeholders stand for in a key of the metric, or None where it is no match.

        >>> ScoreSpec("<space>.rank", "Rank", "Effective rank.").words("E.rank")
        {'space': 'E'}
        """
        pattern = re.sub(r"<(\w+)>", r"(?P<\1>.+?)", re.sub(r"([^\w<>])", r"\\\1", self.key))
        match = re.fullmatch(pattern, key)
        return None if match is None else match.groupdict()


def on_every_part(specs: Iterable[ScoreSpec]) -> tuple[ScoreSpec, ...]:
    """Specs of scores of the test part, followed by those of the same scores on other parts.

    The others stand in no table: training rows are fitted, further test sets have a metric of
    their own ("transfer").

    >>> [s.key for s in on_every_part([ScoreSpec("test.rmse", "RMSE", "Error.", column="main")])]
    ['test.rmse', '<part>.rmse']
    """
    own = tuple(specs)
    others = (
        ScoreSpec(
            f"<part>.{spec.key.removeprefix('test.')}",
            spec.title,
            spec.meaning,
            spec.unit,
            spec.better,
            spec.range,
        )
        for spec in own
        if spec.key.startswith("test.")
    )
    return (*own, *others)


def _finite(value: Any) -> Any:
    """Replace non-finite floats by None and containers by plain ones, recursively."""
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    if hasattr(value, "tolist"):  # numpy arrays and scalars, torch tensors
        return _finite(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
