"""Words in tables: expressions, parts of a split, names; one spelling everywhere.

Whatever a reader returns passes through here once (`fer_bench.data.loading`), so that no reader
has rules of its own.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

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
    word = name.strip().lower()
    word = SYNONYMS.get(word, word)
    if word not in EXPRESSIONS:
        hint = did_you_mean(word, [*EXPRESSIONS, *SYNONYMS])
        raise DataError(f"unknown expression {name!r}: {hint}")
    return word


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


def plain(text: str) -> str:
    """Text without surrounding white space, in Unicode's composed form (NFC).

    Two spellings that look alike are one name: "Jos" with a composed or a combining accent.

    >>> plain("  Jose\u0301 ") == "Jos\u00e9"
    True
    """
    return unicodedata.normalize("NFC", text).strip()


def is_expression(name: str) -> bool:
    """Whether a word is a canonical name or a synonym, whatever its case.

    >>> is_expression("Happy"), is_expression("london")
    (True, False)
    """
    word = name.strip().lower()
    return word in EXPRESSIONS or word in SYNONYMS


def in_canonical_order(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the canonical names that occur, in canonical order.

    >>> in_canonical_order(["anger", "neutral", "anger"])
    ('neutral', 'anger')
    """
    present = set(names)
    return tuple(name for name in EXPRESSIONS if name in present)
