"""Our estimators against those that PyPI has, on the same arrays in one run.

Every peer gets a virtual environment of its own under a temporary folder (or --envs), so that
their pins cannot meet. A peer that cannot be installed or run is a row that says so. The same
command goes on after a stop.

    python tests/benchmarks/peers/compare_information.py --tasks 1v1-normal-0.75 --n 10000
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from fer_bench.information import estimate_mi, tasks

RUNNER = """
import json, sys, time, warnings
import numpy as np
warnings.filterwarnings("ignore")
{setup}
wanted, done = json.loads(sys.argv[2]), set(json.loads(sys.argv[3]))
estimators = {{name: run for name, run in estimators.items() if not wanted or name in wanted}}
for line in open(sys.argv[1]):
    job = json.loads(line)
    data = np.load(job["file"])
    x, y = data["x"], data["y"]
    for name, run in estimators.items():
        if f"{{name}} {{job['task']}} {{job['n']}} {{job['seed']}}" in done:
            continue
        start, cpu = time.perf_counter(), time.process_time()
        try:
            found = {{"value": float(run(x, y))}}
        except Exception as error:
            found = {{"error": f"{{type(error).__name__}}: {{error}}"[:200]}}
        found |= {{"estimator": name, "seconds": time.perf_counter() - start,
                   "cpu_seconds": time.process_time() - cpu}}
        print(json.dumps(job | found), flush=True)
"""

# requirements, and code that defines `estimators`: name -> callable(x, y) at the peer's defaults
PEERS = {
    "benchmark-mi": (
        ["benchmark-mi", "jax==0.4.30", "jaxlib==0.4.30"],
        "import bmi.estimators as e\n"
        "def quiet(kind):\n"
        "    return lambda x, y: kind(verbose=False).estimate(x, y)\n"
        "estimators = {"
        "'benchmark-mi KSG': e.KSGEnsembleFirstEstimator(neighborhoods=(10,)).estimate,"
        "'benchmark-mi CCA': e.CCAMutualInformationEstimator().estimate,"
        "'benchmark-mi MINE': quiet(e.MINEEstimator),"
        "'benchmark-mi InfoNCE': quiet(e.InfoNCEEstimator),"
        "'benchmark-mi DV': quiet(e.DonskerVaradhanEstimator),"
        "'benchmark-mi NWJ': quiet(e.NWJEstimator),"
        "'benchmark-mi Histogram': e.HistogramEstimator().estimate,"
        "'benchmark-mi KDE': e.KDEMutualInformationEstimator().estimate}",
    ),
    "torch-mist": (
        ["torch-mist", "pandas<2.3", "tqdm", "scikit-learn", "numpy<2"],
        "import contextlib, io\n"
        "from torch_mist import estimate_mi\n"
        "def run(name):\n"
        "    def estimate(x, y):\n"
        "        data = (x.astype('float32'), y.astype('float32'))\n"
        "        with contextlib.redirect_stdout(io.StringIO()):\n"
        "            found = estimate_mi(data, name, verbose=False)\n"
        "        return found[0] if isinstance(found, tuple) else found\n"
        "    return estimate\n"
        "names = ['mine', 'infonce', 'nwj', 'js', 'smile', 'tuba', 'alpha_tuba', 'flo', 'doe',"
        " 'gm', 'club', 'l1out', 'binned']\n"
        "estimators = {f'torch-mist {name}': run(name) for name in names}",
    ),
    "diffusion-mi": (
        ["diffusion-mi"],
        "import logging\n"
        "from dmi.estimators import MINDEEstimator\n"
        "logging.getLogger('pytorch_lightning').setLevel(logging.ERROR)\n"
        "def run(x, y):  # its default of 1,000 epochs takes a quarter of an hour a task\n"
        "    tool = MINDEEstimator(max_epochs=100)\n"
        "    tool.fit(x, y)\n"
        "    found = tool.estimate(x, y)\n"
        "    return found[0] if isinstance(found, tuple) else found\n"
        "estimators = {'diffusion-mi MINDE, 100 epochs': run}",
    ),
    "infomeasure": (
        ["infomeasure"],
        "import infomeasure as im\n"
        "estimators = {'infomeasure KSG':"
        " lambda x, y: im.mutual_information(x, y, approach='metric', k=4)}",
    ),
    "npeet-plus": (
        ["npeet-plus"],
        "import npeet_plus\nestimators = {'npeet-plus KSG': lambda x, y: npeet_plus.mi(x, y, k=3)"
        " / np.log2(np.e)}",
    ),
    "scikit-learn": (
        ["scikit-learn"],
        "from sklearn.feature_selection import mutual_info_regression\n"
        "def run(x, y):\n"
        "    if x.shape[1] + y.shape[1] > 2: raise ValueError('one column a side only')\n"
        "    return mutual_info_regression(x, y[:, 0])[0]\n"
        "estimators = {'scikit-learn kNN': run}",
    ),
}
OURS = ("auto", "mine", "infonce", "ksg", "gaussian", "copula")


def write_samples(names: list[str], ns: list[int], seeds: int, folder: Path) -> list[dict]:
    """Draw every sample once; all sides read the same files."""
    jobs = []
    for n in ns:
        for name in names:
            for seed in range(seeds):
                task = tasks.get(name)
                x, y = task.sample(n, seed)
                file = folder / f"{len(jobs)}.npz"
                np.savez(file, x=x, y=y)
                jobs.append(
                    {"task": name, "n": n, "seed": seed, "truth": task.mi, "file": str(file)}
                )
    return jobs


def environment(peer: str, folder: Path) -> Path:
    """Python of the peer's environment, made and filled if it is not there."""
    python = folder / peer / "bin" / "python"
    if not python.exists():
        venv.create(folder / peer, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PEERS[peer][0]], check=True)
    return python


