"""Expression names: one spelling everywhere, and the maps that lead to it."""

from __future__ import annotations

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
