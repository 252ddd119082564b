"""The main verbs from Python: run an experiment, or train one method like a scikit-learn model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_bench import registry
from fer_bench.arrays import Part, RunArrays
from fer_bench.cautions import Caution
from fer_bench.data.faces import FaceData
from fer_bench.data.splits import make_folds
from fer_bench.errors import FerBenchError, MethodError
from fer_bench.experiment import (
    Experiment,
    TrainingSpec,
    load_experiment,
    parse_experiment,
)
from fer_bench.labels import Names
from fer_bench.method import Method
from fer_bench.metrics.metric import load_metrics, missing, score_run
from fer_bench.score import Score
from fer_bench.sweep.executors import Options
from fer_bench.sweep.sweep import Sweep, run_experiment
from fer_bench.training.session import Session
from fer_bench.validation import validate


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
        executor: "serial" or "pool".
        workers: runs at once of the pool.
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

    Args:
        method: registered name.
        parameters: of the method.
        seed: of everything random.
        validation: share of the subjects that selects epochs; 0 keeps the last epoch.
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
        **training: Any,
    ) -> None:
        self.adapter: type[Method] = registry.methods.get(method)
        self.config = validate(
            self.adapter.Config, parameters or {}, where=f"parameters of {method}"
        )
        self.training = validate(TrainingSpec, training, where="training")
        if self.training.selection == "oracle":
            raise FerBenchError("a recognizer has no test part: selection 'oracle' needs `run`.")
        self.seed = seed
        self.validation = validation
        own = {"method": method, "parameters": parameters, "seed": seed, "validation": validation}
        self._params = {**own, **TrainingSpec().model_dump(), **training}
        self._session: Session | None = None
        self.cautions: tuple[Caution, ...] = ()
        self._fitted: dict[str, Part] = {}

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

    def fit(self, data: FaceData) -> Recognizer:
        """Train on all faces of `data`, less the validation subjects.

        Raises:
            FerBenchError: the data lack what the method needs, or training failed.
        """
        train, validation = self._split(data)
        session = Session.build(
            self.adapter, self.config, data, train, training=self.training, seed=self.seed
        )
        self.cautions = tuple(session.train(train, validation).cautions)
        self._session = session
        rows = {"train": train, "validation": validation}
        self._fitted = {
            name: session.extract(part, name=name) for name, part in rows.items() if len(part)
        }
        return self

    @property
    def method(self) -> Method | None:
        """The trained method; None before `fit`."""
        return self._session.method if self._session is not None else None

    def arrays(self, data: FaceData, *, name: str = "test") -> Part:
        """Embeddings, predictions and labels of faces, as metrics take them."""
        if self._session is None:
            raise MethodError("this recognizer is not trained yet: call fit(data) first.")
        return self._session.extract(np.arange(len(data)), name=name, data=data)

    def predict(self, data: FaceData) -> Names:
        """Expression names [N]; they compare with names and with the codes `data.expression`.

        Raises:
            FerBenchError: the method predicts no classes.
        """
        part = self.arrays(data)
        if part.logits is None:
            raise FerBenchError(f"{self.adapter.info.title} predicts no classes.")
        return Names.of(np.asarray(part.classes)[part.logits.argmax(1)], codes_of=data.classes)

    def score(self, data: FaceData) -> float:
        """Accuracy on the labelled faces of `data`.

        Raises:
            FerBenchError: no face has a label, or the method predicts no classes.
        """
        labelled = data.expression >= 0
        if not labelled.any():
            raise FerBenchError(f"{data.info.name} has no labelled face to score on.")
        return float((self.predict(data) == data.expression)[labelled].mean())

    def transform(self, data: FaceData) -> NDArray[np.float32]:
        """Expression embeddings [N, d_e]."""
        return self.arrays(data).expression

    def evaluate(
        self, data: FaceData, *, metrics: tuple[str, ...] | None = None
    ) -> dict[str, Score]:
        """Scores on faces that took no part in training: "metric.key" -> Score."""
        part = self.arrays(data)
        run_arrays = self._run_arrays(part)
        outcomes = score_run(run_arrays, load_metrics(metrics), seed=self.seed)
        return {
            f"{name}.{key}": score
            for name, outcome in outcomes.items()
            for key, score in outcome.scores.items()
        }

    def mig(self, data: FaceData) -> dict[str, Score]:
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

    def _run_arrays(self, test: Part) -> RunArrays:
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
