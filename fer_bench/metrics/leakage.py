"""Leakage: the matrix {E, I} x {expression, identity}, read by the strongest attacker.

Identity cells: closed-set probes within the test subjects, fitted on images of some expressions
and tested on images of others (`probes.within_subject_split`); verification and retrieval
across expressions. Expression cells: probes fitted on the train part's embeddings, tuned on the
validation part and tested on all test images (other subjects), and one fitted on the other half
of the test subjects, whose images the encoder never saw.

The attacker of an identity cell may know the expression: it may take the mean embedding of each
expression off before it looks for the person ("expression-centred"). Without that, a strong
expression signal drowns what leaks: in a planted case an attacker that centres reads .98 where
one that does not reads .20. That of an expression cell may know which images are of one person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_bench.arrays import Part, RunArrays
from fer_bench.metrics.common import Floats, undefined, with_interval
from fer_bench.metrics.metric import metric
from fer_bench.metrics.probes import (
    Ints,
    Probed,
    Split,
    knn_probe,
    linear_probe,
    mlp_probes,
    subject_halves,
    within_subject_split,
)
from fer_bench.metrics.verification import (
    nearest_images,
    retrieval_scores,
    verification_pairs,
    verification_scores,
)
from fer_bench.score import Score, ScoreSpec
from fer_bench.statistics.bootstrap import bootstrap_draws, cluster_sums
from fer_bench.statistics.permutation import agreement_null, permutations

CONTROLS = 5  # control tasks (permuted labels) a closed-form probe is fitted on
PERMUTATIONS = 499
PROBE_ROWS = 50_000  # rows of a part that probes see at most (a random subset, stated)
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
        return undefined("the ceiling is not above chance", n=score.n)

    def scale(value: float | None) -> float | None:
        return None if value is None else (value - chance) / (top - chance)

    return replace(
        score,
        value=(score.value - chance) / (top - chance),
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
    """One fitted attacker: predictions of the tested rows, and of its control tasks."""

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
    """
    s, y = np.asarray(subject, dtype=np.int64), np.asarray(expression, dtype=np.int64)
    truth = s[split.test]
    shuffled = [_permuted(s, split.fit, seed + k) for k in range(CONTROLS)]
    out: dict[str, dict[str, Attack]] = {}
    views: dict[str, Floats] = {}
    settings: dict[str, str] = {}
    for name, x in embeddings.items():
        candidates = attacker_views(x, y, split)
        out[name] = {}
        for probe, fit in (("linear", linear_probe), ("knn", knn_probe)):
            tried = {view: fit(values, s, split) for view, values in candidates.items()}
            view = max(tried, key=lambda v: np.nan_to_num(tried[v].validation))
            control = np.mean(
                [np.mean(fit(candidates[view], c, split).predicted == truth) for c in shuffled]
            )
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


def attacker_views(x: ArrayLike, expression: Ints, split: Split) -> dict[str, Floats]:
    """An embedding as it is, and less the mean of each expression where that is known."""
    views = {"": np.asarray(x, dtype=np.float64)}
    if (expression[split.test] >= 0).any():
        views["expression-centred"] = centred(x, expression)
    return views


def named_setting(probed: Probed, view: str) -> Probed:
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
    _, counts = np.unique(truth, return_counts=True)
    shared = {**details, "chance": chance, "majority": float(counts.max() / n)}

    def finish(score: Score, values: Floats) -> Score:
        return with_interval(score, values, clusters=len(sums))

    out = {}
    accuracy = right.mean(axis=0)
    for column, name in enumerate(names):
        attack = attacks[name]
        null = agreement_null(
            attack.probed.predicted, truth, draws=PERMUTATIONS, seed=seed, within=strata
        )
        extra = {
            "setting": attack.probed.setting,
            "validation": attack.probed.validation,
            "null_interval": [null.low, null.high],
        }
        if np.isfinite(attack.control):
            extra["control"] = attack.control
            extra["selectivity"] = float(accuracy[column]) - attack.control
        score = Score(
            float(accuracy[column]),
            null=null.mean,
            p=null.p,
            n=n,
            unit="fraction",
            details={**shared, **extra},
        )
        out[name] = finish(score, drawn[:, column])
    best = names[int(accuracy.argmax())]
    nulls = _strongest_null([attacks[k].probed.predicted for k in names], truth, strata, seed)
    validation = {k: attacks[k].probed.validation for k in names}
    preferred = max(names, key=lambda k: np.nan_to_num(validation[k], nan=-1.0))
    strongest = Score(
        float(accuracy.max()),
        null=float(nulls.mean()),
        p=float((1 + np.sum(nulls >= accuracy.max() - 1e-12)) / (1 + len(nulls))),
        n=n,
        unit="fraction",
        details={
            **shared,
            "attacker": best,
            "attackers": {k: float(a) for k, a in zip(names, accuracy, strict=True)},
            "chosen_by_validation": preferred,
        },
    )
    out["strongest"] = finish(strongest, drawn.max(axis=1))
    return out


