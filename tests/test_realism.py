"""Realism ratings: blind pages, several raters' files, and table 1 of the EIF paper."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fer_bench.baselines.published import all_published
from fer_bench.errors import DataError
from fer_bench.realism import as_markdown, pictures_below, rating_page, rating_table, read_ratings


@pytest.fixture
def study(tmp_path):
    rng = np.random.default_rng(0)
    for method in ("EIF", "ELIM"):
        for group in ("men", "women"):
            folder = tmp_path / "pictures" / method / group
            folder.mkdir(parents=True)
            for k in range(2):
                pixels = rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{method}-{k}.png")
    page = tmp_path / "realism.html"
    return page, rating_page(tmp_path / "pictures", page)


def save(folder, key, rater, rate):
    known = json.loads(key.read_text())
    ratings = {p["id"]: rate(p) for p in known["pictures"]}
    file = folder / f"{rater}.json"
    file.write_text(json.dumps({"study": known["study"], "rater": rater, "ratings": ratings}))
    return file


def test_the_page_is_blind_and_complete(study):
    page, key = study
    html = page.read_text()
    assert html.count("data:image/jpeg;base64,") == 8
    for word in ("EIF", "ELIM", "women", ".png"):
        assert word not in re.sub(r"base64,[^\"]+", "", html)
    assert not re.search(r'(src|href)="(?!data:)', html)
    pictures = json.loads(key.read_text())["pictures"]
    assert {(p["method"], p["group"]) for p in pictures} == {
        (m, g) for m in ("EIF", "ELIM") for g in ("men", "women")
    }


def test_several_raters_become_a_table(study, tmp_path):
    _, key = study
    files = [
        save(tmp_path, key, "a", lambda p: 4 if p["method"] == "EIF" else 1),
        save(tmp_path, key, "b", lambda p: 3 if p["method"] == "EIF" else 2),
        save(tmp_path, key, "c", lambda p: 2),
    ]
    table = rating_table(read_ratings(files, key)).set_index(["group", "method"])
    row = table.loc[("men", "EIF")]
    assert row[["1", "2", "3", "4", "raters"]].tolist() == [0, 2, 2, 2, 3]
    assert row["real"] == pytest.approx(4 / 6)
    assert (row["low"], row["high"]) == (0.0, 1.0)
    assert table.loc[("men", "ELIM"), "real"] == 0
    text = as_markdown(table.reset_index())
    assert "| men | EIF | 0 | 2 | 2 | 2 | 67 [0, 100] | 3 |" in text


def test_one_rater_has_no_interval(study, tmp_path):
    _, key = study
    table = rating_table(read_ratings([save(tmp_path, key, "a", lambda p: 4)], key))
    assert table["low"].isna().all()
    assert "| men | EIF | 0 | 0 | 0 | 2 | 100 | 1 |" in as_markdown(table)


def test_table_1_of_the_eif_paper():
    """Its counts, as 18 raters would have saved them, give its shares."""
    counts, shares = {}, {}
    for method, fact in all_published():
        if fact.source.endswith("table 1"):
            if fact.metric == "rated_real":
                shares[fact.setting, method] = fact.value
            else:
                rating = int(fact.metric[-1])
                counts.setdefault((fact.setting, method), []).extend([rating] * int(fact.value))
    rows = [
        (f"rater {k}", method, group, rating)
        for (group, method), given in counts.items()
        for k, rating in enumerate(given)
    ]
    table = rating_table(pd.DataFrame(rows, columns=["rater", "method", "group", "rating"]))
    assert len(table) == len(shares) == 12
    for row in table.to_dict("records"):
        assert row["raters"] == 18
        assert round(100 * row["real"]) == shares[row["group"], row["method"]]
        assert row["low"] <= row["real"] <= row["high"]


def test_files_that_cannot_be_counted_are_said(study, tmp_path):
    _, key = study
    good = save(tmp_path, key, "a", lambda p: 1)
    twin = tmp_path / "twin.json"
    twin.write_text(good.read_text())
    with pytest.raises(DataError, match="both of 'a'"):
        read_ratings([good, twin], key)
    twin.write_text(good.read_text().replace(json.loads(key.read_text())["study"], "other"))
    with pytest.raises(DataError, match="another page"):
        read_ratings([twin], key)
    with pytest.raises(DataError, match="expected 1 to 4"):
        read_ratings([save(tmp_path, key, "b", lambda p: 5)], key)
    twin.write_text("[]")
    with pytest.raises(DataError, match="holds no ratings"):
        read_ratings([twin], key)
    with pytest.raises(DataError, match="holds no pictures"):
        pictures_below(tmp_path / "nowhere")
    Image.new("RGB", (4, 4)).save(tmp_path / "pictures" / "stray.png")
    with pytest.raises(DataError, match="in no folder of a method"):
        pictures_below(tmp_path / "pictures")


@pytest.mark.browser
@pytest.mark.slow
def test_a_rater_rates_by_keyboard(study, tmp_path):
    """The page in a browser: keys, back, the saved file, and the table of it."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium here (Debian: apt install chromium)")
    page_file, key = study
    with playwright.sync_playwright() as api:
        browser = api.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(page_file.as_uri())
        page.fill("#rater", "anna b")
        page.press("#rater", "Enter")
        for press in ("1", "x", "2", "Backspace", "3", "4", "4", "4", "4", "4", "4"):
            page.keyboard.press(press)
        assert page.is_visible("#end")
        with page.expect_download() as download:
            page.click("#last")
        saved = tmp_path / download.value.suggested_filename
        download.value.save_as(saved)
        browser.close()
    assert problems == []
    assert saved.name == "ratings-anna-b.json"
    given = json.loads(saved.read_text())
    assert [given["ratings"][picture] for picture in given["order"]] == [1, 3, 4, 4, 4, 4, 4, 4]
    assert rating_table(read_ratings([saved], key))[["1", "3", "4"]].sum().tolist() == [1, 1, 6]
