"""How to get the same numbers again, and how to cite them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fer_bench import __version__
from fer_bench.reports.material import Material
from fer_bench.reports.sections.section import Section
from fer_bench.reports.summary import Summary
from fer_bench.reports.text import plain


def content(page: Material) -> Mapping[str, Any]:
    """Versions, folds, cost, the experiment, and a BibTeX entry."""
    runs = [run for row in page.summary.rows for run in row.runs.values()]
    return {
        "n_runs": len(runs),
        "seconds": sum(float(run["wall_s"] or 0) for run in runs),
        "bibtex": bibtex(page.summary),
    }


def bibtex(summary: Summary) -> str:
    """An entry for these results; what could end a field of it is left out."""
    title = re.sub(r"[{}\\@,\"#%~^$&_]", " ", plain(summary.title, 80))
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "results"
    note = f"folds {summary.fold_hash[:12]}, data {summary.data['fingerprint'][:12]}"
    return "\n".join(
        (
            f"@misc{{ferbench-{name},",
            f"  title = {{{' '.join(title.split())}}},",
            f"  howpublished = {{FER-Bench {__version__}}},",
            f"  year = {{{summary.created[:4]}}},",
            f"  note = {{{note}}},",
            "}",
        )
    )


SECTION = Section("repeat", "Repeat it", 110, content, without_rows=True)
