"""AFEW-VA."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from fer_bench.data.faces import DataInfo
from fer_bench.data.reader import Listing, Reader, Reject, image_files, listing, relative
from fer_bench.errors import DataError

SCALE = 10.0
MARGIN = 0.25


class AfewVa(Reader):
    """600 clips of films with valence and arousal a frame; actors are known, expressions not."""

    folder = "afew_va"
    info = DataInfo(
        name="afew-va",
        title="AFEW-VA",
        terms="Non-commercial research only, by agreement with the authors.",
        citation="Kossaifi, Tzimiropoulos, Todorovic and Pantic, AFEW-VA database for valence and "
        "arousal estimation in-the-wild, Image and Vision Computing, 2017.",
        subjects="real",
        expressions=False,
        valence_arousal=True,
        protocol="5 folds by actor (never by clip: an actor plays in several)",
        expected={"sequences": 600},
    )

    def read(self, root: Path, *, crop: bool = True, every: int = 1) -> Listing:
        """List the frames of all clips (`001/` or, as shipped, `01/001/`).

        Args:
            crop: use the box around the landmarks, widened by a quarter on each side.
            every: keep one frame in so many.
        """
        rows: list[dict[str, Any]] = []
        where: list[str] = []
        boxes: list[list[float]] = []
        rejects: list[Reject] = []
        clips = [p for p in root.rglob("*.json") if re.fullmatch(r"\d{3}", p.stem)]
        clips = sorted(p for p in clips if p.parent.name == p.stem)
        if not clips:
            raise DataError(f"{root} holds no clip: expected 001/001.json beside 001/00000.png.")
        for file in clips:
            place = relative(file, root)
            try:
                clip = json.loads(file.read_text(encoding="utf-8-sig"))
                frames, actor = clip["frames"], clip["actor"]
            except (ValueError, KeyError, TypeError) as error:
                rejects.append(Reject(place, place, f"cannot be read ({error!r})"))
                continue
            pictures = {p.stem: p for p in image_files(file.parent)}
            for unlabelled in sorted(pictures.keys() - frames.keys()):
                path = relative(pictures[unlabelled], root)
                rejects.append(Reject(path, place, f"there is no label of frame {unlabelled}"))
            for name in sorted(frames)[::every]:
                frame = frames[name]
                path = relative(pictures.get(name, file.parent / f"{name}.png"), root)
                try:
                    valence, arousal = (float(frame[k]) for k in ("valence", "arousal"))
                    box = _box(frame.get("landmarks"))
                except (KeyError, TypeError, ValueError) as error:
                    rejects.append(Reject(path, f"{place} frame {name}", f"is broken ({error!r})"))
                    continue
                rows.append(
                    {
                        "path": path,
                        "valence": valence / SCALE,
                        "arousal": arousal / SCALE,
                        "subject": str(actor),
                        "sequence": file.stem,
                    }
                )
                where.append(f"{place} frame {name}")
                boxes.append(box)
        return listing(
            rows, where=where, rejects=rejects, boxes=np.array(boxes) if crop and boxes else None
        )


def _box(landmarks: Any) -> list[float]:
    """Left, top, width, height of a square around the landmarks; NaN without any."""
    if not landmarks:
        return [np.nan] * 4
    points = np.asarray(landmarks, dtype=np.float64).reshape(-1, 2)
    low, high = points.min(0), points.max(0)
    side = (high - low).max() * (1 + 2 * MARGIN)
    left, top = (low + high) / 2 - side / 2
    return [left, top, side, side]


reader = AfewVa()
