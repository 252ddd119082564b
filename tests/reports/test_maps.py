"""Maps: seeded, stored once, and true to what they draw."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from fer_bench.reports import maps as maps_module
from fer_bench.reports.maps import maps_of, project, trust_of
from fer_bench.runs.store import RunStore


def clusters(seed=0, n=60):
    rng = np.random.default_rng(seed)
    centres = 12 * rng.normal(size=(4, 8))
    codes = np.arange(n) % 4
    return (centres[codes] + rng.normal(size=(n, 8))).astype(np.float32), codes


def purity(points, codes):
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    return float((codes[distance.argmin(axis=1)] == codes).mean())


@pytest.mark.parametrize("kind", ["tsne", pytest.param("umap", marks=pytest.mark.slow)])
def test_clusters_stay_apart_and_seeds_repeat(kind):
    x, codes = clusters()
    first, again = project(x, kind=kind, seed=3), project(x, kind=kind, seed=3)
    np.testing.assert_array_equal(first, again)
    assert first.shape == (len(x), 2)
    assert np.abs(first).max() == pytest.approx(1.0)
    assert purity(first, codes) > 0.95
    assert trust_of(x, first) > 0.8


@pytest.mark.parametrize(
    "x",
    [
        np.ones((40, 6)),
        np.zeros((3, 2)),
        np.eye(7)[np.arange(40) % 7],
        np.linspace(0, 1, 40)[:, None],
        np.full((40, 3), np.nan),
    ],
    ids=["constant", "three points", "one-hot", "one column", "all missing"],
)
def test_degenerate_embeddings_have_maps(x):
    points = project(x, kind="tsne")
    assert points.shape == (len(x), 2)
    assert np.isfinite(points).all()


def test_maps_are_computed_once_and_kept(results, tmp_path, monkeypatch):
    root = tmp_path / "copy"
    shutil.copytree(results, root)
    record = next(r for r in RunStore(root).records() if r.spec.method == "eif")
    steps: list[str] = []
    first = maps_of(record, kinds=("tsne",), max_points=50, progress=steps.append)
    assert len(first.rows) == 50
    assert steps == ["t-SNE of E", "t-SNE of I"]
    assert set(first.points) == {"E.tsne", "I.tsne"}
    monkeypatch.setattr(maps_module, "project", lambda *a, **k: pytest.fail("computed twice"))
    again = maps_of(record, kinds=("tsne",), max_points=50)
    np.testing.assert_array_equal(first.points["E.tsne"], again.points["E.tsne"])
    assert again.trust == pytest.approx(first.trust)
    assert record.verify() == []  # a sealed run stays sealed


def test_other_seed_or_size_is_computed_anew(results, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(results, root)
    record = next(r for r in RunStore(root).records() if r.spec.method == "erm")
    one = maps_of(record, kinds=("tsne",), max_points=40, seed=0)
    two = maps_of(record, kinds=("tsne",), max_points=40, seed=1)
    assert not np.array_equal(one.rows, two.rows)


def test_a_good_map_is_more_trustworthy_than_noise():
    x, _ = clusters()
    noise = np.random.default_rng(0).uniform(-1, 1, size=(len(x), 2))
    assert trust_of(x, project(x, kind="tsne")) > trust_of(x, noise) + 0.2
