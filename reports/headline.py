"""What a result folder says in three sentences, as codes with values.

`Caution` carries them, so that they are worded in one catalogue; `headline` decides which.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fer_bench.cautions import Caution
from fer_bench.reports.columns import Column
from fer_bench.reports.eraser_curve import AboveCurve
from fer_bench.reports.failed import reasons_of
from fer_bench.reports.paired import Outlook
from fer_bench.reports.remarks import Remark
from fer_bench.reports.standing import ERASED, SOURCE, at_null, collapsed, null_of
from fer_bench.reports.summary import Row, Summary, Verdict
from fer_bench.reports.text import capitalised, formatted, listed, with_unit
from fer_bench.statistics.comparison import MIN_PAIRS

OFTEN = 0.8  # a difference seen four times in five is one that the sweep would have shown
BASELINES = {"erm": "ERM", "pixels": "pixels"}  # registered name -> what it is called
# What may void all numbers of given embeddings: read before any of them.
FIRST = frozenset(
    {"encoder-people-unknown", "tested-people-trained-on", "predictions-at-chance", "rows-copied"}
)


@dataclass(frozen=True)
class Headline:
    """Three sentences and a list.

    Attributes:
        best: who recognises best, and by how much; or that no run finished.
        leak: whether anybody keeps less of the person than an eraser leaves; or why none did.
        open: what these results cannot say, and what it would take.
        troubles: label -> why nothing can be claimed for that method.
        first: what may void all numbers, in words, with the rows it is said of.
    """

    best: Caution
    leak: Caution
    open: Caution
    troubles: Mapping[str, Caution]
    first: tuple[str, ...] = ()

    @property
    def sentences(self) -> list[str]:
        """The sentences in words."""
        return [capitalised(str(fact)) for fact in (self.best, self.leak, self.open)]

    @property
    def reasons(self) -> dict[str, list[str]]:
        """Why nothing can be claimed, in words without a full stop -> the methods it is said of."""
        out: dict[str, list[str]] = {}
        for label, why in self.troubles.items():
            out.setdefault(str(why).rstrip("."), []).append(label)
        return out


def headline(summary: Summary) -> Headline:
    """The headline of a result folder."""
    if not summary.rows or (summary.failures and not summary.of_role("method")):
        return _of_failures(summary)
    troubles = dict(_troubles(summary))
    first = tuple(_said_of(r, summary) for r in summary.cautions if r.kind and r.kind[0] in FIRST)
    return Headline(_best(summary), _leak(summary, troubles), _open(summary), troubles, first)


def _of_failures(summary: Summary) -> Headline:
    """The headline where no run of a method finished: how many, why, and what next."""
    states = Counter(failure.kind for failure in summary.failures)
    finished = sum(len(row.runs) for row in summary.rows)
    states["not begun"] = max(summary.planned - finished - states.total(), 0)
    runs = states.total()
    if states["failed"] == runs and not finished:
        state = Caution("all-failed", runs=runs)
    else:
        parts = [f"{n} {name}" for name, n in states.items() if n]
        code = "no-method-finished" if finished else "none-finished"
        state = Caution(code, states=", ".join(parts))
    main = reasons_of(summary.failures)[0]
    count = len(main.failures)
    share = f", for {count} of them" if count < runs else ""
    why = Caution("main-reason", share=share, reason=main.text.rstrip("."))
    troubles = dict(_troubles(summary)) if finished else {}  # else a section of its own says them
    return Headline(state, why, Caution("run-again"), troubles)


def _said_of(remark: Remark, summary: Summary) -> str:
    """A remark with the rows it is about, where these are not all."""
    everybody = not remark.rows or len(remark.rows) == len(summary.rows)
    return remark.text if everybody else f"{listed(remark.rows, most=4)}: {remark.text}"


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
        scored = any(row.scores for row in summary.rows)
        return Caution("recognition-unmeasured" if scored else "nothing-recognised")
    values = {"measure": _in_a_sentence(use), "value": _text(verdict.value.mean, use)}
    if at_null(verdict.value, use):
        chance = _text(null_of(verdict.value, use), use)
        return Caution("all-at-chance", chance=chance, **values)
    values |= {"best": verdict.best, "margins": _margins(summary, verdict, use)}
    if verdict.comparable == 1:
        return Caution("only-method", **values)
    if verdict.tied:
        return Caution("best-tied", tied=listed(verdict.tied, most=4), **values)
    return Caution("best-alone", **values)


def _margins(summary: Summary, verdict: Verdict, use: Column) -> str:
    """By how much the best is over ERM, pixels and chance, where they are there."""
    levels = {}
    best = summary.row(verdict.best).method
    for name, word in BASELINES.items():
        rows = [row for row in summary.rows if row.method == name and use.key in row.scores]
        if rows and name != best:
            usual = next((row for row in rows if row.label == row.title), rows[0])
            levels[word] = usual.scores[use.key].mean
    if verdict.value.null is not None:
        levels["chance"] = verdict.value.null
    gains = [_gain(verdict.value.mean - level, word, use) for word, level in levels.items()]
    return f" ({', '.join(gains)})" if gains else ""


def _gain(difference: float, word: str, use: Column) -> str:
    size = formatted(abs(difference), use.style)
    if word and size == formatted(0.0, use.style):
        return f"level with {word}"
    unit = " points" if use.style == "percent" else ""
    side = "above" if difference >= 0 else "below"
    return f"{size}{unit} {side} {word}"


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
    if column is None or not any(column.key in row.scores for row in summary.of_role("method")):
        return Caution("leak-unmeasured")
    if not trained:
        return Caution("leak-of-none")
    rivals = [row.label for row in trained if row.method != SOURCE]
    if not erased or not rivals or use is None:
        return _least(summary, trained, column)
    sound = {row.label for row in able}
    standings = [standing for standing in summary.above if standing.label in sound]
    return _against_eraser(standings, rivals, use)


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


def _against_eraser(standings: list[AboveCurve], trained: list[str], use: Column) -> Caution:
    """Who recognises better than ERM with an eraser does at the same leak."""
    if above := [s for s in standings if s.label in trained and s.above]:
        gains = [f"{s.label} by {_gain_of(s, use)}" for s in above]
        return Caution("above-eraser", gains=listed(gains))
    if controls := [s.label for s in standings if s.above]:
        return Caution("control-above-eraser", controls=listed(controls))
    decided = {s.label for s in standings if s.decided}
    if undecided := [label for label in trained if label not in decided]:
        return Caution("eraser-undecided", methods=listed(undecided))
    return Caution("none-above-eraser")


def _gain_of(standing: AboveCurve, use: Column) -> str:
    gain, low, high = (
        formatted(x, use.style) for x in (standing.gain, standing.low, standing.high)
    )
    unit = " points" if use.style == "percent" else ""
    return f"{gain}{unit} [{low}, {high}]"


def _open(summary: Summary) -> Caution:
    """What it would take to tell the methods apart."""
    use = summary.use
    verdict = summary.verdict(use.key) if use is not None else None
    if use is None or verdict is None or verdict.comparable < 2:
        return Caution("one-method")
    if at_null(verdict.value, use):
        return Caution("none-to-rank")
    pairs = min((d.n_pairs for d in verdict.against.values()), default=0)
    if not verdict.tied:
        return Caution("all-separated", pairs=pairs)
    open_ = _open_of(len(verdict.tied), verdict.comparable - 1)
    if any(verdict.against[label].verdict.code == "few-trainings" for label in verdict.tied):
        return Caution("takes-trainings", open=open_)
    if len(summary.folds) == 2:  # one degree of freedom, and no power is told from it
        return Caution("takes-folds", open=open_)
    if verdict.outlook is not None:
        return _outlook(verdict.outlook, use, open_)
    if "seeds" in verdict.missing:
        return Caution("one-seed", open=open_)
    code = "too-few-runs" if pairs < MIN_PAIRS else "not-separated-from-best"
    return Caution(code, open=open_, pairs=pairs, least=MIN_PAIRS)


def _open_of(tied: int, others: int) -> str:
    """How many of the other methods, as the start of a sentence."""
    if others == 1:
        return "the other method"
    return f"{tied} of {others} other methods"


def _in_a_sentence(column: Column) -> str:
    """The title without its capital, unless it is an abbreviation."""
    title = column.title
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


def _outlook(outlook: Outlook, use: Column, open_: str) -> Caution:
    """What a small difference would take, from the spreads of this sweep."""
    values: dict[str, str | int] = {
        "margin": _gain(outlook.difference, "", use).removesuffix(" above ").strip(),
        "chance": f"{outlook.chance:.0%}".replace("%", " %"),
        "seeds": outlook.seeds,
        "people": outlook.people,
        "open": open_,
    }
    if outlook.chance >= OFTEN:
        return Caution("would-be-seen", **values)
    if outlook.needed is None:
        return Caution("takes-seeds", **values)
    return Caution("takes-people", needed=outlook.needed, **values)


def _text(value: float | None, column: Column) -> str:
    return with_unit(value, column.style)
