"""The sections of the page: one file each, which computes what the section says.

A section is a module of this package with a `SECTION`, and a template of its name in
`templates/sections`. Both are found by being there.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_bench.reports.sections.section import Section


@cache
def sections() -> tuple[Section, ...]:
    """All sections from the top of the page to its end."""
    modules = (import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__))
    known = [module.SECTION for module in modules if hasattr(module, "SECTION")]
    return tuple(sorted(known, key=lambda section: section.order))
