"""Traversals: what is drawn while an embedding moves along a direction (EIF, figures 8 to 12).

The embedding z of a test face moves to z + t a, for t from -1 to 1, along the all-ones vector (as
in section IV.C of the paper) and from the mean of one level of an attribute to that of another. The
decoder probe draws the way, or a generator that somebody trained. The expression should change and
the person should not: a drawing whose likeness to the one at t = 0 is below what separates drawings
of two people is an identity shift (ID-shifting = 1 in the paper).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fer_bench.arrays import PartArrays, RunArrays
from fer_bench.errors import FerBenchError, did_you_mean
from fer_bench.metrics.common import Floats, Ints
from fer_bench.metrics.decoder import People, Probe
from fer_bench.metrics.generators import Generator, Recognise, generated, resized
from fer_bench.metrics.verification import pair_cosines, verification_pairs

STEPS = (-1.0, -0.5, 0.0, 0.5, 1.0)
MIDDLE = STEPS.index(0.0)
FACES = 24  # that are moved
JUDGED = 150  # faces whose drawings say how alike two drawings of one person are
MOST_LEVELS = 6  # of an attribute with directions of its own
TOO_ALIKE = 0.4  # equal error rate from which on drawings do not tell people apart
SIDE = 96  # of pictures that are kept, at most
DECODER = "decoder probe"
PIXELS = "the pixels (Fisher directions of training faces)"


@dataclass(frozen=True)
class Traversal:
    """Some faces moved along one direction of one embedding.

    Attributes:
        space: name of the embedding.
        direction: in words.
        drawn_by, judged_by: what drew the pictures, and what compared the people in them.
        threshold: likeness below which the person counts as another one; NaN where that cannot be
            said, for want of subject labels or because the drawings do not tell people apart.
        error: equal error rate of that threshold on drawings of two test faces; NaN without any.
        rows: [k] rows of the data set.
        faces: [k, 5, h, w, C] drawings at t = -1, -1/2, 0, 1/2, 1.
        read: [k, 5] codes of the expressions read in them; -1 where there is no reader.
        likeness: [k, 5] cosine with the drawing at t = 0.
    """

    space: str
    direction: str
    drawn_by: str
    judged_by: str
    threshold: float
    error: float
    rows: Ints
    faces: NDArray[np.uint8]
    read: Ints
    likeness: Floats

    @property
    def shifted(self) -> NDArray[np.bool_]:
        """[k, 5] whether the person has become another one."""
        return self.likeness < self.threshold

    @property
    def identity_shift(self) -> float:
        """Share of faces whose person shifts anywhere on the way; NaN where it cannot be said."""
        return float(self.shifted.any(axis=1).mean()) if np.isfinite(self.threshold) else np.nan

    @property
    def expression_change(self) -> float:
        """Share of faces in which more than one expression is read; NaN without a reader."""
        changes = (self.read != self.read[:, [MIDDLE]]).any(axis=1)
        return float(changes.mean()) if (self.read >= 0).any() else np.nan


def traverse(
    run: RunArrays,
    *,
    space: str = "E",
    generator: Generator | None = None,
    beside: bool = False,
    recognise: Recognise | None = None,
    names: tuple[str, str] = ("generator", "face recognition"),
    seed: int = 0,
) -> list[Traversal]:
    """Move test faces along the all-ones vector and between the levels of attributes.

    The decoder probe draws E beside the face's own I (or I beside its own E), where there are both.

    Args:
        run: with faces.
        space: which embedding moves: "E", "I", or a further one by its name.
        generator: draws instead of the decoder probe, from this embedding alone.
        beside: the generator draws from E beside I, as a decoder of the method's own does.
        recognise: compares people instead of the pixels.
        names: what a given generator and a given recognition are called.
        seed: of the decoder, the readers and the choice of faces.

    Returns:
        One traversal a direction.

    Raises:
        FerBenchError: there are no faces, no such embedding, or the generator does not fit it.
    """
    spaces = run.test.spaces
    if space not in spaces:
        raise FerBenchError(f"there is no embedding {space!r}: {did_you_mean(space, spaces)}")
    if run.faces is None:
        raise FerBenchError("no small copies of the faces are kept with these results.")
    with threadpool_limits(1):
        people = People.of(run, seed=seed)
        mover = _Mover.of(people, run, space, generator, beside=beside, seed=seed)
        judge = _Judge.of(people, mover, recognise, seed=seed)
        chosen = _spread_over_people(people.test.s, FACES, seed)
        return [
            Traversal(
                space=space,
                direction=direction,
                drawn_by=DECODER if generator is None else names[0],
                judged_by=PIXELS if recognise is None else names[1],
                threshold=judge.threshold,
                error=judge.error,
                rows=people.test.part.labels["row"].to_numpy(np.int64)[people.test.rows[chosen]],
                **_moved(mover, judge, people, chosen, along),
            )
            for direction, along in directions(run.parts["train"], space).items()
        ]


def directions(train: PartArrays, space: str) -> dict[str, Floats]:
    """Directions [d] of an embedding, by what they are called.

    All ones is as long as the embedding is wide: at t = 1 every element has moved by the mean
    standard deviation of the elements. (In the paper that is 1, by the KL term.) An attribute's
    direction leads from the mean of its commonest level to that of another.
    """
    x = np.nan_to_num(train.spaces[space].astype(np.float64))
    along = {"all ones": np.full(x.shape[1], x.std(axis=0).mean())}
    for name in train.attribute_names():
        level = train.labels[name].astype("object")
        counts = level[level.notna()].astype(str).value_counts()
        if not 2 <= len(counts) <= MOST_LEVELS:
            continue
        words = level.where(level.notna(), None).astype(str).to_numpy()
        means = {one: x[words == one].mean(axis=0) for one in counts.index}
        first, *others = sorted(counts.index, key=lambda one: (-counts[one], one))
        for other in others:
            along[f"{name}: {first} to {other}"] = means[other] - means[first]
    return along


def _moved(
    mover: _Mover, judge: _Judge, people: People, chosen: Ints, along: Floats
) -> dict[str, Any]:
    k, t = len(chosen), len(STEPS)
    steps = np.tile(STEPS, k)
    faces = mover(np.repeat(chosen, t), steps[:, None] * along)
    codes = judge.codes(faces).reshape(k, t, -1)
    small = resized(faces, people.shape)
    read = np.full(k * t, -1)
    if people.expression is not None:
        read = people.expression(small.reshape(len(small), -1) / 255.0)
    kept = resized(faces, (min(SIDE, faces.shape[1]), min(SIDE, faces.shape[2]), faces.shape[3]))
    return {
        "faces": kept.reshape(k, t, *kept.shape[1:]),
        "read": read.reshape(k, t).astype(np.int64),
        "likeness": np.einsum("ktd,kd->kt", codes, codes[:, MIDDLE]),
    }


@dataclass(frozen=True)
class _Mover:
    """Draws test faces with one embedding moved.

    Attributes:
        codes: [n, D] of the test faces.
        slots: columns of the embedding that moves.
        draw: codes [m, D] -> faces uint8 [m, h, w, C].
    """

    codes: Floats
    slots: slice
    draw: Callable[[Floats], NDArray[np.uint8]]

    @classmethod
    def of(
        cls,
        people: People,
        run: RunArrays,
        space: str,
        generator: Generator | None,
        *,
        beside: bool,
        seed: int,
    ) -> _Mover:
        both = space in ("E", "I") and run.test.identity is not None
        both = both and (beside or generator is None)
        slots = slice(None)
        if both:
            d = run.test.expression.shape[1]
            slots = slice(0, d) if space == "E" else slice(d, None)
        read = "EI" if both else space
        if generator is not None:
            codes = people.test.embedding(read)
            return cls(codes, slots, lambda codes: generated(generator, codes))
        probe = Probe(people, run, read, seed=seed)

        def draw(codes: Floats) -> NDArray[np.uint8]:
            pixels = np.clip(255 * probe.decoder(codes), 0, 255).round().astype(np.uint8)
            return pixels.reshape(-1, *people.shape)

        return cls(probe.test, slots, draw)

    def __call__(self, rows: Ints, step: Floats | float = 0.0) -> NDArray[np.uint8]:
        """Draw some test rows, each moved by a step [d] of its own."""
        codes = self.codes[rows].copy()
        codes[:, self.slots] += step
        return self.draw(codes)


@dataclass(frozen=True)
class _Judge:
    """Says whether two drawings show one person."""

    codes: Callable[[NDArray[np.uint8]], Floats]
    threshold: float
    error: float

    @classmethod
    def of(cls, people: People, mover: _Mover, recognise: Recognise | None, *, seed: int) -> _Judge:
        def codes(faces: NDArray[np.uint8]) -> Floats:
            if recognise is not None:
                seen = np.asarray(recognise(faces), dtype=np.float64)
            elif people.person is not None:
                seen = people.person(resized(faces, people.shape).reshape(len(faces), -1) / 255.0)
            else:
                seen = np.full((len(faces), 1), np.nan)
            return seen / np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-12)

        rows = _spread_over_people(people.test.s, JUDGED, seed)
        s = people.test.s[rows]
        genuine, impostor = verification_pairs(s, people.test.y[rows], seed=seed)
        if not len(genuine) or not len(impostor):
            return cls(codes, np.nan, np.nan)
        seen = codes(mover(rows))
        if not np.isfinite(seen).all():
            return cls(codes, np.nan, np.nan)
        threshold, error = equal_error(pair_cosines(seen, genuine), pair_cosines(seen, impostor))
        return cls(codes, threshold if error < TOO_ALIKE else np.nan, error)


def equal_error(genuine: Floats, impostor: Floats) -> tuple[float, float]:
    """Threshold at which as many genuine pairs lie below as impostor pairs above, and that share.

    >>> threshold, error = equal_error(np.array([0.8, 0.9, 0.3]), np.array([0.1, 0.2, 0.5]))
    >>> round(threshold, 3), round(error, 3)
    (0.4, 0.333)
    """
    values = np.unique(np.concatenate([genuine, impostor]))
    cuts = np.concatenate([values[:1], (values[1:] + values[:-1]) / 2])
    rejected = np.searchsorted(np.sort(genuine), cuts, side="left") / len(genuine)
    accepted = 1 - np.searchsorted(np.sort(impostor), cuts, side="left") / len(impostor)
    at = int(np.abs(rejected - accepted).argmin())
    return float(cuts[at]), float((rejected[at] + accepted[at]) / 2)


def _spread_over_people(s: Ints, most: int, seed: int) -> Ints:
    """Rows in random order, but a face of every person before the second one of any."""
    rows = np.random.default_rng(seed).permutation(len(s))
    seen: dict[int, int] = {}
    turns = []
    for row in rows:
        person = int(s[row]) if s[row] >= 0 else -1 - int(row)
        turns.append(seen.setdefault(person, 0))
        seen[person] += 1
    return rows[np.argsort(turns, kind="stable")][:most]


def shifts(traversals: Sequence[Traversal]) -> list[tuple[Traversal, int, int]]:
    """Where the person becomes another one: (traversal, face, step), the least alike first.

    A face counts once in a traversal, where it is least like itself.
    """
    worst = [
        (walk, i, int(walk.likeness[i].argmin()))
        for walk in traversals
        for i in np.flatnonzero(walk.shifted.any(axis=1)).tolist()
    ]
    return sorted(worst, key=lambda shift: shift[0].likeness[shift[1], shift[2]])
