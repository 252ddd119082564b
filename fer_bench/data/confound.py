"""Data in which an attribute is tied to the expression, as strongly as asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.data.faces import FaceData
from fer_bench.data.splits import Fold, Rows
from fer_bench.errors import DataError, did_you_mean


def confound(
    data: FaceData,
    *,
    attribute: str,
    rho: float,
    seed: int = 0,
    expression: str = "expression",
    reverse: bool = False,
    n: int | None = None,
) -> tuple[FaceData, dict[str, Any]]:
    """Choose rows so that an attribute and the expression depend on each other.

    Attribute level i and expression j are *tied* when i = j modulo the smaller of both numbers
    of levels (both in their canonical order). The wanted joint distribution is

        p(a, y) = (1 - rho) p(a) p(y) + rho p_tied(a, y)

    with the marginals of the data; p_tied keeps p(y) and puts all of it on tied cells. Rows are
    drawn without replacement, so no face occurs twice and no duplicate can cross a split. With
    `rho=0` the two are made independent.

    Args:
        data: the faces; rows where either is missing are left out.
        attribute: a categorical column, "subject" included.
        rho: strength in [0, 1].
        seed: of the draw.
        expression: the other column.
        reverse: tie every expression to the *next* attribute level, for test sets in which what
            was learned from a shortcut is wrong.
        n: number of rows; by default as many as the rarest cell allows. Give the same number for
            every rho where they are compared.

    Returns:
        The chosen faces and what was achieved: their rows, n, rho (the share of rows beyond
        chance on tied cells), Cramer's V, mutual information (nats), normalised mutual
        information, the tie, and the table of counts.

    Raises:
        DataError: an unknown column, one level only, an empty cell, or too few rows.
    """
    if not 0 <= rho <= 1:
        raise DataError(f"rho is {rho}: give a number from 0 to 1.")
    counts, (a, a_names), (y, y_names) = _counts(data, attribute, expression)
    tied = tie(len(a_names), len(y_names), reverse=reverse)
    target = _target(counts, tied, rho)
    rng = np.random.default_rng(seed)
    want = _cell_counts(target, counts, n, a_names, y_names, data.info.name, tied, rng)
    chosen = []
    for i, j in np.ndindex(*counts.shape):
        cell = np.flatnonzero((a == i) & (y == j))
        chosen.append(rng.permutation(cell)[: want[i, j]])
    rows = np.sort(np.concatenate(chosen))
    achieved = dependence(want, tied, counts.sum(1) / counts.sum())
    achieved["tie"] = {
        y_names[j]: [a_names[i] for i in np.flatnonzero(tied[:, j])] for j in range(len(y_names))
    }
    achieved["counts"] = pd.DataFrame(want, index=a_names, columns=y_names).to_dict("index")
    note = (
        f"{attribute} tied to {expression}{' (reversed)' if reverse else ''} with rho "
        f"{achieved['rho']:.3f} (asked {rho:g}), Cramer's V {achieved['cramers_v']:.3f}, "
        f"{achieved['n']} faces"
    )
    achieved["rows"] = rows
    view = data.subset(rows)
    return view.with_info(data.info.with_notes(note)), achieved


def confounded_fold(
    data: FaceData, fold: Fold, *, attribute: str, rho: float, seed: int = 0
) -> tuple[Fold, Rows, tuple[str, ...]]:
    """The faces of a fold for a controlled confounding experiment.

    The training and validation parts get the tie of strength `rho`, and as many faces as every
    strength from 0 to 1 allows, so that strengths differ in the tie alone. The test part is
    thinned until the attribute and the expression are independent. The same people also give a
    reversed test part, in which every expression is tied to the other attribute level with
    strength 1: a model that learned the shortcut is wrong there.

    Args:
        data: faces with the attribute.
        fold: of these faces.
        attribute: name of the column that is tied to the expression.
        rho: strength of the tie, from 0 (independent) to 1 (the attribute names the expression).
        seed: of the choice of faces.

    Returns:
        The fold with the chosen rows (its test part is the unbiased one), the rows of the
        reversed test part, and a sentence about what was achieved in each part.

    Raises:
        DataError: as `confound`, or a part lacks a level of the attribute or an expression.
    """
    chosen, notes = [], []
    for name, rows, strength, reverse in (
        ("train", fold.train, rho, False),
        ("validation", fold.validation, rho, False),
        ("test", fold.test, 0.0, False),
        ("reversed test", fold.test, 1.0, True),
    ):
        part = data.subset(rows)
        # The tie is between positions of levels: a level too few would shift it.
        for column in (attribute, "expression"):
            gone = sorted(set(_present(data, column)[1]) - set(_present(part, column)[1]))
            if gone:
                raise DataError(
                    f"{data.info.name}: no face of the {name} part has {column} {gone[0]!r}, so "
                    "it cannot be confounded like the others: use fewer folds or another attribute."
                )
        shared = name in ("train", "validation")
        _, reached = confound(
            part, attribute=attribute, rho=strength, seed=seed, reverse=reverse,
            n=min(most_rows(part, attribute=attribute, rho=r) for r in (0, 1)) if shared else None,
        )  # fmt: skip
        chosen.append(rows[reached["rows"]])
        notes.append(
            f"{attribute} and expression in the {name} part: "
            f"rho {round(reached['rho'], 2) + 0:.2f}, Cramer's V {reached['cramers_v']:.2f}, "
            f"{reached['n']} faces"
        )
    return Fold(*chosen[:3]), chosen[3], tuple(notes)


def most_rows(data: FaceData, *, attribute: str, rho: float) -> int:
    """How many rows `confound` can choose at that strength.

    Every cell's share is linear in rho, so what both 0 and 1 allow, all between them allow.
    """
    counts, _, _ = _counts(data, attribute, "expression")
    return _most(_target(counts, tie(*counts.shape), rho), counts)[0]


def tie(n_levels: int, n_classes: int, *, reverse: bool = False) -> NDArray[np.bool_]:
    """Which attribute level goes with which class, as [n_levels, n_classes] of truth values.

    Args:
        n_levels, n_classes: A levels of the attribute and Y expressions.
        reverse: tie every class to another level instead.

    >>> tie(2, 3).astype(int).tolist()
    [[1, 0, 1], [0, 1, 0]]
    """
    period = min(n_levels, n_classes)
    levels = np.arange(n_levels)[:, None] % period
    classes = (np.arange(n_classes)[None, :] + int(reverse)) % period
    return levels == classes


def dependence(
    counts: NDArray[np.int64], tied: NDArray[np.bool_], p_a: NDArray[np.float64]
) -> dict[str, Any]:
    """How strongly a table of counts [A, Y] ties attribute levels to expressions.

    rho = (share on tied cells - share there by chance) / (1 - share there by chance), where
    chance is the attribute's distribution `p_a` before anything was tied. (Tying three levels
    to four classes cannot leave that distribution as it was.)
    """
    n = int(counts.sum())
    p = counts / n
    chance = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        information = float(np.nansum(p * np.log(p / chance)))
        chi2 = float(np.nansum((p - chance) ** 2 / chance)) * n
    entropies = [-sum(q * np.log(q) for q in p.sum(axis) if q > 0) for axis in (0, 1)]
    smaller = min((p.sum(1) > 0).sum(), (p.sum(0) > 0).sum()) - 1
    by_chance = float((p_a[:, None] * p.sum(0))[tied].sum())
    smallest = float(min(entropies))
    return {
        "n": n,
        "rho": (float(p[tied].sum()) - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0,
        "cramers_v": float(np.sqrt(chi2 / n / smaller)) if smaller > 0 else 0.0,
        "mutual_information": information,
        "normalised_mutual_information": information / smallest if smallest else 0.0,
    }


_Levels = tuple[NDArray[np.int64], list[str]]


def _counts(
    data: FaceData, attribute: str, expression: str
) -> tuple[NDArray[np.int64], _Levels, _Levels]:
    """[A, Y] faces of every cell, and codes and names of both columns."""
    a, y = _levels(data, attribute), _levels(data, expression)
    counts = np.zeros((len(a[1]), len(y[1])), dtype=np.int64)
    usable = (a[0] >= 0) & (y[0] >= 0)
    np.add.at(counts, (a[0][usable], y[0][usable]), 1)
    return counts, a, y


def _levels(data: FaceData, column: str) -> _Levels:
    codes, names = _present(data, column)
    if len(names) < 2:
        raise DataError(f"{column} of {data.info.name} has {len(names)} level: two are needed.")
    return codes, names


def _present(data: FaceData, column: str) -> _Levels:
    """Codes of a column, -1 where missing, and the names that occur."""
    if column == "expression":
        codes, names = data.expression, list(data.classes)
    elif column in data.table and column != "path":
        values = data.table[column].astype("str")
        names = sorted(values.dropna().unique())
        codes = pd.Categorical(values, categories=names).codes.astype(np.int64)
    else:
        known = ["expression", "subject", *data.attributes]
        raise DataError(f"{data.info.name} has no column {column!r}: {did_you_mean(column, known)}")
    present = np.unique(codes[codes >= 0])
    again = np.full(len(names) + 1, -1)
    again[present] = np.arange(len(present))
    return again[codes], [names[code] for code in present]


def _target(counts: NDArray[np.int64], tied: NDArray[np.bool_], rho: float) -> NDArray[np.float64]:
    """[A, Y] the wanted joint distribution."""
    p = counts / counts.sum()
    p_a, p_y = p.sum(1, keepdims=True), p.sum(0, keepdims=True)
    on_tied = p_a * tied
    on_tied = on_tied / on_tied.sum(0, keepdims=True) * p_y
    return (1 - rho) * p_a * p_y + rho * on_tied


def _cell_counts(
    target: NDArray[np.float64],
    counts: NDArray[np.int64],
    n: int | None,
    a_names: list[str],
    y_names: list[str],
    name: str,
    tied: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """[A, Y] rows to draw from each cell: the target, as large as the cells allow."""
    most, (i, j) = _most(target, counts)
    cell = f"{a_names[i]} x {y_names[j]} ({counts[i, j]} faces)"
    if most < 1:
        raise DataError(f"{name}: the cell {cell} is empty, so this dependence cannot be had.")
    if n is not None and n > most:
        raise DataError(f"{name}: n={n} is more than the {most} rows that {cell} allows.")
    # First how many rows of each class, then how many of them are tied, then which levels: so
    # the dependence stays what was asked even where a single cell is due less than one row.
    n = n or most
    per_class = _shares(n, target.sum(0), rng)
    tied_mass = np.where(tied, target, 0).sum(0)
    per_class_tied = _shares(round(n * tied_mass.sum()), tied_mass, rng)
    table = np.zeros_like(counts)
    for y in range(counts.shape[1]):
        due = min(per_class_tied[y], per_class[y])
        for cells, total in ((tied[:, y], due), (~tied[:, y], per_class[y] - due)):
            table[cells, y] = _shares(total, target[cells, y], rng, counts[cells, y])
    return table


def _most(
    target: NDArray[np.float64], counts: NDArray[np.int64]
) -> tuple[int, tuple[np.intp, ...]]:
    """The most rows that the cells allow, and the cell that allows no more."""
    with np.errstate(divide="ignore", invalid="ignore"):
        limit = np.where(target > 1e-12, counts / target, np.inf)
    cell = np.unravel_index(np.argmin(limit), limit.shape)
    return int(np.floor(limit[cell] + 1e-9)), cell


def _shares(
    total: int,
    weights: NDArray[np.float64],
    rng: np.random.Generator,
    most: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Whole numbers in proportion to weights, by largest remainders (ties by lot)."""
    if not len(weights) or weights.sum() <= 0:
        return np.zeros(len(weights), dtype=np.int64)
    most = np.full(len(weights), total) if most is None else most
    exact = total * weights / weights.sum()
    counts = np.minimum(np.floor(exact + 1e-9).astype(np.int64), most)
    order = np.lexsort((rng.random(len(weights)), -(exact - counts)))
    while (short := total - int(counts.sum())) > 0 and (counts < most).any():
        able = order[counts[order] < most[order]]
        counts[able[:short]] += 1
    return counts
