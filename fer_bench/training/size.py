"""How large and how fast a trained method is when it looks at one face."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils.flop_counter import FlopCounterMode

from fer_bench.method import Batch, Method, Oracle
from fer_bench.training.batches import Batcher

TIMED_FACES = 64
TIMED = 3


@torch.no_grad()
def model_size(method: Method, batcher: Batcher) -> dict[str, Any]:
    """Parameters, multiply-adds and speed of a prediction.

    Critics, discriminators and decoders that take no part in it do not count. A method that
    predicts nothing is measured while it embeds.

    Args:
        method: trained.
        batcher: of faces it can be shown.

    Returns:
        "parameters" of the modules that run, "multiply_adds" of one face (matrix products and
        convolutions), "images_per_s" at up to 64 faces at once, and the "threads" it took.
    """
    method.eval()
    rows = np.arange(min(TIMED_FACES, len(batcher.data)))
    one, several = batcher.batch(rows[:1]), batcher.batch(rows)
    ran: dict[int, nn.Module] = {}

    def note(module: nn.Module, _: Any, __: Any) -> None:
        ran[id(module)] = module

    hook = register_module_forward_hook(note)
    try:
        with FlopCounterMode(display=False) as counter:
            _answer(method, one)
    finally:
        hook.remove()
    owned = {id(p): p for m in ran.values() for p in m.parameters(recurse=False)}
    seconds = median(_seconds(method, several) for _ in range(TIMED))
    return {
        "parameters": sum(p.numel() for p in owned.values()),
        "multiply_adds": counter.get_total_flops() // 2,
        "images_per_s": round(len(rows) / max(seconds, 1e-9), 1),
        "threads": torch.get_num_threads(),
    }


def _answer(method: Method, batch: Batch) -> None:
    if isinstance(method, Oracle):
        method.predict_labelled(batch)
        return
    prediction = method.predict(batch.images)
    if prediction.logits is None and prediction.valence_arousal is None:
        method.embed(batch.images)


def _seconds(method: Method, batch: Batch) -> float:
    started = time.perf_counter()
    _answer(method, batch)
    if batch.images.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - started
