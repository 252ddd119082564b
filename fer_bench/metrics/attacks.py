"""Attackers: probes that name the person or the expression, their controls and scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_bench.cautions import Caution
from fer_bench.labels import read_labels, renumbered
from fer_bench.metrics.common import Floats, Ints, person_effects, undefined, with_interval
from fer_bench.metrics.probes import KnnProbe, Probed, Split, linear_probe, split_labels
from fer_bench.reading import read_matrix
from fer_bench.score import Score
from fer_bench.statistics.bootstrap import bootstrap_draws, cluster_sums, delete_one
from fer_bench.statistics.permutation import agreement_null, permutations

CONTROLS = 5  # control tasks (permuted labels) a closed-form probe is fitted on
PERMUTATIONS = 499
FLOOR = "floor"  # the one-hot expression label in the place of an embedding


def normalised_leak(score: Score, ceiling: Score | float, chance: float) -> Score:
    """Leak on the scale from chance (0) to a ceiling (1): (probe - chance) / (ceiling - chance).

    Args:
        score: of the probe.
        ceiling: of the same probe on face-recognition features, else on pixels.
        chance: what guessing gives.

    Returns:
        The scaled score and interval; NaN where the ceiling is not above chance.

    >>> normalised_leak(Score(0.5, 0.4, 0.6), 0.9, 0.1).value
    0.5
    """
    top = float(ceiling)
    if not top > chance:
        return undefined(Caution("ceiling-at-chance"), n=score.n)

    def scale(value: float | None) -> float | None:
        return None if value is None else (value - chance) / (top - chance)

    return replace(
        score,
        value=(score.value - chance) / (top - chance),
        effects=None if score.effects is None else score.effects.scaled(1 / (top - chance)),
        low=scale(score.low),
        high=scale(score.high),
        null=scale(score.null),
        unit="fraction of the ceiling",
        details={**score.details, "ceiling": top, "chance": chance},
    )


def centred(x: ArrayLike, groups: ArrayLike) -> Floats:
    """Rows less the mean of their group [n]; rows with group -1 lose the overall mean.

    >>> centred([[1.0], [3.0], [5.0]], [0, 0, 1]).tolist()
    [[-1.0], [1.0], [0.0]]
    """
    values, group = np.asarray(x, dtype=np.float64), np.asarray(groups, dtype=np.int64)
    code = np.where(group < 0, group.max(initial=-1) + 1, group)
    count = np.bincount(code)
    order = np.argsort(code, kind="stable")
    present = np.flatnonzero(count)
    starts = np.searchsorted(code[order], present)
    mean = np.zeros((len(count), values.shape[1]))
    mean[present] = np.add.reduceat(values[order], starts, axis=0) / count[present, None]
    return values - mean[code]


@dataclass(frozen=True)
class Attack:
    """A fitted attacker.

    Attributes:
        probed: its predictions of the tested rows.
        control: accuracy of the same probe fitted on permuted labels, NaN if not measured.
    """

    probed: Probed
    control: float = float("nan")


def identity_attacks(
    embeddings: Mapping[str, ArrayLike],
    subject: ArrayLike,
    expression: ArrayLike,
    split: Split,
    *,
    seed: int = 0,
) -> dict[str, dict[str, Attack]]:
    """Attack several embeddings of the same images: name -> probe -> Attack.

    The control task (Hewitt and Liang, EMNLP 2019) is the same probe, fitted on permuted
    subject labels: what it still scores is memory and prior, not leakage.

    Args:
        embeddings: [n, d] by name.
        subject: [n] labels, known in the rows of the split.
        expression: [n] labels, -1 where unknown.
        split: rows to fit, tune and test on.
        seed: of controls and networks.

    Raises:
        DataError: lengths differ, embeddings have gaps, a row of the split has no subject.
    """
    from fer_bench.metrics.network_probe import mlp_probes  # heavy

    s = read_labels(subject, "subject")
    y = renumbered(read_labels(expression, "expression", rows=len(s)))
    embeddings = {
        name: read_matrix(x, f"embedding {name!r}", rows=len(s)) for name, x in embeddings.items()
    }
    split_labels(s, split)
    truth = s[split.test]
    shuffled = [_permuted(s, split.fit, seed + k) for k in range(CONTROLS)]
    out: dict[str, dict[str, Attack]] = {}
    views: dict[str, NDArray[Any]] = {}
    settings: dict[str, str] = {}
    for name, x in embeddings.items():
        candidates = attacker_views(x, y, split)
        out[name] = {}
        for probe, prepared in (("linear", _linear), ("knn", KnnProbe)):
            fits = {view: prepared(values, split) for view, values in candidates.items()}
            tried = {view: fit(s) for view, fit in fits.items()}
            view = max(tried, key=lambda v: np.nan_to_num(tried[v].validation))
            control = np.mean([np.mean(fits[view](c).predicted == truth) for c in shuffled])
            out[name][probe] = Attack(named_setting(tried[view], view), float(control))
            if probe == "linear":
                # The network gets the view that served the linear probe.
                views[name], settings[name] = candidates[view], view
    names = list(views)
    controls = [name for name in names if name != FLOOR]
    fitted = mlp_probes(
        [views[name] for name in names + controls],
        [s] * len(names) + [shuffled[0]] * len(controls),
        split,
        seed=seed,
    )
    for k, name in enumerate(names):
        control = float("nan")
        if name in controls:
            other = fitted[len(names) + controls.index(name)]
            control = float(np.mean(other.predicted == truth))
        out[name]["mlp"] = Attack(named_setting(fitted[k], settings[name]), control)
    return out


def _linear(x: ArrayLike, split: Split) -> Callable[[ArrayLike], Probed]:
    return lambda y: linear_probe(x, y, split)


def attacker_views(x: ArrayLike, expression: Ints, split: Split) -> dict[str, NDArray[Any]]:
    """An embedding as it is and, where expressions are known, less the mean of each expression.

    Args:
        x: [n, d].
        expression: [n] codes, -1 where unknown.
        split: rows to fit, tune and test on.
    """
    views = {"": np.asarray(x)}
    if (expression[split.test] >= 0).any():
        views["expression-centred"] = centred(x, expression)
    return views


def named_setting(probed: Probed, view: str) -> Probed:
    """The same predictions, with the view of the embedding appended to the setting."""
    return replace(probed, setting=f"{probed.setting}, {view}" if view else probed.setting)


def _permuted(labels: Ints, rows: Ints, seed: int) -> Ints:
    out = labels.copy()
    out[rows] = np.random.default_rng(seed).permutation(labels[rows])
    return out


def attack_scores(
    attacks: Mapping[str, Attack],
    truth: Ints,
    *,
    groups: NDArray[np.int64] | None,
    strata: NDArray[np.int64] | None = None,
    chance: float,
    details: Mapping[str, object],
    seed: int = 0,
) -> dict[str, Score]:
    """Accuracy of each attacker, and of the strongest one.

    The strongest is the maximum over attackers of the accuracy on the tested rows, and so is
    every bootstrap draw and the permutation null of it: the maximum of several guesses is
    above chance by itself, and the null shows by how much.

    Args:
        attacks: by probe.
        truth: [m] labels of the tested rows.
        groups: [m] subjects, for the intervals.
        strata: [m] within which labels are permuted for the null.
        chance: 1 / number of classes.
        details: to carry along.
        seed: of bootstrap and permutations.
    """
    names = list(attacks)
    right = np.stack([attacks[k].probed.predicted == truth for k in names], axis=1)
    n = len(truth)
    sums = cluster_sums(np.c_[right, np.ones(n)], groups)
    drawn = bootstrap_draws(sums, lambda t: t[:, :-1] / t[:, -1:], draws=1000, seed=seed)
    changes = delete_one(sums, lambda t: t[:, :-1].max(axis=1, keepdims=True) / t[:, -1:])
    _, counts = np.unique(truth, return_counts=True)
    shared = {**details, "chance": chance, "majority": float(counts.max() / n)}
    scores = {
        name: _attack_score(attack, truth, strata, details=shared, seed=seed)
        for name, attack in attacks.items()
    }
    strongest = _strongest_score(attacks, truth, strata, details=shared, seed=seed)
    scores["strongest"] = replace(strongest, effects=person_effects(changes, groups, n=n)[0])
    values = [*drawn.T, drawn.max(axis=1)]
    return {
        name: with_interval(score, own, clusters=len(sums))
        for (name, score), own in zip(scores.items(), values, strict=True)
    }


def _attack_score(
    attack: Attack,
    truth: Ints,
    strata: NDArray[np.int64] | None,
    *,
    details: Mapping[str, object],
    seed: int,
) -> Score:
    """Accuracy of one attacker, its permutation null and its control task."""
    predicted = attack.probed.predicted
    accuracy = float(np.mean(predicted == truth))
    null = agreement_null(predicted, truth, draws=PERMUTATIONS, seed=seed, within=strata)
    extra: dict[str, object] = {
        "setting": attack.probed.setting,
        "validation": attack.probed.validation,
        "null_interval": [null.low, null.high],
    }
    if np.isfinite(attack.control):
        extra |= {"control": attack.control, "selectivity": accuracy - attack.control}
    return Score(
        accuracy,
        null=null.mean,
        p=null.p,
        n=len(truth),
        unit="fraction",
        details={**details, **extra},
    )


def _strongest_score(
    attacks: Mapping[str, Attack],
    truth: Ints,
    strata: NDArray[np.int64] | None,
    *,
    details: Mapping[str, object],
    seed: int,
) -> Score:
    """The best accuracy of several attackers, and the null of such a maximum."""
    accuracy = {name: float(np.mean(a.probed.predicted == truth)) for name, a in attacks.items()}
    best = max(accuracy, key=lambda name: accuracy[name])
    nulls = _strongest_null([a.probed.predicted for a in attacks.values()], truth, strata, seed)
    preferred = max(attacks, key=lambda k: np.nan_to_num(attacks[k].probed.validation, nan=-1.0))
    return Score(
        accuracy[best],
        null=float(nulls.mean()),
        p=float((1 + np.sum(nulls >= accuracy[best] - 1e-12)) / (1 + len(nulls))),
        n=len(truth),
        unit="fraction",
        details={
            **details,
            "attacker": best,
            "attackers": accuracy,
            "chosen_by_validation": preferred,
        },
    )


def _strongest_null(
    predicted: list[Ints], truth: Ints, strata: NDArray[np.int64] | None, seed: int
) -> Floats:
    orders = permutations(len(truth), draws=PERMUTATIONS, seed=seed, within=strata)
    labels = truth[orders]
    return np.max([(labels == guess).mean(axis=1) for guess in predicted], axis=0)


def label_strata(group: NDArray[np.int64] | None, truth: Ints) -> NDArray[np.int64] | None:
    """Strata [m] within which labels are permuted: subjects, if they have more than one label each.

    Args:
        group: [m] subjects, or None.
        truth: [m] labels.
    """
    if group is None:
        return None
    pairs = np.unique(np.stack([group, truth]), axis=1).shape[1]
    return group if pairs > len(np.unique(group)) else None


def excess_score(
    attacks: Mapping[str, Attack],
    floor: Mapping[str, Attack],
    truth: Ints,
    *,
    details: Mapping[str, object],
    seed: int = 0,
) -> Score:
    """Accuracy of the strongest attacker less that of the label floor, on the same rows and
    resamples.

    Args:
        attacks, floor: by probe.
        truth: [m] labels of the tested rows.
        details: to store with the score.
        seed: of the bootstrap.
    """
    both = [
        np.stack([a.probed.predicted == truth for a in side.values()], axis=1)
        for side in (attacks, floor)
    ]
    cut = both[0].shape[1]
    rows = np.concatenate([*both, np.ones((len(truth), 1))], axis=1)
    sums = cluster_sums(rows, truth)

    def gap(t: Floats) -> Floats:
        share = t[:, :-1] / t[:, -1:]
        return share[:, :cut].max(axis=1) - share[:, cut:].max(axis=1)

    value = float(gap(sums.sum(axis=0, keepdims=True))[0])
    score = Score(value, null=0.0, n=len(truth), unit="fraction", details=details)
    return with_interval(
        score, bootstrap_draws(sums, gap, draws=1000, seed=seed), clusters=len(sums)
    )
