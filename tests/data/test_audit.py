import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from fer_bench.data import FaceData, load_dataset, make_folds
from fer_bench.data.audit import KINDS, audit, label_suspects, oriented_gradients, save
from fer_bench.data.detect import Face
from fer_bench.data.duplicates import crossing_folds, exact_groups, grouped, near_pairs


@pytest.fixture(scope="module")
def london(data_pack):
    return load_dataset("london", data_pack / "london", size=64)


def jpeg(face):
    buffer = io.BytesIO()
    Image.fromarray(face).save(buffer, "JPEG", quality=50)
    return np.asarray(Image.open(buffer))


def extended(data, copies, **columns):
    """The faces with further ones, whose columns are given (others are missing)."""
    images = np.concatenate([data.images, np.stack(copies)])
    return FaceData(images, pd.concat([data.table, pd.DataFrame(columns)], ignore_index=True))


# ------------------------------------------------------------------ duplicates


def test_clean_real_faces_have_no_duplicates(london):
    assert exact_groups(london) == []
    assert len(near_pairs(london)[0]) == 0  # neutral and smiling faces of a person are no copies


@pytest.mark.parametrize(
    "change",
    [
        jpeg,
        lambda face: (face * 0.7).astype(np.uint8),
        lambda face: np.asarray(Image.fromarray(face).resize((40, 40)).resize((64, 64))),
        lambda face: (face + np.random.default_rng(0).normal(0, 6, face.shape)).clip(0, 255)
        .astype(np.uint8),
    ],
    ids=["compressed", "darker", "scaled", "noisy"],
)  # fmt: skip
def test_changed_copies_are_found(london, change):
    rows = np.random.default_rng(1).permutation(len(london))[:30]
    copies = [change(face) for face in london.gather(rows)]
    data = extended(london, copies, path=[f"copy{i}" for i in range(30)])
    pairs, correlation = near_pairs(data)
    names = {tuple(pair) for pair in pairs.tolist()}
    wanted = {(int(row), len(london) + i) for i, row in enumerate(rows)}
    assert len(names & wanted) >= 28
    assert not names - wanted
    assert correlation.min() >= 0.985
    assert exact_groups(data) == []


def test_exact_copies_are_grouped(small_faces):
    copies = list(small_faces.gather([3, 3, 7]))
    data = extended(small_faces, copies, path=["a", "b", "c"])
    n = len(small_faces)
    assert [g.tolist() for g in exact_groups(data)] in ([[3, n, n + 1], [7, n + 2]],
                                                        [[7, n + 2], [3, n, n + 1]])  # fmt: skip


def test_blank_pictures_are_no_copies_of_each_other():
    images = np.full((5, 32, 32, 1), 100, np.uint8)
    images[:, :2, :2] = 101
    images[:, 0, 0, 0] = range(100, 105)
    data = FaceData(images, pd.DataFrame(index=range(5)))
    assert len(near_pairs(data)[0]) == 0
    assert len(near_pairs(data.subset([0]))[0]) == 0


def test_groups_connect_pairs():
    pairs = np.array([[0, 1], [1, 5], [2, 3]])
    assert [g.tolist() for g in grouped(pairs, 6)] == [[0, 1, 5], [2, 3]]


def test_copies_across_folds_are_told(london):
    folds = make_folds(london)
    assert crossing_folds(london, folds) == []
    stranger = int(folds[0].test[0])
    data = extended(
        london, [jpeg(london.gather([stranger])[0])],
        path=["copy.jpg"], subject=["somebody else"], expression=["neutral"],
    )  # fmt: skip
    sentences = crossing_folds(data, make_folds(data, n_folds="subjects"))
    assert any("copy.jpg" in sentence for sentence in sentences)


# ------------------------------------------------------------------ findings


def kinds(audited):
    return {kind: [s for s in audited.suspects if s.kind == kind] for kind in KINDS}


