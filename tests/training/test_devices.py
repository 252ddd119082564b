"""How ranks share the work of backbones, seen from one process: their sums are made here."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.layers import BatchNormAct2d
from torch import nn
from torch.nn import functional
from torch.overrides import BaseTorchFunctionMode

from fer_bench.training import devices
from fer_bench.training.devices import _Spread, _WholeBatchNorm


@pytest.fixture(scope="module", autouse=True)
def alone():
    """The sum over ranks is what this one has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "sum_over_ranks", lambda value: value)
        yield


@given(
    layer=st.sampled_from([nn.BatchNorm1d, nn.BatchNorm2d, BatchNormAct2d]),
    sizes=st.tuples(st.integers(2, 4), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)),
    affine=st.booleans(),
    half=st.booleans(),
)
def test_batch_normalisation_of_one_rank_is_torchs(layer, sizes, affine, half):
    """Values, gradients and running statistics; timm's layer has a forward of its own."""
    x = torch.randn(sizes if layer is not nn.BatchNorm1d else sizes[:3])
    x = x.to(torch.bfloat16 if half else torch.float64)
    results = []
    for mode in (BaseTorchFunctionMode(), _WholeBatchNorm(1.0)):
        norm = layer(sizes[1], affine=affine).to(torch.float32 if half else torch.float64)
        leaf = x.clone().requires_grad_()
        with mode:
            y = norm(leaf)
            y.pow(3).sum().backward()
            results.append([y, leaf.grad, *norm.state_dict().values(), norm.eval()(x)])
    for theirs, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, **({"rtol": 0.1, "atol": 0.1} if half else {}))


@given(faces=st.integers(1, 9), ranks=st.integers(2, 5))
def test_the_parts_of_the_ranks_add_up(faces, ranks):
    """Each face is encoded once; fewer faces than ranks are encoded by all."""
    images = torch.randn(faces, 1, 2, 2)
    parts = [_spread(rank, ranks)(torch.square, images) for rank in range(ranks)]
    whole = sum(parts) if faces >= ranks else parts[-1]
    assert torch.equal(whole, images.square())


def test_dropout_differs_between_ranks_and_leaves_their_numbers_alike():
    images = torch.ones(8, 1, 8, 8)
    before = torch.get_rng_state()
    first, second = _spread(0, 2), _spread(1, 2)
    dropped = first(functional.dropout, images)
    assert not torch.equal(dropped[:4], second(functional.dropout, images)[4:])
    assert not torch.equal(dropped, first(functional.dropout, images))
    assert torch.equal(dropped, _spread(0, 2)(functional.dropout, images))
    assert torch.equal(torch.get_rng_state(), before)


def _spread(rank, ranks):
    return _Spread(rank, ranks, np.random.default_rng(rank))
