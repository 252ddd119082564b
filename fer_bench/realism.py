"""Realism ratings of generated pictures, as in table 1 of the EIF paper.

`rating_page` writes one page that shows pictures blind, in an order of its own for every rater,
and takes ratings from 1 to 4 by keyboard. What it saves, one JSON file a rater, `rating_table`
turns into the table, with intervals over raters. Which picture is whose stands in a key file that
raters do not get.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from fer_bench.data.pages import data_uri, render, write_page
from fer_bench.errors import DataError
from fer_bench.statistics.bootstrap import bootstrap_draws, cluster_sums

RATINGS = (1, 2, 3, 4)
REAL = 3  # ratings from here on count as real
SHOWN_SIDE = 512
DRAWS = 2000
_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


@dataclass(frozen=True)
class Picture:
    """One picture to be rated.

    Attributes:
        id: what the page and the ratings call it; says nothing of where it is from.
        method, group: whose it is, and the set it belongs to ("" where there is one set).
        path: of the file.
    """

    id: str
    method: str
    group: str
    path: str


def pictures_below(root: str | Path) -> list[Picture]:
    """The pictures of a folder `<method>/[<group>/]<picture>`.

    Raises:
        DataError: there is none, or one lies outside the folder of a method.
    """
    root = Path(root)
    files = sorted(p for p in root.rglob("*") if p.suffix.lower() in _ENDINGS and p.is_file())
    pictures = []
    for file in files:
        parts = file.relative_to(root).parts
        if len(parts) < 2:
            raise DataError(f"{file} is in no folder of a method: use {root}/<method>/{file.name}.")
        name = "/".join(parts)
        content = name.encode("utf-8", "surrogateescape") + file.read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:16]
        path = str(file.relative_to(root))
        pictures.append(Picture(digest, parts[0], "/".join(parts[1:-1]), path))
    if not pictures:
        raise DataError(f"{root} holds no pictures: use <method>/[<group>/]<picture>.png.")
    return pictures


def rating_page(root: str | Path, out: str | Path, *, title: str = "How real is it?") -> Path:
    """Write the page for raters, and beside it the key of its pictures.

    Args:
        root: folder `<method>/[<group>/]<picture>`.
        out: the page; the key is `<out>.key.json`.
        title: of the page.

    Returns:
        The key file.

    Raises:
        DataError: there are no pictures, or one cannot be read.
    """
    root, out = Path(root), Path(out)
    pictures = pictures_below(root)
    shown = {p.id: _shown(root / p.path) for p in pictures}
    study = hashlib.sha256("".join(sorted(shown)).encode()).hexdigest()[:12]
    content = json.dumps({"study": study, "pictures": shown}).replace("<", "\\u003c")
    out.parent.mkdir(parents=True, exist_ok=True)
    body = render(_BODY, content=Markup(content), script=Markup(_SCRIPT))
    write_page(out, title, body, extra_style=_STYLE)
    key = out.with_name(out.name + ".key.json")
    key.write_text(
        json.dumps({"study": study, "pictures": [vars(p) for p in pictures]}, indent=1),
        encoding="utf-8",
    )
    return key


def _shown(file: Path) -> str:
    try:
        with Image.open(file) as image:
            image.load()
            image.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
            return data_uri(image.convert("RGB"), quality=92)
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{file} cannot be decoded: {error}") from None


def read_ratings(files: Sequence[str | Path], key: str | Path) -> pd.DataFrame:
    """All ratings, one row each: rater, method, group, rating.

    Args:
        files: what raters saved, one JSON file each.
        key: of the page, beside it.

    Raises:
        DataError: a file is no such JSON, is of another page, or two are of one rater.
    """
    known = _json(Path(key), "pictures")
    pictures = {p["id"]: p for p in known["pictures"]}
    rows: list[tuple[str, str, str, int]] = []
    raters: dict[str, Path] = {}
    for file in map(Path, files):
        saved = _json(file, "ratings")
        if saved.get("study") != known["study"]:
            raise DataError(f"{file} belongs to another page than {key}: give the key of its page.")
        rater = str(saved.get("rater") or file.stem)
        if rater in raters:
            raise DataError(f"{raters[rater]} and {file} are both of {rater!r}: leave one out.")
        raters[rater] = file
        for picture, rating in saved["ratings"].items():
            if rating not in RATINGS or picture not in pictures:
                raise DataError(f"{file}: {picture!r} is rated {rating!r}: expected 1 to 4.")
            of = pictures[picture]
            rows.append((rater, of["method"], of["group"], int(rating)))
    if not rows:
        raise DataError("no picture is rated in these files.")
    return pd.DataFrame(rows, columns=["rater", "method", "group", "rating"])


def _json(file: Path, field: str) -> Mapping[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or field not in content or "study" not in content:
            raise ValueError
    except (OSError, ValueError):
        raise DataError(
            f"{file} holds no {field} of a rating page: give what the page saved."
        ) from None
    return content


def rating_table(ratings: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Table 1 of the EIF paper: how often each rating was given, and the share of 3 and 4.

    Args:
        ratings: rows of `read_ratings`.
        seed: of the bootstrap.

    Returns:
        One row per group and method: "1" to "4" (counts), "real" (share in [0, 1]), "low" and
        "high" (95 % bootstrap interval over raters; NaN with one rater), "raters".

    >>> table = rating_table(pd.DataFrame({
    ...     "rater": ["a", "b", "c"], "method": "EIF", "group": "men", "rating": [4, 3, 1],
    ... }))
    >>> table[["1", "2", "3", "4"]].values.tolist(), float(round(table["real"][0], 3))
    ([[1, 0, 1, 1]], 0.667)
    """
    rows = []
    for (group, method), part in ratings.groupby(["group", "method"], sort=False):
        counts = {str(k): int((part["rating"] == k).sum()) for k in RATINGS}
        low, high = _interval(part, seed)
        real = float((part["rating"] >= REAL).mean())
        rows.append(
            {"group": group, "method": method, **counts, "real": real, "low": low, "high": high,
             "raters": part["rater"].nunique()}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _interval(part: pd.DataFrame, seed: int) -> tuple[float, float]:
    codes = pd.factorize(part["rater"])[0]
    if codes.max() < 1:
        return math.nan, math.nan
    real = (part["rating"] >= REAL).to_numpy(np.float64)
    sums = cluster_sums(np.stack([real, np.ones(len(real))], axis=1), codes)

    def share(total: NDArray[np.float64]) -> NDArray[np.float64]:
        return total[..., 0] / total[..., 1]

    draws = bootstrap_draws(sums, share, draws=DRAWS, seed=seed)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def as_markdown(table: pd.DataFrame) -> str:
    """The table in Markdown; a share is in per cent with its interval."""
    lines = ["| Pictures | Method | 1 | 2 | 3 | 4 | real (%) | raters |",
             "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for row in table.to_dict("records"):
        real = f"{100 * row['real']:.0f}"
        if row["low"] == row["low"]:
            real += f" [{100 * row['low']:.0f}, {100 * row['high']:.0f}]"
        counts = " | ".join(str(row[str(k)]) for k in RATINGS)
        group = row["group"] or "all"
        lines.append(f"| {group} | {row['method']} | {counts} | {real} | {row['raters']} |")
    return "\n".join(lines) + "\n"


_STYLE = """
body { max-width: 40rem; text-align: center }
#picture { width: min(32rem, 92vw); height: min(32rem, 60vh); object-fit: contain }
button { font: inherit; padding: .5rem 1rem; margin: .2rem; cursor: pointer }
.hide { display: none }
"""
_BODY = """
<form id="start"><p>You will see pictures of faces, one at a time. Say how real each one looks,
with the keys 1 to 4: 1 is not real at all, 4 is as real as a photograph. Backspace goes back to the
picture before. Nothing leaves this computer: at the end you save a file.</p>
<p><label>Your name or code <input id="rater" required maxlength="60" autocomplete="off"></label>
<button>Begin</button></p></form>
<main id="rate" class="hide"><p id="place" class="soft" role="status"></p>
<img id="picture" alt="The picture to be rated">
<p>{% for k, word in [(1, 'not real'), (2, 'rather not'), (3, 'rather real'), (4, 'real')] %}
<button type="button" data-rating="{{ k }}"><b>{{ k }}</b> {{ word }}</button>{% endfor %}</p>
<p><button type="button" id="back">Back</button>
<button type="button" id="save">Save</button></p></main>
<p id="end" class="hide">All pictures are rated. Thank you: save the file and give it to whoever
asked you.<br><button type="button" id="last">Save the ratings</button></p>
<script type="application/json" id="content">{{ content }}</script>
<script>{{ script }}</script>
"""
_SCRIPT = """
'use strict';
const content = JSON.parse(document.getElementById('content').textContent);
const get = id => document.getElementById(id);
let rater = '', order = [], at = 0, ratings = {};
const kept = () => 'fer-bench-' + content.study + '-' + rater;
function shuffled(ids) {
  const random = new Uint32Array(ids.length);
  crypto.getRandomValues(random);
  return ids.map((id, i) => [random[i], id]).sort((a, b) => a[0] - b[0]).map(x => x[1]);
}
function remember() {
  try { localStorage.setItem(kept(), JSON.stringify({order, at, ratings})); } catch (e) { }
}
function show() {
  const done = at >= order.length;
  get('rate').classList.toggle('hide', done);
  get('end').classList.toggle('hide', !done);
  if (done) return;
  get('picture').src = content.pictures[order[at]];
  get('place').textContent = 'Picture ' + (at + 1) + ' of ' + order.length;
}
function rate(value) {
  if (at >= order.length || get('rate').classList.contains('hide')) return;
  ratings[order[at]] = value;
  at += 1;
  remember();
  show();
}
function back() { if (rater && at > 0) { at -= 1; remember(); show(); } }
function save() {
  const text = JSON.stringify({study: content.study, rater, order, ratings}, null, 1);
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type: 'application/json'}));
  link.download = 'ratings-' + rater.replace(/[^A-Za-z0-9_-]+/g, '-') + '.json';
  link.click();
}
get('start').addEventListener('submit', event => {
  event.preventDefault();
  rater = get('rater').value.trim();
  if (!rater) return;
  order = shuffled(Object.keys(content.pictures));
  try {
    const before = JSON.parse(localStorage.getItem(kept()));
    if (before) ({order, at, ratings} = before);
  } catch (e) { }
  get('start').classList.add('hide');
  get('rate').classList.remove('hide');
  show();
});
document.addEventListener('keydown', event => {
  if (!rater || event.ctrlKey || event.altKey || event.metaKey) return;
  if ('1234'.includes(event.key) && event.key) { event.preventDefault(); rate(Number(event.key)); }
  if (event.key === 'Backspace' || event.key === 'ArrowLeft') { event.preventDefault(); back(); }
});
for (const button of document.querySelectorAll('[data-rating]'))
  button.addEventListener('click', () => rate(Number(button.dataset.rating)));
get('back').addEventListener('click', back);
get('save').addEventListener('click', save);
get('last').addEventListener('click', save);
"""
