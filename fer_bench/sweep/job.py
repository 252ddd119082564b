"""A job: a function and its arguments, done in a process of its own."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib.util
import json
import os
import pickle
import signal
import sys
import traceback
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from fer_bench import registry
from fer_bench.errors import FerBenchError, disk_is_full, os_sentence
from fer_bench.sweep.gpus import Gpus

Tell = Callable[..., None]  # sends one message to the driver

_REGISTRIES = ("methods", "datasets", "metrics", "estimators")


@dataclass(frozen=True)
class Job:
    """What a child process is asked to do.

    Attributes:
        function: of a module; what it returns is sent back as JSON.
        arguments: by keyword.
        threads: that the process may use.
        output: file that takes what the process prints; None leaves it where the driver prints.
        wants_tell: whether the function takes `tell`, to send messages while it works.
        fresh: begin as a new interpreter, because a device cannot be used in a forked process.
        devices: GPUs that a job with `fresh` is to have.
        gpus: that the process may use; None leaves it what the driver sees.
    """

    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    threads: int
    output: Path | None = None
    wants_tell: bool = False
    fresh: bool = False
    devices: int = 1
    gpus: Gpus | None = None


@dataclass(frozen=True)
class Surroundings:
    """What a job finds as it would in the process that asks for it.

    Attributes:
        environment, folder: environment variables and working directory.
        registered: pickled things that were registered at run time: registry -> name -> pickle.
        files: module -> its file, of modules that define them and may not be on the path.
    """

    environment: Mapping[str, str]
    folder: str | None
    registered: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def here(cls) -> Surroundings:
        """Those of this process.

        Raises:
            Unpicklable: something that is registered exists in this process only.
        """
        registered: dict[str, dict[str, bytes]] = {}
        files: dict[str, str] = {}
        for kind in _REGISTRIES:
            for name, thing in getattr(registry, kind).local().items():
                registered.setdefault(kind, {})[name] = by_reference(thing)
                module = sys.modules.get(getattr(thing, "__module__", None) or "")
                path = getattr(module, "__file__", None)
                if module is not None and path:
                    files[module.__name__] = path
        try:
            folder = os.getcwd()
        except FileNotFoundError:
            folder = None
        return cls(dict(os.environ), folder, registered, files)

    def enter(self, *, environment: bool = True) -> None:
        """Make this process find the same; without `environment`, it keeps its own variables."""
        if environment:
            os.environ.clear()
            os.environ.update(self.environment)
        with contextlib.suppress(OSError, TypeError):  # it may have been removed meanwhile
            os.chdir(self.folder)  # type: ignore[arg-type]
        for name, path in self.files.items():
            _import(name, path)
        for kind, things in self.registered.items():
            for name, content in things.items():
                thing = pickle.loads(content)  # nosec B301: from the driver
                getattr(registry, kind).register(name, thing)


class Unpicklable(Exception):
    """Something exists in one process only."""


def by_reference(thing: Any) -> bytes:
    """A pickle that another process can read: of what a module, but not a script, defines.

    Raises:
        Unpicklable: there is no such pickle.
    """
    made_by = thing.function if isinstance(thing, Job) else thing
    if getattr(made_by, "__module__", None) == "__main__":
        raise Unpicklable(f"{thing!r} is defined in the main script")
    try:
        return pickle.dumps(thing)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise Unpicklable(str(error)) from None


def _import(name: str, path: str) -> None:
    if name in sys.modules:
        return
    with contextlib.suppress(ImportError, ValueError):
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name)
            return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is not None and spec.loader is not None:
        # Unpickling asks for the packages above a module as well, which may not be on the path.
        for parent in list(accumulate(name.split(".")[:-1], "{}.{}".format)):
            sys.modules.setdefault(parent, types.ModuleType(parent))
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


def run_job(surroundings: Surroundings, pickled: bytes, tell: Tell) -> dict[str, Any]:
    """Do a job in this process.

    Returns:
        {"value": ...}, or what `failure` returns.
    """
    try:
        surroundings.enter()
        job: Job = pickle.loads(pickled)  # nosec B301: from the driver
        _redirect(job.output)
        from fer_bench.threads import fix_threads

        if job.gpus is not None:
            job.gpus.hide_others()
            job.gpus.limit_memory()
        fix_threads(job.threads)
        _die_first()
        extra = {"tell": tell} if job.wants_tell else {}
        value = job.function(**job.arguments, **extra)
        json.dumps(value)  # what cannot be sent is a failure of the job
    except BaseException as error:  # a method may raise anything, sys.exit and Ctrl-C's too
        answer = failure(error)
    else:
        answer = {"value": value}
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # a method may have closed it
            stream.flush()
    return answer


def failure(error: BaseException) -> dict[str, Any]:
    """How a job failed: one sentence, the traceback where its author will need it, the disk."""
    expected = isinstance(error, FerBenchError)
    trace = None if expected else "".join(traceback.format_exception(error))
    return {"error": explain(error), "traceback": trace, "disk_full": disk_is_full(error)}


def explain(error: BaseException) -> str:
    """One sentence for a failure that is kept as a value."""
    if isinstance(error, FerBenchError):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        return os_sentence(error)
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})."
    return f"{type(error).__name__}: {error}"


def _redirect(output: Path | None) -> None:
    """Send what is printed, by Python or by a library in C, to a file."""
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)
    faulthandler.enable()  # a crash in C leaves the line of Python that led to it
    faulthandler.register(signal.SIGUSR1, all_threads=True)


def _die_first() -> None:
    """Where memory runs out, Linux ends this process rather than the one that watches it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")
