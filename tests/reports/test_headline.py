"""The headline says what was planted, and no more."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from fer_bench.cautions import WORDINGS, Caution
from fer_bench.reports.aggregate import Difference, Ranking
from fer_bench.reports.columns import columns_about
from fer_bench.reports.eraser_curve import AboveCurve
from fer_bench.reports.headline import headline
from fer_bench.reports.paired import Outlook
from fer_bench.reports.remarks import Remark
from fer_bench.reports.sections.board import content
from fer_bench.reports.standing import sound
from fer_bench.reports.summary import USES, Failure, Verdict

LEAK = "leakage/E.identity.normalised"
SEPARATED, OPEN = Caution("separated", better="x"), Caution("not-separated", n=8, alpha=0.05)


def with_scores(row, **scores):
    """The row with other means: use=, leak= (mean, half width), null=."""
    out = dict(row.scores)
    null = scores.pop("null", 0.2)
    for key, (mean, half) in scores.items():
        place = {"use": "classification/test.accuracy", "leak": LEAK}[key]
        known = out.get(place) or next(iter(out.values()))
        out[place] = replace(known, mean=mean, low=mean - half, high=mean + half, floor=None,
                             null=null if key == "use" else None, cautions=())  # fmt: skip
    return replace(row, scores=out)


def difference(mean, *, separated, pairs=8):
    code = SEPARATED if separated else OPEN
    return Difference(mean, mean - 0.01, mean + 0.01, 0.01, 0.01, pairs, separated, code)


def planted(summary, use, *, separated, leak=None, null=0.2, pairs=8, people=True):
    """The summary with these accuracies of its four methods, and verdicts that fit them."""
    leak = leak or dict.fromkeys(use, (0.5, 0.05))
    rows = []
    for row in summary.rows:
        if row.role != "method":
            rows.append(row)
        elif row.label in use:
            rows.append(with_scores(row, use=use[row.label], leak=leak[row.label], null=null))
    out = replace(summary, rows=tuple(rows), failures=(), verdicts=(),
                  data=summary.data | {"n_subjects": 8 if people else 0})  # fmt: skip
    verdicts = [_verdict(out, out.use, high=True, separated=separated, pairs=pairs)]
    if people:
        verdicts.append(_verdict(out, out.about("leak"), high=False, separated=separated,
                                 pairs=pairs))  # fmt: skip
    return replace(out, verdicts=tuple(verdicts))


def _verdict(summary, column, *, high, separated, pairs):
    methods = summary.of_role("method")
    able = [row for row in methods if sound(row.scores, summary.use)] or methods
    best = (max if high else min)(able, key=lambda row: row.scores[column.key].mean)
    against = {
        row.label: difference(
            best.scores[column.key].mean - row.scores[column.key].mean,
            separated=separated, pairs=pairs,
        )
        for row in methods
        if row is not best
    }  # fmt: skip
    tied = () if separated else tuple(against)
    known = summary.row(best.label).scores[column.key]
    ranking = Ranking({}, 0, None, None, None, (), ())
    return Verdict(column.key, column.title, "", best.label, known, tied, against,
                   len(methods), ranking)  # fmt: skip


CLEAR = {"EIF": (0.8, 0.02), "ERM": (0.6, 0.02), "DICE-FER": (0.5, 0.02)}


def test_one_clear_winner(summary):
    verdict = headline(planted(summary, CLEAR, separated=True))
    assert (verdict.best.code, verdict.best.values["best"]) == ("best-alone", "EIF")
    assert (
        "20.0 points above ERM, 53.5 points above pixels, 60.0 points above chance"
        in verdict.sentences[0]
    )
    assert verdict.open == Caution("all-separated", pairs=8)
    assert verdict.troubles == {}


def test_variants_of_a_baseline_are_not_the_baseline(summary):
    won = planted(summary, {**CLEAR, "ERM": (0.9, 0.02)}, separated=True)
    variant = replace(won.row("ERM"), label="ERM, other batch", scores=won.row("EIF").scores)
    sentence = headline(replace(won, rows=(variant, *won.rows))).sentences[0]
    assert "above ERM" not in sentence  # ERM itself is the best
    assert "above pixels" in sentence
    level = planted(summary, {**CLEAR, "EIF": (0.6004, 0.02)}, separated=False)
    assert "(level with ERM, " in headline(level).sentences[0]
    won = planted(summary, CLEAR, separated=True)
    variant = replace(won.row("ERM"), label="ERM, other batch", scores=won.row("DICE-FER").scores)
    assert "20.0 points above ERM" in headline(replace(won, rows=(variant, *won.rows))).sentences[0]


@pytest.mark.parametrize(("pairs", "code"), [(3, "too-few-runs"), (9, "not-separated-from-best")])
def test_a_tie_names_who_is_tied_and_what_it_takes(summary, pairs, code):
    verdict = headline(planted(summary, CLEAR, separated=False, pairs=pairs))
    assert verdict.best.code == "best-tied"
    assert set(verdict.best.values["tied"].split(" and ")) == {"ERM", "DICE-FER"}
    assert verdict.open.code == code
    assert verdict.open.values["pairs"] == pairs


@pytest.mark.parametrize(
    ("outlook", "code", "words"),
    [
        (Outlook(0.05, 2, 15, 0.31, 60), "takes-people", "four times in five with 60 people"),
        (Outlook(0.05, 2, 15, 0.31, None), "takes-seeds", "no number of people is enough"),
        (Outlook(0.05, 5, 90, 0.93, 60), "would-be-seen", "seen 93 % of the time"),
    ],
)
def test_what_a_small_difference_would_take(summary, outlook, code, words):
    tie = planted(summary, CLEAR, separated=False)
    verdicts = tuple(replace(v, outlook=outlook) for v in tie.verdicts)
    verdict = headline(replace(tie, verdicts=verdicts)).open
    assert verdict.code == code
    assert words in str(verdict)
    assert "5.0 points" in str(verdict)


def test_too_few_trainings_are_named_before_people(summary):
    tie = planted(summary, CLEAR, separated=False)
    verdict = next(v for v in tie.verdicts if v.key == tie.use.key)
    other = verdict.tied[0]
    few = replace(verdict.against[other], verdict=Caution("few-trainings"))
    told = replace(verdict, against=verdict.against | {other: few})
    verdicts = tuple(told if v is verdict else v for v in tie.verdicts)
    assert headline(replace(tie, verdicts=verdicts)).open.code == "takes-trainings"


def test_one_seed_is_named_as_the_reason(summary):
    tie = planted(summary, CLEAR, separated=False)
    verdicts = tuple(replace(v, outlook=None, missing=("seeds", "folds")) for v in tie.verdicts)
    assert headline(replace(tie, verdicts=verdicts)).open.code == "one-seed"


def test_all_at_chance_is_no_victory(summary):
    guess = {"EIF": (0.22, 0.05), "ERM": (0.2, 0.05), "DICE-FER": (0.19, 0.05)}
    verdict = headline(planted(summary, guess, separated=False))
    assert verdict.best.code == "all-at-chance"
    assert verdict.best.values["chance"] == "20.0 %"
    assert {c.code for c in verdict.troubles.values()} == {"row-at-chance"}
    assert (verdict.leak.code, verdict.open.code) == ("leak-of-none", "none-to-rank")


def test_a_failed_method_stands_with_its_reason(summary):
    gone = Failure("x", "Broken", "broken", 0, 0, "failed", "the loss is not finite")
    verdict = headline(replace(planted(summary, CLEAR, separated=True), failures=(gone,)))
    assert verdict.troubles == {"Broken": Caution("row-failed", reason="the loss is not finite")}
    assert verdict.best.values["best"] == "EIF"


def test_where_references_and_oracles_alone_finished_the_failure_comes_first(summary):
    gone = [Failure(x, x, "erm", 0, 0, "failed", "it took 1 s.") for x in ("ERM", "EIF")]
    rows = tuple(row for row in summary.rows if row.role != "method")
    made = replace(summary, rows=rows, failures=tuple(gone), verdicts=(), planned=0)
    verdict = headline(made)
    assert verdict.best == Caution("no-method-finished", states="2 failed")
    assert "it took 1 s" in verdict.sentences[1]
    assert verdict.reasons == {"failed: it took 1 s": ["ERM", "EIF"]}
    board = content(SimpleNamespace(summary=made))
    assert [group["role"] for group in board["groups"]] == ["method", "reference", "oracle"]
    assert [failure.label for failure in board["gone"]] == ["ERM", "EIF"]


def test_a_collapsed_method_leaks_nothing_and_wins_nothing(summary):
    use = CLEAR | {"Adversarial branch": (0.4, 0.02)}
    leak = dict.fromkeys(use, (0.5, 0.05)) | {"Adversarial branch": (0.0, 0.01)}
    made = planted(summary, use, separated=True, leak=leak)
    rows = [
        replace(row, scores=row.scores | {LEAK: replace(
            row.scores[LEAK], cautions=(Caution("collapsed", rank=1.0),))})
        if row.label == "Adversarial branch" else row
        for row in made.rows
    ]  # fmt: skip
    verdict = headline(replace(made, rows=tuple(rows)))
    assert verdict.troubles == {"Adversarial branch": Caution("row-collapsed")}
    assert verdict.leak.values["least"] != "Adversarial branch"


def test_without_people_nothing_is_said_of_them(summary):
    verdict = headline(planted(summary, CLEAR, separated=True, people=False))
    assert verdict.leak == Caution("leak-without-people")


NOT_SHOWN = AboveCurve("EIF", 0.02, -0.01, 0.05)
ABOVE = AboveCurve("EIF", 0.04, 0.01, 0.07, decided=True)
BELOW = AboveCurve("EIF", -0.04, -0.07, -0.01, decided=True)
CONTROL = AboveCurve("true factors", 0.3, 0.2, 0.4, decided=True)
OTHER = AboveCurve("DICE-FER", -0.04, -0.07, -0.01, decided=True)


@pytest.mark.parametrize(
    ("above", "said"),
    [
        ((ABOVE, OTHER, CONTROL), Caution("above-eraser", gains="EIF by 4.0 points [1.0, 7.0]")),
        ((BELOW, OTHER), Caution("none-above-eraser")),
        ((BELOW, OTHER, CONTROL), Caution("control-above-eraser", controls="true factors")),
        ((NOT_SHOWN, OTHER), Caution("eraser-undecided", methods="EIF")),
        ((), Caution("eraser-undecided", methods="DICE-FER and EIF")),
    ],
)
def test_a_leak_is_held_against_the_curve_of_the_eraser(summary, above, said):
    made = planted(summary, CLEAR, separated=True)
    erased = replace(made.row("ERM"), label="erased", method="erased", role="reference")
    known = next(row for row in made.rows if row.role == "reference")
    control = replace(erased, label="true factors", method=known.method)
    rows = (*made.rows, erased, control)
    assert headline(replace(made, rows=rows, above=above)).leak == said


def test_a_folder_without_scores_says_so(summary):
    bare = replace(summary, rows=tuple(replace(r, scores={}) for r in summary.rows), columns=(),
                   verdicts=(), failures=())  # fmt: skip
    verdict = headline(bare)
    assert [verdict.best.code, verdict.open.code] == ["nothing-recognised", "one-method"]


def test_embeddings_without_predictions_are_not_called_unscored(summary):
    use = {column.key for aspect in USES for column in columns_about(aspect)}
    rows = tuple(
        replace(row, scores={key: s for key, s in row.scores.items() if key not in use})
        for row in summary.rows
    )
    columns = tuple(key for key in summary.columns if key not in use)
    verdicts = tuple(verdict for verdict in summary.verdicts if verdict.key not in use)
    made = replace(summary, rows=rows, columns=columns, verdicts=verdicts)
    assert headline(made).best.code == "recognition-unmeasured"


@pytest.mark.parametrize("rows", [(), ("EIF",)])
def test_what_may_void_all_numbers_is_said_first(summary, rows):
    unknown = Caution("encoder-people-unknown")
    remarks = (
        Remark("few people", "warning", kind=("few-people",)),
        Remark(str(unknown), "error", rows=rows, kind=(unknown.code,)),
    )
    (first,) = headline(replace(summary, cautions=remarks)).first
    assert first == (f"EIF: {unknown}" if rows else str(unknown))
    assert headline(replace(summary, cautions=())).first == ()


def test_every_sentence_has_its_wording(summary):
    verdict = headline(summary)
    for fact in (verdict.best, verdict.leak, verdict.open, *verdict.troubles.values()):
        assert fact.code in WORDINGS
        assert fact.code not in str(fact)
