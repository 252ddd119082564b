"""The link finds what both sides share, and nothing where they share nothing."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.cross_decomposition import CCA
from sklearn.linear_model import Ridge

from fer_bench.arrays import RunArrays
from fer_bench.attackers.faces import Faces
from fer_bench.attackers.photo_link import descriptors, fit_link, photo_link, photo_scores
from fer_bench.backbones.mobilefacenet import MobileFaceNet
from fer_bench.cautions import has
from fer_bench.data.augment import normalise
from fer_bench.errors import DataError
from fer_bench.metrics.common import standardise
from fer_bench.metrics.sanity import planted_run


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
        scores = photo_link(*parts, descriptor="MobileFaceNet" if shared else "pixels")
        if shared:
            assert scores["rank1"].low > 1 / 40
            assert scores["median_rank"].high < 0.4
            assert scores["eer"].high < 0.45
        else:
            assert scores["auc"].value == pytest.approx(0.5, abs=0.05)
            assert scores["median_rank"].value == pytest.approx(0.5, abs=0.1)
        assert has(scores["auc"].cautions, "pixels-as-descriptor") is not shared


def test_descriptors_are_the_networks_and_are_kept(tmp_path, monkeypatch):
    torch.manual_seed(0)
    save_file(MobileFaceNet().state_dict(), file := tmp_path / "network.safetensors")
    faces = np.random.default_rng(0).integers(0, 255, (3, 48, 48, 3), dtype=np.uint8)
    described = descriptors(faces, file, cache=tmp_path)
    assert np.allclose(np.linalg.norm(described, axis=1), 1, atol=1e-5)
    large = np.full((1, 112, 112, 3), 90, dtype=np.uint8)
    shown = normalise(torch.from_numpy(large).permute(0, 3, 1, 2), "imagenet")
    with torch.no_grad():
        network = MobileFaceNet().eval()
        network.load_state_dict(load_file(file))
        theirs = network(shown).numpy()
    assert np.allclose(descriptors(large, file, cache=tmp_path), theirs, atol=1e-5)
    monkeypatch.setattr("fer_bench.backbones.recognition.recogniser", None)  # read, not computed
    assert np.array_equal(descriptors(faces, file, cache=tmp_path), described)
    with pytest.raises(DataError, match="face_network"):
        descriptors(faces, tmp_path / "absent.pt")


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


@pytest.mark.parametrize("shared", [True, False])
def test_e_is_linked_to_pixels_of_another_photograph(shared):
    """The tint of a face is its person's: E that holds the person finds it."""
    run, rng = planted_run(leak=1.5 if shared else 0.0, subjects=24), np.random.default_rng(0)
    tints, images, parts, first = rng.normal(size=(40, 8)), [], {}, 0
    for name, part in run.parts.items():
        people = np.array([int(s[1:]) for s in part.labels["subject"]])
        base = tints[people] + 0.2 * rng.normal(size=(len(part), 8))
        images.append(np.tile(base, (1, 96)).reshape(len(part), 16, 16, 3) * 20 + 128)
        labels = part.labels.assign(row=np.arange(first, first + len(part)))
        first += len(part)
        fields = {k: getattr(part, k) for k in part.__dataclass_fields__}
        x = part.expression.copy()
        if shared:
            x[:, :8] += 3 * tints[people]
        parts[name] = type(part)(**{**fields, "labels": labels, "expression": x})
    faces = np.concatenate(images).clip(0, 255).astype(np.uint8)
    scores = photo_scores(RunArrays(parts=parts, classes=run.classes, read_faces=lambda: faces))
    auc = scores["E.identity.photo.auc"]
    assert has(auc.cautions, "pixels-as-descriptor")
    assert (auc.value > 0.6) is shared
    assert photo_scores(run) == {}