def run_peer(
    peer: str,
    python: Path,
    jobs: Path,
    timeout: int,
    only: list[str] | None = None,
    done: set[str] | None = None,
) -> Iterator[dict]:
    """All jobs in one process of the peer's environment; rows as they come."""
    code = RUNNER.format(setup=PEERS[peer][1])
    arguments = [python, "-c", code, jobs, json.dumps(only or []), json.dumps(sorted(done or ()))]
    with tempfile.TemporaryFile("w+") as problems:
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=problems, text=True)
        watch = threading.Timer(timeout, process.kill)
        watch.start()
        lines = (line for line in process.stdout or () if line.startswith("{"))
        yield from (json.loads(line) for line in lines)
        if process.wait() and watch.is_alive():
            problems.seek(0)
            last = (problems.read().strip().splitlines() or ["?"])[-1]
            yield {"estimator": peer, "error": last[:200]}
        elif not watch.is_alive():
            yield {"estimator": peer, "error": f"stopped after {timeout} s"}
        watch.cancel()


def run_ours(jobs: list[dict], estimators: list[str], done: set[str]) -> Iterator[dict]:
    """The same jobs here."""
    for job in jobs:
        data = np.load(job["file"])
        for name in estimators:
            result: dict = {"estimator": f"fer-bench {name}"}
            if key(job | result) in done:
                continue
            start, cpu = time.perf_counter(), time.process_time()
            try:
                score = estimate_mi(
                    data["x"], data["y"], estimator=name, seed=job["seed"], null=0, calibrated=0
                )
                result["value"] = score.value
            except Exception as error:
                result["error"] = f"{type(error).__name__}: {error}"
            result["seconds"] = time.perf_counter() - start
            result["cpu_seconds"] = time.process_time() - cpu
            yield job | result


def key(row: dict) -> str:
    """What one number is of."""
    return f"{row['estimator']} {row['task']} {row['n']} {row['seed']}"


def stored(file: Path) -> list[dict]:
    """Rows of an earlier run, less those of peers that could not be run at all."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [row for row in map(json.loads, lines) if "task" in row]


def run_all(
    jobs: list[dict], listing: Path, done: set[str], folder: Path, options: argparse.Namespace
) -> Iterator[dict]:
    """Our rows, then those of each peer."""
    yield from run_ours(jobs, options.ours, done)
    for peer in options.peers:
        try:
            python = environment(peer, options.envs or folder)
        except subprocess.CalledProcessError as error:
            yield {"estimator": peer, "error": f"cannot be installed: {error}"}
            continue
        yield from run_peer(peer, python, listing, options.timeout, options.only, done)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=tasks.names("bmi"))
    parser.add_argument("--n", nargs="+", type=int, default=[10_000])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--only", nargs="*", help="of the peers' estimators, by name")
    parser.add_argument("--ours", nargs="*", default=list(OURS))
    parser.add_argument("--envs", type=Path, help="keep the environments here")
    parser.add_argument("--out", type=Path, default=Path("peers.jsonl"))
    parser.add_argument("--timeout", type=int, default=7200, help="seconds a peer may take")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        jobs = write_samples(options.tasks, options.n, options.seeds, folder)
        listing = folder / "jobs.jsonl"
        listing.write_text("".join(json.dumps(job) + "\n" for job in jobs))
        rows = stored(options.out)
        done = {key(row) for row in rows}
        with options.out.open("a") as out:
            for row in run_all(jobs, listing, done, folder, options):
                out.write(json.dumps(row) + "\n")
                out.flush()
                rows.append(row)
    table = pd.DataFrame(rows)
    table["error_nats"] = (table["value"] - table["truth"]).abs()
    by = table.groupby("estimator", sort=False).agg(
        runs=("value", "count"), mae=("error_nats", "mean"), cpu_seconds=("cpu_seconds", "mean"),
        seconds=("seconds", "mean"),
    )  # fmt: skip
    print(by.round(3).to_string())
    problems = Counter(f"{row['estimator']}: {row['error']}" for row in rows if row.get("error"))
    for problem, count in problems.items():
        print(f"{problem} ({count} times)", file=sys.stderr)


if __name__ == "__main__":
    main()
