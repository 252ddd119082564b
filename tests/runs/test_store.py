import threading

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_bench.arrays import PartArrays
from fer_bench.errors import RunError
from fer_bench.experiment import DataSpec, RunSpec, SplitSpec, TrainingSpec
from fer_bench.runs.store import RunStore, file_name, write_json, write_part
from fer_bench.score import Outcome, Score


@pytest.fixture
def spec():
    return RunSpec(
        method="erm",
        label="ERM",
        parameters={},
        data=DataSpec(),
        fingerprint="f",
        split=SplitSpec(),
        fold=1,
        fold_hash="h",
        training=TrainingSpec(),
        seed=3,
        code={},
    )


def part(name="test", n=4):
    labels = pd.DataFrame(
        {
            "expression": ["anger", None, "neutral", "anger"],
            "subject": ["a", "b", "a", None],
            "valence": [0.1, np.nan, -0.2, 1.0],
            "arousal": [0.0, np.nan, 0.2, 1.0],
            "row": range(n),
        }
    )
    features = np.arange(n * 3, dtype=np.float32).reshape(n, 3)
    further = {"z_exp": features[:, 1:]}
    drawn = np.arange(n * 12, dtype=np.uint8).reshape(n, 2, 2, 3) if name == "test" else None
    classes = ("neutral", "anger")
    return PartArrays(name, features, None, features[:, :2], None, labels, classes, further, drawn)


def fill(working, spec):
    write_part(working / "parts", part())
    write_part(working / "parts", part("test:reversed"))
    write_json(working / "spec.json", spec.model_dump(mode="json"))
    write_json(
        working / "environment.json",
        {"classes": ["neutral", "anger"], "method": {"role": "method"}},
    )
    (working / "history.csv").write_text("stage,epoch,split,player,term,value\n")


def publish(store, spec):
    with store.claim(spec) as working:
        fill(working, spec)
        return store.publish(spec, working)


def test_what_is_written_is_read(tmp_path, spec):
    store = RunStore(tmp_path)
    publish(store, spec)
    [record] = store.records()
    assert record.spec == spec
    assert record.verify() == []
    arrays = record.arrays
    assert sorted(arrays.parts) == ["test", "test:reversed"]
    assert (arrays.seed, arrays.fold) == (3, 1)
    test = arrays.test
    np.testing.assert_array_equal(test.expression, part().expression)
    np.testing.assert_array_equal(test.drawn, part().drawn)
    assert arrays.parts["test:reversed"].drawn is None
    assert test.identity is None
    assert list(test.spaces) == ["E", "z_exp"]
    np.testing.assert_array_equal(test.further["z_exp"], part().further["z_exp"])
    assert test.y.tolist() == [1, -1, 0, 1]
    assert test.s.tolist() == [0, 1, 0, -1]
    assert np.isnan(test.target[1]).all()


def test_a_run_is_there_only_when_sealed(tmp_path, spec):
    store = RunStore(tmp_path)
    with pytest.raises(KeyboardInterrupt), store.claim(spec) as working:
        fill(working, spec)
        raise KeyboardInterrupt
    assert store.records() == []
    assert not store.is_done(spec.id)
    with store.claim(spec) as again:
        assert not (again / "history.csv").exists(), "what may be half written is not kept"


def test_a_killed_run_goes_on_from_its_checkpoint_and_seals_no_leftovers(tmp_path, spec):
    store = RunStore(tmp_path)
    with pytest.raises(KeyboardInterrupt), store.claim(spec) as working:
        (working / "resume.safetensors").write_bytes(b"state")
        (working / ".resume.safetensors.12-34").write_bytes(b"half")
        (working / "parts" / "stranger.parquet").write_bytes(b"half")
        raise KeyboardInterrupt
    with store.claim(spec) as working:
        assert (working / "resume.safetensors").read_bytes() == b"state"
        (working / "resume.safetensors").unlink()
        fill(working, spec)
        (working / ".spec.json.12-34").write_bytes(b"half")
        record = store.publish(spec, working)
    assert not any("half" in str(name) or "12-34" in str(name) for name in record.checksums)
    assert "parts/stranger.parquet" not in record.checksums


def test_a_claimed_run_is_nobody_elses(tmp_path, spec):
    store = RunStore(tmp_path)
    seen = []

    def other():
        with RunStore(tmp_path).claim(spec) as working:
            seen.append(working)

    with store.claim(spec) as working:
        assert working is not None
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert seen == [None]


