"""Planted edits are caught; what nobody touched passes."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from fer_bench.errors import RunError
from fer_bench.runs.store import RunStore, sha256
from fer_bench.sharing import verify as module
from fer_bench.sharing.verify import verify, write_verification

SEEDS = range(4)


def runs(root: Path) -> list[Path]:
    return sorted(p.parent for p in (root / "runs").glob("*/done.json"))


def edited(path: Path, change: Callable) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def leaves(content, at=()):
    """Places of all numbers in a JSON value."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from leaves(value, (*at, key))
    elif isinstance(content, list):
        for key, value in enumerate(content):
            yield from leaves(value, (*at, key))
    elif isinstance(content, float):
        yield at


def replace_leaf(content, at, change) -> None:
    *parents, last = at
    for key in parents:
        content = content[key]
    content[last] = change(content[last])


def score(root, rng, change) -> None:
    """One recorded number of one run."""

    def edit(content):
        values = [
            at
            for at in leaves(content)
            if at[-1] in ("value", "low", "high", "null") and change(_get(content, at)) is not None
        ]
        replace_leaf(content, values[rng.integers(len(values))], change)

    edited(rng.choice(runs(root)) / "scores.json", edit)


def _get(content, at):
    for key in at:
        content = content[key]
    return content


def raise_a_score(root, rng):
    score(root, rng, lambda v: v + 0.05)


def nudge_a_score(root, rng):
    score(root, rng, lambda v: v + 2e-6)


def round_a_score(root, rng):
    score(root, rng, lambda v: round(v, 3) if round(v, 3) != v else None)


def delete_a_score(root, rng):
    def drop(content):
        scores = content["classification"]["scores"]
        del scores[sorted(scores)[rng.integers(len(scores))]]

    edited(rng.choice(runs(root)) / "scores.json", drop)


def delete_a_caution(root, rng):
    def drop(content):
        for outcome in content.values():
            for one in outcome["scores"].values():
                one["cautions"] = []

    edited(rng.choice(runs(root)) / "scores.json", drop)


def swap_scores(root, rng):
    a, b = (runs(root)[i] for i in (0, 1))
    first, second = a / "scores.json", b / "scores.json"
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)


def change_an_array(root, rng):
    path = rng.choice(sorted(rng.choice(runs(root)).glob("parts/*.safetensors")))
    arrays = load_file(path)
    name = sorted(arrays)[rng.integers(len(arrays))]
    arrays[name][rng.integers(len(arrays[name])), 0] += 1e-3
    save_file(arrays, path)


def change_a_label(root, rng):
    path = rng.choice(sorted(rng.choice(runs(root)).glob("parts/*.parquet")))
    table = pd.read_parquet(path)
    table.loc[0, "expression"] = "anger" if table.loc[0, "expression"] != "anger" else "fear"
    table.to_parquet(path, index=False)


def rename_a_person(root, rng):
    path = rng.choice(sorted(rng.choice(runs(root)).glob("parts/*.parquet")))
    table = pd.read_parquet(path)
    table.loc[table["subject"] == table.loc[0, "subject"], "subject"] = "nobody"
    table.to_parquet(path, index=False)


def move_a_fold(root, rng):
    path = next((root / "folds").glob("*.json"))

    def move(content):
        keys = sorted(content["rows"])
        key = keys[rng.integers(len(keys))]
        content["rows"][key] = content["rows"][key].translate(str.maketrans("rvt", "vtr"))

    edited(path, move)


def change_a_spec(root, rng):
    edited(rng.choice(runs(root)) / "spec.json", lambda c: c["training"].update(epochs=40))


def change_the_seed(root, rng):
    edited(rng.choice(runs(root)) / "spec.json", lambda c: c.update(seed=7))


def change_the_environment(root, rng):
    edited(rng.choice(runs(root)) / "environment.json", lambda c: c.update(warnings=[]))


def change_the_history(root, rng):
    with (rng.choice(runs(root)) / "history.csv").open("a") as file:
        file.write("train,2,validation,all,total,0.1\n")


def change_the_model(root, rng):
    path = rng.choice(sorted((root / "runs").glob("*/model.safetensors")))
    arrays = load_file(path)
    name = sorted(arrays)[0]
    save_file({**arrays, name: arrays[name] + 1}, path)


