"""Who is trained on, who decides, who is tested, for embeddings whose training is not ours."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from fer_bench.cautions import Caution
from fer_bench.data.faces import DataInfo, FaceData
from fer_bench.data.labels import part_of_split
from fer_bench.data.splits import Fold, FoldFile, make_folds
from fer_bench.data.tables import read_text
from fer_bench.errors import DataError
from fer_bench.evaluation.matching import Gathered

FEWEST_PEOPLE = 6  # below, all of them are tested and none is left to fit attackers on
FRAMES = 16  # of a video, by default
ATTACKERS = "probes of expression across people, and attackers that are fitted on other people"


def read_people(written: str) -> frozenset[str]:
    """The people an encoder was trained on: a file with a name per line, or "none".

    Raises:
        DataError: there is no such file, or it is empty.
    """
    if written.strip().casefold() == "none":
        return frozenset()
    file = Path(written).expanduser()
    if not file.is_file():
        raise DataError(
            f"--trained-on {written!r}: there is no such file: name one with a person a line, or "
            "write none if the encoder has seen none of them."
        )
    lines = (line.strip() for line in read_text(file).splitlines())
    people = frozenset(line for line in lines if line)
    if not people:
        raise DataError(f"{file} is empty: write none if the encoder has seen none of them.")
    return people


def with_people(gathered: Gathered, *, frames: int = FRAMES) -> Gathered:
    """Rows that have a person, frames of videos thinned, videos for people where none are known.

    Args:
        gathered: what was read.
        frames: kept of a video at most, evenly spaced; 0 keeps all.
    """
    table = gathered.table
    if table["subject"].isna().all() and table["sequence"].notna().any():
        gathered.table = table = table.assign(subject=table["sequence"])
        gathered.cautions.append(Caution("video-for-person"))
    unknown = table["subject"].isna()
    if unknown.any() and not unknown.all():
        gathered.said.append(f"{int(unknown.sum())} rows have no subject and are left out")
        gathered.cautions.append(Caution("rows-without-subject", n=int(unknown.sum())))
        gathered = gathered.select(np.flatnonzero(~unknown))
    if frames and gathered.table["sequence"].notna().any():
        rows = thinned(gathered.table, frames)
        if len(rows) < len(gathered.table):
            n, total = len(rows), len(gathered.table)
            gathered.said.append(f"videos: at most {frames} frames each, {n} of {total} rows")
            gathered.cautions.append(Caution("frames-thinned", most=frames, kept=n, total=total))
            gathered = gathered.select(rows)
    table = gathered.table.drop(columns="frame", errors="ignore")
    if table["expression"].isna().all() and table["sequence"].isna().all():
        # Attackers are tested on other expressions or sequences than they are fitted on.
        table = table.assign(sequence=table["path"])
        gathered.cautions.append(Caution("image-for-sequence"))
    gathered.table = table
    return gathered


def thinned(table: pd.DataFrame, most: int) -> np.ndarray:
    """Rows with at most `most` evenly spaced frames of each (subject, sequence), sorted.

    Frames are in the order of the column `frame` where there is one, else of the rows. Rows
    without a sequence all stay.

    >>> table = pd.DataFrame({"subject": ["a"] * 5, "sequence": ["v"] * 5})
    >>> thinned(table, 3).tolist()
    [0, 2, 4]
    """
    by = [table["subject"].fillna(""), table["sequence"]]
    frame = table.get("frame", pd.Series(np.arange(len(table))))
    order = pd.to_numeric(frame, errors="coerce").fillna(0).argsort(kind="stable").to_numpy()
    ordered = pd.Series(np.arange(len(table))).iloc[order]
    groups = [column.iloc[order].to_numpy() for column in by]
    place = ordered.groupby(groups, dropna=True).cumcount().to_numpy()
    size = ordered.groupby(groups, dropna=True).transform("size").to_numpy()
    keep = np.ones(len(table), dtype=bool)
    long = size > most
    wanted = np.floor(np.arange(most)[:, None] * (size[long] - 1) / max(1, most - 1) + 0.5)
    keep[np.flatnonzero(long)] = (wanted == place[long]).any(axis=0)
    return np.sort(order[keep])


def faces_of(gathered: Gathered, name: str, faces: np.ndarray | None) -> FaceData:
    """The rows as a data set; without pictures its faces are single black pixels."""
    pixels = np.zeros((len(gathered.table), 1, 1, 1), np.uint8) if faces is None else faces
    table = gathered.table
    people = "none" if table["subject"].isna().all() else "real"
    proxy = any(caution.code == "video-for-person" for caution in gathered.cautions)
    info = DataInfo(
        name,
        title=name,
        terms="Embeddings of the user's own data, whose terms apply.",
        subjects="proxy" if proxy else people,  # type: ignore[arg-type]
        valence_arousal=bool(table["valence"].notna().any()),
        own=True,
    )
    data = FaceData(pixels, table, info=info)
    data.classes = gathered.classes
    return data


def divide(
    data: FaceData, *, trained_on: Collection[str] | None, folds: int, seed: int
) -> tuple[FoldFile, list[Caution]]:
    """Folds of a data set whose encoders are given, and what is unknown of them.

    Args:
        data: the rows.
        trained_on: people the encoder was trained on; None where that is unknown.
        folds: 1 tests half of the people; more test every person once.
        seed: of the draw.

    Raises:
        DataError: nobody is left to test, or tested people are among those trained on.
    """
    people = set(data.subjects)
    seen = people & set(trained_on or ())
    if trained_on and not seen:
        first = sorted(trained_on)[0]
        raise DataError(
            f"none of the {len(trained_on)} people trained on (such as {first!r}) is in the data "
            f"({len(people)} people): say --trained-on none if that is so."
        )
    words = data.table["split"]
    if words.notna().any():
        return _given(data, seen, trained_on is None, seed)
    if seen:
        if seen == people:
            raise DataError("the encoder was trained on all people here: nobody is left to test.")
        split = np.where(data.table["subject"].isin(seen), "train", "test")
        return _official(data.with_table(data.table.assign(split=split)), data, seed), []
    cautions = [Caution("encoder-people-unknown")] if trained_on is None and people else []
    if len(people) < FEWEST_PEOPLE and people:
        cautions.append(Caution("no-training-people", attackers=ATTACKERS))
        return _all_tested(data, seed), cautions
    made = make_folds(data, n_folds=max(2, folds), seed=seed, validation=0.2)
    if people:
        cautions.append(Caution("split-made", people=len(people)))
    return made, cautions


def _given(
    data: FaceData, seen: set[str], unknown: bool, seed: int
) -> tuple[FoldFile, list[Caution]]:
    """The split of the file: whose test people the encoder must not have seen."""
    parts = _parts(data)
    subject = data.table["subject"]
    tested = set(subject[parts == "test"].dropna())
    both = sorted(tested & seen)
    if both:
        raise DataError(
            f"{len(both)} people of the test part were trained on (the first: {both[0]!r}): test "
            "on others, or correct --trained-on."
        )
    cautions = []
    shared = len(tested & set(subject[parts.isin(["train", "validation"])].dropna()))
    if shared:
        cautions.append(Caution("tested-people-trained-on", people=shared))
    if not parts.isin(["test", "validation"]).any():
        raise DataError(
            "the column split has no test part: add one, or leave the column out with "
            "--map split= to have people divided."
        )
    if not (parts == "train").any():
        cautions.append(Caution("no-training-people", attackers=ATTACKERS))
        if unknown and tested:
            cautions.insert(0, Caution("encoder-people-unknown"))
        return _all_tested(data, seed, parts.isin(["test", "validation"]).to_numpy()), cautions
    return _official(data, data, seed), cautions


def _parts(data: FaceData) -> pd.Series:
    words = data.table["split"]
    try:
        return words.map({w: part_of_split(w) for w in words.dropna().unique()})
    except DataError as error:
        raise DataError(
            f"{error}: rename it, or leave the column out with --map split= to have people divided."
        ) from None


def _official(data: FaceData, original: FaceData, seed: int) -> FoldFile:
    """The split as one fold; too few people to validate on leave that part empty."""
    data.classes = original.classes
    try:
        return make_folds(data, n_folds=2, seed=seed, validation=0.2, official=True)
    except DataError:
        parts = _parts(data)
        if not (parts == "test").any():
            raise
        rows = [np.flatnonzero(parts == part) for part in ("train", "validation", "test")]
        kind = "subject" if data.has_subjects else "image"
        return FoldFile(data.keys, (Fold(*rows),), kind, seed)  # type: ignore[arg-type]


def _all_tested(data: FaceData, seed: int, tested: np.ndarray | None = None) -> FoldFile:
    """One fold of a test part alone."""
    rows = np.arange(len(data)) if tested is None else np.flatnonzero(tested)
    none = np.empty(0, dtype=np.int64)
    kind = "subject" if data.has_subjects else "image"
    return FoldFile(data.keys, (Fold(none, none, rows),), kind, seed)  # type: ignore[arg-type]
