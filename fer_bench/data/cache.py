"""A store of decoded pixels, so that an image is decoded once in its life.

An entry is a folder of plain files, named by a hash of everything that decides its content.
It is written aside and renamed, under a lock, so that a reader never meets half of one.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path


def cache_folder(cache: str | Path | None = None) -> Path:
    """The cache to use: the argument, else $FER_BENCH_CACHE, else the user's cache folder."""
    chosen = cache or os.environ.get("FER_BENCH_CACHE")
    return Path(chosen) if chosen else user_cache_path("fer-bench", appauthor=False) / "faces"


def entry(cache: Path, name: str, key: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of an entry, made first by `make(folder)` if it is not there yet."""
    folder = cache / name / key
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if folder.is_dir():  # somebody else made it meanwhile
            return folder
        aside = folder.with_name(f".{key}.{uuid.uuid4().hex[:8]}")
        aside.mkdir()
        try:
            make(aside)
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return folder
