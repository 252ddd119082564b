"""Images that occur twice: exactly, or so nearly that a classifier would know them again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import scipy  # its parts load at first use
import torch
from numpy.typing import NDArray
from torch.nn import functional

from fer_bench.data.cache import cache_folder, entry
from fer_bench.data.faces import FaceData, combine_hashes
from fer_bench.data.progress import progress_bar
from fer_bench.data.splits import FoldFile

BLOCK = 2048
BITS, BANDS = 64, 4
SIDE = 32
MAX_BITS = 12
MIN_CORRELATION = 0.985
MAX_LOCAL = 0.12
LUMA = (0.299, 0.587, 0.114)
_CODE = Path(__file__)  # what was found is looked for again when this file changes


def exact_groups(*sets: FaceData) -> list[NDArray[np.int64]]:
    """Rows with equal pixels, one array per group of two or more.

    Rows of several sets are counted on from one to the next.
    """
    digests = np.empty(sum(map(len, sets)), dtype="S16")
    for rows, images in _gathered(sets):
        for row, image in zip(rows, images, strict=True):
            digests[row] = hashlib.blake2b(image.tobytes(), digest_size=16).digest().hex()[:16]
    order = np.argsort(digests, kind="stable")
    edges = np.flatnonzero(digests[order][1:] != digests[order][:-1]) + 1
    return [np.sort(group) for group in np.split(order, edges) if len(group) > 1]


def near_pairs(
    *sets: FaceData, progress: bool | None = False
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pairs of rows [K, 2] that show the same picture, and their correlation [K].

    Rows of several sets are counted on from one to the next; sets may differ in size and colour.

    Candidates share a quarter of a 64-bit perceptual hash (signs of the low frequencies) and
    differ in at most twelve bits. They count where the small gray pictures correlate by .985 or
    more and where no patch of them (an eighth of the side) differs on average by more than .12
    deviations: so a copy is known after compression, scaling, noise or other light, while
    another expression of the same person, which changes a patch, does not count. A copy that was
    cropped differently is not found.

    Args:
        sets: of faces.
        progress: show how far it is; None: a bar on a terminal, else lines.
    """
    n = sum(map(len, sets))
    small = np.empty((n, SIDE, SIDE), dtype=np.float32)
    bits = np.empty((n, BITS), dtype=bool)
    for rows, images in _gathered(sets):
        small[rows] = shrunk(images, SIDE)
        waves = scipy.fft.dctn(small[rows], axes=(1, 2))[:, :9, :9]
        low = waves.reshape(len(rows), -1)[:, 1 : BITS + 1]
        bits[rows] = low > np.median(low, axis=1, keepdims=True)
    flat = small.reshape(len(small), -1)
    flat -= flat.mean(1, keepdims=True)
    deviation = flat.std(axis=1)
    flat /= np.maximum(deviation, 1)[:, None]
    candidates = _candidates(bits)
    candidates = candidates[(deviation[candidates] > 1).all(axis=1)]  # blank ones are no copies
    pairs, values = [np.zeros((0, 2), dtype=np.int64)], [np.zeros(0)]
    with progress_bar("looking for copies", len(candidates), progress) as advance:
        for chosen in blocks(len(candidates), 16384):
            a, b = candidates[chosen].T
            near = (bits[a] != bits[b]).sum(1) <= MAX_BITS
            a, b = a[near], b[near]
            correlation = np.einsum("nd,nd->n", flat[a], flat[b]) / SIDE**2
            alike = correlation >= MIN_CORRELATION
            a, b, correlation = a[alike], b[alike], correlation[alike]
            patches = (flat[a] - flat[b]).reshape(-1, 8, SIDE // 8, 8, SIDE // 8).mean((2, 4))
            same = np.abs(patches).max((1, 2), initial=0) <= MAX_LOCAL
            pairs.append(np.column_stack([a[same], b[same]]))
            values.append(correlation[same].astype(np.float64))
            advance(len(chosen))
    return np.concatenate(pairs), np.concatenate(values)


def grouped(pairs: NDArray[np.int64], n: int) -> list[NDArray[np.int64]]:
    """Groups of rows that are connected by pairs."""
    if not len(pairs):
        return []
    links = scipy.sparse.coo_matrix((np.ones(len(pairs)), pairs.T), shape=(n, n))
    _, label = scipy.sparse.csgraph.connected_components(links, directed=False)
    rows = np.unique(pairs)
    rows = rows[np.argsort(label[rows], kind="stable")]
    edges = np.flatnonzero(label[rows][1:] != label[rows][:-1]) + 1
    return [np.sort(group) for group in np.split(rows, edges)]


def duplicate_groups(*sets: FaceData, cache: str | Path | None = None) -> list[NDArray[np.int64]]:
    """Rows that show the same picture, exactly or nearly; one array per picture.

    Rows of several sets are counted on from one to the next. Looked for once for the content of
    the sets and kept in the cache of decoded faces.
    """
    code = hashlib.sha256(_CODE.read_bytes()).hexdigest()
    key = combine_hashes(*(data.fingerprint for data in sets), code)

    def make(folder: Path) -> None:
        equal = (np.column_stack([g[:-1], g[1:]]) for g in exact_groups(*sets))
        pairs = np.concatenate([*equal, near_pairs(*sets, progress=None)[0]])
        groups = grouped(pairs, sum(map(len, sets)))
        rows = np.concatenate([np.zeros(0, dtype=np.int64), *groups])
        np.save(folder / "rows.npy", rows, allow_pickle=False)
        np.save(folder / "sizes.npy", np.array([len(g) for g in groups], dtype=np.int64))

    folder = entry(cache_folder(cache), "duplicates", key, make)
    rows, sizes = (np.load(folder / f"{n}.npy", allow_pickle=False) for n in ("rows", "sizes"))
    return np.split(rows, np.cumsum(sizes)[:-1]) if len(sizes) else []


def crossing_folds(
    data: FaceData, folds: FoldFile, *, use: Iterable[int] | None = None
) -> list[str]:
    """Sentences about duplicates on both sides of a fold; empty is what it must be.

    Args:
        data: the faces.
        folds: of them.
        use: the folds to look at; all by default.
    """
    groups = duplicate_groups(data)
    sentences = []
    for number in range(len(folds)) if use is None else use:
        fold = folds[number]
        learned = np.zeros(len(data), dtype=bool)
        learned[fold.train] = learned[fold.validation] = True
        tested = np.zeros(len(data), dtype=bool)
        tested[fold.test] = True
        bad = [g for g in groups if learned[g].any() and tested[g].any()]
        if bad:
            first = bad[0]
            sides = (first[learned[first]][0], first[tested[first]][0])
            keys = " and ".join(repr(data.keys[row]) for row in sides)
            what = "picture is" if len(bad) == 1 else "pictures are"
            sentences.append(
                f"fold {number}: {len(bad)} {what} both learned from and tested on, "
                f"the first: {keys}"
            )
    return sentences


def copies_between(
    data: FaceData, other: FaceData
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pictures that two sets share: the rows of each picture in the one and in the other."""
    n = len(data)
    groups = ((g[g < n], g[g >= n] - n) for g in duplicate_groups(data, other))
    return [(own, foreign) for own, foreign in groups if len(own) and len(foreign)]


def crossing_test(
    data: FaceData, test: FaceData, *, learned: NDArray[np.int64], name: str
) -> str | None:
    """A sentence about pictures of a further test set that are also learned from, or None.

    Args:
        data: the faces of the experiment.
        test: all of them are tested.
        learned: rows of `data` that are trained on or select.
        name: of the test set.
    """
    shared = ((np.intersect1d(own, learned), rows) for own, rows in copies_between(data, test))
    bad = [(own, rows) for own, rows in shared if len(own)]
    if not bad:
        return None
    keys = f"{data.keys[bad[0][0][0]]!r} and {test.keys[bad[0][1][0]]!r}"
    what = "picture is" if len(bad) == 1 else "pictures are"
    return f"test set {name!r}: {len(bad)} {what} also learned from, the first: {keys}"


def _gathered(sets: Sequence[FaceData]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Images of several sets in blocks, with their rows counted on from one set to the next."""
    start = 0
    for data in sets:
        for rows in blocks(len(data)):
            yield start + rows, data.gather(rows)
        start += len(data)


def shrunk(images: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """[B, H, W, C] -> gray [B, side, side]: luma, as gray copies have it, averaged over areas."""
    pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float()
    weights = torch.tensor(
        LUMA if pixels.shape[1] == 3 else [1 / pixels.shape[1]] * pixels.shape[1]
    )
    gray = (pixels * weights[:, None, None]).sum(1, keepdim=True)
    # Without antialiasing a copy of another size is another picture.
    return functional.interpolate(gray, (side, side), mode="bilinear", antialias=True)[:, 0].numpy()


def blocks(n: int, size: int = BLOCK) -> Sequence[NDArray[np.int64]]:
    """Row numbers 0 to n - 1 in blocks."""
    return [np.arange(start, min(n, start + size)) for start in range(0, n, size)]


def _candidates(bits: NDArray[np.bool_]) -> NDArray[np.int64]:
    """[K, 2] pairs (first < second) that agree in at least one band of bits."""
    words = np.packbits(bits, axis=1).view(np.uint16)
    pairs = []
    for band in range(BANDS):
        word = words[:, band]
        order = np.argsort(word, kind="stable")
        for offset in range(1, 33):  # a larger crowd in one bucket is cut, so that it stays fast
            same = np.flatnonzero(word[order[offset:]] == word[order[:-offset]])
            if not len(same):
                break
            pairs.append(np.column_stack([order[same], order[same + offset]]))
    if not pairs:
        return np.zeros((0, 2), dtype=np.int64)
    low, high = np.sort(np.concatenate(pairs), axis=1).T
    return np.column_stack(np.divmod(np.unique(low * len(bits) + high), len(bits)))
