"""Speed of the data room: opening and gathering a large set, and against ImageFolder.

FER_BENCH_SCALE sets the number of faces of the large set (default 30,000; 300,000 gray faces of
112x112 need 4 GB of disk and as much page cache).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fer_bench.data import DataInfo, FaceData, PairSampler, load_dataset
from fer_bench.data.augment import augment, normalise
from fer_bench.data.faces import no_rejects, standard_table

N = int(os.environ.get("FER_BENCH_SCALE", "30000"))
BATCH = 128


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A folder as `FaceData.save` writes it, of N gray faces of 112x112."""
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    tile = rng.integers(0, 256, (1000, 112, 112, 1), dtype=np.uint8)
    shape = (N, 112, 112, 1)
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, shape)
    for start in range(0, N, 1000):
        images[start : start + 1000] = tile[: min(1000, N - start)]
    images.flush()
    del images
    table = pd.DataFrame(
        {
            "path": [f"train/{i // 1000:04d}/{i:07d}.jpg" for i in range(N)],
            "expression": rng.choice(["neutral", "happiness", "sadness", "anger"], N),
            "subject": [f"s{i}" for i in rng.integers(0, 5000, N)],
            "valence": rng.uniform(-1, 1, N),
            "arousal": rng.uniform(-1, 1, N),
        }
    )
    standard_table(table).to_parquet(folder / "table.parquet", index=False)
    no_rejects().to_parquet(folder / "rejects.parquet", index=False)
    about = pd.Series({"info": DataInfo("large").to_json(), "fingerprint": "0" * 32})
    (folder / "info.json").write_text(about.to_json())
    return folder


def test_open(benchmark, large):
    faces = benchmark(FaceData.open, large)
    assert len(faces) == N


def anonymous_mib() -> int:
    """Memory of this process that is not a view of a file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    values = [line.split()[1] for line in lines if line.startswith("RssAnon")]
    return int(values[0]) // 1024


def test_gather(benchmark, large):
    faces = FaceData.open(large)
    order = np.random.default_rng(0).permutation(N)[:20_000]

    def epoch():
        for start in range(0, len(order), BATCH):
            faces.gather(order[start : start + BATCH])

    epoch()
    before = anonymous_mib()
    benchmark(epoch)
    benchmark.extra_info["faces a second"] = round(len(order) / benchmark.stats["mean"])
    benchmark.extra_info["growth of memory (MiB)"] = anonymous_mib() - before
    assert anonymous_mib() - before < 50


def test_partners(benchmark, large):
    faces = FaceData.open(large)
    sampler = PairSampler(faces.expression, faces.subject)
    benchmark(sampler.partners, np.arange(BATCH))


@pytest.fixture(scope="module")
def jpegs(tmp_path_factory):
    """2,000 JPEG files of 112x112 in two class folders."""
    root = tmp_path_factory.mktemp("jpegs")
    rng = np.random.default_rng(0)
    for name in ("happiness", "sadness"):
        (root / name).mkdir()
        for i in range(1000):
            small = rng.integers(0, 256, (14, 14, 3), dtype=np.uint8)
            image = Image.fromarray(small).resize((112, 112), Image.Resampling.BICUBIC)
            image.save(root / name / f"{i}.jpg", quality=90)
    return root


@pytest.mark.benchmark(group="epoch over 2,000 JPEGs, batches of uint8 tensors")
def test_epoch_of_face_data(benchmark, jpegs):
    faces = load_dataset("folder", jpegs, size=112)
    rng = np.random.default_rng(0)

    def epoch():
        order, total = rng.permutation(len(faces)), 0
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            images = torch.from_numpy(faces.gather(rows)).permute(0, 3, 1, 2)
            labels = torch.from_numpy(faces.expression[rows])
            total += min(len(images), len(labels))
        return total

    assert epoch() == 2000
    benchmark(epoch)
    benchmark.extra_info["faces a second"] = round(2000 / benchmark.stats["mean"])


@pytest.mark.benchmark(group="epoch over 2,000 JPEGs, batches of uint8 tensors")
def test_epoch_of_image_folder(benchmark, jpegs):
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import PILToTensor

    folder = ImageFolder(str(jpegs), PILToTensor())
    loader = DataLoader(folder, BATCH, shuffle=True, num_workers=2, persistent_workers=True)

    def epoch():
        return sum(len(images) for images, _ in loader)

    assert epoch() == 2000  # workers are up: what is measured is the second epoch and later ones
    benchmark.pedantic(epoch, rounds=3)
    benchmark.extra_info["faces a second"] = round(2000 / benchmark.stats["mean"])


@pytest.mark.benchmark(group="decode 2,000 JPEGs into the cache")
def test_first_opening(benchmark, jpegs, tmp_path):
    count = iter(range(1000))

    def fresh():
        return load_dataset("folder", jpegs, size=112, cache=tmp_path / str(next(count)))

    assert len(benchmark.pedantic(fresh, rounds=2)) == 2000


@pytest.mark.parametrize("mode", ["none", "flip", "rotations", "affine"])
@pytest.mark.benchmark(group="normalise and augment 128 faces of 64x64x3")
def test_augmentation(benchmark, mode):
    pixels = torch.randint(0, 256, (BATCH, 64, 64, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    benchmark(lambda: augment(normalise(pixels), mode, torch.Generator().manual_seed(0)))
