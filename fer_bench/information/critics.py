"""Critics T(x, y), for many problems at once.

Every kind of critic scores a batch of pairs in the same form (`Scores`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_bench.information.training import VALIDATION_BLOCK, Fold, Parameters


class Scores(NamedTuple):
    """Critic values of a batch.

    Attributes:
        positive: [P, B] of the pairs.
        negative: [P, B, K] of x_i with other rows of y; -inf where an entry is not a negative.
        per_row: number of negatives among the K entries of a row.
    """

    positive: Tensor
    negative: Tensor
    per_row: int


def product_scores(f: Tensor, g: Tensor) -> Scores:
    """Scores from products of all rows of f [P, B, k] with all rows of g [P, B, k]."""
    negative = torch.bmm(f, g.transpose(1, 2))
    with torch.no_grad():  # no gradient comes back from -inf, so none need be masked
        negative.diagonal(dim1=1, dim2=2).fill_(-math.inf)
    return Scores((f * g).sum(-1), negative, f.shape[1] - 1)


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        top = values.amax(-1, keepdim=True)
        weight = (values - top).exp_()
        total = weight.sum(-1, keepdim=True)
        ctx.save_for_backward(weight, total)
        return (top + torch.log(total))[..., 0]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        weight, total = ctx.saved_tensors
        return weight * (grads[0][..., None] / total)


def log_sum_exp(values: Tensor) -> Tensor:
    """`torch.logsumexp` over the last axis in a third of the time, with softmax as its gradient.

    >>> [round(value, 4) for value in log_sum_exp(torch.zeros(2, 8)).tolist()]
    [2.0794, 2.0794]
    """
    return _LogSumExp.apply(values)


class TestScores(Protocol):
    """Critic values of a block of test rows of one problem."""

    positive: Tensor

    def span(self) -> tuple[float, float]:
        """The smallest and the largest value."""

    def negatives(self, low: float, high: float, clip: Callable[[Tensor], Tensor]) -> Negatives:
        """Summarise the negatives.

        Args:
            low, high: values are clamped to this range first.
            clip: applied to the clamped negatives.
        """


class Negatives(NamedTuple):
    """Summary of the negatives of a block of B rows, K for each row.

    Attributes:
        log_row, log_column: [B] log-mean-exp of the negatives in which a row's x (or y) occurs.
        shifted: [K] mean value of the pairs under each cyclic shift.
    """

    log_row: Tensor
    log_column: Tensor
    shifted: Tensor


class AllPairs:
    """Critic values of every x with every y, from factors [B, k] of both sides.

    Rows are processed in slabs that stay in the cache.
    """

    def __init__(self, f: Tensor, g: Tensor, slab: int = 128) -> None:
        self.f, self.g, self.slab = f, g, slab
        self.positive = (f * g).sum(-1)

    def _slabs(self) -> Iterator[tuple[int, Tensor]]:
        for start in range(0, len(self.f), self.slab):
            yield start, self.f[start : start + self.slab] @ self.g.T

    def span(self) -> tuple[float, float]:
        ends = torch.stack([torch.stack(torch.aminmax(slab)) for _, slab in self._slabs()])
        return float(ends[:, 0].min()), float(ends[:, 1].max())

    def negatives(self, low: float, high: float, clip: Callable[[Tensor], Tensor]) -> Negatives:
        size = len(self.f)
        by_row, by_column = [], torch.zeros_like(self.positive)
        shifted = by_column.new_zeros(size - 1)
        for start, slab in self._slabs():
            values = slab.clamp_(low, high)
            # Cyclic diagonals are columns of the doubled rows, read one step further each row.
            doubled = torch.cat([values, values], dim=1)
            shape, step = (len(values), size - 1), (2 * size + 1, 1)
            shifted += doubled.as_strided(shape, step, start + 1).sum(0)
            weight = (clip(values) - high).exp_()  # values lie within 35 nats: nothing vanishes
            weight.diagonal(start).zero_()
            by_row.append(weight.sum(1))
            by_column += weight.sum(0)
        scale = high - math.log(size - 1)
        return Negatives(
            torch.log(torch.cat(by_row)) + scale, torch.log(by_column) + scale, shifted / size
        )


class FewShifts:
    """Critic values [B] of the pairs, and [B, K] of x_i with the y of row i + shift_k."""

    def __init__(self, positive: Tensor, values: Tensor, shifts: Tensor) -> None:
        self.positive, self.values, self.shifts = positive, values, shifts

    def span(self) -> tuple[float, float]:
        low, high = torch.aminmax(torch.cat([self.positive[:, None], self.values], 1))
        return float(low), float(high)

    def negatives(self, low: float, high: float, clip: Callable[[Tensor], Tensor]) -> Negatives:
        values = self.values.clamp(low, high)
        rows = torch.arange(len(values), device=values.device)[:, None]
        by_column = values.gather(0, (rows - self.shifts) % len(values))
        log_row, log_column = (
            torch.logsumexp(clip(v), 1) - math.log(v.shape[1]) for v in (values, by_column)
        )
        return Negatives(log_row, log_column, values.mean(0))


class Critic:
    """A critic of given architecture; its parameters are passed in, with a problem axis.

    Args:
        dx, dy: leading columns of each side that the networks see.
        kind: "separable" f(x).g(y) + a(x) + b(y); "bilinear" the same with linear f, g and
            quadratic a, b; "concatenated" an MLP on [x, y]; "hybrid" a small MLP on f(x), g(y).
        hidden, depth: width and number of hidden layers.
        embed: outputs of f and g.
        base: add a normal model of the leading canonical pairs (`canonical_base`), so that the
            network only learns what is not Gaussian.
        shifts: negatives of a row, for the two kinds that evaluate the network on every pair; for
            the others the rest of the batch.
    """

    kinds = ("separable", "bilinear", "concatenated", "hybrid")

    def __init__(
        self,
        dx: int,
        dy: int,
        *,
        kind: str = "separable",
        hidden: int = 64,
        depth: int = 2,
        embed: int = 32,
        base: bool = True,
        shifts: int = 8,
    ) -> None:
        self.base = base
        self.kind, self.shifts, self.depth, self.embed = kind, shifts, depth, embed
        if kind == "concatenated":
            self.nets = {"t": [dx + dy, *[hidden] * depth, 1]}
        elif kind == "hybrid":
            self.nets = {
                "f": [dx, *[hidden] * (depth - 1), embed],
                "g": [dy, *[hidden] * (depth - 1), embed],
                "t": [2 * embed, hidden, 1],
            }
        elif kind == "bilinear":
            self.nets = {"f": [dx, embed], "g": [dy, embed]}
        else:
            self.nets = {
                "f": [dx, *[hidden] * depth, embed + 1],
                "g": [dy, *[hidden] * depth, embed + 1],
            }
        self.dx, self.dy = dx, dy

    def initial(
        self,
        generator: torch.Generator,
        fold: Fold,
        judge: Callable[[Sequence[Scores]], Tensor],
    ) -> Parameters:
        """Initial weights of one problem, with a network that is constant 0.

        Args:
            generator: source of randomness.
            fold: whose training and validation rows fit the normal base.
            judge: the validation criterion.
        """
        weights: Parameters = {}
        for net, sizes in self.nets.items():
            weights |= initial_mlp(net, sizes, generator, zero_last=net in ("t", "g"))
        if self.kind == "separable":  # the own term of x, which no silent g multiplies
            weights[f"f{self.depth}.w"][:, -1] = 0.0
        if self.kind == "bilinear":
            weights["a"], weights["b"] = (
                torch.zeros(self.dx, self.dx),
                torch.zeros(self.dy, self.dy),
            )
        if self.base:
            weights |= canonical_base(fold, (self.dx, self.dy), judge)
        return weights

    def scores(self, p: Parameters, x: Tensor, y: Tensor) -> Scores:
        """Score a batch [P, B, d]: each row against the rest of the batch, or against a few shifts
        of it.
        """
        size = x.shape[1]
        if self.meets_all:
            return product_scores(*self._factors(p, x, y))
        shifts = list(range(1, min(self.shifts, size - 1) + 1))
        values = self._shifted(p, x, y, [0, *shifts])
        return Scores(values[..., 0], values[..., 1:], len(shifts))

    def test_scores(self, p: Parameters, x: Tensor, y: Tensor, shifts: int) -> TestScores:
        """Score rows [1, B, d] of one problem against all others, or against `shifts` if that is
        costly.
        """
        size = x.shape[1]
        if self.meets_all:
            f, g = self._factors(p, x, y)
            return AllPairs(f[0], g[0])
        at = torch.linspace(1, size - 1, min(shifts, size - 1), device=x.device).round().long()
        values = self._shifted(p, x, y, [0, *at.tolist()])[0]
        return FewShifts(values[:, 0], values[:, 1:], at)

    @property
    def meets_all(self) -> bool:
        """Whether all pairs of a batch cost no more than one matrix product."""
        return self.kind in ("separable", "bilinear")

    def _shifted(self, p: Parameters, x: Tensor, y: Tensor, shifts: list[int]) -> Tensor:
        """Values [P, B, len(shifts)] of x_i with y_(i + shift)."""
        known = self._shifted_base(p, x, y, shifts) if self.base else 0.0
        x, y = x[..., : self.dx], y[..., : self.dy]
        if self.kind == "hybrid":
            x, y = apply(p, "f", self.nets["f"], x), apply(p, "g", self.nets["g"], y)
        others = torch.cat([torch.roll(y, -s, dims=1) for s in shifts], dim=1)
        pairs = torch.cat([x.repeat(1, len(shifts), 1), others], dim=-1)
        values = apply(p, "t", self.nets["t"], pairs)[..., 0]
        return values.unflatten(1, (len(shifts), -1)).transpose(1, 2) + known

    def _shifted_base(self, p: Parameters, x: Tensor, y: Tensor, shifts: list[int]) -> Tensor:
        (u, a), (v, b) = _base(p, "x", x), _base(p, "y", y)
        rolled = [(torch.roll(v, -s, 1), torch.roll(b, -s, 1)) for s in shifts]
        return torch.stack([(u * w).sum(-1) + a + c for w, c in rolled], dim=-1)

    def _factors(self, p: Parameters, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """[P, B, k] of both sides, whose product is the critic; their own terms meet a one."""
        left, right = x[..., : self.dx], y[..., : self.dy]
        f, g = apply(p, "f", self.nets["f"], left), apply(p, "g", self.nets["g"], right)
        if self.kind == "bilinear":
            a = (torch.bmm(left, p["a"]) * left).sum(-1, keepdim=True)
            b = (torch.bmm(right, p["b"]) * right).sum(-1, keepdim=True)
        else:
            a, b = f[..., -1:], g[..., -1:]
            f, g = f[..., :-1], g[..., :-1]
        if not self.base:
            return _with_own([f], a), _with_own([g], b, last=True)
        (u, c), (v, d) = _base(p, "x", x), _base(p, "y", y)
        return _with_own([f, u], a + c[..., None]), _with_own([g, v], b + d[..., None], last=True)


def _with_own(parts: list[Tensor], own: Tensor, *, last: bool = False) -> Tensor:
    """Parts of a factor, its own term, and the one that the other side's own term meets."""
    one = torch.ones_like(own)
    return torch.cat([*parts, one, own] if last else [*parts, own, one], -1)


