"""What reaches the terminal: no control characters from data, and nothing it cannot encode.

Names of people, classes, files and methods come from other people's data. A name that holds an
escape sequence must not move the cursor or set the title of a window, and a character that a
terminal's encoding lacks must not end a command.
"""

from __future__ import annotations

import codecs
import io
import math
import re
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

SILENT_S = 5.0  # seconds without a line, at most

show_tracebacks = False
"""Whether an expected failure is shown with its traceback: `fer-bench --verbose`."""

# C0 and C1 controls except tab and newline, line separators, and what reverses reading order.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_ERRORS = "fer_bench.nearest"
_NEAREST = {
    "→": "->", "←": "<-", "↑": "^", "↓": "v", "≥": ">=", "≤": "<=", "±": "+/-", "×": "x",
    "−": "-", "–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "…": "...",
}  # fmt: skip


def printable(text: str) -> str:
    r"""Text with its control characters spelled out; tabs and line ends stay.

    >>> printable("anna\x1b]0;title\x07")
    'anna\\x1b]0;title\\x07'
    """
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(5400), duration(90)
    ('1 h 30 min', '1 min 30 s')
    """
    parts = []
    rest = round(seconds) if seconds >= 10 else round(seconds, 1)
    for unit, size in (("h", 3600), ("min", 60)):
        if rest >= size:
            parts.append(f"{int(rest // size)} {unit}")
            rest %= size
    if rest or not parts:
        parts.append(f"{rest:g} s")
    return " ".join(parts[:2])


def counted(n: int, word: str) -> str:
    """A number with its noun.

    >>> counted(1, "run"), counted(1200, "face")
    ('1 run', '1,200 faces')
    """
    return f"{n:,} {word}{'s' * (n != 1)}"


def encodable(text: str, encoding: str) -> str:
    """Text with the characters that an encoding lacks replaced by near ones, or by "?".

    >>> encodable("Schrödinger ↑", "ascii")
    'Schrodinger ^'
    """
    return text.encode(encoding, _ERRORS).decode(encoding)


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    near = "".join(_NEAREST.get(c) or _without_marks(c) for c in lacking)
    return near, error.end


def _without_marks(character: str) -> str:
    base = unicodedata.normalize("NFKD", character)[0]
    return base if base.isascii() and base.isprintable() else "?"


codecs.register_error(_ERRORS, _nearest)


class _Encodable(io.TextIOBase):
    """A text stream that replaces what the stream below cannot encode.

    It has no `buffer`, so that nobody writes past it.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.stream.encoding or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self.stream.errors

    def write(self, text: str) -> int:
        self.stream.write(encodable(text, self.encoding))
        return len(text)

    def flush(self) -> None:
        self.stream.flush()

    def isatty(self) -> bool:
        return self.stream.isatty()

    def fileno(self) -> int:
        return self.stream.fileno()

    def writable(self) -> bool:
        return True


class _Printable(_Encodable):
    """The same, with control characters spelled out."""

    def write(self, text: str) -> int:
        super().write(printable(text))
        return len(text)


@contextmanager
def protected_streams() -> Iterator[None]:
    """Whatever is printed in here is printable and encodable."""
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Printable(out), _Printable(err)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


def make_console(*, stderr: bool = False, **options: Any) -> Console:
    """A console for bars and tables: its own control sequences pass, those in texts do not.

    Args:
        stderr: write to the error stream.
        options: of `rich.console.Console`.
    """
    from rich.console import Console
    from rich.segment import Segment

    class PrintableConsole(Console):
        def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                text, style, control = segment
                yield segment if control else Segment(printable(text), style)

    stream = sys.stderr if stderr else sys.stdout
    below = stream.stream if isinstance(stream, _Encodable) else stream
    return PrintableConsole(file=_Encodable(below), **options)  # type: ignore[arg-type]


class Lines:
    """Lines where there is no terminal; while none comes, what is being done is said again.

    Args:
        console: where they are printed.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._step, self._last = ("", 0.0), -math.inf
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._repeat, daemon=True)

    def __enter__(self) -> Lines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def say(self, text: str, *, after: float = 0.0) -> None:
        """Print a line, with markup, if the last one is so many seconds old."""
        with self._lock:
            if time.monotonic() - self._last >= after:
                self._last = time.monotonic()
                self._console.print(text, soft_wrap=True)

    def doing(self, step: str) -> None:
        """What is being done from now on."""
        self._step = step, time.monotonic()

    def _repeat(self) -> None:
        from rich.markup import escape

        while not self._over.wait(SILENT_S / 5):
            step, began = self._step
            if step:
                text = escape(f"{step}, {duration(time.monotonic() - began)} so far ...")
                with suppress(OSError):  # the command's own lines tell of it
                    self.say(text, after=SILENT_S)


@contextmanager
def steps_shown(what: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Says on standard error what is done next: in place on a terminal, else line by line.

    The first line comes at once: what takes long to import is imported inside.

    Args:
        what: is being made, such as "report"; every line begins with it.
        quiet: say nothing.
    """
    from rich.markup import escape

    console = make_console(stderr=True, quiet=quiet, highlight=False)
    if not console.is_terminal:

        def say(step: str) -> None:
            lines.doing(step)
            lines.say(escape(f"{step} ..."))

        with Lines(console) as lines:
            say(what)
            yield lambda step: say(f"{what}: {step}")
        return
    with console.status(f"{what} ...") as status:
        yield lambda step: status.update(f"{what}: {escape(step)} ...")
