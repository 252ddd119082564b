"""Two-dimensional maps of the embeddings: computed once, seeded, stored with the run.

A map is a picture, not a measurement: distances between far groups mean little in t-SNE and
UMAP. So each map carries its trustworthiness (Venna and Kaski 2001), the share of near
neighbours in the map that are near neighbours in the embedding.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from fer_bench.arrays import PartArrays
from fer_bench.atomic import atomic_path
from fer_bench.runs.store import RunRecord

Kind = Literal["tsne", "umap"]
Which = Literal["none", "tsne", "umap", "both"]
KINDS: dict[str, tuple[Kind, ...]] = {
    "none": (),
    "tsne": ("tsne",),
    "umap": ("umap",),
    "both": ("tsne", "umap"),
}
TITLES = {"tsne": "t-SNE", "umap": "UMAP"}

MAX_POINTS = 800  # faces of a map: more take longer than the rest of the page, and hide each other
_ALL_DISTANCES = 4000  # points whose distances to each other fit in 128 MB

_VERSION = "1"
_NEIGHBOURS = 15
_TRUST_POINTS = 1500
_PCA_DIMENSIONS = 50


@dataclass(frozen=True)
class Maps:
    """The maps of one run's test part.

    Attributes:
        rows: [m] rows of the test part that are drawn.
        points: "E.tsne" and so on -> [m, 2] float32, centred, within [-1, 1].
        trust: the same keys -> trustworthiness in [0, 1] at 15 neighbours.
        seed: of the subsample and of both algorithms.
    """

    rows: NDArray[np.int64]
    points: dict[str, NDArray[np.float32]]
    trust: dict[str, float]
    seed: int

    @property
    def digest(self) -> str:
        """Of the rows and points."""
        known = hashlib.sha256(self.rows.tobytes())
        for key in sorted(self.points):
            known.update(key.encode() + self.points[key].tobytes())
        return known.hexdigest()


def maps_of(
    record: RunRecord,
    *,
    kinds: Sequence[Kind] = ("tsne", "umap"),
    max_points: int = MAX_POINTS,
    seed: int = 0,
    progress: Callable[[str], None] = lambda step: None,
) -> Maps:
    """The stored maps of a run; whatever is missing is computed and stored first.

    Args:
        record: a finished run.
        kinds: which maps are wanted.
        max_points: of a larger test part as many rows are drawn at random, evenly over people
            and expressions.
        seed: of the thinning and the algorithms.
        progress: told which map is computed next.
    """
    path = record.folder / "maps.safetensors"
    part = record.arrays.test
    rows = _drawn(part, max_points, seed)
    known = _load(path, rows, seed=seed)
    wanted = [f"{space}.{kind}" for space in part.spaces for kind in kinds]
    if known is not None and all(key in known.points for key in wanted):
        return known
    points = dict(known.points) if known is not None else {}
    trust = dict(known.trust) if known is not None else {}
    for key in wanted:
        if key in points:
            continue
        space, _, kind = key.rpartition(".")
        progress(f"{TITLES[kind]} of {space}")
        vectors = part.spaces[space][rows]
        points[key] = project(vectors, kind=kind, seed=seed)  # type: ignore[arg-type]
        trust[key] = trust_of(vectors, points[key], seed=seed)
    maps = Maps(rows, points, trust, seed)
    with suppress(OSError):  # results that cannot be written to can be read
        _save(path, maps)
    return maps


def _drawn(part: PartArrays, max_points: int, seed: int) -> NDArray[np.int64]:
    """Rows of a test part: first one of every person and expression, then a second one, ...

    Of faces that are the same in this, those come first whose expression has fewer so far.
    """
    if len(part) <= max_points:
        return np.arange(len(part))
    order = np.random.default_rng(seed).permutation(len(part))
    labels = part.labels.iloc[order]
    of_person = labels.groupby(["subject", "expression"], dropna=False, sort=False).cumcount()
    of_class = of_person.groupby([of_person, labels["expression"]], dropna=False).cumcount()
    first = np.lexsort((of_class, of_person))[:max_points]
    return np.sort(order[first])


def _thinned(n: int, max_points: int, seed: int) -> NDArray[np.int64]:
    if n <= max_points:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, size=max_points, replace=False))


def project(vectors: NDArray[np.floating], *, kind: Kind, seed: int = 0) -> NDArray[np.float32]:
    """Map [n, d] vectors to [n, 2]: PCA start, fixed seed, one thread, so equal runs agree.

    A constant or nearly empty set maps to zeros, which is what it looks like.
    """
    x = _prepared(vectors)
    if len(x) < 5 or x.shape[1] == 0:
        return np.zeros((len(vectors), 2), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both warn about threads and duplicated points
        drawn = _tsne(x, seed) if kind == "tsne" else _umap(x, seed)
    return _fitted(drawn)


def _prepared(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Centred, and at most 50 principal components with any spread."""
    x = np.asarray(vectors, dtype=np.float64)
    x = np.where(np.isfinite(x), x, 0.0)
    x = x - x.mean(axis=0)
    scale = np.abs(x).max(initial=0.0)
    if scale == 0.0:
        return x[:, :0]
    u, s, _ = np.linalg.svd(x / scale, full_matrices=False)
    keep = min(_PCA_DIMENSIONS, int((s > 1e-6 * s[0]).sum()))
    if keep == 1:  # both algorithms start from two components
        return np.stack([u[:, 0] * s[0], np.zeros(len(u))], axis=1)
    return u[:, :keep] * s[:keep]


