from __future__ import annotations

import json

import pytest
from matplotlib.figure import Figure

from fer_bench.reports import kept as kept_module
from fer_bench.reports.kept import KeptFigures


class Drawn:
    """A figure that counts how often it is drawn."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Figure:
        self.times += 1
        figure = Figure(figsize=(1, 1))
        figure.add_subplot()
        return figure


@pytest.fixture
def path(tmp_path):
    return tmp_path / "figures.json"


def test_what_did_not_change_is_not_drawn_again(path):
    draw, pages = Drawn(), []
    for _ in range(2):
        kept = KeptFigures(path)
        pages.append(kept.svg(draw, "a figure", shows=[1.0]))
        kept.save()
    assert draw.times == 1
    assert pages[0] == pages[1]
    assert "aria-label" in pages[0]


@pytest.mark.parametrize(
    "other",
    [
        {"alt": "a figure", "shows": [2.0]},
        {"alt": "another", "shows": [1.0]},
        {"alt": "a figure", "shows": [1.0], "cropped": True},
    ],
)
def test_what_changed_is_drawn(path, other):
    draw, kept = Drawn(), KeptFigures(path)
    kept.svg(draw, "a figure", shows=[1.0])
    kept.svg(draw, **other)
    assert draw.times == 2


def test_other_code_draws_anew(path, monkeypatch):
    draw = Drawn()
    for release in ("3.8.0", "3.9.0"):
        kept_module._style.cache_clear()
        monkeypatch.setattr(kept_module, "version", lambda name, release=release: release)
        kept = KeptFigures(path)
        kept.svg(draw, "a figure", shows=[1.0])
        kept.save()
    kept_module._style.cache_clear()
    assert draw.times == 2


def test_what_is_no_text_is_no_figure(path):
    draw, kept = Drawn(), KeptFigures(path)
    kept.svg(draw, "a figure", shows=0)
    kept.save()
    path.write_text(json.dumps(dict.fromkeys(json.loads(path.read_text()))))
    assert "None" not in KeptFigures(path).svg(draw, "a figure", shows=0)
    assert draw.times == 2


def test_there_may_be_no_figure(path):
    for _ in range(2):
        kept = KeptFigures(path)
        assert kept.svg(lambda: None, "no figure", shows=0) is None
        kept.save()


def test_figures_no_page_shows_are_forgotten(path):
    draw = Drawn()
    for shows in (1, 2, 1):
        kept = KeptFigures(path)
        kept.svg(draw, "a figure", shows=shows)
        kept.save()
    assert draw.times == 3


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"a":'])
def test_a_damaged_file_holds_no_figure(path, content):
    path.write_bytes(content)
    draw = Drawn()
    assert KeptFigures(path).svg(draw, "a figure", shows=0)
    assert draw.times == 1