def _strongest_null(
    predicted: list[Ints], truth: Ints, strata: NDArray[np.int64] | None, seed: int
) -> Floats:
    orders = permutations(len(truth), draws=PERMUTATIONS, seed=seed, within=strata)
    labels = truth[orders]
    return np.max([(labels == guess).mean(axis=1) for guess in predicted], axis=0)


# --- the metric ---------------------------------------------------------------------------


SPECS = (
    ScoreSpec(
        "E.identity.normalised",
        "Identity leak",
        "Share of the identity readable from the pixels or from face-recognition features, "
        "whichever is more, that an attacker still reads from the expression embedding E: 0 % "
        "is chance, 100 % as much as from those.",
        better="low",
        column="main",
        order=50,
        headline="leaks least identity through its expression embedding",
    ),
    ScoreSpec(
        "E.identity.strongest",
        "Identity from E",
        "Accuracy of the strongest of several probes that name the person from the expression "
        "embedding; printed beside what guessing gives.",
        better="low",
        range=(0, 1),
        column="main",
        order=60,
        null="chance",
    ),
    ScoreSpec(
        "E.identity.auc",
        "Verification AUC",
        "Same person or not, told from two expression embeddings of different expressions; .5 "
        "is guessing.",
        unit="",
        better="low",
        range=(0, 1),
        column="more",
        order=70,
    ),
)


