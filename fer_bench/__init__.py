"""FER-Bench: disentanglement evaluation and benchmarking for facial expression recognition.

>>> import fer_bench
>>> data = fer_bench.load_dataset("generated", subjects=4, images_per_subject=7, size=32)
>>> len(data)
28
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_bench.api import Recognizer, run
    from fer_bench.data import FaceData, load_dataset
    from fer_bench.evaluation.front import evaluate
    from fer_bench.evaluation.recorder import Recorder
    from fer_bench.information import estimate_mi
    from fer_bench.score import Score

__version__ = "0.2.0"

__all__ = [
    "FaceData",
    "Recognizer",
    "Recorder",
    "Score",
    "estimate_mi",
    "evaluate",
    "load_dataset",
    "run",
]

# Loaded when first asked for: `fer-bench --help` must not wait for torch.
_HOMES = {
    "FaceData": "fer_bench.data",
    "Recognizer": "fer_bench.api",
    "Recorder": "fer_bench.evaluation.recorder",
    "Score": "fer_bench.score",
    "estimate_mi": "fer_bench.information",
    "evaluate": "fer_bench.evaluation.front",
    "load_dataset": "fer_bench.data",
    "run": "fer_bench.api",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module 'fer_bench' has no attribute {name!r}") from None
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
