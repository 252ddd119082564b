import pytest

from fer_bench.errors import ExperimentError, FerBenchError, UnknownNameError
from fer_bench.experiment import (
    DataSpec,
    Experiment,
    RunSpec,
    SplitSpec,
    TrainingSpec,
    load_experiment,
    parse_experiment,
)


def write(tmp_path, text):
    path = tmp_path / "experiment.toml"
    path.write_text(text, encoding="utf-8")
    return path


GOOD = """
seeds = [0, 1]

[data]
name = "folder"
root = "faces"
size = 48
subject_pattern = "S(\\\\d+)"

[training]
epochs = 3
lr = 1e-4

[[methods]]
name = "erm"

[[methods]]
name = "dice-fer"
label = "DICE, zeta 0"
parameters = { zeta = 0.0 }
"""


def test_a_good_file(tmp_path):
    experiment = load_experiment(write(tmp_path, GOOD))
    assert experiment.name == "experiment"
    assert experiment.training.lr == 1e-4
    assert experiment.data.options == {"subject_pattern": "S(\\d+)"}
    assert experiment.data.root == str(tmp_path / "faces")
    assert experiment.methods[1].parameters == {"zeta": 0.0}


def test_weights_are_meant_from_the_folder_of_the_file(tmp_path):
    entry = '[[methods]]\nname = "erm"\nparameters = { backbone = { weights = "w.pt" } }\n'
    (method,) = load_experiment(write(tmp_path, entry)).methods
    assert method.parameters["backbone"] == {"weights": str(tmp_path / "w.pt")}


def test_a_tag_of_published_weights_is_no_path(tmp_path):
    entry = '[[methods]]\nname = "eif"\nparameters = { attributes = { weights = "openai" } }\n'
    method = load_experiment(write(tmp_path, entry)).methods[0]
    assert method.parameters["attributes"] == {"weights": "openai"}


@pytest.mark.parametrize(
    ("line", "wrong", "message"),
    [
        ("epochs = 3", "epoch = 3", r":11: unknown key 'training.epoch': did you mean 'epochs'"),
        ("lr = 1e-4", "lr = -1", r":12: 'training.lr' is -1: input should be greater than 0"),
        ('name = "erm"', 'nam = "erm"', r"unknown key 'methods\[0\].nam'.*'name'"),
        ("seeds = [0, 1]", "seed = [0, 1]", r":2: unknown key 'seed': did you mean 'seeds'"),
        ("seeds = [0, 1]", "seeds = [1, 1]", "seeds must differ"),
        ("seeds = [0, 1]", "seeds = [0, 1", "not valid TOML"),
        ("size = 48", "size = 4", r":7: 'data.size' is 4"),
    ],
)
def test_a_wrong_key_is_named_with_its_line(tmp_path, line, wrong, message):
    assert line in GOOD
    with pytest.raises(ExperimentError, match=message):
        load_experiment(write(tmp_path, GOOD.replace(line, wrong, 1)))


TWO = """seeds = [0]
[data]
name = "generated"
[training]
epochs = 1
[[methods]]
name = "erm"
parameters = { dim = 4 }
[[methods]]
name = "dice-fer"
[methods.parameters]
dim = 4
zeta = 0.0
[scores]
metrics = ["leakage"]
"""


