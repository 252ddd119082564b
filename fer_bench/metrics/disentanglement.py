"""How much E and I tell about expression and identity, and the modified MIG.

All values are in nats. Critics are fresh, never those that trained the encoder; they are fitted
on some rows of the test part, stopped on others and valued on yet others (`estimate_mi`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_bench.arrays import Part, RunArrays
from fer_bench.information import estimate_mi
from fer_bench.information.auto import Auto
from fer_bench.information.calibration import calibrate_value
from fer_bench.information.estimator import Estimator
from fer_bench.information.inputs import clean_pair
from fer_bench.information.mutual import make
from fer_bench.metrics.common import Floats, effective_rank, standardise, undefined
from fer_bench.metrics.factors import mutual_information
from fer_bench.metrics.metric import metric
from fer_bench.metrics.probes import Ints
from fer_bench.score import Score, ScoreSpec

MIN_ROWS = 30
ROWS = 20_000  # rows an estimate rests on at most (a random subset, stated)
# What "auto" takes for labels against an embedding: H(Y) less held-out cross-entropy. Named here
# for embeddings of one to three dimensions as well, because it cannot exceed H(Y).
LABEL_ESTIMATOR = "classifier"
LABEL_OPTIONS: Mapping[str, Any] = {"steps": 400, "null": 2}
# The default, by its values on kept-out rows, which the bound H(Y) holds for.
PAIR_ESTIMATOR = "auto"
PAIR_OPTIONS: Mapping[str, Any] = {"kept_out": True}
PAPER_ESTIMATOR = "mine"
FURTHER_ESTIMATORS = ("infonce", "copula")  # another critic, and a closed form
CONDITIONAL_NULL = 3  # permuted copies for I(E; I | Y)
CALIBRATION_TASKS = 6  # planted problems of known MI per term
BLOCKS = 20  # groups of images within which pairs are drawn
COLLAPSED = "collapsed embedding: effective rank {:.2f} < 2"


def label_entropy(codes: ArrayLike) -> float:
    """Entropy of labels in nats; rows with code -1 are left out.

    >>> round(label_entropy([1, 1, 2, 2, 3, 3, -1]), 6)
    1.098612
    """
    known = np.asarray(codes)
    known = known[known >= 0]
    if not len(known):
        return 0.0
    share = np.unique(known, return_counts=True)[1] / len(known)
    return float(-np.sum(share * np.log(share)))


def expression_pairs(
    expression: ArrayLike,
    subject: ArrayLike | None,
    *,
    sequence: ArrayLike | None = None,
    blocks: int = BLOCKS,
    seed: int = 0,
) -> tuple[Ints, Ints, Ints]:
    """Pair every image with one of the same expression and another subject.

    Images (whole sequences, where they are known) are dealt at random into blocks, evenly over
    expressions, and partners are looked for within the block. A block can so be kept out as a
    whole: a critic has seen neither image of a kept-out pair, in neither role. Subjects are
    spread over all blocks on purpose. Critics that are valued on strangers only miss what the
    embeddings tell of people (a planted leak of two nats read -1.1), and blocks of two
    subjects would let the one image betray the subject of the other.

    Args:
        expression: [n] codes; rows with -1 have no partner.
        subject: [n] codes; None or -1: any other image of the expression will do.
        sequence: [n] codes of images to keep together, -1 alone.
        blocks: at most; fewer where a block could not hold several pairs of each expression.
        seed: of blocks and partners.

    Returns:
        Rows m, their partners and the block of each pair, equally long; rows without a partner
        are left out.

    >>> m, partner, block = expression_pairs([0, 0, 1, 1], [0, 1, 0, 1])
    >>> partner.tolist()
    [1, 0, 3, 2]
    """
    y = np.asarray(expression, dtype=np.int64)
    s = np.full(len(y), -1) if subject is None else np.asarray(subject, dtype=np.int64)
    rng = np.random.default_rng(seed)
    known = np.flatnonzero(y >= 0)
    smallest = np.unique(y[known], return_counts=True)[1].min() if len(known) else 0
    count = int(np.clip(smallest // 4, 1, blocks))
    block = _deal(y, sequence, count, rng)
    partner = np.full(len(y), -1, dtype=np.int64)
    cell = np.where(y >= 0, block * (y.max(initial=0) + 1) + y, -1)
    for code in np.unique(cell[cell >= 0]):
        rows = rng.permutation(np.flatnonzero(cell == code))
        partner[rows] = _partners(rows, s[rows], rng)
    m = np.flatnonzero(partner >= 0)
    return m, partner[m], block[m]


def _deal(y: Ints, sequence: ArrayLike | None, count: int, rng: np.random.Generator) -> Ints:
    """Deal images (or sequences) into blocks, evenly over expressions."""
    unit = np.arange(len(y))
    if sequence is not None:
        q = np.asarray(sequence, dtype=np.int64)
        unit = np.where(q >= 0, q, q.max(initial=-1) + 1 + unit)
    _, first, unit = np.unique(unit, return_index=True, return_inverse=True)
    order = rng.permutation(len(first))
    order = order[np.argsort(y[first[order]], kind="stable")]
    block = np.empty(len(first), dtype=np.int64)
    block[order] = np.arange(len(first)) % count
    return block[unit]


def _partners(rows: Ints, s: Ints, rng: np.random.Generator) -> Ints:
    """A random other row of another subject for each row, -1 where there is none."""
    n = len(rows)
    out = np.full(n, -1, dtype=np.int64)
    if n < 2:
        return out
    # Sorted by subject, everybody outside a subject's run is a partner: draw among those.
    order = np.argsort(s, kind="stable")
    ordered = s[order]
    start = np.searchsorted(ordered, ordered, side="left")
    stop = np.searchsorted(ordered, ordered, side="right")
    unknown = ordered < 0
    own = np.arange(n)
    start, stop = np.where(unknown, own, start), np.where(unknown, own + 1, stop)
    others = n - (stop - start)
    draw = np.floor(rng.random(n) * others).astype(np.int64)
    choice = np.where(draw < start, draw, draw + (stop - start))
    out[order] = np.where(others > 0, rows[order[np.minimum(choice, n - 1)]], -1)
    return out


def _nonnegative(score: Score) -> Score:
    def floor(bound: float | None) -> float | None:
        return None if bound is None else max(bound, 0.0)

    return replace(score, value=max(score.value, 0.0), low=floor(score.low), high=floor(score.high))


def normalised_mig(shared: float, leaked: float) -> float:
    """The two terms on a bounded scale: (1 - exp(-2 a)) - (1 - exp(-2 b)), in [-1, 1].

    `1 - exp(-2 I)` is Linfoot's informational coefficient of correlation, squared (Information
    and Control, 1957): the explained share of variance a Gaussian pair of that MI would have.
    Unlike a - b it is comparable across dimensions, unlike (a - b) / (a + b) it is steady where
    both terms are near 0. Terms below 0 count as 0.

    >>> normalised_mig(0.0, 0.0), round(normalised_mig(1.9, 0.0), 3)
    (0.0, 0.978)
    """
    a, b = max(shared, 0.0), max(leaked, 0.0)
    return float(np.exp(-2 * b) - np.exp(-2 * a))


def modified_mig(
    e_m: ArrayLike,
    e_n: ArrayLike,
    i_m: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    estimator: str = PAIR_ESTIMATOR,
    calibration: int = 0,
    seed: int = 0,
    **options: Any,
) -> dict[str, Score]:
    """Modified MIG = I(E_M; E_N) - I(E_M; I_M), with everything it rests on.

    M and N are two images of one expression and different subjects. Both terms come from the
    same rows with the same estimator, dimension, whitening and budget: where E and I differ in
    dimension, the larger is reduced to its first principal components.

    Args:
        e_m: [n, d_e] expression embeddings of the images M.
        e_n: [n, d_e] those of their partners N.
        i_m: [n, d_i] identity embeddings of M.
        groups: [n] blocks of pairs that share images (`expression_pairs`): a block is fitted
            on or valued, as a whole.
        clusters: [n] subjects of M, which the interval counts.
        estimator: name of an estimator of `fer_bench.information`. "auto" may choose a closed
            form where it holds for both terms; else one critic serves both. Give it `kept_out`
            where a bound such as H(Y) must hold.
        calibration: number of planted problems of known MI, on the same rows, that the
            estimator is tried on (`fer_bench.information.calibrate`); what it found stands in
            `details["calibration"]` of both terms.
        seed: of splits, critics and permutations.
        options: of the estimator.

    Returns:
        "shared" = I(E_M; E_N), "leaked" = I(E_M; I_M), "mig" (their difference) in nats and
        "normalised" (`normalised_mig`). The interval of a difference adds the squared half
        widths of both terms, which is conservative, as the terms share their rows.

    Source: DICE-FER (Aquib, Verma, Akhtar, CVPR Workshops 2025) for the difference.
    """
    a, b, c = (_matrix(x) for x in (e_m, e_n, i_m))
    width = min(a.shape[1], c.shape[1])
    if a.shape[1] > width:
        axes = _principal_axes(np.concatenate([a, b]), width)
        a, b = a @ axes, b @ axes
    if c.shape[1] > width:
        c = c @ _principal_axes(c, width)
    # Each term on the same order of rows: the splits are then the same ones.
    call = {key: options.pop(key) for key in _CALL if key in options}
    given: dict[str, Any] = {"groups": groups, "clusters": clusters, "calibrated": 0, **call}
    tool = make(estimator, seed=seed, **options)
    shared, leaked = (estimate_mi(a, other, estimator=tool, seed=seed, **given) for other in (b, c))
    if isinstance(tool, Auto) and shared.details.get("chosen") != leaked.details.get("chosen"):
        # The closed form that "auto" found for one term does not hold for the other.
        tool = tool.critic(len(a))
        shared, leaked = (
            estimate_mi(a, other, estimator=tool, seed=seed, **given) for other in (b, c)
        )
    if calibration:
        shared = _with_calibration(shared, a, b, tool, calibration, seed)
        leaked = _with_calibration(leaked, a, c, tool, calibration, seed)
    if estimator == "infonce":
        shared, leaked = _check_ceiling(shared, options), _check_ceiling(leaked, options)
    note = _collapse_note(a)
    shared, leaked = shared.with_caution(*note), leaked.with_caution(*note, *_collapse_note(c))

    cautions = (*shared.cautions, *leaked.cautions)
    details = {
        "estimator": shared.details.get("chosen", shared.details.get("estimator", estimator)),
        "dimension": width,
        "shared": shared.value,
        "leaked": leaked.value,
        "shared_null": shared.null,
        "leaked_null": leaked.null,
    }
    known = [term.details["calibration"] for term in (shared, leaked) if _calibrated(term)]
    if len(known) == 2:
        details["corrected"] = known[0]["corrected"] - known[1]["corrected"]
    # Information is not negative: a term below 0 is a critic that failed, and counts as none.
    first, second = _nonnegative(shared), _nonnegative(leaked)
    half = np.hypot(_half(first), _half(second))
    value = first.value - second.value
    null = None if shared.null is None or leaked.null is None else shared.null - leaked.null
    gap = Score(
        value,
        _finite(value - half),
        _finite(value + half),
        null=null,
        n=shared.n,
        unit="nats",
        cautions=cautions,
        details=details,
    )
    # The bounded scale is steep near 0 and flat above: its interval follows the terms' own.
    middle = normalised_mig(shared.value, leaked.value)
    low = high = None
    if shared.low is not None and shared.high is not None:
        assert leaked.low is not None
        assert leaked.high is not None
        down = np.hypot(
            middle - normalised_mig(shared.low, leaked.value),
            middle - normalised_mig(shared.value, leaked.high),
        )
        up = np.hypot(
            normalised_mig(shared.high, leaked.value) - middle,
            normalised_mig(shared.value, leaked.low) - middle,
        )
        low, high = _finite(max(middle - down, -1.0)), _finite(min(middle + up, 1.0))
    bounded = replace(
        gap,
        value=middle,
        low=low,
        high=high,
        null=None if null is None else normalised_mig(shared.null or 0.0, leaked.null or 0.0),
        unit="",
    )
    return {"shared": shared, "leaked": leaked, "mig": gap, "normalised": bounded}


_CALL = ("null", "interval")  # options of the call, not of the estimator


def _with_calibration(
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
    found = calibrate_value(sample, tool, score, tasks=tasks, bent=0, seed=seed)
    score = replace(score, details={**score.details, "calibration": found.to_json()})
    if found.fault:
        score = score.with_caution(
            f"fails its calibration: on matched problems of known information the estimator "
            f"{found.fault}"
        )
    return score


def _calibrated(score: Score) -> bool:
    return "calibration" in score.details


def _check_ceiling(score: Score, options: Mapping[str, Any]) -> Score:
    """Warn of InfoNCE near ln(batch): a Gaussian pair of 6.6 nats reads 4.4 at a batch of 128."""
    ceiling = float(np.log(options.get("batch", 256)))
    if score.value < 0.9 * ceiling or any("saturated" in str(w) for w in score.cautions):
        return score
    return score.with_caution(f"saturated at ln(batch) = {ceiling:.3f}: raise batch")


def _matrix(x: ArrayLike) -> Floats:
    values = np.asarray(x, dtype=np.float64)
    return values[:, None] if values.ndim == 1 else values


def _principal_axes(x: Floats, count: int) -> Floats:
    values, axes = np.linalg.eigh(np.cov(x, rowvar=False))
    return axes[:, np.argsort(values)[::-1][:count]]


def _half(score: Score) -> float:
    if score.low is None or score.high is None:
        return float("nan")
    return (score.high - score.low) / 2


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _collapse_note(x: ArrayLike) -> tuple[str, ...]:
    rank = effective_rank(x)
    return (COLLAPSED.format(rank),) if rank < 2 else ()


# --- metrics ------------------------------------------------------------------------------


@metric("mi", version=3)
def mi(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """I(E; Y), I(E; S), I(I; Y), I(I; S), I(E; S | Y) on the test part, and the block gaps.

    All under one protocol: networks are valued on images they were not fitted on, of people
    they were (a subject that was never seen cannot be named); sequences stay together.
    """
    part = run.test
    embeddings = part.embeddings
    out: dict[str, Score] = {}
    sequences = part.sequences
    people = part.s if part.has_subjects else None
    for name, x in embeddings.items():
        for label, codes in (("expression", part.y), ("identity", part.s)):
            if label == "identity" and people is None:
                score = undefined("no subject labels in the test part", unit="nats")
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
        codes: [n] labels; rows with -1 are left out.
        groups: [n] rows of a group stay on one side of a fit (-1: a group of its own).
        clusters: [n] subjects, which the interval counts.
        estimator: of `fer_bench.information`.
        calibration: number of planted problems of known MI the estimator is tried on, as in
            `modified_mig`.
        seed: of splits, networks and permutations.
        options: of the estimator; shorter training than its default where none are given.

    Returns:
        Score whose details hold "entropy" H(label) and "uncertainty" I / H.
    """
    values, labels = _matrix(x), np.asarray(codes, dtype=np.int64)
    rows = np.flatnonzero(labels >= 0)
    notes: list[str] = []
    if len(rows) > ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, size=ROWS, replace=False))
        notes.append(f"a random {ROWS} of the rows")
    entropy = label_entropy(labels[rows])
    if len(rows) < MIN_ROWS:
        return undefined(f"{len(rows)} rows are too few (30 at least)", n=len(rows), unit="nats")
    if entropy == 0.0:
        return undefined("all rows have one label", n=len(rows), unit="nats")
    group = None if groups is None else _own_groups(np.asarray(groups)[rows])
    options = options or (dict(LABEL_OPTIONS) if estimator == LABEL_ESTIMATOR else {})
    call = {key: options.pop(key) for key in _CALL if key in options}
    tool = make(estimator, seed=seed, **options)
    score = estimate_mi(
        values[rows],
        labels[rows],
        estimator=tool,
        groups=group,
        clusters=None if clusters is None else np.asarray(clusters)[rows],
        seed=seed,
        discrete_y=True,
        calibrated=0,
        **call,
    )
    if calibration:
        score = _with_calibration(
            score, values[rows], labels[rows], tool, calibration, seed, labels=True
        )
    # An estimator may correct the entropy for its bias (k - 1) / 2n and end that much above the
    # plug-in value: no error. Beyond it is one.
    correction = (len(np.unique(labels[rows])) - 1) / (2 * len(rows))
    kept = tuple(w for w in score.cautions if not str(w).startswith("above H("))
    if score.value > entropy + correction + 1e-6:
        notes.append(f"above H(label) = {entropy:.3f}: impossible, the estimator errs")
    details = {**score.details, "entropy": entropy, "uncertainty": score.value / entropy}
    score = replace(score, details=details, cautions=kept)
    return score.with_caution(*notes, *_collapse_note(values[rows]))


