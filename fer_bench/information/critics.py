"""Critics T(x, y), batched over problems, and what is maximised over them.

All score a batch of pairs the same way (`Scores`), whatever the network looks like.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from fer_bench.information.training import Fold, Parameters


class Scores(NamedTuple):
    """Critic values of a batch.

    Attributes:
        positive: [P, B], of the rows as paired.
        negative: [P, B, K], of x_i with the y of other rows; -inf marks an entry that is none.
        per_row: how many of the K are negatives.
    """

    positive: Tensor
    negative: Tensor
    per_row: int


def matrix_scores(matrix: Tensor) -> Scores:
    """All pairs of a batch [P, B, B]: the diagonal as paired, all else as negatives."""
    size = matrix.shape[-1]
    eye = torch.eye(size, dtype=torch.bool, device=matrix.device)
    positive = matrix.diagonal(dim1=-2, dim2=-1)
    return Scores(positive, matrix.masked_fill(eye, -math.inf), size - 1)


class ShiftScores(NamedTuple):
    """Critic values of one problem's block of rows, negatives by cyclic shift of the pairing.

    Attributes:
        positive: [B].
        negative: [B, K], of x_i with the y of row i + shift_k.
        by_column: [B, K], the negatives that y_i took part in.
    """

    positive: Tensor
    negative: Tensor
    by_column: Tensor


def _diagonals(matrix: Tensor) -> Tensor:
    """All cyclic diagonals but the first as columns: [B, B] -> [B, B - 1], without a gather."""
    size = len(matrix)
    doubled = torch.cat([matrix, matrix], dim=1)
    return doubled.as_strided((size, size), (2 * size + 1, 1))[:, 1:]


class Critic:
    """A critic of given shape; parameters live outside, with a problem axis.

    Args:
        dx, dy: leading columns of the two sides that the networks look at.
        kind: "separable" f(x).g(y) + a(x) + b(y); "bilinear" the same with linear f, g and
            quadratic a, b; "concatenated" an MLP on [x, y]; "hybrid" a small MLP on f(x), g(y).
        hidden, depth: width and number of hidden layers.
        embed: columns of f and g.
        base: whether a normal model of the leading canonical pairs (`canonical_base`) is added, so
            that the network learns only what is not Gaussian.
        shifts: how many negatives a row meets, for the two kinds that must run the network on
            every pair; the others meet the whole batch at no cost.
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
        criterion: Callable[[Scores], Tensor],
    ) -> Parameters:
        """Weights of one problem; the network starts as the constant 0."""
        weights: Parameters = {}
        for net, sizes in self.nets.items():
            weights |= initial_mlp(net, sizes, generator, zero_last=net in ("t", "g"))
        if self.kind == "bilinear":
            weights["a"], weights["b"] = (
                torch.zeros(self.dx, self.dx),
                torch.zeros(self.dy, self.dy),
            )
        if self.base:
            weights |= canonical_base(fold, (self.dx, self.dy), criterion)
        return weights

    def scores(self, p: Parameters, x: Tensor, y: Tensor) -> Scores:
        """Score a batch [P, B, d]: every row against the whole batch, or against a few shifts."""
        size = x.shape[1]
        if self.meets_all:
            return matrix_scores(self._matrix(p, x, y))
        shifts = list(range(1, min(self.shifts, size - 1) + 1))
        values = self._shifted(p, x, y, [0, *shifts])
        return Scores(values[..., 0], values[..., 1:], len(shifts))

    def shift_scores(self, p: Parameters, x: Tensor, y: Tensor, shifts: int) -> ShiftScores:
        """Score one problem's rows [1, B, d] against many shifts (all, where that is cheap)."""
        size = x.shape[1]
        if self.meets_all:
            matrix = self._matrix(p, x, y)[0]
            return ShiftScores(matrix.diagonal(), _diagonals(matrix), _diagonals(matrix.T))
        at = torch.linspace(1, size - 1, min(shifts, size - 1), device=x.device).round().long()
        values = self._shifted(p, x, y, [0, *at.tolist()])[0]
        rows = torch.arange(size, device=x.device)[:, None]
        negative = values[:, 1:]
        return ShiftScores(values[:, 0], negative, negative.gather(0, (rows - at) % size))

    @property
    def meets_all(self) -> bool:
        """Whether scoring all pairs of a batch costs no more than one matrix product."""
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

    def _matrix(self, p: Parameters, x: Tensor, y: Tensor) -> Tensor:
        left, right = x[..., : self.dx], y[..., : self.dy]
        f, g = apply(p, "f", self.nets["f"], left), apply(p, "g", self.nets["g"], right)
        if self.kind == "bilinear":
            a = (torch.bmm(left, p["a"]) * left).sum(-1)
            b = (torch.bmm(right, p["b"]) * right).sum(-1)
        else:
            a, b = f[..., -1], g[..., -1]
            f, g = f[..., :-1], g[..., :-1]
        if self.base:
            (u, c), (v, d) = _base(p, "x", x), _base(p, "y", y)
            f, g, a, b = torch.cat([f, u], -1), torch.cat([g, v], -1), a + c, b + d
        return torch.bmm(f, g.transpose(1, 2)) + a[..., None] + b[:, None, :]


