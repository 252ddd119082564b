import sys
import tomllib

import numpy as np
import pytest
from PIL import Image

from fer_bench import registry
from fer_bench.errors import ExperimentError, MethodError, MissingExtraError, RunError
from fer_bench.experiment import TrainingSpec, load_experiment, parse_experiment
from fer_bench.runs.store import RunStore
from fer_bench.space import Among, Between, declared
from fer_bench.sweep import search as module
from fer_bench.sweep.executors import Options
from fer_bench.sweep.plan import plan
from fer_bench.sweep.search import search_experiment, space_of, studies_of
from fer_bench.sweep.sweep import run_experiment

pytest.importorskip("optuna")

DATA = {"name": "generated", "subjects": 9, "images_per_subject": 14, "size": 16}
ERM = {"name": "erm", "parameters": {"backbone": {"width": 4}, "dim": 8}}
METHODS = [n for n in registry.methods.names() if registry.methods.get(n).info.role == "method"]


def experiment(**changes):
    return parse_experiment(
        {
            "name": "small",
            "data": DATA,
            "split": {"folds": 3, "use": [0], "validation": 0.4},
            "training": {"epochs": 1, "batch_size": 16},
            "methods": [ERM],
            "scores": {"metrics": ["classification"]},
        }
        | changes
    )


@pytest.fixture
def pretend(monkeypatch):
    """Replace training by a formula of the setting; the list says what was tried."""
    tried = []

    def use(score):
        def try_out(spec, resume):
            tried.append((spec.label, spec.fold, spec.training.lr))
            return score(spec)

        monkeypatch.setattr(module, "try_out", try_out)
        return tried

    return use


def peak(spec):
    """Best at a learning rate of 0.004, whatever else."""
    value = -abs(np.log10(spec.training.lr / 0.004))
    return value, f"{value:.3f}"


def values_of(study):
    return [(t.values, t.score) for t in study.trials]


# What may be searched -----------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_declared_ranges_hold_the_default_and_valid_values_alone(name):
    config = registry.methods.get(name).Config
    for model in (config, TrainingSpec):
        for key, mark in declared(model).items():
            default = model.model_fields[key].default
            ends = mark.values if isinstance(mark, Among) else (mark.low, mark.high)
            for value in ends:
                model.model_validate({key: value})
            if isinstance(mark, Between):
                assert mark.low <= default <= mark.high, key
            else:
                assert default == mark.values[0], key


def test_what_an_entry_states_is_kept():
    free, stated = parse_experiment(
        {
            "methods": [
                {"name": "erm"},
                {
                    "name": "erm",
                    "label": "x",
                    "parameters": {"balanced": True},
                    "training": {"lr": 1},
                },
            ]
        }
    ).methods
    assert set(space_of(free)) == {"training.lr", "parameters.balanced"}
    assert space_of(stated) == {}


def test_reference_rows_have_nothing_to_search():
    rows = [{"name": "random-encoder"}, {"name": "oracle-label"}]
    with pytest.raises(ExperimentError, match="there is nothing to search"):
        studies_of(experiment(methods=rows))


def test_erased_rows_follow_the_encoder_that_was_searched(pretend, tmp_path):
    pretend(peak)
    row = {"name": "erased", "of": "erm", "parameters": {"eraser": "mean", "rank": 2}}
    split = {"folds": 3, "use": [0, 1], "validation": 0.4}
    found = search_experiment(experiment(methods=[ERM, row], split=split), tmp_path, trials=2)
    assert [study.entry for study in found.studies] == [0, 0]
    runs = plan(load_experiment(found.file)).runs
    encoders = {run.fold: run.id for run in runs if run.of is None}
    assert {run.fold: run.of for run in runs if run.of is not None} == encoders
    assert len(encoders) == 2


def test_the_ranges_reach_the_experiments_own_setting():
    (study,) = studies_of(experiment(training={"lr": 0.05, "epochs": 1}))
    assert study.space["training.lr"] == Between(1e-4, 0.05, log=True)


# Who decides --------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path, small_faces):
    """Write a manifest of the small faces: four people train, four validate or train, four test."""

    def write(name, *, scramble):
        root = tmp_path / name
        root.mkdir()
        rng = np.random.default_rng(0)
        lines = ["path,expression,subject,split"]
        images = small_faces.gather(np.arange(len(small_faces)))
        for i in range(0, len(small_faces), 2):
            subject = int(small_faces.subject[i])
            part = "test" if subject >= 8 else "train"
            label = small_faces.classes[small_faces.expression[i]]
            pixels = images[i]
            if part == scramble:
                label = str(rng.choice(small_faces.classes))
                pixels = rng.integers(0, 256, pixels.shape, dtype=np.uint8)
            Image.fromarray(pixels).save(root / f"{i}.png")
            lines.append(f"{i}.png,{label},s{subject},{part}")
        (root / "faces.csv").write_text("\n".join(lines) + "\n")
        return {"name": "manifest", "root": str(root / "faces.csv"), "size": 32}

    return write


