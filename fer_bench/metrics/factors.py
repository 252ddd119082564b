"""Every disentanglement score of an embedding at once, and the metric for generated faces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fer_bench.arrays import RunArrays
from fer_bench.cautions import Caution
from fer_bench.errors import DataError
from fer_bench.metrics.common import random_rows, undefined
from fer_bench.metrics.disentanglement.beta_vae import beta_vae_score
from fer_bench.metrics.disentanglement.dci import dci_importance, dci_scores
from fer_bench.metrics.disentanglement.discrete import BINS, information, read_varying
from fer_bench.metrics.disentanglement.explicitness import explicitness
from fer_bench.metrics.disentanglement.factor_vae import factor_vae_score
from fer_bench.metrics.disentanglement.infomec import infoe_score, infomec_scores
from fer_bench.metrics.disentanglement.irs import irs_score
from fer_bench.metrics.disentanglement.mig import mig_score
from fer_bench.metrics.disentanglement.modularity import modularity_score
from fer_bench.metrics.disentanglement.sap import sap_score
from fer_bench.metrics.metric import metric
from fer_bench.score import Score, ScoreSpec

MIN_ROWS = 100
MAX_ROWS = 20_000


def factor_scores(
    codes: ArrayLike,
    factors: ArrayLike,
    *,
    bins: int = BINS,
    permutations: int = 20,
    seed: int = 0,
) -> dict[str, float]:
    """All factor scores of codes [n, d] and factors [n, k], each between 0 and 1.

    Those of discrete information (mig, modularity, infom, infoc) have the mean of a permutation
    null taken off the information; all that fit something are valued on rows kept out. Factors
    that are constant are left out.

    Raises:
        DataError: codes or factors have gaps, not the same rows, or fewer than ten; or no factor
            varies.

    >>> rng = np.random.default_rng(0)
    >>> factors = rng.integers(0, 5, size=(600, 3))
    >>> scores = factor_scores(factors + 0.01 * rng.normal(size=(600, 3)), factors)
    >>> scores["mig"] > 0.8, scores["dci_disentanglement"] > 0.9
    (True, True)
    """
    codes, factors = read_varying(codes, factors)
    if not factors.shape[1]:
        raise DataError("no factor varies: there is nothing that a code could hold.")
    shared = information(codes, factors, bins=bins, permutations=permutations, seed=seed)
    importance, quality = dci_importance(codes, factors, bins=bins, seed=seed)
    disentangled, complete = dci_scores(importance)
    scale = np.where(shared.entropies > 0, shared.entropies, 1.0)
    info_m, info_c = infomec_scores(shared.mi / scale)
    easy = explicitness(codes, factors, bins=bins, seed=seed)
    return {
        "mig": mig_score(shared.mi, shared.entropies),
        "sap": sap_score(codes, factors, bins=bins, seed=seed),
        "dci_disentanglement": disentangled,
        "dci_completeness": complete,
        "dci_informativeness": float(quality.mean()),
        "modularity": modularity_score(shared.mi),
        "explicitness": easy["auc"],
        "linear_explicitness": easy["linear"],
        "forest_explicitness": easy["forest"],
        "factor_vae": factor_vae_score(codes, factors, bins=bins, seed=seed),
        "beta_vae": beta_vae_score(codes, factors, bins=bins, seed=seed),
        "irs": irs_score(codes, factors, bins=bins),
        "infom": info_m,
        "infoe": infoe_score(codes, factors, bins=bins, seed=seed),
        "infoc": info_c,
    }


def bins_for(n: int) -> int:
    """Bins whose plug-in bias (b - 1)^2 / 2n stays near .05 nats: at most 20, at least 3.

    >>> bins_for(600), bins_for(10_000)
    (8, 20)
    """
    return int(np.clip(1 + np.sqrt(0.1 * n), 3, BINS))


_SCORES: tuple[tuple[str, str, str], ...] = (
    ("mig", "MIG", "Gap of the two columns that tell most of a factor (Chen et al. 2018)."),
    ("sap", "SAP", "The same gap of linear predictions (Kumar et al. 2018)."),
    ("dci_disentanglement", "DCI D", "Each column serves one factor (Eastwood and Williams 2018)."),
    ("dci_completeness", "DCI C", "Each factor is served by one column."),
    ("dci_informativeness", "DCI I", "How well factors are predicted."),
    ("modularity", "Modularity", "Each column tells of one factor (Ridgeway and Mozer 2018)."),
    ("explicitness", "Explicitness", "Factors are read by simple classifiers."),
    ("linear_explicitness", "Linear explicitness", "Factors are read by linear models."),
    ("forest_explicitness", "Forest explicitness", "Factors are read by forests."),
    ("factor_vae", "FactorVAE", "The fixed factor is named (Kim and Mnih 2018)."),
    ("beta_vae", "BetaVAE", "The same by a linear model (Higgins et al. 2017)."),
    ("irs", "IRS", "Columns stay when other factors move (Suter et al. 2019)."),
    ("infom", "InfoM", "Modularity by information (Hsu et al. 2023)."),
    ("infoe", "InfoE", "Explicitness by information."),
    ("infoc", "InfoC", "Compactness by information."),
)
SPECS = tuple(
    ScoreSpec(f"<space>.{key}", title, meaning, better="high", range=(-1, 1))
    for key, title, meaning in _SCORES
)


@metric("factors", version=3, needs={"factors"}, default=False, scores=SPECS)
def factors(run: RunArrays, *, seed: int = 0) -> dict[str, Score]:
    """Factor scores of E and I against the exact factors of generated faces."""
    part = run.test
    names = part.factor_names()
    table = part.labels[names].to_numpy(dtype=np.float64, na_value=np.nan)
    varies = np.array([np.nanstd(column) > 0 for column in table.T])
    names = [name for name, kept in zip(names, varies, strict=True) if kept]
    complete = np.flatnonzero(np.isfinite(table[:, varies]).all(axis=1))
    rows, cautions = random_rows(complete, MAX_ROWS, seed=seed)
    if len(rows) < MIN_ROWS or not names:
        reason = Caution("few-rows", n=len(rows), of="rows with all factors", least=MIN_ROWS)
        return {"E.mig": undefined(reason, n=len(rows), unit="fraction")}
    table = table[rows][:, varies]
    bins = bins_for(len(rows))
    details: Mapping[str, Any] = {"bins": bins, "factors": names, "permutations": 20}
    embeddings = part.embeddings
    out = {}
    for name, x in embeddings.items():
        values = factor_scores(x[rows], table, bins=bins, seed=seed)
        for key, value in values.items():
            out[f"{name}.{key}"] = Score(
                value, n=len(rows), unit="fraction", cautions=tuple(cautions), details=details
            )
    return out
