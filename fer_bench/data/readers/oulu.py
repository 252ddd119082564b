"""Oulu-CASIA NIR&VIS."""

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
    listing,
    misnamed,
    one_of,
    relative,
)
from fer_bench.errors import DataError

NAMES = {
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happiness": "happiness",
    "sadness": "sadness",
    "surprise": "surprise",
}
FRAME = re.compile(r"[0-9]+")
PROTOCOLS = ("last", "last3", "last3+first")


class OuluCasia(Reader):
    """80 people, six expressions from neutral to the peak, two cameras, three lights."""

    folder = "Oulu_CASIA_NIR_VIS"
    info = DataInfo(
        name="oulu-casia",
        title="Oulu-CASIA",
        terms="Research only, by agreement with the authors; no redistribution.",
        citation="Zhao et al., Facial expression recognition from near-infrared videos, Image and "
        "Vision Computing, 2011.",
        subjects="real",
        protocol="visible light, strong; last three frames; 10 subject folds (sorted and dealt)",
        expected={"subjects": 80, "sequences": 480},
    )

    def read(
        self, root: Path, *, camera: str = "VL", light: str = "Strong", protocol: str = "last3"
    ) -> Listing:
        """List frames of one camera and light.

        Args:
            camera: "VL" (visible light) or "NI" (near infrared).
            light: "Strong", "Weak" or "Dark".
            protocol: "last", "last3", or "last3+first", where the first frame stands for neutral.
        """
        one_of("camera", camera, ("VL", "NI"))
        one_of("light", light, ("Strong", "Weak", "Dark"))
        one_of("protocol", protocol, PROTOCOLS)
        base = first_of(root, "Oulu_CASIA_NIR_VIS", ".")
        for name in (camera, light):
            base = _child(base, name)
        rows: list[dict[str, Any]] = []
        rejects: list[Reject] = []
        for person in sorted(p for p in base.iterdir() if re.fullmatch(r"[Pp]\d{3}", p.name)):
            for folder in sorted(p for p in person.iterdir() if p.is_dir()):
                path = relative(folder, root)
                expression = NAMES.get(folder.name.lower())
                if expression is None:
                    rejects.append(Reject(path, path, f"unknown expression {folder.name!r}"))
                    continue
                pictures = image_files(folder)
                rejects += misnamed(pictures, root, FRAME, "000.jpeg")
                frames = [f for f in pictures if FRAME.fullmatch(f.stem)]
                frames.sort(key=lambda f: int(f.stem))
                for frame, neutral in choose_frames(frames, protocol):
                    rows.append(
                        {
                            "path": relative(frame, root),
                            "expression": "neutral" if neutral else expression,
                            "subject": person.name.upper(),
                            "sequence": f"{person.name.upper()}/{folder.name.lower()}",
                        }
                    )
        return listing(rows, rejects=rejects)


def _child(folder: Path, name: str) -> Path:
    """A subfolder by name, whatever its case."""
    for child in sorted(folder.iterdir()) if folder.is_dir() else []:
        if child.is_dir() and child.name.lower() == name.lower():
            return child
    raise DataError(f"{folder / name} is missing: expected <camera>/<light>/P001/Anger/000.jpeg.")


reader = OuluCasia()
