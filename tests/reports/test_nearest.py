"""The faces that the page shows, and those nearest to them."""

import numpy as np
import pandas as pd
import pytest

from fer_bench.arrays import PartArrays
from fer_bench.reports.nearest import HITS, data_rows, face_facts, nearest, sample_positions


@pytest.fixture
def part():
    """Two expressions of ten people, four takes each; E points along the expression."""
    rng = np.random.default_rng(0)
    rows = [(c, s) for s in range(10) for c in range(2) for _ in range(2)]
    labels = pd.DataFrame(
        {
            "expression": [("calm", "glad")[c] for c, _ in rows],
            "subject": [f"s{s}" for _, s in rows],
            "row": range(100, 100 + len(rows)),
        }
    )
    e = np.eye(2)[[c for c, _ in rows]] * 9 + rng.normal(size=(len(rows), 2))
    i = np.eye(10)[[s for _, s in rows]] * 9 + rng.normal(size=(len(rows), 10))
    return PartArrays("test", e, i, None, None, labels, ("calm", "glad"))


def test_the_nearest_by_e_share_the_expression_and_by_i_the_person(part):
    grids = nearest(part)
    assert set(grids) == {"E", "I"}
    for query, hits in grids["E"]:
        assert len(hits) == HITS
        assert query not in hits
        assert {part.y[hit] for hit in hits} == {part.y[query]}
    for query, hits in grids["I"]:
        assert {part.s[hit] for hit in hits[:3]} == {part.s[query]}


def test_queries_are_of_every_expression_and_different_people(part):
    queries = [query for query, _ in nearest(part)["E"]]
    assert [part.y[q] for q in queries] == [0, 1]
    assert part.s[queries[0]] != part.s[queries[1]]


def test_samples_are_of_different_people_where_there_are_any(part):
    rows = sample_positions(part, per_class=4)
    for c in range(2):
        mine = [part.s[r] for r in rows if part.y[r] == c]
        assert len(set(mine)) == len(mine) == 4


def test_a_collapsed_embedding_has_neighbours_too(part):
    flat = PartArrays("test", np.zeros((40, 2)), None, None, None, part.labels, part.classes)
    assert all(len(hits) == HITS for _, hits in nearest(flat)["E"])


def test_unknown_labels_are_said_and_agree_with_nothing(part):
    labels = part.labels.assign(subject=None).drop(columns="row")
    blind = PartArrays("test", part.expression, None, None, None, labels, part.classes)
    facts = face_facts(blind, 1, query=0)
    assert (facts["subject"], facts["same_subject"], facts["row"]) == ("unknown", False, -1)
    assert facts["same_expression"]
    assert (data_rows(blind) == -1).all()
