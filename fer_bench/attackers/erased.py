"""Erased rows: a finished run with identity taken out of its E, and a head fitted anew.

The eraser "scores" keeps the directions that the encoder's own head reads, and with them that head.

In an experiment::

    [[methods]]
    name = "erm"

    [[methods]]
    name = "erased"
    of = "erm"
    parameters = { eraser = "leace", rank = 16 }

The encoder is not trained again: eraser and head are fitted on the training people's embeddings
that the run `of` has saved, so that both rows share seed, fold and encoder, and are paired.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from fer_bench.arrays import PartArrays, RunArrays
from fer_bench.cautions import Caution
from fer_bench.errors import DataError
from fer_bench.method import MethodInfo
from fer_bench.metrics.common import Floats
from fer_bench.metrics.probes import SHRINKAGES, Discriminant
from fer_bench.registry import ERASED

LEAST_LOGIT = -1e6  # of classes that no training face has
Eraser = Literal["mean", "leace", "inlp", "k-same", "scores"]
TITLES = {
    "mean": "mean projection",
    "leace": "LEACE",
    "inlp": "INLP",
    "k-same": "k-Same",
    "scores": "class scores only",
}


class Erased:
    """What an experiment knows of erased rows: their facts and parameters."""

    info: ClassVar[MethodInfo] = MethodInfo(
        name=ERASED,
        title="erased",
        paper="Belrose et al., NeurIPS 2023 (LEACE); Ravfogel et al., ACL 2020 (INLP); "
        "Newton et al., IEEE TKDE 2005 (k-Same)",
        role="reference",
        needs=frozenset({"subjects"}),
    )

    class Config(BaseModel):
        """Parameters of an erased row.

        Attributes:
            eraser: see `fer_bench.attackers.erase`. "scores" keeps what the encoder's head reads of
                E, classes - 1 directions, and no more: the line to beat for accuracy alone.
            rank: directions that go (people that are averaged over, for "k-same"); None erases
                all that the eraser can. "scores" has none.
            oracle: fit the eraser on the test people: the end of the scale, no method.
        """

        model_config = ConfigDict(extra="forbid", frozen=True)

        eraser: Eraser = "leace"
        rank: int | None = Field(default=None, ge=1)
        oracle: bool = False

        @model_validator(mode="after")
        def _has_a_rank(self) -> Self:
            if self.eraser == "scores" and self.rank is not None:
                raise ValueError("the eraser 'scores' has no rank: take it out")
            return self


@dataclass(frozen=True)
class ErasedRun:
    """An erased run, ready to be saved.

    Attributes:
        parts: with erased E and the new head's predictions; there is no I.
        state: arrays of eraser and head.
        info: facts for the report.
        cautions: what a reader must know.
    """

    parts: tuple[PartArrays, ...]
    state: Mapping[str, NDArray[Any]]
    info: MethodInfo
    cautions: tuple[Caution, ...]


def row_title(of: str, parameters: Mapping[str, Any]) -> str:
    """The label of an erased row.

    >>> row_title("ERM", {"eraser": "leace", "rank": 8})
    'ERM + LEACE (8)'
    """
    config = Erased.Config.model_validate(parameters)
    strength = "" if config.rank is None else f" ({config.rank})"
    oracle = ", fitted on test people" if config.oracle else ""
    return f"{of} + {TITLES[config.eraser]}{strength}{oracle}"


def erase_run(run: RunArrays, parameters: Mapping[str, Any]) -> ErasedRun:
    """Take identity out of a finished run; its head is fitted anew on the training people.

    Args:
        run: of the encoder, with subjects in its train part.
        parameters: of `Erased.Config`.

    Raises:
        DataError: the train part has no subjects or no expressions, or the eraser refuses.
    """
    config = Erased.Config.model_validate(parameters)
    fitted = run.test if config.oracle else run.parts["train"]
    if not fitted.has_subjects:
        raise DataError(f"the {fitted.name} part has no subjects: an eraser needs them.")
    from fer_bench.attackers.erase import fit_eraser  # scikit-learn: who plans does without

    eraser = fit_eraser(config.eraser, config.rank, fitted.expression, fitted.s, fitted.logits)
    embedded = {name: eraser.transform(part.expression) for name, part in run.parts.items()}
    head: _Head | _OwnHead
    if config.eraser == "scores":
        head = _OwnHead.of(embedded["train"], run.parts["train"].logits)
    else:
        head = _fit_head(run, embedded)
    parts = tuple(
        replace(
            part,
            expression=embedded[name].astype(np.float32),
            identity=None,
            logits=head.logits(embedded[name]),
            valence_arousal=None,
        )
        for name, part in run.parts.items()
    )
    said: tuple[Caution, ...] = ()
    if config.eraser == "scores":
        said = (Caution("class-scores-only", classes=len(run.classes)),)
    elif not eraser.guarantee:
        said = (Caution("eraser-without-guarantee", eraser=config.eraser),)
    info = replace(Erased.info, role="oracle") if config.oracle else Erased.info
    arrays = {k: np.asarray(v) for k, v in vars(eraser).items() if k.endswith("_")}
    state = {f"eraser.{name}": array for name, array in arrays.items()} | head.state()
    return ErasedRun(parts, state, info, said)


class _Head(Discriminant):
    """Linear discriminant analysis with the shrinkage that serves best on validation people."""

    shrinkage = 0.2

    def logits(self, x: Floats) -> NDArray[np.float32]:
        """[n, classes] of rows [n, d]."""
        out = np.clip(self.decision(x, self.shrinkage), LEAST_LOGIT, None)
        return np.asarray(out, dtype=np.float32)

    def state(self) -> dict[str, NDArray[Any]]:
        """Weights [d, classes] and bias of the affine map it is."""
        columns = self._like.shape[1]
        bias = self.logits(np.zeros((1, columns)))
        return {"head.weight": self.logits(np.eye(columns)) - bias, "head.bias": bias}


@dataclass(frozen=True)
class _OwnHead:
    """The encoder's own head, read from the directions that are kept of what it read.

    Attributes:
        weight, bias: [d, classes] and [1, classes] of the affine map, by least squares.
    """

    weight: Floats
    bias: Floats

    @classmethod
    def of(cls, x: Floats, logits: NDArray[Any] | None) -> _OwnHead:
        from fer_bench.attackers.erase import READ  # scikit-learn: who plans does without

        assert logits is not None  # else the eraser refused
        scores = logits - logits.mean(axis=1, keepdims=True, dtype=np.float64)
        mean = x.mean(axis=0)
        weight = np.linalg.lstsq(x - mean, scores - scores.mean(axis=0), rcond=READ)[0]
        return cls(weight, scores.mean(axis=0) - mean[None] @ weight)

    def logits(self, x: Floats) -> NDArray[np.float32]:
        """[n, classes] of rows [n, d]."""
        return np.asarray(x @ self.weight + self.bias, dtype=np.float32)

    def state(self) -> dict[str, NDArray[Any]]:
        """Weights and bias."""
        return {
            "head.weight": self.weight.astype(np.float32),
            "head.bias": self.bias.astype(np.float32),
        }


def _fit_head(run: RunArrays, embedded: Mapping[str, Floats]) -> _Head:
    train, validation = run.parts["train"], run.parts.get("validation")
    known = train.y >= 0
    if len(np.unique(train.y[known])) < 2:
        raise DataError(
            "the train part has no two expressions: an erased row needs them for its head."
        )
    head = _Head(embedded["train"][known], train.y[known], len(run.classes))
    if validation is not None and (validation.y >= 0).any():
        rows, truth = embedded["validation"][validation.y >= 0], validation.y[validation.y >= 0]
        right = [float(np.mean(head.predict(rows, a) == truth)) for a in SHRINKAGES]
        head.shrinkage = SHRINKAGES[int(np.argmax(right))]
    return head
