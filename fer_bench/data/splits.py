"""Folds: who is trained on, who decides, who is tested; published as a file with a hash."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.atomic import write_text
from fer_bench.cautions import Caution
from fer_bench.data.faces import FaceData
from fer_bench.data.labels import part_of_split
from fer_bench.errors import DataError

Rows = NDArray[np.int64]
PARTS = "rvt"  # one letter per fold in the file: train, validation, test; "-" is unused
UNUSED = "-"
COPIES = "leak_group"
"""A column of numbers: faces of one group are copies of each other, or nearly so."""


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows of one fold: int64 arrays, sorted and disjoint."""

    train: Rows
    validation: Rows
    test: Rows


@dataclass(frozen=True, eq=False)
class FoldFile:
    """The folds of one data set, keyed by the names of its rows.

    Attributes:
        keys: [N] stable names of the rows (`FaceData.keys`).
        folds: rows of every fold, as indices into `keys`.
        group: what is never torn apart: "subject", or "image" where subjects are unknown.
        seed: what the folds were drawn with.
        cautions: what a reader must know: unknown subjects, a class missing in a test part, ...
    """

    keys: tuple[str, ...]
    folds: tuple[Fold, ...]
    group: Literal["subject", "image"]
    seed: int
    cautions: tuple[Caution, ...] = ()

    def __len__(self) -> int:
        return len(self.folds)

    def __getitem__(self, fold: int) -> Fold:
        return self.folds[fold]

    @property
    def hash(self) -> str:
        """Hash of who is where; does not depend on the order of the rows."""
        lines = sorted(f"{key}\t{code}" for key, code in zip(self.keys, self._codes(), strict=True))
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def save(self, path: str | Path) -> Path:
        """Write a JSON file: every row with one letter per fold (r train, v validation, t test)."""
        path = Path(path)
        about = {
            "format": "fer-bench folds 1",
            "hash": self.hash,
            "group": self.group,
            "seed": self.seed,
            "warnings": [caution.to_json() for caution in self.cautions],
            "rows": dict(zip(self.keys, self._codes(), strict=True)),
        }
        write_text(path, json.dumps(about, indent=0))
        return path

    @classmethod
    def load(cls, path: str | Path) -> FoldFile:
        """Read a fold file; rows are numbered as in the file (see `match`).

        Raises:
            DataError: the file is no fold file, or was changed after it was written.
        """
        path = Path(path)
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            keys, codes = tuple(about["rows"]), list(about["rows"].values())
            letters = np.array([list(code) for code in codes])
            folds = tuple(
                Fold(*(np.flatnonzero(letters[:, f] == part) for part in PARTS))
                for f in range(letters.shape[1])
            )
            loaded = cls(
                keys,
                folds,
                about["group"],
                about["seed"],
                tuple(map(Caution.from_json, about["warnings"])),
            )
            written = about["hash"]
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(f"{path} is no fold file: {error}.") from error
        if loaded.hash != written:
            raise DataError(
                f"{path} was changed after it was written (hash {loaded.hash}, not {written})."
            )
        return loaded

    def match(self, data: FaceData) -> FoldFile:
        """The same folds, numbered by the rows of a data set that holds at least these rows.

        Raises:
            DataError: a row of the file is not in the data.
        """
        row_of = {key: row for row, key in enumerate(data.keys)}
        missing = [key for key in self.keys if key not in row_of]
        if missing:
            raise DataError(
                f"{len(missing)} of {len(self.keys)} rows of the fold file are not in "
                f"{data.info.name}, the first: {missing[0]!r}."
            )
        rows = np.array([row_of[key] for key in self.keys], dtype=np.int64)
        folds = tuple(
            Fold(*(np.sort(rows[part]) for part in (f.train, f.validation, f.test)))
            for f in self.folds
        )
        return FoldFile(data.keys, folds, self.group, self.seed, self.cautions)

    def _codes(self) -> list[str]:
        letters = np.full((len(self.keys), len(self.folds)), UNUSED)
        for column, fold in enumerate(self.folds):
            for part, rows in zip(PARTS, (fold.train, fold.validation, fold.test), strict=True):
                letters[rows, column] = part
        return ["".join(row) for row in letters]


