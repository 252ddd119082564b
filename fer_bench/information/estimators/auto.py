"""`estimator="auto"`: chooses an estimator by the kind of sides and a pilot, and says why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from scipy.special import logsumexp
from scipy.stats import chi2, rankdata

from fer_bench.cautions import Caution
from fer_bench.information.estimator import Estimate, Estimator, Problem, make
from fer_bench.information.estimators.classifier import Classifier
from fer_bench.information.estimators.discrete import MillerMadow
from fer_bench.information.estimators.gaussian import (
    CanonicalGaussian,
    Copula,
    StudentCopula,
    StudentModel,
    gaussian_bias,
)
from fer_bench.information.estimators.neighbours import KSG, Ross
from fer_bench.information.estimators.neural import EVALUATION_BLOCK, InfoNCE, blocks_of
from fer_bench.information.inputs import Sample, is_discrete, normal_scores
from fer_bench.score import Score

NEIGHBOUR_DIMS = 3  # KSG is accurate up to here, whatever the shape of the dependence
STUDENT_DIMS = 60  # beyond, degrees of freedom say little and cost much
ONE_FOLD = 2000  # from so many rows on the pilot keeps one part for its value
CHOSEN = "chosen"
PAIR_ROWS, PAIR_COLUMNS = 2000, 64  # that the search for a telling pair of columns looks at


class Auto(Estimator):
    """The recommended default.

    Two sides of labels: Miller-Madow. One side of labels: Ross in up to three dimensions, else a
    cross-fitted classifier. Two sides of measurements: a closed form (Gaussian or t copula) where
    it is confirmed, else KSG in up to three dimensions, else a cross-fitted contrastive critic.

    A closed form is confirmed where its own log density ratio, evaluated as a lower bound on the
    rows, supports its value; where no critic (or KSG) is significantly above it on held-out rows;
    and where no single pair of columns shares more. If such a pair shares more than the final
    estimate, a caution says so, since a critic may miss in few rows what two columns show.

    A critic's value is too small on held-out rows and too large on its training rows; the estimate
    is the midpoint, and the interval is widened to include both.

    Args:
        seed: of the estimator.
        kept_out: report a critic's value on held-out rows alone, for which bounds such as H(Y)
        hold. device: of the critics; "auto" uses a GPU if there is one.

    `details` of the score holds the choice ("chosen") and the reason ("because").
    """

    name: ClassVar[str] = "auto"
    null_runs: ClassVar[int] = 3
    calibrated: ClassVar[int] = 8  # planted tasks its interval rests on

    def __init__(self, *, seed: int = 0, kept_out: bool = False, device: str = "auto") -> None:
        super().__init__(seed=seed)
        self.kept_out = kept_out
        self.device = device

    def critic(self, n: int, *, folds: int = 5) -> Contrast:
        """The contrastive critic for a sample of n rows.

        Args:
            n: number of rows.
            folds: of the cross-fitting.
        """
        batch = 256 if n >= 2000 else 128
        return Contrast(kept_out=self.kept_out, folds=folds, batch=batch, rate=3e-3,
                        seed=self.seed, device=self.device)  # fmt: skip

    def as_chosen(self, score: Score, n: int, *, seed: int) -> Estimator:
        """The estimator that a score of n rows names in `details["chosen"]`, to use it again."""
        chosen = score.details["chosen"]
        return make(self.critic(n) if chosen == Contrast.name else chosen, seed=seed)

    def estimate_many(self, problems: Sequence[Problem]) -> list[Estimate]:
        chosen: list[Estimate | None] = [None] * len(problems)
        nulls: list[int] = []
        tool: Estimator | None = None
        for i, problem in enumerate(problems):
            if problem.order is not None and tool is not None:
                nulls.append(i)  # permuted copies: what was chosen for the real pairing
            else:
                tool, estimate = self.choose(problem)
                chosen[i] = _with_floor(estimate, problem.paired)
        if nulls:
            assert tool is not None
            estimated = tool.estimate_many([problems[i] for i in nulls])
            for i, estimate in zip(nulls, estimated, strict=True):
                chosen[i] = estimate
        return chosen  # type: ignore[return-value]

    def choose(self, problem: Problem) -> tuple[Estimator, Estimate]:
        """Choose the estimator for a problem.

        Returns:
            The estimator and its estimate.
        """
        sample = problem.paired
        labels = is_discrete(sample.x) + is_discrete(sample.y)
        if labels == 2:
            return _run(MillerMadow(), problem, "labels on both sides")
        if labels == 1:
            side = sample.y if is_discrete(sample.x) else sample.x
            codes = sample.x if is_discrete(sample.x) else sample.y
            dims = side.shape[1]
            if dims <= NEIGHBOUR_DIMS and np.bincount(codes).min() > 5:
                why = f"labels against {dims} dimension(s): neighbours are accurate there"
                return _run(Ross(), problem, why)
            why = f"labels against {dims} dimensions: entropy less a classifier's cross-entropy"
            return _run(Classifier(device=self.device), problem, why)
        return self._continuous(problem)

    def _continuous(self, problem: Problem) -> tuple[Estimator, Estimate]:
        sample = problem.paired
        dims = sample.x.shape[1] + sample.y.shape[1]
        form, closed, bound = _closed_form(problem)
        error = closed.standard_error(sample.groups)
        if dims <= NEIGHBOUR_DIMS:
            tool, near = _run(KSG(k=3), problem, f"{dims} dimensions, no closed form fits")
            if abs(near.value - closed.value) < 0.02 + 2.5 * error:
                why = f"neighbours ({near.value:.3f} nats) agree with the closed form"
                return form, _because(form, closed, why)
            return tool, near
        pilot = self.critic(sample.n, folds=1 if sample.n >= ONE_FOLD else 5)
        learnt = pilot.estimate_many([problem])[0]
        gain = learnt.rows - bound[learnt.index]
        paired = replace(learnt, rows=gain, value=float(gain.mean()))
        # A critic understates, a closed form that holds does not: to be ahead at all is telling.
        margin = paired.standard_error(sample.groups)
        confirmed, seen = float(bound.mean()), float(learnt.details["held_out_value"])
        # Both rest on the same rows, so a wide error excuses little; the bound loses with each nat.
        slack = 0.03 + 0.05 * abs(closed.value) + min(3 * error, 0.1 * abs(closed.value))
        ceiling = float(np.log(min(sample.n, EVALUATION_BLOCK)))
        if paired.value < margin and telling_pair(sample)[0] < closed.value + slack:
            if closed.value - confirmed < slack:
                why = (
                    f"its bound ({confirmed:.3f} nats) confirms it and a critic ({seen:.3f}) is "
                    "not ahead of it for certain"
                )
                return form, _because(form, closed, why)
            if closed.value > ceiling - 2 and confirmed > ceiling - 3:
                why = "more than a bound on so many rows can certify"
                return form, _because(form, closed, why, (Caution("too-high-to-check"),))
        critic = self.critic(sample.n)
        if learnt.details["folds"] == 1:
            learnt = critic.estimate_many([problem])[0]
        seen = float(learnt.details["held_out_value"])
        why = f"a critic finds {seen:.3f} nats on kept-out rows, the closed form {confirmed:.3f}"
        return critic, _because(critic, learnt, why)


class Contrast(InfoNCE):
    """InfoNCE with whole blocks of test rows as negatives, halfway to its value on the training
    rows.

    Held-out rows understate and training rows overstate the information; the midpoint is off by
    less than either, and half their distance is added to the standard error. Where the held-out
    value is not significant, or with `kept_out`, the held-out value is reported.
    """

    name: ClassVar[str] = "contrast"

    def __init__(self, *, kept_out: bool = False, seed: int = 0, **options: Any) -> None:
        super().__init__(seed=seed, **options)
        self.kept_out = kept_out

    @property
    def block(self) -> int:
        return EVALUATION_BLOCK

    def _estimate_alike(self, problems: Sequence[Problem]) -> list[Estimate]:
        estimates = super()._estimate_alike(problems)
        return [
            _middle(e, p.sample, kept_out=self.kept_out)
            for e, p in zip(estimates, problems, strict=True)
        ]


def _middle(learnt: Estimate, sample: Sample, *, kept_out: bool) -> Estimate:
    details = {**learnt.details, "held_out_value": learnt.value}
    if kept_out or learnt.value < 2 * learnt.standard_error(sample.groups):
        return replace(learnt, details=details)
    half = max(0.0, (float(learnt.details["fitted_value"]) - learnt.value) / 2)
    return replace(
        learnt,
        value=learnt.value + half,
        extra_variance=learnt.extra_variance + (half / 2) ** 2,
        details=details,
    )


def telling_pair(sample: Sample) -> tuple[float, int, int]:
    """The pair of columns, one of each side, that shares most information for certain.

    The information of columns cut into bins of equal counts, less the value that the best of so
    many independent pairs exceeds once in a thousand cases (2 n I is chi-square). By the data
    processing inequality, the sides share at least what two of their binned columns do.

    Returns:
        Nats, and the two columns. Minus infinity for a sample with groups, whose rows are not
        independent.

    >>> x = np.random.default_rng(0).normal(size=(500, 3))
    >>> nats, i, j = telling_pair(Sample(x, np.cos(2 * x[:, ::-1])))
    >>> nats > 0.5, i + j
    (True, 2)
    """
    if sample.groups is not None:
        return -np.inf, 0, 0
    rows = slice(None, None, -(-sample.n // PAIR_ROWS))  # spread out: rows may come in order
    sides = [side[rows, :PAIR_COLUMNS] for side in (sample.x, sample.y)]
    n = len(sides[0])
    bins = int(np.clip(np.sqrt(n / 5), 2, 12))
    left, right = (_in_bins(side, bins) for side in sides)
    joint = (left.T @ right).reshape(-1, bins, right.shape[1] // bins, bins)
    p = joint.transpose(0, 2, 1, 3) / n  # [dx, dy, bins, bins]
    independent = p.sum(3, keepdims=True) * p.sum(2, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        nats = np.where(p > 0, p * np.log(p / independent), 0.0).sum((2, 3))
    i, j = np.unravel_index(int(nats.argmax()), nats.shape)
    chance = chi2.isf(0.001 / nats.size, (bins - 1) ** 2) / (2 * n)
    return float(nats[i, j] - chance), int(i), int(j)


def _in_bins(side: np.ndarray, bins: int) -> np.ndarray:
    """Columns [n, d] as indicators [n, d * bins] of bins of equal counts."""
    codes = (rankdata(side, axis=0) - 0.5) * bins // len(side)
    return (codes[:, :, None] == np.arange(bins)).reshape(len(side), -1).astype(np.float32)


def _with_floor(estimate: Estimate, sample: Sample) -> Estimate:
    """Warn where two columns alone share more than was found."""
    if is_discrete(sample.x) or is_discrete(sample.y):
        return estimate
    least, i, j = telling_pair(sample)
    if least <= estimate.value + 2 * estimate.standard_error(sample.groups):
        return estimate
    telling = Caution("telling-pair", column_x=i, column_y=j, least=least)
    return replace(estimate, cautions=(*estimate.cautions, telling))


def _closed_form(problem: Problem) -> tuple[Estimator, Estimate, np.ndarray]:
    """The better closed form, its estimate, and the rows [n] of its log ratio as a bound."""
    sample = problem.paired
    copula = Copula()
    closed = copula.estimate_many([problem])[0]
    model: CanonicalGaussian | StudentModel
    model, x, y, _ = copula.model(sample)
    dims = sample.x.shape[1] + sample.y.shape[1]
    form: Estimator = copula
    if dims <= STUDENT_DIMS and sample.n > 10 * dims:
        x_scores, y_scores = normal_scores(sample.x), normal_scores(sample.y)
        heavy = StudentModel.fit(x_scores, y_scores)
        if heavy.dof < 50:
            form, model, x, y = StudentCopula(), heavy, x_scores, y_scores
            closed = StudentCopula.read(heavy, x, y)
    bias = gaussian_bias(sample.n, x.shape[1], y.shape[1])
    order = np.random.default_rng(problem.seed).permutation(sample.n)
    rows = np.empty(sample.n)
    # As many negatives to a row as the pilot's test part gives: more would certify more.
    for part in np.array_split(order, 5 if sample.n >= ONE_FOLD else 1):
        for block in blocks_of(part, EVALUATION_BLOCK):
            ratios = model.log_ratios(x[block], y[block])
            rows[block] = np.diag(ratios) - logsumexp(ratios, axis=1) + np.log(len(block))
    return form, closed, rows - bias


def _run(tool: Estimator, problem: Problem, why: str) -> tuple[Estimator, Estimate]:
    return tool, _because(tool, tool.estimate_many([problem])[0], why)


def _because(
    tool: Estimator, estimate: Estimate, why: str, cautions: tuple[Caution, ...] = ()
) -> Estimate:
    return replace(
        estimate,
        cautions=(*estimate.cautions, *cautions),
        details={**estimate.details, CHOSEN: tool.name, "because": why},
    )