def _base(p: Parameters, side: str, values: Tensor) -> tuple[Tensor, Tensor]:
    """Canonical variates [P, B, r], scaled for the product, and the side's own term [P, B]."""
    variates = torch.bmm(values, p[f"base.{side}"]).clamp(-3.5, 3.5)  # outliers must not rule
    rho = p["base.rho"][:, None]
    rest = 1 - rho**2
    own = 0.5 * (variates**2 * rho**2 / rest).sum(-1)
    constant = 0.25 * torch.log(rest).sum(-1)  # each side brings half of it
    return variates * torch.sqrt(rho / rest), -own - constant


def canonical_base(
    fold: Fold,
    columns: tuple[int, int],
    judge: Callable[[Sequence[Scores]], Tensor],
    rank: int = 16,
) -> Parameters:
    """A normal model of the leading canonical pairs of one problem.

    It is fitted to the columns that networks see and to all `features`, with full and with shrunken
    correlations. The best on the validation rows is returned, or a model of independence if none is
    clearly above zero.

    Args:
        fold: the problem.
        columns: leading columns of x and y that networks see.
        judge: the validation criterion.
        rank: number of canonical pairs at most.
    """
    parts = [fold.part(rows) for rows in (fold.train, fold.valid)]
    train, valid = ([side[0].cpu().double() for side in part] for part in parts)
    full = (train[0].shape[1], train[1].shape[1])
    rank = min(rank, *columns)
    if len(fold.valid) < 4:  # nothing to confirm a pair with
        return {
            "base.x": torch.zeros(full[0], rank), "base.y": torch.zeros(full[1], rank),
            "base.rho": torch.zeros(rank),
        }  # fmt: skip
    halves = [[side[half::2] for side in valid] for half in (0, 1)]
    best, best_score = None, -math.inf
    for dx, dy in {columns, full}:
        model = _canonical_pairs(
            (train[0][:, :dx], train[1][:, :dy]), (valid[0][:, :dx], valid[1][:, :dy]), rank
        )
        model["base.x"] = F.pad(model["base.x"], (0, 0, 0, full[0] - dx))
        model["base.y"] = F.pad(model["base.y"], (0, 0, 0, full[1] - dy))
        for shrink in (1.0, 0.7):
            candidate = model | {"base.rho": shrink * model["base.rho"]}
            score = min(_base_score(candidate, x, y, judge) for x, y in halves)
            if score > best_score:
                best, best_score = candidate, score
    assert best is not None
    return best if best_score > 0 else best | {"base.rho": torch.zeros(rank)}


