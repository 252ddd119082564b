"""What generators may be: programs that somebody names, and never a pickle."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from fer_bench.errors import FerBenchError
from fer_bench.metrics.generators import generated, read_generator


class Marks:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))


def test_a_torchscript_file_draws_and_a_pickle_is_not_opened(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(6, 3 * 64), torch.nn.Unflatten(1, (3, 8, 8)))
    torch.jit.save(torch.jit.trace(net, torch.zeros(1, 6)), tmp_path / "g.pt")
    assert read_generator(str(tmp_path / "g.pt"))(torch.zeros(2, 6)).shape == (2, 3, 8, 8)
    mark = tmp_path / "opened"
    (tmp_path / "p.pt").write_bytes(pickle.dumps(Marks(mark)))
    torch.save({"w": Marks(mark)}, tmp_path / "q.pt")
    for name in ("p.pt", "q.pt"):
        with pytest.raises(FerBenchError, match="is no TorchScript file"):
            read_generator(str(tmp_path / name))
    assert not mark.exists()


@pytest.mark.parametrize("name", ["nowhere.pt", "math:sine", "no_such_module:f", ":", "math"])
def test_what_is_no_generator_is_named(name):
    with pytest.raises(FerBenchError, match="neither a file nor a function"):
        read_generator(name)


def test_a_function_is_a_generator():
    assert read_generator("math:sin")(0) == 0


@pytest.mark.parametrize(
    ("generator", "why"),
    [
        (lambda codes: codes, r"gives \[\d+, 6\]"),
        (lambda codes: "face", "gives str"),
        (torch.nn.Linear(5, 4), "cannot draw codes of 6 numbers"),
    ],
)
def test_a_generator_that_does_not_fit_is_one_sentence(generator, why):
    with pytest.raises(FerBenchError, match=why):
        generated(generator, np.zeros((2, 6)))
