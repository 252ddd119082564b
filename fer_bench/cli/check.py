"""`fer-bench check-method` and `fer-bench doctor`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def check_method(
    name: Annotated[str, typer.Argument(help="Registered name.", show_default=False)],
    diagram: Annotated[
        Path | None,
        typer.Option("--diagram", help="Draw stages, players and losses into this SVG instead."),
    ] = None,
) -> None:
    """Check a method adapter on a few generated faces: shapes, ownership, gradients, signs.

    Each finding is printed when it is made. Exit status 1 if anything is wrong.
    """
    import torch

    from fer_bench import conformance, registry

    # The faces are so few that threads would wait for each other longer than they work.
    torch.set_num_threads(1)
    if diagram is not None:
        from fer_bench.conformance.diagram import method_diagram

        diagram.write_text(method_diagram(name) + "\n", encoding="utf-8")
        typer.echo(str(diagram))
        return
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
    """Say whether this machine is ready: versions, accelerator, free space, extras, data.

    Exit status 2 if a required package is missing or the disk is nearly full.
    """
    facts = {**_packages(), **_machine(), **_places(), **_extras(), **_programs()}
    width = max(map(len, facts))
    for key, value in facts.items():
        typer.echo(f"{key:{width}}  {value}")
    problems = [*_missing(), *_full()]
    for problem in problems:
        typer.echo(f"problem: {problem}", err=True)
    if problems:
        raise typer.Exit(2)
    typer.echo("ready: fer-bench run")


LEAST_FREE = 1.0  # GiB: a result folder with its cache of faces
EXTRAS = {
    "detect": "find faces in photographs",
    "face-recognition": "a network that recognises people, as attacker",
    "capture": "record faces from a webcam",
    "browser": "a browser that tests drive",
    "huggingface": "read saved Hugging Face data sets",
    "pytest": "test your own estimators and methods",
    "ray": "run sweeps on a Ray cluster",
    "search": "choose parameters on validation people",
    "mlflow": "export scores to MLflow",
    "tensorboard": "export embeddings to the projector",
}


def _packages() -> dict[str, str]:
    import platform

    from fer_bench import __version__

    wanted = ("torch", "torchvision", "timm", "open_clip_torch", "lightning-fabric", "umap-learn")
    versions = {package: _version(package) or "missing" for package in wanted}
    return {"fer-bench": __version__, "python": platform.python_version(), **versions}


def _machine() -> dict[str, str]:
    import os

    try:
        import torch
    except ImportError:
        return {}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "accelerator": _accelerator(torch),
        "cores": f"{cores}, of which torch uses {torch.get_num_threads()}",
    }


def _places() -> dict[str, str]:
    import os

    from fer_bench.data.cache import cache_folder

    pack = os.environ.get("FER_BENCH_DATA")
    folder = Path(pack) if pack else None
    sets = (
        sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder and folder.is_dir() else []
    )
    return {
        "here": f"{Path.cwd()} ({_free(Path.cwd()):.0f} GiB free)",
        "face cache": f"{cache_folder()} ({_free(cache_folder()):.0f} GiB free)",
        "weights cache": os.environ.get("HF_HOME", "~/.cache/huggingface"),
        "data": f"{pack}: {', '.join(sets) or 'empty or missing'}" if pack else
        "$FER_BENCH_DATA is not set; name roots in experiment files",
    }  # fmt: skip


def _extras() -> dict[str, str]:
    installed = {extra: all(map(_version, _required(extra))) for extra in EXTRAS}
    return {
        f"extra {extra}": "installed" if there else f"optional: {EXTRAS[extra]}"
        for extra, there in installed.items()
    }


def _programs() -> dict[str, str]:
    from shutil import which

    browser = next(filter(None, map(which, ("chromium", "chromium-browser", "google-chrome"))), "")
    return {
        "browser": browser or "optional: any browser opens the report",
        "TeX": which("pdflatex") or "optional: tables and figures are written without it",
    }


def _missing() -> list[str]:
    lacking = [package for package in _required("") if _version(package) is None]
    return [f"the package {package} is missing: pip install {package}" for package in lacking]


def _full() -> list[str]:
    free = _free(Path.cwd())
    full = f"{Path.cwd()} has {free:.1f} GiB free: results and faces need {LEAST_FREE:g} and more"
    return [full] if free < LEAST_FREE else []


def _required(extra: str) -> list[str]:
    """Packages that fer-bench needs, or that one of its extras brings."""
    import re
    from importlib.metadata import requires

    marker = re.compile(r"extra == [\"']([^\"']+)")
    named = ((line, marker.search(line)) for line in requires("fer-bench") or ())
    return [
        re.split(r"[^\w.-]", line, maxsplit=1)[0]
        for line, condition in named
        if (condition[1] if condition else "") == extra
    ]


def _accelerator(torch: Any) -> str:
    if not torch.cuda.is_available():
        return "none (runs on the CPU)"
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ", ".join(names)


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _free(path: Path) -> float:
    """GiB."""
    from fer_bench.errors import free_space

    return free_space(path) / 2**30