@pytest.mark.parametrize(
    ("line", "wrong", "message"),
    [
        ("seeds = [0]", "seeds = 0", r":1: 'seeds' is 0, not a list: write seeds = \[0\]"),
        ("seeds = [0]", "seeds = '0,1'", r":1: .*write seeds = \[0, 1\]"),
        ("seeds = [0]", "seeds = [0, true]", r":1: 'seeds\[1\]' is true, a yes or no"),
        ("seeds = [0]", "seeds = [-1]", r":1: 'seeds\[0\]' is -1"),
        ('["leakage"]', '"leakage, mig"', r'write metrics = \["leakage", "mig"\]'),
        ('["leakage"]', '["leakige"]', r":15: there is no metric 'leakige': did you mean 'leak"),
        ("epochs = 1", "epochs = true", r":5: 'training.epochs' is true, a yes or no"),
        ("epochs = 1", "lr = nan", r":5: 'training.lr' is nan"),
        ('"generated"', '"Generatd"', r":3: there is no data set 'Generatd': did you mean 'gen"),
        ('name = "erm"', 'name = "ERM"', r":7: there is no method 'ERM': did you mean 'erm'"),
        ('"dice-fer"', '"dice"', r":10: there is no method 'dice': did you mean 'dice-fer'"),
        ("{ dim = 4 }", "{ dmi = 4 }", r":8: unknown key 'methods\[0\].parameters.dmi'.*'dim'"),
        ("dim = 4\nzeta", "dim = true\nzeta", r":12: 'methods\[1\].parameters.dim' is true"),
        ("zeta = 0.0", "zeat = 0.0", r":13: unknown key 'methods\[1\].parameters.zeat'"),
    ],
)
def test_a_wrong_value_is_called_what_it_is(tmp_path, line, wrong, message):
    load_experiment(write(tmp_path, TWO))
    assert line in TWO
    with pytest.raises(FerBenchError, match=message):
        load_experiment(write(tmp_path, TWO.replace(line, wrong, 1)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[methods]\nname = 'erm'", r":1: 'methods' is one table: write \[\[methods\]\]"),
        ("training = 3\nmethods = [{name = 'erm'}]", r":1: 'training' is 3, not a table"),
    ],
)
def test_tables_are_told_from_lists_and_values(tmp_path, text, message):
    with pytest.raises(ExperimentError, match=message):
        load_experiment(write(tmp_path, text))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epohcs=3", "--set training.epohcs: unknown key 'training.epohcs': did you mean"),
        ("methods.0.name=erk", "--set methods.0.name: there is no method 'erk': did you mean"),
        ("data={nme='x', name='y'}", "--set data: there is no data set 'y'"),
        ("methods.0.parameters.dim=true", "--set methods.0.parameters.dim: .* is true"),
        ("seeds=0,1", r"--set seeds: .* write seeds = \[0, 1\]"),
        ("name=../x", "--set name: 'name' is '../x'"),
    ],
)
def test_a_wrong_override_does_not_blame_the_file(override, message):
    with pytest.raises(FerBenchError, match=message) as caught:
        load_experiment(overrides=[override])
    assert "quickstart" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["../../x", "a/b", "a\\b", "..", ".", "", " x", "x" * 300, "a\nb", "\x1b[31m", "a\0b"]
)
def test_a_name_that_is_no_folder_is_refused(name):
    content = {"name": name, "methods": [{"name": "erm"}]}
    with pytest.raises(ExperimentError, match="'name' is"):
        parse_experiment(content)


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 20_000,
        "x = " + "[" * 20_000 + "]" * 20_000,
        "data = { x = " + "[" * 100 + "]" * 100 + " }",
        f"seeds = {list(range(100_000))}\nmethods = [{{name = 'erm'}}]",
        'name = "a\\u0000b"',
        'data.root = "a\\u0000b"',
        'data.root = "~nobody-of-this-name/x"',
        f'data.root = "{"x" * 5000}"',
    ],
    ids=["open", "closed", "levels", "seeds", "nul-name", "nul-root", "no-user", "long-root"],
)
def test_what_cannot_be_is_one_short_sentence(tmp_path, text):
    with pytest.raises(FerBenchError) as caught:
        load_experiment(write(tmp_path, text))
    assert len(str(caught.value)) < 500 + len(str(tmp_path))
    with pytest.raises(FerBenchError) as caught:
        load_experiment(overrides=[text.splitlines()[0].replace(" = ", "=", 1)])
    assert "quickstart" not in str(caught.value) or "seeds" in text


