"""Decoder probe: what can be drawn from saved embeddings, and what a swap of E looks like.

A small decoder learns to draw the faces of the training people from their frozen embeddings. It
is shown, and measured, on people it has never seen; the method itself is not touched.

The decoder is a network of one hidden layer from the standardised embedding to the leading
principal components of the training faces: on the few thousand faces of a benchmark it draws as
much as up-sampling convolutions would, in seconds. It averages over whatever the embedding
leaves open, so a blurred drawing *is* the finding that something is not in the embedding.

Two readers, fitted on real training faces and never on an embedding, look at the drawings: a
small convolutional network for the expression, and a discriminant (Fisher) space for the person.
Their scores on real test faces say how far they can be believed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from fer_bench.arrays import PartArrays, RunArrays
from fer_bench.cautions import Caution
from fer_bench.metrics.common import (
    Floats,
    Ints,
    mean_scores,
    random_rows,
    ratio_scores,
    undefined,
)
from fer_bench.metrics.face_decoder import BATCH, STEPS, Basis, explained, fit_decoder
from fer_bench.metrics.metric import Scores, metric
from fer_bench.score import Score, ScoreSpec

READER_STEPS = 300
MOST_ROWS = 6_000  # of a part that are used (a random subset)
STEPS_OF_A_WALK = 5  # drawings along a direction
AXES = 3


# Readers ------------------------------------------------------------------------------------


class ExpressionReader:
    """A small convolutional network on real faces, and on their principal components.

    It also sees each face drawn with the decoder's components, so that smoothness is nothing new
    to it when it reads drawings.

    Args:
        faces: [n, p] pixels of training people.
        y: [n] class codes; rows of -1 are left out.
        n_classes: number of classes.
        basis: of the decoder.
        shape: (height, width, channels) of a face.
        steps, seed: of the network.
    """

    def __init__(
        self,
        faces: Floats,
        y: Ints,
        n_classes: int,
        *,
        basis: Basis,
        shape: tuple[int, int, int],
        steps: int = READER_STEPS,
        seed: int = 0,
    ) -> None:
        import torch
        from torch.nn import functional

        self.shape = shape
        known = y >= 0
        sharp = self._images(faces[known])
        smooth = self._images(basis.faces(basis.coordinates(faces[known])))
        labels = torch.from_numpy(y[known])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = _reader_network(shape[2], n_classes)
            self.net.eval()(sharp[:1])  # gives the last layer its size
            self.net.train()
            optimiser = torch.optim.AdamW(self.net.parameters(), lr=3e-3, weight_decay=1e-2)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
            for _ in range(steps):
                rows = torch.randint(len(labels), (BATCH,))
                images = torch.where(torch.rand(BATCH, 1, 1, 1) < 0.5, sharp[rows], smooth[rows])
                if torch.rand(()) < 0.5:
                    images = images.flip(3)
                loss = functional.cross_entropy(self.net(images), labels[rows])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                schedule.step()
            self.net.eval()

    def _images(self, faces: Floats) -> Any:
        import torch

        height, width, channels = self.shape
        images = torch.tensor(faces, dtype=torch.float32).view(-1, height, width, channels)
        return images.permute(0, 3, 1, 2) - 0.5

    def __call__(self, faces: Floats) -> Ints:
        """Class codes [n] of faces [n, p]."""
        import torch

        with torch.no_grad():
            chunks = [self.net(part).argmax(1) for part in self._images(faces).split(512)]
        return torch.cat(chunks).numpy()


def _reader_network(channels: int, n_classes: int) -> Any:
    from torch import nn

    layers: list[nn.Module] = []
    for fan_in, fan_out in ((channels, 16), (16, 32), (32, 64)):
        layers += [
            nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(fan_out),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.4), nn.LazyLinear(n_classes))


class PersonReader:
    """Directions of the decoder's components in which people differ most (Fisher).

    Args:
        faces: [n, p] pixels of training people.
        s: [n] subject codes, at least two; rows of -1 are left out.
        basis: of the decoder.
    """

    def __init__(self, faces: Floats, s: Ints, *, basis: Basis) -> None:
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        self.basis = basis
        self.space = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1)
        self.space.fit(self._inputs(faces[s >= 0]), s[s >= 0])

    def _inputs(self, faces: Floats) -> Floats:
        return (faces - self.basis.mean) @ self.basis.axes[:64].T

    def __call__(self, faces: Floats) -> Floats:
        """[n, k] directions of length 1: the cosine of two says how alike two people look."""
        codes = self.space.transform(self._inputs(faces))
        return codes / np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1e-12)


# The metric ---------------------------------------------------------------------------------


SPECS = tuple(
    ScoreSpec(key, title, meaning, range=(-math.inf, 1), tables=("drawings",))
    for key, title, meaning in (
        ("<source>.r2", "variance of the pixels drawn", "The mean face draws none."),
        ("<source>.expression", "expression read rightly", "By a reader fitted on real faces."),
        (
            "<source>.identity",
            "looks like its own person",
            "Rather than like another test person.",
        ),
        (
            "swap.expression",
            "expression of the giver of E is read",
            "E of one person, I of another.",
        ),
        (
            "swap.expression_of_I",
            "expression of the giver of I is read",
            "What I carries of it.",
        ),
        ("swap.identity", "looks like the giver of I", "Rather than like the giver of E."),
    )
)


@metric("decoder", needs=("faces",), default=False, scores=SPECS)
def decoder(run: RunArrays, *, seed: int = 0) -> Scores:
    """What decoders draw of people they have not seen, from E alone and from E with I.

    Fitted on the training part, its state chosen on the validation part, measured on the test
    part, all of them different people.

    Keys, each a fraction with its interval over the test people:
        `E.r2`, `EI.r2`: variance of the pixels about the mean face that is drawn (mean face: 0).
        `E.expression`, `EI.expression`: drawings whose expression a reader of real faces names
            rightly; null: if it named them without looking, as often as it does each.
        `E.identity`, `EI.identity`: how often a drawing looks more like its person (other, real
            faces) than like another test person; null 0.5. From E alone it is the visible leak.
        `swap.expression`: drawings from the E of one and the I of another person and expression
            in which the expression of the giver of E is read; `swap.expression_of_I`: that of
            the giver of I; `swap.identity`: drawings that look more like the giver of I.
        `own.r2`, `own.expression`, `own.identity`: likewise of what a decoder of the method's own
            draws, where it has one, in the light of the average face.
        `faces.expression`, `faces.identity`: both readers on the real test faces, as a ceiling.

    What E and I both hold, the decoder may take from either: a swap shows where it took it from.

    Keeps its drawings as uint8 arrays; see `Drawings`.
    """
    # Matrices this small gain nothing from more threads, and lose much on a busy machine.
    with threadpool_limits(1):
        return _probed(run, seed)


def _probed(run: RunArrays, seed: int) -> Scores:
    people = People.of(run, seed=seed)
    probes = {"E": Probe(people, run, "E", seed=seed)}
    if run.test.identity is not None:
        probes["EI"] = Probe(people, run, "EI", seed=seed)
    scores: dict[str, Score] = {}
    scores |= people.read("faces", people.test.faces)
    for name, probe in probes.items():
        scores[f"{name}.r2"] = probe.r2()
        scores |= people.read(name, probe.drawn)
    drawn = {name: probe.drawn for name, probe in probes.items()}
    own = people.test.own
    if own is not None:
        drawn["own"] = own
        scores["own.r2"] = people.r2(own)
        scores |= people.read("own", own)
    if "EI" in probes:
        scores |= _swap_scores(people, probes["EI"], seed=seed)
    overlap = set(run.parts["train"].subjects) & set(run.test.subjects)
    if not run.test.has_subjects:
        cautions = [Caution("unknown-people")]
    else:
        cautions = [Caution("people-overlap", n=len(overlap))] if overlap else []
    scores = {key: score.with_caution(*cautions) for key, score in scores.items()}
    return Scores(scores, arrays=_drawings(people, probes, drawn))


@dataclass(frozen=True)
class _Rows:
    """Some rows of a part with their faces."""

    part: PartArrays
    rows: Ints
    faces: Floats

    @cached_property
    def y(self) -> Ints:
        return self.part.y[self.rows]

    @cached_property
    def s(self) -> Ints:
        return self.part.s[self.rows]

    def embedding(self, space: str) -> Floats:
        """[n, d] of a space by its name, or "EI": E beside I."""
        spaces = self.part.spaces
        names = ("E", "I") if space == "EI" else (space,)
        return np.hstack([np.nan_to_num(spaces[n][self.rows].astype(np.float64)) for n in names])

    @property
    def own(self) -> Floats | None:
        """[n, p] what a decoder of the method's own draws of them, where it has one."""
        drawn = self.part.drawn
        return None if drawn is None else drawn[self.rows].reshape(len(self.rows), -1) / 255.0

    def only(self, mask: NDArray[np.bool_]) -> _Rows:
        return _Rows(self.part, self.rows[mask], self.faces[mask])


