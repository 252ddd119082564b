"""A figure as part of the page."""

from __future__ import annotations

import io
import re
from html import escape

from matplotlib.figure import Figure

from fer_bench.reports.figures.style import FAINT, INK


def inline_svg(figure: Figure, *, alt: str, cropped: bool = True) -> str:
    """A figure as `<svg>` text for the page: its ink follows the theme, its names are escaped.

    `cropped` cuts off empty margins at the price of drawing twice: not needed where a figure
    fills its frame.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    text = io.StringIO()
    # A salt of its own keeps the ids of one figure from meaning those of another.
    with mpl.rc_context({"svg.hashsalt": alt, "svg.fonttype": "none"}):
        if cropped:
            figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
        else:  # `savefig` would draw it twice, the first time for nothing
            FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.S)
    # A style sheet inside a figure holds for the whole page: the browser would style the page
    # anew at every figure. The page's own sheet says the same once.
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.S)
    svg = re.sub(r'<g id="[^"]*"\s*/>', "", svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'(?<= d=")[^"]*', lambda path: _compact(path[0]), svg)
    svg = re.sub(r">\s+<", "><", svg)
    svg = svg.replace(INK, "currentColor").replace(FAINT, "var(--line)")
    svg = re.sub(r"font: (\S+) [^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    width = re.search(r' width="([\d.]+)pt"', svg)
    size = f"width:{float(width[1]) * 96 / 72:.0f}px" if width else ""
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}" style="{size}"', 1)


def _compact(path: str) -> str:
    """Path data with two decimals, on one line."""
    return re.sub(r"\d+\.\d+", lambda n: f"{float(n[0]):.2f}", " ".join(path.split()))