def swap_runs(root, rng):
    a, b = (runs(root)[i] for i in (0, 1))
    a.rename(a.with_name("aside"))
    b.rename(a)
    a.with_name("aside").rename(b)


def drop_a_run(root, rng):
    shutil.rmtree(rng.choice(runs(root)))


def double_a_run(root, rng):
    one = rng.choice(runs(root))
    shutil.copytree(one, one.with_name("erm-s9-f0-0123456789"))


def drop_a_part(root, rng):
    path = rng.choice(sorted((root / "runs").glob("*/parts/validation.safetensors")))
    path.unlink()


def add_a_file(root, rng):
    (rng.choice(runs(root)) / "parts" / "more.parquet").write_bytes(b"x")


def copy_rows_between_parts(root, rng):
    folder = rng.choice(runs(root)) / "parts"
    train, test = load_file(folder / "train.safetensors"), load_file(folder / "test.safetensors")
    for name in test:
        test[name][:3] = train[name][:3]
    save_file(test, folder / "test.safetensors")


def copy_people(root, rng):
    folder = rng.choice(runs(root)) / "parts"
    table = pd.read_parquet(folder / "test.parquet")
    arrays = load_file(folder / "test.safetensors")
    n = len(table) // 4
    twin = table.iloc[:n].assign(subject="twin", row=table["row"].max() + 1 + np.arange(n))
    pd.concat([table, twin]).to_parquet(folder / "test.parquet", index=False)
    both = {k: np.concatenate([a, a[:n]]) for k, a in arrays.items()}
    save_file(both, folder / "test.safetensors")


def test_people_into_training(root, rng):
    folder = rng.choice(runs(root)) / "parts"
    tested = pd.read_parquet(folder / "test.parquet").loc[0, "subject"]
    table = pd.read_parquet(folder / "train.parquet")
    table.loc[table["subject"] == table.loc[0, "subject"], "subject"] = tested
    table.to_parquet(folder / "train.parquet", index=False)


test_people_into_training.__test__ = False


def change_the_plan(root, rng):
    edited(root / "experiment.json", lambda c: c.update(seeds=[0, 1, 2]))


def change_the_card(root, rng):
    path = next((root / "data").glob("*.json"))
    edited(path, lambda c: c.update(n_subjects=c["n_subjects"] + 20))


EDITS = [
    raise_a_score, nudge_a_score, round_a_score, delete_a_score, delete_a_caution, swap_scores,
    change_an_array, change_a_label, rename_a_person, move_a_fold, change_a_spec, change_the_seed,
    change_the_environment, change_the_history, change_the_model, swap_runs, drop_a_run,
    double_a_run, drop_a_part, add_a_file, copy_rows_between_parts, copy_people,
    test_people_into_training, change_the_plan, change_the_card,
]  # fmt: skip


def check(root):
    return verify(root, cells=0, workers=0)


def test_what_nobody_touched_passes(sweep, given):
    for root in (sweep, given):
        result = check(root)
        assert result.contradictions == ()
        assert result.passed
        assert result.scores > 20
        assert "follow from the arrays" in result.verdict[0]
        assert "not shown" in result.verdict[-1]


def test_there_are_a_hundred_edits():
    assert len(EDITS) * len(SEEDS) == 100


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_planted_edits_are_caught(sweep, tmp_path, edit):
    for seed in SEEDS:
        root = Path(shutil.copytree(sweep, tmp_path / str(seed)))
        edit(root, np.random.default_rng([seed, 9]))
        result = check(root)
        assert not result.passed, f"seed {seed}"
        assert "do not use" in result.verdict[0]


def reseal(root: Path) -> None:
    """Rewrite the manifests, as a careful forger would."""
    for folder in runs(root):

        def again(content, folder=folder):
            content["sha256"] = {n: sha256(folder / n) for n in content["sha256"]}
            content["id"] = folder.name

        edited(folder / "done.json", again)
        sums = {p.relative_to(folder).as_posix(): sha256(p) for p in folder.glob("scores/*.saf*")}
        sums["scores.json"] = sha256(folder / "scores.json")
        (folder / "scores" / "checksums.json").write_text(json.dumps(sums))


