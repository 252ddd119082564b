"""What comparisons and searches come to: error rates, linkability, ranks and their information."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from fer_bench.attackers.comparisons import Comparisons, Searches, Side
from fer_bench.cautions import Caution
from fer_bench.metrics.common import MOST_EFFECTS, Floats, Ints, undefined, with_interval
from fer_bench.metrics.verification import equal_error_rate
from fer_bench.score import Effects, Score
from fer_bench.statistics.bootstrap import resampling_weights
from fer_bench.statistics.permutation import null_of

FALSE_ACCEPT_RATES = (0.1, 0.01, 0.001)
FALSE_ACCEPTS = 30  # that a rate must rest on ("rule of 30": Doddington et al. 2000)
LINK_BINS = 20
LEAST_TARGETS = 20  # searched targets below which closed-set numbers are withheld
DETECTED = 3.61  # deviations of the null: a value of which is above its 1 % level in nine of ten
KEYS = ("eer", "auc", *(f"tar@{rate:g}" for rate in FALSE_ACCEPT_RATES), "linkability")
LEVELS = np.unique(np.r_[np.linspace(0, 1, 201), 1 - np.geomspace(1e-5, 0.05, 80)])


def verification_numbers(
    compared: Comparisons,
    *,
    permuted: Floats | None = None,
    draws: int = 300,
    seed: int = 0,
) -> dict[str, Score]:
    """Error rates of comparisons, with intervals by two-way bootstrap over people.

    Args:
        compared: genuine and impostor comparisons.
        permuted: [p, g] scores of the genuine comparisons with targets dealt anew, NaN is left out
            (`compared_and_permuted`), for null and p-value, and `details["detectable"]`: the value
            that would be told from the null at 1 % in nine of ten evaluations.
        draws: bootstrap resamples; equal seeds and people give equal resamples.
        seed: of the bootstrap.

    Returns:
        "eer", "auc", "tar@0.1", "tar@0.01", "tar@0.001" (withheld with the number of pairs they
        would need), and "linkability" (the global measure of Gomez-Barrero et al., IEEE TIFS
        2018: 0 none, 1 every comparison betrays itself). All fractions.
    """
    if not len(compared.genuine) or not len(compared.impostor):
        return {key: undefined(Caution("no-pairs"), unit="fraction") for key in KEYS}
    curve = _Curve(compared)
    values, drawn = curve.numbers(None), []
    for block in resampling_weights(compared.n_people, draws=draws, seed=seed):
        drawn += [curve.numbers(weights) for weights in block]
    spread = np.array(drawn)
    # Linkability is a sum of positive parts: noise raises it, and a resample adds as much again.
    spread[:, -1] = np.clip(spread[:, -1] - (np.nanmean(spread[:, -1]) - values[-1]), 0, None)
    counts = _counts(compared)
    chance = dict(zip(KEYS, (0.5, 0.5, *FALSE_ACCEPT_RATES, 0.0), strict=True))
    null = None if permuted is None else np.array([curve.numbers(None, p) for p in permuted])
    out = {}
    for column, key in enumerate(KEYS):
        score = Score(
            float(values[column]), null=chance[key], n=len(compared.genuine), unit="fraction",
            details=counts,
        )  # fmt: skip
        if null is not None:
            sign = -1 if key == "eer" else 1
            estimate = null_of(sign * score.value, sign * null[:, column])
            seen = sign * float(estimate.mean + DETECTED * null[:, column].std())
            score = replace(
                score,
                null=sign * estimate.mean,
                p=estimate.p,
                details={**counts, "detectable": seen},
            )
        out[key] = with_interval(score, spread[:, column], clusters=counts["people"])
    return out | _withheld(out, counts)


def resampled_auc(compared: Comparisons, *, draws: int, seed: int = 0) -> tuple[float, Floats]:
    """AUC, and [draws] of it when people are resampled on both sides of a pair.

    Equal seeds and people give equal resamples, so that differences are paired.
    """
    curve, auc = _Curve(compared), KEYS.index("auc")
    blocks = resampling_weights(compared.n_people, draws=draws, seed=seed)
    drawn = [curve.numbers(weights)[auc] for block in blocks for weights in block]
    return float(curve.numbers(None)[auc]), np.array(drawn)


def person_effects(compared: Comparisons) -> dict[str, Effects]:
    """What each person changes in the numbers of `verification_numbers`: delete-one jackknife.

    Without a person all pairs that show them are left out, on whichever side they stand.

    Returns:
        By key, people as codes 0..n_people-1; a number that is not defined without some person
        is missing, as all are beyond 20,000 people.
    """
    both = np.concatenate([compared.genuine.people.ravel(), compared.impostor.people.ravel()])
    people, faces = np.unique(both, return_counts=True)
    if not len(compared.genuine) or not len(compared.impostor) or len(people) > MOST_EFFECTS:
        return {}
    curve, others = _Curve(compared), np.ones(compared.n_people)
    without = np.empty((len(people), len(KEYS)))
    for row, person in zip(without, people, strict=True):
        others[person] = 0.0
        row[:] = curve.numbers(others)
        others[person] = 1.0
    changes = curve.numbers(None) - without
    return {
        key: Effects(people, column, faces.astype(np.float64))
        for key, column in zip(KEYS, changes.T, strict=True)
        if np.isfinite(column).all()
    }


class _Curve:
    """The ROC curve of comparisons on fixed thresholds, for any weights of the people."""

    def __init__(self, compared: Comparisons) -> None:
        self.compared = compared
        ordered = np.sort(compared.impostor.scores)
        self.thresholds = np.unique(np.quantile(ordered, LEVELS, method="lower"))
        self._genuine = self._bins(compared.genuine.scores)
        self._impostor = self._bins(compared.impostor.scores)

    def _bins(self, scores: Floats) -> Ints:
        """How many thresholds each score lies above."""
        return np.searchsorted(self.thresholds, scores, side="left")

    def numbers(self, drawn: Floats | None, genuine: Floats | None = None) -> Floats:
        """[len(KEYS)] values when people weigh `drawn`, or with other genuine scores."""
        bins = self._genuine if genuine is None else self._bins(genuine)
        own = self._masses(bins, self._weights(self.compared.genuine, drawn, genuine))
        other = self._masses(self._impostor, self._weights(self.compared.impostor, drawn))
        if own is None or other is None:
            return np.full(len(KEYS), np.nan)
        # Points of the curve from "accept all" to "accept none".
        hits = np.r_[own[::-1].cumsum()[::-1], 0.0]
        accepts = np.r_[other[::-1].cumsum()[::-1], 0.0]
        auc = float(np.sum((accepts[:-1] - accepts[1:]) * (hits[:-1] + hits[1:])) / 2)
        eer = equal_error_rate(1 - hits, accepts)[0]
        rates = np.interp(FALSE_ACCEPT_RATES, accepts[::-1], hits[::-1])
        return np.r_[eer, auc, rates, _linkability(own, other)]

    @staticmethod
    def _weights(side: Side, drawn: Floats | None, scores: Floats | None = None) -> Floats:
        """Of the comparisons, 0 where other scores are not known."""
        weights = side.weights if drawn is None else side.resampled(drawn)
        return weights if scores is None else np.where(np.isnan(scores), 0.0, weights)

    def _masses(self, bins: Ints, weights: Floats) -> Floats | None:
        mass = np.bincount(bins, weights, minlength=len(self.thresholds) + 1)
        return mass / mass.sum() if mass.sum() > 0 else None


def _linkability(own: Floats, other: Floats) -> float:
    """sum of g max(0, (g - i) / (g + i)) over bins of equal impostor mass."""
    group = np.minimum((np.cumsum(other) - other / 2) * LINK_BINS, LINK_BINS - 1).astype(np.int64)
    g, i = (np.bincount(group, mass, minlength=LINK_BINS) for mass in (own, other))
    both = np.where(g + i > 0, g + i, 1.0)
    return float(np.sum(g * np.clip((g - i) / both, 0, None)))


def _counts(compared: Comparisons) -> dict[str, int]:
    """The people and pairs a number rests on."""
    pairs = compared.impostor.people
    several = pairs[pairs[:, 0] != pairs[:, 1]]
    both = several if len(several) else pairs
    return {
        "people": len(np.unique(compared.genuine.people)),
        "genuine_pairs": len(compared.genuine),
        "impostor_pairs": len(compared.impostor),
        "people_pairs": len(np.unique(np.sort(both, axis=1), axis=0)),
    }


def _withheld(scores: Mapping[str, Score], counts: Mapping[str, int]) -> dict[str, Score]:
    """Rates that rest on too few comparisons, replaced by how many they would need."""
    out = {}
    for rate in FALSE_ACCEPT_RATES:
        pairs, people = round(FALSE_ACCEPTS / rate), round(1 / rate)
        if counts["impostor_pairs"] < pairs or counts["people_pairs"] < people:
            reason = Caution(
                "few-for-far", rate=rate, pairs=counts["impostor_pairs"], needed=pairs,
                people_pairs=counts["people_pairs"], people_needed=people,
            )  # fmt: skip
            score = scores[f"tar@{rate:g}"]
            blank = undefined(reason, n=score.n, unit="fraction")
            out[f"tar@{rate:g}"] = replace(blank, details=score.details)
    return out


# --- searches ------------------------------------------------------------------------------


def search_numbers(
    searches: Searches | None, *, draws: int = 300, seed: int = 0
) -> dict[str, Score]:
    """Rank-1 and the information of the rank, with intervals over the targets searched for.

    The information of a rank among N is `log2 N - H(rank)`. H is taken in log-spaced bins, within
    which all ranks count as equally likely; the plug-in is biased upwards, so that the mean over
    permuted people is taken off. A lower bound of the mean, never what one person betrays.

    Args:
        searches: searches, None where there were none.
        draws: bootstrap resamples.
        seed: of the bootstrap.

    Returns:
        "rank1" (fraction; null = permuted people) and "rank_bits" (bits; null 0). Withheld where
        they rest on fewer than 20 targets.
    """
    keys = ("rank1", "rank_bits")
    targets = 0 if searches is None else len(np.unique(searches.target))
    if searches is None or targets < LEAST_TARGETS:
        reason = Caution("few-for-search", targets=targets, least=LEAST_TARGETS)
        return {key: undefined(reason) for key in keys}
    tables = _search_tables(searches, searches.rank)
    values = _search_values(tables)[0]
    null = np.mean(
        [_search_values(_search_tables(searches, row))[0] for row in searches.permuted], axis=0
    )
    spread = np.concatenate(
        [
            _search_values(tables, weights)
            for weights in resampling_weights(len(tables.bins), draws=draws, seed=seed)
        ]
    )
    details = {
        "targets": targets,
        "searches": len(searches.rank),
        "gallery": int(searches.gallery.max()),
    }
    rank1 = Score(
        float(values[0]),
        null=float(null[0]),
        n=len(searches.rank),
        unit="fraction",
        details=details,
    )
    bits = Score(
        float(values[1] - null[1]), null=0.0, n=len(searches.rank), unit="bits",
        details={**details, "bias": float(null[1])},
    )  # fmt: skip
    return {
        "rank1": with_interval(rank1, spread[:, 0], clusters=targets),
        # A resample repeats targets, which adds as much bias again as there is.
        "rank_bits": with_interval(
            bits, spread[:, 1] - (spread[:, 1].mean() - values[1]) - null[1], clusters=targets
        ),
    }


@dataclass(frozen=True)
class _Tables:
    """The searches of each target: shares [targets, bins] of rank bins, [targets] of rank 1."""

    bins: Floats
    first: Floats
    width: Floats
    gallery: int


def _search_tables(searches: Searches, rank: Ints) -> _Tables:
    code = np.unique(searches.target, return_inverse=True)[1].ravel()
    gallery = int(searches.gallery.max())
    edges = 2 ** np.arange(int(np.log2(gallery)) + 2)  # ranks 1, 2-3, 4-7, ...
    width = np.diff(np.minimum(edges, gallery + 1))
    at = np.floor(np.log2(rank)).astype(np.int64)
    count = np.bincount(code)
    bins = np.zeros((len(count), len(width)))
    np.add.at(bins, (code, at), 1.0 / count[code])
    first = np.bincount(code, rank == 1) / count
    return _Tables(bins, first, width.astype(float), gallery)


def _search_values(tables: _Tables, weights: Floats | None = None) -> Floats:
    """[b, 2] rank-1 and plug-in information in bits, for targets of `weights` [b, targets]."""
    weights = np.ones((1, len(tables.bins))) if weights is None else weights
    total = weights.sum(axis=1, keepdims=True)
    share = weights @ tables.bins / total
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(share > 0, share * np.log2(share / tables.width), 0.0)
    bits = np.log2(tables.gallery) + terms.sum(axis=1)
    return np.stack([weights @ tables.first / total[:, 0], bits], axis=1)
