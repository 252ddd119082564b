"""The photo link: from an embedding to a face-recognition descriptor of another photograph.

Whoever holds E and a set of photographs asks which photograph is of the same person. The link is
fitted on training people, from E of one face to the descriptor of another face of that person.
The descriptor is MobileFaceNet's where the experiment names its weights::

    [scores]
    attackers = "all"
    face_network = "weights/mobilefacenet.pt"

Without them the pixels stand in for it; results say which it was. Photographs are the small copies
of the faces that a result folder keeps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_bench.arrays import RunArrays
from fer_bench.attackers.attacker import Form, unit
from fer_bench.attackers.columns import Columns, columns_of
from fer_bench.attackers.comparisons import Searches, searched
from fer_bench.attackers.faces import Faces, part_faces
from fer_bench.attackers.numbers import search_numbers, verification_numbers
from fer_bench.cautions import Caution
from fer_bench.data.cache import cache_folder, entry
from fer_bench.data.faces import hash_pixels
from fer_bench.errors import DataError
from fer_bench.metrics.common import Floats, column_scale, scaled, undefined, with_interval
from fer_bench.metrics.metric import metric
from fer_bench.score import Score, ScoreSpec

Kind = Literal["ridge", "cca"]
STRENGTHS = (0.03, 0.3, 3.0)  # of the ridge, in units of the mean eigenvalue
DIRECTIONS = 32  # canonical ones at most
PAIRS = 4  # other photographs that a face is fitted to
PIXEL_STEP = 3  # of the small copies: a face of 16 pixels is enough for a stand-in
PREFIX = "E.identity.photo"
SPECS = (
    ScoreSpec(
        f"{PREFIX}.eer",
        "Photo link EER",
        "Equal error rate of an attacker who is asked whether E and another photograph are of one "
        "person; 50 % is guessing.",
        better="high",
        range=(0, 1),
        column="more",
        order=77,
    ),
    ScoreSpec(
        f"{PREFIX}.median_rank",
        "Photo link median rank",
        "Place of the right person among all test people, as a fraction; 50 % is guessing.",
        better="high",
        range=(0, 1),
    ),
    ScoreSpec(f"{PREFIX}.rank_bits", "Photo link bits", "Bits that the rank tells.", "bits"),
    ScoreSpec(
        f"{PREFIX}.auc", "Photo link AUC", "The same question; .5 is guessing.", "", range=(0, 1)
    ),
    ScoreSpec(f"{PREFIX}.tar@<rate>", "Photo link TAR", "True accepts at this rate.", range=(0, 1)),
    ScoreSpec(
        f"{PREFIX}.linkability",
        "Photo link linkability",
        "Global linkability of Gomez-Barrero et al. 2018.",
        range=(0, 1),
    ),
    ScoreSpec(
        f"{PREFIX}.rank1",
        "Photo link rank 1",
        "Share of searches whose first answer is right.",
        range=(0, 1),
    ),
)


@dataclass(frozen=True)
class PhotoLink:
    """Ridge regression, or canonical correlation, from E to descriptors.

    Attributes:
        kind: "ridge" predicts the descriptor; "cca" compares canonical variates of both.
        from_e, from_descriptor: maps [columns, k] and [d', k] of what is learnt from.
        columns: of E.
        scale: mean and spread [d'] of the descriptors.
    """

    kind: Kind
    from_e: Floats = field(repr=False)
    from_descriptor: Floats = field(repr=False)
    columns: Columns = field(repr=False)
    scale: tuple[Floats, Floats] = field(repr=False)
    name: str = "photo-link"
    step: int = 4

    def fit(self, train: Faces, validation: Faces) -> PhotoLink:
        """Is fitted already (`fit_link`)."""
        return self

    def embed(self, x: Floats) -> Floats:
        """Unit predictions from E [n, d]."""
        return unit(self.columns(x) @ self.from_e)

    def enrol(self, descriptor: Floats) -> Floats:
        """What is compared with them: unit rows of descriptors [n, d']."""
        return unit(scaled(descriptor, *self.scale) @ self.from_descriptor)

    def template(self, rows: Floats) -> Floats:
        """The direction of the mean."""
        return unit(rows.mean(axis=-2))

    def form(self, faces: int = 1) -> Form:
        """The cosine."""
        return Form.cosine(self.from_e.shape[1])


def fit_link(
    faces: Faces, descriptor: ArrayLike, *, kind: Kind, strength: float, seed: int = 0
) -> PhotoLink:
    """Fit a link on pairs of faces of one person that differ in `apart`.

    Args:
        faces: E of training people.
        descriptor: [n, d'] of the photographs of the same faces.
        kind: "ridge" or "cca".
        strength: of the ridge on E (and on the descriptor, for "cca"), in mean eigenvalues.
        seed: of the pairs.
    """
    photographs = np.asarray(descriptor, dtype=np.float64)
    genuine, _ = faces.pairs
    rng = np.random.default_rng(seed)
    both = np.r_[np.c_[genuine.first, genuine.second], np.c_[genuine.second, genuine.first]]
    kept = rng.permutation(len(both))[: PAIRS * len(faces)]
    first, second = both[kept].T
    columns, scale = columns_of(faces), column_scale(photographs)
    x, z = columns(faces.x)[first], scaled(photographs, *scale)[second]
    xx, zz, xz = (a.T @ b / len(x) for a, b in ((x, x), (z, z), (x, z)))
    if kind == "ridge":
        maps = np.linalg.solve(_ridged(xx, strength), xz), np.eye(z.shape[1])
    else:
        left, right = _root(_ridged(xx, strength)), _root(_ridged(zz, strength))
        u, values, v = np.linalg.svd(left @ xz @ right, full_matrices=False)
        k = min(DIRECTIONS, len(values))
        maps = left @ u[:, :k] * values[:k], right @ v[:k].T
    return PhotoLink(kind, *maps, columns, scale)


def _ridged(covariance: Floats, strength: float) -> Floats:
    level = max(float(np.trace(covariance)) / len(covariance), 1e-12)
    return covariance + strength * level * np.eye(len(covariance))


def _root(covariance: Floats) -> Floats:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors / np.sqrt(values)) @ vectors.T


@metric("photo-link", version=3, needs=("subjects", "faces"), default=False, scores=SPECS)
def photo_scores(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """Is E linked to another photograph of its person among those of all test people?

    Without subjects in the train or validation part there are no scores.
    """
    weights = run.facts.get("face_network")
    given = []
    for name in ("train", "validation", "test"):
        part = run.parts.get(name)
        if part is None or not part.has_subjects or "row" not in part.labels:
            return {}
        faces = part_faces(part, "E", "identity")
        kept = faces.kept(seed=seed)
        assert run.faces is not None
        images = run.faces[part.labels["row"].to_numpy(dtype=np.int64)[kept]]
        seen = pixels(images) if weights is None else descriptors(images, str(weights))
        given.append((faces.rows(kept), seen))
    kinds: tuple[Kind, ...] = ("ridge",) if weights is None else ("ridge", "cca")
    name = "pixels" if weights is None else f"MobileFaceNet, {Path(str(weights)).name}"
    scores = photo_link(*given, descriptor=name, kinds=kinds, seed=seed)
    return {f"{PREFIX}.{key}": score for key, score in scores.items()}


def pixels(images: NDArray[np.uint8]) -> Floats:
    """Every third pixel of faces uint8 [n, h, w, C], side by side."""
    return images[:, ::PIXEL_STEP, ::PIXEL_STEP].reshape(len(images), -1) / 255


def descriptors(
    images: NDArray[np.uint8], weights: str | Path, *, cache: str | Path | None = None
) -> Floats:
    """What MobileFaceNet makes of faces, once for the same faces and weights.

    Args:
        images: uint8 [n, h, w, C], aligned as the network expects them, of any size.
        weights: its file.
        cache: folder of descriptors; by default that of decoded faces.

    Returns:
        [n, 128] rows of unit length.

    Raises:
        DataError: there is no such file.
    """
    if not Path(weights).is_file():
        raise DataError(
            f"there are no weights of a face-recognition network at {str(weights)!r}: set "
            "scores.face_network to the file, or leave it out."
        )
    content = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    key = hashlib.sha256(f"{hash_pixels(images)}|{content}".encode()).hexdigest()[:16]

    def make(folder: Path) -> None:
        from fer_bench.backbones.recognition import recogniser

        np.save(folder / "descriptors.npy", recogniser(weights)(images))

    folder = entry(cache_folder(cache), "descriptors", key, make)
    return np.asarray(np.load(folder / "descriptors.npy"), dtype=np.float64)


def photo_link(
    train: tuple[Faces, ArrayLike],
    validation: tuple[Faces, ArrayLike],
    test: tuple[Faces, ArrayLike],
    *,
    descriptor: str = "MobileFaceNet",
    kinds: Sequence[Kind] = ("ridge", "cca"),
    seed: int = 0,
) -> dict[str, Score]:
    """How well E finds another photograph of its person among those of all test people.

    Args:
        train, validation, test: faces with the descriptors [n, d'] of their photographs, of
            different people. Everybody should have a few faces at most (`Faces.at_most`).
        descriptor: what they are; "pixels" are said to be a stand-in.
        kinds: tried; kind and ridge are chosen on the validation people.
        seed: of pairs, enrolment and intervals.

    Returns:
        "rank1", "rank_bits", "median_rank" (as a fraction of the gallery: .5 is chance), "eer"
        and "auc".

    Example:
        >>> rng = np.random.default_rng(0)
        >>> def some(people):
        ...     s, y = np.repeat(np.arange(people), 6), np.tile(np.arange(6) % 3, people)
        ...     code = rng.normal(size=(people, 4))[s]
        ...     e, photo = (code + 0.3 * rng.normal(size=(len(s), 4)) for _ in range(2))
        ...     return Faces.of_people(e, s, y), photo
        >>> photo_link(some(40), some(20), some(30))["rank1"].value > 0.3
        True
    """
    links = [
        fit_link(*train, kind=kind, strength=a, seed=seed) for kind in kinds for a in STRENGTHS
    ]
    tuned = [_auc(_search(link, *validation, seed=seed)) for link in links]
    link = links[int(np.argmax(tuned))]
    searches = _search(link, *test, seed=seed)
    if searches is None:
        return {key: undefined(Caution("no-pairs")) for key in ("rank1", "eer", "auc")}
    scores = search_numbers(searches, seed=seed) | verification_numbers(
        searches.comparisons, seed=seed
    )
    scores["median_rank"] = _median_rank(searches, seed)
    said = Caution("network-as-descriptor", descriptor=descriptor)
    if descriptor == "pixels":
        said = Caution("pixels-as-descriptor")
    facts = {"link": link.kind, "descriptor": descriptor}
    return {
        key: replace(score, details={**score.details, **facts}).with_caution(said)
        for key, score in scores.items()
    }


def _search(link: PhotoLink, faces: Faces, descriptor: ArrayLike, *, seed: int) -> Searches | None:
    gallery = link.enrol(np.asarray(descriptor, dtype=np.float64))
    return searched(link, faces, gallery=gallery, seed=seed)


def _auc(searches: Searches | None) -> float:
    return 0.5 if searches is None else searches.comparisons.auc


def _median_rank(searches: Searches, seed: int) -> Score:
    """Median place as a fraction of the gallery, with an interval over the people."""
    place = searches.rank / searches.gallery
    people = [place[searches.target == code] for code in np.unique(searches.target)]
    rng = np.random.default_rng(seed)
    drawn = [
        np.median(np.concatenate([people[k] for k in rng.integers(0, len(people), len(people))]))
        for _ in range(300)
    ]
    score = Score(float(np.median(place)), null=0.5, n=len(place), unit="fraction")
    return with_interval(score, drawn, clusters=len(people))