def conditional_information(
    x: ArrayLike,
    codes: ArrayLike,
    given: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    seed: int = 0,
) -> Score:
    """I(X; label | given) in nats, by the chain rule I(X, given; label) - I(given; label).

    Where people and expressions are tied in the data, an embedding that holds nothing but the
    expression still tells of the person; given the expression it tells nothing more. The second
    term is that of the table of counts, which is exact for these rows and rather too large for
    the population.

    Args:
        x: [n, d] embeddings.
        codes, given: [n] labels; rows where either is -1 are left out.
        groups, clusters, seed: as in `label_information`.
    """
    label, condition = (np.asarray(c, dtype=np.int64) for c in (codes, given))
    label = np.where(condition >= 0, label, -1)
    one_hot = np.eye(int(condition.max(initial=0)) + 1)[np.maximum(condition, 0)]
    both = np.concatenate([standardise(x), one_hot], axis=1)
    score = label_information(both, label, groups=groups, clusters=clusters, seed=seed)
    if not np.isfinite(score.value):
        return score
    rows = label >= 0
    known = float(mutual_information(label[rows], condition[rows]))

    def less(value: float | None) -> float | None:
        return None if value is None else value - known

    entropy = score.details["entropy"] - known
    value = score.value - known
    details = {
        **score.details,
        "entropy": entropy,
        "uncertainty": value / entropy if entropy > 0 else 0.0,
        "with_condition": score.value,
        "condition_alone": known,
    }
    return replace(score, value=value, low=less(score.low), high=less(score.high), details=details)


