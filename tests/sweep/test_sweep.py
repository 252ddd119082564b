import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

import fer_bench
from fer_bench import registry
from fer_bench.errors import ExperimentError, FerBenchError, RunError
from fer_bench.experiment import Experiment, parse_experiment
from fer_bench.method import Method, MethodInfo
from fer_bench.runs.store import RunStore
from fer_bench.sweep.plan import plan
from fer_bench.sweep.sweep import score_store

DATA = {"name": "generated", "subjects": 9, "images_per_subject": 7, "size": 16}


def experiment(**changes):
    return {
        "data": DATA,
        "split": {"folds": 3, "use": [0, 1], "validation": 0.4},
        "training": {"epochs": 1, "batch_size": 16},
        "methods": [{"name": "oracle-label"}, {"name": "random-encoder"}],
        "scores": {"metrics": ["classification"]},
    } | changes


class Raises(Method):
    """An adapter whose author made a mistake."""

    info = MethodInfo(name="raises", title="Raises")

    def __init__(self, task, config):
        super().__init__(task, config)
        raise ZeroDivisionError("the author's mistake")


class NeedsAttributes(Method):
    """An adapter that cannot be trained on data without attributes."""

    info = MethodInfo(name="greedy", title="Greedy", needs=frozenset({"attributes"}))


@pytest.fixture(autouse=True)
def _adapters(monkeypatch):
    monkeypatch.setitem(registry.methods._local, "raises", Raises)
    monkeypatch.setitem(registry.methods._local, "greedy", NeedsAttributes)


def test_a_sweep_is_done_once(tmp_path):
    first = fer_bench.run(experiment(), tmp_path, quiet=True)
    assert (first.done, first.kept, first.failed) == (4, 0, {})
    before = {r.folder.name: (r.folder / "done.json").read_bytes() for r in first.records()}
    second = fer_bench.run(experiment(), tmp_path, quiet=True)
    assert (second.done, second.kept) == (0, 4)
    assert {
        r.folder.name: (r.folder / "done.json").read_bytes() for r in second.records()
    } == before
    wider = fer_bench.run(experiment(seeds=[0, 1]), tmp_path, quiet=True)
    assert (wider.done, wider.kept) == (4, 4)


def test_a_method_may_have_seeds_of_its_own(tmp_path):
    methods = [{"name": "oracle-label", "seeds": [7]}, {"name": "oracle-subject"}]
    sweep = fer_bench.run(experiment(methods=methods, seeds=[0, 1]), tmp_path, quiet=True)
    runs = sorted((r.spec.method, r.spec.seed) for r in sweep.records() if r.spec.fold == 0)
    assert runs == [("oracle-label", 7), ("oracle-subject", 0), ("oracle-subject", 1)]


def test_what_a_run_folder_says(tmp_path):
    fer_bench.run(experiment(), tmp_path, quiet=True)
    store = RunStore(tmp_path)
    for record in store.records():
        assert record.verify() == []
        assert record.environment["torch"]
        assert set(record.arrays.parts) == {"train", "validation", "test"}
        subjects = [set(part.subjects) for part in record.arrays.parts.values()]
        assert not set.intersection(*subjects)
        assert sum(map(len, subjects)) == 9
    card = store.data_card(record.spec.fingerprint)
    assert (card["n"], card["n_subjects"]) == (63, 9)
    assert len(store.thumbnails(record.spec.fingerprint)) == 63
    assert store.experiment() is not None


def test_a_failing_method_costs_its_own_runs_only(tmp_path):
    methods = [{"name": "raises"}, {"name": "oracle-label"}]
    sweep = fer_bench.run(experiment(methods=methods), tmp_path, quiet=True)
    assert (sweep.done, len(sweep.failed)) == (2, 2)
    assert all("ZeroDivisionError: the author's mistake" in r for r in sweep.failed.values())
    for run_id, failure in sweep.store.failures().items():
        assert failure["kind"] == "failed"
        assert (tmp_path / "failures" / f"{run_id}.traceback.txt").exists()


