"""One picture of how a method is trained: its stages, players, frozen parts and losses.

`fer_bench.training.stages.training_plan` states what an adapter says of itself as plain data, which
a run keeps; `plan_svg` draws it. The same picture stands in a method's card and on the page of
results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

Plan = Sequence[Mapping[str, Any]]
Terms = Mapping[tuple[str, str], Sequence[str]]
"""(stage, player) -> names of its loss terms, without "total"."""

_WIDTH, _GAP, _PAD, _LINE = 300, 44, 14, 17
_WRAP = 40  # characters of a line
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1b1d22 }
.head { font-weight: 600; font-size: 14px } .soft { fill: #6b7280 }
.stage { fill: #f6f7f9; stroke: #d9dce3 } .player { fill: #fff; stroke: #2458c5 }
.frozen { fill: none; stroke: #9aa1ad; stroke-dasharray: 4 3 }
.arrow { stroke: #6b7280; stroke-width: 1.5; fill: none }
@media (prefers-color-scheme: dark) { text { fill: #e6e8ec } .soft { fill: #9aa1ad }
  .stage { fill: #1d2026; stroke: #343840 } .player { fill: #15171b; stroke: #8ab0ff } }
"""


def plan_svg(plan: Plan, title: str, terms: Terms | None = None) -> str:
    """The picture of a plan, as SVG text that stands alone.

    Args:
        plan: of `training_plan`.
        title: of the picture, such as the method's name.
        terms: loss terms where they are known; those with a claim are known without.

    >>> svg = plan_svg([], "pixels (PCA)")
    >>> svg.startswith("<svg"), "is not trained" in svg
    (True, True)
    """
    columns = [_column(stage, terms or {}) for stage in plan]
    height = max((_height(column) for column in columns), default=_LINE) + 2 * _PAD + 2 * _LINE
    width = max(len(columns), 1) * (_WIDTH + _GAP) - _GAP + 2 * _PAD
    parts = [_text(_PAD, _PAD + _LINE, title, "head")]
    if not columns:
        parts.append(_text(_PAD, _PAD + 2.4 * _LINE, "is not trained by gradient descent", "soft"))
    for k, column in enumerate(columns):
        left, top = _PAD + k * (_WIDTH + _GAP), _PAD + 2 * _LINE
        parts.append(_drawn(column, left, top))
        if k:
            middle = top + 30
            parts.append(
                f'<path class="arrow" d="M{left - _GAP + 6} {middle}H{left - 8}m-6 -5l6 5l-6 5"/>'
            )
    label = escape(f"How {title} is trained", quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" '
        f'width="{width}" height="{height:.0f}" role="img" aria-label="{label}">'
        f"<style>{_STYLE}</style>{''.join(parts)}</svg>"
    )


Box = tuple[str, list[tuple[str, str]]]  # class of the frame, and (class, text) of its lines


def _column(stage: Mapping[str, Any], terms: Terms) -> list[Box]:
    """The boxes of a stage, from top to bottom; the first has no frame of its own."""
    kept = {"prediction": "best prediction", "loss": "best loss", "last": "last epoch"}
    facts = f"{stage['batch']}, {stage['share']:g} of the epochs, keeps the {kept[stage['select']]}"
    boxes: list[Box] = [("", [("head", str(stage["name"])), *_lines(facts, "soft")])]
    for player in stage["players"]:
        lines = [("head", player["name"])]
        lines += _lines("owns " + ", ".join(player["modules"]), "soft")
        if player["steps"] != 1:
            lines += _lines(f"{player['steps']} steps a batch", "soft")
        effects = {claim["term"]: claim for claim in player["claims"]}
        known = dict.fromkeys([*terms.get((stage["name"], player["name"]), ()), *effects])
        for term in known:
            claim = effects.get(term)
            if term == "total" and claim is None:
                continue
            arrow = {None: "", "raises": "\u2191 ", "lowers": "\u2193 "}[claim and claim["effect"]]
            what = f": {claim['what']}" if claim and claim["what"] else ""
            lines += _lines(f"{arrow}{term}{what}", "")
        boxes.append(("player", lines))
    if stage["frozen"]:
        boxes.append(("frozen", _lines("frozen: " + ", ".join(stage["frozen"]), "soft")))
    return boxes


def _lines(text: str, kind: str) -> list[tuple[str, str]]:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + len(word) + 1 > _WRAP:
            lines.append((kind, line))
            line = ""
        line = f"{line} {word}".strip()
    return [*lines, (kind, line)]


def _height(boxes: Sequence[Box]) -> float:
    return _PAD + sum(len(lines) * _LINE + 1.6 * _PAD for _, lines in boxes)


def _drawn(boxes: Sequence[Box], left: float, top: float) -> str:
    parts = [
        f'<rect class="stage" x="{left}" y="{top}" width="{_WIDTH}" height="{_height(boxes):.0f}" '
        'rx="6"/>'
    ]
    y = top + _PAD / 2
    for frame, lines in boxes:
        high = len(lines) * _LINE + _PAD * 0.8
        if frame:
            parts.append(
                f'<rect class="{frame}" x="{left + 8}" y="{y:.1f}" width="{_WIDTH - 16}" '
                f'height="{high:.1f}" rx="4"/>'
            )
        for k, (kind, text) in enumerate(lines):
            parts.append(_text(left + 18, y + _LINE * (k + 1) - 1, text, kind))
        y += high + 0.8 * _PAD
    return "".join(parts)


def _text(x: float, y: float, text: str, kind: str) -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:.1f}"{style}>{escape(text)}</text>'