@pytest.fixture(scope="module")
def spoiled(london):
    """The London Set with a split by subject and one flaw of every kind."""
    split = np.where(london.subject % 2 == 0, "train", "test")
    data = london.with_table(london.table.assign(split=split))
    train, test = np.flatnonzero(split == "train"), np.flatnonzero(split == "test")
    faces = data.gather([train[0], train[1], test[0], test[1]])
    soft = Image.fromarray(faces[0]).resize((9, 9)).resize((64, 64), Image.Resampling.BICUBIC)
    rng = np.random.default_rng(0)
    flaws = {
        "exact.png": (faces[0], "test", london.table["expression"][train[0]]),
        "near.png": (jpeg(faces[1]), "test", london.table["expression"][train[1]]),
        "other.png": (faces[2], "test", "anger"),
        "blank.png": (np.full((64, 64, 3), 90, np.uint8), "train", "neutral"),
        "dark.png": (faces[3] // 8, "train", "neutral"),
        "soft.png": (np.asarray(soft), "train", "neutral"),
        "odd.png": (rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), "train", "neutral"),
    }
    return extended(
        data,
        [face for face, _, _ in flaws.values()],
        path=list(flaws),
        split=[split for _, split, _ in flaws.values()],
        expression=[label for _, _, label in flaws.values()],
        subject=["x1", "x2", "x3", "x4", "x5", "x6", "x7"],
    )


def test_every_flaw_is_found_under_its_name(spoiled):
    audited = audit(spoiled, labels=False)
    by_kind = kinds(audited)

    def keys(kind):
        return {k for s in by_kind[kind] for k in (s.key, *(spoiled.keys[r] for r in s.others))}

    assert "exact.png" in keys("duplicate across splits")
    assert "near.png" in keys("near-duplicate across splits")
    assert "other.png" in keys("duplicate with another label")
    assert keys("blank") == {"blank.png"}
    assert keys("dark") == {"dark.png"}
    assert "soft.png" in keys("blurred")
    assert "odd.png" in keys("odd crop")
    flagged = sum(len(found_) for found_ in by_kind.values())
    assert flagged <= 12
    assert any("duplicate across splits" in line for line in audited.problems)


def test_clean_faces_give_no_finding(london):
    audited = audit(london, labels=False)
    assert audited.problems == []
    assert audited.suspects == []
    assert audited.counts["faces a subject"] == [2, 2.0, 2]
    assert audited.dependence["gender"]["cramers_v"] == pytest.approx(0, abs=1e-9)


def test_planted_wrong_labels_are_found(london):
    rng = np.random.default_rng(0)
    wrong = rng.permutation(len(london))[:10]
    table = london.table.copy()
    other = {"neutral": "happiness", "happiness": "neutral"}
    for row in wrong:
        table.loc[row, "expression"] = other[table.loc[row, "expression"]]
    suspects, check = label_suspects(london.with_table(table))
    hits = [s for s in suspects if s.row in wrong]
    assert check["balanced_accuracy"] > 0.75
    assert len(hits) >= 6
    assert len(suspects) <= 25
    strength = np.full(len(london), -1.0)
    strength[[s.row for s in suspects]] = [s.strength for s in suspects]
    planted = np.isin(np.arange(len(london)), wrong)
    assert roc_auc_score(planted, strength) > 0.75
    assert all(s.suggestion == london.table["expression"][s.row] for s in hits)


@pytest.mark.parametrize("change", [np.copy, jpeg], ids=["exact", "near"])
def test_one_photograph_under_two_people_is_called_so(london, change):
    data = extended(
        london, [change(london.gather([5])[0])],
        path=["copy.png"], subject=["somebody else"], expression=[london.table["expression"][5]],
    )  # fmt: skip
    audited = audit(data, labels=False)
    (suspect,) = (s for s in audited.suspects if data.keys.index("copy.png") in s.others)
    assert suspect.kind == "one photograph under two people"
    assert "somebody else" in suspect.detail
    assert any("under two people" in line for line in audited.problems)