def _tsne(x: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    from openTSNE import TSNE
    from scipy.spatial.distance import cdist

    perplexity = min(30.0, max(2.0, (len(x) - 1) / 3))
    start = 1e-4 * x[:, :2] / max(float(x[:, 0].std()), 1e-12)
    start = start + np.random.default_rng(seed).normal(0, 1e-6, start.shape)
    # Asked for neighbours openTSNE imports pynndescent, which compiles for 20 s where it is new.
    few = len(x) <= _ALL_DISTANCES
    tsne = TSNE(
        perplexity=perplexity,
        initialization=start,
        metric="precomputed" if few else "euclidean",
        random_state=seed,
        n_jobs=1,
    )
    return np.asarray(tsne.fit(cdist(x, x) if few else x))


def _umap(x: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    from umap import UMAP

    start = 10 * x[:, :2] / max(float(np.abs(x[:, :2]).max()), 1e-12)
    # Equal points would stay on top of each other for ever.
    start = start + np.random.default_rng(seed).normal(0, 1e-3, start.shape)
    neighbours = min(_NEIGHBOURS, len(x) - 1)
    umap = UMAP(n_neighbors=neighbours, init=start.astype(np.float32), random_state=seed, n_jobs=1)
    return np.asarray(umap.fit_transform(x.astype(np.float32)))


def _fitted(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """Centred and scaled into [-1, 1], so that maps of one page share a frame."""
    centred = points - (points.max(axis=0) + points.min(axis=0)) / 2
    size = np.abs(centred).max(initial=0.0)
    return (centred / size if size > 0 else centred).astype(np.float32)


def trust_of(
    vectors: NDArray[np.floating], points: NDArray[np.floating], *, seed: int = 0
) -> float:
    """Trustworthiness of a map at 15 neighbours, on at most 1,500 of its points."""
    from sklearn.manifold import trustworthiness

    n = len(points)
    if n < 8 or not np.ptp(points):
        return float("nan")
    pick = _thinned(n, _TRUST_POINTS, seed)
    neighbours = min(_NEIGHBOURS, (len(pick) - 1) // 2)
    x = np.nan_to_num(np.asarray(vectors[pick], dtype=np.float64))
    return float(trustworthiness(x, points[pick], n_neighbors=neighbours))


def _save(path: Path, maps: Maps) -> None:
    facts = {
        "version": _VERSION,
        "seed": str(maps.seed),
        "trust": json.dumps({k: None if v != v else v for k, v in maps.trust.items()}),
    }
    with atomic_path(path) as aside:
        save_file({"rows": maps.rows, **maps.points}, aside, metadata=facts)


def _load(path: Path, rows: NDArray[np.int64], *, seed: int) -> Maps | None:
    """Stored maps of the same version, seed and rows; None otherwise."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            facts = file.metadata() or {}
            asked = {"version": _VERSION, "seed": str(seed)}
            if any(facts.get(key) != value for key, value in asked.items()):
                return None
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        trust = {k: np.nan if v is None else v for k, v in json.loads(facts["trust"]).items()}
        same = np.array_equal(arrays.pop("rows"), rows)
        return Maps(rows, arrays, trust, seed) if same else None
    except (SafetensorError, OSError, KeyError, ValueError):  # damaged: they are drawn again
        return None
