"""What attackers see: embeddings with the label they try to link and the one they must not use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fer_bench.arrays import PartArrays
from fer_bench.labels import read_labels
from fer_bench.metrics.common import Floats, Ints
from fer_bench.metrics.probes import probe_unit
from fer_bench.metrics.verification import Pairs, verification_pairs
from fer_bench.reading import read_matrix

FACES = 10  # of one person at most, so that nobody with 500 photographs decides a number
GENUINE = 20_000  # pairs of one target at most, drawn at random
IMPOSTORS = 100_000  # pairs of two


@dataclass(frozen=True, eq=False)  # equal only to themselves, so that results can be kept by them
class Faces:
    """Embedded faces and the question asked about pairs of them.

    Two faces are compared only where they differ in `apart`: an embedding of expressions would
    otherwise pass for one of people, and the other way round.

    Attributes:
        x: [n, d] embeddings.
        target: [n] codes to be linked: persons, or expressions for the mirrored question.
        apart: [n] codes that compared faces must not share.
        people: [n] codes of the persons, which intervals resample.
    """

    x: Floats
    target: Ints
    apart: Ints
    people: Ints

    @classmethod
    def of_people(cls, x: ArrayLike, subjects: ArrayLike, expressions: ArrayLike) -> Faces:
        """Is it the same person, in another expression?

        Rows without a subject are left out. Those without an expression are dealt into two further
        ones within their person.

        Args:
            x: [n, d] embeddings.
            subjects, expressions: [n] names or codes; -1, None and NaN are missing.

        Raises:
            DataError: gaps in the embeddings, another number of labels, or what is no label.

        >>> faces = Faces.of_people([[0.0], [1.0], [2.0]], [0, 0, -1], [0, 1, 1])
        >>> len(faces), faces.target.tolist()
        (2, [0, 0])
        """
        x, s, y = _read(x, subjects, expressions)
        known = s >= 0
        s = s[known]
        return cls(x[known], s, _dealt(y[known], s), s)

    @classmethod
    def of_expressions(cls, x: ArrayLike, subjects: ArrayLike, expressions: ArrayLike) -> Faces:
        """Is it the same expression, on another person? Rows without either are left out.

        Args and errors are those of `of_people`.
        """
        x, s, y = _read(x, subjects, expressions)
        known = (s >= 0) & (y >= 0)
        return cls(x[known], y[known], s[known], s[known])

    def __len__(self) -> int:
        return len(self.x)

    @cached_property
    def n_people(self) -> int:
        """How many persons there are."""
        return len(np.unique(self.people))

    @cached_property
    def n_targets(self) -> int:
        """How many different targets there are."""
        return len(np.unique(self.target))

    @cached_property
    def pairs(self) -> tuple[Pairs, Pairs]:
        """Rows of one target and of two, different in `apart` (`verification_pairs`)."""
        if not len(self):
            none = np.empty(0, dtype=np.int64)
            return Pairs(none, none), Pairs(none, none)
        rng = np.random.default_rng(0)
        order = rng.permutation(len(self))  # neighbours in a file are no random pairs
        both = verification_pairs(self.target[order], self.apart[order])
        genuine, impostor = (
            _some(Pairs(order[pairs.first], order[pairs.second]), most, rng)
            for pairs, most in zip(both, (GENUINE, IMPOSTORS), strict=True)
        )
        return genuine, impostor

    @cached_property
    def weights(self) -> tuple[Floats, Floats]:
        """Weights of `pairs`, of sum 1 each: every target counts alike, as every two targets do."""
        genuine, impostor = self.pairs
        owner, count = self.target[genuine.first], np.bincount(self.target)
        own = 1.0 / np.maximum(np.bincount(owner, minlength=len(count)), 1)[owner]
        size = count[self.target[impostor.first]] * count[self.target[impostor.second]]
        return own / max(own.sum(), 1.0), (1.0 / size) / max((1.0 / size).sum(), 1e-300)

    def rows(self, chosen: NDArray[Any]) -> Faces:
        """The faces of some rows (numbers or a mask)."""
        return Faces(self.x[chosen], self.target[chosen], self.apart[chosen], self.people[chosen])

    def with_x(self, x: ArrayLike) -> Faces:
        """The same faces with other embeddings [n, d]."""
        out = Faces(np.asarray(x, dtype=np.float64), self.target, self.apart, self.people)
        out.__dict__.update({k: v for k, v in self.__dict__.items() if k in ("pairs", "weights")})
        return out

    def at_most(self, faces: int = FACES, *, seed: int = 0) -> Faces:
        """At most so many random faces a person, spread over target and `apart`, in order.

        >>> many = Faces.of_people(np.zeros((520, 1)), np.zeros(520, int), np.arange(520) % 5)
        >>> np.bincount(many.at_most(10).apart).tolist()
        [2, 2, 2, 2, 2]
        """
        return self.rows(self.kept(faces, seed=seed))

    def kept(self, faces: int = FACES, *, seed: int = 0) -> Ints:
        """The rows that `at_most` keeps."""
        order = np.random.default_rng(seed).permutation(len(self))
        cell = _joint(self.people, self.target, self.apart)[order]
        # The first face of every cell before the second of any.
        order = order[np.argsort(turn(cell), kind="stable")]
        return np.sort(order[turn(self.people[order]) < faces])

    def of(self, people: ArrayLike) -> Faces:
        """The faces of some persons."""
        return self.rows(np.isin(self.people, people))

    def halves(self, share: float = 0.25, *, seed: int = 0) -> tuple[Faces, Faces]:
        """Faces of most persons, and those of a random share of the persons (at least two)."""
        names = np.random.default_rng(seed).permutation(np.unique(self.people))
        held = names[: max(2, round(share * len(names)))]
        mask = np.isin(self.people, held)
        return self.rows(~mask), self.rows(mask)


def _some(pairs: Pairs, most: int, rng: np.random.Generator) -> Pairs:
    if len(pairs) <= most:
        return pairs
    kept = rng.choice(len(pairs), most, replace=False)
    return Pairs(pairs.first[kept], pairs.second[kept])


def _read(x: ArrayLike, subjects: ArrayLike, expressions: ArrayLike) -> tuple[Floats, Ints, Ints]:
    rows = np.asarray(read_matrix(x, "embeddings", least=0), dtype=np.float64)
    s, y = (
        read_labels(labels, name, rows=len(rows), least=0)
        for labels, name in ((subjects, "subjects"), (expressions, "expressions"))
    )
    return rows, s, y


def _joint(*codes: Ints) -> Ints:
    """One code for every combination of several."""
    return np.unique(np.stack(codes), axis=1, return_inverse=True)[1].ravel()


def turn(codes: Ints) -> Ints:
    """How many elements of its code stand before each, in the order given.

    >>> turn(np.array([5, 7, 5])).tolist()
    [0, 0, 1]
    """
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    start = np.searchsorted(ordered, ordered)
    out = np.empty(len(codes), dtype=np.int64)
    out[order] = np.arange(len(codes)) - start
    return out


def _dealt(y: Ints, s: Ints) -> Ints:
    """Expressions, with unknown ones dealt in turn into two further codes within a person."""
    unknown = y < 0
    out = y.copy()
    out[unknown] = y.max(initial=-1) + 1 + turn(s[unknown]) % 2
    return out


def tied_to_target(faces: Faces) -> bool:
    """Whether most faces have an `apart` code of one target alone: within it none can trade places.

    So it is with videos that show one person each, and with people of one face each.
    """
    code = np.unique(faces.apart, return_inverse=True)[1].ravel()
    both = np.unique(np.stack([code, faces.target], axis=1), axis=0)
    alone = np.bincount(both[:, 0]) == 1
    return bool(alone[code].mean() > 0.5)


def dealt_cells(faces: Faces, rng: np.random.Generator) -> Ints:
    """Let the cells of `apart` code and target, such as videos, trade places as wholes.

    Args:
        faces: n of them.
        rng: of the places.

    Returns:
        [n] the row that takes the place of each; a larger cell repeats rows of a smaller one.

    >>> faces = Faces.of_people(np.zeros((4, 1)), [0, 0, 1, 1], [5, 5, 6, 6])
    >>> sorted(dealt_cells(faces, np.random.default_rng(1)).tolist())
    [0, 1, 2, 3]
    """
    cell = _joint(faces.apart, faces.target)
    order = np.lexsort((rng.random(len(cell)), cell))
    size = np.bincount(cell)
    place = rng.permutation(len(size))[cell]
    return order[(np.cumsum(size) - size)[place] + turn(cell) % size[place]]


def part_faces(part: PartArrays, space: str, target: str) -> Faces:
    """The faces of a part, for the question whether two share the target.

    Where a sequence runs through several expressions, two faces of a person must be of
    different sequences instead.
    """
    x = part.spaces[space]
    if target == "expression":
        return Faces.of_expressions(x, part.s, part.y)
    apart = part.y
    if part.sequences is not None and probe_unit(part.s, part.y, part.sequences) == "sequence":
        apart = part.sequences
    return Faces.of_people(x, part.s, apart)
