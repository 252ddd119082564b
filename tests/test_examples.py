"""The experiment files of examples/ say what can be run; those of the tables run when reduced."""

import io
import re
import shlex
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from sklearn.utils import Bunch

from fer_bench.backbones.mobilefacenet import MobileFaceNet
from fer_bench.experiment import Experiment, load_experiment, resolve_method
from fer_bench.runs.store import RunStore
from fer_bench.sweep.plan import _check_labels, plan
from fer_bench.sweep.sweep import prepare
from fer_bench.sweep.worker import execute

ROOT = Path(__file__).parents[1]
FILES = [*sorted((ROOT / "examples").glob("*.toml")), ROOT / "fer_bench" / "quickstart.toml"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_key_method_and_parameter_is_known(file):
    experiment = load_experiment(file)
    assert experiment.name == file.stem, "the name in the file decides where results go"
    entries = [resolve_method(m, i) for i, m in enumerate(experiment.methods)]
    _check_labels(experiment, entries)
    if experiment.data.root is not None:
        data = (ROOT.parent / "shared" / "data").resolve()
        Path(experiment.data.root).resolve().relative_to(data)  # or it raises


# ------------------------------------------------------------------ the reduced form

TABLES = (
    "beta1_sweep", "claims", "coloured_digits", "faces_3d", "fer2013", "generated_budget",
    "lfw_trunk", "london_trunk",
)  # fmt: skip
LINE = re.compile(r"# Reduced: (.*)")


def overrides(file: Path) -> list[str]:
    """What the line "# Reduced: --set KEY=VALUE ..." of a file says."""
    words = shlex.split(LINE.search(file.read_text()).group(1), posix=False)
    assert words[::2] == ["--set"] * (len(words) // 2)
    return words[1::2]


class Miniature:
    """A dozen invented faces in the layout of each set, so that no photograph is needed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rng = np.random.default_rng(0)
        self.root.mkdir()

    def picture(self, side: int, mode: str = "RGB") -> Image.Image:
        blocks = self.rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        return Image.fromarray(blocks).resize((side, side), Image.Resampling.BILINEAR).convert(mode)

    def london_trunk(self) -> None:
        lines = ["file,expression,subject,gender,left_eye_x,left_eye_y,right_eye_x,right_eye_y"]
        (self.root / "raw_256").mkdir()
        for person in range(12):
            for expression in ("neutral", "happiness"):
                name = f"{person:03d}_{expression}.png"
                self.picture(256).save(self.root / "raw_256" / name)
                gender = ("female", "male")[person % 2]
                lines.append(f"{name},{expression},{person:03d},{gender},107,121,147,120")
        (self.root / "manifest.csv").write_text("\n".join(lines))

    def lfw_trunk(self) -> None:
        lines = ["path,expression,subject"]
        for i in range(30):
            self.picture(128, "L").save(self.root / f"{i}.png")
            lines.append(f"{i}.png,{('neutral', 'happiness')[i % 2]},p{i // 2:04d}")
        (self.root / "manifest.csv").write_text("\n".join(lines))

    def fer2013(self) -> None:
        names = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
        lines = ["image,expression,split,ferplus_label,leak_group"]
        with zipfile.ZipFile(self.root / "fer2013_jpg.zip", "w") as archive:
            for i in range(84):
                stream = io.BytesIO()
                self.picture(48, "L").save(stream, "JPEG")
                archive.writestr(f"{i}.jpg", stream.getvalue())
                split = ("Training", "Training", "PublicTest", "PrivateTest")[i // 7 % 4]
                lines.append(f"{i}.jpg,{names[i % 7]},{split},{names[i % 7]},{i}")
        (self.root / "manifest.csv").write_text("\n".join(lines))


def few_digits():
    digits = load_digits()
    return Bunch(images=digits.images[:450], target=digits.target[:450])


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Of a face-recognition network that nobody trained."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "mobilefacenet.safetensors"
    save_file(MobileFaceNet().state_dict(), file)
    return str(file)


def on_invented_faces(experiment: Experiment, root: Path, weights: str) -> Experiment:
    """The same experiment on a miniature of its data, from a network that nobody trained."""
    content = experiment.model_dump()
    if hasattr(Miniature, experiment.name):
        getattr(Miniature(root), experiment.name)()
        content["data"]["root"] = str(root)
    for method in content["methods"]:
        for place in (method["parameters"], method["parameters"].get("backbone", {})):
            if "weights" in place:
                place["weights"] = weights
    return Experiment.model_validate(content)


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_tables_run_in_their_reduced_form(name, tmp_path, weights, monkeypatch):
    monkeypatch.setattr("fer_bench.metrics.decoder.STEPS", 20)
    monkeypatch.setattr("fer_bench.metrics.decoder.READER_STEPS", 20)
    monkeypatch.setattr("sklearn.datasets.load_digits", few_digits)
    monkeypatch.setenv("FER_BENCH_CACHE", str(tmp_path / "cache"))  # of these digits alone
    file = ROOT / "examples" / f"{name}.toml"
    experiment = load_experiment(file, overrides=overrides(file))
    if name == "faces_3d" and not Path(experiment.data.root).is_dir():
        pytest.skip("no ict_facekit/ in the data pack")
    small = on_invented_faces(experiment, tmp_path / "data", weights)
    planned = plan(small)
    assert not planned.skipped
    assert len(planned.runs) == len(small.methods)
    prepare(RunStore(tmp_path / "out"), small, planned)
    for spec in planned.runs:  # in this process: an executor starts one for every run
        state, text = execute(spec, tmp_path / "out", metrics=small.scores.metrics)
        assert state == "done", f"{spec.label}: {text}"
    if name == "beta1_sweep":
        kept = {
            r.spec.label: r.metric_arrays("decoder") for r in RunStore(tmp_path / "out").records()
        }
        assert all("drawn.EI" in arrays for label, arrays in kept.items() if label != "ERM")
        own = {label for label, arrays in kept.items() if "drawn.own" in arrays}
        assert own == {"beta1 = 0", "beta1 = 0.01", "beta1 = 0.1", "beta1 = 1"}


@pytest.mark.parametrize("name", [*TABLES, "claims_lfw"])
def test_tables_say_what_they_cost(name):
    """At most three hours of one processor core."""
    text = (ROOT / "examples" / f"{name}.toml").read_text()
    hours = float(re.search(r"(\d+\.\d+) CPU hours", text).group(1))
    assert 0 < hours <= 3
