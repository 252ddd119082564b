"""Self-contained HTML pages with pictures in them."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from fer_bench.atomic import write_text

STYLE = """
:root { color-scheme: light dark; --ink: #1b1d22; --paper: #fff; --soft: #6b7280; --line: #d9dce3;
  --accent: #2458c5; --warn: #b45309 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ec; --paper: #15171b; --soft: #9aa1ad;
  --line: #343840; --accent: #8ab0ff; --warn: #fbbf24 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 76rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
p.soft, .soft { color: var(--soft) } .warn { color: var(--warn) }
img { max-width: 100%; image-rendering: auto } table { border-collapse: collapse }
td, th { padding: .2rem .7rem .2rem 0; text-align: left; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; vertical-align: top }
.scroll { overflow-x: auto }
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title><style>{{ style }}{{ extra_style }}</style></head>
<body><h1>{{ title }}</h1>
{% for line in lead %}<p class="soft">{{ line }}</p>
{% endfor %}{{ body }}</body></html>
"""


def render(template: str, **values: Any) -> str:
    """Fill a Jinja template; everything that is not marked safe is escaped."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(template).render(**values)


def write_page(
    file: Path, title: str, body: str, *, lead: tuple[str, ...] = (), extra_style: str = ""
) -> Path:
    """Write one page; `body` is HTML, the rest is text."""
    html = render(
        _PAGE,
        title=title,
        style=Markup(STYLE),
        extra_style=Markup(extra_style),
        lead=lead,
        body=Markup(body),
    )
    write_text(file, html)
    return file


def data_uri(image: Image.Image, *, quality: int | None = None) -> str:
    """A picture as text: PNG, or JPEG of a given quality."""
    buffer = io.BytesIO()
    if quality is None:
        image.save(buffer, "PNG")
    else:
        image.convert("RGB").save(buffer, "JPEG", quality=quality)
    kind = "png" if quality is None else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
