"""`fer_bench.evaluate`: embeddings of any model, from files or Python, to scores and a page."""

from __future__ import annotations

import html
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from fer_bench.errors import DataError, RunError
from fer_bench.evaluation.classes import given_classes
from fer_bench.evaluation.files import read_contents
from fer_bench.evaluation.folder import Planned, plan, write_results
from fer_bench.evaluation.matching import gather
from fer_bench.evaluation.meanings import Contents, parse_mapping, understand
from fer_bench.evaluation.people import FRAMES, read_people, with_people
from fer_bench.evaluation.recorder import as_array
from fer_bench.runs.store import RunStore

SHOWN: Mapping[str, str] = {
    "classification/test.accuracy": "accuracy, % (chance)",
    "affect/test.ccc.mean": "CCC",
    "leakage/E.identity.strongest": "person from E, % (chance)",
    "leakage/E.identity.normalised": "identity leak, % (0: guessing, 100: the reference)",
    "leakage/E.identity.excess": "above what labels tell, %",
    "leakage/E.identity.auc": "same person from E, AUC % (chance)",
    "attackers/E.identity.eer": "same person, strongest attacker, EER % (permuted)",
    "leakage/E.expression.strongest": "expression from E, % (chance)",
    "leakage/I.identity.strongest": "person from I, % (chance)",
    "leakage/I.expression.strongest": "expression from I, % (chance)",
    "mig/normalised": "MIG, normalised (null)",
}
_NUMBERS = ("value", "low", "high", "null", "p", "n", "unit")
_COLUMNS = ["model", "score", *_NUMBERS, "seed", "fold"]


@dataclass(frozen=True)
class Options:
    """How files are read and people divided; see `evaluate`."""

    classes: Sequence[str] | None = None
    trained_on: str | Sequence[str] | None = None
    frames: int = FRAMES
    folds: int = 1
    by_position: bool = False
    images: str | Path | None = None
    seed: int = 0
    map: Sequence[str] = ()
    references: Sequence[str] = ()

    @property
    def people(self) -> frozenset[str] | None:
        """People the encoder was trained on; None where that is unknown."""
        if self.trained_on is None:
            return None
        if isinstance(self.trained_on, (str, Path)):
            return read_people(str(self.trained_on))
        return frozenset(map(str, self.trained_on))


def plan_files(
    files: Sequence[str], labels: str | Path | None = None, options: Options | None = None
) -> Planned:
    """Read, match and check files; nothing is written and nothing long is done.

    Args:
        files: "FILE" or "NAME=FILE", one a model; files of one name are seeds of one model.
        labels: a table for all of them.
        options: see `Options`.

    Raises:
        DataError: see `fer_bench.evaluation.files`, `.matching` and `.people`.
    """
    options = options or Options()
    mapping = parse_mapping(options.map)
    named = [_named(text) for text in files]
    read = [(name, read_contents(path, mapping)) for name, path in named]
    table = read_contents(labels, mapping) if labels is not None else None
    used = set().union(*(c.used for _, c in read), table.used if table else set())
    for theirs in mapping:
        if theirs not in used and not theirs.startswith("\0"):
            there = ", ".join(str(c.file) for _, c in read)
            raise DataError(f"--map: no array or column is named {theirs!r} in {there}.")
    name = Path(labels).stem if labels is not None else read[0][1].file.stem
    return _planned(read, table, name, options)


def _named(text: str) -> tuple[str, Path]:
    """Name and path of "NAME=FILE", or of "FILE", which is named by its stem."""
    name, equals, path = text.partition("=")
    if equals and name and not Path(text).exists():
        return name.strip(), Path(path)
    return Path(text).stem, Path(text)


def _planned(
    read: Sequence[tuple[str, Contents]], table: Contents | None, name: str, options: Options
) -> Planned:
    classes = given_classes(list(options.classes)) if options.classes else None
    gathered = gather(read, table, classes=classes, by_position=options.by_position)
    gathered = with_people(gathered, frames=options.frames)
    images = Path(options.images).expanduser() if options.images is not None else None
    return plan(
        gathered,
        name=name,
        images=images,
        trained_on=options.people,
        folds=options.folds,
        seed=options.seed,
        references=options.references,
    )


