"""The photo link: from an embedding to a face-recognition descriptor of another photograph.

Whoever holds E and a set of photographs asks which photograph is of the same person. The link is
fitted on training people, from E of one face to the descriptor of another face of that person.
Where there is no face-recognition network, the pixels stand in for the descriptor; results say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fer_bench.attackers.attacker import Form, unit
from fer_bench.attackers.comparisons import Searches, searched
from fer_bench.attackers.faces import Faces
from fer_bench.attackers.numbers import search_numbers, verification_numbers
from fer_bench.cautions import Caution
from fer_bench.metrics.common import Floats, standardise, undefined, with_interval
from fer_bench.score import Score

Kind = Literal["ridge", "cca"]
STRENGTHS = (0.03, 0.3, 3.0)  # of the ridge, in units of the mean eigenvalue
DIRECTIONS = 32  # canonical ones at most
PAIRS = 4  # other photographs that a face is fitted to


@dataclass(frozen=True)
class PhotoLink:
    """Ridge regression, or canonical correlation, from E to descriptors.

    Attributes:
        kind: "ridge" predicts the descriptor; "cca" compares canonical variates of both.
        from_e, from_descriptor: [d, k] and [d', k] maps of standardised columns.
        like_e, like_descriptor: rows whose mean and spread standardise others.
    """

    kind: Kind
    from_e: Floats = field(repr=False)
    from_descriptor: Floats = field(repr=False)
    like_e: Floats = field(repr=False)
    like_descriptor: Floats = field(repr=False)
    name: str = "photo-link"
    step: int = 4

    def fit(self, train: Faces, validation: Faces) -> PhotoLink:
        """Is fitted already (`fit_link`)."""
        return self

    def embed(self, x: Floats) -> Floats:
        """Unit predictions from E [n, d]."""
        return unit(standardise(x, self.like_e) @ self.from_e)

    def enrol(self, descriptor: Floats) -> Floats:
        """What is compared with them: unit rows of descriptors [n, d']."""
        return unit(standardise(descriptor, self.like_descriptor) @ self.from_descriptor)

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
    x, z = standardise(faces.x)[first], standardise(photographs)[second]
    xx, zz, xz = (a.T @ b / len(x) for a, b in ((x, x), (z, z), (x, z)))
    if kind == "ridge":
        maps = np.linalg.solve(_ridged(xx, strength), xz), np.eye(z.shape[1])
    else:
        left, right = _root(_ridged(xx, strength)), _root(_ridged(zz, strength))
        u, values, v = np.linalg.svd(left @ xz @ right, full_matrices=False)
        k = min(DIRECTIONS, len(values))
        maps = left @ u[:, :k] * values[:k], right @ v[:k].T
    return PhotoLink(kind, *maps, faces.x, photographs)


def _ridged(covariance: Floats, strength: float) -> Floats:
    level = max(float(np.trace(covariance)) / len(covariance), 1e-12)
    return covariance + strength * level * np.eye(len(covariance))


def _root(covariance: Floats) -> Floats:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors / np.sqrt(values)) @ vectors.T


def photo_link(
    train: tuple[Faces, ArrayLike],
    validation: tuple[Faces, ArrayLike],
    test: tuple[Faces, ArrayLike],
    *,
    pixels: bool = False,
    kinds: Sequence[Kind] = ("ridge", "cca"),
    seed: int = 0,
) -> dict[str, Score]:
    """How well E finds another photograph of its person among those of all test people.

    Args:
        train, validation, test: faces with the descriptors [n, d'] of their photographs, of
            different people. Everybody should have a few faces at most (`Faces.at_most`).
        pixels: the descriptors are pixels, for want of a face-recognition network.
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
    said = (Caution("pixels-as-descriptor"),) if pixels else ()
    facts = {"link": link.kind, "descriptor": "pixels" if pixels else "face recognition"}
    return {
        key: replace(score, details={**score.details, **facts}).with_caution(*said)
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
