"""Generated faces as a data source: images, label table, and what is known about both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fer_bench.data.synthetic.factors import EXPRESSIONS, check_integer, check_range, sample_factors
from fer_bench.data.synthetic.renderer import render

_VERSION = 1  # raise it when the same parameters give other pixels or labels
_SHARED = ("classes", "group", "intensity", "style", "nuisance", "noise", "seed")  # by all parts
_NO_PARAMETERS = ("threads", "progress", "model")  # these change no face, or are named elsewhere


def generate(
    *,
    subjects: int = 60,
    images_per_subject: int = 28,
    size: int = 64,
    color: bool = True,
    classes: Sequence[str] = EXPRESSIONS,
    rho: float = 0.0,
    reverse: bool = False,
    group: str = "gender",
    test_subjects: int = 0,
    test_rho: float = 0.0,
    test_reverse: bool = False,
    intensity: tuple[float, float] = (0.5, 1.0),
    style: float = 1.0,
    nuisance: float = 0.4,
    noise: float = 0.02,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | None = False,
) -> tuple[NDArray[np.uint8], pd.DataFrame, dict[str, Any]]:
    """Generate faces with exactly known factors; no download, no real person.

    Without `test_subjects` there is one part and no official split (`split` is missing).
    With it, `test_subjects` further people form the part `test`, whose own `test_rho` and
    `test_reverse` say how group and expression are tied there: the training part can be
    confounded while the test is not, or is the other way round.

    Parameters
    ----------
    subjects, images_per_subject
        People of the (training) part, and images of each. With a multiple of 7 and `rho=0`
        every person shows every expression equally often.
    size, color
        Pixels of a side, and RGB or gray.
    classes, rho, reverse, group, intensity, style, nuisance, noise, seed
        See `sample_factors`.
    test_subjects, test_rho, test_reverse
        The test part, if any.
    threads, progress
        See `render`.

    Returns
    -------
    images
        uint8 [N, size, size, 3 or 1].
    table
        One row per image: `expression`, `subject` (`G000`, …), `valence` and `arousal` in
        [-1, 1], `split` and `sequence` (missing where there is none), the attributes (`skin`,
        `age`, `gender`, `hair`, `hair_style`, `glasses`, `beard`), `group`, and the exact numbers
        drawn, `factor_*`.
    info
        `name`, `license`, `parameters`, `fingerprint` (of parameters and renderer version), and
        per part of the data its `dependence` (see `dependence`).

    Raises
    ------
    DataError
        If a parameter is outside its range.

    >>> images, table, info = generate(subjects=3, images_per_subject=7, size=32, seed=1)
    >>> images.shape, sorted(table["subject"].unique())
    ((21, 32, 32, 3), ['G000', 'G001', 'G002'])
    >>> info["dependence"]["all"]["mutual_information"]
    0.0
    """
    given = dict(locals())

    def part(count: int, first: int, **settings: Any) -> pd.DataFrame:
        n = count * images_per_subject
        return sample_factors(n, subjects=count, first_subject=first, **settings)

    table, info = with_facts(
        part,
        given,
        name="generated",
        terms="CC0-1.0: drawn by a program, no real person is shown",
        version={"version": _VERSION},
    )
    images = render(table, size=size, color=color, threads=threads, progress=progress)
    return images, table, info


def with_facts(
    part: Callable[..., pd.DataFrame],
    given: Mapping[str, Any],
    *,
    name: str,
    terms: str,
    version: Mapping[str, Any],
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The label table of all parts that are asked for, and what is known about it.

    Args:
        part: (number of people, number of the first, and what else `sample_factors` takes) ->
            table of one part.
        given: what the generator was called with.
        name: of the data.
        terms: its licence.
        version: of the generator: other values stand for other pixels or labels.

    Returns:
        The table with `split` and `sequence`, and the `info` that `generate` returns.
    """
    for key, least in (("subjects", 1), ("images_per_subject", 1), ("test_subjects", 0)):
        check_integer(key, given[key], least)
    check_integer("seed", given["seed"], 0)
    check_range("test_rho", given["test_rho"], 0, 1)
    train, others = given["subjects"], given["test_subjects"]
    shared = {key: given[key] for key in _SHARED}
    parts = [part(train, 0, rho=given["rho"], reverse=given["reverse"], **shared)]
    if others:
        tie = {"rho": given["test_rho"], "reverse": given["test_reverse"]}
        parts.append(part(others, train, **tie, **shared))
    table = pd.concat(parts, ignore_index=True) if others else parts[0]
    names = np.repeat(["train", "test"], [len(part) for part in parts]) if others else None
    table.insert(4, "split", pd.Series(names, index=table.index, dtype="str"))
    table.insert(5, "sequence", pd.Series(None, index=table.index, dtype="str"))
    parameters = {key: value for key, value in given.items() if key not in _NO_PARAMETERS}
    parameters |= {key: list(given[key]) for key in ("classes", "intensity")}
    facts = json.dumps({**version, **parameters}, sort_keys=True, default=float)
    by_split = table.groupby("split") if others else [("all", table)]
    info = {
        "name": name,
        "license": terms,
        "parameters": parameters,
        "fingerprint": hashlib.sha256(facts.encode()).hexdigest(),
        "dependence": {
            str(split): dependence(rows["group"], rows["expression"]) for split, rows in by_split
        },
    }
    return table, info