def test_what_the_data_lack_is_skipped_with_the_reason(tmp_path, data_without_attributes):
    methods = [{"name": "greedy"}, {"name": "oracle-label"}]
    sweep = fer_bench.run(
        experiment(methods=methods, data=data_without_attributes), tmp_path, quiet=True
    )
    assert sweep.done == 2
    assert all("needs attributes" in reason for reason in sweep.skipped.values())
    assert {f["kind"] for f in sweep.store.failures().values()} == {"skipped"}


@pytest.fixture
def data_without_attributes(tmp_path_factory):
    import numpy as np
    from PIL import Image

    root = tmp_path_factory.mktemp("plain")
    rng = np.random.default_rng(0)
    for expression in ("anger", "neutral"):
        for subject in range(6):
            folder = root / expression / f"s{subject}"
            folder.mkdir(parents=True)
            for take in range(3):
                pixels = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{take}.png")
    return {"name": "folder", "root": str(root), "size": 32}


def test_further_test_sets_are_embedded_and_scored(tmp_path):
    tests = {"reversed": DATA | {"seed": 5, "subjects": 4}}
    sweep = fer_bench.run(experiment(tests=tests), tmp_path, quiet=True)
    record = sweep.records()[0]
    assert len(record.arrays.parts["test:reversed"]) == 28
    assert "test:reversed.accuracy" in record.outcomes()["classification"].scores


def test_wrong_plans_are_refused_before_anything_runs(tmp_path):
    with pytest.raises(FerBenchError, match=r"did you mean 'oracle-label'"):
        fer_bench.run(experiment(methods=[{"name": "oracle-labl"}]), tmp_path, quiet=True)
    twice = [{"name": "oracle-label"}, {"name": "oracle-label"}]
    with pytest.raises(ExperimentError, match="both be shown as"):
        fer_bench.run(experiment(methods=twice), tmp_path, quiet=True)
    wrong = [{"name": "oracle-label", "parameters": {"dims": 3}}]
    with pytest.raises(ExperimentError, match="parameters.dims'"):
        fer_bench.run(experiment(methods=wrong), tmp_path, quiet=True)
    with pytest.raises(ExperimentError, match="no executor 'raz': did you mean 'ray'"):
        fer_bench.run(experiment(), tmp_path / "x", executor="raz", quiet=True)
    assert not (tmp_path / "runs").exists()


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match=r"holds other files \(thesis.tex\)"):
        fer_bench.run(experiment(), tmp_path, quiet=True)


def test_scoring_again_computes_only_what_is_missing(tmp_path):
    fer_bench.run(experiment(), tmp_path, quiet=True)
    store = RunStore(tmp_path)
    record = store.records()[0]
    known = record.outcomes()["classification"]
    wrong = {**known.scores, "test.accuracy": replace(known.scores["test.accuracy"], value=-1.0)}
    record.save_outcomes({"classification": replace(known, scores=wrong)})
    score_store(store, metrics=["classification"], quiet=True)
    assert record.outcomes()["classification"].scores["test.accuracy"].value == -1.0
    score_store(store, metrics=["classification"], again=True, quiet=True)
    assert record.outcomes()["classification"].scores["test.accuracy"].value == 1.0
    with pytest.raises(RunError, match="no finished run"):
        score_store(RunStore(tmp_path / "empty"), quiet=True)