def test_a_run_that_was_taken_over_is_not_published(tmp_path, spec):
    store = RunStore(tmp_path)
    with pytest.raises(RunError, match="taken over"), store.claim(spec) as working:
        fill(working, spec)
        (tmp_path / "runs" / f".{spec.id}.claims" / "2").touch()
        store.publish(spec, working)
    assert store.records() == []


def test_damage_is_found(tmp_path, spec):
    record = publish(RunStore(tmp_path), spec)
    with (record.folder / "parts" / "test.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    (record.folder / "history.csv").unlink()
    assert sorted(record.verify()) == ["history.csv", "parts/test.safetensors"]


def test_a_foreign_folder_in_the_way_is_moved_not_merged(tmp_path, spec):
    store = RunStore(tmp_path)
    (store.runs / spec.id).mkdir(parents=True)
    (store.runs / spec.id / "precious.txt").write_text("x")
    record = publish(store, spec)
    assert record.verify() == []
    assert not (record.folder / "precious.txt").exists()
    assert [p.read_text() for p in store.root.glob("damaged/*/precious.txt")] == ["x"]


def test_scores_are_merged(tmp_path, spec):
    record = publish(RunStore(tmp_path), spec)
    record.save_outcomes({"a": Outcome(1, {"k": Score(0.5, n=4)})})
    record.save_outcomes({"b": Outcome(1, skipped="no subjects")})
    assert record.outcomes()["a"].scores["k"].value == 0.5
    assert record.outcomes()["b"].skipped == "no subjects"
    assert record.verify() == []


def test_arrays_of_a_metric_come_and_go_with_its_scores(tmp_path, spec):
    record = publish(RunStore(tmp_path), spec)
    assert record.metric_arrays("a") == {}
    drawn = np.arange(12, dtype=np.uint8).reshape(2, 3, 2).transpose(1, 0, 2)
    record.save_outcomes({"a": Outcome(1, {"k": Score(0.5, n=4)}, arrays={"drawn": drawn})})
    record.save_outcomes({"b": Outcome(1, {"k": Score(0.1, n=4)})})
    saved = record.metric_arrays("a")["drawn"]
    assert saved.dtype == np.uint8
    assert np.array_equal(saved, drawn)
    assert record.verify() == []
    record.save_outcomes({"a": Outcome(1, failed="no faces")})
    assert record.metric_arrays("a") == {}


def test_faces_are_read_when_they_are_asked_for(tmp_path, spec):
    store = RunStore(tmp_path)
    record = publish(store, spec)
    assert record.arrays.faces is None
    faces = np.full((3, 4, 4, 1), 7, np.uint8)
    store.save_data_card(spec.fingerprint, {"name": "x"}, faces)
    assert np.array_equal(store.record(spec.id).arrays.faces, faces)


def test_failures_are_values(tmp_path, spec):
    store = RunStore(tmp_path)
    store.save_failure(spec, reason="the loss is nan", kind="failed")
    assert store.failures()[spec.id]["reason"] == "the loss is nan"
    publish(store, spec)
    assert store.failures() == {}


def test_damaged_json_is_one_sentence(tmp_path, spec):
    record = publish(RunStore(tmp_path), spec)
    (record.folder / "spec.json").write_text('{"method": ')
    with pytest.raises(RunError, match="spec.json' cannot be used .*: the file is damaged"):
        _ = record.spec
    with pytest.raises(RunError, match="no finished run 'x'"):
        RunStore(tmp_path).record("x")


@given(st.text(st.sampled_from("./\\a\0\n~"), max_size=8))
def test_no_name_leads_out_of_the_results(tmp_path_factory, name):
    root = tmp_path_factory.mktemp("results")
    store = RunStore(root)
    makes = [
        lambda: store.log(name),
        lambda: store.failure_path(name),
        lambda: write_part(root / "parts", part(f"test:{name}"))[0],
        lambda: store.runs / name if store.is_done(name) else store.runs / file_name(name),
    ]
    for make in makes:
        try:
            path = make()
        except RunError:
            continue
        assert path.parent.parent == root
        assert path.name not in ("", ".", "..")
        assert path.resolve().is_relative_to(root.resolve())
