"""Make the numbers of the documentation again: `tox -e numbers`.

`docs/numbers.toml` names them. Without words after it the short commands are run, with `--all` the
long ones, too, and with names of benchmarks those alone. The rows of a benchmark are kept in
`docs/benchmarks/NAME.json`, with command, commit, machine, date and CPU time; a list of three in
them is a value with its 95 % interval.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "docs" / "benchmarks"
SHORT = 2  # CPU-minutes

Rows = list[dict[str, Any]]


def main(words: list[str]) -> int:
    """Print every command, run those that are asked for, and count the failures."""
    content = numbers()
    failed = 0
    for number in [*content["number"], *map(with_stamp, content["benchmark"])]:
        name = number.get("name", number.get("states"))
        print(f"{name}: {number['command']}", flush=True)
        names = set(words) - {"--all"}
        short = (number.get("cpu_minutes") or number.get("estimated_minutes") or math.inf) <= SHORT
        if name in names if names else short or "--all" in words:
            failed += not _made(number)
    return failed


def numbers() -> dict[str, Any]:
    """The content of docs/numbers.toml."""
    return tomllib.loads((ROOT / "docs" / "numbers.toml").read_text(encoding="utf-8"))


def with_stamp(benchmark: Mapping[str, Any]) -> dict[str, Any]:
    """What numbers.toml says of a benchmark, with what is kept of its last run."""
    path = KEPT / f"{benchmark['name']}.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {**kept, **benchmark}


def _made(number: Mapping[str, Any]) -> bool:
    """Run a command, print what it cost, and keep the rows of a benchmark."""
    before, commit = sum(os.times()[2:4]), _commit()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = number["command"].replace("{out}", str(out))
        pipe = subprocess.PIPE if "name" in number else None
        done = subprocess.run(command, shell=True, cwd=ROOT, check=False, text=True, stdout=pipe)
        stamp = {
            "command": number["command"],
            "commit": commit,
            "machine": _machine(),
            "date": date.today().isoformat(),
            "cpu_minutes": round((sum(os.times()[2:4]) - before) / 60, 2),
        }
        print(f"  {stamp}", flush=True)
        if done.returncode == 0 and "name" in number:
            write(number["name"], stamp, rows_of(out, done.stdout))
    return done.returncode == 0


def write(name: str, stamp: Mapping[str, Any], rows: Rows) -> None:
    """Keep a benchmark, a row per line."""
    head = json.dumps(stamp, indent=1, ensure_ascii=False).removesuffix("\n}")
    lines = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in rows)
    text = f'{head},\n "rows": [\n  {lines}\n ]\n}}\n'
    (KEPT / f"{name}.json").write_text(text, encoding="utf-8")


def rows_of(out: Path, printed: str) -> Rows:
    """Rows from a result folder, from the file of pytest-benchmark, or from printed JSON."""
    if out.is_dir():
        return _scored(out)
    if out.is_file():
        timed = json.loads(out.read_text(encoding="utf-8"))["benchmarks"]
        return [
            {"case": each["param"] or _words(each["name"]), **each["extra_info"]} for each in timed
        ]
    return list(json.loads(printed))


def _words(test: str) -> str:
    return test.removeprefix("test_").replace("_", " ")


def _scored(folder: Path) -> Rows:
    from fer_bench.reports.material import Material
    from fer_bench.reports.sections import claims

    material = Material(folder, maps="none")
    tied = material.confounding
    if tied is not None and len(tied.rhos) > 1:
        return [
            {
                "method": label,
                "strength": rho,
                **{p.title: _interval(tied.means[p.key][label].get(rho)) for p in tied.panels},
            }
            for label in tied.labels
            for rho in tied.rhos
        ]
    told = claims.content(material)
    rows = [line.row for line in told["lines"]] if told else material.summary.rows
    # Scores of all attackers stand for those of the default ones.
    known = [{k.replace("-all/", "/"): v for k, v in row.scores.items()} for row in rows]
    shown = {t: key for t, key in numbers()["scores"].items() if any(key in one for one in known)}
    out = [
        {"method": row.label, **{t: _interval(one.get(key)) for t, key in shown.items()}}
        for row, one in zip(rows, known, strict=True)
    ]
    for row, line in zip(out, told["lines"] if told else (), strict=False):
        row |= _standing(line)
    return out


def _standing(line: Any) -> dict[str, str | None]:
    """The places of a method for the fixed and the trained attacker; how it stands to erasing."""
    place = line.places and " → ".join(
        f"{p.at} ({p.first} to {p.last})" if p.first != p.last else f"{p.at}" for p in line.places
    )
    return {"place": place, "ERM + eraser": line.verdict and line.verdict.state}


def _interval(estimate: Any) -> list[float | None] | None:
    return estimate and [estimate.mean, estimate.low, estimate.high]


def _commit() -> str:
    described = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(described, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _machine() -> str:
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text(encoding="utf-8").splitlines() if cpu.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else 'unknown CPU'}, {os.cpu_count()} cores"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
