"""`fer-bench mi`: resumable results, a page, a tolerance that bites."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from fer_bench.cli.mi import app
from fer_bench.errors import DataError, FerBenchError
from fer_bench.information import tasks
from fer_bench.information.bench import (
    bench,
    by_estimator,
    by_failure,
    by_task,
    compare,
    failures,
    jobs,
    read,
    reference,
)
from fer_bench.information.page import write_page
from fer_bench.registry import estimators

SETTINGS = list(jobs(["copula", "ksg"], ["1v1-normal-0.75", "channel-2-0.1"], [100], range(2)))


@pytest.fixture
def results(tmp_path):
    path = tmp_path / "results.jsonl"
    list(bench(SETTINGS, path))
    return read(path)


def test_tasks_of_other_sides_are_skipped_and_truths_are_kept(results):
    assert len(results) == 8
    skipped = results[results["value"].isna()]
    assert set(skipped["task"]) == {"channel-2-0.1"}
    assert skipped["skipped"].str.contains("needs two continuous sides").all()
    assert results["error"].isna().all()
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
    for at_once in (1, 8):
        list(bench(settings, tmp_path / f"{at_once}.jsonl", seeds_per_pass=at_once))
        tables.append(read(tmp_path / f"{at_once}.jsonl"))
    apart, joint = tables
    assert list(joint["together"]) == [3] * 6
    assert list(apart["seed"]) == list(joint["seed"])
    assert joint["value"].to_list() == pytest.approx(apart["value"].to_list(), abs=1e-3)


def test_permuted_copies_stand_beside_the_estimates(tmp_path):
    settings = list(jobs(["ksg"], ["1v1-normal-0.75", "independent-1-1"], [200], range(3), null=19))
    list(bench(settings, tmp_path / "results.jsonl"))
    results = read(tmp_path / "results.jsonl")
    tied = results[results["task"] == "1v1-normal-0.75"]
    assert (tied["value"] > tied["null_high"]).all()
    assert by_estimator(tied)[["in_null", "p05"]].to_numpy().tolist() == [[0.0, 1.0]]
    assert by_estimator(results[results["task"] == "independent-1-1"])["in_null"][0] == 1.0


def test_results_of_before_there_were_nulls_are_kept(tmp_path):
    path = tmp_path / "results.jsonl"
    list(bench(SETTINGS, path))
    old = [{k: v for k, v in json.loads(line).items() if k != "null"}
           for line in path.read_text().splitlines()]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in old))
    list(bench(SETTINGS, path))
    assert len(path.read_text().splitlines()) == len(SETTINGS)
    assert (read(path)["null"] == 0).all()


def test_two_runs_do_not_write_to_one_file(tmp_path):
    path = tmp_path / "results.jsonl"
    first = bench(SETTINGS, path)
    next(first)
    with pytest.raises(DataError, match="another run is writing"):
        next(bench(SETTINGS, path))
    assert len(list(first)) == len(SETTINGS) - 1
    assert len(list(bench(SETTINGS, path))) == len(read(path)) == len(SETTINGS)


def test_blank_lines_are_no_results(results, tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text(path.read_text().replace("\n", "\n\n"))
    assert read(path).equals(results)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak")
def test_peak_memory_is_that_of_the_run_alone(tmp_path):
    held = np.ones(2**26)  # 512 MB
    (before,) = bench_rows(tmp_path / "before.jsonl")
    assert before > 8 * len(held) / 2**20
    del held
    (after,) = bench_rows(tmp_path / "after.jsonl")
    assert after < before - 400


def bench_rows(path):
    list(bench(SETTINGS[:1], path))
    return read(path)["peak_mb"]


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "results.jsonl"
    list(bench(SETTINGS[:2], path))
    good = path.read_bytes()
    wrong = json.loads(good.splitlines()[0]) | {"n": "abc"}
    for bad, why in (
        (b"nonsense", "no JSON"), (b"3", "object"), (b"{}", "estimator: field required"),
        (json.dumps(wrong).encode(), "n: input should be a valid integer"),
    ):  # fmt: skip
        path.write_bytes(good + bad + b"\n")
        with pytest.raises(DataError, match=f"line 3 is no result .*{why}"):
            list(bench(SETTINGS, path))
        assert path.read_bytes() == good + bad + b"\n"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="UTF-8"):
        read(path)


def test_tables_and_page(results, tmp_path):
    table = by_task(results)
    one = table[(table["task"] == "1v1-normal-0.75") & (table["estimator"] == "ksg")].iloc[0]
    values = results[(results["task"] == "1v1-normal-0.75") & (results["estimator"] == "ksg")]
    assert one["bias"] == pytest.approx((values["value"] - values["truth"]).mean())
    assert one["mse"] == pytest.approx(((values["value"] - values["truth"]) ** 2).mean())
    by_name = by_estimator(results)
    assert by_name["skipped"].tolist() == [2, 2]
    assert by_name["tasks"].tolist() == [1, 1]
    assert by_name["failed"].sum() == 0
    assert by_name["right"].max() <= 1
    assert set(table["task"]) == {"1v1-normal-0.75"}
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
    once = good.assign(value=good["value"].where(good["seed"] == 0))
    assert (compare(stored, once)["verdict"] == "failed").all()
    assert (compare(stored, good[good["seed"] == 0])["verdict"] == "failed").all()


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


class Number:
    """Somebody's estimator that gives a number, without an interval."""

    def fit(self, x, y):
        return self

    def estimate(self):
        return np.float32(0.5)


