"""A store of decoded pixels, so that an image is decoded once in its life.

An entry is a folder of plain files, named by a hash of everything that decides its content.
It is written aside and renamed, under a lock, so that a reader never meets half of one.
"""

from __future__ import annotations

import hashlib
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
        for left in folder.parent.glob(f".{key}.*"):  # by commands that were killed
            shutil.rmtree(left, ignore_errors=True)
        aside = folder.with_name(f".{key}.{uuid.uuid4().hex[:8]}")
        aside.mkdir()
        try:
            make(aside)
            aside.rename(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return folder


def tree_stamp(root: Path, *, without: Path) -> str:
    """Hash of names, sizes and times of all files below a folder, but for one subfolder.

    While it is the same, what was read from the folder is the same.
    """
    digest = hashlib.blake2b(digest_size=16)
    stack, left_out = [str(root)], str(without.resolve())
    while stack:
        folder = stack.pop()
        digest.update(os.fsencode(f"\x1d{folder}"))
        with os.scandir(folder) as iterator:
            entries = sorted(iterator, key=lambda e: e.name)
        for item in entries:
            if item.is_dir(follow_symlinks=False):
                if item.path != left_out and os.path.realpath(item.path) != left_out:
                    stack.append(item.path)
                continue
            try:
                state = item.stat()
            except OSError:  # a link that leads nowhere
                continue
            words = f"{item.name}\0{state.st_size}\0{state.st_mtime_ns}\x1f"
            digest.update(os.fsencode(words))
    return digest.hexdigest()


def source_hash(folder: Path) -> str:
    """Hash of the Python files of a folder: what they made is made anew when they change."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
