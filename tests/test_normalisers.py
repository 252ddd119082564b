import pytest
import torch
from torch import nn

from fer_bench.normalisers import estimating_statistics, with_statistics


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.BatchNorm1d, (64, 3)),
        (nn.BatchNorm2d, (64, 3, 4, 4)),
        (nn.BatchNorm3d, (32, 3, 2, 2, 2)),
    ],
)
def test_statistics_are_those_of_all_batches(layer, shape):
    torch.manual_seed(0)
    module = nn.Sequential(layer(3, momentum=0.1)).train()
    batches = [2 + 3 * torch.randn(shape) for _ in range(8)]
    module(100 + torch.randn(shape))  # what was there before leaves no trace
    with estimating_statistics(module) as layers:
        assert layers == with_statistics(module)
        for batch in batches:
            module(batch)
    seen = torch.cat(batches).transpose(0, 1).flatten(1)
    torch.testing.assert_close(module[0].running_mean, seen.mean(1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(module[0].running_var, seen.var(1), rtol=0.03, atol=0)
    assert module[0].momentum == 0.1
    assert not module.training
    assert not module[0].training


def test_frozen_layers_and_layers_without_a_batch_keep_theirs():
    torch.manual_seed(0)
    frozen, idle, dropout = nn.BatchNorm1d(3), nn.BatchNorm1d(3), nn.Dropout(0.5)
    method = nn.ModuleList([frozen, idle, dropout]).train()
    for layer in (frozen, idle):
        layer(torch.randn(16, 3))
    frozen.eval()
    before = [value.clone() for layer in (frozen, idle) for value in layer.state_dict().values()]
    with estimating_statistics(method) as layers:
        assert layers == [idle]
        assert not dropout.training, "statistics are those of evaluation, not of dropped units"
        frozen(torch.randn(16, 3))
    after = [value for layer in (frozen, idle) for value in layer.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_layers_without_statistics_are_left_alone():
    module = nn.Sequential(nn.BatchNorm1d(3, track_running_stats=False), nn.LayerNorm(3))
    assert with_statistics(module) == []
