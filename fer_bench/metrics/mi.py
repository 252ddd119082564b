"""What embeddings tell of labels, in nats: networks fitted on some rows and valued on others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fer_bench.arrays import RunArrays
from fer_bench.cautions import Caution
from fer_bench.information import Estimator, estimate_mi
from fer_bench.information.calibration import calibrate_value
from fer_bench.information.conditional import difference
from fer_bench.information.estimator import Problem, is_constant, make
from fer_bench.information.inputs import MAX_COLUMNS, Sample, classifier_features, clean_pair
from fer_bench.information.scoring import constant_score, score_estimate
from fer_bench.labels import groups_of_codes, label_entropy, read_groups, read_labels, renumbered
from fer_bench.metrics.common import (
    Ints,
    bounds,
    effective_rank,
    half_width,
    random_rows,
    standardise,
    undefined,
)
from fer_bench.metrics.disentanglement.discrete import mutual_information
from fer_bench.metrics.metric import metric
from fer_bench.reading import read_matrix
from fer_bench.score import Direction, Score, ScoreSpec
from fer_bench.statistics.permutation import permutations

MIN_ROWS = 30
LEAST_PER_LABEL = 5  # rows a label has on average; cross-fitting leaves four of them to learn from
ROWS = 20_000  # rows an estimate rests on at most (a random subset, stated)
# What "auto" takes for labels against an embedding: H(Y) less held-out cross-entropy. Named here
# for embeddings of one to three dimensions as well, because it cannot exceed H(Y).
LABEL_ESTIMATOR = "classifier"
LABEL_OPTIONS: Mapping[str, Any] = {"steps": 400, "null": 2}
CALIBRATION_TASKS = 6  # planted problems of known MI per term


_TERMS: tuple[tuple[str, str, str, Direction], ...] = (
    ("E.expression", "I(E; expression)", "What E should hold.", "high"),
    ("E.identity", "I(E; identity)", "What E should not hold.", "low"),
    (
        "E.identity.given_expression",
        "I(E; identity | expression)",
        "The same beyond what expressions tell of people.",
        "low",
    ),
    ("I.identity", "I(I; identity)", "What I should hold.", "high"),
    ("I.expression", "I(I; expression)", "What I should not hold.", "low"),
)
SPECS = (
    *(
        ScoreSpec(
            key, title, meaning, unit="nats", better=better, order=76, tables=("information",)
        )
        for key, title, meaning, better in _TERMS
    ),
    ScoreSpec(
        "<space>.gap",
        "Gap of blocks",
        "What an embedding holds of its own factor less what it holds of the other, over the "
        "entropy of its own.",
        better="high",
        range=(-1, 1),
    ),
)


@metric("mi", version=4, scores=SPECS)
def mi(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """I(E; Y), I(E; S), I(I; Y), I(I; S), I(E; S | Y) on the test part, and the block gaps.

    All under one protocol: networks are valued on images they were not fitted on, of people
    they were (a subject that was never seen cannot be named); sequences stay together.
    """
    part = run.test
    embeddings = part.spaces
    out: dict[str, Score] = {}
    sequences = None if part.sequences is None else groups_of_codes(part.sequences)
    people = part.s if part.has_subjects else None
    for name, x in embeddings.items():
        for label, codes in (("expression", part.y), ("identity", part.s)):
            if label == "identity" and people is None:
                score = undefined(
                    Caution("no-labels", of="subject", where="the test part"), unit="nats"
                )
            else:
                score = label_information(
                    x,
                    codes,
                    groups=sequences,
                    clusters=people,
                    calibration=CALIBRATION_TASKS,
                    seed=seed,
                )
            out[f"{name}.{label}"] = score
    if people is not None:
        out["E.identity.given_expression"] = conditional_information(
            part.expression, people, part.y, groups=sequences, clusters=people, seed=seed
        )
    for name, own, other in (("E", "expression", "identity"), ("I", "identity", "expression")):
        if name in embeddings:
            out[f"{name}.gap"] = _block_gap(out[f"{name}.{own}"], out[f"{name}.{other}"])
    return out


def label_information(
    x: ArrayLike,
    codes: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    estimator: str = LABEL_ESTIMATOR,
    calibration: int = 0,
    seed: int = 0,
    **options: Any,
) -> Score:
    """I(X; label) in nats, with the bounds 0 <= I <= H(label) checked.

    Args:
        x: [n, d] embeddings.
        codes: [n] labels; rows without one (-1) are left out.
        groups: [n] rows of a group stay on one side of a fit; one that is missing is its own.
        clusters: [n] subjects, which the interval counts.
        estimator: of `fer_bench.information`.
        calibration: number of planted problems of known MI the estimator is tried on, as in
            `modified_mig`.
        seed: of splits, networks and permutations.
        options: of the estimator; shorter training than its default where none are given.

    Returns:
        Score whose details hold "entropy" H(label) and "uncertainty" I / H.

    Raises:
        DataError: x has gaps, lengths differ, or labels cannot be read.
    """
    labels = read_labels(codes, "codes")
    values = read_matrix(x, "x", rows=len(labels), vector=True)
    group, cluster = _groups(groups, clusters, len(labels))
    rows, cautions = random_rows(np.flatnonzero(labels >= 0), ROWS, seed=seed)
    if reason := _unusable(labels[rows]):
        return undefined(reason, n=len(rows), unit="nats")
    entropy = label_entropy(labels[rows])
    options = options or (dict(LABEL_OPTIONS) if estimator == LABEL_ESTIMATOR else {})
    call, options = split_options(options)
    tool = make(estimator, seed=seed, **options)
    score = estimate_mi(
        values[rows],
        labels[rows],
        estimator=tool,
        groups=None if group is None else group[rows],
        clusters=None if cluster is None else cluster[rows],
        seed=seed,
        discrete_y=True,
        calibrated=0,
        **call,
    )
    if calibration:
        score = with_calibration(
            score, values[rows], labels[rows], tool, calibration, seed, labels=True
        )
    # An estimator may correct the entropy for its bias (k - 1) / 2n and end that much above the
    # plug-in value: no error. Beyond it is one.
    correction = (len(np.unique(labels[rows])) - 1) / (2 * len(rows))
    kept = tuple(c for c in score.cautions if c.code not in ("above-entropy", "many-classes"))
    if score.value > entropy + correction + 1e-6:
        cautions.append(Caution("above-entropy", of="label", entropy=entropy))
    details = {**score.details, "entropy": entropy, "uncertainty": score.value / entropy}
    score = replace(score, details=details, cautions=kept)
    return score.with_caution(
        *cautions, *_sparse_labels(labels[rows]), *collapse_cautions(values[rows])
    )


def _groups(
    groups: ArrayLike | None, clusters: ArrayLike | None, n: int
) -> tuple[Ints | None, Ints | None]:
    """Codes of groups and clusters, where they are given."""
    group, cluster = (
        None if ids is None else read_groups(ids, n, name)[0]
        for ids, name in ((groups, "groups"), (clusters, "clusters"))
    )
    return group, cluster


def _unusable(labels: Ints) -> Caution | None:
    """Why nothing can be said of labels, or None."""
    if len(labels) < MIN_ROWS:
        return Caution("few-rows", n=len(labels), of="rows", least=MIN_ROWS)
    return Caution("one-label") if label_entropy(labels) == 0.0 else None


def _sparse_labels(labels: Ints) -> list[Caution]:
    """A caution where most labels are too rare for a classifier to have met them."""
    count = len(np.unique(labels))
    if len(labels) >= LEAST_PER_LABEL * count:
        return []
    return [Caution("few-rows-per-label", labels=count, rows=len(labels), least=LEAST_PER_LABEL)]


def conditional_information(
    x: ArrayLike,
    codes: ArrayLike,
    given: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    seed: int = 0,
) -> Score:
    """I(X; label | given) in nats: what X adds to a classifier that knows `given`.

    Where people and expressions are tied in the data, an embedding that holds nothing but the
    expression still tells of the person; given the expression it tells nothing more. Two
    classifiers name the label, from (X, given) and from (X permuted within `given`, given), and
    the gain of the first is read row by row on the same kept-out rows (conditional probing,
    Hewitt et al., EMNLP 2021). Both see the same columns and miss what cannot be learnt from so
    few rows, and the interval holds the errors of both.

    Args:
        x: [n, d] embeddings.
        codes, given: [n] labels; rows where either is missing (-1) are left out.
        groups, clusters, seed: as in `label_information`.

    Returns:
        Score whose details hold both terms, "with_condition" and "condition_alone", "entropy"
        H(label | given) and "uncertainty" I / H.

    Raises:
        DataError: as in `label_information`.
    """
    label = read_labels(codes, "codes")
    condition = renumbered(read_labels(given, "given", rows=len(label)))
    values = read_matrix(x, "x", rows=len(label), vector=True)
    group, cluster = _groups(groups, clusters, len(label))
    rows, cautions = random_rows(np.flatnonzero((label >= 0) & (condition >= 0)), ROWS, seed=seed)
    y, z = label[rows], renumbered(condition[rows])
    if reason := _unusable(y):
        return undefined(reason, n=len(rows), unit="nats")
    sample = clean_pair(
        values[rows], y, groups=None if group is None else group[rows], discrete_y=True
    )
    entropy = label_entropy(y) - float(mutual_information(y, z))
    score = _beyond(sample, z, None if cluster is None else cluster[rows], seed)
    uncertainty = score.value / entropy if entropy > 0 else 0.0
    details = {**score.details, "entropy": entropy, "uncertainty": uncertainty}
    kept = tuple(c for c in score.cautions if c.code != "many-classes")
    score = replace(score, details=details, cautions=kept)
    return score.with_caution(*cautions, *_sparse_labels(y), *collapse_cautions(values[rows]))


def _beyond(sample: Sample, z: Ints, clusters: Ints | None, seed: int) -> Score:
    """I(X, Z; Y) - I(X', Z; Y) of labels Y and Z, on the same kept-out rows.

    X' is X permuted within Z, so that it tells of Y what Z does, as plainly as X: a classifier
    of Z alone learns another way, and the difference read .04 where there was none.
    """
    if is_constant(sample):
        return constant_score(sample)
    options = dict(LABEL_OPTIONS)
    copies = options.pop("null")
    tool = make(LABEL_ESTIMATOR, seed=seed, **options)
    known = standardise(np.eye(int(z.max()) + 1)[z])
    x = classifier_features(sample.x)[:, : max(MAX_COLUMNS - known.shape[1], 1)]
    orders = [np.arange(len(z)), *permutations(len(z), draws=1 + copies, seed=seed, within=z)]
    sides = [np.hstack([x[order], known]) for order in orders]
    joint, alone, *null = tool.estimate_many([Problem(replace(sample, x=s), seed) for s in sides])
    gain = difference(joint, alone, sample.n)
    estimate = replace(
        gain, details={"with_condition": joint.value, "condition_alone": alone.value}
    )
    nulls = [copy.value - alone.value for copy in null]
    return score_estimate(sample, f"{tool.name} (chain rule)", estimate, nulls, clusters)


def _block_gap(own: Score, other: Score) -> Score:
    """U(own factor) - U(other factor), U = I / H: 1 for a pure block, -1 for the wrong one."""
    if not (np.isfinite(own.value) and np.isfinite(other.value)):
        reason = next(iter((*own.cautions, *other.cautions)), Caution("undefined-term"))
        return undefined(reason, unit="fraction")
    h_own, h_other = own.details["entropy"], other.details["entropy"]
    value = own.value / h_own - other.value / h_other
    half = float(np.hypot(half_width(own) / h_own, half_width(other) / h_other))
    return Score(
        value,
        *bounds(value, half),
        n=min(own.n, other.n),
        unit="fraction",
        cautions=(*own.cautions, *other.cautions),
        details={"own": own.value / h_own, "other": other.value / h_other},
    )


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of the call of `estimate_mi`, and those of the estimator."""
    call = {key: options[key] for key in ("null", "interval") if key in options}
    return call, {key: value for key, value in options.items() if key not in call}


def collapse_cautions(x: ArrayLike) -> list[Caution]:
    """A caution where an embedding has collapsed to (nearly) one direction."""
    rank = effective_rank(x)
    return [Caution("collapsed", rank=rank)] if rank < 2 else []


def with_calibration(
    score: Score,
    x: ArrayLike,
    y: ArrayLike,
    tool: Estimator,
    tasks: int,
    seed: int,
    *,
    labels: bool = False,
) -> Score:
    """What the estimator gets wrong on matched problems, beside the number (`calibrate_value`).

    The interval stays that of sampling. Planted dependence lies along one direction, spread over
    the rows: where the data fall into clusters it is harder than they are, so that a pass means
    more than a failure.
    """
    if "standard_error" not in score.details:  # a side is constant: nothing was estimated
        return score
    sample = clean_pair(x, y, discrete_y=labels or None)
    result = calibrate_value(sample, tool, score, tasks=tasks, bent=0, seed=seed)
    score = replace(score, details={**score.details, "calibration": result.to_json()})
    if result.fault:
        score = score.with_caution(result.fault)
    return score
