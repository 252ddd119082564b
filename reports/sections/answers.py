"""What a model such as CLIP answers about test faces, in per cent (EIF, figure 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_bench.data.answers import agreement
from fer_bench.data.faces import FaceData
from fer_bench.data.pages import data_uri
from fer_bench.errors import FerBenchError
from fer_bench.registry import attribute_readers
from fer_bench.reports.faces import as_image, blurred
from fer_bench.reports.material import Material
from fer_bench.reports.nearest import data_rows
from fer_bench.reports.sections.section import Section

MOST = 500  # faces that are asked about


def content(page: Material) -> Mapping[str, Any] | None:
    """Agreement of the answers with the data's columns; a few faces with what is said of them."""
    faces = page.store.thumbnails(page.summary.data["fingerprint"])
    if page.answers is None or faces is None:
        return None
    part, _ = page.samples
    rows = data_rows(part)
    asked = np.flatnonzero((rows >= 0) & (rows < len(faces)))
    asked = np.sort(np.random.default_rng(0).permutation(asked)[:MOST])
    if not len(asked):
        return None
    data = FaceData(faces[rows[asked]], part.labels.iloc[asked].reset_index(drop=True))
    try:
        answers = attribute_readers.get(page.answers)(data)
    except FerBenchError as error:
        return {"failed": str(error)}
    sheet = None
    if page.faces != "none":
        from fer_bench.data.show import answer_sheet  # heavy

        shown = data if page.faces == "show" else FaceData(_blurred(data), data.table)
        sheet = data_uri(answer_sheet(shown, answers))
    agreed = agreement(data, answers)
    return {
        "failed": None,
        "n": len(data),
        "side": faces.shape[1],
        "sheet": sheet,
        "agreed": agreed,
    }


def _blurred(data: FaceData) -> NDArray[np.uint8]:
    """Faces in colour, each blurred beyond recognition."""
    return np.stack([np.asarray(blurred(as_image(f))) for f in data.gather(np.arange(len(data)))])


SECTION = Section("answers", "Attributes as a model names them", 95, content, "Attributes")
