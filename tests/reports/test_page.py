"""The page as a file: complete in itself, escaped, private where the terms say so."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
from html.parser import HTMLParser

import pandas as pd
import pytest

from fer_bench.errors import FerBenchError
from fer_bench.reports.page import write_report
from fer_bench.reports.sections.limits import numbered
from fer_bench.runs.store import RunStore, seal

VOID = {"meta", "link", "input", "br", "img", "hr", "col"}


class Reader(HTMLParser):
    """Tags with attributes, texts of scripts, headings, ids; complains about broken nesting."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.stack, self.scripts, self.headings = [], [], [], []
        self.feed(text)
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag in ("h1", "h2", "h3", "h4"):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.stack.pop() == tag

    def handle_data(self, data):
        if self.stack and self.stack[-1] == "script":
            attrs, text = self.scripts[-1]
            self.scripts[-1] = (attrs, text + data)


@pytest.fixture(scope="module")
def text(page):
    return page.read_text("utf-8")


@pytest.fixture(scope="module")
def reader(text):
    return Reader(text)


def test_page_loads_nothing(text, reader):
    for tag, attrs in reader.tags:
        for name in ("src", "href", "xlink:href", "action", "poster"):
            value = attrs.get(name) or ""
            assert value == "" or value.startswith(("#", "data:")), (tag, name, value[:80])
    style = re.findall(r"<style>(.*?)</style>", text, re.S)
    assert not re.search(r"@import|url\((?!data:)", "".join(style))


def test_page_is_small(page):
    assert page.stat().st_size < 5e6


def test_nothing_makes_the_browser_style_the_page_again_and_again(text):
    """A style sheet in each figure, or a sheet of faces in a variable, costs seconds."""
    head, body = text.split("</head>")
    assert head.count("<style") == 2
    assert "<style" not in body
    assert text.count("url(data:image/webp") == 1
    assert "--sheet: url" not in text


def test_only_listed_scripts_may_run(reader):
    (policy,) = [a["content"] for t, a in reader.tags if t == "meta" and "http-equiv" in a]
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "script-src 'unsafe-inline'" not in policy
    allowed = set(re.findall(r"sha256-([A-Za-z0-9+/=]+)", policy))
    digests = {
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        for attrs, script in reader.scripts
        if attrs.get("type") != "application/json"
    }
    assert digests == allowed


def test_headings_do_not_skip_a_level(reader):
    assert reader.headings[0] == 1
    assert reader.headings.count(1) == 1
    for above, below in zip(reader.headings, reader.headings[1:], strict=False):
        assert below <= above + 1


def test_ids_are_unique_and_links_lead_somewhere(reader):
    ids = [a["id"] for _, a in reader.tags if a.get("id")]
    own = [i for i in ids if not re.match(r"[mpc][0-9a-f]{10}|.*_\d+$|image", i)]
    assert len(set(own)) == len(own)
    links = [
        a["href"][1:] for t, a in reader.tags if t == "a" and a.get("href", "").startswith("#")
    ]
    assert set(links) <= set(ids)


def test_figures_have_words(reader):
    for tag, attrs in reader.tags:
        if tag == "svg" and attrs.get("aria-hidden") != "true":
            assert attrs.get("role") == "img"
            assert len(attrs["aria-label"]) > 10
        if attrs.get("class") == "face":
            assert attrs["aria-label"]


def test_page_says_what_is_best_what_failed_and_what_is_uncertain(text, summary):
    words = html.unescape(re.sub(r"<[^>]+>", "", text))
    assert "has the best accuracy" in words
    assert "cannot be told" in words
    assert "not finite in batch 3" in words
    for remark in numbered(summary).values():
        assert remark.text in words
    for row in summary.rows:
        assert row.label in words
    assert "f01d" * 16 in words


def test_leaderboard_prints_the_means_of_the_summary(text, summary):
    for row in summary.of_role("method"):
        mean = row.scores["classification/test.accuracy"].mean
        line = text[text.index(f"<bdi>{row.label}</bdi></a>") :].split("</tr>")[0]
        assert f"{100 * mean:.1f} <span" in line


def test_faces_follow_the_terms(closed_results, tmp_path):
    closed, blurred, shown = (
        write_report(
            closed_results, maps="none", faces=faces, out=tmp_path / f"{faces}.html"
        ).read_text("utf-8")
        for faces in (None, "blur", "show")
    )
    assert "data:image/webp" not in closed
    assert "the terms do not allow publication" in closed
    sheets = [
        re.search(r"url\(data:image/webp;base64,([^)]+)\)", page)[1] for page in (blurred, shown)
    ]
    assert len(sheets[0]) < 0.6 * len(sheets[1])  # detail is gone
    assert "although the terms do not allow" in shown


def test_wrong_options_are_one_sentence(results):
    with pytest.raises(FerBenchError, match="use 'show', 'blur' or 'none'"):
        write_report(results, faces="hide")
    with pytest.raises(FerBenchError, match="use 'both'"):
        write_report(results, maps="pca")


def test_a_failing_page_leaves_the_old_one(results, tmp_path, monkeypatch):
    target = tmp_path / "report.html"
    target.write_text("old")
    monkeypatch.setattr("fer_bench.reports.page.page_of", lambda material: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_report(results, out=target, maps="none")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_folder_without_scores_thumbnails_or_experiment(small_results, tmp_path):
    root = shutil.copytree(small_results, tmp_path / "bare")
    for path in [*root.glob("runs/*/scores.json"), *root.glob("data/*.npz")]:
        path.unlink()
    (root / "experiment.json").unlink()
    for path in root.glob("runs/*/history.csv"):
        path.write_text("stage,epoch,split,player,term,value\n")
        seal(path.parent, path.parent.name)
    words = write_report(root, maps="none").read_text("utf-8")
    assert "there is nothing to compare" in words


def test_missing_subjects_and_labels_stay_unknown(small_results, tmp_path):
    root = shutil.copytree(small_results, tmp_path / "unknown")
    for path in root.glob("runs/*/parts/test.parquet"):
        table = pd.read_parquet(path)
        table["subject"] = None
        table.loc[0, "expression"] = None
        table.to_parquet(path, index=False)
        seal(path.parents[1], path.parents[1].name)
    assert "subject unknown" in write_report(root, maps="tsne").read_text("utf-8")


def test_summary_json_is_beside_the_page(results, page):
    assert json.loads((results / "summary.json").read_text("utf-8"))["title"] == "simulated"
    assert RunStore(results).records()


def test_a_gap_of_groups_stands_with_its_p_value(text):
    cells = re.findall(r"<th scope=\"row\"><bdi>Gap</bdi>.*?</tr>", text, re.S)
    assert cells
    assert all(re.search(r"<small>p (1\.000|\.\d{3}|&lt; \.001)</small>", cell) for cell in cells)
