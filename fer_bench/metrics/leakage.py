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

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from fer_bench.arrays import PartArrays, RunArrays
from fer_bench.cautions import Caution
from fer_bench.metrics.attacks import (
    FLOOR,
    Attack,
    centred,
    excess_score,
    identity_attacks,
    named_setting,
)
from fer_bench.metrics.common import Ints, undefined
from fer_bench.metrics.metric import metric
from fer_bench.metrics.probe_problems import (
    ExpressionProblem,
    IdentityProblem,
    expression_problem,
    identity_problem,
)
from fer_bench.metrics.probes import Probed, Split, knn_probe, linear_probe, subject_halves
from fer_bench.metrics.retrieval import nearest_images, retrieval_scores
from fer_bench.metrics.verification import verification_pairs, verification_scores
from fer_bench.score import Direction, Score, ScoreSpec

_CELLS: tuple[tuple[str, str, Direction], ...] = (
    ("I", "identity", "high"),
    ("E", "expression", "high"),
    ("I", "expression", "low"),
)
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
        aspect="leak",
        tables=("leakage",),
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
        aspect="leak",
        tables=("leakage", "confounding"),
    ),
    ScoreSpec(
        "E.identity.excess",
        "Beyond label",
        "What the strongest probe reads of the person from E beyond what the true expression "
        "alone tells.",
        better="low",
        order=65,
        tables=("leakage", "verification"),
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
        tables=("leakage",),
    ),
    *(
        ScoreSpec(
            f"{space}.{target}.strongest",
            f"{target.capitalize()} from {space}",
            f"Accuracy of the strongest of several probes that name the {target} from {space}.",
            better=better,
            range=(0, 1),
            order=75,
            null="chance",
            tables=("leakage",),
        )
        for space, target, better in _CELLS
    ),
    *(
        ScoreSpec(
            f"<space>.<target>.{probe}",
            title,
            f"Accuracy of an attacker: {title}.",
            range=(0, 1),
            tables=("probes",),
        )
        for probe, title in (
            ("linear", "linear probe"),
            ("mlp", "neural probe"),
            ("knn", "nearest neighbours"),
            ("centred", "linear, told who is who"),
            ("heldout", "linear, fitted on other test people"),
            ("strongest", "strongest of these"),
            ("floor", "from the true expression alone"),
        )
    ),
    *(
        ScoreSpec(f"<space>.<target>.{key}", title, meaning, unit="", tables=("verification",))
        for key, title, meaning in (
            ("auc", "same person or not, AUC", "Area under the curve of verification."),
            ("auc_centred", "the same, expression known", "With the expression taken off."),
            ("eer", "the same, equal error rate", "Equal error rate of verification."),
            ("map", "retrieval, mean average precision", "Of retrieval by cosine."),
            ("precision@<k>", "retrieval, precision", "Of the k nearest test faces."),
            ("tar@<rate>", "true accepts", "At this rate of false accepts."),
        )
    ),
)


