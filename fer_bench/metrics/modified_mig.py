"""The modified MIG: what E shares with another person's E, less what it shares with I.

All values are in nats. Critics are fresh, never those that trained the encoder; they are fitted
on some rows of the test part, stopped on others and valued on yet others (`estimate_mi`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_bench.arrays import PartArrays, RunArrays
from fer_bench.cautions import Caution, has
from fer_bench.information import Estimator, estimate_mi
from fer_bench.information.calibration import FAULTS
from fer_bench.information.estimator import make
from fer_bench.labels import label_entropy
from fer_bench.metrics.common import Floats, bounds, half_width, random_rows, undefined
from fer_bench.metrics.metric import metric
from fer_bench.metrics.mi import (
    CALIBRATION_TASKS,
    MIN_ROWS,
    ROWS,
    collapse_cautions,
    split_options,
    with_calibration,
)
from fer_bench.metrics.pairing import expression_pairs
from fer_bench.reading import read_matrix
from fer_bench.score import Effects, Score, ScoreSpec

# The default, by its values on kept-out rows, which the bound H(Y) holds for.
PAIR_ESTIMATOR = "auto"
PAIR_OPTIONS: Mapping[str, Any] = {"kept_out": True}
PAPER_ESTIMATOR = "mine"
FURTHER_ESTIMATORS = ("infonce", "copula")  # another critic, and a closed form
CONDITIONAL_NULL = 3  # permuted copies for I(E; I | Y)
FEWEST_BLOCKS = 10  # with fewer, fitted and valued pairs share images


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
    """The modified MIG, I(E_M; E_N) - I(E_M; I_M), and its two terms.

    M and N are two images of one expression and different subjects. Both terms are estimated from
    the same rows with the same estimator, dimension, whitening and budget: where E and I differ in
    dimension, the larger is reduced to its first principal components.

    Args:
        e_m: [n, d_e] expression embeddings of the images M.
        e_n: [n, d_e] those of their partners N.
        i_m: [n, d_i] identity embeddings of M.
        groups: [n] blocks of pairs that share images (`expression_pairs`). A block is either
            fitted on or evaluated on.
        clusters: [n] subjects of M, over which the interval is computed.
        estimator: name of an estimator of `fer_bench.information`. "auto" may choose a closed
            form where it holds for both terms; otherwise one critic serves both. Pass the option
            `kept_out` where a bound such as H(Y) must hold.
        calibration: number of planted problems of known MI, on the same rows, that the estimator
            is tried on (`fer_bench.information.calibrate`). The result is in
            `details["calibration"]` of both terms.
        seed: of splits, critics and permutations.
        options: of the estimator.

    Returns:
        "shared" = I(E_M; E_N), "leaked" = I(E_M; I_M), "mig" (their difference) in nats and
        "normalised" (`normalised_mig`), which has no unit. The interval of a difference adds the
        squared half widths of both terms, which is conservative, as the terms share their rows.
        Where the calibration finds that the second term is read too low and the first is not,
        the gap is a bound from above, and carries the caution "gap-at-most".

    Raises:
        DataError: gaps, other numbers of rows, or E of different width for the two images.

    Source: DICE-FER (Aquib, Verma, Akhtar, CVPR Workshops 2025) for the difference.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> expression = rng.normal(size=(400, 1))
    >>> e_m, e_n = (expression + 0.5 * rng.normal(size=(400, 1)) for _ in "mn")
    >>> scores = modified_mig(e_m, e_n, rng.normal(size=(400, 1)), estimator="copula")
    >>> scores["shared"].value > 0.3 > abs(scores["leaked"].value)
    True
    """
    e = read_matrix(e_m, "e_m", vector=True)
    partner = read_matrix(e_n, "e_n", rows=len(e), columns=e.shape[1], vector=True)
    pairs = _same_width(e, partner, read_matrix(i_m, "i_m", rows=len(e), vector=True))
    shared, leaked, tool = _both_terms(pairs, groups, clusters, estimator, seed, options)
    e, *others = pairs
    if calibration:
        shared, leaked = (
            with_calibration(term, e, other, tool, calibration, seed)
            for term, other in zip((shared, leaked), others, strict=True)
        )
    if estimator == "infonce":
        shared, leaked = _check_ceiling(shared, options), _check_ceiling(leaked, options)
    shared = shared.with_caution(*collapse_cautions(e))
    leaked = leaked.with_caution(*collapse_cautions(e), *collapse_cautions(others[1]))

    gap = _difference(shared, leaked, estimator=estimator, dimension=e.shape[1])
    bounded = _bounded(gap, shared, leaked)
    return {"shared": shared, "leaked": leaked, "mig": gap, "normalised": bounded}


def _same_width(a: Floats, b: Floats, c: Floats) -> tuple[Floats, Floats, Floats]:
    """E of both images and I, the wider embedding on its leading principal components."""
    width = min(a.shape[1], c.shape[1])
    if a.shape[1] > width:
        axes = _principal_axes(np.concatenate([a, b]), width)
        a, b = a @ axes, b @ axes
    if c.shape[1] > width:
        c = c @ _principal_axes(c, width)
    return a, b, c


def _both_terms(
    pairs: tuple[Floats, Floats, Floats],
    groups: ArrayLike | None,
    clusters: ArrayLike | None,
    estimator: str,
    seed: int,
    options: dict[str, Any],
) -> tuple[Score, Score, Estimator]:
    """I(E_M; E_N) and I(E_M; I_M) by one estimator, on the same splits of the same rows."""
    from fer_bench.information.estimators.auto import Auto  # heavy

    call, options = split_options(options)
    given: dict[str, Any] = {"groups": groups, "clusters": clusters, "calibrated": 0, **call}
    e, *others = pairs

    def terms(tool: Estimator) -> tuple[Score, Score, Estimator]:
        shared, leaked = (
            estimate_mi(e, other, estimator=tool, seed=seed, **given) for other in others
        )
        return shared, leaked, tool

    tool = make(estimator, seed=seed, **options)
    shared, leaked, tool = terms(tool)
    if isinstance(tool, Auto) and shared.details.get("chosen") != leaked.details.get("chosen"):
        # The closed form that "auto" chose for one term does not hold for the other.
        return terms(tool.critic(len(e)))
    return shared, leaked, tool


def _difference(shared: Score, leaked: Score, *, estimator: str, dimension: int) -> Score:
    """shared - leaked in nats, each at least 0, with what it rests on."""
    details = {
        "estimator": shared.details.get("chosen", shared.details.get("estimator", estimator)),
        "dimension": dimension,
        "shared": shared.value,
        "leaked": leaked.value,
        "shared_null": shared.null,
        "leaked_null": leaked.null,
    }
    calibrations = [term.details.get("calibration", {}) for term in (shared, leaked)]
    if all(calibrations):
        details["corrected"] = calibrations[0]["corrected"] - calibrations[1]["corrected"]
    # Information is not negative: a term below 0 is a critic that failed, and counts as none.
    first, second = _nonnegative(shared), _nonnegative(leaked)
    value = first.value - second.value
    return Score(
        value,
        *bounds(value, float(np.hypot(half_width(first), half_width(second)))),
        null=None if shared.null is None or leaked.null is None else shared.null - leaked.null,
        n=shared.n,
        unit="nats",
        cautions=_gap_cautions(shared, leaked),
        details=details,
        effects=_gap_effects(shared, leaked, lambda nats: 1.0),
    )


def _gap_cautions(shared: Score, leaked: Score) -> tuple[Caution, ...]:
    """What both terms warn of. A leak that is read too low still bounds the gap from above."""
    too_low = {
        caution
        for caution in leaked.cautions
        if caution.code == "calibration-bias" and caution.values["direction"] == "low"
    }
    if not too_low or has(shared.cautions, *FAULTS):
        return (*shared.cautions, *leaked.cautions)
    others = (c for c in leaked.cautions if c not in too_low)
    return (*shared.cautions, *others, Caution("gap-at-most"))


def _gap_effects(shared: Score, leaked: Score, slope: Callable[[float], float]) -> Effects | None:
    """What each person changes in f(shared) - f(leaked), by the slope of f; 0 below 0 nats."""
    if shared.effects is None or leaked.effects is None:
        return None
    first, second = (
        term.effects.changes * (slope(term.value) if term.value > 0 else 0.0)
        for term in (shared, leaked)
        if term.effects is not None
    )
    return replace(shared.effects, changes=first - second)


def _bounded(gap: Score, shared: Score, leaked: Score) -> Score:
    """The gap on the bounded scale.

    That scale is steep near 0 and flat above, so its interval follows those of the terms.
    """
    value = normalised_mig(shared.value, leaked.value)
    low = high = None
    if None not in (shared.low, shared.high, leaked.low, leaked.high):
        down = np.hypot(
            value - normalised_mig(_known(shared.low), leaked.value),
            value - normalised_mig(shared.value, _known(leaked.high)),
        )
        up = np.hypot(
            normalised_mig(_known(shared.high), leaked.value) - value,
            normalised_mig(shared.value, _known(leaked.low)) - value,
        )
        low, high = max(value - down, -1.0), min(value + up, 1.0)
    return replace(
        gap,
        value=value,
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        null=None if gap.null is None else normalised_mig(shared.null or 0.0, leaked.null or 0.0),
        unit="",
        effects=_gap_effects(shared, leaked, lambda nats: 2 * float(np.exp(-2 * nats))),
    )


def _known(bound: float | None) -> float:
    assert bound is not None
    return bound


def _check_ceiling(score: Score, options: Mapping[str, Any]) -> Score:
    """Warn of InfoNCE near ln(batch): a Gaussian pair of 6.6 nats reads 4.4 at a batch of 128."""
    ceiling = float(np.log(options.get("batch", 256)))
    if score.value < 0.9 * ceiling or has(score.cautions, "saturated"):
        return score
    return score.with_caution(Caution("near-ceiling", ceiling=ceiling))


def _principal_axes(x: Floats, count: int) -> Floats:
    values, axes = np.linalg.eigh(np.cov(x, rowvar=False))
    return axes[:, np.argsort(values)[::-1][:count]]


SHARED, LEAKED, MIG = "I(E_M; E_N)", "I(E_M; I_M)", "MIG"


def _terms_by(
    estimator: str,
    title: str,
    *,
    meaning: str = "The same, by another estimator.",
    order: int = 100,
    tables: tuple[str, ...] = ("information",),
) -> tuple[ScoreSpec, ...]:
    """The terms of the MIG by a named estimator."""
    bounded = ScoreSpec(
        f"{estimator}.normalised", f"MIG, normalised, {title}", meaning, unit="", range=(-1, 1)
    )
    return (
        bounded,
        *(
            ScoreSpec(
                f"{estimator}.{key}",
                f"{name}, {title}",
                meaning,
                unit="nats",
                order=order,
                tables=tables,
            )
            for key, name in (("shared", SHARED), ("leaked", LEAKED), ("mig", MIG))
        ),
    )


MIG_SPECS = (
    ScoreSpec(
        "shared",
        SHARED,
        "Two people, one expression: the shared part.",
        unit="nats",
        order=78,
        tables=("mig", "information"),
    ),
    ScoreSpec(
        "leaked",
        LEAKED,
        "One face, both embeddings: the leak between them.",
        unit="nats",
        order=79,
        tables=("mig", "information"),
    ),
    ScoreSpec(
        "mig",
        MIG,
        "What E tells of another person with the same expression, less what it tells of the "
        "same face's identity embedding, I(E_M; E_N) - I(E_M; I_M): below 0, more identity "
        "than expression.",
        unit="nats",
        better="high",
        column="main",
        order=80,
        headline="separates expression from identity most (MIG)",
        null="null",
        tables=("mig", "information"),
        published="mig",
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
        aspect="separation",
        tables=("mig", "information"),
    ),
)
PAPER_SPECS = _terms_by(  # before those of the chosen estimator, as the papers print MINE's
    PAPER_ESTIMATOR, "MINE", meaning="As the papers estimate it.", order=75,
    tables=("mig", "information"),
)  # fmt: skip
ESTIMATOR_SPECS = (
    *_terms_by("infonce", "InfoNCE"),
    *_terms_by("copula", "Gaussian copula"),
    ScoreSpec(
        "leaked.given_expression",
        "I(E; I | expression)",
        "What both embeddings hold beyond the expression.",
        unit="nats",
        tables=("information",),
    ),
)


@metric("mig", version=8, needs={"identity"}, scores=MIG_SPECS)
def mig(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """Modified MIG of the test part, by "auto" on kept-out rows: both terms, gap, bounded form.

    Oracles are not calibrated: what they hold is known, and beyond what estimators can read.
    """
    return mig_of_part(run.test, calibration=_calibration_tasks(run), seed=seed)


def _calibration_tasks(run: RunArrays) -> int:
    return 0 if run.role == "oracle" else CALIBRATION_TASKS


@metric("mig-mine", version=2, needs={"identity"}, scores=PAPER_SPECS)
def mig_mine(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """Modified MIG of the test part by MINE, as in the papers, on kept-out rows."""
    return _by(PAPER_ESTIMATOR, run, seed)


def _by(estimator: str, run: RunArrays, seed: int) -> dict[str, Score]:
    scores = mig_of_part(
        run.test, estimator=estimator, calibration=_calibration_tasks(run), seed=seed
    )
    return {f"{estimator}.{key}": score for key, score in scores.items()}


def _leaked_given_expression(part: PartArrays, seed: int) -> Score:
    """I(E; I | Y): what both embeddings share beyond the expression."""
    assert part.identity is not None
    rows, cautions = random_rows(np.flatnonzero(part.y >= 0), ROWS, seed=seed)
    if not len(rows) or np.bincount(part.y[rows]).max() < MIN_ROWS:
        return undefined(Caution("few-per-expression", least=MIN_ROWS), n=len(rows), unit="nats")
    score = estimate_mi(
        part.expression[rows],
        part.identity[rows],
        z=part.y[rows],
        estimator=PAPER_ESTIMATOR,
        null=CONDITIONAL_NULL,
        seed=seed,
    )
    return score.with_caution(*cautions)


@metric("mig-estimators", version=5, needs={"identity"}, default=False, scores=ESTIMATOR_SPECS)
def mig_estimators(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """MIG by two further estimators (InfoNCE, Gaussian copula), calibrated; and I(E; I | Y)."""
    out: dict[str, Score] = {}
    for estimator in FURTHER_ESTIMATORS:
        out |= _by(estimator, run, seed)
    return out | {"leaked.given_expression": _leaked_given_expression(run.test, seed)}


def mig_of_part(
    part: PartArrays, *, estimator: str = PAIR_ESTIMATOR, seed: int = 0, **options: Any
) -> dict[str, Score]:
    """Modified MIG of one part (`modified_mig`), pairs drawn by `expression_pairs`.

    "auto" is kept to kept-out rows, unless `kept_out=False` is given.
    """
    assert part.identity is not None
    m, n, block = expression_pairs(part.y, part.groups, sequence=part.sequences, seed=seed)
    if len(m) < MIN_ROWS:
        of = "pairs of one expression and two subjects"
        reason = Caution("few-rows", n=len(m), of=of, least=MIN_ROWS)
        units = {"shared": "nats", "leaked": "nats", "mig": "nats", "normalised": ""}
        return {key: undefined(reason, n=len(m), unit=unit) for key, unit in units.items()}
    kept, cautions = random_rows(np.arange(len(m)), ROWS, seed=seed, of="pairs")
    if part.groups is None:
        cautions.append(Caution("one-person-twice"))
    if len(np.unique(block)) < FEWEST_BLOCKS:
        cautions.append(Caution("pairs-share-images"))
    m, n, block = m[kept], n[kept], block[kept]
    if estimator == PAIR_ESTIMATOR:
        options = {**PAIR_OPTIONS, **options}
    scores = modified_mig(
        part.expression[m],
        part.expression[n],
        part.identity[m],
        groups=block,
        clusters=None if part.groups is None else part.groups[m],
        estimator=estimator,
        seed=seed,
        **options,
    )
    # The pair shares the expression alone: M - Y - N is a Markov chain, so that H(Y) is a bound.
    bound, shared = label_entropy(part.y[m]), scores["shared"]
    scores["shared"] = replace(shared, details={**shared.details, "bound": bound})
    if shared.value > bound:
        above = Caution("above-entropy", of="Y", entropy=bound)
        scores["shared"] = scores["shared"].with_caution(above)
    return {
        key: replace(score.with_caution(*cautions), effects=_of_people(score.effects, part, m))
        for key, score in scores.items()
    }


def _of_people(
    effects: Effects | None, part: PartArrays, rows: NDArray[np.int64]
) -> Effects | None:
    """Effects by the part's codes of people instead of those of the pairs alone."""
    if effects is None or part.groups is None:
        return None
    people = np.unique(part.groups[rows])
    return replace(effects, people=people) if len(people) == len(effects.people) else None
