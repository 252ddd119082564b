"""What the speed switches of `[training]` bring on this machine, and that they change no score.

Every switch trains ERM with one thread. `extra_info` has faces per second of processor time (a
busy machine slows every clock but that one), the ratio to plain float32 and, for conv4, the
accuracy on unseen generated people with its interval. Compiling is left out of the time: the
first two epochs are not counted. Repeat with::

    OMP_NUM_THREADS=1 pytest -q -s tests/benchmarks/test_switches_speed.py --benchmark-only \
        -o addopts=--import-mode=importlib
"""

import statistics
import time

import pytest
import torch

import fer_bench
from fer_bench import Recognizer

SWITCHES = {
    "float32": {},
    "channels last": {"channels_last": True},
    "bf16": {"precision": "bf16-mixed"},
    "bf16, channels last": {"precision": "bf16-mixed", "channels_last": True},
    "compiled": {"compile": True},
    "compiled, channels last": {"compile": True, "channels_last": True},
}
# backbone, pixels, faces a person, epochs, whether it learns enough for its accuracy to count
SETTINGS = {"conv4": (64, 28, 10, True), "resnet18": (112, 7, 4, False)}
COUNTED_FROM = 2

MEASURED: dict[tuple[str, str], dict[str, float]] = {}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("backbone", SETTINGS)
@pytest.mark.timeout(1800)
def test_switch(benchmark, monkeypatch, backbone, switch):
    size, faces, epochs, scored = SETTINGS[backbone]
    people = {"images_per_subject": faces, "size": size}
    data = fer_bench.load_dataset("generated", subjects=40 if scored else 12, **people)
    seen = watch_epochs(monkeypatch)
    options = {"epochs": epochs, "batch_size": 32, "device": "cpu", **SWITCHES[switch]}
    model = Recognizer("erm", parameters={"backbone": backbone}, validation=0, **options)
    benchmark.pedantic(lambda: model.fit(data), rounds=1)
    per_epoch = statistics.median(seen[COUNTED_FROM:])
    info = {"faces_per_cpu_s": round(len(data) // 32 * 32 / per_epoch, 1)}
    MEASURED[backbone, switch] = info
    plain = MEASURED.get((backbone, "float32"), info)
    info["times_float32"] = round(info["faces_per_cpu_s"] / plain["faces_per_cpu_s"], 2)
    if scored:
        unseen = fer_bench.load_dataset("generated", subjects=30, seed=1, **people)
        score = model.evaluate(unseen, metrics=("classification",))["classification.test.accuracy"]
        info |= {"accuracy": score.value, "low": score.low, "high": score.high}
    benchmark.extra_info.update(info)
    print(f"\n{backbone}, {switch}: " + ", ".join(f"{k} {v:.3g}" for k, v in info.items()))
    if scored:
        assert info["low"] <= plain["high"]
        assert plain["low"] <= info["high"]


def watch_epochs(monkeypatch) -> list[float]:
    """Processor seconds of every training epoch to come."""
    from fer_bench.training.loop import Trainer

    seen: list[float] = []
    honest = Trainer._train_epoch

    def timed(*args, **options):
        started = time.process_time()
        honest(*args, **options)
        seen.append(time.process_time() - started)

    monkeypatch.setattr(Trainer, "_train_epoch", timed)
    return seen