def _canonical_pairs(
    train: tuple[Tensor, Tensor], valid: tuple[Tensor, Tensor], rank: int
) -> Parameters:
    a, b = (axes[:, :rank] for axes in canonical_axes(*train))
    rho = confirmed_correlations(valid[0] @ a, valid[1] @ b)
    return {"base.x": a.float(), "base.y": b.float(), "base.rho": rho}


def canonical_axes(x: Tensor, y: Tensor, *, full: bool = False) -> tuple[Tensor, Tensor]:
    """Canonical directions of centred rows x [n, dx] and y [n, dy], with ridge regularisation.

    Returns:
        [dx, r] and [dy, r] with r = min(dx, dy), or all dx and dy with `full`. The variates have
        unit variance.
    """
    a, b = _inverse_root(x), _inverse_root(y)
    left, _, right = torch.linalg.svd(a @ (x.T @ y / len(x)) @ b, full_matrices=full)
    a, b = a @ left, b @ right.T
    return a / _spread(x @ a), b / _spread(y @ b)


def _spread(variates: Tensor) -> Tensor:
    """Standard deviations [r]; directions that few rows do not fill are not blown up to one."""
    return variates.std(0).clamp(min=0.05)


def confirmed_correlations(u: Tensor, v: Tensor) -> Tensor:
    """Correlations [r] of variates u, v [n, r] on rows that they were not fitted to.

    They are 0 where they may be due to chance, as in random directions of a wide side.
    """
    rho = (u * v).mean(0) / (u.std(0) * v.std(0))
    chance = 3.2 / math.sqrt(len(u))  # one in a hundred that any of 16 passes by luck
    return torch.where(rho > chance, rho.clamp(max=0.999), 0.0).float()


