"""Posed studio sets whose labels are in the file names: JAFFE and KDEF."""

from __future__ import annotations

import re
from pathlib import Path

from fer_bench.data.faces import DataInfo
from fer_bench.data.reader import Listing, Reader, listing_by_name

JAFFE_NAME = re.compile(r"([A-Z]{2})\.(AN|DI|FE|HA|NE|SA|SU)(\d)\.(\d+)", re.IGNORECASE)
JAFFE_CODES = {
    "AN": "anger",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}
KDEF_NAME = re.compile(r"([AB])([FM])(\d\d)(AF|AN|DI|HA|NE|SA|SU)(S|HL|HR|FL|FR)", re.IGNORECASE)
KDEF_CODES = {
    "AF": "fear",
    "AN": "anger",
    "DI": "disgust",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}
ANGLES = {
    "S": "straight",
    "HL": "half left",
    "HR": "half right",
    "FL": "full left",
    "FR": "full right",
}


class Jaffe(Reader):
    """213 gray photographs of ten women."""

    folder = "jaffe"
    info = DataInfo(
        name="jaffe",
        title="JAFFE",
        terms="Non-commercial research only; the images may not be redistributed.",
        citation="Lyons, Akamatsu, Kamachi and Gyoba, Coding facial expressions with Gabor "
        "wavelets, FG 1998.",
        subjects="real",
        protocol="leave one subject out",
        expected={"images": 213, "subjects": 10},
    )

    def read(self, root: Path) -> Listing:
        """List files named like `KA.AN1.39.tiff`; other names are rejects."""

        def labels(match: re.Match[str]) -> dict[str, str]:
            expression = JAFFE_CODES[match[2].upper()]
            return {"expression": expression, "subject": match[1].upper()}

        return listing_by_name(root, JAFFE_NAME, "KA.AN1.39.tiff", labels)


class Kdef(Reader):
    """4,900 photographs of 70 people, from five angles, in two sessions.

    F01 and M01 are two people; sessions A and B show the same one.
    """

    folder = "kdef"
    info = DataInfo(
        name="kdef",
        title="KDEF",
        terms="Non-commercial research only; only some images may be published.",
        citation="Lundqvist, Flykt and Oehman, The Karolinska Directed Emotional Faces, 1998.",
        subjects="real",
        attributes=("gender", "angle", "session"),
        protocol="10 subject folds",
        expected={"images": 4900, "subjects": 70},
    )

    def read(self, root: Path) -> Listing:
        """List files named like `AF01ANS.JPG`; choose angles with `where={"angle": "straight"}`."""

        def labels(match: re.Match[str]) -> dict[str, str]:
            session, sex, number, code, angle = (part.upper() for part in match.groups())
            return {
                "expression": KDEF_CODES[code],
                "subject": sex + number,
                "gender": "female" if sex == "F" else "male",
                "angle": ANGLES[angle],
                "session": session,
            }

        return listing_by_name(root, KDEF_NAME, "AF01ANS.JPG", labels)


jaffe = Jaffe()
kdef = Kdef()
