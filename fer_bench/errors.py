"""Expected failures: one clear sentence each, shown without a traceback, exit status 2."""

from __future__ import annotations

import errno
import os
import shutil
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


_FULL = (errno.ENOSPC, errno.EDQUOT)


def disk_is_full(error: BaseException) -> bool:
    """Whether a failure is one of a full disk or an exhausted quota."""
    return isinstance(error, OSError) and error.errno in _FULL


def os_sentence(error: OSError) -> str:
    """What the operating system refused, in one sentence.

    >>> os_sentence(PermissionError(13, "Permission denied", "results/spec.json"))
    "'results/spec.json': permission denied."
    """
    why = (error.strerror or str(error) or type(error).__name__).rstrip(".")
    why = why[:1].lower() + why[1:]
    place = error.filename2 or error.filename
    if place is None:
        return f"the operating system refused: {why}."
    name = os.fsdecode(place)
    if os.path.islink(name) and not os.path.exists(name):
        why += f"; it is a link to {os.readlink(name)!r}, which is not there"
    if disk_is_full(error):
        why += f" ({free_space(name) / 2**20:.0f} MiB free)"
    return f"{name!r}: {why}."


def free_space(path: str | os.PathLike[str]) -> int:
    """Free bytes where a path is, or would be."""
    place = os.path.abspath(path)
    while not os.path.exists(place):
        place = os.path.dirname(place)
    return shutil.disk_usage(place).free


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a short hint with the nearest known names, or the list of all of them.

    Case, spaces and punctuation do not count: papers write RAF-DB, CK+ and InfoNCE.

    >>> did_you_mean("CKplus", ["ck+", "ck+48"])
    "did you mean 'ck+'?"
    >>> did_you_mean("dise-fer", ["dice-fer", "eif"])
    "did you mean 'dice-fer'?"
    >>> did_you_mean("x", ["dice-fer", "eif"])
    "known: 'dice-fer', 'eif'."
    >>> did_you_mean("x", ["eif", "eif"])  # as an option of a reader and of all data sets
    "known: 'eif'."
    """
    known = sorted(set(known))
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