class Broken(Number):
    def estimate(self):
        raise ValueError("not\ntoday")


class Nameless(Number):
    def estimate(self):
        return float("nan")


class Seeded(Number):
    """What it says is its seed."""

    def __init__(self, seed=0):
        self.seed = seed

    def estimate(self):
        return self.seed


@pytest.fixture
def theirs(monkeypatch):
    """Name somebody's estimator for the length of a test."""
    return lambda tool: monkeypatch.setitem(estimators._local, "theirs", tool)


def refused(*args):
    """What a command line says that is refused with an expected failure."""
    run = CliRunner().invoke(app, [str(arg) for arg in args])
    assert isinstance(run.exception, FerBenchError), run.output
    assert "\n" not in str(run.exception)
    return str(run.exception)


def small(tmp_path, *more):
    return ["bench", "--out", str(tmp_path / "out"), "--task", "1v1-normal-0.75", "--n", "100",
            "--seeds", "2", *map(str, more)]  # fmt: skip


def test_a_number_alone_is_a_result(tmp_path, theirs):
    theirs(Number)
    run = CliRunner().invoke(app, small(tmp_path, "--estimator", "theirs"))
    assert run.exit_code == 0, run.output
    table = by_estimator(read(tmp_path / "out" / "results.jsonl"))
    assert table["mae"][0] == pytest.approx(0.5 - 0.4133, abs=1e-3)
    assert np.isnan(table["covers"][0])
    assert "nan" not in (tmp_path / "out" / "index.html").read_text()


def test_somebodys_estimator_is_built_with_each_seed(tmp_path, theirs):
    theirs(Seeded)
    assert CliRunner().invoke(app, small(tmp_path, "--estimator", "theirs")).exit_code == 0
    assert list(read(tmp_path / "out" / "results.jsonl")["value"]) == [0.0, 1.0]


@pytest.mark.parametrize("tool", [Broken, Nameless])
def test_failures_are_said_and_tried_again(tmp_path, theirs, tool):
    command = small(tmp_path, "--estimator", "theirs", "--estimator", "copula")
    path, page = tmp_path / "out" / "results.jsonl", tmp_path / "out" / "index.html"
    theirs(tool)
    run = CliRunner().invoke(app, command)
    assert run.exit_code == 0
    error = "ValueError: not today" if tool is Broken else "the value is nan"
    assert "theirs failed on 1 of 1 tasks; first on 1v1-normal-0.75 with n = 100, " in run.stderr
    assert error in run.stderr
    assert f'<td class="text">{error}' in page.read_text()
    assert ">nan" not in page.read_text()
    theirs(Number)
    run = CliRunner().invoke(app, command)
    assert run.stderr == ""
    assert len(path.read_text().splitlines()) == len(read(path)) == 4
    assert read(path)["value"].notna().all()
    assert "Failures" not in page.read_text()


def test_every_reason_is_said_and_skipped_tasks_are_no_failures(results):
    said = failures(results)
    assert [sentence.partition(":")[0] for sentence in said] == [
        f"{name} skipped 1 of 2 tasks (channel-2-0.1)" for name in ("copula", "ksg")
    ]
    broken = results["estimator"].eq("copula") & results["value"].notna()
    results.loc[broken, "value"] = np.nan
    results.loc[broken, "error"] = ["too wide", "too long"]
    said = failures(results)
    assert len(said) == 4
    for sentence, reason in zip(said, ("too wide", "too long"), strict=False):
        assert sentence.startswith("copula failed on 1 of 2 tasks; first on 1v1-normal-0.75")
        assert sentence.endswith(reason)
    assert by_failure(results)["error"].tolist() == ["too wide", "too long"]


