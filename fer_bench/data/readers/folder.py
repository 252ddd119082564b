"""Class folders: `root[/split]/<expression>[/<subject>]/image`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_bench.data.faces import DataInfo
from fer_bench.data.labels import PARTS_OF_A_SPLIT, expression_reader, plain
from fer_bench.data.reader import Listing, Reader, Reject, image_files, listing, relative
from fer_bench.data.readers.manifest import reader as prepared
from fer_bench.errors import DataError


class Folder(Reader):
    """One folder per class, optionally below split folders and above subject folders."""

    info = DataInfo(
        name="folder",
        title="Class folders",
        terms="The terms of your own images.",
        own=True,
        protocol="the split folders, where there are any",
    )

    def read(
        self,
        root: Path,
        *,
        subject: str | None = None,
        labels: Mapping[str, str] | None = None,
        people_first: bool = False,
    ) -> Listing:
        """List the images.

        Args:
            subject: a regular expression on the file name; its group "subject" (or the first
                group, or the whole match) names the person. By default a folder below the
                class folder does.
            labels: names of class folders -> expressions, where they are neither a name nor a
                synonym, such as `{"3": "happiness"}`.
            people_first: the folder of a person is above those of the classes.

        Raises:
            DataError: the root is no folder, or holds no image.
        """
        if (root / "preparation.csv").is_file():
            if subject is not None or labels is not None:
                raise DataError(
                    f"{root} was written by 'fer-bench data prepare', and its manifest.csv names "
                    "labels and subjects: leave out subject and labels, or give them to prepare."
                )
            return prepared.read(root)
        pattern, expression_of = _pattern(subject), expression_reader(labels)
        if not root.is_dir():
            raise DataError(f"{root} is no folder: 'folder' reads root/<expression>/image.")
        rows: list[dict[str, Any]] = []
        rejects: list[Reject] = []
        for file in image_files(root):
            path = relative(file, root)
            *parents, name = path.split("/")
            split = _split(parents[0]) if parents else None
            parents = parents[1:] if split else parents
            parents = parents[::-1] if people_first else parents
            if not parents:
                rejects.append(Reject(path, path, "is in no class folder"))
                continue
            try:
                expression = expression_of(parents[0])
            except DataError as error:
                rejects.append(Reject(path, path, str(error)))
                continue
            person = parents[1] if len(parents) > 1 else None
            if pattern is not None:
                match = pattern.search(name)
                if match is None:
                    rejects.append(Reject(path, path, f"the subject pattern {subject!r} misses"))
                    continue
                person = match[_group(pattern)]
            rows.append({"path": path, "expression": expression, "subject": person, "split": split})
        if not rows and not rejects:
            raise DataError(f"{root} holds no image: 'folder' reads root/<expression>/image.")
        return listing(rows, rejects=rejects)


def _split(folder: str) -> str | None:
    """The part that a folder on top names, such as "Training" or "val_set"; None: a class."""
    return PARTS_OF_A_SPLIT.get(plain(folder).casefold().removesuffix("_set"))


def _pattern(subject: str | None) -> re.Pattern[str] | None:
    if subject is None:
        return None
    try:
        return re.compile(subject)
    except re.error as error:
        raise DataError(f"subject={subject!r} is no regular expression: {error}.") from error


def _group(pattern: re.Pattern[str]) -> str | int:
    return "subject" if "subject" in pattern.groupindex else min(1, pattern.groups)


reader = Folder()