@dataclass
class Evaluation:
    """What came of an evaluation: scores as a data frame, and a result folder to keep.

    Attributes:
        root: the result folder; temporary until `save`.
        said: what was understood of the arrays, in words.
    """

    root: Path
    said: list[str] = field(default_factory=list)
    _temporary: Any = field(default=None, repr=False)

    @property
    def store(self) -> RunStore:
        """The runs, as of any sweep."""
        return RunStore(self.root)

    @property
    def scores(self) -> pd.DataFrame:
        """One row a score: model, score, value, low, high, null, p, n, unit, seed, fold."""
        lines = [
            {
                "model": record.spec.label,
                "score": f"{metric}/{key}",
                **{name: getattr(score, name) for name in _NUMBERS},
                "seed": record.spec.seed,
                "fold": record.spec.fold,
            }
            for record in self.store.records()
            for metric, outcome in record.outcomes().items()
            for key, score in outcome.scores.items()
        ]
        return pd.DataFrame(lines, columns=_COLUMNS)

    @property
    def summary(self) -> Any:
        """Means and intervals over seeds and folds; see `fer_bench.reports.summary.Summary`."""
        from fer_bench.reports.summary import summarise

        return summarise(self.store)

    @property
    def cautions(self) -> list[str]:
        """What a reader of the numbers must know, gravest first."""
        return [remark.text for remark in self.summary.cautions if remark.level != "note"]

    def table(self) -> str:
        """Recognition and leakage with 95 % intervals and chance, one line a model, in Markdown."""
        titles, rows = self._cells()
        lines = ["| Model | " + " | ".join(titles) + " |", "|---" + "|---:" * len(titles) + "|"]
        return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        summary = self.summary
        shown = {k: t for k, t in SHOWN.items() if any(k in row.scores for row in summary.rows)}
        rows = [[row.label, *(_cell(row.scores.get(key)) for key in shown)] for row in summary.rows]
        return list(shown.values()), rows

    def save(self, folder: str | Path, *, faces: str | None = None, maps: str = "both") -> Path:
        """Copy the result folder to a new place and write its page.

        Args:
            folder: new.
            faces, maps: see `fer_bench.reports.page.write_report`.

        Returns:
            The path of the page.

        Raises:
            RunError: the folder is there already.
        """
        from fer_bench.reports.page import write_report

        target = Path(folder)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise RunError(f"{str(target)!r} is there already: name a new folder.")
        shutil.copytree(self.root, target, dirs_exist_ok=True)
        return write_report(target, faces=faces, maps=maps)  # type: ignore[arg-type]

    def _repr_html_(self) -> str:
        """The main scores and the cautions, for a notebook."""
        titles, rows = self._cells()
        head = "".join(f"<th>{html.escape(title)}</th>" for title in ["", *titles])
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in rows
        )
        cautions = "".join(f"<li>{html.escape(text)}</li>" for text in self.cautions)
        return f"<table><tr>{head}</tr>{body}</table><ul>{cautions}</ul>"


def evaluate(
    model: Any = None,
    /,
    *,
    expression: Any = None,
    identity: Any = None,
    logits: Any = None,
    predictions: Any = None,
    valence_arousal: Any = None,
    inputs: Any = None,
    labels: Any = None,
    subjects: Any = None,
    ids: Any = None,
    split: Any = None,
    sequences: Any = None,
    frames: Any = None,
    valence: Any = None,
    arousal: Any = None,
    attributes: Mapping[str, Any] | None = None,
    images: Any = None,
    name: str = "model",
    classes: Sequence[str] | None = None,
    trained_on: str | Sequence[str] | None = None,
    most_frames: int = FRAMES,
    folds: int = 1,
    references: Sequence[str] = (),
    metrics: Sequence[str] | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    quiet: bool = True,
) -> Evaluation:
    """Score embeddings of any model on labelled rows: recognition, leakage, information.

    Args:
        model: files ("a.npz", or several), a scikit-learn estimator, any callable on `inputs`
            that returns embeddings [n, d], or a mapping of names to mappings of arrays
            ({"ours": {"expression": E}, "theirs": {"expression": F}}).
        expression, identity: [n, d] embeddings E and I (arrays or tensors).
        logits: [n, c] class scores in the order of `classes`.
        predictions: [n] predicted classes, where there are no scores.
        valence_arousal: [n, 2] predictions in [-1, 1].
        inputs: [n, ...] what `model` is applied to.
        labels: [n] expressions, words or codes; or the path of a table where `model` is files.
        subjects: [n] who is shown. One of `labels` and `subjects` must be given.
        ids, split, sequences, frames, valence, arousal: [n] each; see docs/evaluate.md.
        attributes: further columns by name.
        images: uint8 [n, h, w, 3], for neighbours and maps on the page; or a folder.
        name: of the model.
        classes: expression names in the order of codes and class scores.
        trained_on: people the encoder was trained on; "none" or [] where it saw none of them.
        most_frames: kept of a video.
        folds: 1 tests half of the people, more test every person once.
        references: models that show how much of a person faces tell (of a face-recognition
            network, say): the upper end of the scale on which leaks are shown.
        metrics: names; all default ones otherwise.
        seed: of everything random.
        out: result folder; a temporary one by default (see `Evaluation.save`).
        quiet: no progress.

    Returns:
        Scores as a data frame (`.scores`), shown in a notebook, with `.save(folder)`.

    Raises:
        FerBenchError: rows contradict each other, or cannot be scored; one sentence.

    >>> import numpy as np
    >>> y, s = np.arange(160) % 4, np.arange(160) // 20
    >>> e = np.eye(4)[y]
    >>> result = evaluate(
    ...     expression=e, logits=e, labels=y, subjects=s, metrics=["classification"]
    ... )
    >>> result.scores.set_index("score")["value"]["classification/test.accuracy"]
    np.float64(1.0)
    """
    options = Options(
        classes=classes,
        trained_on=trained_on,
        frames=most_frames,
        folds=folds,
        images=images if isinstance(images, (str, Path)) else None,
        seed=seed,
        references=references,
    )
    described = {
        "id": ids,
        "subject": subjects,
        "split": split,
        "sequence": sequences,
        "frame": frames,
        "valence": valence,
        "arousal": arousal,
        **(attributes or {}),
    }
    if isinstance(model, (str, Path)) or _are_paths(model):
        files = [str(model)] if isinstance(model, (str, Path)) else [str(path) for path in model]
        table = labels if isinstance(labels, (str, Path)) else None
        planned = plan_files(files, table, options)
    else:
        arrays = {
            "E": expression,
            "I": identity,
            "logits": logits,
            "valence_arousal": valence_arousal,
            "prediction": predictions,
        }
        several = model if isinstance(model, Mapping) else {name: {**arrays, "model": model}}
        described["expression"] = labels
        pictures = None if isinstance(images, (str, Path)) else images
        read = [(n, _contents(n, own, described, inputs, pictures)) for n, own in several.items()]
        # Several models in one call share the rows of the call.
        planned = _planned(read, None, name, replace(options, by_position=len(read) > 1))
    return score_planned(planned, out=out, metrics=metrics, quiet=quiet)


