"""DICE-FER as its README calls it: `DICEFER(...)`, `train`, `evaluate`, `compute_mig_score`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from fer_bench.api import Faces, Recognizer
from fer_bench.baselines.dice_fer.adapter import DiceFER
from fer_bench.errors import FerBenchError, MethodError

_DEFAULTS = DiceFER.Config()


class DICEFER:
    """DICE-FER with the arguments of its README.

    Loaders and datasets yield (image, label) or (image, label, subject), or mappings: see
    `fer_bench.data.sources.FaceReader`. Without subjects a pair may be one person twice.

    Args:
        num_classes: how many expressions there are; labels are 0 to num_classes - 1.
        feature_dim: length of E and of I.
        lambda_exp: factor of the information terms of stage 1 (mu and nu of the adapter).
        lambda_id: factor of the information terms of stage 2 (mu_id and nu_id).
        lambda_adv: weight of the adversarial term of stage 2 (zeta).
        classes: names of the labels; by default those of the dataset.
        seed: of everything random.
        parameters: further ones of `DiceFER.Config`, such as backbone="resnet18".

    >>> from dataclasses import replace
    >>> model = DICEFER(num_classes=7, feature_dim=32, lambda_exp=2.0)
    >>> model.parameters["dim"], model.parameters["mu"], model.parameters["nu"]
    (32, 1.0, 2.0)
    """

    def __init__(
        self,
        num_classes: int = 7,
        feature_dim: int = 64,
        lambda_exp: float = 1.0,
        lambda_id: float = 1.0,
        lambda_adv: float = 0.1,
        *,
        classes: Sequence[str] | None = None,
        seed: int = 0,
        **parameters: Any,
    ) -> None:
        self.num_classes = num_classes
        self.classes = classes
        self.seed = seed
        self.parameters = {
            "dim": feature_dim,
            "mu": lambda_exp * _DEFAULTS.mu,
            "nu": lambda_exp * _DEFAULTS.nu,
            "mu_id": lambda_id * _DEFAULTS.mu_id,
            "nu_id": lambda_id * _DEFAULTS.nu_id,
            "zeta": lambda_adv,
            **parameters,
        }
        self._recognizer: Recognizer | None = None
        self._new()  # so that a wrong parameter is said now

    def train(
        self,
        train_loader: Faces,
        val_loader: Faces | None = None,
        epochs: int = 100,
        learning_rate: float = 1e-4,
        **training: Any,
    ) -> DICEFER:
        """Train the three stages: expression, identity, classifier.

        Args:
            train_loader: faces to train on.
            val_loader: faces that select epochs; without one, a fifth of the people does.
            epochs: of the first stage; the two others take half of them each.
            learning_rate: of encoders, critics and discriminator.
            training: further settings of `TrainingSpec`; the batch size is the loader's.

        Raises:
            FerBenchError: the data lack what the method needs, or training failed.
        """
        size = train_loader.batch_size if isinstance(train_loader, DataLoader) else None
        if size is not None and size >= 2:
            training.setdefault("batch_size", size)
        recognizer = self._new(epochs=epochs, lr=learning_rate, **training)
        self._recognizer = recognizer.fit(train_loader, val_loader)
        return self

    @property
    def recognizer(self) -> Recognizer:
        """The trained `Recognizer`, with all its verbs.

        Raises:
            MethodError: nothing is trained yet.
        """
        if self._recognizer is None:
            raise MethodError("this DICEFER is not trained yet: call train(train_loader) first.")
        return self._recognizer

    def evaluate(self, test_loader: Faces) -> float:
        """Accuracy on labelled faces, between 0 and 1."""
        return self.recognizer.score(test_loader)

    def compute_mig_score(self, test_loader: Faces) -> float:
        """The modified MIG `I(E_M; E_N) - I(E_M; I_M)` on held-out pairs, in nats.

        `recognizer.mig(test_loader)` gives both terms with intervals and nulls.

        Raises:
            FerBenchError: it cannot be estimated on these faces, with the reason.
        """
        score = self.recognizer.mig(test_loader)["mig"]
        if not math.isfinite(score.value):
            raise FerBenchError(f"no MIG on these faces: {'; '.join(map(str, score.cautions))}.")
        return score.value

    def predict(self, faces: Faces) -> Any:
        """Expression names [N]; they compare with names and with codes."""
        return self.recognizer.predict(faces)

    def save(self, path: str | Path) -> Path:
        """Write the trained model to one safetensors file; no pickle."""
        return self.recognizer.save(path)

    @classmethod
    def load(cls, path: str | Path) -> DICEFER:
        """Read what `save` wrote, or what `Recognizer.save` wrote of a DICE-FER."""
        recognizer = Recognizer.load(path)
        if recognizer.adapter is not DiceFER:
            raise MethodError(f"{path} holds a {recognizer.adapter.info.title}, not a DICE-FER.")
        config = recognizer.config
        model = cls(
            recognizer.reader.n_classes or len(recognizer.reader.label_names),
            config.dim,
            classes=recognizer.reader.classes,
            seed=recognizer.seed,
        )
        model.parameters = config.model_dump()
        model._recognizer = recognizer
        return model

    def _new(self, **training: Any) -> Recognizer:
        recognizer = Recognizer(
            "dice-fer",
            parameters=self.parameters,
            seed=self.seed,
            classes=self.classes,
            **training,
        )
        recognizer.reader.n_classes = self.num_classes
        return recognizer
