"""The attackers as metrics of a run: who is still recognised in E, and what I tells of expression.

`attackers` climbs the ladder of closed forms, and runs by default. `attackers-all` adds the trained
attacker and the power of the evaluation; `[scores] attackers = "all"` or
`fer-bench score --attackers all` ask for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np

from fer_bench.arrays import FROZEN_ATTACKER, RunArrays
from fer_bench.attackers.attacker import Attacker
from fer_bench.attackers.closed_forms import PLDA, Cosine
from fer_bench.attackers.columns import columns_of
from fer_bench.attackers.comparisons import Comparisons, compared_pairs
from fer_bench.attackers.faces import Faces, part_faces
from fer_bench.attackers.ladder import (
    Ladder,
    all_attackers,
    climb,
    closed_forms,
    template_numbers,
    worst_people,
)
from fer_bench.attackers.network import MetricNetwork
from fer_bench.attackers.numbers import person_effects, resampled_auc
from fer_bench.attackers.power import LEVEL, calibrated_power
from fer_bench.cautions import Caution
from fer_bench.metrics.common import undefined, with_interval
from fer_bench.metrics.metric import metric
from fer_bench.score import Score, ScoreSpec

FIXED, TRAINED = "E.identity.fixed.auc", "E.identity.auc"  # the leaks that claims compare
STEPS = {"cosine": "Cosine", "lda": "LDA", "plda": "PLDA", "network": "Network"}
PLACES = (("E", "identity"), ("I", "expression"))  # where each should not be

# Of every attacker and number of enrolled faces, and of the attacker that counts.
_OF_EACH = (
    ("auc", "AUC of an attacker", "Area under the curve of one step of the ladder.", "", 1),
    ("eer", "EER of an attacker", "Its equal error rate.", "fraction", 1),
    ("tar@<rate>", "TAR of an attacker", "True accepts at this false-accept rate.", "fraction", 1),
    (
        "linkability",
        "Linkability",
        "Global linkability of Gomez-Barrero et al. 2018.",
        "fraction",
        1,
    ),
    ("rank1", "Rank 1", "Share of searches whose first answer is right.", "fraction", 1),
    (
        "rank_bits",
        "Rank information",
        "Bits that the rank of the right one tells.",
        "bits",
        math.inf,
    ),
    ("detectable", "Told from chance", "AUC that would be told from chance.", "", 1),
)


def _of_step(name: str) -> ScoreSpec:
    """The AUC of one attacker of the ladder."""
    return ScoreSpec(
        f"E.identity.{name}.auc",
        STEPS[name],
        f"AUC of one step of the ladder of attackers ({STEPS[name]}); .5 is guessing.",
        unit="",
        better="low",
        range=(0, 1),
        order=82 + list(STEPS).index(name),
        tables=("ladder",),
    )


SPECS = (
    ScoreSpec(
        "E.identity.eer",
        "Attacker EER",
        "Equal error rate of the attacker that was best on validation people, who is asked "
        "whether two expression embeddings of different expressions are of one unknown person; "
        "50 % is guessing.",
        better="high",
        range=(0, 1),
        column="more",
        order=71,
        null="permuted",
    ),
    ScoreSpec(
        "E.identity.tar@0.01",
        "Attacker TAR at FAR 1 %",
        "Share of one person's pairs that the attacker links while it links one in a hundred "
        "pairs of strangers.",
        better="low",
        range=(0, 1),
        column="more",
        order=72,
    ),
    ScoreSpec(
        "E.identity.worst_tenth",
        "Worst tenth AUC",
        "AUC of the attacker for the tenth of the people that it recognises best, chosen on one "
        "half of their faces and read on the other.",
        unit="",
        better="low",
        range=(0, 1),
        column="more",
        order=73,
        null="any tenth",
    ),
    ScoreSpec(
        "E.identity.mean5.rank_bits",
        "Rank information",
        "Bits that the rank of the right person among all tells when five faces of everybody are "
        "known: a lower bound, with the bias of the count taken off.",
        unit="bits",
        better="low",
        column="more",
        order=74,
    ),
    ScoreSpec(
        FIXED,
        "Fixed attacker AUC",
        "AUC of an attacker that never learnt from this embedding: the recogniser that the method "
        "was trained against, where it keeps one, else the cosine; .5 is guessing.",
        unit="",
        better="low",
        range=(0, 1),
        order=48,
        tables=("claims",),
    ),
    ScoreSpec(
        TRAINED,
        "Trained attacker AUC",
        "Are two faces of different expressions of one person? AUC of the attacker that was best "
        "on validation people, of those that learnt from the training people's embeddings and "
        "the cosine; .5 is guessing.",
        unit="",
        better="low",
        range=(0, 1),
        column="main",
        order=49,
        null="permuted",
        headline="is linked least to its person by an attacker that has seen neither",
        aspect="leak",
        tables=("claims", "leakage"),
    ),
    ScoreSpec(
        "E.identity.detectable",
        "Told from chance",
        "AUC that nine of ten such evaluations would tell from permuted people at 1 %.",
        unit="",
        better="low",
        range=(0, 1),
        order=80,
        tables=("claims",),
    ),
    ScoreSpec(
        "E.identity.rise",
        "Rise",
        "AUC of the trained attacker less that of the fixed one, on the same pairs of faces.",
        unit="",
        range=(-1, 1),
        order=79,
        tables=("claims",),
    ),
    *(_of_step(name) for name in STEPS if name != "network"),
    ScoreSpec(
        "I.expression.auc",
        "Expression from I",
        "AUC of the attacker that tells from two identity embeddings of different people whether "
        "they show one expression; .5 is guessing.",
        unit="",
        better="low",
        range=(0, 1),
        order=75,
    ),
    *(
        ScoreSpec(f"<space>.<target>.{key}", title, meaning, unit, range=(0, highest))
        for key, title, meaning, unit, highest in _OF_EACH
    ),
)

POWER = ScoreSpec(
    "E.identity.power",
    "Leak found from EER",
    "The weakest planted leak that these attackers find in nine of ten draws, as the equal error "
    "rate of an attacker who knows the plant: the nearer to 50 %, the less can hide.",
    better="high",
    range=(0, 0.5),
    column="more",
    order=81,
    tables=("claims",),
)
WEAK = 0.4  # an evaluation that misses weaker leaks than this EER says little by finding none
TRAINED_DRAWS = 10  # planted leaks that a network is trained on


@metric("attackers", version=6, needs=("subjects",), scores=SPECS)
def attackers(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """Is a person recognised in E across expressions? Closed-form attackers on unseen people."""
    out: dict[str, Score] = {}
    for space, target in PLACES:
        out |= ladder_scores(run, space, target, closed_forms(), seed=seed)
    return out


@metric(
    "attackers-all",
    version=6,
    needs=("subjects",),
    default=False,
    scores=(_of_step("network"), *SPECS, POWER),
)
def attackers_all(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """The same with a trained attacker, and how small a leak would have been found."""
    out: dict[str, Score] = {}
    for space, target in PLACES:
        out |= ladder_scores(run, space, target, all_attackers(), power=True, seed=seed)
    return out


def ladder_scores(
    run: RunArrays,
    space: str,
    target: str,
    tried: Sequence[Attacker],
    *,
    power: bool = False,
    seed: int = 0,
) -> dict[str, Score]:
    """Scores of all attackers on one embedding of a run, and those of the one that counts.

    Args:
        run: with subjects in its train and test parts.
        space: "E" or "I"; without it there are no scores.
        target: "identity" or "expression".
        tried: the attackers.
        power: also plant leaks of identity, to see how small a one would be found.
        seed: of everything.

    Returns:
        "<space>.<target>.<attacker>.<number>" for each, "<space>.<target>.<number>" for the one
        chosen on validation people; of identity also its templates ("mean3.auc") and worst tenth.
    """
    if space not in run.test.embeddings:
        return {}
    ladder = run_ladder(run, space, target, tried, seed=seed)
    prefix = f"{space}.{target}"
    if isinstance(ladder, Caution):
        return {f"{prefix}.{key}": undefined(ladder) for key in ("eer", "auc")}
    scores = {
        name: _with_effects(rung.scores, rung.compared, ladder.test)
        if target == "identity"
        else rung.scores
        for name, rung in ladder.rungs.items()
    }
    out = {
        f"{prefix}.{name}.{key}": score.with_caution(*ladder.rungs[name].cautions)
        for name, numbers in scores.items()
        for key, score in numbers.items()
    }
    chosen = dict(scores[ladder.chosen])
    if target == "identity":
        chosen |= template_numbers(ladder, seed=seed)
        chosen |= {"worst_tenth": worst_people(ladder, seed=seed)}
    cautions = [*ladder.cautions, *ladder.best.cautions]
    if power and target == "identity":
        chosen["power"] = power_score(ladder, seed=seed)
        cautions += power_cautions(chosen["power"], ladder.best.scores["auc"])
    if "detectable" in (details := chosen["auc"].details):
        chosen["detectable"] = Score(details["detectable"], n=chosen["auc"].n)
    facts = {"attacker": ladder.chosen, "validation": ladder.best.validation}
    for key, score in chosen.items():
        said = score.with_caution(*cautions)
        out[f"{prefix}.{key}"] = replace(said, details={**score.details, **facts})
    if prefix == "E.identity":
        compared = fixed_attacker(run, ladder, seed=seed)
        fixed = fixed_scores(compared, ladder.best.compared, seed=seed)
        known = _with_effects({"auc": fixed["fixed.auc"]}, compared, ladder.test)
        out |= {f"{prefix}.rise": fixed["rise"], FIXED: known["auc"]}
    return out


def _with_effects(
    scores: Mapping[str, Score], compared: Comparisons, test: Faces
) -> dict[str, Score]:
    """The scores of an attacker, with what each test person changes in them."""
    people = np.unique(test.people)
    effects = person_effects(compared)
    return {
        key: replace(score, effects=replace(effects[key], people=people[effects[key].people]))
        if key in effects and math.isfinite(score.value)
        else score
        for key, score in scores.items()
    }


def fixed_attacker(run: RunArrays, ladder: Ladder, *, seed: int = 0) -> Comparisons:
    """What the attacker gives that a paper on such a method asks, on the same pairs as the ladder.

    The recogniser that the method was trained against where it keeps what that compares
    (`FROZEN_ATTACKER`), else the ignorant attacker.
    """
    if FROZEN_ATTACKER not in run.test.further:
        return next(iter(ladder.rungs.values())).compared
    faces = part_faces(run.test, FROZEN_ATTACKER, "identity").at_most(seed=seed)
    return compared_pairs(Cosine().fit(faces, faces), faces)


def fixed_scores(fixed: Comparisons, best: Comparisons, *, seed: int = 0) -> dict[str, Score]:
    """The AUC of a fixed attacker, and by how much the best one's is above, people resampled alike.

    >>> import numpy as np
    >>> from fer_bench.attackers.comparisons import Side
    >>> people = np.array([[0, 0], [1, 1]]), np.array([[0, 1], [1, 0]])
    >>> half = np.full(2, 0.5)
    >>> blind = Comparisons(*(Side(np.zeros(2), half, p) for p in people), 2)
    >>> sharp = Comparisons(Side(np.ones(2), half, people[0]), blind.impostor, 2)
    >>> {key: score.value for key, score in fixed_scores(blind, sharp).items()}
    {'fixed.auc': 0.5, 'rise': 0.5}
    """
    (value, drawn), (highest, best_drawn) = (
        resampled_auc(each, draws=300, seed=seed) for each in (fixed, best)
    )
    n, people = len(fixed.genuine), fixed.n_people
    return {
        "fixed.auc": with_interval(Score(value, null=0.5, n=n), drawn, clusters=people),
        "rise": with_interval(
            Score(highest - value, null=0.0, n=n), best_drawn - drawn, clusters=people
        ),
    }


def power_score(ladder: Ladder, *, seed: int = 0) -> Score:
    """The weakest leak found in 90 % of draws, of the kind that is hardest to find.

    `details` hold every kind. A product of signs ("xor") stands apart: no closed form can see it,
    and it is looked for with the network.
    """
    columns = columns_of(ladder.train)
    train, validation, test = (
        columns.narrow(faces) for faces in (ladder.train, ladder.validation, ladder.test)
    )
    parts = (train, validation, test)
    powers = calibrated_power(parts, closed_forms(), seed=seed)
    network = (PLDA(), MetricNetwork(widths=(256,), epochs=30, seeds=1))
    unseen = calibrated_power(parts, network, kinds=("xor",), draws=TRAINED_DRAWS, seed=seed)
    hardest = min(powers.values(), key=lambda power: power.threshold)
    return Score(
        hardest.threshold, hardest.low, hardest.high, n=len(ladder.test), unit="fraction",
        details={"kinds": {kind: asdict(one) for kind, one in (powers | unseen).items()}},
    )  # fmt: skip


def power_cautions(power: Score, auc: Score) -> list[Caution]:
    """What the power of an evaluation says of its numbers.

    Args:
        power: of `power_score`.
        auc: of the attacker that counts, with its permutation p-value.
    """
    at_chance = auc.p is not None and auc.p > LEVEL
    if at_chance and power.value < WEAK:
        return [Caution("leak-missed", eer=power.value)]
    return [Caution("finds-leaks", eer=power.value)]


def run_ladder(
    run: RunArrays, space: str, target: str, tried: Sequence[Attacker], *, seed: int = 0
) -> Ladder | Caution:
    """Climb the ladder on the parts of a run, or say what it lacks."""
    train, validation = run.parts.get("train"), run.parts.get("validation")
    if train is None or not train.has_subjects:
        return Caution("no-labels", of="subject", where="the train part")
    if target == "expression" and not ((train.y >= 0).any() and (run.test.y >= 0).any()):
        return Caution("no-labels", of="expression", where="the train or test part")
    known = validation is not None and validation.has_subjects
    held = part_faces(validation, space, target) if validation is not None and known else None
    faces = [part_faces(part, space, target) for part in (train, run.test)]
    return climb(faces[0], held, faces[1], attackers=tried, seed=seed)
