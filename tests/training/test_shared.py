"""Stages that runs have in common are trained once, and nobody can tell from the result."""

import json
import math
import threading

import pytest
import torch

import fer_bench
from fer_bench import registry
from fer_bench.errors import MethodError
from fer_bench.experiment import parse_experiment
from fer_bench.method import Method
from fer_bench.runs.check import check_store
from fer_bench.runs.claims import Claim
from fer_bench.runs.store import RunStore
from fer_bench.sweep.plan import plan
from fer_bench.sweep.sweep import prepare
from fer_bench.sweep.worker import execute
from fer_bench.training import shared
from fer_bench.training.checkpoint import Position
from fer_bench.training.shared import CommonState, SharedStages, announce, first_own_stages

CPU = torch.device("cpu")


def experiment(*parameters, label=None, **changes):
    small = {"backbone": {"name": "conv4", "width": 4}, "dim": 8, "critic_hidden": 8}
    return {
        "data": {"name": "generated", "subjects": 9, "images_per_subject": 7, "size": 16},
        "split": {"folds": 3, "use": [0], "validation": 0.4},
        "training": {"epochs": 2, "batch_size": 16, "device": "cpu"},
        "methods": [
            {"name": "dice-fer", "label": label or str(i), "parameters": {**small, **own}}
            for i, own in enumerate(parameters)
        ],
        "scores": {"metrics": []},
    } | changes


SWEEP = (
    {"zeta": 0.0},
    {"zeta": 1.0, "discriminator_hidden": 16},
    {"zeta": 1.0, "discriminator_hidden": 16, "classifier_hidden": 8},
)
STAGES = ("expression", "identity", "classifier")


def trained(root, *parameters, **changes):
    """Train the runs one after the other in this process: checksums and environment by label."""
    asked = parse_experiment(experiment(*parameters, **changes))
    store, planned = RunStore(root), plan(asked)
    prepare(store, asked, planned)
    announce(store.stages, planned.runs)
    for spec in planned.runs:
        assert execute(spec, root, metrics=())[0] in ("done", "kept")
    return {spec.label: store.record(spec.id) for spec in planned.runs}


def sums(record):
    content = json.loads((record.folder / "done.json").read_text())["sha256"]
    return {name: digest for name, digest in content.items() if name != "environment.json"}


def taken(record):
    """From which run each of its stages is."""
    return [stage.get("run") for stage in record.environment["stages"]]


def test_the_bytes_are_those_of_runs_that_share_nothing(tmp_path):
    together = trained(tmp_path / "together", *SWEEP)
    first = together["0"].folder.name
    second = together["1"].folder.name
    assert [taken(record) for record in together.values()] == [
        [None, None, None],
        [first, None, None],
        [first, second, None],
    ]
    for label, record in together.items():
        (alone,) = trained(tmp_path / label, SWEEP[int(label)], label=label).values()
        assert taken(alone) == [None, None, None]
        assert sums(alone) == sums(record)
        assert not RunStore(tmp_path / label).stages.exists()


def test_workers_at_once_train_a_stage_once(tmp_path):
    content = experiment(*SWEEP[:2])
    sweep = fer_bench.run(content, tmp_path, executor="pool", workers=2, quiet=True)
    assert sweep.failed == {}
    assert sorted(taken(record)[0] is None for record in sweep.records()) == [False, True]
    assert not list(sweep.store.stages.rglob("*.claims"))
    assert sweep.store.damaged() == {}


@pytest.fixture
def kept(tmp_path):
    """A stage that another run has trained."""
    initial = {"weight": torch.arange(6.0), "frozen": torch.ones(2)}
    common = CommonState(tmp_path / "1-abc", "run-a", initial)
    position = Position(stage=1, stages=[{"name": "expression"}], images_seen=48)
    common.save(position, initial | {"weight": torch.full((6,), math.nan)})
    return common


def test_only_what_training_changed_is_kept(kept):
    position, state = kept.load()
    assert list(state) == ["weight"]
    assert state["weight"].isnan().all()
    assert position.images_seen == 48
    assert position.stages == [{"name": "expression", "run": "run-a"}]


