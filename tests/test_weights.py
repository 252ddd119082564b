"""What is taken from a file of weights, and what is recognised as no weights at all."""

from __future__ import annotations

import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from fer_bench.errors import MethodError
from fer_bench.weights import load_weights, read_state


def net():
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))


def state(seed):
    torch.manual_seed(seed)
    return {
        key: torch.randn_like(value).abs() if value.is_floating_point() else value
        for key, value in net().state_dict().items()
    }


RAW, AVERAGED = state(1), state(2)


def loaded(tmp_path, content):
    """The report, and which of the two states a net holds after loading."""
    path = tmp_path / "w.pt"
    torch.save(content, path)
    module = net()
    report = load_weights(module, path)
    first = module.state_dict()["0.weight"]
    return report, next(s for s in (RAW, AVERAGED) if torch.equal(first, s["0.weight"]))


@pytest.mark.parametrize("averaged", ["state_dict_ema", "model_ema", "ema"])
@pytest.mark.parametrize("raw", ["state_dict", "model", "net_state", "model_state_dict"])
def test_averaged_weights_go_before_raw_ones_and_the_report_says_so(tmp_path, averaged, raw):
    for content in ({raw: RAW, averaged: AVERAGED}, {averaged: AVERAGED, raw: RAW}):
        report, held = loaded(tmp_path, content)
        assert held is AVERAGED
        assert f"taken from its entry '{averaged}' and not {raw}" in str(report)
    report, held = loaded(tmp_path, {raw: RAW, "epoch": 3, "optimizer": {"state": {}}})
    assert (held is RAW, report.entry) == (True, raw)


@settings(max_examples=30, deadline=None)
@given(name=st.text(min_size=1), depth=st.integers(1, 3), extra=st.text())
def test_the_only_entry_with_tensors_is_taken(tmp_path_factory, name, depth, extra):
    tmp_path = tmp_path_factory.mktemp("w")
    content = RAW
    for _ in range(depth):
        content = {f"epoch of {extra}": 3, name: content, "optimizer": {"state": {0: {}}}}
    report, held = loaded(tmp_path, content)
    assert held is RAW
    assert report.entry == ".".join([name] * depth)


def test_what_is_no_tensor_is_named_as_not_used(tmp_path):
    report, held = loaded(tmp_path, {**RAW, "epoch": 3, "temperature": 1.0})
    assert held is RAW
    assert report.dropped == ("epoch", "temperature")


def test_several_entries_of_other_names_are_named_and_none_is_guessed(tmp_path):
    torch.save({"student": RAW, "teacher": AVERAGED}, tmp_path / "w.pt")
    with pytest.raises(MethodError, match="holds tensors under student, teacher: save the one"):
        read_state(tmp_path / "w.pt")


def changed(key, value):
    return {**RAW, key: value}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed("0.bias", torch.tensor([0.0, float("nan")])), "1 of 2 values are NaN or infinite"),
        (changed("1.running_var", torch.full((2,), float("inf"))), "2 of 2 values"),
        (changed("0.bias", torch.full((2,), 1e300, dtype=torch.float64)), "NaN or infinite"),
        (changed("0.weight", RAW["0.weight"].to(torch.int8)), "int8 for float32"),
        (changed("0.bias", torch.tensor([True, False])), "bool for float32"),
        (changed("0.bias", RAW["0.bias"].to(torch.complex64)), "complex64 for float32"),
        (changed("0.bias", RAW["0.bias"].to_sparse()), "not a plain dense tensor"),
    ],
)
def test_values_and_types_that_no_net_can_use_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "w.pt")
    module = net()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(MethodError, match=message):
        load_weights(module, tmp_path / "w.pt")
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_types_and_whole_number_counters_are_taken(tmp_path, dtype):
    content = {k: v.to(dtype) if v.is_floating_point() else v + 7 for k, v in RAW.items()}
    torch.save(content, tmp_path / "w.pt")
    module = net()
    load_weights(module, tmp_path / "w.pt")
    assert torch.equal(module.state_dict()["0.bias"], content["0.bias"].float())
    assert module.state_dict()["1.num_batches_tracked"] == 7


@pytest.mark.parametrize("name", ["w.safetensors", "w.SAFETENSORS", "w.bin", "w.pth", "w"])
def test_safetensors_are_recognised_by_content(tmp_path, name):
    save_file(RAW, tmp_path / name)
    assert read_state(tmp_path / name).tensors.keys() == RAW.keys()


def torchscript():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(net().eval(), torch.zeros(1, 3, 8, 8)), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.bin"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><title>Sign in</title>", "web page"),
        (b"\xef\xbb\xbf<html>", "web page"),
        (b'{"metadata": {}, "weight_map": {}}', "JSON text"),
        (b"", "is empty"),
        (b"\x00\x01garbage", "cannot be read"),
        (torchscript, "TorchScript"),
    ],
)
def test_what_is_no_weights_is_called_what_it_is(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content() if callable(content) else content)
    with pytest.raises(MethodError, match=message):
        read_state(tmp_path / name)
