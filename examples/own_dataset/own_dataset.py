"""A data set of your own: files named p07_smile_3.png, in one file and one entry point."""

import re
from pathlib import Path

from fer_bench.data import DataInfo
from fer_bench.data.reader import Listing, Reader, Reject, image_files, listing, relative

NAME = re.compile(r"p(\d+)_([a-z]+)_\d+")
CODES = {"plain": "neutral", "smile": "happiness", "frown": "anger"}


class Studio(Reader):
    """Photographs of our studio."""

    info = DataInfo(
        name="studio",
        title="Studio",
        terms="Consent for research within our group; no publication of faces.",
        citation="Doe, The studio set, 2026.",
        subjects="real",
        protocol="5 folds over people",
    )

    def read(self, root: Path) -> Listing:
        """List all pictures; what is named otherwise, or holds another code, is a reject."""
        rows, rejects = [], []
        for file in image_files(root):
            path, match = relative(file, root), NAME.fullmatch(file.stem)
            if match is None or match[2] not in CODES:
                rejects.append(Reject(path, path, "is not named like p07_smile_3.png"))
                continue
            rows.append({"path": path, "expression": CODES[match[2]], "subject": match[1]})
        return listing(rows, rejects=rejects)


studio = Studio()
