"""Power: would this evaluation have found a leak, and how small a one?

Whatever already leaks is taken out of the run's own embeddings by dealing the people anew within
each expression; all else stays. Then every person gets a fresh code, planted with a known strength,
and the attackers are fitted and read as ever. The strength is stated as the equal error rate of an
attacker who knows the plant, on a grid fixed here. A leak is found where any attacker is above the
permutation null at 1 %, family-wise over the attackers (max-T: Westfall and Young 1993).

Strengths follow an up-down staircase (one up, two down: Levitt, JASA 1971), and a psychometric
function says which strength is found in 90 % of draws.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import chi2

from fer_bench.attackers.attacker import Attacker
from fer_bench.attackers.closed_forms import two_covariances
from fer_bench.attackers.comparisons import compared_and_permuted
from fer_bench.attackers.faces import Faces, dealt_cells, tied_to_target
from fer_bench.data.cache import cache_folder, entry
from fer_bench.metrics.common import Floats
from fer_bench.metrics.verification import equal_error_rate

Kind = Literal["direction", "rotated", "spread", "templates", "xor"]
KINDS: tuple[Kind, ...] = ("direction", "rotated", "spread", "templates")
GRID = (0.495, 0.49, 0.48, 0.465, 0.445, 0.42, 0.385, 0.34, 0.28, 0.2, 0.1)  # weakest first
LEVEL = 0.01
SHARE = 0.9
DRAWS = 20
PERMUTATIONS = 199
TEMPLATE = 5  # enrolled faces by which the strength of a leak "in templates only" is stated
BITS = 4  # of a code in products of signs
QUANTILES = 300
VERSION = 2

Splits = tuple[Faces, Faces, Faces]


@dataclass(frozen=True)
class Power:
    """How small a leak of one kind an evaluation finds.

    Attributes:
        kind: of the planted code.
        threshold: equal error rate of who knows the plant, found in 90 % of draws; smaller EERs
            are larger leaks. 0 where not even the largest of the grid is found.
        low, high: 95 % interval of the threshold.
        planted, detected: the EER of each draw and whether its leak was detected.
    """

    kind: str
    threshold: float
    low: float
    high: float
    planted: tuple[float, ...]
    detected: tuple[bool, ...]


# --- planting ------------------------------------------------------------------------------


def without_people(faces: Faces, rng: np.random.Generator) -> Faces:
    """Embeddings dealt anew within each `apart` code: nobody is in them any more."""
    if tied_to_target(faces):
        return faces.with_x(faces.x[dealt_cells(faces, rng)])
    order = np.lexsort((rng.random(len(faces)), faces.apart))
    x = np.empty_like(faces.x)
    x[np.argsort(faces.apart, kind="stable")] = faces.x[order]
    return faces.with_x(x)


def plant(parts: Splits, kind: Kind, eer: float, *, seed: int = 0) -> Splits:
    """Training, validation and test faces without their people, with a fresh code for each person.

    Args:
        parts: the faces of the three parts.
        kind: "direction" (the leading one of E), "rotated" (four random ones), "spread" (over all),
            "templates" (over all; the strength is that for five enrolled faces), or "xor" (the
            product of two columns tells a bit, neither alone does: closed forms cannot see it).
        eer: equal error rate of an attacker who knows the plant; .5 plants nothing.
        seed: of the dealing and the codes.

    The strength counts in units of the spread of faces along each direction, so that the
    stated EER is exact where that spread is normal.
    """
    rng = np.random.default_rng(seed)
    clean = [without_people(faces, rng) for faces in parts]
    if eer >= 0.5:
        return clean[0], clean[1], clean[2]
    within, _ = two_covariances(clean[0].x, clean[0].target)
    values, vectors = np.linalg.eigh(within)
    colour = vectors * np.sqrt(np.clip(values, 0, None))  # unit noise to that of E
    used = np.flatnonzero(values > 1e-9 * values[-1])
    d = len(used)
    turned = np.linalg.qr(rng.normal(size=(d, d)))[0]
    if kind == "xor":
        bits = min(BITS, d // 2)
        axes, size = (colour[:, used] @ turned)[:, : 2 * bits], amplitude("xor", bits, eer)
        codes = [_xor(faces, bits, rng) for faces in clean]
    else:
        axes = {
            "direction": colour[:, used[-1:]],
            "rotated": (colour[:, used] @ turned)[:, :4],
        }.get(kind, colour[:, used])
        size = amplitude(kind, axes.shape[1], eer)
        codes = [_codes(faces, axes.shape[1], rng) for faces in clean]
    train, validation, test = (
        faces.with_x(faces.x + size * code @ axes.T)
        for faces, code in zip(clean, codes, strict=True)
    )
    return train, validation, test


def _codes(faces: Faces, k: int, rng: np.random.Generator) -> Floats:
    names, target = np.unique(faces.target, return_inverse=True)
    return rng.normal(size=(len(names), k))[target.ravel()]


def _xor(faces: Faces, bits: int, rng: np.random.Generator) -> Floats:
    names, target = np.unique(faces.target, return_inverse=True)
    own = rng.choice([-1.0, 1.0], (len(names), bits))[target.ravel()]
    key = rng.choice([-1.0, 1.0], (len(faces), bits))
    return np.hstack([key, key * own])


def amplitude(kind: Kind, k: int, eer: float) -> float:
    """Size of a code in k columns of unit noise at which an attacker who knows it has this EER.

    >>> amplitude("spread", 64, 0.4) < amplitude("direction", 1, 0.4) < 2
    True
    """
    sizes, eers = _xor_curve(k) if kind == "xor" else _normal_curve(k)
    size = float(np.interp(-eer, -eers, sizes))
    if kind == "xor":
        return size
    # In each column, enrolled (mean of m faces) and probed face have the correlation
    # r = b / sqrt((b + 1/m) (b + 1)), b the variance of the code: solved for b.
    each, square = 1 / (TEMPLATE if kind == "templates" else 1), size**2
    half = square * (1 + each)
    root = np.sqrt(half**2 + 4 * (1 - square) * square * each)
    return float(np.sqrt((half + root) / (2 * (1 - square))))


@lru_cache(maxsize=32)
def _normal_curve(k: int) -> tuple[Floats, Floats]:
    """EER of the log-likelihood ratio by the correlation r of two faces in each of k columns.

    Sum and difference of the two have variances 1 + r and 1 - r for one person and 1 for two, so
    that the ratio is that of two chi-squared variables; its errors are summed over a grid of their
    quantiles.
    """
    u = chi2.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES, k)
    first, second = u[:, None], u[None, :]
    correlations = np.r_[np.geomspace(1e-4, 0.1, 40), np.linspace(0.11, 0.995, 40)]
    eers = [
        _eer((r * (first - second)).ravel(), (r / (1 + r) * first - r / (1 - r) * second).ravel())
        for r in correlations
    ]
    return correlations, np.minimum.accumulate(eers)


@lru_cache(maxsize=8)
def _xor_curve(bits: int, *, n: int = 50_000) -> tuple[Floats, Floats]:
    """The same by the size of products of signs, from drawn pairs."""
    rng = np.random.default_rng(0)
    own, other = rng.choice([-1.0, 1.0], (2, n, bits))
    noise = rng.normal(size=(3, 2, n, bits))

    def belief(bit: Floats, size: float, drawn: Floats) -> Floats:
        """2 P(bit = 1) - 1, given one face (with the key 1, as any other is its mirror image)."""
        a, b = size + drawn[0], size * bit + drawn[1]
        alike, unlike = size * (a + b), size * (a - b)
        return np.tanh((np.logaddexp(alike, -alike) - np.logaddexp(unlike, -unlike)) / 2)

    sizes, eers = np.geomspace(0.05, 6, 40), []
    for size in sizes:
        first = belief(own, size, noise[0])
        ratios = [
            np.log1p(np.clip(first * belief(bit, size, drawn), -1 + 1e-12, None)).sum(axis=1)
            for bit, drawn in ((own, noise[1]), (other, noise[2]))
        ]
        eers.append(_eer(*ratios))
    return sizes, np.minimum.accumulate(eers)


def _eer(genuine: Floats, impostor: Floats) -> float:
    ordered = np.sort(impostor)
    thresholds = np.quantile(ordered, np.linspace(0, 1, 2_001))
    accepts = 1 - np.searchsorted(ordered, thresholds) / len(ordered)
    rejects = np.searchsorted(np.sort(genuine), thresholds) / len(genuine)
    return float(equal_error_rate(rejects, accepts)[0])


# --- finding -------------------------------------------------------------------------------


def leak_p_value(
    parts: Splits,
    attackers: Sequence[Attacker],
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> float:
    """Family-wise p-value of the attackers on the test faces (max-T over permuted people).

    Args:
        parts: training, validation and test faces.
        attackers: fitted here.
        permutations: of the test people within each expression.
        seed: of them.
    """
    train, validation, test = parts
    observed, null = [], []
    for attacker in attackers:
        fitted = attacker.fit(train, validation)
        compared, drawn = compared_and_permuted(fitted, test, draws=permutations, seed=seed)
        # Mean genuine score, without the tails of a log-likelihood ratio.
        low, high = np.quantile(compared.impostor.scores, [0.01, 0.99])
        own = _mean(compared.genuine.scores, compared.genuine.weights, low, high)
        values = np.array([_mean(each, compared.genuine.weights, low, high) for each in drawn])
        spread = values.std() or 1.0
        observed.append((own - values.mean()) / spread)
        null.append((values - values.mean()) / spread)
    largest = np.max(null, axis=0)
    return float((1 + np.count_nonzero(largest >= max(observed))) / (1 + permutations))


def _mean(scores: Floats, weights: Floats, low: float, high: float) -> float:
    """Weighted mean of scores within bounds, without those that are NaN."""
    known = np.isfinite(scores)
    return float(np.average(np.clip(scores[known], low, high), weights=weights[known]))


def find_power(
    parts: Splits,
    kind: Kind,
    attackers: Sequence[Attacker],
    *,
    draws: int = DRAWS,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Power:
    """The strength of one kind of leak that these attackers find on such faces.

    Args:
        parts: training, validation and test faces, a few per person (`Faces.at_most`).
        kind: of the plant.
        attackers: fitted on every planted draw.
        draws: planted leaks.
        permutations: for each of them.
        seed: of all of it.
    """
    place, streak = len(GRID) // 2, 0
    planted, detected = [], []
    for draw in range(draws):
        leaky = plant(parts, kind, GRID[place], seed=1_000 * seed + draw)
        p = leak_p_value(leaky, attackers, permutations=permutations, seed=draw)
        planted.append(GRID[place])
        detected.append(p <= LEVEL)
        streak = streak + 1 if detected[-1] else 0
        if not detected[-1]:
            place = min(place + 1, len(GRID) - 1)
        elif streak == 2:
            place, streak = max(place - 1, 0), 0
    return Power(kind, *psychometric(planted, detected), tuple(planted), tuple(detected))


def psychometric(planted: Sequence[float], detected: Sequence[bool]) -> tuple[float, float, float]:
    """EER that is found in 90 % of draws, with its 95 % interval.

    `P(found) = .01 + .99 Phi((log z - m) / s)`, z = Phi^-1(1 - EER); m is flat over the grid and
    beyond it, s log-normal about .3; the threshold is the posterior median.

    >>> low = psychometric([0.48] * 9 + [0.42] * 9, [False] * 9 + [True] * 9)
    >>> 0.42 <= low[0] <= 0.48
    True
    """
    x = np.log(-ndtri(np.asarray(planted)))
    hit = np.asarray(detected, dtype=bool)
    ends = np.log(-ndtri(np.asarray((GRID[0], GRID[-1]))))
    m = np.linspace(ends[0] - 0.5, ends[1] + 1.0, 241)[:, None, None]
    s = np.geomspace(0.05, 1.5, 31)[None, :, None]
    p = LEVEL + (1 - LEVEL) * ndtr((x - m) / s)
    log = np.where(hit, np.log(p), np.log1p(-np.clip(p, None, 1 - 1e-12))).sum(axis=2)
    log = log - 0.5 * (np.log(s[..., 0] / 0.3) / 0.7) ** 2
    weight = np.exp(log - log.max()).ravel()
    at = (m + s * ndtri((SHARE - LEVEL) / (1 - LEVEL)))[..., 0].ravel()
    order = np.argsort(at)
    mass = np.cumsum(weight[order]) / weight.sum()
    weak, middle, strong = (at[order][np.searchsorted(mass, q)] for q in (0.025, 0.5, 0.975))
    eers = [float(ndtr(-np.exp(v))) for v in (middle, strong, weak)]
    return (eers[0] if middle <= ends[1] else 0.0, eers[1], eers[2])


# --- once for a size -----------------------------------------------------------------------


def calibrated_power(
    parts: Splits,
    attackers: Sequence[Attacker],
    *,
    kinds: Sequence[Kind] = KINDS,
    draws: int = DRAWS,
    cache: str | Path | None = None,
    seed: int = 0,
) -> dict[str, Power]:
    """`find_power` for several kinds; what was calibrated before for such a size is read again.

    Args:
        parts: training, validation and test faces.
        attackers: who looks for the leaks.
        kinds: of leaks.
        draws: planted leaks of each kind.
        cache: folder of calibrations; by default that of decoded faces.
        seed: of plants and permutations.
    """

    def make(folder: Path) -> None:
        powers = {k: find_power(parts, k, attackers, draws=draws, seed=seed) for k in kinds}
        content = {kind: asdict(power) for kind, power in powers.items()}
        (folder / "power.json").write_text(json.dumps(content), encoding="utf-8")

    key = size_key(parts, attackers, kinds, [draws, seed])
    folder = entry(cache_folder(cache), "power", key, make)
    content = json.loads((folder / "power.json").read_text(encoding="utf-8"))
    return {kind: _read_power(values) for kind, values in content.items()}


def size_key(
    parts: Splits, attackers: Sequence[Attacker], kinds: Sequence[Kind], settings: Sequence[int]
) -> str:
    """What a calibration depends on: how many people, faces and columns, and who attacks."""
    sizes = [(len(f), f.n_targets, len(f.pairs[0]), f.x.shape[1]) for f in parts]
    names = [attacker.name for attacker in attackers]
    content = [VERSION, PERMUTATIONS, GRID, sizes, names, list(kinds), list(settings)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _read_power(written: dict[str, Any]) -> Power:
    detected = written.pop("found" if "found" in written else "detected")  # "found" until 0.2
    planted = written.pop("planted")
    return Power(**written, planted=tuple(planted), detected=tuple(detected))