def test_rare_classes_do_not_make_right_labels_doubtful(small_faces):
    """With one class of many faces and some of few, planted labels stay above the right ones."""
    common = small_faces.classes[0]
    rng = np.random.default_rng(0)
    rows = np.flatnonzero((small_faces.expression == 0) | (rng.random(len(small_faces)) < 0.3))
    data = small_faces.subset(rows)
    wrong = rng.permutation(np.flatnonzero(data.table["expression"] == common))[:3]
    table = data.table.copy()
    table.loc[wrong, "expression"] = small_faces.classes[1]
    suspects, _ = label_suspects(data.with_table(table))
    ranked = sorted(suspects, key=lambda suspect: -suspect.strength)
    assert {suspect.row for suspect in ranked[:3]} == set(wrong)


def test_labels_nobody_can_read_are_not_doubted(small_faces):
    rng = np.random.default_rng(0)
    table = small_faces.table.assign(expression=rng.permutation(small_faces.table["expression"]))
    audited = audit(small_faces.with_table(table))
    assert not kinds(audited)["doubtful label"]
    assert any("Labels could not be checked" in line for line in audited.problems)


def test_dependence_and_shared_subjects_are_reported(small_faces):
    rng = np.random.default_rng(0)
    table = small_faces.table.assign(
        hat=np.where(small_faces.expression == 0, "yes", "no"),
        split=rng.choice(["train", "test"], len(small_faces)),
    )
    audited = audit(small_faces.with_table(table), labels=False)
    assert audited.dependence["hat"]["cramers_v"] == pytest.approx(1)
    assert audited.dependence["hat"]["cramers_v_permuted"] < 0.2
    assert audited.dependence["gender"]["cramers_v"] < 0.05
    assert any("depends on hat" in line for line in audited.problems)
    assert any("12 subjects are in more than one split" in line for line in audited.problems)


def test_small_and_bare_sets_are_audited_too(small_faces):
    bare = small_faces.with_table(small_faces.table[["path"]])
    assert audit(bare).counts["without expression"] == len(bare)
    audit(small_faces.subset([0]))
    audit(small_faces.subset(np.arange(8)))


def test_oriented_gradients_ignore_light_and_see_direction():
    x = np.arange(64) + np.zeros((64, 1))
    stripes = (128 + 100 * np.sin(x / 3))[None, :, :, None].astype(np.uint8)
    turned = stripes.transpose(0, 2, 1, 3).copy()
    one, dim, other = map(oriented_gradients, (stripes, stripes // 2, turned))
    assert one.shape == (1, 512)
    assert (one * dim).sum() > 0.99
    assert (one * other).sum() < 0.2


# ------------------------------------------------------------------ files


def test_the_page_and_the_decisions(spoiled, tmp_path):
    audited = audit(spoiled, labels=False)
    page = save(audited, spoiled, tmp_path)
    html = page.read_text()
    assert not re.search(r'(src|href)="(?!data:)', html)
    assert "exact.png" in html
    assert json.loads((tmp_path / "audit.json").read_text())["counts"]["faces"] == len(spoiled)
    table = pd.read_csv(tmp_path / "decisions.csv", keep_default_na=False)
    assert len(table) == len(audited.suspects)
    table.loc[0, "decision"] = "drop"
    table.to_csv(tmp_path / "decisions.csv", index=False)
    save(audited, spoiled, tmp_path)  # what somebody decided is not overwritten
    from fer_bench.data import decisions

    kept = decisions.apply(spoiled, tmp_path / "decisions.csv")
    assert len(kept) == len(spoiled) - 1
    assert table["path"][0] not in kept.keys


def test_faces_out_of_frame_are_named(small_faces):
    """A detector that puts the eyes of every third face at the lower edge, its mouth below it."""
    seen = []

    def detector(image):
        side = image.width
        height = 0.95 if len(seen) % 3 == 0 else 0.4
        seen.append(height)
        eyes = np.array([[0.3, height], [0.7, height]]) * side
        return [] if len(seen) == 2 else [Face((0, 0, side, side), eyes, 1.0)]

    found = audit(small_faces, labels=False, detector=detector)
    suspects = [s for s in found.suspects if s.kind == "out of frame"]
    assert sorted(s.row for s in suspects) == list(range(0, len(small_faces), 3))
    assert "of the face outside" in suspects[0].detail
    assert len(seen) == len(small_faces)  # eyes are looked for once
    assert found.framing["eye height"]["faces"] == len(small_faces) - 1
