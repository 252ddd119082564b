"""Words and numbers as every rendering prints them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from fer_bench.score import Style

DIGITS: dict[Style, int] = {"percent": 1, "ratio": 3, "nats": 2, "count": 0}
UNITS: dict[Style, str] = {"percent": "%", "nats": "nats", "ratio": "", "count": ""}
MINUS = "\N{MINUS SIGN}"
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def plain(text: Any, longest: int = 400) -> str:
    """One line without control and direction characters, cut to a readable length.

    >>> plain("two\\nlines"), plain("longer than that", longest=8)
    ('two lines', 'longer …')
    """
    clean = "".join(
        " " if c in "\n\r\t" else c
        for c in str(text)
        if unicodedata.category(c) not in _INVISIBLE or c in "\n\r\t"
    )
    clean = re.sub(r"\s+", " ", clean).strip()
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def formatted(value: float | None, style: Style, *, signed: bool = False) -> str:
    """A number as the page prints it; a missing one is an en dash.

    >>> formatted(0.8254, "percent"), formatted(0.41, "nats"), formatted(None, "ratio")
    ('82.5', '0.41', '–')
    """
    if value is None or value != value:
        return "–"
    number = 100 * value if style == "percent" else value
    text = f"{number:{'+' if signed else ''}.{DIGITS[style]}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def with_unit(value: float | None, style: Style) -> str:
    """The number and its unit.

    >>> with_unit(0.5, "percent"), with_unit(0.5, "ratio")
    ('50.0 %', '0.500')
    """
    return f"{formatted(value, style)} {UNITS[style]}".strip()


def p_text(p: float | None) -> str:
    """A p-value in three digits.

    >>> p_text(0.0421), p_text(0.0002), p_text(None)
    ('.042', '< .001', '–')
    """
    return "–" if p is None else "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0")


def listed(names: Iterable[str], *, most: int = 6) -> str:
    """Names in a sentence, apart by semicolons where one of them has a comma.

    >>> listed(["a", "b", "c"]), listed("abcdefgh", most=3), listed(["a", "b, c", "d"])
    ('a, b and c', 'a, b, c and 5 more', 'a; b, c; and d')
    """
    known = [plain(name, 60) for name in names]
    shown, more = known[:most], len(known) - most
    if more > 0:
        shown.append(f"{more} more")
    if len(shown) > 2 and any("," in name for name in shown):
        return f"{'; '.join(shown[:-1])}; and {shown[-1]}"
    return " and ".join([", ".join(shown[:-1]), *shown[-1:]] if len(shown) > 1 else shown)


def capitalised(text: str) -> str:
    """The text with its first letter in upper case, the rest as it is."""
    return text[:1].upper() + text[1:]


def file_names(labels: Iterable[str]) -> dict[str, str]:
    """Labels as distinct, harmless file names.

    >>> file_names(["EIF", "eif", "../x"])
    {'EIF': 'eif', 'eif': 'eif-2', '../x': 'x'}
    """
    out: dict[str, str] = {}
    for label in labels:
        base = re.sub(r"[^a-z0-9]+", "-", plain(label, 40).lower()).strip("-") or "row"
        name, i = base, 2
        while name in out.values():
            name, i = f"{base}-{i}", i + 1
        out[label] = name
    return out
