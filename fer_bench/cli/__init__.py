"""The command line. Commands import what they need when they run, so that --help is instant."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of `fer-bench`: expected failures are one sentence and exit status 2."""
    from fer_bench.cli.app import app
    from fer_bench.errors import FerBenchError
    from fer_bench.terminal import protected_streams

    with protected_streams():
        try:
            app()
        except FerBenchError as error:
            print(f"fer-bench: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        except KeyboardInterrupt:
            print(
                "fer-bench: stopped; finished runs are kept, the same command goes on.",
                file=sys.stderr,
            )
            raise SystemExit(130) from None