@pytest.mark.parametrize("name", ["stage.safetensors", "done.json"])
def test_no_damaged_file_is_believed(kept, name):
    path = kept.folder / name
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        for rest in (b"", b"\xff" + content[place + 1 :]):
            path.write_bytes(content[:place] + rest)
            assert kept.load() is None, place
    path.unlink()
    assert kept.load() is None
    path.write_bytes(content)
    assert kept.load() is not None


def test_a_check_names_a_damaged_stage(tmp_path):
    store = RunStore(tmp_path)
    common = CommonState(store.stages / "digest" / "1-abc", "run-a", {"weight": torch.zeros(2)})
    common.save(Position(stage=1), {"weight": torch.ones(2)})
    assert list(check_store(store)) == []
    (common.folder / "stage.safetensors").write_bytes(b"")
    (damage,) = check_store(store)
    assert "1-abc' is damaged" in damage.sentence


@pytest.mark.parametrize("other", [torch.zeros(6), torch.zeros(7), torch.zeros(6).double()])
def test_a_method_that_began_otherwise_trains_itself(kept, other):
    began = {"weight": other, "frozen": torch.ones(2)}
    assert CommonState(kept.folder, "run-b", began).load() is None
    assert CommonState(kept.folder, "run-b", {}).load() is None


def specs_of(*parameters, **changes):
    return plan(parse_experiment(experiment(*parameters, **changes))).runs


@pytest.mark.parametrize(
    "other",
    [
        {"parameters": ({"mu": 0.7},)},
        {"seeds": [1]},
        {"split": {"folds": 3, "use": [1], "validation": 0.4}},
        {"training": {"epochs": 3, "batch_size": 16, "device": "cpu"}},
        {"data": {"name": "generated", "subjects": 9, "images_per_subject": 8, "size": 16}},
    ],
    ids=str,
)
def test_what_stage_one_depends_on_is_in_the_key(tmp_path, other):
    (first,) = specs_of({})
    (second,) = specs_of(*other.pop("parameters", ({},)), **other)
    assert first_own_stages([first, second]) == {}
    announce(tmp_path / "stages", [first, second])
    assert not (tmp_path / "stages").exists()


def test_with_which_stage_a_run_begins():
    specs = specs_of(*SWEEP, {"mu": 0.7})
    begins = first_own_stages(specs)
    assert [begins.get(spec.id) for spec in specs] == [None, "identity", "classifier", None]


def test_threads_and_device_are_in_the_key():
    method = registry.methods.get("dice-fer")
    one = shared._surroundings(method, CPU)
    assert one != shared._surroundings(method, torch.device("meta"))
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        assert one != shared._surroundings(method, CPU)
    finally:
        torch.set_num_threads(before)


def test_who_is_at_a_stage_is_waited_for(tmp_path):
    spec, twin = specs_of({"zeta": 0.0}, {"zeta": 1.0})
    announce(tmp_path, [spec, twin])
    order = []

    def second():
        with SharedStages(tmp_path, twin, order.append).before(STAGES, 1, {}, CPU):
            order.append("second")

    with SharedStages(tmp_path, spec).before(STAGES, 1, {}, CPU) as common:
        assert common is not None
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(3 * shared._POLL_S)
        assert waiting.is_alive()
        order.append("first")
    waiting.join(10)
    assert order == [True, "first", False, "second"]


def test_a_claim_of_the_dead_keeps_nobody_waiting(tmp_path, monkeypatch):
    spec, twin = specs_of({"zeta": 0.0}, {"zeta": 1.0})
    announce(tmp_path, [spec, twin])
    with SharedStages(tmp_path, spec).before(STAGES, 1, {}, CPU) as common:
        folder = common.folder
    dead = Claim(folder.with_name(f"{folder.name}.claims"))
    assert dead.acquire()
    monkeypatch.setattr("fer_bench.runs.claims._is_running", lambda owner: False)
    with SharedStages(tmp_path, twin).before(STAGES, 1, {}, CPU) as common:
        assert common is not None
        assert common.load() is None


def test_runs_that_are_not_planned_together_keep_nothing(tmp_path):
    (spec,) = specs_of({})
    announce(tmp_path, [spec])
    with SharedStages(tmp_path, spec).before(STAGES, 1, {}, CPU) as common:
        assert common is None


def test_a_parameter_that_does_not_exist_is_refused():
    with pytest.raises(MethodError, match="zetta"):

        class Misspelt(Method):
            stage_parameters = {"late": ("zetta",)}