def test_deep_brackets_in_json(tmp_path):
    path = tmp_path / "experiment.json"
    for text in ('{"x": ' + "[" * 20_000, "[1]"):
        path.write_text(text)
        with pytest.raises(ExperimentError, match="experiment.json"):
            load_experiment(path)


def test_a_mapping_with_unknown_names_is_refused():
    content = {"methods": [{"name": "erm"}, {"name": "nobody"}]}
    with pytest.raises(UnknownNameError, match="there is no method 'nobody'"):
        parse_experiment(content)


def test_missing_and_binary_files(tmp_path):
    with pytest.raises(ExperimentError, match="cannot read the experiment file"):
        load_experiment(tmp_path / "absent.toml")
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ExperimentError, match="not UTF-8"):
        load_experiment(tmp_path / "x.toml")


def test_overrides(tmp_path):
    experiment = load_experiment(
        write(tmp_path, GOOD),
        overrides=["training.epochs=7", "methods.0.label=plain", "seeds=[4]", "data.name=manifest"],
    )
    assert experiment.training.epochs == 7
    assert experiment.methods[0].label == "plain"
    assert experiment.seeds == (4,)
    assert experiment.data.name == "manifest"


@pytest.mark.parametrize("override", ["epochs", "=3", "methods.9.name=x", "seeds.x.y=1"])
def test_wrong_overrides(tmp_path, override):
    with pytest.raises(ExperimentError):
        load_experiment(write(tmp_path, GOOD), overrides=[override])


def test_a_method_may_override_training_but_not_with_nonsense():
    content = {"methods": [{"name": "erm", "training": {"epoch": 2}}]}
    with pytest.raises(
        ExperimentError, match=r"unknown key 'methods\[0\].training.epoch': did you mean 'epochs'"
    ):
        parse_experiment(content)


def test_a_saved_experiment_repeats_itself(tmp_path):
    first = load_experiment(write(tmp_path, GOOD))
    saved = tmp_path / "experiment.json"
    saved.write_text(first.model_dump_json())
    assert load_experiment(saved) == first
    saved.write_text("{")
    with pytest.raises(ExperimentError, match="not valid JSON"):
        load_experiment(saved)


def test_the_quickstart_is_valid():
    experiment = load_experiment()
    assert isinstance(experiment, Experiment)
    assert len(experiment.seeds) == 2


def spec(**changes):
    content = {
        "method": "erm",
        "label": "ERM",
        "parameters": {"dim": 64},
        "data": DataSpec(root="/a"),
        "fingerprint": "f" * 64,
        "split": SplitSpec(),
        "fold": 0,
        "fold_hash": "h",
        "training": TrainingSpec(),
        "seed": 0,
        "code": {"fer-bench": "0.1.0"},
    }
    return RunSpec(**(content | changes))


def test_the_run_id_depends_on_the_outcome_alone():
    base = spec().id
    assert base == spec(label="other").id
    assert base == spec(data=DataSpec(root="/b")).id
    assert base == spec(training=TrainingSpec(device="cpu", devices=2)).id
    for changes in (
        {"seed": 1},
        {"fingerprint": "e" * 64},
        {"parameters": {"dim": 32}},
        {"training": TrainingSpec(epochs=3)},
        {"fold_hash": "g"},
        {"code": {"fer-bench": "0.2.0"}},
    ):
        assert spec(**changes).id != base


def test_the_run_spec_survives_json():
    again = RunSpec.model_validate_json(spec().model_dump_json())
    assert again.id == spec().id


def test_the_id_follows_the_content_of_the_weights_not_their_place():
    def weighted(path, digest):
        named = {"backbone": {"name": "conv4", "weights": path}, "attributes": {"weights": "tag"}}
        return spec(parameters=named, weights={path: digest})

    assert weighted("/a/w.pt", "aa").id == weighted("/b/w.pt", "aa").id
    assert weighted("/a/w.pt", "aa").id != weighted("/a/w.pt", "bb").id