@pytest.mark.slow
def test_the_pool_gives_the_same_numbers_as_the_serial_executor(tmp_path):
    methods = [{"name": "erm"}, {"name": "oracle-label"}]
    content = experiment(methods=methods, training={"epochs": 1, "batch_size": 16})
    serial = fer_bench.run(content, tmp_path / "serial", quiet=True)
    pool = fer_bench.run(content, tmp_path / "pool", executor="pool", workers=2, quiet=True)
    assert [r.folder.name for r in serial.records()] == [r.folder.name for r in pool.records()]
    import numpy as np

    for a, b in zip(serial.records(), pool.records(), strict=True):
        np.testing.assert_allclose(
            a.arrays.test.expression, b.arrays.test.expression, rtol=1e-3, atol=1e-4
        )


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_killed_sweep_goes_on_where_it_was(tmp_path):
    """On another executor, too; what was finished keeps its bytes and its time."""
    out, file = tmp_path / "out", tmp_path / "sweep.json"
    small = {"backbone": {"width": 4}, "dim": 8}
    content = experiment(methods=[{"name": "erm", "parameters": small}], seeds=[0, 1, 2])
    content["training"] |= {"epochs": 40}
    file.write_text(parse_experiment(content).model_dump_json())
    command = [sys.executable, "-c", "from fer_bench.cli import main; main()", "run", str(file)]
    command += ["--out", str(out), "--no-report", "--workers", "2"]
    # From another folder: in the checkout, the folder fer_bench would hide the installed package.
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(list(out.glob("runs/*/done.json"))) < 2:
        time.sleep(0.02)
    started = psutil.Process(process.pid).children(recursive=True)
    process.kill()  # it alone: workers must notice
    process.wait()
    assert not psutil.wait_procs(started, timeout=30)[1]
    kept = {p.parent.name: p.stat().st_mtime_ns for p in out.glob("runs/*/done.json")}
    assert 2 <= len(kept) < 6
    sweep = fer_bench.run(content, out, quiet=True)
    assert (sweep.done, sweep.kept, sweep.failed) == (6 - len(kept), len(kept), {})
    for record in RunStore(out).records():
        assert record.verify() == []
        stamp = kept.get(record.folder.name)
        assert stamp in (None, (record.folder / "done.json").stat().st_mtime_ns)
    assert len(RunStore(out).records()) == 6
    assert not list(out.glob("runs/.*"))


def test_other_weights_under_the_old_name_are_other_runs(tmp_path):
    file = tmp_path / "w.safetensors"
    entry = {"name": "erm", "parameters": {"backbone": {"weights": str(file)}}}
    planned = Experiment.model_validate(experiment(methods=[entry], split={"use": [0]}))
    ids = set()
    for content in (b"one", b"two", b"one"):
        file.write_bytes(content)
        ids.add(plan(planned).runs[0].id)
    assert len(ids) == 2


def test_a_run_that_another_process_is_at_is_no_failure(tmp_path):
    store = RunStore(tmp_path)
    spec = plan(Experiment.model_validate(experiment())).runs[0]
    with store.claim(spec):
        sweep = fer_bench.run(experiment(), tmp_path, quiet=True)
    assert (sweep.done, sweep.busy, sweep.failed) == (3, 1, {})
    assert fer_bench.run(experiment(), tmp_path, quiet=True).done == 1


def test_only_some_rows_are_run(tmp_path):
    methods = [
        {"name": "erm", "parameters": {"backbone": {"name": "conv4", "width": 4}}},
        {"name": "oracle-label", "label": "labels"},
        {"name": "erased", "of": "erm", "label": "without"},
    ]
    full = plan(parse_experiment(experiment(methods=methods)))
    ids = {spec.label: {s.id for s in full.runs if s.label == spec.label} for spec in full.runs}

    def chosen(*names):
        return {spec.id for spec in full.only(names).runs}

    assert full.only(()) is full
    assert chosen("labels") == chosen("oracle-label") == ids["labels"]
    assert chosen("without") == ids["without"] | ids["ERM"]
    assert chosen("ERM", "labels") == ids["ERM"] | ids["labels"]
    with pytest.raises(ExperimentError, match="--method 'label' .*'ERM', 'labels', 'without'"):
        full.only(["labels", "label"])
    rest = fer_bench.run(experiment(methods=methods[1:2]), tmp_path, quiet=True)
    assert {record.folder.name for record in rest.records()} == ids["labels"]
