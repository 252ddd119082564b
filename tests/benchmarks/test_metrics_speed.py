"""Speed of the metrics: against loops, against scikit-learn, and on parts of real size.

Run with `pytest tests/benchmarks/test_metrics_speed.py --benchmark-only`.
"""

import resource
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score, roc_auc_score
from sklearn.svm import LinearSVC

from fer_bench.arrays import PartArrays, RunArrays
from fer_bench.metrics import (
    beta_vae_score,
    dci_importance,
    dependence,
    explicitness,
    factor_vae_score,
    information,
    irs_score,
    linear_probe,
    mig_score,
    modularity_score,
    sap_score,
    within_subject_split,
)
from fer_bench.metrics.metric import load_metrics, score_run


@pytest.fixture(scope="module")
def factors():
    """n = 10,000 rows of 10 codes and 5 factors of ten values."""
    rng = np.random.default_rng(0)
    f = rng.integers(0, 10, size=(10_000, 5))
    return np.c_[f + 0.3 * rng.normal(size=f.shape), rng.normal(size=f.shape)], f


def ours(codes, f):
    shared = information(codes, f, binning="width")
    return {
        "mig": mig_score(shared.mi, shared.entropies),
        "modularity": modularity_score(shared.mi),
        "sap": sap_score(codes, f),
        "irs": irs_score(codes, f),
        "factor_vae": factor_vae_score(codes, f, votes=5_000),
        "beta_vae": beta_vae_score(codes, f, votes=2_000),
        "dci": dci_importance(codes, f),
        "explicitness": explicitness(codes, f)["auc"],
    }


def straightforward(codes, f):
    """One pair, one value, one vote at a time, with the classifiers usually taken."""
    d, k = codes.shape[1], f.shape[1]
    binned = np.stack([np.digitize(c, np.histogram(c, 20)[1][:-1]) for c in codes.T], axis=1)
    mi = np.array([[mutual_info_score(binned[:, i], f[:, j]) for j in range(k)] for i in range(d)])
    entropies = np.array([mutual_info_score(f[:, j], f[:, j]) for j in range(k)])
    top = np.sort(mi, axis=0)[::-1]
    out = {"mig": float(np.mean((top[0] - top[1]) / entropies))}
    modular = []
    for row in mi:
        best = row.argmax()
        rest = sum(row[j] ** 2 for j in range(k) if j != best)
        modular.append(1 - rest / (row[best] ** 2 * (k - 1)))
    out["modularity"] = float(np.mean(modular))

    half = len(codes) // 2
    accuracy = np.zeros((d, k))
    for i in range(d):
        for j in range(k):
            model = LinearSVC(C=0.01, class_weight="balanced")
            model.fit(codes[:half, i, None], f[:half, j])
            accuracy[i, j] = model.score(codes[half:, i, None], f[half:, j])
    top = np.sort(accuracy, axis=0)[::-1]
    out["sap"] = float(np.mean(top[0] - top[1]))

    largest = np.abs(codes - codes.mean(0)).max(0)
    deviation = np.zeros((d, k))
    for j in range(k):
        values = np.unique(f[:, j])
        for value in values:
            rows = codes[f[:, j] == value]
            off = np.abs(rows - rows.mean(0))
            deviation[:, j] += np.percentile(off, 99, axis=0) / len(values)
    out["irs"] = float(np.average((1 - deviation / largest[:, None]).max(1), weights=largest))

    rng = np.random.default_rng(0)
    spread = codes.var(0)
    tables = []
    for rows in (np.arange(half), np.arange(half, 2 * half)):
        table = np.zeros((d, k))
        for _ in range(5_000):
            j = rng.integers(k)
            value = f[rng.choice(rows), j]
            chosen = rng.choice(rows[f[rows, j] == value], 64)
            table[(codes[chosen].var(0) / spread).argmin(), j] += 1
        tables.append(table)
    guess = tables[0].argmax(1)
    out["factor_vae"] = float(tables[1][np.arange(d), guess].sum() / 5_000)

    sides = []
    for rows in (np.arange(half), np.arange(half, 2 * half)):
        gaps, which = np.zeros((2_000, d)), rng.integers(k, size=2_000)
        for vote, j in enumerate(which):
            for _ in range(64):
                first = rng.choice(rows)
                second = rng.choice(rows[f[rows, j] == f[first, j]])
                gaps[vote] += np.abs(codes[first] - codes[second]) / 64
        sides.append((gaps, which))
    model = LogisticRegression(max_iter=1_000).fit(*sides[0])
    out["beta_vae"] = float(model.score(*sides[1]))

    areas = []
    for j in range(k):
        model = LogisticRegression(max_iter=1_000).fit(codes[:half], f[:half, j])
        probabilities = model.predict_proba(codes[half:])
        for value in model.classes_:
            member = f[half:, j] == value
            areas.append(2 * roc_auc_score(member, probabilities[:, value]) - 1)
    out["explicitness"] = float(np.mean(areas))

    importance = np.zeros((d, k))
    for j in range(k):
        model = GradientBoostingClassifier().fit(codes[:half], f[:half, j])
        importance[:, j] = model.feature_importances_
    out["dci"] = importance
    return out


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("way", [ours, straightforward])
def test_factor_metrics(benchmark, factors, way):
    benchmark.group = "factor metrics, n = 10,000, 10 codes x 5 factors"
    scores = benchmark.pedantic(way, args=factors, rounds=1)
    # Both ways measure the same thing.
    assert scores["mig"] == pytest.approx(0.8578, abs=0.001)
    assert scores["modularity"] == pytest.approx(0.6232, abs=0.001)
    assert scores["irs"] == pytest.approx(0.648, abs=0.01)
    assert scores["factor_vae"] > 0.98
    assert scores["beta_vae"] > 0.98
    assert scores["explicitness"] == pytest.approx(0.99, abs=0.02)