def _own_groups(groups: NDArray[np.int64]) -> Ints:
    """Unknown groups (-1) become groups of their own."""
    unknown = groups < 0
    out = groups.copy()
    out[unknown] = groups.max() + 1 + np.arange(int(unknown.sum()))
    return out


def _block_gap(own: Score, other: Score) -> Score:
    """U(own factor) - U(other factor), U = I / H: 1 for a pure block, -1 for the wrong one."""
    if not (np.isfinite(own.value) and np.isfinite(other.value)):
        reason = next(
            (w for score in (own, other) for w in score.cautions), "a term is not defined"
        )
        return undefined(reason)
    h_own, h_other = own.details["entropy"], other.details["entropy"]
    value = own.value / h_own - other.value / h_other
    half = np.hypot(_half(own) / h_own, _half(other) / h_other)
    return Score(
        value,
        _finite(value - half),
        _finite(value + half),
        n=min(own.n, other.n),
        unit="fraction",
        cautions=(*own.cautions, *other.cautions),
        details={"own": own.value / h_own, "other": other.value / h_other},
    )


MIG_SPECS = (
    ScoreSpec(
        "mig",
        "MIG",
        "What E tells of another person with the same expression, less what it tells of the "
        "same face's identity embedding, I(E_M; E_N) - I(E_M; I_M): below 0, more identity "
        "than expression.",
        unit="nats",
        better="high",
        column="main",
        order=80,
        headline="separates expression from identity most (MIG)",
        null="null",
    ),
    ScoreSpec(
        "normalised",
        "MIG, normalised",
        "The same gap with each term I on a bounded scale, 1 - exp(-2 I): from -1 (identity "
        "only) to 1 (expression only), comparable across embedding sizes.",
        unit="",
        better="high",
        range=(-1, 1),
        column="main",
        order=90,
        null="null",
    ),
)


