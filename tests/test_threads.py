import os
import subprocess
import sys

import pytest
import torch
from threadpoolctl import threadpool_info

from fer_bench.information import training
from fer_bench.metrics.metric import metric
from fer_bench.threads import limited_threads, threads_for


@pytest.fixture
def _two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_two_threads")
def test_threads_are_limited_and_given_back():
    with pytest.raises(ZeroDivisionError), limited_threads(1):
        assert torch.get_num_threads() == 1
        assert {pool["num_threads"] for pool in threadpool_info()} <= {1}
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2
    with limited_threads(8):  # never more than the user allows
        assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("_two_threads")
@pytest.mark.parametrize(("size", "threads"), [(0, 1), (1e6, 1), (3e7, 1), (4e7, 2), (1e12, 2)])
def test_work_has_as_many_threads_as_it_keeps_busy(size, threads):
    assert threads_for(size) == threads


@pytest.mark.usefixtures("_two_threads")
def test_a_metric_and_a_small_critic_compute_with_one_thread(monkeypatch):
    seen = []

    @metric("demo")
    def demo(run, *, seed=0):
        seen.append(torch.get_num_threads())
        return {}

    demo(None)
    honest = training._train
    monkeypatch.setattr(
        training, "_train", lambda *a: seen.append(torch.get_num_threads()) or honest(*a)
    )
    import numpy as np

    from fer_bench import estimate_mi

    rng = np.random.default_rng(0)
    estimate_mi(rng.normal(size=(80, 2)), rng.normal(size=(80, 2)), estimator="nwj", steps=5)
    assert set(seen) == {1}
    assert len(seen) >= 2


def test_a_process_is_given_a_fixed_number():
    code = (
        "import os, torch, numpy; from fer_bench.threads import fix_threads; fix_threads(1);"
        "print(torch.get_num_threads(), os.environ['OMP_NUM_THREADS'])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.split() == ["1", "1"]
