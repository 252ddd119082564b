"""Expected failures: one clear sentence each, shown without a traceback, exit status 2."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches


class FerBenchError(Exception):
    """A failure the user can mend: bad input, an unknown name, a missing extra.

    The message is one sentence that names the file, the row or key, and the fix.
    The command line prints it and exits with status 2.
    """


class DataError(FerBenchError):
    """A data set cannot be read as described: names the file and the row."""


class ExperimentError(FerBenchError):
    """An experiment file or an override is wrong: names the key and the nearest valid one."""


class MethodError(FerBenchError):
    """A method adapter breaks the contract, or its training failed (non-finite loss)."""


class RunError(FerBenchError):
    """A run folder is damaged, foreign, or in use."""


class UnknownNameError(FerBenchError):
    """A name that is in no registry; says which names are near."""


class MissingExtraError(FerBenchError):
    """An optional package is needed: says which `pip install fer-bench[...]` brings it."""

    def __init__(self, package: str, extra: str, what: str) -> None:
        super().__init__(
            f"{what} needs the package {package!r}: install it with "
            f"`pip install 'fer-bench[{extra}]'`."
        )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a short hint with the nearest known names, or the list of all of them.

    Case, spaces and punctuation do not count: papers write RAF-DB, CK+ and InfoNCE.

    >>> did_you_mean("CKplus", ["ck+", "ck+48"])
    "did you mean 'ck+'?"
    >>> did_you_mean("dise-fer", ["dice-fer", "eif"])
    "did you mean 'dice-fer'?"
    >>> did_you_mean("x", ["dice-fer", "eif"])
    "known: 'dice-fer', 'eif'."
    """
    known = sorted(known)
    wanted = _bare(name)
    near = [k for k in known if _bare(k) == wanted][:3] or [
        k
        for bare in get_close_matches(wanted, sorted({_bare(k) for k in known}), n=3, cutoff=0.6)
        for k in known
        if _bare(k) == bare
    ][:3]
    if near:
        return "did you mean " + " or ".join(repr(n) for n in near) + "?"
    return "known: " + (", ".join(repr(n) for n in known) or "none") + "."


def _bare(name: str) -> str:
    """A name without case, spaces and punctuation."""
    folded = unicodedata.normalize("NFKC", str(name)).casefold().replace("+", "plus")
    return "".join(filter(str.isalnum, folded)) or folded
