"""Scores of compared faces: of pairs, and of templates against single faces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from fer_bench.attackers.attacker import Attacker
from fer_bench.attackers.faces import Faces, dealt_cells, tied_to_target, turn
from fer_bench.metrics.common import Floats, Ints
from fer_bench.metrics.verification import Pairs
from fer_bench.statistics.permutation import permutations

ROUND = 6  # significant digits of a score that count; below is rounding, and ties must stay ties
IMPOSTOR_TRIALS = 100_000
TABLE_ROWS = 3_000
PAIR_BLOCK = 2_000  # pairs whose rows are gathered at once

Templates = Literal["mean", "best"]
PairScores = Callable[[Ints, Ints], Floats]  # scores [n] of rows [n] and rows [n]


@dataclass(frozen=True)
class Side:
    """The genuine or the impostor comparisons.

    Attributes:
        scores: [n], larger for "the same".
        weights: [n], of sum 1.
        people: [n, 2] codes of the two persons compared.
    """

    scores: Floats
    weights: Floats
    people: Ints

    def __len__(self) -> int:
        return len(self.scores)

    def resampled(self, drawn: Floats) -> Floats:
        """Weights [n] when each person was drawn `drawn` [people] times.

        A pair of two persons counts by both (two-way bootstrap; Owen, Annals of Applied
        Statistics 2007), a pair within one by that one.
        """
        first, other = self._counted
        return self.weights * drawn[first] * np.append(drawn, 1.0)[other]

    @cached_property
    def _counted(self) -> tuple[Ints, Ints]:
        """Who a comparison counts by, and by whom else; -1, the last place, for nobody else."""
        first, second = self.people.T
        return np.ascontiguousarray(first), np.where(first != second, second, -1)


@dataclass(frozen=True)
class Comparisons:
    """What one attacker gave for genuine and impostor comparisons.

    Attributes:
        genuine, impostor: their scores.
        n_people: how many persons there are to resample.
    """

    genuine: Side
    impostor: Side
    n_people: int

    @cached_property
    def auc(self) -> float:
        """Probability that a genuine comparison scores above an impostor one; ties count half.

        .5 where either side is empty.
        """
        if not len(self.genuine) or not len(self.impostor):
            return 0.5
        return float(self.genuine.weights @ self.standing(self.genuine.scores))

    def standing(self, scores: Floats) -> Floats:
        """Weighted share of the impostors that lie below each score; ties count half."""
        order = np.argsort(self.impostor.scores)
        ordered = self.impostor.scores[order]
        below = np.r_[0.0, np.cumsum(self.impostor.weights[order])]
        left, right = (np.searchsorted(ordered, scores, side) for side in ("left", "right"))
        return (below[left] + below[right]) / 2 / below[-1]


def compared_pairs(attacker: Attacker, faces: Faces) -> Comparisons:
    """Compare pairs of single faces.

    Args:
        attacker: fitted.
        faces: of people it has not seen.
    """
    return _compared(_pair_scorer(attacker, faces), faces)


def compared_and_permuted(
    attacker: Attacker, faces: Faces, *, draws: int, seed: int = 0
) -> tuple[Comparisons, Iterator[Floats]]:
    """Compare pairs of single faces, also with targets dealt anew.

    Faces trade places within their `apart` code (people within an expression), so that what the
    expression explains stays, and what only the person does is gone. Where most codes have
    one target, as videos of one person have, they trade places as wholes.

    Args:
        attacker: fitted.
        faces: of people it has not seen.
        draws: how often the targets are dealt.
        seed: of it.

    Returns:
        The comparisons, and the scores [g] of the genuine pairs after each deal; NaN for pairs that
        it brought together with one target again, which would put a share of the leak into the
        null (one in seven, for seven expressions). A deal that did so with all pairs, as happens
        with few people, keeps their scores: it is as good as none, and counts against a small p.
    """
    scores = _pair_scorer(attacker, faces)
    return _compared(scores, faces), _permuted(scores, faces, draws, seed)


def _compared(scores: PairScores, faces: Faces) -> Comparisons:
    code = np.unique(faces.people, return_inverse=True)[1].ravel()

    def side(pairs: Pairs, weights: Floats) -> Side:
        people = np.stack([code[pairs.first], code[pairs.second]], axis=1)
        return Side(scores(pairs.first, pairs.second), weights, people)

    (genuine, impostor), (own, other) = faces.pairs, faces.weights
    return Comparisons(side(genuine, own), side(impostor, other), faces.n_people)


def _permuted(scores: PairScores, faces: Faces, draws: int, seed: int) -> Iterator[Floats]:
    genuine, _ = faces.pairs
    orders: Iterable[Ints]
    if tied_to_target(faces):
        rng = np.random.default_rng(seed)
        orders = (dealt_cells(faces, rng) for _ in range(draws))
    else:
        orders = permutations(len(faces), draws=draws, seed=seed, within=faces.apart)
    for order in orders:
        first, second = order[genuine.first], order[genuine.second]
        again = faces.target[first] == faces.target[second]
        drawn = scores(first, second)
        yield drawn if again.all() else np.where(again, np.nan, drawn)


def _pair_scorer(attacker: Attacker, faces: Faces) -> PairScores:
    """Scores of pairs of rows, from a table of all pairs where that is small."""
    embedded, form = attacker.embed(faces.x), attacker.form()
    if len(faces) <= TABLE_ROWS:
        table, n = _rounded(form.table(embedded, embedded)).ravel(), len(faces)
        return lambda first, second: table.take(first * n + second)

    # What depends on one row alone is computed once a row: pairs are many more, and asked anew
    # in each permutation.
    enrolled, own = embedded * form.both, embedded**2 @ form.enrolled + form.constant
    other = embedded**2 @ form.probed

    def scores(first: Ints, second: Ints) -> Floats:
        out = own[first] + other[second]
        for k in range(0, len(out), PAIR_BLOCK):
            i, j = first[k : k + PAIR_BLOCK], second[k : k + PAIR_BLOCK]
            out[k : k + PAIR_BLOCK] += np.einsum("nk,nk->n", enrolled[i], embedded[j])
        return _rounded(out)

    return scores


def _rounded(scores: Floats) -> Floats:
    """Scores to six digits of the largest, in place: equal faces have equal scores."""
    largest = max(scores.max(initial=0.0), -scores.min(initial=0.0))
    if largest > 0:  # tables are large: no copies
        scores /= largest
        np.round(scores, ROUND, out=scores)
        scores *= largest
    return scores


# --- templates ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Searches:
    """Every probe against the template of every target.

    Attributes:
        rank: [q] place of the probe's own target among the templates, 1 first; ties at random.
        gallery: [q] how many templates there were.
        target: [q] codes of the probes' targets, 0..targets-1.
        permuted: [draws, q] places of other targets in its stead, which are dealt anew once a
            draw, so that the probes of one target stay together.
        comparisons: the same as verification.
    """

    rank: Ints
    gallery: Ints
    target: Ints
    permuted: Ints
    comparisons: Comparisons


def searched(
    attacker: Attacker,
    faces: Faces,
    *,
    enrolled: int = 1,
    templates: Templates = "mean",
    draws: int = 20,
    seed: int = 0,
    gallery: Floats | None = None,
) -> Searches | None:
    """Search every face among templates of `enrolled` faces that differ from it in `apart`.

    Args:
        attacker: fitted.
        faces: of people it has not seen.
        enrolled: faces of a template; targets with fewer are left out.
        templates: "mean" of the enrolled faces, or the "best" of their scores.
        draws: how often targets are dealt anew, for a null of the ranks.
        seed: of the enrolled faces, of ties and permutations.
        gallery: [n, k] what is enrolled of each face instead of its embedding (a descriptor of
            the photograph, for an attacker that predicts it).

    Returns:
        The searches, or None where fewer than two targets have so many faces.
    """
    rng = np.random.default_rng(seed)
    probes = attacker.embed(faces.x)
    gallery = probes if gallery is None else gallery
    form = attacker.form(enrolled if templates == "mean" else 1)
    names, target = np.unique(faces.target, return_inverse=True)
    order = rng.permutation(len(faces))
    circles = [rng.permutation(len(names)) for _ in range(draws)]
    searches = []
    for code in np.unique(faces.apart):
        rows = order[faces.apart[order] != code]
        rows = rows[turn(target[rows]) < enrolled]
        have = np.flatnonzero(np.bincount(target[rows], minlength=len(names)) == enrolled)
        rows = rows[np.isin(target[rows], have)]
        rows = rows[np.argsort(target[rows], kind="stable")].reshape(len(have), enrolled)
        asked = np.flatnonzero((faces.apart == code) & np.isin(target, have))
        if len(have) >= 2 and len(asked):
            if templates == "mean":
                table = form.table(attacker.template(gallery[rows]), probes[asked])
            else:
                single = form.table(gallery[rows.ravel()], probes[asked])
                table = single.reshape(*rows.shape, len(asked)).max(axis=1)
            searches.append(_search(_rounded(table), have, asked, target, circles, rng))
    if not searches:
        return None
    return _joined(searches, faces, target)


@dataclass(frozen=True)
class _Search:
    """The searches of one `apart` code; `own`, `others` and `picked` are for verification."""

    rank: Ints
    gallery: int
    asked: Ints
    permuted: Ints
    own: Floats
    others: Floats
    picked: Ints


def _search(
    table: Floats,
    have: Ints,
    asked: Ints,
    target: Ints,
    circles: Sequence[Ints],
    rng: np.random.Generator,
) -> _Search:
    """Rank the own target of each column of a table [templates, probes].

    Under permutation a target stands for the one before it in a random circle of all targets, of
    which those without a template are left out.
    """
    columns, own = np.arange(len(asked)), np.searchsorted(have, target[asked])

    def rank(row: Ints) -> Ints:
        score = table[row, columns]
        ties = (table == score).sum(axis=0) - 1
        return (table > score).sum(axis=0) + 1 + rng.integers(0, ties + 1)

    permuted = []
    for circle in circles:
        around = np.searchsorted(have, circle[np.isin(circle, have)])
        before = np.empty_like(around)
        before[around] = np.roll(around, 1)
        permuted.append(rank(before[own]))
    # As many strangers of each probe as keep the whole within bounds.
    strangers = min(len(have) - 1, max(1, IMPOSTOR_TRIALS // len(target)))
    step = 1 + np.argsort(rng.random((len(asked), len(have) - 1)), axis=1)[:, :strangers]
    picked = (own[:, None] + step) % len(have)
    return _Search(
        rank=rank(own),
        gallery=len(have),
        asked=asked,
        permuted=np.stack(permuted),
        own=table[own, columns],
        others=table[picked, columns[:, None]],
        picked=have[picked],
    )


def _joined(searches: list[_Search], faces: Faces, target: Ints) -> Searches:
    asked = np.concatenate([s.asked for s in searches])
    people = np.unique(faces.people, return_inverse=True)[1].ravel()
    own = people[asked]
    each = np.array([s.picked.shape[1] for s in searches]).repeat([len(s.asked) for s in searches])
    strangers = np.concatenate([s.picked.ravel() for s in searches])
    if np.array_equal(faces.target, faces.people):  # the codes of both are the same
        pairs = np.stack([own.repeat(each), strangers], axis=1)
    else:  # a template of an expression is of many people: only the probe's person counts
        pairs = np.stack([own, own], axis=1).repeat(each, axis=0)
    weight = 1.0 / np.bincount(target[asked])[target[asked]]
    other = (weight / each).repeat(each)
    comparisons = Comparisons(
        Side(
            np.concatenate([s.own for s in searches]),
            weight / weight.sum(),
            np.stack([own, own], axis=1),
        ),
        Side(np.concatenate([s.others.ravel() for s in searches]), other / other.sum(), pairs),
        faces.n_people,
    )
    return Searches(
        rank=np.concatenate([s.rank for s in searches]),
        gallery=np.concatenate([np.full(len(s.asked), s.gallery) for s in searches]),
        target=target[asked],
        permuted=np.concatenate([s.permuted for s in searches], axis=1),
        comparisons=comparisons,
    )