def test_test_faces_and_labels_cannot_influence_the_choice(pictures, tmp_path):
    by_name = {}
    for scramble in ("nothing", "test", "train"):
        content = experiment(
            data=pictures(scramble, scramble=scramble),
            split={"official": True, "validation": 0.4},
            training={"epochs": 3, "batch_size": 16, "lr": 0.003},
        )
        search = search_experiment(content, tmp_path / f"out-{scramble}", trials=3, quiet=True)
        (study,) = search.studies
        by_name[scramble] = (values_of(study), study.best.values)
    assert by_name["test"] == by_name["nothing"]
    assert len({score for _, score in by_name["nothing"][0]}) > 1, "the settings must matter"
    assert by_name["train"] != by_name["nothing"], "what should decide, decides"


def test_every_fold_is_searched_alone(pretend, tmp_path):
    """Validation people of a fold are test people of another."""
    tried = pretend(lambda spec: (spec.training.lr * (1 if spec.fold == 0 else -1), "x"))
    content = experiment(split={"folds": 3, "validation": 0.4}, seeds=[4, 5])
    search = search_experiment(content, tmp_path, trials=6, quiet=True)
    assert [study.spec.fold for study in search.studies] == [0, 1, 2]
    assert {study.spec.seed for study in search.studies} == {4}
    assert len(tried) == 18
    again = load_experiment(search.file)
    assert [m.folds for m in again.methods] == [(0,), (1,), (2,)]
    rates = [m.training["lr"] for m in again.methods]
    assert rates[0] > rates[1]
    assert rates[1] == rates[2]
    specs = plan(again).runs
    assert [(s.seed, s.fold, s.training.lr) for s in specs] == [
        (seed, fold, rates[fold]) for seed in (4, 5) for fold in range(3)
    ]
    assert len({spec.label for spec in specs}) == 1


# Budgets, storage ---------------------------------------------------------------------------


def test_it_finds_the_peak_with_the_same_budget_for_all(pretend, tmp_path):
    tried = pretend(peak)
    methods = [ERM, {"name": "supcon"}, {"name": "pixels"}]
    search = search_experiment(experiment(methods=methods), tmp_path, trials=16, quiet=True)
    assert {n: sum(t[0] == n for t in tried) for n in ("ERM", "SupCon")} == {
        "ERM": 16,
        "SupCon": 16,
    }
    for study in search.studies:
        assert study.trials[0].values["training.lr"] == 0.001, "its own setting comes first"
        assert study.best.score > study.trials[0].score
        assert 0.002 < study.best.values["training.lr"] < 0.008
    names = [m.name for m in load_experiment(search.file).methods]
    assert names == ["erm", "supcon", "pixels"]


def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(pretend, monkeypatch, tmp_path):
    tried = pretend(peak)
    content = experiment(split={"folds": 3, "use": [0, 1], "validation": 0.4})
    straight = search_experiment(content, tmp_path / "straight", trials=5, quiet=True)

    calls = []
    honest = module.try_out

    def killed(spec, resume):
        calls.append(spec)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return honest(spec, resume)

    monkeypatch.setattr(module, "try_out", killed)
    with pytest.raises(KeyboardInterrupt):
        search_experiment(content, tmp_path / "killed", trials=5, quiet=True)
    assert not (tmp_path / "killed" / "tuned.toml").exists()
    monkeypatch.setattr(module, "try_out", honest)
    tried.clear()
    with (tmp_path / "killed" / "trials.jsonl").open("a") as file:
        file.write('{"op_code": 4, "wor')  # torn while it was written
    resumed = search_experiment(content, tmp_path / "killed", trials=5, quiet=True)
    assert len(tried) == 10 - 3
    assert [values_of(s) for s in resumed.studies] == [values_of(s) for s in straight.studies]
    tried.clear()
    wider = search_experiment(content, tmp_path / "killed", trials=6, quiet=True)
    assert len(tried) == 2
    assert [len(s.trials) for s in wider.studies] == [6, 6]


def test_another_experiment_in_the_same_folder_is_another_search(pretend, tmp_path):
    tried = pretend(peak)
    search_experiment(experiment(), tmp_path, trials=2, quiet=True)
    search_experiment(experiment(training={"epochs": 9}), tmp_path, trials=2, quiet=True)
    assert len(tried) == 4


def test_a_setting_that_fails_costs_its_own_trial_only(monkeypatch, tmp_path):
    def train(spec, folds, *, resume):
        if spec.training.lr != 0.001:
            raise MethodError("the loss is nan")
        return honest(spec, folds, resume=resume)

    honest, try_out = module.train, module.try_out
    monkeypatch.setattr(module, "train", train)
    monkeypatch.setattr(module, "try_out", lambda **arguments: try_out(**arguments))  # in here
    (study,) = search_experiment(experiment(), tmp_path, trials=3, quiet=True).studies
    assert [t.score is None for t in study.trials] == [False, True, True]
    assert study.trials[1].text == "the loss is nan"
    assert study.best is study.trials[0]


