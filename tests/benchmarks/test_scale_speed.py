"""Every metric at AffectNet's size: 290,000 test faces with 512-d E and I.

Run with `pytest tests/benchmarks/test_scale_speed.py --benchmark-only`, or one metric with
`python tests/benchmarks/test_scale_speed.py NAME`. Each has a process of its own, so that its
peak of memory (which includes the 1.4 GB of embeddings) is its own.

AffectNet itself lacks subjects and factors, and metrics skip what is not there: these faces have
both, as the case that costs most.
"""

import json
import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from fer_bench.arrays import PartArrays, RunArrays
from fer_bench.metrics.metric import load_metrics, score_run
from fer_bench.registry import metrics

TEST, TRAIN, VALIDATION, DIMS = 290_000, 60_000, 10_000, 512
CLASSES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
SUBJECTS = 1_000
MINUTES, GIGABYTES = 15, 8


def part(name, n, people, seed):
    """Expression in E, person in I, a little of each in the other; float32 throughout."""
    rng, axes = np.random.default_rng(seed), np.random.default_rng(7)
    y_axes = axes.normal(size=(len(CLASSES), DIMS)).astype(np.float32)
    y, s = rng.integers(0, len(CLASSES), n), rng.choice(people, n)
    s_axes = np.random.default_rng(8).normal(size=(3 * SUBJECTS, DIMS)).astype(np.float32)

    def code(of_y, of_s):
        x = rng.standard_normal(size=(n, DIMS), dtype=np.float32)
        for rows in np.array_split(np.arange(n), 50):
            x[rows] += of_y * y_axes[y[rows]] + of_s * s_axes[s[rows]]
        return x

    logits = 2 * np.eye(len(CLASSES))[y] + rng.normal(size=(n, len(CLASSES)))
    va = np.clip(rng.normal(size=(n, 2)), -1, 1)
    labels = pd.DataFrame(
        {
            "expression": np.array(CLASSES)[y],
            "subject": np.char.add("s", s.astype(str)),
            "sequence": pd.Series([None] * n, dtype="object"),
            "valence": va[:, 0],
            "arousal": va[:, 1],
            "age": np.array(["child", "adult", "old"])[s % 3],
            **{f"factor_{k}": rng.normal(size=n) + (y == k) for k in range(5)},
        }
    )
    predicted = (va + 0.3 * rng.normal(size=va.shape)).astype(np.float32)
    return PartArrays(
        name, code(0.4, 0.1), code(0, 0.4), logits.astype(np.float32), predicted, labels, CLASSES
    )


def run():
    people = np.arange(3 * SUBJECTS).reshape(3, SUBJECTS)
    parts = [
        part("test", TEST, people[0], 0),
        part("train", TRAIN, people[1], 1),
        part("validation", VALIDATION, people[2, :200], 2),
        part("test:other", VALIDATION, people[2, 200:400], 3),
    ]
    return RunArrays(parts={p.name: p for p in parts}, classes=CLASSES)


def measured(name):
    """Score one metric: what it took, and what it says about subsets."""
    arrays = run()
    wall, cpu = time.monotonic(), time.process_time()
    outcome = score_run(arrays, load_metrics([name]))[name]
    said = {w for score in outcome.scores.values() for w in score.cautions}
    return {
        "wall_s": round(time.monotonic() - wall, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "scores": len(outcome.scores),
        "skipped": outcome.skipped,
        "failed": outcome.failed,
        "said": sorted(said),
    }


@pytest.mark.timeout(60 * MINUTES + 300)
@pytest.mark.parametrize("name", metrics.names())
def test_affectnet_scale(benchmark, name):
    benchmark.group = "one metric, 290,000 x 512"
    command = [sys.executable, __file__, name]
    done = benchmark.pedantic(
        subprocess.run, args=(command,), kwargs={"capture_output": True}, rounds=1
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    content = json.loads(done.stdout)
    benchmark.extra_info.update(content)
    assert content["failed"] is None
    assert content["wall_s"] < 60 * MINUTES
    assert content["peak_gb"] < GIGABYTES


def write_files(folder, *, rows=TEST, people=4_500):
    """Embeddings and labels as somebody brings them: E of both, in a file without a split."""
    rng = np.random.default_rng(0)
    y, s = rng.integers(0, len(CLASSES), rows), rng.choice(people, rows)
    e = rng.standard_normal(size=(rows, DIMS), dtype=np.float32)
    for codes, strength in ((y, 0.5), (s, 0.4)):
        axes = strength * rng.standard_normal(size=(codes.max() + 1, DIMS), dtype=np.float32)
        for block in np.array_split(np.arange(rows), 50):
            e[block] += axes[codes[block]]
    ids = np.char.mod("f%06d", np.arange(rows))
    np.savez(folder / "big.npz", E=e, id=ids)
    table = {"id": ids, "expression": np.array(CLASSES)[y], "subject": np.char.mod("p%04d", s)}
    pd.DataFrame(table).to_csv(folder / "big.csv", index=False)


@pytest.mark.timeout(7_200)
def test_evaluate_of_a_file(benchmark, tmp_path):
    """`fer-bench evaluate` from a file to the page; in CPU time: others may work beside it."""
    write_files(tmp_path)
    command = [sys.executable, "-m", "fer_bench", "evaluate", "big.npz", "--labels", "big.csv"]
    options = {"cwd": tmp_path, "check": True}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    benchmark.pedantic(subprocess.run, args=(command,), kwargs=options, rounds=1)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    benchmark.extra_info.update(cpu_s=round(cpu), peak_gb=round(after.ru_maxrss / 2**20, 2))
    assert cpu < 60 * MINUTES
    assert after.ru_maxrss / 2**20 < GIGABYTES


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1])))