@dataclass(frozen=True)
class People:
    """The faces of a run's parts, and the readers fitted on those of the training people.

    Attributes:
        train, validation, test: faces with their labels and embeddings.
        basis: principal components of the training faces.
        shape: (height, width, channels) of a face.
        n_classes: number of expressions.
        expression: pixels [n, p] -> class codes; None where only one class is known.
        person: pixels [n, p] -> directions of length 1; None without subjects.
    """

    train: _Rows
    validation: _Rows
    test: _Rows
    basis: Basis
    shape: tuple[int, int, int]
    n_classes: int
    expression: Callable[[Floats], Ints] | None
    person: Callable[[Floats], Floats] | None

    @classmethod
    def of(cls, run: RunArrays, *, seed: int) -> People:
        """Those of a run that has faces."""
        faces = run.faces
        assert faces is not None  # the metric needs them
        train = _rows_of(run.parts["train"], faces, seed)
        if "validation" in run.parts:
            validation = _rows_of(run.parts["validation"], faces, seed)
        else:
            train, validation = _halved(train, seed)
        height, width, channels = faces.shape[1:]
        shape = (height, width, channels)
        basis, expression, person = _fitted(train, shape, len(run.classes), seed)
        test = _rows_of(run.test, faces, seed)
        return cls(
            train, validation, test, basis, shape, len(run.classes), expression, person
        )  # fmt: skip

    def read(self, name: str, drawn: Floats) -> dict[str, Score]:
        """Both readers on one drawing of each test face."""
        out = {}
        test = self.test
        if self.expression is not None:
            known = test.y >= 0
            out[f"{name}.expression"] = _agreement(
                self.expression(drawn[known]), test.y[known], _groups(test.s[known]), self.n_classes
            )
        if self.person is not None and len(np.unique(test.s)) > 1:
            out[f"{name}.identity"] = self._recognised(drawn)
        return out

    def r2(self, drawn: Floats) -> Score:
        """Variance of the test faces that is drawn, with its interval over people."""
        error = np.square(self.test.faces - drawn).sum(axis=1)
        about = np.square(self.test.faces - self.basis.mean).sum(axis=1)
        [score] = ratio_scores(
            np.stack([error, about], axis=1),
            _groups(self.test.s),
            {"r2": lambda total: 1 - total[:, 0] / total[:, 1]},
            n=len(error),
        ).values()
        return replace(score, null=0.0)

    @cached_property
    def seen(self) -> Floats:
        """The real test faces as the reader of people sees them."""
        assert self.person is not None
        return self.person(self.test.faces)

    def likeness(self, drawn: Floats, of: Ints) -> Floats:
        """Cosine [n] of a drawing with the mean real face of the person in test row `of`.

        The mean is over the person's other faces: the drawn one is not among them.
        """
        assert self.person is not None
        s = self.test.s
        sums = np.zeros((int(s.max()) + 1, self.seen.shape[1]))
        np.add.at(sums, s, self.seen)
        rest = sums[s[of]] - self.seen[of]
        rest /= np.maximum(np.linalg.norm(rest, axis=1, keepdims=True), 1e-12)
        return np.sum(self.person(drawn) * rest, axis=1)

    def _recognised(self, drawn: Floats) -> Score:
        """How often a drawing is nearer to its person than to another, over all other people."""
        assert self.person is not None
        s = self.test.s
        own = self.likeness(drawn, np.arange(len(s)))
        names = np.unique(s)
        means = np.stack([self.seen[s == name].mean(axis=0) for name in names])
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
        others = self.person(drawn) @ means.T
        other = names[None] != s[:, None]
        several = np.bincount(s)[s] > 1  # a person of one face has no other to look like
        won = np.where(other, own[:, None] > others, False).sum(axis=1) / (len(names) - 1)
        return _share(won[several], s[several], null=0.5)


