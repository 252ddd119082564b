"""Words in tables: expressions, parts of a split, names; one spelling everywhere.

Whatever a reader returns passes through here once (`fer_bench.data.loading`), so that no reader
has rules of its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from fer_bench.errors import DataError, did_you_mean

EXPRESSIONS: tuple[str, ...] = (
    "neutral",
    "happiness",
    "sadness",
    "surprise",
    "fear",
    "disgust",
    "anger",
    "contempt",
)
"""The canonical names, in the canonical order of label codes."""

SYNONYMS: dict[str, str] = {
    "happy": "happiness",
    "joy": "happiness",
    "smiling": "happiness",
    "sad": "sadness",
    "surprised": "surprise",
    "afraid": "fear",
    "fearful": "fear",
    "scared": "fear",
    "disgusted": "disgust",
    "angry": "anger",
    "contemptuous": "contempt",
}
"""Other words that mean exactly one canonical name; nothing else is guessed."""


def canonical(name: str) -> str:
    """Return the canonical expression of a word, whatever its case.

    Raises:
        DataError: the word is neither a name nor a synonym.

    >>> canonical("Happy")
    'happiness'
    >>> canonical("neutrall")
    Traceback (most recent call last):
    fer_bench.errors.DataError: unknown expression 'neutrall': did you mean 'neutral'?
    """
    word = plain(name).casefold()
    word = SYNONYMS.get(word, word)
    if word not in EXPRESSIONS:
        hint = did_you_mean(word, [*EXPRESSIONS, *SYNONYMS])
        raise DataError(f"unknown expression {name!r}: {hint}")
    return word


def expression_reader(
    labels: Mapping[str, str] | None = None, codes: Mapping[str, str] | None = None
) -> Callable[[object], str]:
    """A function from the words (or numbers) of a table to canonical expressions.

    What the user says a label means comes first, then the set's own codes, then the names and
    synonyms. Codes count as whole numbers: "3.0" is 3, and 3.7 is none.

    Args:
        labels: the user's meanings, the option `labels` of a reader.
        codes: the set's own meanings.

    Raises:
        DataError: `labels` is no mapping to expressions; the function raises it for a word that
            means none.

    >>> read = expression_reader({1: "happy"}, {"0": "neutral"})
    >>> read("1.0"), read(0), read("Angry ")
    ('happiness', 'neutral', 'anger')
    """
    if labels is not None and not isinstance(labels, Mapping):
        raise DataError(f"labels is {labels!r}: give a mapping such as {{'0': 'neutral'}}.")
    own: dict[str, str] = {}
    for label, name in (labels or {}).items():
        word, meaning = code_word(label), canonical(str(name))
        if own.setdefault(word, meaning) != meaning:
            raise DataError(f"labels gives {word!r} two meanings: {own[word]} and {meaning}.")
    known = {**(codes or {}), **own}

    @cache
    def read(label: object) -> str:
        word = code_word(label)
        if word in known:
            return known[word]
        if word in SYNONYMS or word in EXPRESSIONS:
            return canonical(word)
        help_ = f"say what it means with labels={{{plain(str(label))!r}: <expression>}}"
        if codes:
            raise DataError(f"unknown code {label!r}: known: {', '.join(known)}; {help_}")
        if re.match(r"[-+.\d]", word):
            raise DataError(f"unknown expression {label!r}: {help_}")
        hint = did_you_mean(word, [*known, *EXPRESSIONS, *SYNONYMS])
        raise DataError(f"unknown expression {label!r}: {hint} Or {help_}")

    return read


def code_word(label: object) -> str:
    """A label as it is compared: without case and surrounding spaces, "3.0" as "3".

    >>> code_word(" Happy"), code_word(3.0), code_word("03"), code_word("3.7")
    ('happy', '3', '03', '3.7')
    """
    word = plain(str(label)).casefold()
    whole = re.fullmatch(r"([-+]?\d+)\.0*", word)
    return whole[1] if whole else word


PARTS = ("train", "validation", "test")
PARTS_OF_A_SPLIT: dict[str, str] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "publictest": "validation",
    "test": "test",
    "testing": "test",
    "holdout": "test",
    "held-out": "test",
    "eval": "test",
    "privatetest": "test",
}
"""Words for the parts of an official split; case and surrounding spaces do not matter."""


def part_of_split(word: str) -> str:
    """Return "train", "validation" or "test" for a word of an official split.

    Raises:
        DataError: the word is none of `PARTS_OF_A_SPLIT`; what it means is never guessed.

    >>> part_of_split(" PublicTest ")
    'validation'
    """
    part = PARTS_OF_A_SPLIT.get(plain(word).casefold())
    if part is None:
        raise DataError(f"unknown split {word!r}: known: {', '.join(PARTS_OF_A_SPLIT)}")
    return part


INVISIBLE = "".join(c for c in map(chr, range(0x10000)) if c.isspace()) + (
    "\u200b\u200e\u200f\u2060\ufeff"
)
"""White space, and marks of width zero that programs leave around words."""


def is_split(word: str) -> bool:
    """Whether a word names a part of an official split.

    >>> is_split("Valid"), is_split("extra")
    (True, False)
    """
    return plain(word).casefold() in PARTS_OF_A_SPLIT


def plain(text: str) -> str:
    """Text without surrounding white space, in Unicode's composed form (NFC).

    Two spellings that look alike are one name: "Jos" with a composed or a combining accent, with
    or without an invisible mark at its end.

    >>> plain("  Jose\u0301 ") == "Jos\u00e9"
    True
    """
    return unicodedata.normalize("NFC", text).strip(INVISIBLE)


def is_expression(name: str) -> bool:
    """Whether a word is a canonical name or a synonym, whatever its case.

    >>> is_expression("Happy"), is_expression("london")
    (True, False)
    """
    word = plain(name).casefold()
    return word in EXPRESSIONS or word in SYNONYMS


def in_canonical_order(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once: expressions in canonical order, then other classes by name.

    Readers of faces let no other class pass; sets that are made may have classes of their own.

    >>> in_canonical_order(["anger", "neutral", "anger"]), in_canonical_order(["digit-1"])
    (('neutral', 'anger'), ('digit-1',))
    """
    present = set(names)
    known = tuple(name for name in EXPRESSIONS if name in present)
    return (*known, *sorted(present.difference(known)))
