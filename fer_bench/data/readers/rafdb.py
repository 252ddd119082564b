"""RAF-DB, basic expressions: the official layout and the one by class folders."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fer_bench.data.faces import DataInfo
from fer_bench.data.labels import PARTS, expression_reader, is_split, part_of_split
from fer_bench.data.reader import (
    Listing,
    Reader,
    Reject,
    first_of,
    image_files,
    listing,
    one_of,
    relative,
    text_lines,
)
from fer_bench.errors import DataError

CODES = {
    "1": "surprise",
    "2": "fear",
    "3": "disgust",
    "4": "happiness",
    "5": "sadness",
    "6": "anger",
    "7": "neutral",
}
GENDER = {"0": "male", "1": "female", "2": "unsure"}
RACE = {"0": "Caucasian", "1": "African-American", "2": "Asian"}
AGE = {"0": "0-3", "1": "4-19", "2": "20-39", "3": "40-69", "4": "70+"}
VERSIONS = ("aligned", "original")


class RafDb(Reader):
    """15,339 faces from the web, labelled by about forty people each; subjects are unknown."""

    folder = "raf_db"
    info = DataInfo(
        name="raf-db",
        title="RAF-DB",
        terms="Non-commercial research only, by agreement with the authors; no redistribution.",
        citation="Li, Deng and Du, Reliable crowdsourcing and deep locality-preserving learning "
        "for expression recognition in the wild, CVPR 2017.",
        attributes=("gender", "race", "age_group"),
        protocol="official train and test parts",
        expected={"train": 12271, "test": 3068},
    )

    def read(
        self,
        root: Path,
        *,
        version: str = "aligned",
        labels: Mapping[str, str] | None = None,
    ) -> Listing:
        """List the images of `basic/` (or of `DATASET/{train,test}/{1..7}/`).

        Args:
            version: "aligned" (100x100) or "original".
            labels: own codes or names of class folders -> expressions, where they are not the
                official 1 to 7.
        """
        one_of("version", version, VERSIONS)
        expression_of = expression_reader(labels, CODES)
        basic = first_of(root, "basic", ".")
        if (basic / "EmoLabel").is_dir():
            return self._official(basic, root, version, expression_of)
        return self._folders(first_of(root, "DATASET", "."), root, expression_of)

    def _official(
        self, basic: Path, root: Path, version: str, expression_of: Callable[[object], str]
    ) -> Listing:
        for other in VERSIONS:
            if (basic / "Image" / other).is_dir() and not (basic / "Image" / version).is_dir():
                raise DataError(
                    f"{basic / 'Image' / version} is missing, but {other} is there: pass "
                    f"version={other!r}."
                )
        source = basic / "EmoLabel" / "list_patition_label.txt"
        rows: list[dict[str, Any]] = []
        where: list[str] = []
        rejects: list[Reject] = []
        for number, line in text_lines(source, "lines such as 'train_00001.jpg 5'"):
            place = f"{source.name} line {number}"
            name, *codes = re.split(r"[\s,;]+", line)
            part, stem = name.partition("_")[0], name.rpartition(".")[0].removesuffix("_aligned")
            try:
                if part not in ("train", "test"):
                    raise DataError("is neither train_ nor test_")
                if len(codes) != 1:
                    raise DataError(f"has {len(codes)} values after the name instead of one code")
                expression = expression_of(codes[0])
            except DataError as error:
                rejects.append(Reject(name, place, str(error)))
            else:
                file = f"{stem}_aligned.jpg" if version == "aligned" else f"{stem}.jpg"
                try:
                    attributes = self._attributes(basic, stem)
                except ValueError as error:
                    rejects.append(Reject(name, f"{stem}_manu_attri.txt", str(error)))
                    continue
                path = relative(basic / "Image" / version / file, root)
                rows.append({"path": path, "expression": expression, "split": part, **attributes})
                where.append(place)
        return listing(rows, where=where, rejects=rejects)

    def _attributes(self, basic: Path, stem: str) -> dict[str, str | None]:
        file = basic / "Annotation" / "manual" / f"{stem}_manu_attri.txt"
        if not file.is_file():
            return {"gender": None, "race": None, "age_group": None}
        lines = file.read_text(encoding="utf-8-sig").split("\n")
        codes = [line.strip() for line in lines if line.strip()][5:]  # after five landmarks
        attributes: dict[str, str | None] = {}
        maps = {"gender": GENDER, "race": RACE, "age_group": AGE}
        if len(codes) != len(maps):
            raise ValueError(f"has {len(codes)} codes after the five landmarks instead of 3")
        for (name, names), code in zip(maps.items(), codes, strict=True):
            if code not in names:
                raise ValueError(f"unknown {name} {code!r}: known: {', '.join(names)}")
            attributes[name] = names[code]
        return attributes

    def _folders(self, base: Path, root: Path, expression_of: Callable[[object], str]) -> Listing:
        rows: list[dict[str, Any]] = []
        rejects: list[Reject] = []
        folders = [p for p in sorted(base.iterdir()) if p.is_dir() and is_split(p.name)]
        parts = sorted(folders, key=lambda p: PARTS.index(part_of_split(p.name)))
        if len(parts) < 2:
            inner = [p for p in sorted(root.iterdir()) if any(map(Path.is_dir, p.glob("train")))]
            hint = f"; {inner[0].name} holds one: pass root={str(inner[0])!r}" if inner else ""
            raise DataError(
                f"{root} is not in the set's layout: expected basic/EmoLabel/, or DATASET/train/ "
                f"and DATASET/test/{hint}."
            )
        for part in parts:
            for file in image_files(part):
                path = relative(file, root)
                if file.parent == part:
                    rejects.append(Reject(path, path, "is in no class folder 1 to 7"))
                    continue
                try:
                    expression = expression_of(file.parent.name)
                except DataError as error:
                    rejects.append(Reject(path, path, f"is in no class folder 1 to 7: {error}"))
                    continue
                rows.append({"path": path, "expression": expression, "split": part.name})
        return listing(rows, rejects=rejects)


reader = RafDb()
