"""Claims: one process at a time works on a run, on whatever machine.

A claim is a numbered file that names its owner. The system makes it only if there is none of that
number, on a shared file system too, and the owner touches it every few seconds. A claim is dead
once its process is gone, as seen from the same machine, or once it has not been touched for
minutes, as seen from another. Whoever sees dead claims only makes the next number; an owner that
was believed dead sees that higher number, and leaves the run alone.
"""

from __future__ import annotations

import json
import os
import platform
import random
import tempfile
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil

BEAT_S = 15.0
STALE_S = 180.0  # longer than a file system takes to show a change to another machine
_ATTEMPTS = 3
_SECOND_LOOKS = (0.05, 0.2, 1.0)  # seconds


class Claim:
    """The right to work on what a folder stands for.

    Args:
        folder: of the claims; it is made when claimed, and removed when released.

    >>> folder = Path(tempfile.mkdtemp()) / "run.claims"
    >>> mine, yours = Claim(folder), Claim(folder)
    >>> mine.acquire(), yours.acquire()
    (True, False)
    >>> mine.release()
    >>> yours.acquire()
    True
    >>> yours.release()
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path: Path | None = None
        self._released = threading.Event()

    def acquire(self) -> bool:
        """Claim it, unless a living process has."""
        for _ in range(_ATTEMPTS):
            numbers = _numbers(self.folder)
            if _living(self.folder, numbers):
                return False
            with suppress(FileExistsError, FileNotFoundError):  # another process was faster
                self._make(max(numbers, default=0) + 1)
                if self._is_alone():
                    return True
                time.sleep(random.uniform(0, 0.05))  # both have stepped back: one comes first now
        return False

    def _make(self, number: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path, owner = self.folder / str(number), json.dumps(_owner())
        with tempfile.NamedTemporaryFile("w", dir=self.folder, prefix=".") as file:
            file.write(owner)
            file.flush()
            try:
                os.link(file.name, path)  # there with all its content, or not there
            except (FileExistsError, FileNotFoundError):
                raise
            except OSError:  # a file system without links
                with path.open("x") as plain:
                    plain.write(owner)
        self._path = path

    def _is_alone(self) -> bool:
        """Step back where another process has claimed it at the same moment."""
        assert self._path is not None
        others = [n for n in _numbers(self.folder) if n != int(self._path.name)]
        if _living(self.folder, others):
            self._leave()
            return False
        threading.Thread(target=self._beat, daemon=True).start()
        return True

    def _beat(self) -> None:
        while not self._released.wait(BEAT_S):
            with suppress(OSError):
                os.utime(self._path)  # type: ignore[arg-type]

    def holds(self) -> bool:
        """Whether no other process has taken it over."""
        if self._path is None:
            return False
        for wait in (*_SECOND_LOOKS, None):
            if _numbers(self.folder)[-1:] == [int(self._path.name)]:
                return True
            if wait is not None:  # a higher number may be of one that is about to step back
                time.sleep(wait)
        return False

    def release(self) -> None:
        """Let others have it, and clear the dead claims before it."""
        self._released.set()
        if self._path is None:
            return
        for number in _numbers(self.folder):
            path = self.folder / str(number)
            # A living one is about to look whether it is alone: it may stay.
            if number < int(self._path.name) and not _is_alive(path):
                path.unlink(missing_ok=True)
        self._leave()

    def _leave(self) -> None:
        assert self._path is not None
        self._path.unlink(missing_ok=True)
        with suppress(OSError):  # somebody else has a claim
            self.folder.rmdir()
        self._path = None


def is_claimed(folder: Path) -> bool:
    """Whether a living process has a claim."""
    return _living(folder, _numbers(folder))


def _numbers(folder: Path) -> list[int]:
    try:
        return sorted(int(entry.name) for entry in os.scandir(folder) if entry.name.isdigit())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _living(folder: Path, numbers: list[int]) -> bool:
    return any(_is_alive(folder / str(number)) for number in numbers)


def _is_alive(path: Path) -> bool:
    try:
        content, beat = path.read_text(encoding="utf-8"), path.stat().st_mtime
    except FileNotFoundError:
        return False
    with suppress(ValueError, TypeError, KeyError):  # it is still being written, or damaged
        owner = json.loads(content)
        if owner["machine"] == _machine():
            return _is_running(owner)
    return _clock(path.parent) - beat < STALE_S


def _is_running(owner: dict[str, Any]) -> bool:
    """Whether a process of this machine is still the one that made a claim."""
    try:
        process = psutil.Process(owner["pid"])
        same = abs(process.create_time() - owner["started"]) < 1
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _clock(folder: Path) -> float:
    """The time of the machine that keeps the files: clocks of two machines differ."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            return os.stat(file.name).st_mtime
    except OSError:  # results that can only be read
        return time.time()


def _owner() -> dict[str, Any]:
    process = psutil.Process()
    return {
        "machine": _machine(),
        "name": platform.node(),
        "pid": process.pid,
        "started": process.create_time(),
    }


@cache
def _machine() -> str:
    """What tells machines apart, and containers with process numbers of their own."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)
