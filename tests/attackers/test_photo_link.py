"""The link finds what both sides share, and nothing where they share nothing."""

import numpy as np
import pytest
from sklearn.cross_decomposition import CCA
from sklearn.linear_model import Ridge

from fer_bench.attackers.faces import Faces
from fer_bench.attackers.photo_link import fit_link, photo_link
from fer_bench.cautions import has
from fer_bench.metrics.common import standardise


def people(count, *, shared, seed, d=12):
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(5)
    s, y = np.repeat(np.arange(count), 6), np.tile(np.arange(6) % 3, count)
    code, other = rng.normal(size=(2, count, 4))
    maps = fixed.normal(size=(2, 4, d))
    e = code[s] @ maps[0] + 2 * rng.normal(size=(len(s), d))
    photo = (code if shared else other)[s] @ maps[1] + rng.normal(size=(len(s), d))
    return Faces.of_people(e, s, y), photo


def test_another_photograph_is_found_or_not():
    for shared in (True, False):
        parts = [people(n, shared=shared, seed=k) for k, n in enumerate((80, 25, 40))]
        scores = photo_link(*parts, pixels=not shared)
        if shared:
            assert scores["rank1"].low > 1 / 40
            assert scores["median_rank"].high < 0.4
            assert scores["eer"].high < 0.45
        else:
            assert scores["auc"].value == pytest.approx(0.5, abs=0.05)
            assert scores["median_rank"].value == pytest.approx(0.5, abs=0.1)
        assert has(scores["auc"].cautions, "pixels-as-descriptor") is not shared


def test_maps_are_scikit_learns():
    faces, photo = people(60, shared=True, seed=0)
    link = fit_link(faces, photo, kind="ridge", strength=1e-9)
    genuine, _ = faces.pairs
    first = np.r_[genuine.first, genuine.second]
    second = np.r_[genuine.second, genuine.first]
    x, z = standardise(faces.x), standardise(photo)
    kept = np.random.default_rng(0).permutation(len(first))[: 4 * len(faces)]
    theirs = Ridge(alpha=1e-9, fit_intercept=False).fit(x[first[kept]], z[second[kept]])
    assert np.allclose(link.from_e, theirs.coef_.T, atol=1e-6)
    link = fit_link(faces, photo, kind="cca", strength=1e-9)
    cca = CCA(1, scale=False, max_iter=5000).fit(x[first[kept]], z[second[kept]])
    ours = x @ link.from_e[:, 0]
    assert abs(np.corrcoef(ours, x @ cca.x_weights_[:, 0])[0, 1]) > 0.999