def part(name, subjects, images, first=0, dims=64):
    rng = np.random.default_rng(first)
    axes = np.random.default_rng(7)
    y_axes, s_axes = axes.normal(size=(7, dims)), axes.normal(size=(500, dims))
    s = np.repeat(np.arange(first, first + subjects), images)
    y = np.tile(np.arange(images) % 7, subjects)
    n = len(s)
    classes = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger")
    labels = pd.DataFrame(
        {
            "expression": np.array(classes)[y],
            "subject": [f"s{k:03d}" for k in s],
            "sequence": pd.Series([None] * n, dtype="object"),
        }
    )
    e = 2 * y_axes[y] + 0.3 * s_axes[s] + rng.normal(size=(n, dims))
    i = 2 * s_axes[s] + rng.normal(size=(n, dims))
    logits = 2 * np.eye(7)[y] + rng.normal(size=(n, 7))
    arrays = [x.astype(np.float32) for x in (e, i, logits)]
    return PartArrays(name, *arrays, None, labels, classes)


def run(subjects, images):
    parts = {
        "test": part("test", subjects, images),
        "train": part("train", 100, 25, first=200),
        "validation": part("validation", 20, 25, first=300),
    }
    return RunArrays(parts=parts, classes=parts["test"].classes)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("subjects", "images"), [(20, 30), (200, 25)])
def test_default_metrics(benchmark, subjects, images):
    benchmark.group = f"all default metrics, {subjects * images} test faces, {subjects} subjects"
    metrics = load_metrics()
    outcomes = benchmark.pedantic(score_run, args=(run(subjects, images), metrics), rounds=1)
    assert not [outcome.failed for outcome in outcomes.values() if outcome.failed]


def lda(x, s, split):
    return linear_probe(x, s, split).predicted


def logistic(x, s, split):
    """Standardised logistic regression at three strengths, tuned on the same validation rows."""
    mean, spread = x[split.train].mean(0), x[split.train].std(0)
    z = (x - mean) / spread
    tried = {}
    for strength in (0.01, 0.1, 1.0):
        model = LogisticRegression(C=strength, max_iter=200).fit(z[split.train], s[split.train])
        tried[strength] = model.score(z[split.validation], s[split.validation])
    best = max(tried, key=tried.get)
    model = LogisticRegression(C=best, max_iter=200).fit(z[split.fit], s[split.fit])
    return model.predict(z[split.test])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("probe", [lda, logistic])
def test_linear_probe(benchmark, probe):
    benchmark.group = "linear identity probe, 200 subjects x 5,000 rows"
    test = part("test", 200, 25)
    split, _ = within_subject_split(test.s, test.y)
    predicted = benchmark.pedantic(probe, args=(test.identity, test.s, split), rounds=1)
    assert np.mean(predicted == test.s[split.test]) > 0.95


@pytest.mark.timeout(1200)
def test_full_protocol(benchmark):
    """Sections 2 to 6 with three MI estimators, each calibrated: to stay below 3 min and 2 GB."""
    benchmark.group = "full protocol, 5,000 test faces, 64-d E and I, 200 subjects"
    metrics = load_metrics() | load_metrics(["mig-estimators"])
    outcomes = benchmark.pedantic(score_run, args=(run(200, 25), metrics), rounds=1)
    assert not [outcome.failed for outcome in outcomes.values() if outcome.failed]
    for key in ("infonce.shared", "copula.leaked"):
        assert "calibration" in outcomes["mig-estimators"].scores[key].details
    benchmark.extra_info["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kernel", ["rbf", "distance"])
def test_dependence_of_50000_rows(benchmark, kernel):
    """HSIC and distance correlation without n x n memory (which would be 20 GB a matrix)."""
    benchmark.group = "dependence, n = 50,000, 64-d"
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50_000, 64))
    y = 0.3 * x + rng.normal(size=x.shape)
    tracemalloc.start()
    small = dependence(x[:6_000], y[:6_000], kernel=kernel)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400e6  # blocks, whatever n
    value = benchmark.pedantic(dependence, args=(x, y), kwargs={"kernel": kernel}, rounds=1)
    assert value == pytest.approx(small, abs=0.01)
    benchmark.extra_info["peak_mb"] = peak // 2**20
