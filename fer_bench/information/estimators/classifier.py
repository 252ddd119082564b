"""I(X; Y) = H(Y) - H(Y | X) for labels Y, with the cross-entropy of a held-out classifier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from fer_bench.information.critics import apply, initial_mlp
from fer_bench.information.cross_fitting import (
    CrossFit,
    build_folds,
    by_shape,
    cross_fit,
    fit_cautions,
)
from fer_bench.information.estimator import Estimate, Estimator, Problem, read_integer
from fer_bench.information.inputs import classifier_features, is_discrete
from fer_bench.information.training import Blocks, Budget, Fold, Parameters
from fer_bench.labels import label_entropy


class Classifier(Estimator):
    """H(Y) less the cross-entropy of a classifier on rows it has not seen.

    A lower bound in expectation (a classifier can only be too unsure), never above the plug-in
    H(Y). The classifier starts at the class frequencies of all rows, as that entropy has them, so
    that it reads 0 where it learns nothing.

    Args:
        hidden, depth: size of the network; depth 0 is logistic regression.
        folds: cross-fitting: every row is classified by a network that has not seen it.
        steps, batch, rate, patience: budget of the training.
    """

    name: ClassVar[str] = "classifier"
    sides: ClassVar[str] = "labels"
    null_runs: ClassVar[int] = 5

    def __init__(
        self,
        *,
        seed: int = 0,
        hidden: int = 64,
        depth: int = 1,
        folds: int = 5,
        steps: int = 1000,
        batch: int = 256,
        rate: float = 2e-3,
        patience: int = 8,
        device: str = "auto",
    ) -> None:
        super().__init__(seed=seed)
        self.shape = (read_integer("hidden", hidden, 1), read_integer("depth", depth, 0))
        self.folds = folds
        self.budget = Budget(steps=steps, batch=batch, rate=rate, patience=patience)
        self.device = device

    def estimate_many(self, problems: Sequence[Problem]) -> list[Estimate]:
        return by_shape(problems, self._estimate_alike)

    def _estimate_alike(self, problems: Sequence[Problem]) -> list[Estimate]:
        labels_right = is_discrete(problems[0].sample.y)
        folds = build_folds(
            problems, count=self.folds, device=self.device, look=classifier_features
        )
        inputs, labels = folds[0][0].x, folds[0][0].y
        if not labels_right:
            inputs, labels = labels, inputs
        model = _Softmax(inputs.shape[1], labels.shape[1], *self.shape, labels_right)

        def surprise(fold: Fold, weights: Parameters, rows: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return model.rows(weights, *fold.part(rows))[0].double().cpu().numpy()

        fits = cross_fit(model, folds, self.budget)
        return [
            _gain(problem, labels_right, fit, fit.estimate(surprise))
            for problem, fit in zip(problems, fits, strict=True)
        ]


def _gain(problem: Problem, labels_right: bool, fit: CrossFit, surprise: Estimate) -> Estimate:
    """H(Y) less the cross-entropy, row by row."""
    codes = problem.paired.y if labels_right else problem.sample.x
    share, entropy = np.bincount(codes) / len(codes), label_entropy(codes)
    order = np.argsort(surprise.index)
    index = surprise.index[order]
    rows = -np.log(share[codes[index]]) - surprise.rows[order]
    return Estimate(
        value=float(rows.mean()),
        rows=rows,
        index=index,
        cautions=tuple(fit_cautions(problem.sample)),
        details={
            "entropy": entropy,
            "fitted_value": entropy - surprise.details["fitted_value"],
            "curve": fit.curve,
            "folds": len(fit.networks),
        },
    )


class _Softmax:
    """A classifier network as the trainer wants it; labels arrive one-hot."""

    def __init__(self, d: int, classes: int, hidden: int, depth: int, labels_right: bool) -> None:
        self.sizes = [d, *[hidden] * depth, classes]
        self.classes = classes
        self.labels_right = labels_right

    def initial(self, generator: torch.Generator, fold: Fold) -> Parameters:
        weights = initial_mlp("c", self.sizes, generator, zero_last=True)
        counts = (fold.y if self.labels_right else fold.x).sum(0).cpu()
        weights["base.prior"] = torch.log(counts / counts.sum())
        weights[f"c{len(self.sizes) - 2}.b"] = weights["base.prior"].clone()
        return weights

    def rows(self, p: Parameters, x: Tensor, y: Tensor) -> Tensor:
        """Cross-entropy [P, B] of each row."""
        inputs, labels = (x, y) if self.labels_right else (y, x)
        logits = apply(p, "c", self.sizes, inputs)
        return torch.logsumexp(logits, -1) - (logits * labels).sum(-1)

    def loss(
        self, parameters: Parameters, x: Tensor, y: Tensor, state: dict[str, Tensor]
    ) -> Tensor:
        return self.rows(parameters, x, y).mean(1)

    def score(self, parameters: Parameters, blocks: Blocks) -> Tensor:
        """Nats gained on the class frequencies, less one standard error: see `_Maximise.judge`."""
        gains = torch.cat([self._gain(parameters, x, y) for x, y in blocks], 1)
        if gains.shape[1] < 2:
            return gains.mean(1)
        return gains.mean(1) - gains.std(1) / math.sqrt(gains.shape[1])

    def _gain(self, p: Parameters, x: Tensor, y: Tensor) -> Tensor:
        labels = y if self.labels_right else x
        return -(labels * p["base.prior"][:, None]).sum(-1) - self.rows(p, x, y)
