"""The process that starts runs: it imports, and forks a child for every job.

It computes nothing itself. A child that is forked from a process with several threads can wait
for ever for a lock that one of them held, so the server has a single thread: the libraries it
imports are told not to start any, and should one do so nevertheless, the child begins as a fresh
interpreter instead of as a copy.

The server and the process that drives it are connected by a socket. When the driver is gone, the
socket is closed, and the server ends all children and itself.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pickle
import platform
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from typing import Any, NoReturn

from fer_bench.lifetime import adopt_orphans, end_with, garbage_kept

# Set before anything is imported: none of these libraries then starts a thread of its own.
QUIET = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
SWEEP = "fer_bench.sweep.sweep"  # all that planning and training import, but for the compiler
PRELOAD = (  # what every run imports, the parts that libraries put off among it
    "fer_bench.sweep.search",
    "fer_bench.data.synthetic",
    "pandas.core.arrays.arrow.extension_types",
    "pandas.io.formats.csvs",
    "pyarrow.dataset",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
)


def command(fd: int, path: Sequence[str]) -> list[str]:
    """The command line of a server whose driver is at the other end of the socket `fd`."""
    return _interpreter(f"main({fd})", path)


def _interpreter(call: str, path: Sequence[str]) -> list[str]:
    code = f"import sys; sys.path[:] = {list(path)!r}; from fer_bench.sweep import server; "
    return [sys.executable, "-P", "-c", f"{code}server.{call}"]


def fork(control: socket.socket, other_end: socket.socket) -> int:
    """Fork a server from this process, which has one thread; returns its process id."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        other_end.close()
        sys.path[:] = [entry or os.getcwd() for entry in sys.path]  # the server goes elsewhere
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1):
            os.dup2(null, standard)
        main(control.detach())
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def main(fd: int) -> None:
    """Serve the driver at the other end of the socket until it closes it."""
    server = _Server(Connection(fd))
    with importing():
        _prepare_training()
    server.serve(_prepare_the_rest())
    os._exit(0)  # at once: taking the interpreter apart would keep the driver waiting


def _prepare_training() -> None:
    """Import what a run needs up to its first step, and look up what the machine answers alike."""
    importlib.import_module(SWEEP)
    from fer_bench.experiment import TrainingSpec
    from fer_bench.threads import libraries
    from fer_bench.training.devices import make_fabric

    with _absent("torchmetrics"):  # Fabric asks for its version, and imports it and SciPy for that
        make_fabric(TrainingSpec(device="cpu"))  # with torch's compiler, as optimisers do
    libraries()


def _prepare_the_rest() -> Iterator[object]:
    """Import what scoring needs and what other methods do, in steps between two orders."""
    from fer_bench import registry

    for module in PRELOAD:
        yield importlib.import_module(module)
    for known in (registry.methods, registry.metrics, registry.datasets, registry.estimators):
        for name in known.names():
            if known.origin(name) == "fer-bench":
                yield known.get(name)
    yield platform.platform()
    gc.freeze()


@contextmanager
def importing() -> Iterator[None]:
    """What is imported inside stays: it is not searched for garbage, then or in a forked child.

    A search takes a fifth of the time of imports, and in a child it copies every page.
    """
    with garbage_kept():
        try:
            yield
        finally:
            gc.freeze()


@contextmanager
def _absent(module: str) -> Iterator[None]:
    """Whoever asks for a module inside is told that it is not installed."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


def thread_count() -> int:
    """Threads of this process."""
    import psutil

    return psutil.Process().num_threads()


class _Server:
    def __init__(self, control: Connection) -> None:
        self.control = control
        self.children: dict[int, int] = {}  # process id -> job
        self.wake, write = os.pipe()
        os.set_blocking(write, False)
        os.set_blocking(self.wake, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides what an interrupt means
        adopt_orphans()
        os.chdir("/")

    def serve(self, idle_work: Iterator[Any]) -> None:
        """Obey until the driver is gone; a step of `idle_work` is done while it asks for none."""
        idle = False
        while True:
            control = self.control.fileno()
            ready, _, _ = select.select([control, self.wake], [], [], None if idle else 0)
            if not ready:
                idle = next(idle_work, self) is self
                continue
            if self.wake in ready:
                os.read(self.wake, 4096)
            if control in ready:
                try:
                    self._obey(json.loads(self.control.recv_bytes()))
                except (EOFError, OSError):
                    self._end()
                    return
            self._reap()

    def _obey(self, order: dict[str, Any]) -> None:
        if "signal" in order:
            for pid, job in self.children.items():
                if job == order["job"]:
                    os.kill(pid, order["signal"])
            return
        answers = recv_handle(self.control)
        payload = self.control.recv_bytes()
        threads = thread_count()
        fresh = order["fresh"] or threads > 1
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_child(payload, answers, fresh=fresh, server=server)
        os.close(answers)
        self.children[pid] = order["job"]
        self._tell(job=order["job"], pid=pid, threads=threads)

    def _become_child(self, payload: bytes, answers: int, *, fresh: bool, server: int) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            end_with(server)
            os.setsid()
            self.control.close()
            os.close(self.wake)
            if fresh:
                _start_afresh(payload, answers)
            run_child(payload, answers)
        finally:
            os._exit(1)

    def _reap(self) -> None:
        ended: dict[int, int] = {}  # job -> exit status
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:  # other runs, or what these have left behind
                if ended:
                    self._kill_strays()
                break
            job = self.children.pop(pid, None)
            if job is not None:
                _kill_group(pid)
                ended[job] = os.waitstatus_to_exitcode(status)
        for job, code in ended.items():
            self._tell(job=job, status=code)

    def _kill_strays(self) -> None:
        """End what runs left behind: descendants of a dead process become children of ours."""
        import psutil

        for child in psutil.Process().children():
            if child.pid not in self.children:
                _kill_group(child.pid)
                _kill(child.pid)

    def _end(self) -> None:
        for pid in self.children:
            _kill_group(pid)
            _kill(pid)
        while self.children:
            pid, _ = os.waitpid(-1, 0)
            self.children.pop(pid, None)
        self._kill_strays()

    def _tell(self, **message: Any) -> None:
        try:
            self.control.send_bytes(json.dumps(message).encode())
        except OSError:  # the driver is gone, which the next read will show
            return


def _start_afresh(payload: bytes, answers: int) -> NoReturn:
    """Go on as a new interpreter that has imported nothing."""
    with tempfile.TemporaryFile() as file:
        file.write(payload)
        file.seek(0)
        for fd in (file.fileno(), answers):
            os.set_inheritable(fd, True)
        line = _interpreter(f"afresh({file.fileno()}, {answers})", sys.path)
        os.execv(line[0], line)


def afresh(jobs: int, answers: int) -> NoReturn:
    """Read one job and run it: what a fresh interpreter does."""
    os.set_inheritable(answers, False)
    with os.fdopen(jobs, "rb") as file:
        payload = file.read()
    run_child(payload, answers)


def run_child(payload: bytes, answers: int) -> NoReturn:
    """Do one job in this process, tell how it ended, and end the process."""
    from fer_bench.sweep.job import run_job

    channel = socket.socket(fileno=answers)
    # From the driver that started this process, over a socket that nobody else has.
    token, surroundings, job = pickle.loads(payload)  # nosec B301

    def tell(**message: Any) -> None:
        channel.sendall(f"{token}{json.dumps(message)}\n".encode())

    try:
        tell(**run_job(surroundings, job, tell))
    finally:
        os._exit(0)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
