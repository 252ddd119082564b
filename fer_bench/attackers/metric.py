"""The attackers as metrics of a run: who is still recognised in E, and what I tells of expression.

`attackers` climbs the ladder of closed forms, and runs by default. `attackers-all` adds the trained
attacker and the power of the evaluation; `[scores] attackers = "all"` or
`fer-bench score --attackers all` ask for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fer_bench.arrays import Part, RunArrays
from fer_bench.attackers.attacker import Attacker
from fer_bench.attackers.faces import Faces
from fer_bench.attackers.ladder import (
    Ladder,
    all_attackers,
    climb,
    closed_forms,
    template_numbers,
    worst_people,
)
from fer_bench.cautions import Caution
from fer_bench.metrics.common import undefined
from fer_bench.metrics.metric import metric
from fer_bench.metrics.probes import probe_unit
from fer_bench.score import Score, ScoreSpec

PLACES = (("E", "identity"), ("I", "expression"))  # where each should not be

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
        "I.expression.auc",
        "Expression from I",
        "AUC of the attacker that tells from two identity embeddings of different people whether "
        "they show one expression; .5 is guessing.",
        unit="",
        better="low",
        range=(0, 1),
        order=75,
    ),
    ScoreSpec(
        "<space>.<target>.<attacker>.auc",
        "AUC of one attacker",
        "AUC of each step of the ladder: cosine, LDA, PLDA and, if asked for, a network.",
        unit="",
        better="low",
        range=(0, 1),
    ),
)


@metric("attackers", needs=("subjects",), scores=SPECS)
def attackers(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """Is a person recognised in E across expressions? Closed-form attackers on unseen people."""
    out: dict[str, Score] = {}
    for space, target in PLACES:
        out |= ladder_scores(run, space, target, closed_forms(), seed=seed)
    return out


@metric("attackers-all", needs=("subjects",), default=False, scores=SPECS)
def attackers_all(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """The same with a trained attacker."""
    out: dict[str, Score] = {}
    for space, target in PLACES:
        out |= ladder_scores(run, space, target, all_attackers(), seed=seed)
    return out


def ladder_scores(
    run: RunArrays, space: str, target: str, tried: Sequence[Attacker], *, seed: int = 0
) -> dict[str, Score]:
    """Scores of all attackers on one embedding of a run, and those of the one that counts.

    Args:
        run: with subjects in its train and test parts.
        space: "E" or "I"; without it there are no scores.
        target: "identity" or "expression".
        tried: the attackers.
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
    out = {
        f"{prefix}.{name}.{key}": score.with_caution(*rung.cautions)
        for name, rung in ladder.rungs.items()
        for key, score in rung.scores.items()
    }
    chosen = dict(ladder.best.scores)
    if target == "identity":
        chosen |= template_numbers(ladder, seed=seed)
        chosen |= {"worst_tenth": worst_people(ladder, seed=seed)}
    facts = {"attacker": ladder.chosen, "validation": ladder.best.validation}
    for key, score in chosen.items():
        said = score.with_caution(*ladder.cautions, *ladder.best.cautions)
        out[f"{prefix}.{key}"] = replace(said, details={**score.details, **facts})
    return out


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


def part_faces(part: Part, space: str, target: str) -> Faces:
    """The faces of a part, for the question whether two share the target.

    Where a sequence runs through several expressions, two faces of a person must be of
    different sequences instead.
    """
    x = part.embeddings[space]
    if target == "expression":
        return Faces.of_expressions(x, part.s, part.y)
    apart = part.y
    if part.sequences is not None and probe_unit(part.s, part.y, part.sequences) == "sequence":
        apart = part.sequences
    return Faces.of_people(x, part.s, apart)