@metric("leakage", scores=SPECS)
def leakage(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """The 2 x 2 matrix of one run, with probes, verification, retrieval and the label floor."""
    embeddings = run.test.embeddings
    out = identity_scores(run.test, embeddings, seed=seed)
    out |= expression_scores(run, list(embeddings), seed=seed)
    out |= _retrieval(run.test, embeddings, seed=seed)
    return out


@dataclass(frozen=True)
class IdentityProblem:
    """What identity probes have to solve on a test part.

    Attributes:
        part: the part, thinned where it is very large.
        split: rows to fit, tune and test on, within subjects.
        subject: [n] codes 0..people-1 of the probed subjects, -1 for others.
        people: how many subjects can be guessed.
        unit: what the split keeps apart, "expression" or "sequence".
        notes: sentences for the scores.
    """

    part: Part
    split: Split
    subject: Ints
    people: int
    unit: str
    notes: tuple[str, ...]

    @property
    def truth(self) -> Ints:
        """Codes of the tested rows."""
        return self.subject[self.split.test]

    @property
    def details(self) -> dict[str, object]:
        """To be carried along by the scores."""
        return {
            "unit": self.unit,
            "subjects": self.people,
            "fitted": len(self.split.train),
            "validated": len(self.split.validation),
        }


def identity_problem(part: Part, *, seed: int = 0) -> IdentityProblem | str:
    """The closed-set problem within the subjects of a part, or why there is none."""
    notes = []
    if len(part) > PROBE_ROWS:
        notes.append(f"probes on a random {PROBE_ROWS} of {len(part)} rows")
        part = _thinned(part, seed)
    if not part.has_subjects:
        return "no subject labels in the test part"
    split, unit = within_subject_split(part.s, part.y, sequence=part.sequences, seed=seed)
    people = np.unique(part.s[split.test])
    if len(people) < 2 or not len(split.train):
        return "fewer than two subjects have images of two expressions (or sequences)"
    if not len(split.validation):
        notes.append("too few images for a validation set: probes at their default setting")
    if len(people) < len(part.subjects):
        notes.append(
            f"{len(people)} of {len(part.subjects)} subjects have images on both sides of the cut"
        )
    # Codes of the probed subjects only, so that classes are those that can be guessed.
    s = np.where(np.isin(part.s, people), np.searchsorted(people, part.s), -1)
    return IdentityProblem(part, split, s, len(people), unit, tuple(notes))


def identity_scores(
    part: Part, embeddings: Mapping[str, ArrayLike], *, seed: int = 0
) -> dict[str, Score]:
    """Identity cells: closed-set probes, label floor and verification."""
    problem = identity_problem(part, seed=seed)
    if isinstance(problem, str):
        return {
            f"{name}.identity.{key}": undefined(problem, unit="fraction")
            for name in embeddings
            for key in ("linear", "knn", "mlp", "strongest", "auc", "eer")
        }
    if problem.part is not part:
        embeddings = {name: problem.part.embeddings[name] for name in embeddings}
    part, split, unit = problem.part, problem.split, problem.unit
    s, truth, people = problem.subject, problem.truth, problem.people
    details, notes = problem.details, problem.notes
    one_hot = np.eye(len(part.classes) + 1)[part.y][:, : len(part.classes)]
    attacks = identity_attacks({**embeddings, FLOOR: one_hot}, s, part.y, split, seed=seed)
    out: dict[str, Score] = {}
    for name in embeddings:
        scores = attack_scores(
            attacks[name],
            truth,
            groups=truth,
            chance=1 / people,
            details=details,
            seed=seed,
        )
        out |= {f"{name}.identity.{key}": score for key, score in scores.items()}
    floor = attack_scores(
        attacks[FLOOR], truth, groups=truth, chance=1 / people, details=details, seed=seed
    )["strongest"]
    out["E.identity.floor"] = floor
    out["E.identity.excess"] = _excess(attacks["E"], attacks[FLOOR], truth, details, seed)
    out = {key: score.with_caution(*notes) for key, score in out.items()}

    apart = part.y if unit == "expression" else part.sequences
    assert apart is not None
    pairs = verification_pairs(part.s, apart, seed=seed)
    for name, x in embeddings.items():
        scores = verification_scores(x, part.s, apart, pairs=pairs, seed=seed)
        if (part.y >= 0).any():
            known = verification_scores(centred(x, part.y), part.s, apart, pairs=pairs, seed=seed)
            scores["auc_centred"] = known["auc"]
        out |= {f"{name}.identity.{key}": score for key, score in scores.items()}
    return out


def _excess(
    attacks: Mapping[str, Attack],
    floor: Mapping[str, Attack],
    truth: Ints,
    details: Mapping[str, object],
    seed: int,
) -> Score:
    """Strongest attacker less the label floor, on the same rows and resamples."""
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


@dataclass(frozen=True)
class ExpressionProblem:
    """What expression probes have to solve on a run.

    Attributes:
        pools: train, validation (where there is one) and test part, thinned where very large.
        split: rows of the stacked pools to fit, tune and test on.
        expression: [n] codes of the stacked pools.
        notes: sentences for the scores.
    """

    pools: tuple[Part, ...]
    split: Split
    expression: Ints
    notes: tuple[str, ...]

    def stacked(self, name: str) -> NDArray[np.float32]:
        """[n, d] embedding "E" or "I" of the stacked pools."""
        return np.concatenate([part.embeddings[name] for part in self.pools])

    @property
    def truth(self) -> Ints:
        """Codes of the tested rows."""
        return self.expression[self.split.test]

    @property
    def group(self) -> Ints | None:
        """Subjects of the tested rows, for intervals."""
        test = self.pools[-1]
        groups = test.groups
        return None if groups is None else groups[test.y >= 0]

    @property
    def details(self) -> dict[str, object]:
        """To be carried along by the scores."""
        return {"fitted": len(self.split.train), "validated": len(self.split.validation)}


def expression_problem(run: RunArrays, *, seed: int = 0) -> ExpressionProblem | str:
    """Train, tune and test rows of a run's expression probes, or why there are none."""
    test, train, validation = run.test, run.parts.get("train"), run.parts.get("validation")
    if train is None or not (train.y >= 0).any() or not (test.y >= 0).any():
        return "no expression labels in the train or test part"
    whole = [train, *([validation] if validation is not None else []), test]
    pools = [_thinned(part, seed) for part in whole]
    notes = [
        f"probes on a random {PROBE_ROWS} of {len(all_rows)} {part.name} rows"
        for all_rows, part in zip(whole, pools, strict=True)
        if len(part) < len(all_rows)
    ]
    y = np.concatenate([part.y for part in pools])
    return ExpressionProblem(tuple(pools), _expression_split(pools, seed), y, tuple(notes))


def expression_scores(run: RunArrays, names: list[str], *, seed: int = 0) -> dict[str, Score]:
    """Expression cells: probes fitted on the train part or on the other half of the subjects."""
    out: dict[str, Score] = {}
    problem = expression_problem(run, seed=seed)
    if isinstance(problem, str):
        return {
            f"{name}.expression.{key}": undefined(problem, unit="fraction")
            for name in names
            for key in ("linear", "knn", "mlp", "strongest")
        }
    pools, split, y, notes = problem.pools, problem.split, problem.expression, problem.notes
    test, truth = pools[-1], problem.truth
    stacked = {name: problem.stacked(name) for name in names}
    # Subjects of different parts are different people (subject-disjoint outer split).
    offsets = np.cumsum([0, *(len(part.subjects) for part in pools[:-1])])
    s = np.concatenate(
        [np.where(p.s >= 0, p.s + o, -1) for p, o in zip(pools, offsets, strict=True)]
    )
    know_subjects = all(part.has_subjects for part in pools)
    networks = mlp_probes([stacked[k] for k in names], [y] * len(names), split, seed=seed)
    halves = subject_halves(test.s, test.y, seed=seed) if test.has_subjects else []
    group = problem.group
    for name, network in zip(names, networks, strict=True):
        x = stacked[name]
        attacks = {
            "linear": Attack(linear_probe(x, y, split)),
            "knn": Attack(knn_probe(x, y, split)),
            "mlp": Attack(network),
        }
        if know_subjects:
            attacks["centred"] = Attack(
                named_setting(linear_probe(centred(x, s), y, split), "subject-centred")
            )
        if halves and all(len(half.train) >= 2 for half in halves):
            attacks["heldout"] = Attack(_cross_fitted(test.embeddings[name], test.y, halves))
        scores = attack_scores(
            attacks,
            truth,
            groups=group,
            strata=label_strata(group, truth),
            chance=1 / len(run.classes),
            details=problem.details,
            seed=seed,
        )
        if notes:
            scores = {key: score.with_caution(*notes) for key, score in scores.items()}
        out |= {f"{name}.expression.{key}": score for key, score in scores.items()}
    return out


def _thinned(part: Part, seed: int) -> Part:
    """A part of at most PROBE_ROWS random rows: more do not move a probe, and cost gigabytes."""
    if len(part) <= PROBE_ROWS:
        return part
    rows = np.random.default_rng(seed).choice(len(part), size=PROBE_ROWS, replace=False)
    rows.sort()
    return Part(
        name=part.name,
        expression=part.expression[rows],
        identity=None if part.identity is None else part.identity[rows],
        logits=None,
        valence_arousal=None,
        labels=part.labels.iloc[rows].reset_index(drop=True),
        classes=part.classes,
    )


def _expression_split(pools: Sequence[Part], seed: int) -> Split:
    """Fit on train, tune on validation (or on a quarter of the train subjects), test on test."""
    starts = np.cumsum([0, *(len(part) for part in pools)])
    rows = [start + np.flatnonzero(p.y >= 0) for start, p in zip(starts, pools, strict=False)]
    if len(pools) == 3 and len(rows[1]):
        return Split(rows[0], rows[1], rows[-1])
    train = pools[0]
    rng = np.random.default_rng(seed)
    units = train.s if train.has_subjects else np.arange(len(train))
    names = rng.permutation(np.unique(units[rows[0]]))
    held = np.isin(units[rows[0]], names[: len(names) // 4])
    return Split(rows[0][~held], rows[0][held], rows[-1])


def _cross_fitted(x: ArrayLike, y: Ints, halves: list[Split]) -> Probed:
    """Predictions of every labelled row by a linear probe fitted on the other subjects."""
    predicted = np.full(len(y), -1, dtype=np.int64)
    validation = []
    for half in halves:
        probed = linear_probe(x, y, half)
        predicted[half.test] = probed.predicted
        validation.append(probed.validation)
    return Probed(
        predicted[y >= 0], float(np.mean(validation)), "linear, on the other half of the subjects"
    )


def label_strata(group: NDArray[np.int64] | None, truth: Ints) -> NDArray[np.int64] | None:
    """Permute labels within subjects, where subjects have more than one label."""
    if group is None:
        return None
    pairs = np.unique(np.stack([group, truth]), axis=1).shape[1]
    return group if pairs > len(np.unique(group)) else None


def _retrieval(part: Part, embeddings: Mapping[str, ArrayLike], *, seed: int) -> dict[str, Score]:
    """Cosine retrieval of persons in other expressions and of expressions on other persons."""
    out: dict[str, Score] = {}
    groups = part.groups
    nobody = np.full(len(part), -1, dtype=np.int64)
    lists = {
        name: nearest_images(x, part.y, queries=2 * len(part.classes), seed=seed)
        for name, x in embeddings.items()
    }
    for name, x in embeddings.items():
        cells: dict[str, tuple[Ints, Ints]] = {"expression": (part.y, nobody)}
        if part.has_subjects:
            cells = {"expression": (part.y, part.s), "identity": (part.s, part.y)}
        for cell, (target, excluded) in cells.items():
            scores = retrieval_scores(
                x, target, groups=groups, same_target_excluded=excluded, seed=seed
            )
            out |= {f"{name}.{cell}.{key}": score for key, score in scores.items()}
        key = f"{name}.expression.precision@6"
        out[key] = replace(out[key], details={**out[key].details, "top6": lists[name]})
    return out
