"""The command line. Commands import what they need when they run, so that --help is instant.

Exit status: 0, all is well; 1, the command ended and something in it failed (a run, a check);
2, it could not be done as asked, and one sentence says why; 130 and 143, it was stopped by Ctrl-C
or by SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STOPPED = "fer-bench: stopped; finished runs are kept, the same command goes on."


class Stopped(BaseException):
    """A signal that asks this process to end; no library takes it for its own."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _stand_somewhere() -> None:
    """Torch ends the process without a word where the current folder is gone."""
    from fer_bench.errors import FerBenchError

    try:
        os.getcwd()
    except FileNotFoundError:
        raise FerBenchError("the current folder no longer exists: change to another.") from None


def main() -> None:
    """Entry point of `fer-bench`: expected failures are one sentence and exit status 2."""
    from fer_bench import terminal
    from fer_bench.cli.app import app
    from fer_bench.errors import FerBenchError, os_sentence

    with terminal.protected_streams():
        try:
            _stand_somewhere()
            with _signals():
                app(prog_name="fer-bench")
        except FerBenchError as error:
            if terminal.show_tracebacks:
                traceback.print_exception(error)
            print(f"fer-bench: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        except BrokenPipeError:  # whoever read our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise SystemExit(1) from None
        except OSError as error:
            print(f"fer-bench: {os_sentence(error)}", file=sys.stderr)
            raise SystemExit(2) from None
        except Stopped as stop:
            sys.stdout.flush()
            print(_STOPPED, file=sys.stderr, flush=True)
            os._exit(128 + stop.number)  # at once: what libraries do at the end can take seconds
        except KeyboardInterrupt:
            print(_STOPPED, file=sys.stderr)
            raise SystemExit(128 + signal.SIGINT) from None


@contextmanager
def _signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise `Stopped`, once: a second one ends the process at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        for one in before:
            signal.signal(one, signal.SIG_DFL)
        raise Stopped(number)

    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    for one in before:
        signal.signal(one, stop)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
