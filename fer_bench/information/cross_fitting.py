"""Cross-fitting: every row of a problem is valued by a network that has not seen it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from fer_bench.cautions import Caution
from fer_bench.information.estimator import Estimate, EstimatorError, Problem, read_integer
from fer_bench.information.inputs import MAX_COLUMNS, Sample, features, is_discrete, network_columns
from fer_bench.information.training import Budget, Fold, Model, Parameters, train

FEW_FOR_NETWORKS = 100  # rows below which critics were seen to read several nats too little
FEW_GROUPS = 10  # with fewer a part would hold one or two of them


@dataclass(frozen=True)
class CrossFit:
    """The networks of one problem, one a fold.

    Attributes:
        networks: the folds and the weights [1, ...] that were trained on each.
        curve: validation curve of the first fold.
        steps: of the optimiser, of the fold that was trained longest.
    """

    networks: Sequence[tuple[Fold, Parameters]]
    curve: list[float]
    steps: int

    def estimate(self, value: Callable[[Fold, Parameters, np.ndarray], np.ndarray]) -> Estimate:
        """Value the test rows of every fold by the network of that fold.

        Args:
            value: from a fold, its weights and rows [m] to the contributions [m] of those rows.

        Returns:
            Their mean, in the order of the folds. The detail "fitted_value" is what the networks
            say of the rows they were trained on.
        """
        rows = np.concatenate([value(fold, p, fold.test) for fold, p in self.networks])
        fitted = [value(fold, p, fold.train).mean() for fold, p in self.networks]
        return Estimate(
            value=float(rows.mean()),
            rows=rows,
            index=np.concatenate([fold.test for fold, _ in self.networks]),
            details=self.details(float(np.mean(fitted))),
        )

    def details(self, fitted_value: float) -> dict[str, object]:
        """How the networks were trained, beside their value on the rows they were trained on."""
        return {
            "fitted_value": fitted_value,
            "curve": self.curve,
            "steps": self.steps,
            "folds": len(self.networks),
        }


def cross_fit(model: Model, folds: Sequence[Sequence[Fold]], budget: Budget) -> list[CrossFit]:
    """Train a network on every fold of every problem, all at once.

    Args:
        model: of all networks.
        folds: of each problem (see `build_folds`), of one shape.
        budget: of the training.
    """
    fitted = train(model, list(chain.from_iterable(folds)), budget)
    crossed = []
    first = 0
    for own in folds:
        networks = [(fold, fitted.of(first + k)) for k, fold in enumerate(own)]
        crossed.append(CrossFit(networks, fitted.curve_of(first), fitted.steps))
        first += len(own)
    return crossed


def build_folds(
    problems: Sequence[Problem],
    *,
    count: int,
    device: str,
    look: Callable[[np.ndarray], np.ndarray] = features,
) -> list[list[Fold]]:
    """Cut every problem into folds, as tensors.

    A side that problems share is converted once. A problem with permuted pairs (a null) gets its
    first fold alone: the mean over several nulls needs no cross-fitting.

    Args:
        problems: of one shape.
        count: folds of each; 1 tests on a fifth of the rows.
        device: "auto", "cpu" or "cuda".
        look: from a cleaned side to the columns [n, d] that networks see.

    Raises:
        EstimatorError: there are too few rows for so many folds, or no such device.
    """
    place = _device(device)
    converted: dict[int, Tensor] = {}

    def tensor(side: np.ndarray) -> Tensor:
        if id(side) not in converted:
            converted[id(side)] = torch.as_tensor(look(side), dtype=torch.float32).to(place)
        return converted[id(side)]

    def cut(problem: Problem) -> list[Fold]:
        sample = problem.sample
        parts = split(sample.n, groups=split_groups(sample), folds=count, seed=problem.seed)
        order = torch.arange(sample.n, device=place)
        if problem.order is not None:
            parts = parts[:1]
            order = torch.as_tensor(problem.order).to(place)
        return [
            Fold(tensor(sample.x), tensor(sample.y), order, *rows, 1000 * problem.seed + k)
            for k, rows in enumerate(parts)
        ]

    return [cut(problem) for problem in problems]


def by_shape(
    problems: Sequence[Problem], run: Callable[[list[Problem]], list[Estimate]]
) -> list[Estimate]:
    """Run problems of equal shape together; estimates come back in the order given."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, problem in enumerate(problems):
        sample = problem.sample
        shape = (sample.n, network_columns(sample.x), network_columns(sample.y))
        groups.setdefault(shape, []).append(i)
    estimates: dict[int, Estimate] = {}
    for members in groups.values():
        estimates |= dict(zip(members, run([problems[i] for i in members]), strict=True))
    return [estimates[i] for i in range(len(problems))]