def _base_score(
    model: Parameters, x: Tensor, y: Tensor, judge: Callable[[Sequence[Scores]], Tensor]
) -> float:
    """What a base alone is worth on paired rows [n, d]."""
    batched = {name: value[None] for name, value in model.items()}
    (u, a), (v, b) = (
        _base(batched, side, values[None].float()) for side, values in (("x", x), ("y", y))
    )
    f, g = _with_own([u], a[..., None]), _with_own([v], b[..., None], last=True)
    count = max(1, round(len(x) / VALIDATION_BLOCK))
    blocks = zip(f.tensor_split(count, 1), g.tensor_split(count, 1), strict=True)
    return float(judge([product_scores(left, right) for left, right in blocks]))


def _inverse_root(values: Tensor) -> Tensor:
    """Inverse square root of the (regularised) covariance of centred columns."""
    n, d = values.shape
    ridge = max(1e-3, d / n)
    spectrum, vectors = torch.linalg.eigh(values.T @ values / n)
    return vectors @ torch.diag((spectrum.clamp(min=0) + ridge + 1e-9) ** -0.5) @ vectors.T


def initial_mlp(
    net: str, sizes: list[int], generator: torch.Generator, *, zero_last: bool
) -> Parameters:
    """Initial weights of an MLP for `apply`, without the problem axis.

    Args:
        net: prefix of the names.
        sizes: widths of the layers, from input to output.
        generator: source of randomness.
        zero_last: start with outputs of 0.
    """
    weights: Parameters = {}
    for layer, (a, b) in enumerate(pairwise(sizes)):
        w = (2 * torch.rand(a, b, generator=generator) - 1) * math.sqrt(3 / a)
        last = layer == len(sizes) - 2
        weights[f"{net}{layer}.w"] = torch.zeros(a, b) if last and zero_last else w
        weights[f"{net}{layer}.b"] = torch.zeros(b)
    return weights


def apply(p: Parameters, net: str, sizes: list[int], x: Tensor) -> Tensor:
    """Apply the MLPs of P problems to rows [P, B, d]."""
    last = len(sizes) - 2
    for layer in range(last + 1):
        x = torch.baddbmm(p[f"{net}{layer}.b"][:, None], x, p[f"{net}{layer}.w"])
        if layer < last:
            x = F.silu(x)
    return x
