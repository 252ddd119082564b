import re

import numpy as np
import pytest
from PIL import Image

from fer_bench.data import show
from fer_bench.errors import DataError


def test_a_contact_sheet_shows_faces_of_its_rows(small_faces):
    sheet = np.asarray(show.contact_sheet(small_faces, "expression", per_row=3))
    first = sheet[show.GAP : show.GAP + show.SIDE, show.LABEL_WIDTH : show.LABEL_WIDTH + show.SIDE]
    neutral = [show.picture(f) for f in small_faces.gather(np.flatnonzero(
        small_faces.expression == 0))]  # fmt: skip
    assert any(np.array_equal(first, np.asarray(face)) for face in neutral)


def test_every_sheet_is_drawn_and_saved(small_faces, tmp_path):
    drawn = show.sheets(small_faces, [*show.WHAT, "gender"])
    assert list(drawn) == [
        "Faces by expression",
        "Faces by subject",
        "Pairs: same expression, different subject",
        "Augmentation: rotations",
        "Faces by gender",
    ]
    png = show.save(tmp_path / "deep" / "faces.png", small_faces, drawn)
    assert Image.open(png).height > sum(image.height for image in drawn.values())
    html = show.save(tmp_path / "faces.html", small_faces, drawn).read_text()
    assert html.count("data:image/png;base64,") == 5
    assert not re.search(r'(src|href)="(?!data:)', html)
    assert "Do not publish this page" in html


def test_the_augmentation_sheet_has_all_views(small_faces):
    sheet = show.augmentation_sheet(small_faces, n=2)
    assert sheet.width == show.LABEL_WIDTH + 15 * (show.SIDE + show.GAP) + show.GAP


def test_titles_are_escaped(small_faces, tmp_path):
    from dataclasses import replace

    data = small_faces.with_info(replace(small_faces.info, title="<script>"))
    html = show.save(tmp_path / "x.html", data, show.sheets(data, ["classes"])).read_text()
    assert "<script>" not in html


def test_what_cannot_be_shown_is_said(small_faces, tmp_path):
    with pytest.raises(DataError, match="did you mean 'classes'"):
        show.sheets(small_faces, ["clases"])
    with pytest.raises(DataError, match="did you mean 'rotations'"):
        show.sheets(small_faces, mode="rotation")
    with pytest.raises(DataError, match=r"ends in \.png or \.html"):
        show.save(tmp_path / "x.gif", small_faces, show.sheets(small_faces, ["classes"]))
    bare = small_faces.with_table(small_faces.table[["path"]])
    with pytest.raises(DataError, match="nothing of what was asked"):
        show.save(tmp_path / "x.png", bare, show.sheets(bare, ["classes", "pairs"]))