class Probe:
    """A decoder of one space, and what it draws of the test people.

    Args:
        people: whose faces it learns to draw, and draws.
        run: of the embeddings.
        space: "E", "EI" (E beside I), or another embedding by its name.
        seed: of the decoder.
    """

    def __init__(self, people: People, run: RunArrays, space: str, *, seed: int) -> None:
        self.people, self.space = people, space
        self.codes = people.train.embedding(space)
        self.decoder = fit_decoder(
            self.codes,
            people.train.faces,
            basis=people.basis,
            held=(people.validation.embedding(space), people.validation.faces),
            steps=STEPS,
            seed=seed,
        )
        self.test = people.test.embedding(space)
        self.n_expression = run.test.expression.shape[1]
        self.drawn = np.clip(self.decoder(self.test), 0.0, 1.0)

    def r2(self) -> Score:
        """`People.r2` of what it draws."""
        test, basis = self.people.test, self.people.basis
        best = explained(test.faces, basis.faces(basis.coordinates(test.faces)), basis.mean)
        details = {
            "components": len(basis.axes),
            "components_alone": best,
            "validation": self.decoder.validation,
        }
        return replace(self.people.r2(self.drawn), details=details)

    def mixed(self, giver_of_e: Ints, giver_of_i: Ints) -> Floats:
        """Drawings from the E of some test rows and the I of others."""
        d = self.n_expression
        codes = np.hstack([self.test[giver_of_e, :d], self.test[giver_of_i, d:]])
        return np.clip(self.decoder(codes), 0.0, 1.0)


