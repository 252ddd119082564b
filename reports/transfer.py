"""Train on A, test on B, as one page: a heat map a method, and the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from fer_bench.data.pages import render, write_page
from fer_bench.reports.figures.heat import written_heat
from fer_bench.reports.figures.style import TEXT_WIDTH, drawing
from fer_bench.reports.figures.svg import inline_svg
from fer_bench.reports.text import plain
from fer_bench.sweep.transfer import copies_said, sets_of

_TABLE = """<h2>Numbers</h2><div class="scroll"><table>
<tr>{% for name in columns %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for value in row %}<td>{{ value }}</td>{% endfor %}</tr>
{% endfor %}</table></div>
"""


def transfer_figure(
    matrix: pd.DataFrame, *, measure: str = "accuracy", paper: bool = False
) -> Figure:
    """A heat map a method: rows are trained on, columns tested on; framed: a set's own people.

    Sets share different numbers of classes, so cells are coloured by where the measure lies
    between one over that number (chance) and 1; what is written is the measure in percent.

    Args:
        matrix: as `fer_bench.sweep.transfer.transfer_matrix` gives it.
        measure: its name.
        paper: in the style of a paper instead of the page's.
    """
    sets, methods = sets_of(matrix), list(dict.fromkeys(matrix["method"]))
    columns = min(len(methods), 3)
    rows = -(-len(methods) // columns)
    side = (TEXT_WIDTH if paper else 9.5) / 3
    figure = Figure(figsize=(side * columns + 1.4, (side + 0.3) * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    image: Any = None
    for axes, method in zip(grid.flat, methods, strict=False):
        cells = matrix[matrix["method"] == method].set_index(["train", "test"])
        shown = [[_above_chance(cells, a, b) for b in sets] for a in sets]
        texts = [
            [
                f"{100 * cells.loc[(a, b), 'mean']:.0f}" if (a, b) in cells.index else ""
                for b in sets
            ]
            for a in sets
        ]
        image = written_heat(axes, shown, texts, rows=sets, columns=sets, square=True)
        axes.set_title(plain(method, 30))
        for i in range(len(sets)):
            axes.add_patch(Rectangle((i, i), 1, 1, fill=False, ec="#D55E00", lw=1.5))
    for axes in grid.flat[len(methods) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("Trained on")
    for axes in grid[-1]:
        axes.set_xlabel("Tested on")
    bar = figure.colorbar(image, ax=grid, shrink=0.8)
    bar.set_label(f"{measure.replace('_', ' ')}: 0 chance, 1 perfect")
    return figure


def write_transfer_page(
    matrix: pd.DataFrame, path: str | Path, *, measure: str = "accuracy"
) -> Path:
    """Write one self-contained HTML page about a matrix; returns its path."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    name = measure.replace("_", " ")
    sets = sets_of(matrix)
    with drawing(paper=False):
        figure = transfer_figure(matrix, measure=measure)
        svg = inline_svg(
            figure, alt=f"{name} of every method trained on one set, tested on another"
        )
    numbers = [
        [
            row["method"],
            row["train"],
            row["test"],
            f"{100 * row['mean']:.1f}",
            f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
            if row["low"] == row["low"]
            else "–",
            row["runs"],
            row["faces"],
            row["classes"],
        ]
        for row in matrix.to_dict("records")
    ]
    heads = ["Method", "Trained on", "Tested on", f"{name} (%)", "95 % interval"]
    table = render(_TABLE, columns=[*heads, "Runs", "Faces", "Classes"], rows=numbers)
    lead = (
        f"Every run embeds the faces of the other sets without adaptation; {name} in percent, on "
        "the classes that both sets have, chosen among those alone.",
        "Colours compare sets with different numbers of classes: 0 is one over that number, 1 is "
        "perfect. Framed cells are the set's own test people.",
        *copies_said(matrix),
    )
    return write_page(
        file, f"Transfer between {', '.join(sets)}", f"<p>{svg}</p>{table}", lead=lead
    )


def _above_chance(cells: pd.DataFrame, train: str, test: str) -> float:
    if (train, test) not in cells.index:
        return float("nan")
    row = cells.loc[(train, test)]
    chance = 1 / max(2, int(row["classes"]))
    return min(1.0, max(0.0, (float(row["mean"]) - chance) / (1 - chance)))
