"""CK+ (sequences) and CK+48 (its popular crops)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fer_bench.data.faces import DataInfo
from fer_bench.data.reader import (
    Listing,
    Reader,
    Reject,
    choose_frames,
    first_of,
    image_files,
    integer_code,
    listing,
    misnamed,
    one_of,
    relative,
    require,
)

CODES = {
    0: "neutral",
    1: "anger",
    2: "contempt",
    3: "disgust",
    4: "fear",
    5: "happiness",
    6: "sadness",
    7: "surprise",
}
FRAME = re.compile(r"(S\d{3})_(\d{3})_(\d{8})")
EXAMPLE = "S010_004_00000017.png"
PROTOCOLS = ("last", "last3", "last3+first")
TERMS = "Research only, by agreement with the authors; only a few subjects may be shown."
CITATION = (
    "Lucey et al., The extended Cohn-Kanade dataset (CK+): a complete dataset for action unit and "
    "emotion-specified expression, CVPR Workshops 2010."
)


class CkPlus(Reader):
    """593 posed sequences from neutral to the peak of an expression; 327 are labelled."""

    folder = "ck_plus"
    info = DataInfo(
        name="ck+",
        title="CK+",
        terms=TERMS,
        citation=CITATION,
        subjects="real",
        protocol="10 subject folds: subjects sorted and dealt out (there is no official split)",
        expected={"sequences": 327},
    )

    def read(self, root: Path, *, protocol: str = "last3+first") -> Listing:
        """List frames of the labelled sequences.

        Args:
            protocol: "last" frame of each sequence; the "last3"; or "last3+first", where the first
                frame stands for neutral.
        """
        one_of("protocol", protocol, PROTOCOLS)
        images = require(root / "cohn-kanade-images", "S005/001/S005_001_00000001.png")
        labels = first_of(root, "Emotion", "Emotion_labels/Emotion", needs="the folder Emotion")
        rows: list[dict[str, Any]] = []
        rejects: list[Reject] = []
        unlabelled = 0
        for folder in sorted(p for p in images.glob("S*/*") if p.is_dir()):
            sequence = relative(folder, images)
            pictures = image_files(folder)
            rejects += misnamed(pictures, root, FRAME, EXAMPLE)
            frames = [f for f in pictures if FRAME.fullmatch(f.stem)]
            files = [f for f in (labels / sequence).glob("S*_emotion.txt") if f.is_file()]
            if not files or not frames:
                unlabelled += 1
                continue
            place = relative(files[0], root)
            try:
                expression = CODES[integer_code(files[0].read_text())]
            except (ValueError, KeyError):
                word = files[0].read_text(errors="replace").strip()
                rejects.append(Reject(place, place, f"unknown code {word!r}: known: 0 to 7"))
                continue
            labelled, last = files[0].stem.removesuffix("_emotion"), frames[-1].stem
            if labelled != last:
                why = f"the label is of frame {labelled}, but the last frame is {last}"
                rejects.append(Reject(place, place, why))
                continue
            for frame, neutral in choose_frames(frames, protocol):
                rows.append(
                    {
                        "path": relative(frame, root),
                        "expression": "neutral" if neutral else expression,
                        "subject": folder.parent.name,
                        "sequence": sequence,
                    }
                )
        notes = (f"{unlabelled} sequences have no label and are left out",) if unlabelled else ()
        return listing(rows, rejects=rejects, notes=notes)


class CkPlus48(Reader):
    """Last three frames of CK+, cropped to 48x48, without neutral faces.

    The folds by image that are popular with it mix subjects; subjects are known from the names.
    """

    folder = "CK+48"
    info = DataInfo(
        name="ck+48",
        title="CK+48",
        terms=TERMS,
        citation=CITATION,
        subjects="real",
        protocol="10 subject folds: subjects sorted and dealt out (there is no official split)",
        expected={
            "images": 981,
            "anger": 135,
            "contempt": 54,
            "disgust": 177,
            "fear": 75,
            "happiness": 207,
            "sadness": 84,
            "surprise": 249,
        },
    )
    names = {
        "anger": "anger",
        "contempt": "contempt",
        "disgust": "disgust",
        "fear": "fear",
        "happy": "happiness",
        "sadness": "sadness",
        "surprise": "surprise",
    }

    def read(self, root: Path) -> Listing:
        """List the images of the seven class folders."""
        base = first_of(root, "CK+48", ".")
        rows: list[dict[str, Any]] = []
        rejects: list[Reject] = []
        for file in image_files(base):
            path, match = relative(file, root), FRAME.fullmatch(file.stem)
            if file.parent.name not in self.names:
                rejects.append(Reject(path, path, "is in no class folder of CK+48"))
            elif match is None:
                rejects.append(Reject(path, path, f"is not named like {EXAMPLE}"))
            else:
                rows.append(
                    {
                        "path": path,
                        "expression": self.names[file.parent.name],
                        "subject": match[1],
                        "sequence": f"{match[1]}/{match[2]}",
                    }
                )
        return listing(rows, rejects=rejects)


full = CkPlus()
crops = CkPlus48()
