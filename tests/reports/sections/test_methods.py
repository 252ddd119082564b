"""What a method's section says is what was scored."""

from types import SimpleNamespace

import pytest

from fer_bench.reports.sections.methods import all_scores, bounds, information, probe_matrix


def test_probes_stand_in_their_cell_with_chance(summary):
    cells = probe_matrix(summary.row("DICE-FER"))
    places = [(cell["space"], cell["target"]) for cell in cells]
    assert places == [
        ("E", "identity"), ("E", "expression"), ("I", "identity"), ("I", "expression"),
    ]  # fmt: skip
    scores = summary.row("DICE-FER").scores
    for cell in cells:
        for column, value in cell["probes"]:
            name = column.key.rpartition(".")[2]
            assert value is scores[f"leakage/{cell['space']}.{cell['target']}.{name}"]
    assert [c.title for c, _ in cells[0]["verification"]] == ["same person or not, AUC"]


def test_terms_of_information_come_with_their_ceiling(summary):
    row = summary.row("DICE-FER")
    details = {"mi/E.identity": {"entropy": 2.1, "estimator": "classifier"}}
    terms = {term["column"].key: term for term in information(row, details)}
    assert terms["mi/E.identity"]["ceiling"] == 2.1
    assert terms["mig/shared"]["value"] is row.scores["mig/shared"]
    assert terms["mig/mig"]["calibration"] == ""
    assert list(terms) == sorted(terms, key=lambda key: terms[key]["column"].order)


def test_nothing_measured_is_hidden(summary):
    row = summary.row("ERM")
    assert sum(map(len, all_scores(row).values())) == len(row.scores)


def test_bounds_of_training_are_means_beside_their_ceiling():
    def run(train, validation):
        jsd = {"train": train, "validation": validation, "ceiling": 2.77}
        stages = [{"name": "expression", "bounds": {"global_jsd": jsd}}, {"name": "classifier"}]
        return SimpleNamespace(environment={"stages": stages})

    (line,) = bounds([run(1.0, 0.2), run(2.0, None)])
    assert line == {
        "stage": "expression",
        "term": "global jsd",
        "train": 1.5,
        "validation": 0.2,
        "ceiling": pytest.approx(2.77),
    }
    assert bounds([run(1.0, None)])[0]["validation"] is None
    assert bounds([SimpleNamespace(environment={})]) == []
