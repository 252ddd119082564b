"""What a generated face is made of: exact factors, one row of numbers per image.

Three groups of factors, all columns of one table:

* **subject**: morphology, drawn once per person. The continuous parameters lie in [-1, 1] and are
  independent of each other; the attributes `skin`, `age` and `gender` form a crossed design, so
  that every combination appears equally often among 18 consecutive subjects.
* **expression**: a class, an intensity in [0, 1] and the action units (FACS, Ekman and Friesen
  1978) that the two put on the face, through the way *this* subject expresses itself.
* **nuisance**: pose, gaze, light, background, sharpness, pixel noise, sometimes an occluder.

Every number comes from raw PCG64 output, keyed by (seed, purpose, subject), through arithmetic
that IEEE 754 rounds in one way only. So a subject looks the same whatever the number of subjects
around it, and the factors are the same bits on every machine and under every NumPy.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.errors import DataError, did_you_mean

EXPRESSIONS = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger")

SKINS = ("light", "medium", "dark")
AGES = ("young", "middle-aged", "old")
GENDERS = ("woman", "man")
HAIR_STYLES = ("bald", "short", "side-parted", "fringe", "long", "curly")
HAIR_COLORS = ("black", "brown", "red", "blond", "gray")
GLASSES = ("none", "round", "square")
BEARDS = ("none", "stubble", "beard")
ATTRIBUTES = {
    "skin": SKINS,
    "age": AGES,
    "gender": GENDERS,
    "hair": HAIR_COLORS,
    "hair_style": HAIR_STYLES,
    "glasses": GLASSES,
    "beard": BEARDS,
}

ACTION_UNITS = (
    "au1",  # inner brow raiser
    "au2",  # outer brow raiser
    "au4",  # brow lowerer
    "au5",  # upper lid raiser
    "au6",  # cheek raiser
    "au7",  # lid tightener
    "au9",  # nose wrinkler
    "au10",  # upper lip raiser
    "au12",  # lip corner puller
    "au15",  # lip corner depressor
    "au16",  # lower lip depressor
    "au17",  # chin raiser
    "au20",  # lip stretcher
    "au23",  # lip tightener (with au24, lip pressor)
    "au25",  # lips part
    "au26",  # jaw drop
    "au43",  # eyes closed
)

Recipes = Mapping[str, tuple[dict[str, float], dict[str, float]]]

# Two ways of showing each emotion (after EMFACS); a subject prefers one of them.
RECIPES: Recipes = {
    "neutral": ({}, {}),
    "happiness": (
        {"au6": 0.8, "au12": 1.0, "au25": 0.7, "au26": 0.1},
        {"au6": 0.7, "au12": 0.95, "au7": 0.1},
    ),
    "sadness": (
        {"au1": 1.0, "au4": 0.45, "au15": 0.95, "au17": 0.4, "au43": 0.15},
        {"au1": 0.8, "au4": 0.6, "au15": 0.8, "au17": 0.75, "au43": 0.3, "au6": 0.1},
    ),
    "surprise": (
        {"au1": 0.95, "au2": 1.0, "au5": 0.8, "au25": 0.7, "au26": 1.0},
        {"au1": 0.9, "au2": 0.9, "au5": 0.7, "au25": 0.5, "au26": 0.55},
    ),
    "fear": (
        {"au1": 0.95, "au2": 0.5, "au4": 0.6, "au5": 1.0, "au20": 0.9, "au25": 0.75, "au26": 0.3},
        {"au1": 0.9, "au2": 0.35, "au4": 0.75, "au5": 0.9, "au20": 0.7, "au25": 0.4, "au16": 0.5},
    ),
    "disgust": (
        {"au9": 1.0, "au10": 0.7, "au4": 0.35, "au7": 0.4, "au6": 0.25, "au17": 0.35, "au15": 0.2},
        {"au9": 0.8, "au10": 1.0, "au4": 0.3, "au7": 0.4, "au6": 0.3, "au25": 0.5, "au16": 0.25},
    ),
    "anger": (
        {"au4": 1.0, "au5": 0.35, "au7": 0.6, "au23": 0.95, "au17": 0.35},
        {"au4": 1.0, "au5": 0.4, "au7": 0.5, "au23": 0.4, "au25": 0.6, "au16": 0.5, "au20": 0.15},
    ),
}

# Valence and arousal of the full expression, on Russell's circumplex, and what a deviation of an
# action unit from its class's mean adds to them.
_PROTOTYPES = {
    "neutral": (0.0, 0.0),
    "happiness": (0.8, 0.4),
    "sadness": (-0.65, -0.4),
    "surprise": (0.2, 0.8),
    "fear": (-0.6, 0.7),
    "disgust": (-0.7, 0.3),
    "anger": (-0.65, 0.6),
}
_VALENCE_WEIGHTS = {"au12": 0.35, "au6": 0.1, "au15": -0.25, "au4": -0.2, "au9": -0.15, "au1": -0.1}
_AROUSAL_WEIGHTS = {"au5": 0.35, "au26": 0.2, "au25": 0.1, "au2": 0.1, "au7": 0.1, "au43": -0.4}

SUBJECT_FACTORS = (
    "face_width",
    "face_length",
    "jaw_width",
    "chin",
    "cheeks",
    "skin_tone",
    "skin_hue",
    "hair_shade",
    "hair_volume",
    "hairline",
    "eye_size",
    "eye_spacing",
    "eye_height",
    "eye_tilt",
    "eye_color",
    "brow_thickness",
    "brow_height",
    "brow_arch",
    "nose_length",
    "nose_width",
    "mouth_width",
    "mouth_height",
    "lip_thickness",
    "lip_color",
    "ears",
    "freckles",
    "wrinkles",
    "masculinity",
)
NUISANCE_FACTORS = (
    "yaw",
    "pitch",
    "roll",
    "shift_x",
    "shift_y",
    "scale",
    "gaze_x",
    "gaze_y",
    "light_x",
    "light_y",
    "light_strength",
    "exposure",
    "warmth",
    "background",
    "background_hue",
    "blur",
    "occlusion",
    "occlusion_x",
    "occlusion_y",
)

# Purposes of the random streams: the second part of every key.
_CELLS, _MORPHOLOGY, _STYLE, _ORDER, _EXPRESSION, _NUISANCE = range(6)


def uniforms(
    shape: int | tuple[int, ...], *, seed: int, key: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return uniform numbers in [0, 1), a pure function of `seed` and `key`.

    Built from raw PCG64 output, whose stream NumPy guarantees, and not from the distributions of
    `numpy.random.Generator`, whose streams may change between versions.

    >>> uniforms(2, seed=0, key=(1, 2)).tolist() == uniforms(3, seed=0, key=(1, 2))[:2].tolist()
    True
    """
    bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key))
    raw = bits.random_raw(int(np.prod(shape)))
    return ((raw >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(shape)


def _bell(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map uniforms [..., 3] to a bounded bell shape on [-1, 1] (mean of three, sd 1/3)."""
    return (u[..., 0] + u[..., 1] + u[..., 2]) * (2 / 3) - 1


def _levels(u: NDArray[np.float64], shares: Sequence[float]) -> NDArray[np.int64]:
    """Map uniforms to levels 0..k-1 with the given shares."""
    return np.searchsorted(np.cumsum(shares)[:-1], u, side="right")


def _categorical(codes: NDArray[np.int64], levels: Sequence[str]) -> pd.Categorical[str]:
    return pd.Categorical.from_codes(codes.tolist(), pd.Index(levels))


def sample_subjects(subjects: int, *, first: int = 0, seed: int = 0) -> pd.DataFrame:
    """Draw the people: one row per subject, attributes and `factor_*` columns.

    `first` is the index of the first subject; subject `i` is the same person for every call with
    the same seed. Indexed by the name, `G000`, `G001`, ….

    >>> people = sample_subjects(18, seed=3)
    >>> people.groupby(["skin", "age", "gender"], observed=True).size().unique().tolist()
    [1]
    >>> sample_subjects(1, first=7, seed=3).equals(people.iloc[[7]])
    True
    """
    numbers = np.arange(first, first + subjects)
    cells = np.empty(subjects, dtype=np.int64)
    for block in np.unique(numbers // 18):
        order = np.argsort(uniforms(18, seed=seed, key=(_CELLS, int(block))), kind="stable")
        inside = numbers // 18 == block
        cells[inside] = order[numbers[inside] % 18]
    skin, age, gender = cells % 3, cells // 3 % 3, cells // 9

    width = len(SUBJECT_FACTORS)
    u = np.stack([uniforms(width + 6, seed=seed, key=(_MORPHOLOGY, int(i))) for i in numbers])
    morphology = 2 * u[:, :width] - 1
    factors = dict(zip(SUBJECT_FACTORS, morphology.T, strict=True))
    factors["masculinity"] = (2 * gender - 1) * (0.65 + 0.35 * factors["masculinity"])

    # Old people turn gray; otherwise age and the colour of the hair are independent.
    hair = _levels(u[:, width], (0.32, 0.34, 0.12, 0.22))
    hair = np.where((age == 2) & (u[:, width + 1] < 0.75), HAIR_COLORS.index("gray"), hair)
    style = _levels(u[:, width + 2], (0.08, 0.22, 0.2, 0.16, 0.2, 0.14))
    glasses = _levels(u[:, width + 3], (0.7, 0.15, 0.15))
    beard = np.where(gender == 1, _levels(u[:, width + 4], (0.5, 0.22, 0.28)), 0)
    clothes = u[:, width + 5]

    coded = {"skin": skin, "age": age, "gender": gender, "hair": hair, "hair_style": style}
    coded |= {"glasses": glasses, "beard": beard}
    columns: dict[str, object] = {
        name: _categorical(coded[name], levels) for name, levels in ATTRIBUTES.items()
    }
    columns |= {f"factor_{name}": values for name, values in factors.items()}
    columns["factor_clothes"] = clothes
    names = pd.Index([f"G{i:03d}" for i in numbers], name="subject")
    return pd.DataFrame(columns, index=names)


def tied_classes(
    group: int, groups: int, classes: int, *, reverse: bool = False
) -> NDArray[np.bool_]:
    """Say which classes are tied to a group: class `k` belongs to group `k mod groups`.

    With more groups than classes several groups share one. `reverse` hands every group the
    classes of the group half way round, so that with two groups the roles are swapped.

    >>> tied_classes(0, 2, 4).tolist(), tied_classes(0, 2, 4, reverse=True).tolist()
    ([True, False, True, False], [False, True, False, True])
    """
    group = (group + groups // 2) % groups if reverse else group
    step = min(groups, classes)
    return np.arange(classes) % step == group % step


def _quotas(n: int, p: NDArray[np.float64], turn: int) -> NDArray[np.int64]:
    """Split `n` images over classes with shares `p` as exactly as whole numbers allow.

    The images that are left over go to the largest remainders; equal remainders take turns.
    """
    exact = n * p
    counts = np.floor(exact + 1e-9).astype(np.int64)
    left = n - int(counts.sum())
    turns = (np.arange(len(p)) - turn * max(left, 1)) % len(p)
    remainder = np.round(exact - counts, 9)
    counts[np.lexsort((turns, -remainder))[:left]] += 1
    return counts


def sample_factors(
    n: int,
    *,
    subjects: int,
    first_subject: int = 0,
    classes: Sequence[str] = EXPRESSIONS,
    rho: float = 0.0,
    reverse: bool = False,
    group: str = "gender",
    intensity: tuple[float, float] = (0.5, 1.0),
    style: float = 1.0,
    nuisance: float = 0.4,
    noise: float = 0.02,
    seed: int = 0,
) -> pd.DataFrame:
    """Draw the factors of `n` images of `subjects` people: one row per image.

    Parameters
    ----------
    n
        Number of images, dealt evenly to the subjects.
    subjects, first_subject
        How many people, and the index of the first: the same index is the same person.
    classes
        Expressions to show, out of `EXPRESSIONS`.
    rho
        Strength in [0, 1] of the tie between `group` and expression:
        `p(class | group) = (1 - rho) / K + rho * tied(class, group) / n_tied` (see
        `tied_classes`). At 0 every subject shows every class equally often; at 1 only its own.
    reverse
        Tie the groups the opposite way.
    group
        The attribute whose levels are tied (`skin`, `age`, `gender`, `hair`, `glasses`, …), or
        `subject`.
    intensity
        Range of the strength of an expression, within [0, 1]; neutral faces have 0.
    style
        How much subjects differ in the way they express: gain of each action unit, preferred
        variant, and the trace of it that stays on their neutral face. 0 = all alike.
    nuisance
        Scale of pose, light, background, gaze, blur and occlusion; 0 = passport photographs.
    noise
        Largest standard deviation of the pixel noise, in units of the full range.
    seed
        Any non-negative integer.

    Returns
    -------
    Columns `expression`, `subject`, `group` (its level, a string), `valence`, `arousal`, the
    attributes, and `factor_*`: everything `render` needs.

    Raises
    ------
    DataError
        If a parameter is outside its range.

    >>> table = sample_factors(28, subjects=2, seed=1)
    >>> table.groupby("subject")["expression"].value_counts().unique().tolist()
    [2]
    """
    settings = {key: value for key, value in locals().items() if key not in ("n", "subjects")}
    check_integer("subjects", subjects, 1)
    check_integer("first_subject", first_subject, 0)
    check_integer("seed", seed, 0)
    return animate(sample_subjects(subjects, first=first_subject, seed=seed), n, **settings)


def animate(
    people: pd.DataFrame,
    n: int,
    *,
    first_subject: int,
    classes: Sequence[str],
    rho: float,
    reverse: bool,
    group: str,
    intensity: tuple[float, float],
    style: float,
    nuisance: float,
    noise: float,
    seed: int,
    recipes: Recipes = RECIPES,
) -> pd.DataFrame:
    """Let people show expressions under varying conditions: the table of `sample_factors`.

    `people` has one row per person, indexed by name, the first being number `first_subject`;
    its categorical columns are the attributes. `recipes` gives the action units of every
    expression, in the two ways of showing it.
    """
    attributes = {str(c): people[c].cat for c in people.select_dtypes("category")}
    _check(n, len(people), classes, rho, group, attributes, intensity, style, nuisance, noise)
    subjects = len(people)
    if group == "subject":
        levels, codes = list(people.index), list(range(subjects))
    else:
        # All levels, seen or not: the tie of a level must not depend on who happens to be there.
        levels = list(attributes[group].categories)
        codes = attributes[group].codes.tolist()

    per_subject = np.full(subjects, n // subjects)
    per_subject[: n % subjects] += 1
    owner = np.repeat(np.arange(subjects), per_subject)
    labels, expression_draws, nuisance_draws, gains = [], [], [], []
    for i, count in enumerate(per_subject):
        number = first_subject + i
        tied = tied_classes(codes[i], len(levels), len(classes), reverse=reverse)
        p = (1 - rho) / len(classes) + rho * tied / tied.sum()
        label = np.repeat(np.arange(len(classes)), _quotas(int(count), p, number))
        shuffled = np.argsort(uniforms(count, seed=seed, key=(_ORDER, number)), kind="stable")
        labels.append(label[shuffled])
        gains.append(uniforms((2, len(ACTION_UNITS), 3), seed=seed, key=(_STYLE, number)))
        shape = (count, 4 + 3 * len(ACTION_UNITS))
        expression_draws.append(uniforms(shape, seed=seed, key=(_EXPRESSION, number)))
        shape = (count, 3 * len(NUISANCE_FACTORS) + 3)
        nuisance_draws.append(uniforms(shape, seed=seed, key=(_NUISANCE, number)))
    label = np.concatenate(labels)

    expressed = _express(
        np.array([EXPRESSIONS.index(c) for c in classes])[label],
        np.stack(gains)[owner],
        np.concatenate(expression_draws),
        recipes,
        intensity=intensity,
        style=style,
        nuisance=nuisance,
    )
    table = pd.DataFrame(
        {
            "expression": _categorical(label, classes),
            "subject": people.index.to_numpy(dtype=object)[owner],
            "group": np.array([levels[code] for code in codes], dtype=object)[owner],
        }
    )
    table = table.astype({"subject": "str", "group": "str"})
    nuisances = _nuisances(np.concatenate(nuisance_draws), scale=nuisance, noise=noise)
    people = people.iloc[owner].reset_index(drop=True)
    return pd.concat([table, expressed, people, nuisances], axis=1)


def _express(
    expression: NDArray[np.int64],
    gains: NDArray[np.float64],
    u: NDArray[np.float64],
    recipes: Recipes,
    *,
    intensity: tuple[float, float],
    style: float,
    nuisance: float,
) -> pd.DataFrame:
    """Turn classes [N] into intensity, valence, arousal and action units.

    `gains` [N, 2, A, 3] are the subject's draws (gain and resting tone of each unit), `u` [N, .]
    the image's own.
    """
    full = np.zeros((len(EXPRESSIONS), 2, len(ACTION_UNITS)))
    for k, name in enumerate(EXPRESSIONS):
        for v, recipe in enumerate(recipes[name]):
            for unit, value in recipe.items():
                full[k, v, ACTION_UNITS.index(unit)] = value

    low, high = intensity
    strength = np.where(expression == 0, 0.0, low + (high - low) * u[:, 0])
    preferred = (gains[:, 0, 0, 0] < 0.5).astype(np.int64)
    variant = np.where(u[:, 1] < 0.75, preferred, 1 - preferred)

    gain = 1 + 0.9 * style * _bell(gains[:, 0])
    rest = np.maximum(0.5 * style * _bell(gains[:, 1]) - 0.1 * style, 0)
    rest[:, [ACTION_UNITS.index(f"au{k}") for k in (20, 25, 26)]] = 0  # mouths rest closed
    jitter = 0.3 * _bell(u[:, 4:].reshape(len(u), -1, 3))
    mean = strength[:, None] * full[expression].mean(axis=1)
    shown = strength[:, None] * full[expression, variant] * gain
    units = shown * (1 + jitter) + rest + 0.2 * np.maximum(jitter - 0.1, 0)

    # People talk and blink whatever they feel.
    talks = (u[:, 2] < 0.12 * nuisance)[:, None]
    for name, amount in (("au25", 0.5), ("au26", 0.35)):
        column = ACTION_UNITS.index(name)
        units[:, [column]] += talks * amount * u[:, [3]]
    blinks = u[:, 2] > 1 - 0.03 * nuisance
    units[blinks, ACTION_UNITS.index("au43")] += 0.8
    units = np.clip(units, 0, 1)

    prototype = np.array([_PROTOTYPES[name] for name in EXPRESSIONS])[expression]
    weights = np.zeros((2, len(ACTION_UNITS)))
    for row, named in enumerate((_VALENCE_WEIGHTS, _AROUSAL_WEIGHTS)):
        for unit, value in named.items():
            weights[row, ACTION_UNITS.index(unit)] = value
    # Column by column: a matrix product may round differently on another machine.
    affect = strength[:, None] * prototype
    for column in range(len(ACTION_UNITS)):
        affect = affect + (units - mean)[:, [column]] * weights[:, column]
    affect = np.clip(affect, -1, 1)

    columns = {"factor_intensity": strength, "valence": affect[:, 0], "arousal": affect[:, 1]}
    columns |= {f"factor_{unit}": units[:, i] for i, unit in enumerate(ACTION_UNITS)}
    return pd.DataFrame(columns)


def _nuisances(u: NDArray[np.float64], *, scale: float, noise: float) -> pd.DataFrame:
    width = len(NUISANCE_FACTORS)
    bell = dict(
        zip(NUISANCE_FACTORS, _bell(u[:, : 3 * width].reshape(-1, width, 3)).T, strict=True)
    )
    flat = dict(zip(NUISANCE_FACTORS, 2 * u[:, : 3 * width : 3].T - 1, strict=True))
    extra = u[:, 3 * width :]
    columns = {f"factor_{name}": np.clip(scale * bell[name], -1, 1) for name in NUISANCE_FACTORS}
    for name in ("light_x", "light_strength", "background_hue", "occlusion_x", "occlusion_y"):
        columns[f"factor_{name}"] = np.clip(scale * flat[name], -1, 1)
    columns["factor_background"] = flat["background"]
    columns["factor_blur"] = scale * np.maximum(flat["blur"], 0)
    columns["factor_occlusion"] = (extra[:, 0] < 0.06 * scale).astype(np.float64)
    columns["factor_noise"] = noise * extra[:, 1]
    # A whole number below 2^32: exact in float64, and the only thing the pixel noise depends on.
    columns["factor_noise_seed"] = np.floor(extra[:, 2] * 2.0**32)
    return pd.DataFrame(columns)


def _check(
    n: int,
    subjects: int,
    classes: Sequence[str],
    rho: float,
    group: str,
    attributes: Iterable[str],
    intensity: tuple[float, float],
    style: float,
    nuisance: float,
    noise: float,
) -> None:
    check_integer("n", n, 1)
    if n < subjects:
        raise DataError(f"n = {n} images for {subjects} subjects: give every subject at least one.")
    if isinstance(classes, str) or len(classes) == 0:
        raise DataError(f"classes = {classes!r}: give a list of expression names.")
    for name in classes:
        if name not in EXPRESSIONS:
            raise DataError(f"classes: unknown {name!r}; {did_you_mean(str(name), EXPRESSIONS)}")
    if len(set(classes)) < len(classes):
        raise DataError(f"classes = {list(classes)}: name each expression once.")
    known = (*attributes, "subject")
    if group not in known:
        raise DataError(f"group = {group!r} is no attribute; {did_you_mean(str(group), known)}")
    if len(intensity) != 2:
        raise DataError(f"intensity = {intensity!r}: give a pair (low, high) within [0, 1].")
    check_range("rho", rho, 0, 1)
    check_range("intensity[0]", intensity[0], 0, 1)
    check_range("intensity[1]", intensity[1], intensity[0], 1)
    check_range("style", style, 0, 1)
    check_range("nuisance", nuisance, 0, 1)
    check_range("noise", noise, 0, 1)


def read_factors(
    factors: pd.DataFrame,
    names: Collection[str],
    attributes: Mapping[str, Sequence[str]],
    *,
    unbounded: Container[str] = ("noise_seed",),
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.int64]]]:
    """The columns `factor_<name>` of a table, and the codes of its attributes, checked.

    Numbers are cut to [-1, 1], but for those in `unbounded`.

    Raises:
        DataError: a column is missing, or holds what is no finite number or no level.
    """
    for column in (*(f"factor_{name}" for name in names), *attributes):
        if column not in factors:
            raise DataError(f"The table of factors has no column {column!r}: use sample_factors.")
    numbers = {}
    for name in names:
        try:
            values = factors[f"factor_{name}"].to_numpy(dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError(f"Column 'factor_{name}' holds something that is no number.") from None
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise DataError(
                f"Column 'factor_{name}', row {bad[0]}: {values[bad[0]]} is not a finite number."
            )
        numbers[name] = values if name in unbounded else np.clip(values, -1, 1)
    codes = {}
    for name, levels in attributes.items():
        codes[name] = pd.Index(levels).get_indexer(pd.Index(factors[name].astype("object")))
        bad = np.flatnonzero(codes[name] < 0)
        if len(bad):
            raise DataError(
                f"Column {name!r}, row {bad[0]}: {factors[name].iloc[bad[0]]!r} is none of "
                f"{', '.join(levels)}."
            )
    return numbers, codes


def check_picture(size: int, threads: int | None) -> None:
    """Raise `DataError` unless faces of this side can be drawn by so many threads."""
    check_integer("size", size, 16)
    if size > 1024:
        raise DataError(f"size = {size} is above 1024: render smaller faces.")
    if threads is not None:
        check_integer("threads", threads, 1)


def check_integer(name: str, value: object, low: int) -> None:
    """Raise `DataError` unless `value` is a whole number of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise DataError(f"{name} = {value!r}: give a whole number of at least {low}.")


def check_range(name: str, value: object, low: float, high: float) -> None:
    """Raise `DataError` unless `value` is a number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise DataError(f"{name} = {value!r}: give a number in [{low:g}, {high:g}].")
    if not low <= float(value) <= high:  # also refuses NaN
        raise DataError(f"{name} = {value!r} is outside [{low:g}, {high:g}].")