@metric("leakage", version=2, scores=SPECS)
def leakage(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """The 2 x 2 matrix of one run, with probes, verification, retrieval and the label floor."""
    out: dict[str, Score] = {}
    # Apart, so that what is read from E and I does not depend on what else a method has.
    for embeddings in (run.test.embeddings, run.test.further):
        if embeddings:
            out |= identity_scores(run.test, embeddings, seed=seed)
            out |= expression_scores(run, list(embeddings), seed=seed)
            out |= _retrieval(run.test, embeddings, seed=seed)
    return out


def identity_scores(
    part: PartArrays, embeddings: Mapping[str, ArrayLike], *, seed: int = 0
) -> dict[str, Score]:
    """Identity cells: closed-set probes, label floor and verification."""
    problem = identity_problem(part, seed=seed)
    if isinstance(problem, Caution):
        keys = ("linear", "knn", "mlp", "strongest", "auc", "eer")
        return _undefined_cells("identity", embeddings, keys, problem)
    if problem.part is not part:
        embeddings = {name: problem.part.spaces[name] for name in embeddings}
    return _named_people(problem, embeddings, seed) | _verified_people(problem, embeddings, seed)


def _named_people(
    problem: IdentityProblem, embeddings: Mapping[str, ArrayLike], seed: int
) -> dict[str, Score]:
    """Closed-set probes of each embedding, the label floor, and what E leaks above it."""
    part = problem.part
    columns = max(1, len(part.classes))  # one constant column where no expression is known
    one_hot = np.eye(len(part.classes) + 1)[part.y][:, :columns]
    attacks = identity_attacks(
        {**embeddings, FLOOR: one_hot}, problem.subject, part.y, problem.split, seed=seed
    )
    scores = {name: problem.scores(by_probe, seed=seed) for name, by_probe in attacks.items()}
    out = {
        f"{name}.identity.{key}": score
        for name in embeddings
        for key, score in scores[name].items()
    }
    if "E" not in embeddings:
        return out
    out["E.identity.floor"] = scores[FLOOR]["strongest"]
    excess = excess_score(
        attacks["E"], attacks[FLOOR], problem.truth, details=problem.details, seed=seed
    )
    out["E.identity.excess"] = excess.with_caution(*problem.cautions)
    return out


def _verified_people(
    problem: IdentityProblem, embeddings: Mapping[str, ArrayLike], seed: int
) -> dict[str, Score]:
    """The same person or not, also by an attacker who takes the expression off first."""
    part = problem.part
    apart = part.y if problem.unit == "expression" else part.sequences
    assert apart is not None
    pairs = verification_pairs(part.s, apart, seed=seed)
    out: dict[str, Score] = {}
    for name, x in embeddings.items():
        scores = verification_scores(x, part.s, apart, pairs=pairs, seed=seed)
        if (part.y >= 0).any():
            known = verification_scores(centred(x, part.y), part.s, apart, pairs=pairs, seed=seed)
            scores["auc_centred"] = known["auc"]
        out |= {f"{name}.identity.{key}": score for key, score in scores.items()}
    return out


def expression_scores(run: RunArrays, names: list[str], *, seed: int = 0) -> dict[str, Score]:
    """Expression cells: probes fitted on the train part or on the other half of the subjects."""
    problem = expression_problem(run, seed=seed)
    if isinstance(problem, Caution):
        return _undefined_cells("expression", names, ("linear", "knn", "mlp", "strongest"), problem)
    return {
        f"{name}.expression.{key}": score
        for name, attacks in _expression_attacks(problem, names, seed).items()
        for key, score in problem.scores(attacks, seed=seed).items()
    }


def _expression_attacks(
    problem: ExpressionProblem, names: list[str], seed: int
) -> dict[str, dict[str, Attack]]:
    """Probes fitted on other people; also on rows less their person's mean, where known."""
    from fer_bench.metrics.network_probe import mlp_probes  # heavy

    pools, split, y = problem.pools, problem.split, problem.expression
    test = pools[-1]
    # Subjects of different parts are different people (subject-disjoint outer split).
    offsets = np.cumsum([0, *(len(part.subjects) for part in pools[:-1])])
    s = np.concatenate(
        [np.where(p.s >= 0, p.s + o, -1) for p, o in zip(pools, offsets, strict=True)]
    )
    know_subjects = all(part.has_subjects for part in pools)
    halves = subject_halves(test.s, test.y, seed=seed) if test.has_subjects else []
    stacked = {name: problem.stacked(name) for name in names}
    networks = mlp_probes(list(stacked.values()), [y] * len(names), split, seed=seed)
    out: dict[str, dict[str, Attack]] = {}
    for (name, x), network in zip(stacked.items(), networks, strict=True):
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
            attacks["heldout"] = Attack(_cross_fitted(test.spaces[name], test.y, halves))
        out[name] = attacks
    return out


def _undefined_cells(
    cell: str, names: Iterable[str], keys: Iterable[str], reason: Caution
) -> dict[str, Score]:
    return {
        f"{name}.{cell}.{key}": undefined(reason, unit="fraction") for name in names for key in keys
    }


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


def _retrieval(
    part: PartArrays, embeddings: Mapping[str, ArrayLike], *, seed: int
) -> dict[str, Score]:
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