CONTRADICTED = [
    raise_a_score, round_a_score, delete_a_score, change_a_label, rename_a_person, move_a_fold,
    change_a_spec, change_the_seed, swap_runs, drop_a_run, copy_rows_between_parts, copy_people,
    test_people_into_training, change_the_plan, change_the_card,
]  # fmt: skip


@pytest.mark.parametrize("edit", CONTRADICTED, ids=lambda edit: edit.__name__)
def test_with_new_manifests_what_contradicts_is_caught(copied, edit):
    edit(copied, np.random.default_rng(1))
    reseal(copied)
    assert not check(copied).passed


def test_changed_class_scores_contradict_the_recorded_accuracy(copied):
    path = next(f for f in runs(copied) if f.name.startswith("erm")) / "parts" / "test.safetensors"
    arrays = load_file(path)
    arrays["logits"] = np.roll(arrays["logits"], 1, axis=1)
    save_file(arrays, path)
    reseal(copied)
    contradictions = check(copied).contradictions
    assert any(c.values["score"].startswith("classification scores test.") for c in contradictions)


@pytest.mark.slow
def test_a_run_trains_again_to_what_it_says_and_a_forged_one_does_not(copied):
    honest = verify(copied, cells=1, workers=0)
    (cell,) = honest.cells
    assert cell.consistent
    assert cell.difference < 1e-3
    assert cell.accuracy[0] == cell.accuracy[1]
    for folder in runs(copied):
        path = folder / "parts" / "test.safetensors"
        arrays = load_file(path)
        labels = pd.read_parquet(folder / "parts" / "test.parquet")["expression"]
        classes = json.loads((folder / "environment.json").read_text())["classes"]
        wrong = arrays["logits"].argmax(1) != np.array([classes.index(e) for e in labels])
        right = np.flatnonzero(wrong)[: max(3, len(labels) // 20)]
        for row in right:
            arrays["logits"][row, classes.index(labels[row])] = arrays["logits"].max() + 1
        save_file(arrays, path)
    reseal(copied)
    (cell,) = verify(copied, cells=1, workers=0).cells
    assert not cell.consistent


def test_given_embeddings_cannot_be_trained_again(given):
    result = verify(given, cells=1, workers=0)
    assert result.cells == ()
    assert result.passed


def test_an_archive_is_checked_like_a_folder(sweep, tmp_path):
    shutil.make_archive(str(tmp_path / "r"), "zip", sweep.parent, "r")
    archive = tmp_path / "r.zip"
    result = verify(archive, cells=0, workers=0)
    assert result.passed
    page = write_verification(result, archive)
    assert page.read_text(encoding="utf-8").count("follow from the arrays") == 1
    kept = json.loads(page.with_suffix(".json").read_text())
    assert kept["passed"]
    assert set(kept["runs"]) == {p.name for p in runs(sweep)}


def test_archives_that_reach_outside_or_hold_nothing_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        archive.writestr("../outside/runs/x", "y")
    with pytest.raises(RunError, match="outside"):
        verify(tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("readme", "y")
    with pytest.raises(RunError, match="holds no runs"):
        verify(tmp_path / "none.zip")
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(RunError, match="no ZIP archive"):
        verify(tmp_path / "text.zip")
    with pytest.raises(RunError, match="no finished run"):
        verify(tmp_path)


def test_other_versions_of_a_metric_are_not_checked_and_said(copied):
    edited(runs(copied)[0] / "scores.json", lambda c: c["groups"].update(version=0))
    reseal(copied)
    result = check(copied)
    assert result.passed
    assert [c.code for c in result.not_checked] == ["metric-version"]


def test_processes_find_the_same(sweep):
    assert verify(sweep, cells=0, workers=1).scores == check(sweep).scores


def test_the_page_names_contradictions(copied):
    raise_a_score(copied, np.random.default_rng(0))
    page = write_verification(check(copied), copied)
    assert "is recorded as" in page.read_text(encoding="utf-8")
    assert RunStore(copied).records()
    assert module.FORMAT in (copied / "verification.json").read_text()