def _rows_of(part: PartArrays, faces: NDArray[np.uint8], seed: int) -> _Rows:
    rows, _ = random_rows(np.arange(len(part)), MOST_ROWS, seed=seed)
    at = part.labels["row"].to_numpy(dtype=np.int64)[rows]
    return _Rows(part, rows, faces[at].reshape(len(rows), -1) / 255.0)


def _halved(train: _Rows, seed: int) -> tuple[_Rows, _Rows]:
    """Hold back a quarter of the training people (of the rows, where they are unknown)."""
    unit = train.s if train.part.has_subjects else np.arange(len(train.rows))
    names = np.random.default_rng(seed).permutation(np.unique(unit))
    held = np.isin(unit, names[: max(1, len(names) // 4)])
    return train.only(~held), train.only(held)


_READERS: dict[str, tuple[Basis, ExpressionReader | None, PersonReader | None]] = {}


def _fitted(
    train: _Rows, shape: tuple[int, int, int], n_classes: int, seed: int
) -> tuple[Basis, ExpressionReader | None, PersonReader | None]:
    """Basis and readers; they know nothing of a method, so all runs on the same faces share them.

    The last two sets of faces are kept: a sweep scores run after run on the same few folds.
    """
    parts = (train.faces, train.y, train.s, np.asarray([*shape, n_classes, seed]))
    key = hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in parts)).hexdigest()
    if key not in _READERS:
        basis = Basis.of(train.faces)
        expression = person = None
        if len(np.unique(train.y[train.y >= 0])) > 1 and min(shape[:2]) >= 8:
            expression = ExpressionReader(
                train.faces,
                train.y,
                n_classes,
                basis=basis,
                shape=shape,
                steps=READER_STEPS,
                seed=seed,
            )
        if train.part.has_subjects and len(np.unique(train.s)) > 2:
            person = PersonReader(train.faces, train.s, basis=basis)
        while len(_READERS) > 1:
            del _READERS[next(iter(_READERS))]
        _READERS[key] = basis, expression, person
    return _READERS[key]


def _groups(s: Ints) -> Ints | None:
    return s if len(s) and (s >= 0).all() else None


def _share(right: ArrayLike, groups: Ints | None, *, null: float) -> Score:
    """Mean of values in [0, 1], with its interval over people."""
    values = np.asarray(right, dtype=np.float64)
    if not len(values):
        return undefined(Caution("no-faces"), unit="fraction")
    return replace(mean_scores({"share": values}, groups)["share"], null=null)


def _agreement(read: Ints, wanted: Ints, groups: Ints | None, n_classes: int) -> Score:
    """How often what is read is what is wanted; the null is that of reading without looking."""
    shares = [
        np.bincount(codes, minlength=n_classes) / max(1, len(codes)) for codes in (read, wanted)
    ]
    return _share(read == wanted, groups, null=float(shares[0] @ shares[1]))


def _swap_scores(people: People, probe: Probe, *, seed: int) -> dict[str, Score]:
    """Every test face gives its E once, to the I of another person with another expression."""
    y, s = people.test.y, people.test.s
    rng = np.random.default_rng(seed)
    able = np.flatnonzero((y >= 0) & (s >= 0))
    pairs = []
    for e in able:
        others = able[(y[able] != y[e]) & (s[able] != s[e])]
        if len(others):
            pairs.append((e, rng.choice(others)))
    if not pairs:
        return {"swap.expression": undefined(Caution("no-swaps"), unit="fraction")}
    e, i = np.array(pairs).T
    drawn = probe.mixed(e, i)
    out = {}
    if people.expression is not None:
        read = people.expression(drawn)
        out["swap.expression"] = _agreement(read, y[e], s[e], people.n_classes)
        out["swap.expression_of_I"] = _agreement(read, y[i], s[i], people.n_classes)
    if people.person is not None:
        nearer = people.likeness(drawn, i) > people.likeness(drawn, e)
        out["swap.identity"] = _share(nearer, s[i], null=0.5)
    return out


# Drawings -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drawings:
    """The arrays that the metric keeps with a run; drawings are uint8 [..., height, width, C].

    Attributes:
        rows: [k] rows of the data set that are shown, of k expressions and as many people as
            there are.
        expression: [k] their class codes.
        drawn: "E" and, with an I, "EI" -> [k, ...] the same faces drawn from their embeddings;
            "own": by a decoder of the method's own.
        swap: [k, k, ...] or None; line: giver of I, column: giver of E.
        towards: [t] class codes of `means`; its lines lead from the mean E of `start` to theirs.
        start: class code.
        means: [t, 5, ...] along E between class means, at 0, 1/2, 1, 3/2 and 2 of the way.
        axes_e, axes_i: [3, 5, ...] along the leading principal directions of E and I, at -2 to 2
            standard deviations; None where there is no I. What is not walked along is that of
            the first face shown (its E, its I).
    """

    rows: Ints
    expression: Ints
    drawn: Mapping[str, NDArray[np.uint8]]
    swap: NDArray[np.uint8] | None
    towards: Ints
    start: int
    means: NDArray[np.uint8]
    axes_e: NDArray[np.uint8]
    axes_i: NDArray[np.uint8] | None

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Drawings:
        """Inverse of `to_arrays`."""
        drawn = {k.removeprefix("drawn."): v for k, v in arrays.items() if k.startswith("drawn.")}
        kept: dict[str, Any] = {field.name: arrays.get(field.name) for field in fields(cls)}
        return cls(**{**kept, "drawn": drawn, "start": int(arrays["start"][0])})

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays by name."""
        kept = vars(self) | {"start": np.asarray([self.start])}
        kept |= {f"drawn.{name}": faces for name, faces in kept.pop("drawn").items()}
        return {name: value for name, value in kept.items() if value is not None}


def _drawings(
    people: People, probes: Mapping[str, Probe], drawn: Mapping[str, Floats]
) -> dict[str, NDArray[Any]]:
    test = people.test
    shown = _one_of_each(test.y, test.s)
    if not len(shown):
        return {}
    probe = probes.get("EI", probes["E"])

    def picture(faces: Floats, *shape: int) -> NDArray[np.uint8]:
        pixels = np.clip(255 * faces, 0, 255).round().astype(np.uint8)
        return pixels.reshape(*shape, *people.shape)

    k, d = len(shown), probe.n_expression
    swap = None
    if "EI" in probes:
        i, e = np.repeat(shown, k), np.tile(shown, k)
        swap = picture(probes["EI"].mixed(e, i), k, k)
    y = people.train.y
    present = np.unique(y[y >= 0])
    start, towards = int(present[0]), present[1:]
    means = {int(c): probe.codes[y == c, :d].mean(axis=0) for c in present}
    along = np.linspace(0, 2, STEPS_OF_A_WALK)
    first = probe.test[shown[0]]

    def walk(slots: slice, lines: list[tuple[Floats, Floats]], at: Floats) -> NDArray[np.uint8]:
        """Drawings at origin + t x direction of some columns; the rest as in the first face."""
        codes = np.tile(first, (len(lines) * len(at), 1))
        steps = [origin + t * direction for origin, direction in lines for t in at]
        if steps:
            codes[:, slots] = np.stack(steps)
        return picture(probe.decoder(codes), len(lines), len(at))

    between = [(means[start], means[int(c)] - means[start]) for c in towards]
    sides = np.linspace(-2, 2, STEPS_OF_A_WALK)
    e_slots, i_slots = slice(0, d), slice(d, None)
    return Drawings(
        rows=test.part.labels["row"].to_numpy(dtype=np.int64)[test.rows[shown]],
        expression=test.y[shown],
        drawn={name: picture(faces[shown], k) for name, faces in drawn.items()},
        swap=swap,
        towards=towards,
        start=start,
        means=walk(e_slots, between, along),
        axes_e=walk(e_slots, _axes(probe.codes[:, e_slots]), sides),
        axes_i=walk(i_slots, _axes(probe.codes[:, i_slots]), sides) if "EI" in probes else None,
    ).to_arrays()


def _axes(codes: Floats) -> list[tuple[Floats, Floats]]:
    """Mean and leading principal directions, each as long as its standard deviation."""
    mean = codes.mean(axis=0)
    _, spread, directions = np.linalg.svd(codes - mean, full_matrices=False)
    count = min(AXES, int((spread > 1e-9 * max(spread[0], 1e-12)).sum()))
    length = spread / np.sqrt(len(codes))
    return [(mean, length[j] * directions[j]) for j in range(count)]


def _one_of_each(y: Ints, s: Ints) -> Ints:
    """A test row of each expression, of another person than those before where there is one."""
    picked: list[int] = []
    for c in np.unique(y[y >= 0]):
        here = np.flatnonzero(y == c)
        fresh = here[~np.isin(s[here], s[picked])]
        picked += [int(j) for j in (*fresh, *here)][:1]
    return np.asarray(picked, dtype=np.int64)
