"""A result folder as a sweep leaves it, with simulated embeddings instead of trained ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from fer_bench.arrays import PartArrays
from fer_bench.cautions import Caution
from fer_bench.experiment import DataSpec, Experiment, RunSpec, SplitSpec, TrainingSpec
from fer_bench.metrics.affect import affect as affect_metric
from fer_bench.metrics.classification import classification
from fer_bench.metrics.groups import groups as groups_metric
from fer_bench.metrics.metric import score_run
from fer_bench.reports.page import write_report
from fer_bench.reports.summary import Summary, summarise
from fer_bench.runs.store import RunStore, write_json, write_part
from fer_bench.score import Outcome, Score

CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger")


@dataclass(frozen=True)
class Simulated:
    """How strongly a pretended method shows expression (and identity) in E and I."""

    title: str
    skill: float
    leak: float
    role: str = "method"
    identity: bool = True
    warnings: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()
    published: tuple[dict, ...] = ()


METHODS = {
    "dice-fer": Simulated(
        "DICE-FER",
        1.3,
        0.5,
        warnings=("Stage 2 saw pairs of the same subject in 3 of 120 batches.",),
        deviations=("Class-aware negatives: one shuffled negative in seven has the same class.",),
        published=(
            {"dataset": "RAF-DB", "metric": "accuracy", "value": 85.5, "source": "dice_fer_readme"},
            {"dataset": "RAF-DB", "metric": "mig", "value": 0.448, "source": "dice_fer_readme"},
        ),
    ),
    "eif": Simulated("EIF", 1.2, 0.9),
    "erm": Simulated("ERM", 1.25, 1.1, identity=False),
    "adversarial-branch": Simulated("Adversarial branch", 0.9, 1.0),
    "pixels": Simulated("Pixels (PCA)", 0.35, 1.8, role="reference", identity=False),
    "random-encoder": Simulated("Random encoder", 0.15, 0.8, role="reference", identity=False),
    "oracle-label": Simulated("Oracle: label", 9.0, 0.0, role="oracle"),
    "oracle-subject": Simulated("Oracle: subject", 0.0, 9.0, role="oracle"),
}


def simulate_part(
    name: str, method: Simulated, labels: pd.DataFrame, rng: np.random.Generator, *, affect: bool
) -> PartArrays:
    """E = skill * class code + leak * subject code + noise, and I the other way round."""
    d, n = 16, len(labels)
    fixed = np.random.default_rng(7)
    class_codes = fixed.normal(size=(len(CLASSES), d)).astype(np.float32)
    subject_codes = fixed.normal(size=(400, d)).astype(np.float32)
    y = np.array([CLASSES.index(c) for c in labels["expression"]])
    s = labels["subject"].str[1:].astype(int).to_numpy()
    noise = rng.normal(size=(2, n, d)).astype(np.float32)
    skill, leak = 0.6 * method.skill, 0.6 * method.leak
    e = skill * class_codes[y] + leak * subject_codes[s] + noise[0]
    i = 0.2 * skill * class_codes[y] + 1.2 * subject_codes[s] + noise[1]
    logits = (e @ class_codes.T / 3).astype(np.float32)
    va = labels[["valence", "arousal"]].to_numpy(np.float32)
    va = va * min(method.skill, 1) + 0.2 * rng.normal(size=va.shape).astype(np.float32)
    return PartArrays(
        name,
        e.astype(np.float32),
        i.astype(np.float32) if method.identity else None,
        None if method.title == "Oracle: subject" else logits,
        va.astype(np.float32) if affect else None,
        labels,
        CLASSES,
    )


def pretended_outcomes(method: Simulated, rng: np.random.Generator) -> dict[str, Outcome]:
    """Scores of the slow metrics (probes, critics), as they would come out of such embeddings."""

    def score(value: float, half: float, **more) -> Score:
        value = float(value + rng.normal(0, half / 4))
        return Score(value, value - half, value + half, n=112, **more)

    def squash(x: float) -> float:
        return float(np.clip(1 - np.exp(-x), 0, 1))

    leakage = {}
    capacity = {}
    spaces = {"E": (method.skill, method.leak)}
    if method.identity:
        spaces["I"] = (0.2, 1.8)
    for space, (skill, leak) in spaces.items():
        for target, level, chance in (("identity", leak, 1 / 8), ("expression", skill, 0.24)):
            best = chance + (1 - chance) * squash(level)
            for probe, factor in (("linear", 0.95), ("mlp", 1.0), ("knn", 0.85)):
                leakage[f"{space}.{target}.{probe}"] = score(
                    best * factor, 0.06, null=chance, unit="fraction"
                )
            for i, probe in enumerate(("dims1", "dims2", "dims4", "mlp4", "mlp64")):
                capacity[f"{space}.{target}.{probe}"] = score(
                    chance + (best - chance) * (i + 1) / 5, 0.06, null=chance, unit="fraction"
                )
            leakage[f"{space}.{target}.strongest"] = score(
                best, 0.06, null=chance, unit="fraction", details={"chance": chance}
            )
        leakage[f"{space}.identity.auc"] = score(0.5 + 0.5 * squash(leak), 0.04, null=0.5)
    gap = squash(method.skill) * 1.4 - squash(method.leak) * 0.8
    saturated = ("The estimate is within 5 % of ln(batch): saturated.",) if gap > 1 else ()
    mig = {
        "mig": score(gap, 0.2, null=0.01, unit="nats", cautions=saturated),
        "shared": score(squash(method.skill) * 1.4, 0.15, null=0.01, unit="nats"),
        "leaked": score(squash(method.leak) * 0.8, 0.15, null=0.0, unit="nats"),
        "normalised": score(gap / 1.95, 0.1, null=0.005),
    }
    mi = {}
    for space, (skill, leak) in spaces.items():
        for target, level, bound in (("expression", skill, 1.9), ("identity", leak, 2.1)):
            mi[f"{space}.{target}"] = score(
                0.9 * bound * squash(level),
                0.1,
                null=0.02,
                unit="nats",
                details={"entropy": bound, "estimator": "classifier"},
            )
    extra = {"mi": Outcome(1, mi), "capacity": Outcome(1, capacity)}
    if not method.identity:
        skipped = Outcome(1, skipped="the method has no identity embedding")
        return {"leakage": Outcome(1, leakage), "mig": skipped, **extra}
    return {"leakage": Outcome(1, leakage), "mig": Outcome(1, mig), **extra}


def face_table(n_subjects: int, per_subject: int, *, classes: tuple[str, ...] = CLASSES):
    """A label table and simple drawn faces uint8 [n, 32, 32, 3]."""
    rng = np.random.default_rng(3)
    rows, faces = [], []
    grid = np.linspace(-1, 1, 32)
    xx, yy = np.meshgrid(grid, grid)
    skins = rng.uniform(90, 235, size=(n_subjects, 3))
    for s in range(n_subjects):
        for k in range(per_subject):
            c = int(rng.choice(len(classes), p=_frequencies(len(classes))))
            smile = np.cos(c)
            face = np.full((32, 32, 3), 60.0)
            face[xx**2 + (yy / 1.15) ** 2 < 0.8] = skins[s]
            face[(np.abs(np.abs(xx) - 0.35) < 0.1) & (np.abs(yy + 0.25) < 0.06 + 0.03 * c)] = 20
            face[(np.abs(yy - 0.45 + smile * 0.3 * xx**2) < 0.07) & (np.abs(xx) < 0.45)] = (
                150,
                40,
                50,
            )
            faces.append(face + rng.normal(0, 6, face.shape))
            angle = 2 * np.pi * c / len(classes)
            rows.append(
                {
                    "expression": classes[c],
                    "subject": f"S{s:02d}",
                    "valence": float(np.clip(0.7 * np.cos(angle) + rng.normal(0, 0.1), -1, 1)),
                    "arousal": float(np.clip(0.7 * np.sin(angle) + rng.normal(0, 0.1), -1, 1)),
                    "sequence": f"S{s:02d}-{k // 5}",
                    "path": f"S{s:02d}/{k:03d}.png",
                    "row": s * per_subject + k,
                    "gender": "woman" if s % 2 else "man",
                }
            )
    return pd.DataFrame(rows), np.clip(faces, 0, 255).astype(np.uint8)


def _frequencies(n: int) -> np.ndarray:
    weights = np.linspace(2.0, 0.7, n)
    return weights / weights.sum()


def build_results(
    root: Path,
    *,
    methods: dict[str, Simulated] | None = None,
    seeds: int = 2,
    folds: int = 3,
    n_subjects: int = 24,
    per_subject: int = 14,
    publish_faces: bool = True,
    rename: Callable[[str], str] = str,
    affect: bool = True,
    score: bool = True,
    failure: bool = True,
    further: bool = False,
) -> Path:
    """Write a result folder; `rename` may spoil every free string in it (hostile tests).

    With `further`, methods have an embedding z_exp: E with its columns in reverse.
    """
    methods = METHODS if methods is None else methods
    store = RunStore(root)
    table, faces = face_table(n_subjects, per_subject)
    classes = tuple(rename(c) for c in CLASSES)
    fingerprint = "ab12" * 16
    store.save_experiment(
        Experiment(
            name=rename("simulated"),
            notes=rename("Simulated embeddings for the tests of the report."),
            seeds=tuple(range(seeds)),
            split={"folds": folds},
            methods=[{"name": name} for name in methods],
        )
    )
    store.save_data_card(
        fingerprint,
        {
            "name": "simulated",
            "title": rename("Drawn faces"),
            "terms": rename("Free to use and to publish." if publish_faces else "No publication."),
            "citation": rename("None: drawn by the test suite."),
            "publish_faces": publish_faces,
            "subjects_kind": "person",
            "notes": [rename("Faces are drawn from a skin colour and a class code.")],
            "fingerprint": fingerprint,
            "n": len(table),
            "shape": [3, 32, 32],
            "classes": list(classes),
            "counts": {rename(c): int(n) for c, n in table["expression"].value_counts().items()},
            "n_subjects": n_subjects,
            "attributes": {
                rename("gender"): {
                    rename(k): int(v) for k, v in table["gender"].value_counts().items()
                }
            },
            "protocol": rename("Subject-disjoint folds, stratified by expression."),
        },
        faces,
    )
    fold_of = {f"S{s:02d}": s % folds for s in range(n_subjects)}
    in_fold = table["subject"].map(fold_of)
    metrics = {
        "classification": classification,
        "affect": affect_metric,
        "groups": groups_metric,
    }
    for name, method in methods.items():
        for seed in range(seeds):
            for fold in range(folds):
                spec = RunSpec(
                    method=name,
                    label=rename(method.title),
                    parameters={"dim": 16, rename("note"): rename("none")},
                    data=DataSpec(name="simulated", size=32),
                    fingerprint=fingerprint,
                    split=SplitSpec(folds=folds),
                    fold=fold,
                    fold_hash="f01d" * 16,
                    training=TrainingSpec(epochs=6),
                    seed=seed,
                    code={"fer-bench": "0.1.0"},
                )
                if failure and name == "eif" and (seed, fold) == (seeds - 1, folds - 1):
                    reason = "the loss of player 'attributes' is not finite in batch 3 of epoch 2"
                    store.save_failure(spec, reason=rename(reason), kind="failed")
                    continue
                rng = np.random.default_rng([seed, fold, len(name)])
                with store.claim(spec) as working:
                    assert working is not None
                    for part_name, keep in (("train", in_fold != fold), ("test", in_fold == fold)):
                        labels = table[keep].reset_index(drop=True)
                        part = simulate_part(part_name, method, labels, rng, affect=affect)
                        if further:
                            part = replace(part, further={"z_exp": part.expression[:, ::-1].copy()})
                        if rename is not str:
                            part = _renamed(part, rename, classes)
                        write_part(working / "parts", part)
                    _write_facts(working, spec, name, method, rng, rename, classes)
                    record = store.publish(spec, working)
                if score:
                    outcomes = score_run(record.arrays, metrics, seed=seed)
                    record.save_outcomes(outcomes | pretended_outcomes(method, rng))
    return root


def _renamed(
    part: PartArrays, rename: Callable[[str], str], classes: tuple[str, ...]
) -> PartArrays:
    labels = part.labels.rename(columns={"gender": rename("gender")})
    for column in ("expression", "subject", "sequence", "path", rename("gender")):
        labels[column] = labels[column].map(rename)
    arrays = (part.expression, part.identity, part.logits, part.valence_arousal)
    return PartArrays(part.name, *arrays, labels, classes)


def _write_facts(working, spec, name, method, rng, rename, classes) -> None:
    write_json(working / "spec.json", spec.model_dump(mode="json"))
    needs = ["pairs"] if name == "dice-fer" else []
    write_json(
        working / "environment.json",
        {
            "classes": list(classes),
            "method": {
                "name": name,
                "title": rename(method.title),
                "paper": rename("A paper about faces"),
                "year": 2025,
                "role": method.role,
                "needs": needs,
                "produces_identity": method.identity,
                "published": [
                    {k: rename(v) if isinstance(v, str) else v for k, v in p.items()}
                    for p in method.published
                ],
                "deviations": [rename(d) for d in method.deviations],
            },
            "wall_s": 12.5 + float(rng.uniform(0, 3)),
            "device": "cpu",
            "torch": "2.9.0",
            "numpy": "2.3.0",
            "python": "3.12.4",
            "n_parameters": 120_000 if method.role == "method" else 0,
            "warnings": [rename(w) for w in method.warnings],
            "stages": [{"name": "train", "epochs_run": 6, "best_epoch": 4, "select": "prediction"}],
            "images_seen": 1200,
        },
    )
    rows = []
    if method.role == "method":
        stages = ("expression", "identity") if name == "dice-fer" else ("train",)
        players = ("encoder", "critic") if name in ("dice-fer", "adversarial-branch") else ("all",)
        for stage in stages:
            for epoch in range(6):
                for split in ("train", "validation"):
                    for player in players:
                        value = 2 * np.exp(-epoch / 3) + (split == "validation") * 0.2
                        value += rng.normal(0, 0.05)
                        rows.append((stage, epoch + 1, split, rename(player), "total", value))
                        rows.append((stage, epoch + 1, split, rename(player), "ce", 0.7 * value))
                    accuracy = 0.8 - 0.6 * np.exp(-epoch / 2) - (split == "validation") * 0.08
                    rows.append((stage, epoch + 1, split, "prediction", "accuracy", accuracy))
    columns = ["stage", "epoch", "split", "player", "term", "value"]
    pd.DataFrame(rows, columns=columns).to_csv(working / "history.csv", index=False)
    save_file({"weight": np.zeros(4, np.float32)}, working / "model.safetensors")


@pytest.fixture(scope="session")
def build() -> Callable[..., Path]:
    """The builder itself, for tests that need another shape of results."""
    return build_results


@pytest.fixture(scope="session")
def two_methods() -> dict[str, Simulated]:
    """One method with an identity embedding and one without, for quick folders."""
    return {name: METHODS[name] for name in ("dice-fer", "erm")}


@pytest.fixture(scope="session")
def four_methods() -> dict[str, Simulated]:
    """A method with cautions, one with a failed run, a reference and an oracle."""
    return {name: METHODS[name] for name in ("dice-fer", "eif", "pixels", "oracle-label")}


@pytest.fixture(scope="session")
def small_results(two_methods, tmp_path_factory) -> Path:
    """Two methods, one seed, two folds and few faces; its runs are not to be changed."""
    return _small(tmp_path_factory.mktemp("small"), two_methods)


@pytest.fixture(scope="session")
def closed_results(two_methods, tmp_path_factory) -> Path:
    """`small_results` whose terms do not allow to publish faces."""
    return _small(tmp_path_factory.mktemp("closed"), two_methods, publish_faces=False)


def _small(root: Path, methods: dict[str, Simulated], **options) -> Path:
    sizes = {"seeds": 1, "folds": 2, "n_subjects": 6, "per_subject": 8}
    return build_results(root, methods=methods, **sizes, **options)


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight rows (two references, two oracles), two seeds, three folds, one failed run."""
    return build_results(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="session")
def summary(results: Path) -> Summary:
    """The summary of `results`."""
    return summarise(RunStore(results))


@pytest.fixture(scope="session")
def cautioned() -> Callable[..., Summary]:
    """A summary where rows, by label, carry a caution with a score instead of their own."""

    def made(summary: Summary, key: str, **codes: str) -> Summary:
        rows = []
        for row in summary.rows:
            if code := codes.get(row.label):
                score = replace(row.scores[key], cautions=(Caution(code),))
                row = replace(row, scores=row.scores | {key: score})
            rows.append(row)
        return replace(summary, rows=tuple(rows))

    return made


@pytest.fixture(scope="session")
def page(results: Path) -> Path:
    """The page of `results`, with t-SNE maps (UMAP compiles for half a minute)."""
    return write_report(results, maps="tsne")