@metric("mig", version=6, needs={"identity"}, scores=MIG_SPECS)
def mig(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """Modified MIG of the test part: both terms, their difference, and the bounded form.

    By "auto" on kept-out rows, and by MINE, as in the papers ("mine.<key>"); both calibrated.
    """
    own, second = (
        mig_of_part(run.test, estimator=name, calibration=CALIBRATION_TASKS, seed=seed)
        for name in (PAIR_ESTIMATOR, PAPER_ESTIMATOR)
    )
    return own | {f"{PAPER_ESTIMATOR}.{key}": score for key, score in second.items()}


def _leaked_given_expression(part: Part, seed: int) -> Score:
    """I(E; I | Y): what both embeddings share beyond the expression."""
    assert part.identity is not None
    rows = np.flatnonzero(part.y >= 0)
    notes: list[str] = []
    if len(rows) > ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, size=ROWS, replace=False))
        notes.append(f"a random {ROWS} of the rows")
    if not len(rows) or np.bincount(part.y[rows]).max() < MIN_ROWS:
        return undefined(f"no expression has {MIN_ROWS} rows", n=len(rows), unit="nats")
    score = estimate_mi(
        part.expression[rows],
        part.identity[rows],
        z=part.y[rows],
        estimator=PAPER_ESTIMATOR,
        null=CONDITIONAL_NULL,
        seed=seed,
    )
    return score.with_caution(*notes)