def test_a_bench_of_skipped_tasks_alone(tmp_path):
    command = ["bench", "--out", str(tmp_path), "--estimator", "ksg", "--n", "100",
               "--seeds", "1", "--task", "channel-2-0.1"]  # fmt: skip
    run = CliRunner().invoke(app, command)
    assert run.exit_code == 0, run.output
    assert "ksg skipped 1 of 1 tasks (channel-2-0.1): " in run.stderr
    assert "failed on" not in run.stderr
    assert "0 failed; 1 more were skipped" in (tmp_path / "index.html").read_text()


def test_failures_of_other_settings_are_kept(results, tmp_path):
    path = tmp_path / "results.jsonl"
    list(bench(SETTINGS[:1], path))
    assert len(read(path)) == 8


def test_calibrated_and_plain_results_stay_apart(tmp_path):
    path = tmp_path / "results.jsonl"
    for more in ({}, {"calibrated": 3}, {"null": 2}):
        list(bench(list(jobs(["copula"], ["1v1-normal-0.75"], [100], range(2), **more)), path))
    results = read(path)
    assert len(by_task(results)) == len(by_estimator(results)) == 3
    assert set(by_estimator(results)["calibrated"]) == {0, 3}
    write_page(results, tmp_path / "index.html")
    assert "<th>calibrated</th><th>null</th>" in (tmp_path / "index.html").read_text()
    plain = results[(results["calibrated"] == 0) & (results["null"] == 0)]
    assert "calibrated" not in by_task(plain)
    write_page(plain, tmp_path / "index.html")
    assert "<th>calibrated" not in (tmp_path / "index.html").read_text()


def test_repeated_options_run_once(tmp_path):
    command = small(tmp_path, "--estimator", "copula", "--estimator", "copula", "--n", "100",
                    "--task", "1v1-normal-0.75")  # fmt: skip
    assert CliRunner().invoke(app, command).exit_code == 0
    assert len(read(tmp_path / "out" / "results.jsonl")) == 2


def test_suites_and_tasks_add_up(tmp_path):
    command = small(tmp_path, "--estimator", "plugin", "--suite", "labels")
    assert CliRunner().invoke(app, command).exit_code == 0
    tasks_run = set(read(tmp_path / "out" / "results.jsonl")["task"])
    assert tasks_run == {*tasks.names("labels"), "1v1-normal-0.75"}


def test_bench_refuses_what_it_cannot_do_before_it_runs(tmp_path):
    (tmp_path / "file").touch()
    assert "did you mean 'copula'" in refused(*small(tmp_path, "--estimator", "copul"))
    assert "no task" in refused(*small(tmp_path, "--task", "1v1"))
    assert "at least 3" in refused(*small(tmp_path, "--calibrated", 2))
    assert not (tmp_path / "out").exists()
    assert "--out" in refused("bench", "--task", "1v1-normal-0.75", "--out", tmp_path / "file")
    inside = tmp_path / "file" / "reference.json"
    assert "--save-reference" in refused(*small(tmp_path, "--save-reference", inside))
    assert "is a folder" in refused(*small(tmp_path, "--save-reference", tmp_path))
    (tmp_path / "out" / "index.html").mkdir()
    assert "is a folder" in refused(*small(tmp_path))
    (tmp_path / "out" / "index.html").rmdir()
    assert not (tmp_path / "out" / "results.jsonl").exists()
    few = CliRunner().invoke(app, small(tmp_path, "--n", "-5"))
    assert few.exit_code == 2
    assert "'--n'" in few.output


def test_a_reference_gets_its_folder_and_holds_no_failures(tmp_path, theirs):
    ref = tmp_path / "new" / "reference.json"
    save = ["--estimator", "copula", "--save-reference", str(ref)]
    assert CliRunner().invoke(app, small(tmp_path, *save)).exit_code == 0
    assert len(json.loads(ref.read_text())["rows"]) == 2
    theirs(Broken)
    save = ["--estimator", "theirs", "--save-reference", str(tmp_path / "none.json")]
    assert "nothing to store" in refused(*small(tmp_path, *save))
    assert not (tmp_path / "none.json").exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"tolerance": {}}, "tolerance.nats: field required"),
        ({"tolerance": {"nats": 0.1, "slower": 2, "nat": 1}}, "tolerance.nat: extra"),
        ({"machine_seconds": 0}, "machine_seconds: input should be greater than 0"),
        ({"rows": []}, "rows: list should have at least 1 item"),
        ({"n": "abc"}, "rows[0].n: input should be a valid integer"),
        ({"n": 5}, "rows[0].n: input should be greater than or equal to 10"),
        ({"value": None}, "rows[0].value: input should be a valid number"),
        ({"estimator": "copul"}, "did you mean 'copula'"),
        ({"task": "1v1"}, "there is no task '1v1'"),
    ],
)  # fmt: skip
def test_a_broken_reference_is_refused_before_anything_runs(results, tmp_path, change, why):
    stored = json.loads(reference(results[:1]).model_dump_json(exclude_unset=True))
    for key, value in change.items():
        (stored if key in stored else stored["rows"][0])[key] = value
    path = tmp_path / "reference.json"
    path.write_text(json.dumps(stored))
    assert why in refused("check", "--against", path)


