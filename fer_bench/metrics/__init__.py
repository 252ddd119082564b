"""Metrics: functions of plain arrays, and the registered ones that score a run.

Anybody can call the array functions without the rest of the suite::

    from fer_bench.metrics import classification_scores, linear_probe, modified_mig

They are imported when first asked for, so that the package itself is light.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

_HOMES = {
    "attacks": ("identity_attacks", "normalised_leak"),
    "affect": ("affect_scores", "ccc", "pcc", "rmse", "sagr"),
    "classification": ("classification_scores", "confusion_matrix"),
    "common": ("effective_rank",),
    "disentanglement.beta_vae": ("beta_vae_score",),
    "disentanglement.dci": ("dci_importance", "dci_scores"),
    "disentanglement.discrete": ("discretise", "information", "mutual_information"),
    "disentanglement.explicitness": ("explicitness",),
    "disentanglement.factor_vae": ("factor_vae_score",),
    "disentanglement.infomec": ("infoe_score", "infomec_scores"),
    "disentanglement.irs": ("irs_score",),
    "disentanglement.mig": ("mig_score",),
    "disentanglement.modularity": ("modularity_score",),
    "disentanglement.sap": ("sap_score",),
    "face_decoder": ("fit_decoder",),
    "factors": ("factor_scores",),
    "groups": ("group_scores", "worst_cell_score"),
    "independence": ("cross_covariance", "dependence", "dependence_score"),
    "metric": ("Metric", "Outcome", "load_metrics", "score_run"),
    "mi": ("conditional_information", "label_entropy", "label_information"),
    "modified_mig": ("modified_mig", "normalised_mig"),
    "network_probe": ("mlp_probes",),
    "pairing": ("expression_pairs",),
    "probes": (
        "Split",
        "knn_probe",
        "linear_probe",
        "subject_halves",
        "within_subject_split",
    ),
    "retrieval": ("nearest_images", "retrieval_scores"),
    "verification": ("roc_auc", "verification_scores"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"fer_bench.metrics.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps a public function from being hidden by the module of its name, once that is loaded."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
