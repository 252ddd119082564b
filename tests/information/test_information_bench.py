"""`fer-bench mi`: resumable results, a page, a tolerance that bites."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from fer_bench.cli.mi import app
from fer_bench.errors import DataError
from fer_bench.information.bench import bench, by_estimator, by_task, compare, jobs, read, reference
from fer_bench.information.page import write_page

SETTINGS = list(jobs(["copula", "ksg"], ["1v1-normal-0.75", "channel-2-0.1"], [100], range(2)))


@pytest.fixture
def results(tmp_path):
    path = tmp_path / "results.jsonl"
    list(bench(SETTINGS, path))
    return read(path)


def test_failures_are_results_and_truths_are_kept(results):
    assert len(results) == 8
    failed = results[results["value"].isna()]
    assert set(failed["task"]) == {"channel-2-0.1"}
    assert failed["error"].str.contains("needs two continuous sides").all()
    assert (results["truth"] > 0).all()


def test_a_stopped_run_goes_on_where_it_was(tmp_path):
    path = tmp_path / "results.jsonl"
    runs = bench(SETTINGS, path)
    for _ in range(3):
        next(runs)
    runs.close()
    with path.open("a") as file:
        file.write('{"estimator": "cop')  # killed in the middle of a line
    before = path.read_text().splitlines()[:3]
    list(bench(SETTINGS, path))
    after = path.read_text().splitlines()
    assert after[:3] == before
    assert len(after) == 8


def test_seeds_estimated_in_one_pass_read_the_same(tmp_path):
    settings = list(jobs(["ksg", "infonce"], ["1v1-normal-0.75"], [200], range(3)))
    tables = []
    for together in (1, 8):
        list(bench(settings, tmp_path / f"{together}.jsonl", together=together))
        tables.append(read(tmp_path / f"{together}.jsonl"))
    apart, joint = tables
    assert list(joint["together"]) == [3] * 6
    assert list(apart["seed"]) == list(joint["seed"])
    assert joint["value"].to_list() == pytest.approx(apart["value"].to_list(), abs=1e-3)


def test_permuted_copies_stand_beside_the_estimates(tmp_path):
    settings = list(jobs(["ksg"], ["1v1-normal-0.75", "independent-1-1"], [200], range(3), null=19))
    list(bench(settings, tmp_path / "results.jsonl"))
    found = read(tmp_path / "results.jsonl")
    tied = found[found["task"] == "1v1-normal-0.75"]
    assert (tied["value"] > tied["null_high"]).all()
    assert by_estimator(tied)[["in_null", "p05"]].to_numpy().tolist() == [[0.0, 1.0]]
    assert by_estimator(found[found["task"] == "independent-1-1"])["in_null"][0] == 1.0


def test_results_of_before_there_were_nulls_are_kept(tmp_path):
    path = tmp_path / "results.jsonl"
    list(bench(SETTINGS, path))
    old = [{k: v for k, v in json.loads(line).items() if k != "null"}
           for line in path.read_text().splitlines()]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in old))
    list(bench(SETTINGS, path))
    assert len(path.read_text().splitlines()) == len(SETTINGS)
    assert (read(path)["null"] == 0).all()


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text("{}\nnonsense\n{}\n")
    with pytest.raises(DataError, match="line 2"):
        read(path)


def test_tables_and_page(results, tmp_path):
    table = by_task(results)
    one = table[(table["task"] == "1v1-normal-0.75") & (table["estimator"] == "ksg")].iloc[0]
    values = results[(results["task"] == "1v1-normal-0.75") & (results["estimator"] == "ksg")]
    assert one["bias"] == pytest.approx((values["value"] - values["truth"]).mean())
    assert one["mse"] == pytest.approx(((values["value"] - values["truth"]) ** 2).mean())
    assert by_estimator(results)["failed"].sum() == 4
    write_page(results, tmp_path / "index.html")
    html = (tmp_path / "index.html").read_text()
    assert "<svg" in html
    assert 'href="http' not in html
    assert "src=" not in html


def test_compare_finds_what_got_worse_and_what_got_slower(results):
    good = results[results["value"].notna()]
    stored = reference(good)
    assert (compare(stored, good)["verdict"] == "").all()
    worse = good.assign(value=good["value"] + 0.5)
    assert compare(stored, worse)["verdict"].str.contains("less accurate").all()
    slow = good.assign(cpu_seconds=good["cpu_seconds"] + 60)
    assert (compare(stored, slow)["verdict"] == "slower").all()
    gone = good.assign(value=np.nan)
    assert (compare(stored, gone)["verdict"] == "failed").all()


def test_bench_then_check_on_the_command_line(tmp_path):
    out, ref = tmp_path / "bench", tmp_path / "reference.json"
    command = ["bench", "--out", str(out), "--estimator", "copula", "--task", "1v1-normal-0.75",
               "--n", "200", "--seeds", "2", "--save-reference", str(ref)]  # fmt: skip
    run = CliRunner().invoke(app, command)
    assert run.exit_code == 0, run.output
    assert (out / "index.html").exists()
    assert CliRunner().invoke(app, ["check", "--against", str(ref)]).exit_code == 0
    stored = json.loads(ref.read_text())
    for row in stored["rows"]:
        row["value"] = row["truth"]  # a reference that was better than we are
    stored["tolerance"]["nats"] = 0.0
    ref.write_text(json.dumps(stored))
    worse = CliRunner().invoke(app, ["check", "--against", str(ref)])
    assert worse.exit_code == 1
    assert "less accurate" in worse.output


def test_check_runs_the_battery():
    run = CliRunner().invoke(app, ["check", "--estimator", "gaussian"])
    assert run.exit_code == 0
    assert run.output.count("ok  ") >= 11


def test_estimate_reads_npy_files_and_refuses_pickles(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", x + rng.normal(size=(300, 2)))
    np.save(tmp_path / "evil.npy", np.array([{}], dtype=object), allow_pickle=True)
    args = ["estimate", str(tmp_path / "x.npy"), str(tmp_path / "y.npy"), "--estimator", "copula"]
    run = CliRunner().invoke(app, args)
    assert run.exit_code == 0
    assert "I = 0." in run.output
    assert "null (permuted)" in run.output
    data = json.loads(CliRunner().invoke(app, [*args, "--json"]).output)
    assert data["unit"] == "nats"
    bad = CliRunner().invoke(app, ["estimate", str(tmp_path / "evil.npy"), str(tmp_path / "y.npy")])
    assert isinstance(bad.exception, DataError)


def test_empty_results_have_their_columns(tmp_path):
    assert isinstance(read(tmp_path / "none.jsonl"), pd.DataFrame)
    assert len(read(tmp_path / "none.jsonl")) == 0
