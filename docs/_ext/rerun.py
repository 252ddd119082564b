"""Make the numbers of the documentation again: `tox -e numbers`, or with `--all` the long ones."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHORT = 1  # minutes


def main(arguments: list[str]) -> int:
    """Print every command, run those that are short (or all), and count the failures."""
    numbers = tomllib.loads((ROOT / "docs" / "numbers.toml").read_text(encoding="utf-8"))["number"]
    failed = 0
    for number in numbers:
        print(f"{number['page']}: {number['states']!r}, about {number['minutes']} min")
        command = number["command"] or "no command was kept"
        print(f"  {command}  ({number['commit']}, {number['date']}, {number['machine']})")
        if number["command"] and (number["minutes"] <= SHORT or "--all" in arguments):
            done = subprocess.run(number["command"], shell=True, cwd=ROOT, check=False)
            failed += done.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