def make_folds(
    data: FaceData,
    *,
    n_folds: int | Literal["subjects"] = 5,
    seed: int = 0,
    validation: float = 0.2,
    assign: Literal["stratified", "dealt"] = "stratified",
    official: bool = False,
) -> FoldFile:
    """Subject-disjoint folds, stratified by expression, with a validation part inside train.

    Args:
        data: the faces.
        n_folds: number of test parts, or "subjects" to leave one subject out at a time.
        seed: of the draw.
        validation: share of the training subjects that decides epochs and settings.
        assign: "stratified" balances classes; "dealt" sorts subjects by name and deals them
            out like cards (the protocol of the CK+ and Oulu-CASIA papers).
        official: one fold, from the column `split`; validation is carved from train where the
            set has no validation part beside a test part. Faces without a word there are in no
            part, and a warning says how many.

    Raises:
        DataError: fewer subjects than folds, or no official split.

    >>> import numpy as np, pandas as pd
    >>> table = {"expression": ["anger", "fear"] * 10, "subject": list("aabbccddee") * 2}
    >>> faces = FaceData(np.zeros((20, 8, 8, 1), np.uint8), pd.DataFrame(table))
    >>> folds = make_folds(faces, n_folds=5)
    >>> [len(fold.test) for fold in folds.folds]
    [4, 4, 4, 4, 4]
    """
    if not 0 < validation < 1:
        raise DataError(f"validation is {validation}: give a share between 0 and 1.")
    groups, by_subject, cautions = _groups(data)
    strata = _strata(data)
    rows = np.arange(len(data))
    kind: Literal["subject", "image"] = "subject" if by_subject else "image"
    if official:
        split = _split_parts(data)
        tests, fixed = _official(data, split, cautions), _official_validation(split)
        rows = np.flatnonzero(split.notna())
        if len(rows) < len(data):
            cautions.append(Caution("no-official-part", n=len(data) - len(rows)))
    else:
        tests, fixed = _test_parts(data, groups, strata, n_folds, seed, assign, kind), None
    folds = []
    for number, test in enumerate(tests):
        rest = np.setdiff1d(rows, test)
        if fixed is not None:
            inner = fixed
        else:
            inner = _inner(groups, strata, rest, validation, seed + number, kind)
        train = np.setdiff1d(rest, inner)
        folds.append(Fold(train, inner, test))
        cautions += _fold_cautions(data, number, folds[-1])
    return FoldFile(data.keys, tuple(folds), kind, seed, tuple(dict.fromkeys(cautions)))


def _groups(data: FaceData) -> tuple[Rows, bool, list[Caution]]:
    """[N] group of every row; rows without a subject stand for themselves and their copies."""
    subject = data.subject
    unknown = np.flatnonzero(subject < 0)
    groups = subject.copy()
    own = np.arange(len(unknown))
    if COPIES in data.table:
        own = np.unique(data.table[COPIES].to_numpy()[unknown], return_inverse=True)[1]
    groups[unknown] = len(data.subjects) + own
    if len(unknown) == len(data):
        return groups, False, [Caution("folds-by-image")]
    if len(unknown):
        return groups, True, [Caution("folds-partly-by-image", faces=len(unknown))]
    return groups, True, []


def _strata(data: FaceData) -> Rows:
    """[N] what to balance: expressions, else quarters of the valence-arousal plane."""
    if (data.expression >= 0).any():
        return data.expression + 1
    if data.has_valence_arousal:
        positive = np.nan_to_num(data.valence_arousal) > 0
        return positive @ np.array([1, 2])
    return np.zeros(len(data), dtype=np.int64)


def _test_parts(
    data: FaceData,
    groups: Rows,
    strata: Rows,
    n_folds: int | str,
    seed: int,
    assign: str,
    kind: str,
) -> list[Rows]:
    n_groups = len(np.unique(groups))
    n = n_groups if n_folds == "subjects" else n_folds
    if not isinstance(n, int) or n < 2:
        raise DataError(f"n_folds is {n_folds!r}: give a whole number from 2, or 'subjects'.")
    if n_groups < n:
        raise DataError(
            f"{data.info.name} has {n_groups} {kind}{'s' * (n_groups != 1)}, too few for {n} folds."
        )
    if assign == "dealt" or n == n_groups:
        names = pd.Series(groups).rank(method="dense").to_numpy(np.int64) - 1
        return [np.flatnonzero(names % n == fold) for fold in range(n)]
    if assign != "stratified":
        raise DataError(f"assign is {assign!r}: known: 'stratified', 'dealt'.")
    return _stratified(groups, strata, n, seed)


