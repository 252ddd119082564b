"""The page: one self-contained HTML file, a section after the other.

Everything is inside the file (style, script, figures, faces), every string from the data is
escaped by Jinja, and the page's own content security policy lets nothing run but the scripts
that are listed in it by their hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from markupsafe import Markup

from fer_bench.atomic import write_text
from fer_bench.lifetime import objects_frozen
from fer_bench.reports.faces import Faces
from fer_bench.reports.figures.style import drawing
from fer_bench.reports.maps import MAX_POINTS, Which
from fer_bench.reports.material import Material
from fer_bench.reports.rendering import environment, template_text
from fer_bench.reports.sections import sections
from fer_bench.reports.sections.section import Section


def write_report(
    root: str | Path,
    *,
    out: str | Path | None = None,
    faces: Faces | None = None,
    against: str | Path | None = None,
    maps: Which = "both",
    max_points: int = MAX_POINTS,
    answers: str | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Path:
    """Write the HTML report of a result folder.

    Args:
        root: result folder.
        out: the file to write; `<root>/report.html` by default.
        faces: "show", "blur" or "none"; by default what the experiment says, else "show" where
            the terms of the data allow publication and "none" where not.
        against: another result folder; then the page opens with what changed since.
        maps: "both", "tsne", "umap" or "none". Maps are computed once and kept with the runs.
        max_points: points drawn in a map, at most.
        answers: an attribute reader ("clip", "tiny-clip"), whose answers about test faces are
            shown; by default what the experiment says.
        progress: told what is done next.

    Returns:
        The path of the page.

    Raises:
        FerBenchError: nothing was run, or an option is unknown.
    """
    material = Material(
        root, faces=faces, against=against, maps=maps, max_points=max_points, answers=answers,
        progress=progress,
    )  # fmt: skip
    with objects_frozen():  # the scores of a thousand runs
        html = page_of(material)
    material.figures.save()
    target = Path(out) if out is not None else material.store.root / "report.html"
    write_text(target, html)
    return target


def page_of(material: Material) -> str:
    """The text of the page."""
    written: list[tuple[Section, Markup]] = []
    with drawing(paper=False):
        for section in sections():
            if not (material.summary.rows or section.without_rows):
                continue
            material.progress(section.title)
            rendered = section.render(material)
            if rendered is not None:
                written.append(rendered)
    scripts = _scripts(with_maps=bool(material.maps))
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            page=material,
            s=material.summary,
            sections=written,
            scripts=scripts,
            policy=_policy(scripts.values()),
            style=Markup(template_text("style.css")),
        )
    )


def _scripts(*, with_maps: bool) -> dict[str, Markup]:
    """The page's scripts by name, each a text that goes between script tags unchanged."""
    out = {"page": template_text("page.js")}
    if with_maps:
        from bokeh.resources import Resources

        resources = Resources(mode="inline", components=["bokeh"])
        out["bokeh"] = "\n".join(resources.js_raw)
        out["maps"] = template_text("maps.js")
    # A closing tag inside a library's string literal would end the script element.
    return {name: Markup(text.replace("</script", "<\\/script")) for name, text in out.items()}


def _policy(scripts: Iterable[Markup]) -> str:
    hashes = " ".join(
        "'sha256-" + base64.b64encode(hashlib.sha256(str(s).encode()).digest()).decode() + "'"
        for s in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
    )
