"""What a result folder says in three sentences, as codes with values.

`Caution` carries them, so that they are worded in one catalogue; `headline` decides which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fer_bench.cautions import Caution
from fer_bench.reports.columns import Column
from fer_bench.reports.paired import Outlook
from fer_bench.reports.standing import ERASED, at_null, collapsed, null_of
from fer_bench.reports.summary import Row, Summary, Verdict
from fer_bench.reports.text import capitalised, formatted, listed, with_unit
from fer_bench.statistics.comparison import MIN_PAIRS

BASELINES = {"erm": "ERM", "pixels": "pixels"}  # registered name -> what it is called


@dataclass(frozen=True)
class Headline:
    """Three sentences and a list.

    Attributes:
        best: who recognises best, and by how much.
        leak: whether anybody keeps less of the person than an eraser leaves.
        open: what these results cannot say, and what it would take.
        troubles: label -> why nothing can be claimed for that method.
    """

    best: Caution
    leak: Caution
    open: Caution
    troubles: Mapping[str, Caution]

    @property
    def sentences(self) -> list[str]:
        """The sentences in words."""
        return [capitalised(str(fact)) for fact in (self.best, self.leak, self.open)]

    @property
    def reasons(self) -> dict[str, list[str]]:
        """Why nothing can be claimed, in words -> the methods it is said of."""
        out: dict[str, list[str]] = {}
        for label, why in self.troubles.items():
            out.setdefault(str(why), []).append(label)
        return out


def headline(summary: Summary) -> Headline:
    """The headline of a result folder."""
    troubles = dict(_troubles(summary))
    return Headline(_best(summary), _leak(summary, troubles), _open(summary), troubles)


def _troubles(summary: Summary) -> Iterator[tuple[str, Caution]]:
    """Methods for which nothing can be claimed: failed, collapsed, or at chance."""
    labels = {row.label for row in summary.rows}
    for failure in summary.failures:
        if failure.label not in labels:
            yield failure.label, Caution("row-failed", reason=failure.reason)
    for row in summary.of_role("method"):
        use = summary.use
        value = row.scores.get(use.key) if use is not None else None
        if collapsed(row.scores):
            yield row.label, Caution("row-collapsed")
        elif use is not None and value is not None and at_null(value, use):
            yield row.label, Caution("row-at-chance", chance=_text(null_of(value, use), use))


def _best(summary: Summary) -> Caution:
    use = summary.use
    verdict = summary.verdict(use.key) if use is not None else None
    if use is None or verdict is None:
        return Caution("nothing-recognised")
    values = {"measure": _in_a_sentence(use), "value": _text(verdict.value.mean, use)}
    if at_null(verdict.value, use):
        chance = _text(null_of(verdict.value, use), use)
        return Caution("all-at-chance", chance=chance, **values)
    values |= {"best": verdict.best, "margins": _margins(summary, verdict, use)}
    if verdict.comparable == 1:
        return Caution("only-method", **values)
    if verdict.tied:
        return Caution("best-tied", tied=listed(verdict.tied, most=4), **values)
    return Caution("best-alone", others=verdict.comparable - 1, **values)


def _margins(summary: Summary, verdict: Verdict, use: Column) -> str:
    """By how much the best is over ERM, pixels and chance, where they are there."""
    levels = {
        word: row.scores[use.key].mean
        for name, word in BASELINES.items()
        for row in summary.rows
        if row.method == name and row.label != verdict.best and use.key in row.scores
    }
    if verdict.value.null is not None:
        levels["chance"] = verdict.value.null
    gains = [_gain(verdict.value.mean - level, word, use) for word, level in levels.items()]
    return f" ({', '.join(gains)})" if gains else ""


def _gain(difference: float, word: str, use: Column) -> str:
    unit = " points" if use.style == "percent" else ""
    side = "above" if difference >= 0 else "below"
    return f"{formatted(abs(difference), use.style)}{unit} {side} {word}"


def _leak(summary: Summary, troubles: Mapping[str, Caution]) -> Caution:
    use, column = summary.use, summary.about("leak")
    if not summary.data.get("n_subjects"):
        return Caution("leak-without-people")
    able = [
        row
        for row in summary.rows
        if column is not None and column.key in row.scores and row.label not in troubles
    ]
    erased = [row for row in able if row.method.startswith(ERASED)]
    trained = [row for row in able if row.role == "method" and row not in erased]
    if column is None or not trained:
        return Caution("leak-unmeasured")
    if not erased or use is None:
        return _least(summary, trained, column)
    return _against_eraser([row for row in able if use.key in row.scores], use, column)


def _least(summary: Summary, trained: list[Row], leak: Column) -> Caution:
    """Who keeps least of the person, where no eraser was run."""
    verdict = summary.verdict(leak.key)
    least = min(trained, key=lambda row: row.scores[leak.key].mean)
    value = _text(least.scores[leak.key].mean, leak)
    values = {"least": least.label, "measure": _in_a_sentence(leak), "value": value}
    rivals = {row.label for row in trained}
    tied = [] if verdict is None else [label for label in verdict.tied if label in rivals]
    if tied:
        return Caution("leak-tied", tied=listed(tied, most=4), **values)
    return Caution("leak-least", **values)


def _against_eraser(able: list[Row], use: Column, leak: Column) -> Caution:
    """Who keeps less of the person than what an eraser leaves at the same accuracy."""
    erased = [row for row in able if row.method.startswith(ERASED)]
    plain = [row for row in able if row not in erased and row.role != "oracle"]
    rivals = {row.label: _as_useful(row, erased, use) for row in plain}
    below = [row for row in plain if _leaks_less(row, rivals[row.label], leak)]
    if methods := [row.label for row in below if row.role == "method"]:
        return Caution("leak-below-eraser", methods=listed(methods))
    if below:
        return Caution("leak-control-below-eraser", controls=listed([row.label for row in below]))
    rated = [row.label for row in plain if row.role == "method" and row.method != "erm"]
    if beyond := [label for label in rated if not rivals[label]]:
        return Caution("leak-beyond-eraser", methods=listed(beyond))
    return Caution("leak-not-below-eraser")


def _as_useful(row: Row, erased: list[Row], use: Column) -> list[Row]:
    """The erased rows that are not beyond doubt less useful than a row."""
    least = _or_mean(row.scores[use.key].low, row, use)
    return [
        other
        for other in erased
        if use.key in other.scores and _or_mean(other.scores[use.key].high, other, use) >= least
    ]


def _or_mean(bound: float | None, row: Row, use: Column) -> float:
    return row.scores[use.key].mean if bound is None else bound


def _leaks_less(row: Row, rivals: list[Row], leak: Column) -> bool:
    """Whether a row leaks less than every erased row that is as useful, beyond doubt."""
    high = row.scores[leak.key].high
    lows = [other.scores[leak.key].low for other in rivals]
    return bool(lows) and high is not None and all(low is not None and high < low for low in lows)


def _open(summary: Summary) -> Caution:
    """What it would take to tell the methods apart."""
    use = summary.use
    verdict = summary.verdict(use.key) if use is not None else None
    if use is None or verdict is None or verdict.comparable < 2:
        return Caution("one-method")
    pairs = min((d.n_pairs for d in verdict.against.values()), default=0)
    open_, others = len(verdict.tied), verdict.comparable - 1
    if not open_:
        return Caution("all-separated", pairs=pairs, others=others)
    if any(verdict.against[label].verdict.code == "few-trainings" for label in verdict.tied):
        return Caution("takes-trainings", open=open_, others=others)
    if verdict.outlook is not None:
        return _outlook(verdict.outlook, use, open=open_, others=others)
    if "seeds" in verdict.missing:
        return Caution("one-seed", open=open_, others=others)
    code = "too-few-runs" if pairs < MIN_PAIRS else "not-separated-from-best"
    return Caution(code, open=open_, others=others, pairs=pairs, least=MIN_PAIRS)


def _in_a_sentence(column: Column) -> str:
    """The title without its capital, unless it is an abbreviation."""
    title = column.title
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


def _outlook(outlook: Outlook, use: Column, **counts: int) -> Caution:
    """What a small difference would take, from the spreads of this sweep."""
    values: dict[str, str | int] = {
        "margin": _gain(outlook.difference, "", use).removesuffix(" above ").strip(),
        "chance": f"{outlook.chance:.0%}".replace("%", " %"),
        "seeds": outlook.seeds,
        "people": outlook.people,
        **counts,
    }
    if outlook.needed is None:
        return Caution("takes-seeds", **values)
    if outlook.needed <= outlook.people:
        return Caution("would-be-seen", **values)
    return Caution("takes-people", needed=outlook.needed, **values)


def _text(value: float | None, column: Column) -> str:
    return with_unit(value, column.style)
