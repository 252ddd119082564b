"""The tidy table of all scores."""

import pandas as pd
import pytest

from fer_bench.reports.columns import main_columns
from fer_bench.reports.export import flat_frame
from fer_bench.reports.scores import scores_frame
from fer_bench.runs.store import RunStore


def test_frame_is_tidy_and_survives_parquet(results, tmp_path):
    frame = flat_frame(RunStore(results).records())
    assert not frame.duplicated(["run", "key"]).any()
    scored = {key.partition("/")[0] for key in frame["key"]}
    wanted = {key for key in main_columns() if key.partition("/")[0] in scored}
    assert {"classification/test.accuracy", "mig/normalised"} <= wanted <= set(frame["key"])
    frame.to_parquet(tmp_path / "scores.parquet")
    read = pd.read_parquet(tmp_path / "scores.parquet")
    assert {c["code"] for cautions in read["cautions"] for c in cautions} >= {"fitted"}


def test_normalised_leak_is_one_at_the_ceiling_and_zero_at_chance(summary):
    key = "leakage/E.identity.normalised"
    assert summary.row("Pixels (PCA)").scores[key].mean == pytest.approx(1.0)
    assert abs(summary.row("Oracle: label").scores[key].mean) < 0.1


def test_a_reference_of_one_seed_is_the_ceiling_of_all(results):
    records = RunStore(results).records()
    one_seed = [r for r in records if not (r.spec.method == "pixels" and r.spec.seed == 1)]
    key = "leakage/E.identity.normalised"
    whole, part = (scores_frame(rs).set_index(["label", "seed", "fold", "key"])["value"]
                   for rs in (records, one_seed))  # fmt: skip
    whole, part = whole.xs(key, level="key"), part.xs(key, level="key")
    assert set(part.index) == {i for i in whole.index if i[:2] != ("Pixels (PCA)", 1)}
    same = [i for i in part.index if i[1] == 0]
    assert part[same].tolist() == whole[same].tolist()
    for fold in (0, 1, 2):  # the ceiling of seed 0 stands in for that of seed 1
        strongest = {
            r.spec.seed: r.outcomes()["leakage"].scores["E.identity.strongest"].value
            for r in records
            if r.spec.label in ("ERM", "Pixels (PCA)") and r.spec.fold == fold
            if (r.spec.label, r.spec.seed) in (("ERM", 1), ("Pixels (PCA)", 0))
        }
        expected = (strongest[1] - 1 / 8) / (strongest[0] - 1 / 8)
        assert part["ERM", 1, fold] == pytest.approx(expected)