def split_groups(sample: Sample) -> np.ndarray | None:
    """Groups to split by, or None where that would leave a part without what it needs.

    So with few groups. And where a label never leaves its group (the label *is* the subject) no
    critic could know the labels of the test part.
    """
    groups = sample.groups
    if groups is None or groups.max() + 1 < FEW_GROUPS or _label_is_group(sample, groups):
        return None
    return groups


def group_cautions(sample: Sample) -> list[Caution]:
    """Say where groups are too few to be kept apart."""
    groups = sample.groups
    if groups is None or groups.max() + 1 >= FEW_GROUPS or _label_is_group(sample, groups):
        return []
    return [Caution("few-groups-to-split", groups=int(groups.max()) + 1, least=FEW_GROUPS)]


def _label_is_group(sample: Sample, groups: np.ndarray) -> bool:
    return any(
        len(np.unique(np.stack([side, groups]), axis=1).T) == side.max() + 1
        for side in (sample.x, sample.y)
        if is_discrete(side)
    )


def split(
    n: int, *, groups: np.ndarray | None, folds: int, seed: int, valid: float = 0.2
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Train, validation and test rows of every fold; a group lies in one part only.

    With `folds` = 1 the test part is a fifth of the rows.
    """
    if read_integer("folds", folds, 1) > n // 2:
        raise EstimatorError(f"folds = {folds}: {n} rows can be cut into {n // 2} at most.")
    random = np.random.default_rng(seed)
    if groups is None:
        units = np.arange(n)
        count = n
    else:
        count = int(groups.max()) + 1
        units = groups
    shuffled = random.permutation(count)
    sizes = np.bincount(units, minlength=count)[shuffled]
    # Position of a group in the shuffled line of rows decides its part.
    middle = (np.cumsum(sizes) - sizes / 2) / n
    position = np.empty(count)
    position[shuffled] = middle
    place = position[units]
    parts = []
    width = 1 / max(folds, 5) if folds == 1 else 1 / folds
    for fold in range(folds):
        shifted = (place - fold * width) % 1.0
        test = shifted < width
        stop = (shifted >= width) & (shifted < width + valid * (1 - width))
        parts.append(
            tuple(random.permutation(np.flatnonzero(m)) for m in (~test & ~stop, stop, test))
        )
    return parts  # type: ignore[return-value]


def fit_cautions(sample: Sample) -> list[Caution]:
    """Say where rows are few, a side was reduced, or groups could not be kept apart."""
    cautions = group_cautions(sample)
    if sample.n < FEW_FOR_NETWORKS:
        cautions.append(Caution("few-for-network", rows=sample.n))
    return cautions + [
        Caution("leading-components", side=name, kept=MAX_COLUMNS, columns=side.shape[1])
        for name, side in (("x", sample.x), ("y", sample.y))
        if not is_discrete(side) and side.shape[1] > MAX_COLUMNS
    ]


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(name)
    except (RuntimeError, TypeError):
        raise EstimatorError(f"device = {name!r}: give 'auto', 'cpu' or 'cuda'.") from None
    if place.type == "cuda" and not torch.cuda.is_available():
        raise EstimatorError(f"device = {name!r}: there is no CUDA device; 'auto' takes the CPU.")
    return place
