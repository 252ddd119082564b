"""
How estimators of mutual information read a known truth
=======================================================

Two columns share a known amount of information. Three estimators read it from more and more rows.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from fer_bench import estimate_mi

TRUTH = 0.5 * np.log(1 / (1 - 0.8**2))  # a normal pair with correlation .8, in nats


def pair(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a normal pair with correlation .8."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 1))
    return x, 0.8 * x + 0.6 * rng.normal(size=(n, 1))


# %%
# Each is asked five times; the band shows how far its answers spread.

rows = [
    {"rows": n, "estimator": name, "nats": estimate_mi(*pair(n, seed), estimator=name).value}
    for name in ("gaussian", "ksg", "copula")
    for n in (50, 100, 200, 500, 1000)
    for seed in range(5)
]
axes = sns.lineplot(pd.DataFrame(rows), x="rows", y="nats", hue="estimator", errorbar="sd")
axes.axhline(TRUTH, color="black", linestyle="--", linewidth=1)
axes.set(xscale="log", title="True value dashed")
plt.tight_layout()
plt.show()
