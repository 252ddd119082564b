"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a name to write to; it becomes `path` only if nothing was raised."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        yield aside
        os.replace(aside, path)
    except BaseException as error:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        refused = re.search(r"os error (\d+)", str(error))
        if isinstance(error, SafetensorError) and refused:  # it hides what the system said
            number = int(refused[1])
            raise OSError(number, os.strerror(number), str(path)) from None
        raise


def write_text(path: Path, text: str, *, newline: str | None = None) -> None:
    """Write UTF-8 text so that a reader sees the old file or the new one, never a half.

    Args:
        path: of the file; its folder is made if absent.
        text: the content.
        newline: as for `open`: "" keeps the line ends of the text.
    """
    with atomic_path(path) as aside:
        aside.write_text(text, encoding="utf-8", newline=newline)
