"""Jinja as the page uses it: everything from the data is escaped."""

from __future__ import annotations

import json
import unicodedata
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fer_bench.reports.figures.svg import inline_svg
from fer_bench.reports.text import UNITS, formatted, listed, p_text, plain
from fer_bench.terminal import counted, duration


@cache
def environment() -> Environment:
    """The environment of the page's templates, with filters for words and numbers."""
    out = Environment(
        loader=PackageLoader("fer_bench.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    out.policies["json.dumps_kwargs"] = {}  # Bokeh reads its references in order
    out.filters |= {
        "counted": counted,
        "heat": heat,
        "json": to_json_text,
        "listed": listed,
        "number": formatted,
        "p": p_text,
        "plain": _plain,
        "seconds": lambda seconds: "–" if seconds is None else duration(seconds),
        "unit": UNITS.__getitem__,
    }
    return out


def template_text(name: str) -> str:
    """A file of the templates as it is."""
    return files("fer_bench.reports").joinpath("templates", name).read_text(encoding="utf-8")


def svg(figure: Any, alt: str, *, cropped: bool = False) -> Markup | None:
    """A figure for the page, or None for none."""
    return None if figure is None else Markup(inline_svg(figure, alt=alt, cropped=cropped))


def heat(share: float) -> str:
    """A share in [0, 1] as text that the style sheet turns into a length or a colour."""
    return f"{min(1.0, max(0.0, share)):.3f}"


def to_json_text(value: Any) -> str:
    """Indented JSON; invisible characters as their escapes."""
    text = json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True)
    return "".join(
        c if c == "\n" or unicodedata.category(c)[0] != "C" else json.dumps(c)[1:-1] for c in text
    )


def _plain(text: Any, longest: int = 200) -> str:
    return plain(text, longest)
