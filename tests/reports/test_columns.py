"""Which scores a table shows, and in which order."""

import pytest

from fer_bench.reports.columns import columns_about, columns_of, entries, leaderboard_columns


def test_columns_stand_in_the_order_that_metrics_declare():
    orders = [column.order for column in leaderboard_columns().values()]
    assert orders == sorted(orders)
    assert [c.key for c in columns_about("leak")] == [
        "leakage/E.identity.normalised",
        "leakage/E.identity.strongest",
    ]


def test_entries_say_what_placeholders_stand_for():
    scores = {"leakage/I.expression.mlp": 0.4, "leakage/E.identity.linear": 0.3, "mi/E.identity": 1}
    by_name = {entry.key: entry for entry in entries(scores, "probes")}
    assert list(by_name) == ["leakage/E.identity.linear", "leakage/I.expression.mlp"]
    assert by_name["leakage/I.expression.mlp"].words == {"space": "I", "target": "expression"}
    assert by_name["leakage/I.expression.mlp"].value == 0.4


def test_a_key_that_two_columns_match_is_shown_once():
    keys = ["swap.expression", "faces.expression", "swap.identity", "EI.identity"]
    listed = entries({f"decoder/{key}": 0 for key in keys}, "drawings")
    assert sorted(e.key for e in listed) == sorted(f"decoder/{key}" for key in keys)
    assert {e.key for e in listed if not e.words} == {
        "decoder/swap.expression",
        "decoder/swap.identity",
    }


def test_every_named_table_has_columns():
    on_the_page = "probes verification information drawings groups transfer capacity"
    in_papers = "mig va leakage ablation confounding per-class"
    assert all(map(columns_of, f"{on_the_page} {in_papers}".split()))


@pytest.mark.parametrize("table", ["mig", "information"])
def test_mine_stands_before_the_chosen_estimator_as_papers_print_it(table):
    titles = [column.title for column in columns_of(table)]
    chosen = titles.index("I(E_M; E_N)")
    mine = titles.index("I(E_M; E_N), MINE")
    assert titles[mine : mine + 3] == [
        "I(E_M; E_N), MINE", "I(E_M; I_M), MINE", "MIG, MINE",
    ]  # fmt: skip
    assert mine < chosen
