"""Probe curves: what can be read from an embedding as the probe grows.

A single probe says how much *it* reads. Where accuracy still climbs with the width of the
probe, a stronger one would read more, and the leak is larger than any number in the table;
where the curve is flat, what can be read has been read (Pimentel et al., ACL 2020: probing is
bounded by the most capable probe, not by the simplest). The other way to make a probe weaker
is to show it less: over how many directions of the embedding is a factor spread?
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from fer_bench.arrays import RunArrays
from fer_bench.cautions import Caution
from fer_bench.metrics.attacks import (
    Attack,
    attacker_views,
    named_setting,
)
from fer_bench.metrics.common import Floats, Ints, standardise
from fer_bench.metrics.metric import metric
from fer_bench.metrics.probe_problems import expression_problem, identity_problem
from fer_bench.metrics.probes import Split, linear_probe
from fer_bench.score import Score, ScoreSpec

WIDTHS = (4, 16, 64, 256)  # units of each of the two hidden layers


SPECS = (
    ScoreSpec(
        "<space>.<target>.dims<size>",
        "Components seen",
        "Accuracy of a linear probe on the leading components of the embedding.",
        range=(0, 1),
        tables=("capacity",),
    ),
    ScoreSpec(
        "<space>.<target>.mlp<size>",
        "Network width",
        "Accuracy of a network with two hidden layers of this width.",
        range=(0, 1),
        tables=("capacity",),
    ),
    ScoreSpec(
        "<space>.<target>.linear",
        "All components",
        "Accuracy of a linear probe on the whole embedding, to compare the others with.",
        range=(0, 1),
    ),
)


@metric("capacity", version=2, scores=SPECS)
def probe_curves(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """Accuracy of probes of rising capacity for {E, I} x {identity, expression}.

    On the rows of the leakage metric (identity within the test subjects, expression on other
    subjects): networks of two hidden layers of 4, 16, 64 and 256 units ("mlp4"), the linear
    probe on the first 1, 2, 4, ... principal components of the rows it is fitted on ("dims4"),
    and on all of them ("linear").

    Returns:
        "E.identity.linear", "E.identity.mlp4", "E.identity.dims4" ... as fractions with
        intervals over subjects; cells without a problem (no subjects, no labels) are left out.
    """
    names = list(run.test.embeddings)
    out: dict[str, Score] = {}
    who = identity_problem(run.test, seed=seed)
    if not isinstance(who, Caution):
        curves = _curves(
            {k: attacker_views(x, who.part.y, who.split) for k, x in who.part.embeddings.items()},
            who.subject,
            who.split,
            seed=seed,
        )
        for name, attacks in curves.items():
            out |= _kept(f"{name}.identity", who.scores(attacks, seed=seed))
    what = expression_problem(run, seed=seed)
    if not isinstance(what, Caution):
        curves = _curves(
            {k: {"": what.stacked(k)} for k in names}, what.expression, what.split, seed=seed
        )
        for name, attacks in curves.items():
            out |= _kept(f"{name}.expression", what.scores(attacks, seed=seed))
    return out


def _curves(
    views: Mapping[str, Mapping[str, ArrayLike]], labels: Ints, split: Split, *, seed: int
) -> dict[str, dict[str, Attack]]:
    """Attacks by embedding and width, on the view that serves the linear probe best."""
    from fer_bench.metrics.network_probe import mlp_probes  # heavy

    curves: dict[str, dict[str, Attack]] = {}
    inputs: dict[str, ArrayLike] = {}
    chosen: dict[str, str] = {}
    for name, candidates in views.items():
        tried = {view: linear_probe(x, labels, split) for view, x in candidates.items()}
        view = max(tried, key=lambda v: np.nan_to_num(tried[v].validation))
        inputs[name], chosen[name] = candidates[view], view
        curves[name] = {"linear": Attack(named_setting(tried[view], view))}
        x = _principal(inputs[name], split)
        for k in (2**i for i in range(20) if 2**i < x.shape[1]):
            probed = linear_probe(x[:, :k], labels, split)
            curves[name][f"dims{k}"] = Attack(named_setting(probed, view))
    for width in WIDTHS:
        fitted = mlp_probes(
            list(inputs.values()), [labels] * len(inputs), split, hidden=width, seed=seed
        )
        for name, probed in zip(inputs, fitted, strict=True):
            curves[name][f"mlp{width}"] = Attack(named_setting(probed, chosen[name]))
    return curves


def _principal(x: ArrayLike, split: Split) -> Floats:
    """Rows along the principal axes of the fitted rows' standardised columns, widest first."""
    values = np.asarray(x)
    z = standardise(values, values[split.fit])
    _, axes = np.linalg.eigh(np.cov(z[split.fit], rowvar=False).reshape(z.shape[1], -1))
    return z @ axes[:, ::-1]


def _kept(prefix: str, scores: Mapping[str, Score]) -> dict[str, Score]:
    """The curve alone: the strongest attacker is the leakage metric's, over all its probes."""
    return {f"{prefix}.{key}": score for key, score in scores.items() if key != "strongest"}
