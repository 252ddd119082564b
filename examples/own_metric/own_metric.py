"""A metric of your own: how far apart E keeps the expressions (Fisher), in one file."""

import numpy as np

from fer_bench.metrics.metric import metric
from fer_bench.score import Score, ScoreSpec

SPECS = (
    ScoreSpec(
        "E.ratio",
        "Fisher ratio",
        "Variance of E between expressions over its variance within them, on test faces.",
        unit="",
        better="high",
        range=(0, float("inf")),
        column="main",
        order=95,
    ),
)


@metric("fisher", scores=SPECS)
def fisher(run, *, seed=0):
    """Between-class over within-class variance of the expression embedding (Fisher 1936)."""
    known = run.test.y >= 0
    e, y = run.test.expression[known].astype(float), run.test.y[known]
    means = np.stack([e[y == k].mean(axis=0) for k in np.unique(y)])
    codes = np.unique(y, return_inverse=True)[1]
    within = ((e - means[codes]) ** 2).sum()
    between = ((means[codes] - e.mean(axis=0)) ** 2).sum()
    return {"E.ratio": Score(float(between / within), n=len(e))}
