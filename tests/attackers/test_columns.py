"""What attackers learn from: every standardised column, or the leading components of many."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench.attackers.closed_forms import PLDA
from fer_bench.attackers.columns import MOST, columns_of
from fer_bench.attackers.comparisons import compared_pairs
from fer_bench.attackers.faces import Faces
from fer_bench.attackers.ladder import climb
from fer_bench.attackers.network import MetricNetwork
from fer_bench.cautions import has
from fer_bench.metrics.common import standardise


def test_columns_that_are_few_are_standardised_and_no_more(world):
    faces = world(12, seed=0)
    columns = columns_of(faces)
    assert np.array_equal(columns(faces.x), standardise(faces.x))
    assert columns.narrow(faces) is faces
    assert not columns.cautions


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 30), st.integers(0, 1_000), st.floats(1e-3, 1e3))
def test_components_of_faces_of_low_rank_lose_no_distance(rank, seed, size):
    rng = np.random.default_rng(seed)
    wide = size * rng.normal(size=(60, rank)) @ rng.normal(size=(rank, MOST + 40))
    columns = columns_of(Faces.of_people(wide, np.arange(60) // 4, np.arange(60) % 4))
    inner, whole = columns(wide), standardise(wide)
    assert inner.shape == (60, rank)
    assert np.allclose(inner @ inner.T, whole @ whole.T, atol=1e-6 * MOST)
    assert columns.variance == pytest.approx(1)


def test_closed_forms_read_a_wide_embedding_as_they_would_without_components(parts, monkeypatch):
    """Fewer faces than columns: the components hold all of the training faces."""
    train, validation, test = parts(0.7, people=(20, 10, 15))
    mix = np.random.default_rng(3).normal(size=(16, MOST + 100))
    train, validation, test = (f.with_x(f.x @ mix) for f in (train, validation, test))
    narrowed = compared_pairs(PLDA().fit(train, validation), test).auc
    every = columns_of(train, most=10_000)
    monkeypatch.setattr("fer_bench.attackers.closed_forms.columns_of", lambda faces: every)
    again = train.with_x(train.x)  # not the faces whose bases are kept
    assert compared_pairs(PLDA().fit(again, validation), test).auc == pytest.approx(narrowed)
    assert 0.5 < narrowed < 1


def test_one_column_a_person_is_read_by_the_cosine_alone(world):
    train, validation, test = (world(n, seed=n, images=3) for n in (300, 140, 160))
    code = np.split(np.eye(600), [300, 440])
    parts = [f.with_x(c[f.target]) for f, c in zip((train, validation, test), code, strict=True)]
    ladder = climb(*parts, permutations=9, draws=10)
    assert (ladder.chosen, ladder.best.scores["auc"].value) == ("cosine", 1.0)
    assert ladder.rungs["plda"].scores["auc"].value == pytest.approx(0.5)
    assert has(ladder.cautions, "wide-embedding")
    network = MetricNetwork(widths=(16,), epochs=1, seeds=1).fit(*parts[:2])
    assert network.embed(parts[2].x).shape == (len(test), 32)


def test_a_wide_constant_ends_no_attacker(world):
    faces = world(12, seed=0)
    flat = faces.with_x(np.ones((len(faces), MOST + 1)))
    assert compared_pairs(PLDA().fit(flat, flat), flat).auc == pytest.approx(0.5)