def test_what_is_no_reference_is_refused(tmp_path):
    path = tmp_path / "reference.json"
    assert "does not exist" in refused("check", "--against", path)
    assert "cannot be read" in refused("check", "--against", tmp_path)
    for content, why in ((b"\xff\xfe", "UTF-8"), (b"{", "no JSON"), (b"[1]", "object")):
        path.write_bytes(content)
        assert why in refused("check", "--against", path)


def test_check_fails_where_one_seed_fails(tmp_path, theirs):
    class Fickle(Number):
        def __init__(self, seed=0):
            self.seed = seed

        def estimate(self):
            if self.seed:
                raise ValueError("not today")
            return 0.5

    theirs(Number)
    ref = tmp_path / "reference.json"
    save = ["--estimator", "theirs", "--save-reference", str(ref)]
    assert CliRunner().invoke(app, small(tmp_path, *save)).exit_code == 0
    theirs(Fickle)
    stored = json.loads(ref.read_text())
    stored["rows"] = [row | {"null": 1} for row in stored["rows"]]  # one at a time
    ref.write_text(json.dumps(stored))
    run = CliRunner().invoke(app, ["check", "--against", str(ref)])
    assert run.exit_code == 1
    assert "failed" in run.stdout
    assert "not today" in run.stderr


def test_check_runs_the_consistency_checks():
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


def test_estimate_says_which_files_are_none_of_its_kind(tmp_path):
    good, bad = tmp_path / "x.npy", tmp_path / "bad.npy"
    np.save(good, np.random.default_rng(0).normal(size=(50, 2)))
    np.savez(tmp_path / "two.npz", a=np.zeros(3))
    np.save(bad, np.zeros(50, dtype=[("a", float), ("b", int)]))
    assert "Is a directory" in refused("estimate", tmp_path, good)
    assert "archive" in refused("estimate", tmp_path / "two.npz", good)
    assert "named fields a, b" in refused("estimate", good, bad)
    bad.write_bytes((tmp_path / "two.npz").read_bytes()[:40])
    assert "no .npy file" in refused("estimate", good, bad)
    assert "No such file" in refused("estimate", good, tmp_path / "none.npy")
    run = CliRunner().invoke(app, ["estimate", str(good), str(good), "--seed", "-1"])
    assert run.exit_code == 2
    assert "'--seed'" in run.output


def test_advice_names_options_of_the_command_line(tmp_path):
    rng = np.random.default_rng(0)
    for name in "xy":
        np.save(tmp_path / f"{name}.npy", rng.normal(size=40))
    np.save(tmp_path / "labels.npy", np.arange(40) // 2)
    paths = [str(tmp_path / f"{name}.npy") for name in ("x", "y", "labels")]
    run = CliRunner().invoke(app, ["estimate", paths[0], paths[2], "--estimator", "ross"])
    assert "pass --measured-y" in run.output + str(run.exception)
    given = ["estimate", *paths[:2], "--given", paths[2], "--estimator", "ksg"]
    assert "or --measured-z if" in refused(*given)
    measured = CliRunner().invoke(app, [*given, "--measured-z"])
    assert measured.exit_code == 0, measured.output


def test_estimate_passes_its_options_on(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 9, 300)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", x + rng.integers(0, 2, 300))
    args = ["estimate", str(tmp_path / "x.npy"), str(tmp_path / "y.npy"), "--json"]

    def details(*more):
        run = CliRunner().invoke(app, [*args, *more])
        assert run.exit_code == 0, run.output
        return json.loads(run.output)["details"]

    few = details("--null", "2")
    assert few["chosen"] == "miller-madow"
    assert len(few["null_values"]) == 2
    assert details("--measured-x", "--null", "0", "--calibrated", "0")["chosen"] in {
        "ross", "classifier"
    }  # fmt: skip
    both = details("--measured-x", "--measured-y", "--estimator", "ksg", "--calibrated", "3")
    assert len(both["calibration"]["planted"]) == 3
    assert details("--discrete-x", "--discrete-y", "--calibrated", "0")["chosen"] == "miller-madow"


def test_empty_results_have_their_columns(tmp_path):
    assert isinstance(read(tmp_path / "none.jsonl"), pd.DataFrame)
    assert len(read(tmp_path / "none.jsonl")) == 0