def test_when_every_trial_fails_the_entry_stays(pretend, tmp_path):
    pretend(lambda spec: (None, "no"))
    search = search_experiment(experiment(), tmp_path, trials=2, quiet=True)
    assert search.studies[0].best is None
    assert load_experiment(search.file).methods == experiment().methods
    assert "failed -> failed" in search.file.read_text()


def test_a_trial_is_the_run_it_chooses(tmp_path):
    """The chosen parameters, run, give the very validation score of their trial."""
    content = experiment(training={"epochs": 2, "batch_size": 16, "lr": 0.003})
    search = search_experiment(content, tmp_path / "search", trials=2, quiet=True)
    assert not list(search.root.glob(".*.safetensors")), "nothing is left of a finished trial"
    run_experiment(load_experiment(search.file), tmp_path / "run", quiet=True)
    part = RunStore(tmp_path / "run").records()[0].arrays.parts["validation"]
    hit = part.logits.argmax(1) == part.y
    recalls = [hit[part.y == c].mean() for c in np.unique(part.y)]
    assert np.mean(recalls) == pytest.approx(search.studies[0].best.score)


def test_two_searches_keep_out_of_each_others_way(tmp_path):
    with module._alone(tmp_path), pytest.raises(RunError, match="another search is at work"):
        search_experiment(experiment(), tmp_path, trials=1, quiet=True)


@pytest.mark.slow
def test_the_pool_finds_what_the_serial_search_finds(tmp_path):
    content = experiment(split={"folds": 3, "use": [0, 1], "validation": 0.4})
    values = [
        search_experiment(
            content, tmp_path / name, trials=2, options=Options.of(name, 2), quiet=True
        ).studies
        for name in ("serial", "pool")
    ]
    for a, b in zip(*values, strict=True):
        assert [t.values for t in a.trials] == [t.values for t in b.trials]
        assert [t.score for t in a.trials] == [t.score for t in b.trials]


# What is refused ----------------------------------------------------------------------------


def test_without_optuna_one_sentence_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"'optuna'.*fer-bench\[search\]"):
        search_experiment(experiment(), tmp_path / "x", quiet=True)
    assert not (tmp_path / "x").exists()


def test_without_validation_people_nothing_is_judged(monkeypatch):
    honest = module.rows_of

    def without(data, spec, folds):
        rows = honest(data, spec, folds)
        return module.replace(rows, fold=module.replace(rows.fold, validation=np.array([], int)))

    monkeypatch.setattr(module, "rows_of", without)
    with pytest.raises(ExperimentError, match="fold 0 has no validation people"):
        studies_of(experiment())


def test_a_confound_has_one_strength():
    with pytest.raises(ExperimentError, match=r"set confound.rho to one value"):
        studies_of(experiment(confound={"attribute": "gender", "rho": [0.0, 0.9]}))


def test_damaged_trials_are_named(tmp_path):
    (tmp_path / "trials.jsonl").write_text("not a journal\n")
    with pytest.raises(RunError, match=r"line 1 of the stored trials .*trials.jsonl"):
        search_experiment(experiment(), tmp_path, trials=1, quiet=True)


def test_folds_of_entries():
    two = [ERM | {"folds": [0]}, ERM | {"folds": [1]}]
    split = {"folds": 3, "use": [0, 1], "validation": 0.4}
    assert [s.fold for s in plan(experiment(methods=two, split=split)).runs] == [0, 1]
    with pytest.raises(ExperimentError, match="both be shown as 'ERM'"):
        plan(experiment(methods=[ERM | {"folds": [0, 1]}, ERM | {"folds": [1]}], split=split))
    with pytest.raises(ExperimentError, match="both be shown as 'ERM'"):
        plan(experiment(methods=[ERM | {"folds": [0]}, ERM], split=split))
    with pytest.raises(ExperimentError, match=r"methods\[1\].folds names \[1\]"):
        plan(experiment(methods=two))


def test_the_command(monkeypatch, capsys, tmp_path):
    from fer_bench import cli

    file = tmp_path / "small.toml"
    file.write_text(
        '[data]\nname = "generated"\nsubjects = 9\nimages_per_subject = 14\nsize = 32\n'
        "[split]\nfolds = 3\nuse = [0]\nvalidation = 0.4\n[training]\nepochs = 1\n"
        '[[methods]]\nname = "erm"\nparameters = { backbone = { width = 4 } }\n'
    )

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["fer-bench", "search", str(file), *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code or 0, capsys.readouterr()

    out = tmp_path / "out"
    status, said = call("--dry-run", "--out", str(out))
    assert status == 0
    assert "training.lr: 0.0001 to 0.01 (log)" in said.out
    assert not out.exists()
    status, said = call("--trials", "2", "--out", str(out))
    assert status == 0
    assert f"now: fer-bench run {out / 'tuned.toml'}" in said.out
    assert "[2/2] ERM seed 0 fold 0: trial 2" in said.err
    assert tomllib.loads((out / "tuned.toml").read_text())["methods"][0]["training"]["lr"] > 0