def _base(p: Parameters, side: str, values: Tensor) -> tuple[Tensor, Tensor]:
    """Canonical variates [P, B, r], scaled for the product, and the side's own term [P, B]."""
    variates = torch.bmm(values, p[f"base.{side}"]).clamp(-3.5, 3.5)  # outliers must not rule
    rho = p["base.rho"][:, None]
    rest = 1 - rho**2
    own = 0.5 * (variates**2 * rho**2 / rest).sum(-1)
    constant = 0.25 * torch.log(rest).sum(-1)  # each side brings half of it
    return variates * torch.sqrt(rho / rest), -own - constant


def canonical_base(
    fold: Fold, columns: tuple[int, int], criterion: Callable[[Scores], Tensor], rank: int = 16
) -> Parameters:
    """A normal model of one problem's leading canonical pairs.

    Fitted once to the columns that networks see and once to all `features`, with the
    correlations as they are and shrunk; the one that the criterion likes best on the validation
    rows is kept, or none where it is not clearly above zero.
    """
    parts = [fold.part(rows) for rows in (fold.train, fold.valid)]
    train, valid = ([side[0].cpu().double() for side in part] for part in parts)
    full = (train[0].shape[1], train[1].shape[1])
    rank = min(rank, *columns)
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
            score = min(_base_score(candidate, x, y, criterion) for x, y in halves)
            if score > best_score:
                best, best_score = candidate, score
    assert best is not None
    return best if best_score > 0 else best | {"base.rho": torch.zeros(rank)}


def _canonical_pairs(
    train: tuple[Tensor, Tensor], valid: tuple[Tensor, Tensor], rank: int
) -> Parameters:
    """Directions from the training rows (ridge-regularised), correlations from the others.

    So chance directions of a wide side get no correlation.
    """
    a, b = (_inverse_root(side) for side in train)
    left, _, right = torch.linalg.svd(
        a @ (train[0].T @ train[1] / len(train[0])) @ b, full_matrices=False
    )
    a, b = a @ left[:, :rank], b @ right[:rank].T
    a, b = a / (train[0] @ a).std(0), b / (train[1] @ b).std(0)
    u, v = valid[0] @ a, valid[1] @ b
    rho = (u * v).mean(0) / (u.std(0) * v.std(0))
    chance = 3.2 / math.sqrt(len(u))  # one in a hundred that any of 16 passes by luck
    return {
        "base.x": a.float(),
        "base.y": b.float(),
        "base.rho": torch.where(rho > chance, rho.clamp(max=0.999), 0.0).float(),
    }


def _base_score(
    model: Parameters, x: Tensor, y: Tensor, criterion: Callable[[Scores], Tensor]
) -> float:
    """A criterion of a base alone on paired rows [n, d]."""
    batched = {name: value[None] for name, value in model.items()}
    (u, a), (v, b) = (
        _base(batched, side, values[None].float()) for side, values in (("x", x), ("y", y))
    )
    return float(criterion(matrix_scores(u @ v.transpose(1, 2) + a[..., None] + b[:, None])))


def _inverse_root(values: Tensor, ridge: float | None = None) -> Tensor:
    """Inverse square root of the (regularised) covariance of centred columns."""
    n, d = values.shape
    covariance = values.T @ values / n
    ridge = max(1e-3, d / n) if ridge is None else ridge
    spectrum, vectors = torch.linalg.eigh(covariance)
    return vectors @ torch.diag((spectrum.clamp(min=0) + ridge + 1e-9) ** -0.5) @ vectors.T


def initial_mlp(
    net: str, sizes: list[int], generator: torch.Generator, *, zero_last: bool
) -> Parameters:
    """Weights of an MLP for `apply`, without the problem axis."""
    weights: Parameters = {}
    for layer, (a, b) in enumerate(pairwise(sizes)):
        w = (2 * torch.rand(a, b, generator=generator) - 1) * math.sqrt(3 / a)
        last = layer == len(sizes) - 2
        weights[f"{net}{layer}.w"] = torch.zeros(a, b) if last and zero_last else w
        weights[f"{net}{layer}.b"] = torch.zeros(b)
    return weights


def apply(p: Parameters, net: str, sizes: list[int], x: Tensor) -> Tensor:
    """Run a batched MLP on [P, B, d]."""
    last = len(sizes) - 2
    for layer in range(last + 1):
        x = torch.baddbmm(p[f"{net}{layer}.b"][:, None], x, p[f"{net}{layer}.w"])
        if layer < last:
            x = F.silu(x)
    return x