def dependence(a: Sequence[Any] | pd.Series, b: Sequence[Any] | pd.Series) -> dict[str, float]:
    """Return how strongly two label columns are tied, counted exactly over the rows at hand.

    `mutual_information` in nats (plug-in, of the empirical joint distribution), and `cramers_v`
    in [0, 1] (Cramér 1946, without bias correction: these are the data, not a sample of them).

    >>> dependence(["a", "a", "b", "b"], [0, 0, 1, 1])
    {'mutual_information': 0.6931471805599453, 'cramers_v': 1.0}
    """
    joint = pd.crosstab(np.asarray(a), np.asarray(b)).to_numpy(dtype=np.float64)
    joint = joint / joint.sum()
    expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    filled = joint > 0
    information = float((joint[filled] * np.log(joint[filled] / expected[filled])).sum())
    side = min(joint.shape) - 1
    v = np.sqrt(((joint - expected) ** 2 / expected).sum() / side) if side else 0.0
    # Rounding of sums that cancel would read as a trace of dependence, or as less than none.
    return {
        "mutual_information": 0.0 if information < 1e-12 else information,
        "cramers_v": 0.0 if v < 1e-7 else min(float(v), 1.0),
    }


def caption(row: Mapping[str, Any] | pd.Series, *, expression: bool = False) -> str:
    """Describe a face by its attributes, as a person would; optionally with its expression.

    Attributes that the row lacks, or that are missing in it, are not mentioned.

    >>> caption({"skin": "dark", "age": "young", "gender": "woman", "hair": "black",
    ...          "hair_style": "long", "glasses": "round", "beard": "none"})
    'a photo of a young woman with dark skin, long black hair and round glasses'
    >>> caption({"skin": "light", "expression": "anger"}, expression=True)
    'a photo of a person with light skin, showing anger'
    """
    known = {str(k): str(v) for k, v in row.items() if isinstance(v, str) and v != "none"}
    noun = " ".join(filter(None, [known.get("age"), known.get("gender", "person")]))
    text = f"a photo of {'an' if noun[0] in 'aeiou' else 'a'} {noun}"
    features = [f"{known['skin']} skin"] if "skin" in known else []
    features += _hair(known)
    if "beard" in known:
        features.append("stubble" if known["beard"] == "stubble" else "a beard")
    if "glasses" in known:
        features.append(f"{known['glasses']} glasses")
    if features:
        *first, last = features
        text += " with " + (", ".join(first) + " and " if first else "") + last
    if expression and "expression" in known:
        shown = known["expression"]
        text += ", neutral" if shown == "neutral" else f", showing {shown}"
    return text


def _hair(known: Mapping[str, str]) -> list[str]:
    style, color = known.get("hair_style"), known.get("hair")
    if style == "bald":
        return ["a bald head"]
    if style == "fringe" and color:
        return [f"{color} hair with a fringe"]
    words = [word for word in (style, color) if word]
    return [" ".join([*words, "hair"])] if words else []
