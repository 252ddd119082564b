"""The main verbs from Python: run an experiment, or train one method like a scikit-learn model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_bench import registry
from fer_bench.arrays import PartArrays, RunArrays
from fer_bench.cautions import Caution
from fer_bench.data.faces import FaceData
from fer_bench.data.sources import FaceReader, joined
from fer_bench.data.splits import make_folds
from fer_bench.errors import FerBenchError, MethodError
from fer_bench.experiment import Experiment, TrainingSpec, load_experiment, parse_experiment
from fer_bench.labels import Names
from fer_bench.method import Method
from fer_bench.metrics.metric import load_metrics, missing, score_run
from fer_bench.score import Score
from fer_bench.sweep.executors import Options
from fer_bench.sweep.sweep import Sweep, run_experiment
from fer_bench.training.checkpoint import copy_state
from fer_bench.training.saved import Saved
from fer_bench.training.session import Session
from fer_bench.validation import validate

Faces = Any
"""`FaceData`, or whatever `FaceReader` turns into it."""


def run(
    experiment: str | Path | Mapping[str, Any] | Experiment | None = None,
    out: str | Path = "fer-bench-results",
    *,
    executor: str = "serial",
    workers: int | None = None,
    quiet: bool = False,
    **options: Any,
) -> Sweep:
    """Train and score an experiment into a result folder, going on where a killed one was.

    Every run has a process of its own, unless its method is defined in the main script or in a
    notebook: then it is done in this process.

    Args:
        experiment: a TOML file, a mapping of the same shape, an `Experiment`, or None for the
            embedded quickstart.
        out: result folder.
        executor: "serial", "pool", "ray" or "slurm" (see `fer_bench.sweep.executors`).
        workers: runs at once.
        quiet: no progress on the terminal.
        options: further attributes of `fer_bench.sweep.executors.Options`, such as
            `time_limit=3600` (seconds).

    >>> import fer_bench, tempfile
    >>> sweep = fer_bench.run(
    ...     {
    ...         "data": {"name": "generated", "subjects": 6, "images_per_subject": 14, "size": 32},
    ...         "split": {"folds": 3, "use": [0], "validation": 0.4},
    ...         "training": {"epochs": 1},
    ...         "methods": [{"name": "oracle-label"}],
    ...         "scores": {"metrics": ["classification"]},
    ...     },
    ...     tempfile.mkdtemp(),
    ...     quiet=True,
    ... )
    >>> sweep.records()[0].outcomes()["classification"].scores["test.accuracy"].value
    1.0
    """
    if isinstance(experiment, Experiment):
        parsed = experiment
    elif isinstance(experiment, Mapping):
        parsed = parse_experiment(experiment)
    else:
        parsed = load_experiment(experiment)
    chosen = Options.of(executor, workers, **options)
    return run_experiment(parsed, out, options=chosen, quiet=quiet)


class Recognizer:
    """One method, in the manner of scikit-learn.

    Faces are `FaceData`, a PyTorch `DataLoader` or dataset, or arrays and tensors: see
    `fer_bench.data.sources.FaceReader`.

    Args:
        method: registered name.
        parameters: of the method.
        seed: of everything random.
        validation: share of the subjects that selects epochs; 0 keeps the last epoch. A set of its
            own may be given to `fit` instead.
        classes: names of integer labels, in their order; by default those of the dataset.
        training: further settings of `TrainingSpec`, such as epochs=10, lr=1e-3.

    >>> import fer_bench
    >>> data = fer_bench.load_dataset("generated", subjects=8, images_per_subject=14, size=32)
    >>> model = fer_bench.Recognizer("erm", epochs=1).fit(data)
    >>> model.predict(data).shape
    (112,)
    >>> bool((model.predict(data) == data.expression).mean() == model.score(data))
    True
    """

    def __init__(
        self,
        method: str = "erm",
        *,
        parameters: Mapping[str, Any] | None = None,
        seed: int = 0,
        validation: float = 0.2,
        classes: Sequence[str] | None = None,
        **training: Any,
    ) -> None:
        self.adapter: type[Method] = registry.methods.get(method)
        self.config = validate(
            self.adapter.Config, parameters or {}, where=f"parameters of {method}"
        )
        self.training = validate(TrainingSpec, training, where="training")
        if self.training.selection == "oracle":
            raise FerBenchError("a recognizer has no test part: selection 'oracle' needs `run`.")
        if self.training.devices > 1:
            raise FerBenchError("a recognizer trains on one device: several devices need `run`.")
        self.seed = seed
        self.validation = validation
        self.reader = FaceReader(classes=classes)
        own = {
            "method": method,
            "parameters": parameters,
            "seed": seed,
            "validation": validation,
            "classes": classes,
        }
        self._params = {**own, **TrainingSpec().model_dump(), **training}
        self._session: Session | None = None
        self.cautions: tuple[Caution, ...] = ()
        self._fitted: dict[str, PartArrays] = {}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """What the recognizer was made with, defaults included; `sklearn.base.clone` uses it."""
        return dict(self._params)

    def set_params(self, **params: Any) -> Recognizer:
        """Change some of what it was made with; what was fitted is forgotten.

        Raises:
            FerBenchError: an unknown name or a wrong value; then the recognizer is unchanged.
        """
        self.__dict__.update(type(self)(**{**self._params, **params}).__dict__)
        return self

    def fit(self, data: Faces, validation: Faces | None = None) -> Recognizer:
        """Train on all faces of `data`, less the validation subjects.

        Args:
            data: the faces to train on.
            validation: faces that select epochs, in place of a share of `data`.

        Raises:
            FerBenchError: the data lack what the method needs, or training failed.
        """
        faces = self.reader(data, what="training faces")
        if validation is None:
            train, held_out = self._split(faces)
            cautions: list[Caution] = []
        else:
            chosen = self.reader(validation, what="validation faces")
            cautions = _shared_people(faces, chosen)
            train = np.arange(len(faces), dtype=np.int64)
            held_out = np.arange(len(faces), len(faces) + len(chosen), dtype=np.int64)
            faces = joined(faces, chosen)
        session = Session.build(
            self.adapter, self.config, faces, train, training=self.training, seed=self.seed
        )
        self.cautions = (*cautions, *session.train(train, held_out).cautions)
        self._session = session
        rows = {"train": train, "validation": held_out}
        self._fitted = {
            name: session.extract(part, name=name) for name, part in rows.items() if len(part)
        }
        return self

    @property
    def method(self) -> Method | None:
        """The trained method; None before `fit`."""
        return self._session.method if self._session is not None else None

    def arrays(self, data: Faces, *, name: str = "test") -> PartArrays:
        """Embeddings, predictions and labels of faces, as metrics take them."""
        session = self._trained()
        faces = self.reader(data, what=f"{name} faces")
        if faces.shape != session.method.task.shape:
            raise FerBenchError(
                f"the {name} faces are (C, H, W) {faces.shape}, and {self.adapter.info.title} was "
                f"trained on {session.method.task.shape}: bring them to that size."
            )
        return session.extract(np.arange(len(faces)), name=name, data=faces)

    def predict(self, data: Faces) -> Names:
        """Expressions [N], as names and as codes at once: see `fer_bench.labels.Names`.

        They compare with names and with the codes of `data`, and pass to `sklearn.metrics`
        beside those codes; `.names` are the names as text.

        Raises:
            FerBenchError: the method predicts no classes.
        """
        faces = self._faces(data)
        names = data.classes if isinstance(data, FaceData) else self.reader.label_names
        return Names.of(self._predicted(faces), codes_of=names)

    def _predicted(self, faces: FaceData) -> NDArray[np.str_]:
        part = self.arrays(faces)
        if part.logits is None:
            raise FerBenchError(f"{self.adapter.info.title} predicts no classes.")
        return np.asarray(part.classes)[part.logits.argmax(1)]

    def score(self, data: Faces) -> float:
        """Accuracy on the labelled faces of `data`.

        Raises:
            FerBenchError: no face has a label, or the method predicts no classes.
        """
        faces = self._faces(data)
        labelled = faces.expression >= 0
        if not labelled.any():
            raise FerBenchError(f"{faces.info.name} has no labelled face to score on.")
        right = self._predicted(faces) == faces.table["expression"].to_numpy(object)
        return float(right[labelled].mean())

    def transform(self, data: Faces) -> NDArray[np.float32]:
        """Expression embeddings [N, d_e]."""
        return self.arrays(data).expression

    def save(self, path: str | Path) -> Path:
        """Write the trained method to one safetensors file, which `load` reads; no pickle.

        Raises:
            MethodError: nothing is trained yet.
        """
        method, path = self._trained().method, Path(path)
        Saved(
            self._params,
            method.task,
            asdict(self.reader),
            self.cautions,
            copy_state(method),
            self._fitted,
        ).write(path)
        return path

    @classmethod
    def load(cls, path: str | Path) -> Recognizer:
        """Read what `save` wrote.

        Raises:
            MethodError: the file is not one of those, or its weights do not fit the method.
        """
        saved = Saved.read(Path(path))
        recognizer = cls(**saved.parameters)
        recognizer.reader = FaceReader(**saved.reader)
        recognizer.cautions = saved.cautions
        recognizer._fitted = dict(saved.parts)
        recognizer._session = Session.restored(
            recognizer.adapter,
            recognizer.config,
            saved.task,
            saved.state,
            training=recognizer.training,
            seed=recognizer.seed,
        )
        return recognizer

    def _trained(self) -> Session:
        if self._session is None:
            raise MethodError("this recognizer is not trained yet: call fit(data) first.")
        return self._session

    def _faces(self, data: Faces) -> FaceData:
        self._trained()
        return self.reader(data, what="test faces")

    def evaluate(self, data: Faces, *, metrics: tuple[str, ...] | None = None) -> dict[str, Score]:
        """Scores on faces that took no part in training: "metric.key" -> Score."""
        part = self.arrays(data)
        run_arrays = self._run_arrays(part)
        outcomes = score_run(run_arrays, load_metrics(metrics), seed=self.seed)
        return {
            f"{name}.{key}": score
            for name, outcome in outcomes.items()
            for key, score in outcome.scores.items()
        }

    def mig(self, data: Faces) -> dict[str, Score]:
        """The modified MIG `I(E_M; E_N) - I(E_M; I_M)` with both terms, nulls and intervals.

        Raises:
            FerBenchError: the method has no identity embedding.
        """
        part = self.arrays(data)
        run_arrays = self._run_arrays(part)
        metric = registry.metrics.get("mig")
        reason = missing(metric, run_arrays)
        if reason is not None:
            raise FerBenchError(f"no MIG for {self.adapter.info.title}: {reason}.")
        return dict(metric(run_arrays, seed=self.seed))

    def _run_arrays(self, test: PartArrays) -> RunArrays:
        return RunArrays(
            {**self._fitted, "test": test},
            test.classes,
            method=self.adapter.info.name,
            role=self.adapter.info.role,
            seed=self.seed,
        )

    def _split(self, data: FaceData) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        everything = np.arange(len(data), dtype=np.int64)
        if self.validation <= 0:
            return everything, everything[:0]
        folds = make_folds(
            data, n_folds=max(2, round(1 / self.validation)), seed=self.seed, validation=0.5
        )
        held_out = folds.folds[0].test
        return np.setdiff1d(everything, held_out), held_out


def _shared_people(train: FaceData, validation: FaceData) -> list[Caution]:
    """People who are trained on and select epochs."""
    shared = set(train.subjects) & set(validation.subjects)
    return [Caution("validation-of-known-subjects", subjects=len(shared))] if shared else []
