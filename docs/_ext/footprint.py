"""What an installation takes, and what `fer-bench mi estimate` takes of it: numbers of install.md.

Run in an environment that has the suite: `python docs/_ext/footprint.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ESTIMATE = """
import json, resource, sys
import numpy as np
from fer_bench.cli import main
x = np.random.default_rng(0).normal(size=(500, 2))
np.save("x", x), np.save("y", x**3)
sys.argv[1:] = ["mi", "estimate", "x.npy", "y.npy", "--estimator", "ksg"]
try:
    main()
except SystemExit as end:
    assert not end.code
used = resource.getrusage(resource.RUSAGE_SELF)
modules = sorted({name.partition(".")[0] for name in sys.modules})
import fer_bench.training.session
more = resource.getrusage(resource.RUSAGE_SELF)
seconds = [u.ru_utime + u.ru_stime for u in (used, more)]
print(json.dumps([modules, seconds[0], used.ru_maxrss / 1024, seconds[1] - seconds[0]]))
"""


def required(name: str, extras: Iterable[str] = ()) -> set[str]:
    """Names of the installed distributions that one needs, itself included."""
    seen: set[tuple[str, str]] = set()
    todo = [(canonicalize_name(name), extra) for extra in ("", *extras)]
    while todo:
        one = todo.pop()
        if one in seen:
            continue
        try:
            needs = map(Requirement, distribution(one[0]).requires or ())
        except PackageNotFoundError:
            continue
        seen.add(one)
        todo += [
            (canonicalize_name(need.name), extra)
            for need in needs
            if need.marker is None or need.marker.evaluate({"extra": one[1]})
            for extra in ("", *need.extras)
        ]
    return {name for name, _ in seen}


def gigabytes(names: Iterable[str]) -> float:
    """Size of the files that the distributions installed, in 1e9 bytes."""
    files = (file for name in names for file in distribution(name).files or ())
    paths = {path for path in (file.locate() for file in files) if path.is_file()}
    return sum(path.stat().st_size for path in paths) / 1e9


def main() -> None:
    """Print the numbers."""
    everything = required("fer-bench")
    cuda = {name for name in everything if name.startswith(("nvidia", "cuda"))}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", ESTIMATE], cwd=folder, check=True, text=True, stdout=-1
        )
    modules, seconds, megabytes, more = json.loads(done.stdout.splitlines()[-1])
    owners = packages_distributions()
    taken = {canonicalize_name(one) for name in modules for one in owners.get(name, ())}
    taken &= everything
    print(f"an installation: {len(everything)} packages, {gigabytes(everything):.1f} GB")
    print(f"of them CUDA {gigabytes(cuda):.1f} GB, Triton {gigabytes({'triton'}):.1f} GB")
    print(f"mi estimate takes {len(taken)} packages, {gigabytes(taken):.1f} GB")
    print(f"500 rows by KSG: {seconds:.1f} CPU-seconds, {megabytes:.0f} MB of memory")
    print(f"to import torch and what builds on it: {more:.1f} CPU-seconds more")


if __name__ == "__main__":
    main()
