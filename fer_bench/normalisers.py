"""Running statistics of normalisation layers, estimated from faces instead of a moving average.

With a momentum of 0.1 and a dozen steps a moving average is still far from the data, so that
evaluation mode fails while the training loss falls.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

from torch import nn
from torch.nn.modules.batchnorm import _NormBase


def with_statistics(module: nn.Module) -> list[_NormBase]:
    """The normalisation layers inside `module` that keep running statistics.

    >>> [type(m).__name__ for m in with_statistics(nn.Sequential(nn.BatchNorm1d(2), nn.ReLU()))]
    ['BatchNorm1d']
    """
    return [m for m in module.modules() if isinstance(m, _NormBase) and m.running_mean is not None]


@contextmanager
def estimating_statistics(method: nn.Module) -> Iterator[list[_NormBase]]:
    """Estimate the running statistics of all layers that are in training mode afresh.

    Inside the context only those layers are in training mode, and each averages the statistics
    of the batches it sees with equal weights. Frozen layers, and layers that see no batch, keep
    theirs bit for bit. The method is in evaluation mode afterwards.

    Args:
        method: with its trained modules in training mode.

    Yields:
        The layers that are estimated; where there are none, no batch need be shown.
    """
    layers = [layer for layer in with_statistics(method) if layer.training]
    before = [(layer.momentum, deepcopy(layer.state_dict())) for layer in layers]
    method.eval()
    for layer in layers:
        layer.train()
        layer.reset_running_stats()
        layer.momentum = None
    try:
        yield layers
    finally:
        for layer, (momentum, state) in zip(layers, before, strict=True):
            layer.momentum = momentum
            if not layer.num_batches_tracked:
                layer.load_state_dict(state)
        method.eval()
