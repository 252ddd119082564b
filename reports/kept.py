"""Figures of a page, kept in the result folder by what they show: none is drawn twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

import fer_bench
from fer_bench.reports.rendering import svg
from fer_bench.runs.store import write_json


class KeptFigures:
    """Figures as text for a page, in one file of a result folder.

    Args:
        path: the file. One that is missing or damaged holds no figure.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = _read(path)
        self._used: dict[str, str] = {}

    def svg(
        self, draw: Callable[[], Any], alt: str, *, shows: Any, cropped: bool = False
    ) -> Markup | None:
        """A figure for the page, or None for none; drawn where the file does not have it.

        Args:
            draw: returns the figure, or None.
            alt: what it is, in words.
            shows: all that `draw` depends on, as something whose `repr` tells it apart.
            cropped: as for `rendering.svg`.
        """
        key = hashlib.sha256(repr((_style(), alt, cropped, shows)).encode()).hexdigest()
        if key not in self._known:
            self._known[key] = svg(draw(), alt, cropped=cropped) or ""
        self._used[key] = str(self._known[key])
        return Markup(self._known[key]) or None

    def save(self) -> None:
        """Keep the figures of this page and forget others."""
        with suppress(OSError):  # results that cannot be written to can be read
            write_json(self._path, self._used, indent=None)


def _read(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    known = content if isinstance(content, dict) else {}
    return {key: text for key, text in known.items() if isinstance(text, str)}


@cache
def _style() -> str:
    """Changes with the code that draws, ours and Matplotlib's."""
    modules = sorted(files("fer_bench.reports.figures").iterdir(), key=lambda module: module.name)
    code = b"".join(m.read_bytes() for m in modules if m.name.endswith(".py"))
    versions = f"{fer_bench.__version__} {version('matplotlib')}"
    return hashlib.sha256(code + versions.encode()).hexdigest()