def _stratified(groups: Rows, strata: Rows, n: int, seed: int) -> list[Rows]:
    """Deal groups, largest first, each to the part that lacks its classes most.

    (The group splitter of scikit-learn stops at classes with few rows and may leave a part
    empty.)
    """
    _, group = np.unique(groups, return_inverse=True)
    _, stratum = np.unique(strata, return_inverse=True)
    n_groups = int(group.max()) + 1
    if n_groups == len(groups):
        return _stratified_images(strata, n, seed)
    counts = np.zeros((n_groups, int(stratum.max()) + 2))
    np.add.at(counts, (group, stratum), 1)
    counts[:, -1] = counts[:, :-1].sum(1)  # sizes are balanced like one more class
    share = counts / counts.sum(0)
    shuffled = np.random.default_rng(seed).permutation(n_groups)
    order = shuffled[np.argsort(-counts[shuffled, -1], kind="stable")]
    held = np.zeros((n, share.shape[1]))
    part = np.empty(n_groups, dtype=np.int64)
    for left, g in zip(range(n_groups, 0, -1), order, strict=True):
        cost = held @ share[g]
        empty = held[:, -1] == 0
        if left <= empty.sum():
            cost[~empty] = np.inf  # every part gets a group
        part[g] = np.lexsort((held[:, -1], np.round(cost, 12)))[0]
        held[part[g]] += share[g]
    return [np.flatnonzero(part[group] == i) for i in range(n)]


def _stratified_images(strata: Rows, n: int, seed: int) -> list[Rows]:
    """Shuffle within each stratum, then deal the strata one after another."""
    shuffled = np.random.default_rng(seed).permutation(len(strata))
    order = shuffled[np.argsort(strata[shuffled], kind="stable")]
    fold = np.empty(len(strata), dtype=np.int64)
    fold[order] = np.arange(len(strata)) % n
    return [np.flatnonzero(fold == i) for i in range(n)]


def _inner(groups: Rows, strata: Rows, rest: Rows, share: float, seed: int, kind: str) -> Rows:
    """The validation rows among the rows that are not tested."""
    n_groups = len(np.unique(groups[rest]))
    if n_groups < 2:
        raise DataError(
            f"only {n_groups} {kind} is left for training: no {kind}-disjoint validation part "
            "can be carved from it."
        )
    n = min(n_groups, max(2, round(1 / share)))
    if share > 0.5:
        parts = _stratified(groups[rest], strata[rest], min(n_groups, round(1 / (1 - share))), seed)
        return rest[np.sort(np.concatenate(parts[1:]))]
    return rest[_stratified(groups[rest], strata[rest], n, seed)[0]]


def _split_parts(data: FaceData) -> pd.Series:
    """[N] train, validation, test or NaN: the words of the column `split`, read by one table."""
    words = data.table["split"]
    parts: dict[str, str] = {}
    for row, word in words[~words.duplicated()].dropna().items():
        try:
            parts[word] = part_of_split(word)
        except DataError as error:
            raise DataError(f"{data.info.name}: {data.keys[row]}: {error}.") from error
    return words.map(parts)


def _official(data: FaceData, split: pd.Series, cautions: list[Caution]) -> list[Rows]:
    for name in ("test", "validation"):
        rows = np.flatnonzero(split == name)
        if len(rows) and (split == "train").any():
            if name == "validation":
                cautions.append(Caution("folds-validation-is-test"))
            return [rows]
    raise DataError(f"{data.info.name} has no official split into train and test.")


def _official_validation(split: pd.Series) -> Rows | None:
    both = (split == "test").any() and (split == "validation").any()
    return np.flatnonzero(split == "validation") if both else None


def _fold_cautions(data: FaceData, number: int, fold: Fold) -> list[Caution]:
    cautions = []
    for part, rows in (("test", fold.test), ("validation", fold.validation), ("train", fold.train)):
        present = set(data.expression[rows].tolist())
        missing = [name for code, name in enumerate(data.classes) if code not in present]
        if missing:
            names = ", ".join(missing)
            cautions.append(Caution("fold-lacks-class", fold=number, classes=names, part=part))
    people = [set(data.subject[rows].tolist()) - {-1} for rows in (fold.train, fold.validation)]
    tested = set(data.subject[fold.test].tolist()) - {-1}
    shared = len(tested & (people[0] | people[1]))
    if shared:
        cautions.append(Caution("fold-tests-known-subjects", fold=number, subjects=shared))
    if people[0] & people[1]:
        both = len(people[0] & people[1])
        cautions.append(Caution("fold-validates-known-subjects", fold=number, subjects=both))
    return cautions
