"""Sets of real faces with a manifest: London, CMU, and expressions in the wild of LFW."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.data.decode import open_rgb
from fer_bench.data.faces import DataInfo
from fer_bench.data.reader import Listing, Reader, one_of, require
from fer_bench.data.readers.manifest import Manifest

EYES = ["left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y"]


class _Listed(Reader):
    """A set that lists its images in `manifest.csv`."""

    def read(self, root: Path) -> Listing:
        """List the images."""
        listing = Manifest().read(root)
        listing.info = self.info
        return listing


class London(Reader):
    """Face Research Lab London Set: 102 people, neutral and smiling, studio."""

    folder = "london"
    info = DataInfo(
        name="london",
        title="London Set",
        terms="CC BY 4.0.",
        citation="DeBruine and Jones, Face Research Lab London Set, figshare, 2017.",
        subjects="real",
        attributes=("gender", "ethnicity"),
        publish_faces=True,
        protocol="5 subject-disjoint folds",
        expected={"images": 204, "subjects": 102, "neutral": 102, "happiness": 102},
    )
    versions = ("aligned_128", "recognition_112", "raw_256")

    def read(self, root: Path, *, version: str = "aligned_128") -> Listing:
        """List the images.

        Args:
            version: "aligned_128", aligned by the eyes; "recognition_112", cut from the
                photographs as face-recognition networks expect faces; or "raw_256" as
                photographed, where the height of the eyes alone tells the classes apart
                (AUC 0.90).
        """
        one_of("version", version, self.versions)
        images = "raw_256" if version == "recognition_112" else version
        require(root / images, "the images of the London Set")
        listing = Manifest().read(root, images=images)
        if version == "recognition_112":
            listing.pixels = _aligned(root, listing.table)
            listing.sources = tuple(root / path for path in listing.table["path"])
            listing.made = version
        if version != "raw_256":  # the eye positions are those of the raw images
            listing.table = listing.table.drop(columns=EYES)
        listing.info = self.info
        return listing


def _aligned(root: Path, table: pd.DataFrame) -> Callable[[int], NDArray[np.uint8]]:
    """Row -> face of 112 pixels, cut from its photograph by the eyes of the manifest."""
    from fer_bench.data.prepare import CROPS, Settings, align

    paths, eyes = table["path"], table[EYES].to_numpy(np.float64).reshape(-1, 2, 2)
    settings = Settings(size=112, **CROPS["recognition"])

    def cut(row: int) -> NDArray[np.uint8]:
        return np.asarray(align(open_rgb(root / paths[row]), eyes[row], settings)[0])

    return cut


class CmuFaces(_Listed):
    """CMU Face Images: 20 people x 4 expressions x 4 poses x sunglasses, 64x60 gray.

    Choose poses with `where={"pose": "forward"}`.
    """

    folder = "cmu_faces"
    info = DataInfo(
        name="cmu-faces",
        title="CMU Face Images",
        terms="Educational use with attribution (T. Mitchell, UCI repository).",
        citation="T. Mitchell, CMU Face Images, UCI Machine Learning Repository, 1999.",
        subjects="real",
        attributes=("pose", "eyewear"),
        publish_faces=True,
        protocol="5 subject-disjoint folds",
        expected={"images": 624, "subjects": 20},
    )


class LfwExpressions(_Listed):
    """Labelled Faces in the Wild with expression labels: many people, uneven classes.

    `classes=["neutral", "happiness"]` leaves out the rare classes.
    """

    folder = "lfw_expressions"
    info = DataInfo(
        name="lfw-expressions",
        title="LFW expressions",
        terms="Images: LFW, research use; labels: Apache-2.0. Faces are not published.",
        citation="Huang, Ramesh, Berg and Learned-Miller, Labeled Faces in the Wild, University "
        "of Massachusetts, Amherst, technical report 07-49, 2007; labels: "
        "github.com/muxspace/facial_expressions.",
        subjects="real",
        protocol="5 subject-disjoint folds; neutral and happiness are the classes with enough "
        "faces",
        expected={"images": 10229, "subjects": 4451, "neutral": 5400, "happiness": 4207},
    )


london = London()
cmu_faces = CmuFaces()
lfw_expressions = LfwExpressions()
