"""The truths are true: published values, closed forms, and independent estimates."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

from fer_bench.errors import DataError, UnknownNameError
from fer_bench.information import estimate_mi, tasks

PUBLISHED = {
    "multinormal-dense-2-2-0.5": 0.2939, "multinormal-dense-3-3-0.5": 0.4133,
    "multinormal-dense-5-5-0.5": 0.5928, "multinormal-dense-25-25-0.5": 1.2922,
    "multinormal-dense-50-50-0.5": 1.6243, "multinormal-sparse-25-25-2-2.0": 1.0217,
    "student-identity-1-1-1": 0.2242, "student-identity-2-2-1": 0.4319,
    "student-identity-2-2-2": 0.1931, "student-identity-3-3-2": 0.2909,
    "student-identity-3-3-3": 0.1787, "student-identity-5-5-2": 0.4482,
    "student-identity-5-5-3": 0.2985, "1v1-additive-0.1": 1.7094, "1v1-additive-0.75": 0.3333,
    "spiral-normal_cdf-multinormal-sparse-3-3-2-2.0": 1.0217, "1v1-bimodal-0.75": 0.4133,
    "swissroll_x-normal_cdf-1v1-normal-0.75": 0.4133,
}  # fmt: skip
MIXTURES = {
    "1v1-X-0.9": 0.408, "1v1-AI": 0.776, "waves-stripes": 1.307, "galaxy-balls": 0.494,
    "3v1-concentric-5": 0.457, "5v1-concentric-5": 0.627, "inliers-5-5-0.2": 0.637,
    "inliers-5-5-0.5": 0.271,
}  # fmt: skip


@pytest.mark.parametrize(("name", "nats"), PUBLISHED.items())
def test_truths_are_the_published_ones(name, nats):
    assert tasks.get(name).mi == pytest.approx(nats, abs=6e-5)


@pytest.mark.parametrize(("name", "nats"), MIXTURES.items())
def test_monte_carlo_truths_are_the_published_ones_within_their_error(name, nats):
    truth = tasks.get(name).truth
    assert 0 < truth.error < 0.004
    assert truth.value == pytest.approx(nats, abs=4 * truth.error + 0.003)


def test_forty_tasks_have_forty_names():
    assert len(set(tasks.names("bmi"))) == 40
    assert len(set(tasks.names())) == len(tasks.names())


def test_an_unknown_task_is_named_with_its_neighbour():
    with pytest.raises(UnknownNameError, match=r"1v1-normal-0\.75"):
        tasks.get("1v1-normal-0.7")


@pytest.mark.parametrize("suite", tasks.suites())
def test_samples_have_the_stated_shapes_and_repeat_for_a_seed(suite):
    for task in tasks.suite(suite):
        x, y = task.sample(20, 3)
        for side, dim in ((x, task.dim_x), (y, task.dim_y)):
            assert side.shape == ((20,) if dim == 0 else (20, dim))
            assert np.isfinite(side).all()
        again = task.sample(20, 3)
        assert (again[0] == x).all()
        assert (again[1] == y).all()


@pytest.mark.parametrize(
    "name", ["1v1-AI", "galaxy-balls", "1v1-X-0.9", "uniform-steps-5",
             "clusters-7-2-1.5", "channel-7-0.3", "swissroll_x-normal_cdf-1v1-normal-0.75"],
)  # fmt: skip
def test_an_estimator_that_knows_nothing_of_the_task_agrees(name):
    task = tasks.get(name)
    score = estimate_mi(*task.sample(8000, 0), null=0, calibrated=0, estimator="auto")
    assert score.value == pytest.approx(task.mi, abs=0.05 + 0.03 * task.mi)


def test_transforms_keep_the_truth_and_compose_names():
    base = tasks.sparse(3)
    both = tasks.spiral(tasks.normal_cdf(base))
    assert both.name == "spiral-normal_cdf-" + base.name
    assert both.mi == base.mi
    x, _ = tasks.spiral(base).sample(500, 0)
    plain, _ = base.sample(500, 0)
    assert np.linalg.norm(x, axis=1) == pytest.approx(np.linalg.norm(plain, axis=1))


def test_embedded_sides_are_what_they_claim():
    x, y = tasks.get("unit64-normal-4-4-2nats").sample(100, 0)
    assert (x >= 0).all()
    assert np.linalg.norm(y, axis=1) == pytest.approx(np.ones(100))


def test_embedding_is_injective():
    """A linear solve from the active columns of the features gives the coordinates back."""
    rng = np.random.default_rng(0)
    hidden = tasks.with_information(4, 2.0)
    latent, _ = hidden.sample(300, 5)
    seen, _ = tasks.embedded(hidden, 64).sample(300, 5)
    near = np.argsort(((seen[:, None] - seen[None]) ** 2).sum(-1), axis=1)[:, 1]
    apart = np.linalg.norm(latent - latent[near], axis=1)
    chance = np.linalg.norm(latent - latent[rng.permutation(300)], axis=1)
    assert apart.max() < np.median(chance)
    assert len(np.unique(seen, axis=0)) == 300


@pytest.mark.parametrize("person", [0, 1])
def test_an_image_determines_its_factors(person):
    """A smooth regression on kept-out images gives the coordinates back."""
    latent = np.random.default_rng(0).normal(size=(2000, 3))
    images = tasks.draw_faces(latent, 24, person)
    assert images.min() >= 0
    assert images.max() <= 1
    left, spread, _ = np.linalg.svd(images - images.mean(0), full_matrices=False)
    columns = left[:, :60] * spread[:60]
    columns = columns / columns[:, 0].std()
    columns = columns / np.sqrt(columns.var(0) + 1e-4)
    model = KernelRidge(alpha=1e-4, kernel="rbf", gamma=1e-3).fit(columns[:1500], latent[:1500])
    missed = (model.predict(columns[1500:]) - latent[1500:]).var(0)
    assert (missed < 0.03).all()


@pytest.mark.parametrize(
    "build",
    [
        lambda: tasks.channel(3, 1.5),
        lambda: tasks.channel(1, 0.0),
        lambda: tasks.with_information(2, -1.0),
        lambda: tasks.additive(-0.1),
        lambda: tasks.spiral(tasks.get("1v1-normal-0.75")),
    ],
)
def test_tasks_that_there_are_not_are_refused(build):
    with pytest.raises(DataError, match="no such task: "):
        build()
