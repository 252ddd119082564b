"""From a trained method to the saved arrays of a part."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fer_bench.arrays import FURTHER, Part, further_of
from fer_bench.errors import MethodError
from fer_bench.method import Method, infer
from fer_bench.training.batches import Batcher, Rows


def extract(
    method: Method, batcher: Batcher, rows: Rows, *, name: str, batch_size: int = 256
) -> Part:
    """Embed and predict `rows`, in order, in eval mode.

    Raises:
        MethodError: an embedding is not a finite [n, d] array.
    """
    method.eval()
    columns: dict[str, list[Tensor]] = {}
    for batch in batcher.ordered(rows, batch_size):
        embeddings, prediction = infer(method, batch)
        outputs = {
            "expression": embeddings.expression,
            "identity": embeddings.identity,
            "logits": prediction.logits,
            "valence_arousal": prediction.valence_arousal,
            **{f"{FURTHER}{key}": value for key, value in embeddings.further.items()},
        }
        for key, value in outputs.items():
            if value is not None:
                columns.setdefault(key, []).append(value.detach().float().cpu())
    arrays = {key: torch.cat(values).numpy() for key, values in columns.items()}
    for key, array in arrays.items():
        if array.ndim != 2 or len(array) != len(rows):
            raise MethodError(
                f"{key} of {len(rows)} faces has shape {array.shape}; expected [{len(rows)}, d]."
            )
        if not np.isfinite(array).all():
            raise MethodError(f"{key} of part {name!r} holds values that are not finite.")
    return Part(
        name=name,
        expression=arrays["expression"],
        identity=arrays.get("identity"),
        logits=arrays.get("logits"),
        valence_arousal=arrays.get("valence_arousal"),
        labels=batcher.labels.iloc[rows]
        .reset_index(drop=True)
        .assign(row=np.asarray(rows, dtype=np.int64)),
        classes=method.task.classes,
        further=further_of(arrays),
    )
