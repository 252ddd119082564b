"""Tasks of known mutual information, and transforms that preserve it.

A `Task` combines a sampler with its true value. A transform takes a task and returns another, so
that transforms compose and the truth stays with the sampler. `names(suite)` lists the tasks of a
suite, `get(name)` builds one.

The suite "bmi" holds the forty tasks of Czyż et al., Beyond Normal (NeurIPS 2023), under their
names; "bmi2" holds distributions of their later paper (arXiv 2310.10240).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np
from scipy.special import gammaln, logsumexp, ndtr, psi

from fer_bench.errors import DataError, UnknownNameError, did_you_mean

Pair = tuple[np.ndarray, np.ndarray]
MONTE_CARLO = 200_000


@dataclass(frozen=True)
class Truth:
    """Mutual information in nats, with its standard error if it is a Monte Carlo mean."""

    value: float
    error: float = 0.0


@dataclass(frozen=True)
class Task:
    """A joint distribution of known mutual information.

    Attributes:
        name: of the base distribution and its transforms, such as "half_cube-1v1-normal-0.75".
        draw: (n, generator) -> x [n, dx], y [n, dy] or labels [n].
        known: returns the truth; Monte Carlo truths are computed on first use.
        dim_x, dim_y: columns of each side; 0 for labels.
    """

    name: str
    draw: Callable[[int, np.random.Generator], Pair]
    known: Callable[[], Truth]
    dim_x: int
    dim_y: int

    @property
    def truth(self) -> Truth:
        """The true information, computed on first use."""
        return _truth(self.known)

    @property
    def mi(self) -> float:
        """True mutual information in nats."""
        return self.truth.value

    def sample(self, n: int, seed: int = 0) -> Pair:
        """Draw n paired rows.

        Args:
            n: number of rows.
            seed: of the generator; equal seeds give equal rows.

        Returns:
            x [n, dx] and y [n, dy]; labels are [n].
        """
        return self.draw(n, np.random.default_rng(seed))


@lru_cache(maxsize=512)
def _truth(known: Callable[[], Truth]) -> Truth:
    return known()


def _require(fulfilled: bool, message: str) -> None:
    """Refuse a task that there is not."""
    if not fulfilled:
        raise DataError(f"no such task: {message}.")


def _exact(value: float) -> Callable[[], Truth]:
    return lambda: Truth(value)


# --- bases ------------------------------------------------------------------------------------


def normal(name: str, covariance: np.ndarray, dx: int) -> Task:
    """A joint normal distribution.

    Args:
        name: of the task.
        covariance: [dx + dy, dx + dy].
        dx: leading coordinates that form x.
    """
    root = np.linalg.cholesky(covariance)
    dims = len(covariance)

    def draw(n: int, random: np.random.Generator) -> Pair:
        rows = random.standard_normal((n, dims)) @ root.T
        return rows[:, :dx], rows[:, dx:]

    return Task(name, draw, _exact(normal_mi(covariance, dx)), dx, dims - dx)


def normal_mi(covariance: np.ndarray, dx: int) -> float:
    """Mutual information of a joint normal distribution, 1/2 log(det S_x det S_y / det S), in nats.

    Args:
        covariance: S [dx + dy, dx + dy].
        dx: leading coordinates that form x.

    >>> round(normal_mi(np.array([[1, .75], [.75, 1]]), 1), 6)
    0.413339
    """
    parts = (covariance[:dx, :dx], covariance[dx:, dx:], covariance)
    a, b, c = (float(np.linalg.slogdet(m)[1]) for m in parts)
    return 0.5 * (a + b - c)


def paired_covariance(dx: int, dy: int, correlations: list[float]) -> np.ndarray:
    """Covariance of unit variances [dx + dy, dx + dy] in which only x_i and y_i correlate."""
    covariance = np.eye(dx + dy)
    for i, rho in enumerate(correlations):
        covariance[i, dx + i] = covariance[dx + i, i] = rho
    return covariance


def dense(d: int, rho: float = 0.5) -> Task:
    """Normal coordinates that all correlate by rho with each other; d in each side."""
    covariance = np.full((2 * d, 2 * d), rho) + (1 - rho) * np.eye(2 * d)
    return normal(f"multinormal-dense-{d}-{d}-{rho}", covariance, d)


def sparse(d: int, pairs: int = 2, strength: float = 2.0) -> Task:
    """Normal sides of d coordinates of which only a few pairs correlate."""
    rho = strength**2 / (1 + strength**2)
    covariance = paired_covariance(d, d, [rho] * pairs)
    return normal(f"multinormal-sparse-{d}-{d}-{pairs}-{strength}", covariance, d)


def random_covariance(d: int, seed: int = 0) -> Task:
    """Normal sides of d coordinates with a random (Wishart) covariance."""
    factor = np.random.default_rng(seed).standard_normal((2 * d, 4 * d))
    return normal(f"multinormal-random-{d}-{d}-{seed}", factor @ factor.T / (4 * d), d)


def with_information(d: int, nats: float, pairs: int | None = None) -> Task:
    """Normal sides of d coordinates whose equally correlated pairs carry `nats` altogether."""
    pairs = pairs or d
    _require(nats >= 0, f"{nats} nats: information is not below zero")
    rho = float(np.sqrt(1 - np.exp(-2 * nats / pairs)))
    return normal(f"normal-{d}-{d}-{nats:g}nats", paired_covariance(d, d, [rho] * pairs), d)


def independent(dx: int, dy: int) -> Task:
    """Independent normal sides."""
    return normal(f"independent-{dx}-{dy}", np.eye(dx + dy), dx)


def student(d: int, dof: int) -> Task:
    """A multivariate t with unit dispersion: uncorrelated, but dependent through the scale."""

    def draw(n: int, random: np.random.Generator) -> Pair:
        rows = random.standard_normal((n, 2 * d))
        rows *= np.sqrt(dof / random.chisquare(dof, (n, 1)))
        return rows[:, :d], rows[:, d:]

    name = f"student-identity-{d}-{d}-{dof}"
    return Task(name, draw, _exact(student_constant(dof, d, d)), d, d)


def student_constant(dof: float, dx: int, dy: int) -> float:
    """Information of a multivariate t in excess of the normal value of its dispersion, in nats.

    >>> round(student_constant(1, 1, 1), 4)
    0.2242
    """

    def entropy(d: int) -> float:
        half = (dof + d) / 2
        scale = 0.5 * d * np.log(dof * np.pi) + gammaln(dof / 2) - gammaln(half)
        return float(scale + half * (psi(half) - psi(dof / 2)))

    return entropy(dx) + entropy(dy) - entropy(dx + dy)


def additive(epsilon: float) -> Task:
    """X uniform on (0, 1), and Y = X + noise uniform on (-epsilon, epsilon)."""
    _require(epsilon > 0, f"epsilon = {epsilon}: give a half-width above 0")
    mi = 1 / (4 * epsilon) if epsilon > 0.5 else epsilon - float(np.log(2 * epsilon))

    def draw(n: int, random: np.random.Generator) -> Pair:
        x = random.uniform(size=(n, 1))
        return x, x + random.uniform(-epsilon, epsilon, size=(n, 1))

    return Task(f"1v1-additive-{epsilon:g}", draw, _exact(mi), 1, 1)


def mixture(
    name: str,
    weights: list[float],
    means: Sequence[Sequence[float]],
    covariances: list[np.ndarray],
    dx: int,
) -> Task:
    """A mixture of joint normal distributions.

    The truth is a Monte Carlo mean of the log density ratio.

    Args:
        name: of the task.
        weights: [k] of the components.
        means: [k][dx + dy].
        covariances: [k] of [dx + dy, dx + dy].
        dx: leading coordinates that form x.
    """
    w, mu = np.asarray(weights, float), np.asarray(means, float)
    roots = [np.linalg.cholesky(c) for c in covariances]
    dims = mu.shape[1]

    def draw(n: int, random: np.random.Generator) -> Pair:
        which = random.choice(len(w), size=n, p=w / w.sum())
        noise = random.standard_normal((n, dims))
        rows = mu[which] + np.einsum("nij,nj->ni", np.stack(roots)[which], noise)
        return rows[:, :dx], rows[:, dx:]

    def log_density(rows: np.ndarray, part: slice) -> np.ndarray:
        logs = []
        for weight, center, covariance in zip(w / w.sum(), mu, covariances, strict=True):
            root = np.linalg.cholesky(covariance[part, part])
            z = np.linalg.solve(root, (rows - center[part]).T)
            d = len(root)
            norm = np.log(np.diag(root)).sum() + 0.5 * d * np.log(2 * np.pi)
            logs.append(np.log(weight) - norm - 0.5 * (z**2).sum(axis=0))
        return logsumexp(logs, axis=0)

    def known() -> Truth:
        x, y = draw(MONTE_CARLO, np.random.default_rng(12345))
        joint = log_density(np.hstack([x, y]), slice(0, dims))
        return _mean(joint - log_density(x, slice(0, dx)) - log_density(y, slice(dx, dims)))

    return Task(name, draw, known, dx, dims - dx)


def _mean(rows: np.ndarray) -> Truth:
    # Rounded, so that nothing in common is exactly zero.
    return Truth(round(float(rows.mean()), 12), float(rows.std() / np.sqrt(len(rows))))


# --- transforms: task -> task, the information unchanged --------------------------------------


def mapped(
    task: Task,
    name: str,
    x: Callable[[np.ndarray], np.ndarray] | None = None,
    y: Callable[[np.ndarray], np.ndarray] | None = None,
    *,
    dim_x: int | None = None,
    dim_y: int | None = None,
) -> Task:
    """Apply an injective map to the rows of either side, which preserves mutual information.

    Args:
        task: to transform.
        name: prefix of the new name.
        x, y: maps of rows [n, d]; None leaves a side as it is.
        dim_x, dim_y: new numbers of columns, if they change.
    """

    def draw(n: int, random: np.random.Generator) -> Pair:
        a, b = task.draw(n, random)
        return (x(a) if x else a), (y(b) if y else b)

    return replace(
        task, name=f"{name}-{task.name}", draw=draw,
        dim_x=task.dim_x if dim_x is None else dim_x, dim_y=task.dim_y if dim_y is None else dim_y,
    )  # fmt: skip


def normal_cdf(task: Task) -> Task:
    """Map every coordinate by the normal distribution function, to uniform margins."""
    return mapped(task, "normal_cdf", ndtr, ndtr)


def half_cube(task: Task) -> Task:
    """Map every coordinate v to v sqrt|v|, for longer tails."""

    def longer(v: np.ndarray) -> np.ndarray:
        return v * np.sqrt(np.abs(v))

    return mapped(task, "half_cube", longer, longer)


def asinh(task: Task) -> Task:
    """Map every coordinate by the inverse hyperbolic sine, for shorter tails."""
    return mapped(task, "asinh", np.arcsinh, np.arcsinh)


def wiggly(task: Task) -> Task:
    """Map both sides by monotone functions with wiggles, different for each side."""

    def left(v: np.ndarray) -> np.ndarray:
        return v + 0.4 * np.sin(v) + 0.2 * np.sin(1.7 * v + 1) + 0.03 * np.sin(3.3 * v - 2.5)

    def right(v: np.ndarray) -> np.ndarray:
        small = 0.17 * np.sin(1.3 * v + 3.5) + 0.02 * np.sin(4.3 * v - 2.5)
        return v - 0.4 * np.sin(0.4 * v) + small

    return mapped(task, "wiggly", left, right)


def bimodal(task: Task) -> Task:
    """Map uniform margins to bimodal ones, by the inverse distribution function of a mixture."""

    def inverse(weight: float, first: float, second: float) -> Callable[[np.ndarray], np.ndarray]:
        grid = np.linspace(-10, 14, 100_001)
        cdf = weight * ndtr(grid - first) + (1 - weight) * ndtr(grid - second)
        return lambda u: np.interp(u, cdf, grid)

    return mapped(task, "bimodal", inverse(0.3, 0, 5), inverse(0.5, -1, 3))


def swiss_roll(task: Task) -> Task:
    """Roll a uniform x up into a spiral in the plane."""

    def roll(v: np.ndarray) -> np.ndarray:
        t = 1.5 * np.pi * (1 + 2 * v[:, 0])
        return np.stack([t * np.cos(t), t * np.sin(t)], axis=1) / 21

    return mapped(task, "swissroll_x", roll, dim_x=2)


def spiral(task: Task, speed: float = 1.0) -> Task:
    """Rotate x in the plane (0, 1) and y in the plane (1, 2) by an angle of speed |v|^2 / d."""
    _require(min(task.dim_x, task.dim_y - 1) > 1, f"{task.name}: y turns in its columns 1 and 2")

    def turn(i: int, j: int) -> Callable[[np.ndarray], np.ndarray]:
        return lambda v: _turn(v, i, j, speed / v.shape[1])

    return mapped(task, "spiral", turn(0, 1), turn(1, 2))


def _turn(v: np.ndarray, i: int, j: int, speed: float) -> np.ndarray:
    angle = speed * (v**2).sum(axis=1)
    turned = v.copy()
    turned[:, i] = np.cos(angle) * v[:, i] + np.sin(angle) * v[:, j]
    turned[:, j] = np.cos(angle) * v[:, j] - np.sin(angle) * v[:, i]
    return turned


def embedded(task: Task, width: int, *, unit: bool = False, seed: int = 0) -> Task:
    """Map both sides to network features ReLU(W v + b) of `width` non-negative columns.

    With many more columns than coordinates the map is injective: any d + 1 active columns in
    general position determine v, up to the length, which `unit` normalisation removes.
    """

    def layer(d: int, salt: int) -> Callable[[np.ndarray], np.ndarray]:
        random = np.random.default_rng([seed, salt])
        weights = random.standard_normal((d, width)) / np.sqrt(d)
        shift = random.uniform(-0.5, 1.0, width)

        def apply(v: np.ndarray) -> np.ndarray:
            active = np.maximum(v @ weights + shift, 0)
            return active / np.linalg.norm(active, axis=1, keepdims=True) if unit else active

        return apply

    kind = "unit" if unit else "relu"
    right = None if task.dim_y == 0 else layer(task.dim_y, 1)
    return mapped(
        task, f"{kind}{width}", layer(task.dim_x, 0), right,
        dim_x=width, dim_y=width if task.dim_y else 0,
    )  # fmt: skip


def faces(task: Task, size: int = 24) -> Task:
    """Map both sides to grey images [n, size * size] of two generated people, one for each side.

    The coordinates control the smile, the opening of the jaw and the turn of the head. All else is
    fixed, so that an image determines them up to 8-bit rounding.
    """

    def shown(person: int) -> Callable[[np.ndarray], np.ndarray]:
        return lambda v: draw_faces(v, size, person)

    right = None if task.dim_y == 0 else shown(1)
    pixels = size * size
    return mapped(task, "faces", shown(0), right, dim_x=pixels, dim_y=pixels if task.dim_y else 0)


def draw_faces(v: np.ndarray, size: int, person: int = 0) -> np.ndarray:
    """Draw one image for each row of up to three coordinates.

    Args:
        v: [n, d] coordinates.
        size: of the images in pixels.
        person: who is drawn.

    Returns:
        [n, size * size] in [0, 1].
    """
    from fer_bench.data.synthetic.factors import sample_factors
    from fer_bench.data.synthetic.renderer import render

    neutral = sample_factors(
        1, subjects=1, first_subject=person, classes=("neutral",), style=0, nuisance=0, noise=0
    )
    factors = neutral.loc[np.zeros(len(v), dtype=int)].reset_index(drop=True)
    level = np.tanh(v / 3)
    moved = {"factor_au12": 0.5 + level / 2, "factor_au26": 0.5 + level / 2, "factor_yaw": level}
    for i, (name, values) in enumerate(moved.items()):
        if i < v.shape[1]:
            factors[name] = values[:, i]
    return render(factors, size=size, color=False).reshape(len(v), -1) / 255.0


# --- labels -----------------------------------------------------------------------------------


def channel(classes: int, flip: float) -> Task:
    """Uniform labels, and the output of a symmetric channel that changes them with probability
    flip.
    """
    _require(classes > 1, f"{classes} classes: a channel needs two")
    _require(0 <= flip <= 1, f"flip = {flip}: give a probability")
    keep, other = 1 - flip, flip / (classes - 1)
    noise = -sum(p * np.log(p) for p in [keep] + [other] * (classes - 1) if p > 0)

    def draw(n: int, random: np.random.Generator) -> Pair:
        x = random.integers(0, classes, n)
        move = random.integers(1, classes, n) * (random.uniform(size=n) < flip)
        return x, (x + move) % classes

    mi = float(np.log(classes) - noise)
    return Task(f"channel-{classes}-{flip:g}", draw, _exact(mi), 0, 0)


def class_means(classes: int, dims: int, spread: float, seed: int = 0) -> np.ndarray:
    """Class centres [classes, dims]."""
    return spread * np.random.default_rng([seed, classes, dims]).standard_normal((classes, dims))


def clusters(classes: int, dims: int, spread: float) -> Task:
    """Labels, and normal clusters of unit variance around their class centres: I(X; label)."""
    means = class_means(classes, dims, spread)

    def draw(n: int, random: np.random.Generator) -> Pair:
        y = random.integers(0, classes, n)
        return means[y] + random.standard_normal((n, dims)), y

    def known() -> Truth:
        x, y = draw(MONTE_CARLO // 4, np.random.default_rng(12345))
        logs = -0.5 * ((x[:, None] - means) ** 2).sum(-1)
        return _mean(logs[np.arange(len(y)), y] - logsumexp(logs, axis=1) + np.log(classes))

    return Task(f"clusters-{classes}-{dims}-{spread:g}", draw, known, dims, 0)


def same_class(classes: int, dims: int, spread: float) -> Task:
    """Two normal clouds that share a hidden label only: I(X; Y) <= log(classes)."""
    means = class_means(classes, dims, spread)

    def draw(n: int, random: np.random.Generator) -> Pair:
        label = random.integers(0, classes, n)
        x, y = (means[label] + random.standard_normal((n, dims)) for _ in range(2))
        return x, y

    def posterior(v: np.ndarray) -> np.ndarray:
        logs = -0.5 * ((v[:, None] - means) ** 2).sum(-1)
        return logs - logsumexp(logs, axis=1, keepdims=True)

    def known() -> Truth:
        x, y = draw(MONTE_CARLO // 4, np.random.default_rng(12345))
        return _mean(logsumexp(posterior(x) + posterior(y), axis=1) + np.log(classes))

    return Task(f"same-class-{classes}-{dims}-{spread:g}", draw, known, dims, dims)


def revealed(label: int = 5) -> Task:
    """An integer x, and y = x + noise uniform on (0, 2): log m - (m - 1) / m log 2 (Gao 2017)."""

    def draw(n: int, random: np.random.Generator) -> Pair:
        x = random.integers(0, label, n)
        return random.uniform(0, 2, (n, 1)) + x[:, None], x

    mi = float(np.log(label) - (label - 1) * np.log(2) / label)
    return Task(f"uniform-steps-{label}", draw, _exact(mi), 1, 0)


# --- suites -----------------------------------------------------------------------------------


def _bmi() -> list[Task]:
    binormal = normal("1v1-normal-0.75", paired_covariance(1, 1, [0.75]), 1)
    uniform = normal_cdf(binormal)
    two = replace(bimodal(uniform), name="1v1-bimodal-0.75")
    line = [
        binormal, uniform, additive(0.1), additive(0.75), two, wiggly(binormal),
        half_cube(binormal), student(1, 1), asinh(student(1, 1)), swiss_roll(uniform),
    ]  # fmt: skip
    normals = [dense(d) for d in (2, 3, 5, 25, 50)] + [sparse(d) for d in (2, 3, 5, 25)]
    students = [student(d, dof) for d, dof in ((2, 1), (2, 2), (3, 2), (3, 3), (5, 2), (5, 3))]
    warped = [
        transform(sparse(d))
        for transform in (normal_cdf, half_cube, spiral, lambda t: spiral(normal_cdf(t)))
        for d in (3, 5, 25)
    ]
    return (
        line + normals + students + warped + [asinh(student(*a)) for a in ((2, 1), (3, 2), (5, 2))]
    )


def _bmi2() -> list[Task]:
    def two(rho: float) -> np.ndarray:
        return np.array([[1, rho], [rho, 1]])

    cross = mixture("1v1-X-0.9", [1, 1], [[0, 0]] * 2, [two(-0.9), two(0.9)], 1)
    slope = np.sqrt(0.04 * 0.2) * 0.95
    letters = mixture(
        "1v1-AI", [1] * 6,
        [[1, 0], [1, 1], [1, -1], [-0.8, -0.2], [-1.2, 0], [-0.4, 0]],
        [np.diag([0.01, 0.2]), np.diag([0.05, 0.001]), np.diag([0.05, 0.001]),
         np.diag([0.03, 0.001]), np.array([[0.04, slope], [slope, 0.2]]),
         np.array([[0.04, -slope], [-slope, 0.2]])],
        1,
    )  # fmt: skip
    balls = mixture("balls", [1, 1], [[-1.5] * 3, [1.5] * 3], [np.eye(3)] * 2, 2)
    galaxy = mapped(balls, "galaxy", lambda v: _turn(v, 0, 1, -0.5))
    stripes = mixture(
        "stripes", [1] * 12, [[1.5 * i, 0, 1.5 * (i % 4)] for i in range(12)],
        [np.diag([0.1, 1.0, 0.1])] * 12, 2,
    )  # fmt: skip

    def wave(v: np.ndarray) -> np.ndarray:
        return np.stack([0.1 * (v[:, 0] + 5 * np.sin(3 * v[:, 1])) - 0.8, 0.5 * v[:, 1]], axis=1)

    waves = mapped(stripes, "waves", wave)
    concentric = [
        mixture(
            f"{d}v1-concentric-5", [1] * 5, [[0] * d + [i] for i in range(1, 6)],
            [np.diag([float(i**2)] * d + [1e-4]) for i in range(1, 6)], d,
        )
        for d in (3, 5, 25)
    ]  # fmt: skip
    signal = paired_covariance(5, 5, [0.8, 0.8])
    inliers = [
        mixture(f"inliers-5-5-{share}", [1 - share, share], [[0] * 10] * 2, [signal, np.eye(10)], 5)
        for share in (0.2, 0.5)
    ]
    return [cross, letters, waves, galaxy, *concentric, *inliers]


def _labels() -> list[Task]:
    mixed = [clusters(7, 2, 1.5), clusters(7, 16, 0.8), clusters(7, 64, 0.3), clusters(20, 64, 0.6)]
    return [channel(2, 0.1), channel(7, 0.3), channel(20, 0.5), revealed(), *mixed]


def _embeddings() -> list[Task]:
    low = with_information(4, 2.0)
    shared = same_class(7, 6, 1.2)
    return [
        embedded(low, 64), embedded(low, 64, unit=True), embedded(low, 512), embedded(shared, 64),
        embedded(shared, 512, unit=True), embedded(clusters(7, 8, 1.0), 64),
        embedded(clusters(20, 12, 1.0), 512, unit=True), embedded(independent(6, 6), 64),
    ]  # fmt: skip


def _independent() -> list[Task]:
    labels = [channel(7, 6 / 7), clusters(7, 64, 0.0)]
    return [independent(1, 1), independent(5, 5), independent(64, 64), *labels]


_SUITES: dict[str, Callable[[], list[Task]]] = {
    "bmi": _bmi,
    "bmi2": _bmi2,
    "labels": _labels,
    "embeddings": _embeddings,
    "images": lambda: [
        faces(task) for task in (with_information(3, 1.0), clusters(3, 3, 1.5), independent(3, 3))
    ],
    "independent": _independent,
    "high": lambda: [with_information(d, nats) for d in (5, 20) for nats in (2, 4, 6, 8, 10)],
    "random": lambda: [random_covariance(d) for d in (3, 10)],
}


@cache
def suite(name: str) -> tuple[Task, ...]:
    """All tasks of a suite.

    Raises:
        UnknownNameError: there is no such suite.

    >>> len(suite("bmi"))
    40
    """
    if name not in _SUITES:
        raise UnknownNameError(f"there is no task suite {name!r}: {did_you_mean(name, _SUITES)}")
    return tuple(_SUITES[name]())


def suites() -> list[str]:
    """The names of all suites."""
    return list(_SUITES)


def names(of: str | None = None) -> list[str]:
    """The names of the tasks of one suite, or of all."""
    return [task.name for s in ([of] if of else suites()) for task in suite(s)]


def get(name: str) -> Task:
    """The task of a name.

    Raises:
        UnknownNameError: no suite has such a task.

    >>> round(get("half_cube-1v1-normal-0.75").mi, 4)
    0.4133
    """
    for s in suites():
        for task in suite(s):
            if task.name == name:
                return task
    raise UnknownNameError(f"there is no task {name!r}: {did_you_mean(name, names())}")
