"""Fixtures of the whole suite."""

from __future__ import annotations

import gc
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

# A busy machine is no failure, and a red run must be red again on the next try.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")

ROOT = Path(__file__).parents[1]

# What is imported stays until the end. Looking for garbage in it took a quarter of the time of
# collecting the tests, and a tenth of that of writing a page.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _two_threads() -> None:
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or fills the user's cache of decoded faces."""
    os.environ["FER_BENCH_CACHE"] = str(tmp_path_factory.mktemp("face-cache"))


@pytest.fixture
def installed(tmp_path):
    """Install an example package; returns what calls several commands where it is, in one process.

    That returns the finished process; it ends at the first command that fails.
    """

    def install(example):
        site = tmp_path / "site"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        command += ["--no-build-isolation", "--target", str(site), str(example)]
        subprocess.run(command, check=True, capture_output=True)

        def commands(*lines):
            code = f"""
import sys
from fer_bench.cli import main
for line in {[list(map(str, line)) for line in lines]!r}:
    sys.argv[1:] = line
    try:
        main()
    except SystemExit as end:
        assert not end.code, (line, end.code)
"""
            return subprocess.run(
                [sys.executable, "-c", code],
                env=os.environ | {"PYTHONPATH": str(site)},
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )

        return commands

    return install


@pytest.fixture
def invoke(monkeypatch, capsys):
    """Call `fer-bench ...` as the shell does; returns (status, stdout, stderr)."""

    from fer_bench.cli import main

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["fer-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return call


@pytest.fixture(scope="session")
def data_pack() -> Path:
    """The folder with london/, cmu_faces/ and ict_facekit/; skips where there is none."""
    given = os.environ.get("FER_BENCH_DATA")
    pack = Path(given) if given else ROOT.parent / "shared" / "data"
    if not (pack / "london").is_dir():
        pytest.skip("no data pack: set FER_BENCH_DATA to the folder that holds london/")
    return pack


@pytest.fixture(scope="session")
def outside_network(data_pack):
    """mini-XCEPTION, trained on FER2013: faces [n, 1, 64, 64] in [-1, 1] -> names of classes."""
    import torch

    pytest.importorskip("h5py")
    file = data_pack / "weights" / "fer2013_mini_XCEPTION.102-0.66.hdf5"
    if not file.is_file():
        pytest.skip("no expression network in the data pack")
    spec = importlib.util.spec_from_file_location("lite", file.with_name("keras_lite.py"))
    lite = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lite)
    network, names = lite.load(str(file)), np.array(lite.EMOTIONS)

    def read(faces):
        with torch.no_grad():
            return names[network(faces).argmax(1).numpy()]

    return read


@pytest.fixture(scope="session")
def small_faces():
    """240 faces of 32x32x3: 4 classes x 12 subjects x 5 takes, with labels one can see.

    The expression moves a bright bar up or down, the subject tints the background, so that both
    can be learned in seconds. Valence-arousal, two attributes and a group are in the table.
    """
    from fer_bench.data import DataInfo, FaceData

    rng = np.random.default_rng(0)
    classes = ["neutral", "happiness", "sadness", "anger"]
    rows = [(c, s, t) for s in range(12) for c in range(4) for t in range(5)]
    c, s, t = np.array(rows).T
    tint = rng.integers(40, 160, (12, 3))
    images = np.broadcast_to(tint[s][:, None, None, :], (len(rows), 32, 32, 3)).astype(np.float64)
    for i, expression in enumerate(c):
        top = 4 + 7 * expression
        images[i, top : top + 4, 6:26] += 80
    images += rng.normal(0, 8, images.shape)
    angle = c * np.pi / 2
    table = pd.DataFrame(
        {
            "path": [f"s{b:02d}/{classes[a]}_{d}.png" for a, b, d in rows],
            "expression": [classes[a] for a in c],
            "subject": [f"s{b:02d}" for b in s],
            "valence": np.cos(angle) * 0.7,
            "arousal": np.sin(angle) * 0.7,
            "sequence": [f"s{b:02d}-{d}" for _, b, d in rows],
            "gender": np.where(s % 2 == 0, "female", "male"),
            "glasses": np.where(t % 2 == 0, "yes", "no"),
        }
    )
    info = DataInfo("small", title="Small faces", subjects="generated", valence_arousal=True)
    return FaceData(images.clip(0, 255).astype(np.uint8), table, info=info)
