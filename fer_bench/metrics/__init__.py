"""Metrics: functions of plain arrays, and the registered ones that score a run.

Anybody can call the array functions without the rest of the suite::

    from fer_bench.metrics import classification_scores, linear_probe, modified_mig

They are imported when first asked for, so that the package itself is light.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "affect": ("affect_scores", "ccc", "pcc", "rmse", "sagr"),
    "classification": ("classification_scores", "confusion_matrix"),
    "common": ("effective_rank",),
    "decoder": ("fit_decoder",),
    "disentanglement": (
        "conditional_information",
        "expression_pairs",
        "label_entropy",
        "label_information",
        "modified_mig",
        "normalised_mig",
    ),
    "factors": (
        "beta_vae_score",
        "dci_importance",
        "dci_scores",
        "discretise",
        "explicitness",
        "factor_scores",
        "factor_vae_score",
        "infoe_score",
        "infomec_scores",
        "information",
        "irs_score",
        "mig_score",
        "modularity_score",
        "mutual_information",
        "sap_score",
    ),
    "groups": ("group_scores", "worst_cell_score"),
    "independence": ("cross_covariance", "dependence", "dependence_score"),
    "leakage": ("identity_attacks", "normalised_leak"),
    "metric": ("Metric", "Outcome", "load_metrics", "score_run"),
    "probes": (
        "Split",
        "knn_probe",
        "linear_probe",
        "mlp_probes",
        "subject_halves",
        "within_subject_split",
    ),
    "verification": ("nearest_images", "retrieval_scores", "roc_auc", "verification_scores"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"fer_bench.metrics.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
