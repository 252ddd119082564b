"""What a section is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from fer_bench.reports.material import Material
from fer_bench.reports.rendering import environment

Content = Callable[[Material], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading of its own.

    Attributes:
        name: of its template, and of the fragment that leads to it.
        title: its heading.
        order: where it stands; smaller is further up.
        content: what its template shows, beside `page` (the material) and `s` (the summary), and
            perhaps a "title" for this page; None leaves the section out.
        short: its title in the navigation, where that is another.
        style: further CSS classes.
        without_rows: whether it is also of use where no run finished.
    """

    name: str
    title: str
    order: int
    content: Content
    short: str = ""
    style: str = ""
    without_rows: bool = False

    def render(self, material: Material) -> tuple[Section, Markup] | None:
        """The section as titled here and its text, or None where it has nothing to say."""
        content = self.content(material)
        if content is None:
            return None
        template = environment().get_template(f"sections/{self.name}.html.j2")
        html = Markup(template.render(page=material, s=material.summary, **content))
        title = content.get("title")
        return (self if title is None else replace(self, title=title, short="")), html
