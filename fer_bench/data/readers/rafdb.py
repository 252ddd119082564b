"""RAF-DB, basic expressions: the official layout and the one by class folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fer_bench.data.faces import DataInfo
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

    def read(self, root: Path, *, version: str = "aligned") -> Listing:
        """List the images of `basic/` (or of `DATASET/{train,test}/{1..7}/`).

        Args:
            version: "aligned" (100x100) or "original".
        """
        one_of("version", version, VERSIONS)
        basic = first_of(root, "basic", ".")
        if (basic / "EmoLabel").is_dir():
            return self._official(basic, root, version)
        return self._folders(first_of(root, "DATASET", "."), root)

    def _official(self, basic: Path, root: Path, version: str) -> Listing:
        source = basic / "EmoLabel" / "list_patition_label.txt"
        rows: list[dict[str, Any]] = []
        where: list[str] = []
        rejects: list[Reject] = []
        for number, line in text_lines(source, "lines such as 'train_00001.jpg 5'"):
            place = f"{source.name} line {number}"
            name, _, code = line.partition(" ")
            part = name.partition("_")[0]
            if part not in ("train", "test"):
                rejects.append(Reject(name, place, "is neither train_ nor test_"))
            elif code.strip() not in CODES:
                rejects.append(Reject(name, place, f"unknown code {code.strip()!r}: known: 1 to 7"))
            else:
                stem = name.rpartition(".")[0]
                file = f"{stem}_aligned.jpg" if version == "aligned" else name
                try:
                    attributes = self._attributes(basic, stem)
                except ValueError as error:
                    rejects.append(Reject(name, f"{stem}_manu_attri.txt", str(error)))
                    continue
                path = relative(basic / "Image" / version / file, root)
                rows.append(
                    {"path": path, "expression": CODES[code.strip()], "split": part, **attributes}
                )
                where.append(place)
        return listing(rows, where=where, rejects=rejects)

    def _attributes(self, basic: Path, stem: str) -> dict[str, str | None]:
        file = basic / "Annotation" / "manual" / f"{stem}_manu_attri.txt"
        if not file.is_file():
            return {"gender": None, "race": None, "age_group": None}
        lines = file.read_text(encoding="utf-8-sig").split("\n")
        codes = [line.strip() for line in lines if line.strip()][5:]  # after five landmarks
        found: dict[str, str | None] = {}
        maps = {"gender": GENDER, "race": RACE, "age_group": AGE}
        if len(codes) != len(maps):
            raise ValueError(f"has {len(codes)} codes after the five landmarks instead of 3")
        for (name, names), code in zip(maps.items(), codes, strict=True):
            if code not in names:
                raise ValueError(f"unknown {name} {code!r}: known: {', '.join(names)}")
            found[name] = names[code]
        return found

    def _folders(self, base: Path, root: Path) -> Listing:
        rows: list[dict[str, Any]] = []
        rejects: list[Reject] = []
        for split in ("train", "test"):
            for file in image_files(
                first_of(base, split, needs="basic/EmoLabel/, or DATASET/train/ and DATASET/test/")
            ):
                path = relative(file, root)
                if file.parent.name not in CODES:
                    rejects.append(Reject(path, path, "is in no class folder 1 to 7"))
                    continue
                rows.append({"path": path, "expression": CODES[file.parent.name], "split": split})
        return listing(rows, rejects=rejects)


reader = RafDb()
