"""`fer-bench data show | prepare | audit | capture` as they are typed."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fer_bench.cli.data import app
from fer_bench.data import detect, load_dataset
from fer_bench.errors import DataError


@pytest.fixture
def run(monkeypatch, data_pack):
    monkeypatch.setenv("FER_BENCH_DATA", str(data_pack))

    def call(*words, text=None):
        result = CliRunner().invoke(app, [str(w) for w in words], input=text)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return call


def test_show(run, tmp_path):
    out = run("show", "cmu-faces", "--what", "pose", "--what", "classes", "--size", "32",
              "--set", "color=false", "--set", 'where={pose="left"}', "--out",
              tmp_path / "x.png")  # fmt: skip
    assert "FaceData(cmu-faces: 1" in out
    assert Image.open(tmp_path / "x.png").height > 100
    with pytest.raises(DataError, match="write it as KEY=VALUE"):
        run("show", "london", "--set", "version", "--out", tmp_path / "y.png")
    with pytest.raises(DataError, match="did you mean 'version'"):
        run("show", "london", "--set", "versoin=raw_256", "--out", tmp_path / "y.png")


def test_prepare_then_load(run, tmp_path, monkeypatch, pictures):
    noise = np.random.default_rng(0).integers(0, 256, (2, 50, 50, 3), dtype=np.uint8)
    for name, picture in zip(("happy/a.png", "sad/b.png"), noise, strict=True):
        (pictures.root / name).parent.mkdir(parents=True, exist_ok=True)
        large = Image.fromarray(picture).resize((100, 100), Image.Resampling.NEAREST)
        large.save(pictures.root / name)
    (pictures.root / "sad/broken.png").write_bytes(b"")
    face = detect.Face((20, 20, 60, 60), np.array([[35.0, 40], [65, 40]]), 1.0)
    monkeypatch.setattr("fer_bench.data.prepare.Mtcnn", lambda: lambda image: [face])
    out = run("prepare", pictures.root, tmp_path / "out", "--size", "64", "--gray")
    assert "2 faces in" in out
    assert "1 rejected" in out
    assert "1  is empty" in out
    faces = load_dataset("manifest", tmp_path / "out", size=64, color=False)
    assert faces.classes == ("happiness", "sadness")
    assert "2 faces" in run("prepare", pictures.root, tmp_path / "out", "--size", "64", "--gray")


def test_audit_then_follow_the_decisions(run, tmp_path, data_pack):
    out = run("audit", "london", "--out", tmp_path, "--no-labels", "--size", "32")
    assert "Nothing was found" in out
    assert (tmp_path / "audit.html").exists()
    key = "aligned_128/001_neutral.jpg"
    (tmp_path / "decisions.csv").write_text(f"path,decision\n{key},drop\n")
    faces = load_dataset("london", size=32, decisions=tmp_path / "decisions.csv")
    assert len(faces) == 203
    assert key not in faces.keys


def test_capture_asks_for_the_name_and_for_consent(run, tmp_path, monkeypatch):
    class FakeWindow:
        keys = iter("nhz")

        def __call__(self, frame):
            return next(self.keys, "q")

        def close(self):
            pass

    frame = np.full((240, 320, 3), 100, np.uint8)
    monkeypatch.setattr("fer_bench.data.capture.Window", FakeWindow)
    monkeypatch.setattr("fer_bench.data.capture.camera_frames", lambda camera: iter([frame] * 9))
    refused = run("capture", tmp_path / "a", "--crop", "200", text="anna\nn\n")
    assert "Take part only if you agree" in refused
    assert "Nothing was recorded" in refused
    assert not (tmp_path / "a").exists()
    out = run("capture", tmp_path / "a", "--crop", "200", text="anna\ny\n")
    assert "1  neutral" in out
    assert "1 pictures stored" in out
    assert (tmp_path / "a/consent.jsonl").read_text().count("anna") >= 1


def test_a_prepared_folder_is_shown_by_its_name(run, tmp_path, monkeypatch, pictures):
    for name in ("happy/a.png", "sad/b.png"):
        pictures.save(name, size=(100, 100))
    face = detect.Face((20, 20, 60, 60), np.array([[35.0, 40], [65, 40]]), 1.0)
    monkeypatch.setattr("fer_bench.data.prepare.Mtcnn", lambda: lambda image: [face])
    out = tmp_path / "my faces"
    said = run("prepare", pictures.root, out, "--min-sharpness", "0", "--crop", "tight")
    assert f"Next: fer-bench data audit '{out}'" in said
    assert "2 faces" in run("show", out, "--size", "32", "--out", tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text()
    assert "terms of the set do not allow" not in page
    assert "make sure that the people it shows agree" in page
    with pytest.raises(DataError, match="did you mean 'tight'"):
        run("prepare", pictures.root, out, "--crop", "tigt")
