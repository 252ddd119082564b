"""`fer-bench check-method` and `fer-bench doctor`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def check_method(
    name: Annotated[str, typer.Argument(help="Registered name.", show_default=False)],
) -> None:
    """Check a method adapter on a few generated faces: shapes, ownership, gradients, signs.

    Each finding is printed when it is made. Exit status 1 if anything is wrong.
    """
    import torch

    from fer_bench import conformance, registry

    # The faces are so few that threads would wait for each other longer than they work.
    torch.set_num_threads(1)
    adapter = registry.methods.get(name)
    typer.echo(f"Checking {name} on generated faces, a minute or less on an idle core.", err=True)
    sound = True
    for finding in conformance.checking(adapter):
        typer.echo(str(finding))
        sys.stdout.flush()
        sound &= finding.passed
    if not sound:
        raise typer.Exit(1)


def doctor() -> None:
    """Show what this machine has: versions, accelerator, cores, free space, caches."""
    import os
    import platform
    import shutil

    import torch

    from fer_bench import __version__
    from fer_bench.data.cache import cache_folder

    cache = cache_folder()
    free = shutil.disk_usage(_existing(cache)).free
    facts = {
        "fer-bench": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "accelerator": _accelerator(torch),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else "?"),
        "torch threads": str(torch.get_num_threads()),
        "face cache": f"{cache} ({free / 2**30:.0f} GiB free)",
        "weights cache": os.environ.get("HF_HOME", "~/.cache/huggingface"),
    }
    for package in ("timm", "open_clip_torch", "umap-learn", "openTSNE", "lightning-fabric"):
        facts[package] = _version_or_none(package)
    width = max(map(len, facts))
    for key, value in facts.items():
        typer.echo(f"{key:{width}}  {value}")


def _accelerator(torch: Any) -> str:
    if not torch.cuda.is_available():
        return "none (runs on the CPU)"
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join(names)


def _version_or_none(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