@metric("mig-estimators", version=2, needs={"identity"}, default=False)
def mig_estimators(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """MIG by two further estimators (InfoNCE, Gaussian copula), calibrated; and I(E; I | Y)."""
    out = {
        f"{estimator}.{key}": score
        for estimator in FURTHER_ESTIMATORS
        for key, score in mig_of_part(
            run.test, estimator=estimator, calibration=CALIBRATION_TASKS, seed=seed
        ).items()
    }
    return out | {"leaked.given_expression": _leaked_given_expression(run.test, seed)}


def mig_of_part(
    part: Part, *, estimator: str = PAIR_ESTIMATOR, seed: int = 0, **options: Any
) -> dict[str, Score]:
    """Modified MIG of one part (`modified_mig`), pairs drawn by `expression_pairs`.

    "auto" is kept to kept-out rows, unless `kept_out=False` is given.
    """
    assert part.identity is not None
    subject = part.s if part.has_subjects else None
    m, n, block = expression_pairs(part.y, subject, sequence=part.sequences, seed=seed)
    keys = ("shared", "leaked", "mig", "normalised")
    notes = []
    if subject is None:
        notes.append("no subject labels: a pair may show one person twice")
    if len(np.unique(block)) < 10:
        notes.append("few images: fitted and valued pairs share images, the value is too high")
    if len(m) < MIN_ROWS:
        reason = f"{len(m)} pairs of one expression and two subjects are too few (30 at least)"
        return {key: undefined(reason, n=len(m)) for key in keys}
    if len(m) > ROWS:
        keep = np.sort(np.random.default_rng(seed).choice(len(m), size=ROWS, replace=False))
        m, n, block = m[keep], n[keep], block[keep]
        notes.append(f"a random {ROWS} of the pairs")
    if estimator == PAIR_ESTIMATOR:
        options = {**PAIR_OPTIONS, **options}
    scores = modified_mig(
        part.expression[m],
        part.expression[n],
        part.identity[m],
        groups=block,
        clusters=None if subject is None else subject[m],
        estimator=estimator,
        seed=seed,
        **options,
    )
    bound = label_entropy(part.y[m])
    shared = scores["shared"]
    if shared.value > bound:
        # The pair shares the expression alone, so M - Y - N is a Markov chain.
        scores["shared"] = shared.with_caution(f"above H(Y) = {bound:.3f}: estimator error")
    scores["shared"] = replace(
        scores["shared"], details={**scores["shared"].details, "bound": bound}
    )
    return {key: score.with_caution(*notes) for key, score in scores.items()}
