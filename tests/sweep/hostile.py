"""Methods that do what a method must not do, all of them while they train."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time

import torch

from fer_bench.baselines.erm.adapter import ERM
from fer_bench.method import MethodInfo

LEAK = []


class Hostile(ERM):
    """Learns like ERM once it has done its evil."""

    def loss(self, batch):
        self.evil()
        return super().loss(batch)

    def evil(self):
        raise NotImplementedError


def hostile(evil):
    """A method that calls a function before every step, under the name of the function."""
    name = evil.__name__
    body = {
        "evil": staticmethod(evil),
        "info": MethodInfo(name=name.replace("_", "-"), title=name),
        "__module__": __name__,
    }
    return type(name, (Hostile,), body)


class Rude(BaseException):
    """No exception that anybody expects."""


@hostile
def calls_exit():
    sys.exit(0)


@hostile
def leaves_at_once():
    os._exit(0)


@hostile
def kills_itself():
    os.kill(os.getpid(), signal.SIGKILL)


@hostile
def crashes_in_c():
    ctypes.string_at(0)


@hostile
def sleeps_for_ever():
    time.sleep(3600)


@hostile
def ignores_all_signals():
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    while True:
        pass


@hostile
def eats_memory():
    for _ in range(200):
        LEAK.append(bytearray(os.urandom(1 << 20) * 64))
        time.sleep(0.1)


@hostile
def changes_the_data_type():
    torch.set_default_dtype(torch.float64)


@hostile
def changes_threads():
    torch.set_num_threads(2)
    os.environ["OMP_NUM_THREADS"] = "2"


@hostile
def stops_gradients():
    torch.set_grad_enabled(False)


@hostile
def switches_mkldnn_off():
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]


@hostile
def leaks():
    LEAK.append(bytearray(50 << 20))


@hostile
def raises_no_exception():
    raise Rude("out")


@hostile
def interrupts():
    raise KeyboardInterrupt


@hostile
def removes_its_folder():
    shutil.rmtree(os.getcwd(), ignore_errors=True)


@hostile
def closes_all_files():
    sys.stdout.close()
    os.closerange(0, 1000)


@hostile
def leaves_a_child_behind():
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(3600)"
    subprocess.Popen([sys.executable, "-c", code, "left-behind"], start_new_session=True)


@hostile
def replaces_torch():
    torch.randperm = lambda n, **options: torch.arange(n)
    torch.optim.Adam.step = lambda self, closure=None: None


@hostile
def writes_nonsense():
    for fd in range(3, 64):
        try:
            os.write(fd, b'\xff{"value": 1}\n[]\n{"epoch": 5}\n')
        except OSError:
            continue


METHODS = {
    thing.info.name: thing
    for thing in list(vars().values())
    if isinstance(thing, type) and issubclass(thing, Hostile) and thing is not Hostile
}
HANGING = {"sleeps-for-ever", "ignores-all-signals"}
