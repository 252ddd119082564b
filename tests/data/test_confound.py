import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mutual_info_score

from fer_bench.data import FaceData, confound, load_dataset, make_folds
from fer_bench.data.confound import confounded_fold, tie
from fer_bench.data.splits import Fold
from fer_bench.errors import DataError


def grid(levels=2, classes=("neutral", "happiness", "sadness", "anger"), each=50):
    rows = [(a, c) for a in range(levels) for c in classes for _ in range(each)]
    table = pd.DataFrame({"expression": [c for _, c in rows], "group": [f"g{a}" for a, _ in rows]})
    return FaceData(np.zeros((len(rows), 8, 8, 1), np.uint8), table)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("levels", [2, 3, 4, 6])
def test_the_achieved_dependence_is_what_was_asked(rho, levels):
    data = grid(levels, each=400)
    chosen, achieved = confound(data, attribute="group", rho=rho, seed=1)
    assert achieved["rho"] == pytest.approx(rho, abs=0.01)
    if levels == 2:
        assert achieved["cramers_v"] == pytest.approx(rho, abs=0.01)
    measured = mutual_info_score(chosen.table["group"], chosen.expression)
    assert achieved["mutual_information"] == pytest.approx(measured, abs=1e-9)
    assert achieved["n"] == len(chosen)
    assert len(set(chosen._rows.tolist())) == len(chosen)  # nobody occurs twice


def test_reversed_sets_tie_every_class_to_another_level():
    data = grid()
    _, straight = confound(data, attribute="group", rho=1)
    chosen, backwards = confound(data, attribute="group", rho=1, reverse=True)
    assert straight["tie"]["neutral"] == ["g0"]
    assert backwards["tie"]["neutral"] == ["g1"]
    assert set(chosen.table["group"][chosen.table["expression"] == "neutral"]) == {"g1"}
    assert backwards["rho"] == pytest.approx(1)


def test_ties_cover_every_level_and_class():
    for levels in range(2, 9):
        for classes in range(2, 9):
            forward, backward = tie(levels, classes), tie(levels, classes, reverse=True)
            assert forward.any(0).all()
            assert forward.any(1).all()
            assert not (forward & backward).any()


def test_a_fixed_number_of_rows_for_every_rho():
    data = grid()
    for rho in (0, 0.5, 1):
        chosen, _ = confound(data, attribute="group", rho=rho, n=100)
        assert len(chosen) == 100
    with pytest.raises(DataError, match="n=1000 is more than"):
        confound(data, attribute="group", rho=0, n=1000)


def test_the_seed_decides():
    data = grid()
    rows = [confound(data, attribute="group", rho=0.5, seed=s)[0]._rows.tolist() for s in (0, 0, 1)]
    assert rows[0] == rows[1] != rows[2]


def test_real_faces(data_pack):
    data = load_dataset("cmu-faces", data_pack / "cmu_faces", size=16)
    chosen, achieved = confound(data, attribute="eyewear", rho=0.8)
    assert achieved["rho"] == pytest.approx(0.8, abs=0.01)
    assert "eyewear tied to expression" in chosen.info.notes[-1]
    _, by_person = confound(data, attribute="subject", rho=0.95)
    assert by_person["rho"] == pytest.approx(0.95, abs=0.03)


def test_bad_requests_are_clear():
    data = grid()
    with pytest.raises(DataError, match="did you mean 'group'"):
        confound(data, attribute="gruop", rho=0.5)
    with pytest.raises(DataError, match="from 0 to 1"):
        confound(data, attribute="group", rho=1.5)
    with pytest.raises(DataError, match="two are needed"):
        confound(data.select(where={"group": "g0"}), attribute="group", rho=0.5)
    hole = data.subset(~((data.table["group"] == "g0") & (data.expression == 0)).to_numpy())
    with pytest.raises(DataError, match=r"g0 x neutral \(0 faces\)"):
        confound(hole, attribute="group", rho=0.5)
    missing = data.with_table(
        data.table.assign(group=data.table["group"].where(data.expression != 0))
    )
    chosen, _ = confound(missing, attribute="group", rho=0.5)
    assert 0 not in chosen.expression


def test_the_parts_of_a_confounded_fold():
    data = load_dataset("generated", subjects=60, images_per_subject=14, size=16, seed=3)
    fold = make_folds(data, n_folds=4)[0]
    sizes, tested = set(), set()
    for rho in (0.0, 0.4, 1.0):
        chosen, against, notes = confounded_fold(data, fold, attribute="gender", rho=rho, seed=1)
        parts = (chosen.train, chosen.validation, chosen.test, against)
        for rows, whole in zip(
            parts, (fold.train, fold.validation, fold.test, fold.test), strict=True
        ):
            assert set(rows) <= set(whole)
            assert len(set(rows)) == len(rows)
        # Strengths differ in the tie alone: as many faces, and the very same test faces.
        sizes.add((len(chosen.train), len(chosen.validation)))
        tested.add((tuple(chosen.test), tuple(against)))
        gender, y = data.table["gender"].to_numpy(), data.expression
        tied = tie(2, 7)
        level = np.unique(gender, return_inverse=True)[1]
        share = [tied[level[rows], y[rows]].mean() for rows in parts]
        assert share[0] == pytest.approx(0.5 + rho / 2, abs=0.03)
        assert share[2] == pytest.approx(0.5, abs=0.03)
        assert mutual_info_score(level[chosen.test], y[chosen.test]) < 0.02
        backwards = tie(2, 7, reverse=True)
        assert backwards[level[against], y[against]].all()
        assert len(notes) == 4
    assert len(sizes) == len(tested) == 1


def test_a_part_without_a_level_cannot_be_confounded():
    data = grid(levels=3)
    rows = np.arange(len(data))
    lacks = rows[(data.table["group"] != "g1").to_numpy()]
    fold = Fold(rows[::3], rows[1::3], np.intersect1d(lacks, rows[2::3]))
    with pytest.raises(DataError, match="no face of the test part has group 'g1'"):
        confounded_fold(data, fold, attribute="group", rho=0.5)
