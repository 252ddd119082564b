"""What the numbers of a leaderboard are called, which way is better, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Style = Literal["percent", "ratio", "nats", "count"]


@dataclass(frozen=True)
class Column:
    """One number of a leaderboard.

    Attributes:
        key: "<metric>/<score key>", as in `scores.json`.
        title: in the head of a table.
        better: which way is better; "" where neither is (a target of zero, or a fact).
        style: how it is printed.
        meaning: one sentence for a reader who has never seen it.
        headline: what the best method is said to do best; "" keeps it out of the summary cards.
        null: what the value without any effect is called beside the number; "" leaves it out.
    """

    key: str
    title: str
    better: Literal["high", "low", ""]
    style: Style
    meaning: str
    headline: str = ""
    null: str = ""


COLUMNS: tuple[Column, ...] = (
    Column(
        "classification/test.accuracy",
        "Accuracy",
        "high",
        "percent",
        "Share of test faces whose expression is named rightly, on people never seen in training.",
        "names expressions most often right",
        null="chance",
    ),
    Column(
        "classification/test.balanced_accuracy",
        "Balanced acc.",
        "high",
        "percent",
        "Mean recall over the classes, so that rare expressions count as much as common ones.",
        null="chance",
    ),
    Column(
        "classification/test.macro_f1",
        "Macro F1",
        "high",
        "percent",
        "Mean F1 over the classes: rare expressions count as much as common ones.",
        "is best where every expression counts alike",
    ),
    Column(
        "affect/test.ccc.mean",
        "CCC",
        "high",
        "ratio",
        "Concordance of predicted and true valence and arousal, mean of both.",
        "follows valence and arousal best",
    ),
    Column(
        "leakage/E.identity.normalised",
        "Identity leak",
        "low",
        "percent",
        "Share of the identity readable from the pixels or from face-recognition features, "
        "whichever is more, that an attacker still reads from the expression embedding E: 0 % is "
        "chance, 100 % as much as from those.",
        "leaks least identity through its expression embedding",
    ),
    Column(
        "leakage/E.identity.strongest",
        "Identity from E",
        "low",
        "percent",
        "Accuracy of the strongest of several probes that name the person from the expression "
        "embedding; printed beside what guessing gives.",
        null="chance",
    ),
    Column(
        "leakage/E.identity.auc",
        "Verification AUC",
        "low",
        "ratio",
        "Same person or not, told from two expression embeddings of different expressions; "
        ".5 is guessing.",
    ),
    Column(
        "mig/mig",
        "MIG",
        "high",
        "nats",
        "What E tells of another person with the same expression, less what it tells of the same "
        "face's identity embedding, I(E_M; E_N) - I(E_M; I_M): below 0, more identity than "
        "expression.",
        "separates expression from identity most (MIG)",
        null="null",
    ),
    Column(
        "mig/normalised",
        "MIG, normalised",
        "high",
        "ratio",
        "The same gap with each term I on a bounded scale, 1 - exp(-2 I): from -1 (identity only) "
        "to 1 (expression only), comparable across embedding sizes.",
        null="null",
    ),
    Column(
        "classification/test.ece",
        "ECE",
        "low",
        "percent",
        "Expected calibration error: how far stated confidence is from the share that is right.",
    ),
)

BY_KEY = {column.key: column for column in COLUMNS}

# In the short table on top of the page; the full one follows in the details.
MAIN = (
    "classification/test.accuracy",
    "classification/test.macro_f1",
    "affect/test.ccc.mean",
    "leakage/E.identity.normalised",
    "leakage/E.identity.strongest",
    "mig/mig",
    "mig/normalised",
)


def formatted(value: float | None, style: Style, *, signed: bool = False) -> str:
    """A number as the page prints it; a missing one is an en dash.

    >>> formatted(0.8254, "percent"), formatted(0.41, "nats"), formatted(None, "ratio")
    ('82.5', '0.41', '–')
    """
    if value is None or value != value:
        return "–"
    digits = {"percent": 1, "ratio": 3, "nats": 2, "count": 0}[style]
    number = 100 * value if style == "percent" else value
    text = f"{number:+.{digits}f}" if signed else f"{number:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "\N{MINUS SIGN}")
