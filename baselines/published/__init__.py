"""Numbers that sources print: one TOML file per source, one row per row of its tables."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from fer_bench.published import Published


def published(title: str) -> tuple[Published, ...]:
    """All that the sources here print of one method.

    Args:
        title: the method's name in tables, such as "EIF".

    >>> [p.value for p in published("adversarial branch")]
    [60.53]
    """
    return tuple(number for method, number in all_published() if method == title)


@cache
def all_published() -> tuple[tuple[str, Published], ...]:
    """(title of the method, number) of all sources, in the order of the files."""
    sources = (f for f in files(__name__).iterdir() if f.name.endswith(".toml"))
    return tuple(
        entry
        for file in sorted(sources, key=lambda f: f.name)
        for entry in _numbers(tomllib.loads(file.read_text(encoding="utf-8")))
    )


def _numbers(source: Mapping[str, Any]) -> Iterator[tuple[str, Published]]:
    for table in source["tables"]:
        metrics = table["metrics"]
        for method, setting, *cells in table["rows"]:
            for (metric, unit), cell in zip(metrics.items(), cells, strict=True):
                if cell == "":
                    continue
                own = cell if isinstance(cell, dict) else {"value": cell}
                yield (
                    method,
                    Published(
                        table["dataset"],
                        metric,
                        float(own["value"]),
                        f"{source['source']}, {table['where']}",
                        own.get("note", table.get("note", "")),
                        unit=unit,
                        setting=setting,
                    ),
                )
