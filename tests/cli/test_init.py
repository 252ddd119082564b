"""`fer-bench init`: from a folder to an experiment file that `run` accepts."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fer_bench.experiment import load_experiment
from fer_bench.sweep.plan import plan


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for word in ("grin", "neutral", "sad"):
        for person in ("anna", "ben", "cleo", "dan"):
            for i in range(3):
                path = tmp_path / "my photos" / word / person / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).resize((400, 380)).save(path, compress_level=1)
    return tmp_path / "my photos"


def test_the_file_can_be_planned_at_once(invoke, photographs):
    status, out, _ = invoke("init", photographs, "--label", "grin=happy")
    assert status == 0
    assert "neutral 12" in out
    assert "people: 4" in out
    assert "fer-bench data prepare" in out
    planned = plan(load_experiment("my-photos.toml"))
    assert len(planned.runs) == 4 * (4 * 2 + 2)
    assert not planned.skipped
    status, _, err = invoke("init", photographs, "--label", "grin=happy")
    assert status == 2
    assert "is there already" in err


def test_a_table_gives_the_file_its_name(invoke, photographs):
    rows = [f"{p},{p.parts[-3]},{p.parts[-2]}" for p in sorted(photographs.glob("*/*/*.png"))]
    table = photographs.parent / "faces.csv"
    table.write_text("\n".join(["path,expression,subject", *rows]), encoding="utf-8")
    status, out, err = invoke("init", table, "--label", "grin=happy")
    assert status == 0, err
    assert "wrote faces.toml" in out


def test_words_that_mean_no_expression_are_named_and_nothing_is_written(invoke, photographs):
    status, _, err = invoke("init", photographs)
    assert status == 2
    assert "unknown expression 'grin'" in err
    assert "--label WORD=EXPRESSION" in err
    assert not list(photographs.parent.glob("*.toml"))


@pytest.mark.parametrize("pair", ["grin", "grin=glad"])
def test_a_label_that_says_nothing_is_refused(invoke, photographs, pair):
    status, _, err = invoke("init", photographs, "--label", pair)
    assert status == 2
    assert len(err.strip().splitlines()) == 1