def score_planned(
    planned: Planned,
    *,
    out: str | Path | None = None,
    metrics: Sequence[str] | None = None,
    workers: int | None = 1,
    quiet: bool = True,
) -> Evaluation:
    """Write the result folder of a plan and score it."""
    from fer_bench.sweep.sweep import score_store

    temporary = tempfile.TemporaryDirectory(prefix="fer-bench-") if out is None else None
    root = Path(temporary.name if temporary else out)  # type: ignore[arg-type]
    store = write_results(planned, root)
    score_store(store, metrics=metrics, seed=planned.seed, workers=workers, quiet=quiet)
    return Evaluation(store.root, planned.describe(), temporary)


def _are_paths(model: Any) -> bool:
    return (
        isinstance(model, (list, tuple))
        and len(model) > 0
        and all(isinstance(item, (str, Path)) for item in model)
    )


def _contents(
    name: str,
    own: Mapping[str, Any],
    described: Mapping[str, Any],
    inputs: Any,
    pictures: Any,
) -> Contents:
    """The arrays of one model with what the call says of the rows."""
    arrays = {_OURS.get(key, key): value for key, value in own.items() if value is not None}
    applied = arrays.pop("model", None)
    if applied is not None:
        arrays |= {k: v for k, v in _applied(applied, inputs).items() if k not in arrays}
    named = {k: as_array(v, k) for k, v in {**described, **arrays}.items() if v is not None}
    if pictures is not None:
        named["images"] = as_array(pictures, "images")
    contents = understand(named, Path(name), {key: key for key in arrays})
    contents.said = []
    return contents


_OURS = {"expression": "E", "identity": "I", "predictions": "prediction"}


def _applied(model: Any, inputs: Any) -> dict[str, Any]:
    """Embeddings and class scores of an estimator or callable on the inputs."""
    if inputs is None:
        raise DataError("give inputs=..., the rows that the model is applied to.")
    out: dict[str, Any] = {}
    transform: Callable[[Any], Any] | None = getattr(model, "transform", None)
    if transform is not None:
        out["E"] = transform(inputs)
    elif callable(model):
        out["E"] = _called(model, inputs)
    if hasattr(model, "predict_proba"):
        out["probabilities"] = model.predict_proba(inputs)
    elif hasattr(model, "decision_function"):
        out["logits"] = model.decision_function(inputs)
    elif hasattr(model, "predict") and "E" not in out:
        out["prediction"] = model.predict(inputs)
    if not out:
        raise DataError(
            f"{type(model).__name__} is no model that can be applied: give a callable, or an "
            "estimator with transform or predict_proba."
        )
    if "E" not in out:  # a classifier alone: its class scores are its embedding
        out["E"] = out.get("logits", out.get("probabilities"))
    return out


def _called(model: Callable[[Any], Any], inputs: Any) -> Any:
    """What a callable returns; a torch module without gradients and in eval mode."""
    import torch

    if not isinstance(model, torch.nn.Module):
        return model(inputs)
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            return model(torch.as_tensor(inputs))
    finally:
        model.train(training)


def _cell(score: Any) -> str:
    """An estimate with its interval and what guessing gives."""
    if score is None or score.mean != score.mean:
        return "–"
    scale, digits = (100, 1) if score.unit == "fraction" else (1, 2)
    text = f"{scale * score.mean:.{digits}f}"
    if score.low is not None and score.high is not None:
        text += f" [{scale * score.low:.{digits}f}, {scale * score.high:.{digits}f}]"
    return text if score.null is None else f"{text} ({scale * score.null:.{digits}f})"
