"""Maps: seeded, stored once, and true to what they draw."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fer_bench.arrays import PartArrays
from fer_bench.reports import maps as maps_module
from fer_bench.reports.maps import _drawn, maps_of, project, trust_of
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


def test_a_map_of_few_points_compiles_nothing():
    """Neighbours asked of openTSNE would import pynndescent: 20 s in a new environment."""
    code = (
        "import sys, numpy as np; from fer_bench.reports.maps import project; "
        "project(np.random.default_rng(0).normal(size=(60, 4)), kind='tsne'); "
        "sys.exit('pynndescent' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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


def part_of(labels):
    e = np.zeros((len(labels), 2), np.float32)
    return PartArrays("test", e, None, None, None, labels, ("x", "y", "z"))


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), min_size=1, max_size=60),
    st.integers(1, 60),
)
def test_faces_are_drawn_evenly_over_people_and_expressions(faces, most):
    labels = pd.DataFrame(faces, columns=["subject", "expression"])
    part = part_of(labels)
    rows = _drawn(part, most, 0)
    assert len(rows) == min(most, len(faces))
    assert (np.diff(rows) > 0).all()
    had, all_of = Counter(faces[row] for row in rows), Counter(faces)
    for cell, count in had.items():  # nobody else could have had the last one of these instead
        assert all(had[other] >= min(all_of[other], count - 1) for other in all_of), cell


def test_of_strangers_every_expression_has_its_share():
    labels = pd.DataFrame(
        {"subject": [f"s{i}" for i in range(400)], "expression": ["x"] * 370 + ["y"] * 30}
    )
    part = part_of(labels)
    drawn = labels["expression"].iloc[_drawn(part, 80, 0)]
    assert drawn.value_counts().to_dict() == {"x": 50, "y": 30}


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
