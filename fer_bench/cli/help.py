"""How `--help` looks: whole sentences, and examples as they are typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

EXAMPLES: dict[str, tuple[str, ...]] = {
    "": (
        "fer-bench run",
        "fer-bench init my-faces",
        "fer-bench run my-faces.toml --dry-run",
        "fer-bench evaluate mine.npz --labels labels.csv",
        "fer-bench list methods",
    ),
    "init": (
        "fer-bench init my-faces",
        "fer-bench init labels.csv --out first.toml",
        "fer-bench init my-faces --label smile=happiness --label 0=neutral",
    ),
    "run": (
        "fer-bench run",
        "fer-bench run my.toml --dry-run",
        "fer-bench run my.toml --out results --set training.epochs=40",
        "fer-bench run my.toml --set 'seeds=[0]' --set 'split.use=[0]'",
        "fer-bench run my.toml --workers 4 --time-limit 2h",
        "fer-bench run my.toml --executor slurm --workers 32 --sbatch=--gres=gpu:1",
    ),
    "search": ("fer-bench search my.toml --trials 20",),
    "evaluate": (
        "fer-bench evaluate mine.npz --labels labels.csv --dry-run",
        "fer-bench evaluate ours.npz theirs.npz --labels labels.csv --out results",
    ),
    "plan": (
        "fer-bench plan --pilot results",
        "fer-bench plan my.toml --pilot results --difference 0.03",
        "fer-bench plan my.toml --sd-people 0.2 --sd-seeds 0.03",
    ),
    "score": ("fer-bench score results --attackers all",),
    "transfer": ("fer-bench transfer results-a results-b --out matrix.csv",),
    "traverse": ("fer-bench traverse results",),
    "report": ("fer-bench report results --faces none",),
    "table": ("fer-bench table results --format latex",),
    "figures": ("fer-bench figures results --out figures",),
    "cite": ("fer-bench cite results --out references.bib",),
    "checklist": ("fer-bench checklist results --out checklist.md",),
    "verify": ("fer-bench verify results", "fer-bench verify results.zip --cells 3"),
    "pack": ("fer-bench pack results", "fer-bench pack results --embeddings"),
    "board": ("fer-bench board baselines/results",),
    "list": ("fer-bench list methods", "fer-bench list estimators"),
    "status": ("fer-bench status results",),
    "check": ("fer-bench check results",),
    "check-method": (
        "fer-bench check-method dice-fer",
        "fer-bench check-method dice-fer --diagram dice-fer.svg",
    ),
    "doctor": ("fer-bench doctor",),
    "mi": (
        "fer-bench mi estimate x.npy y.npy",
        "fer-bench mi check --estimator ksg",
        "fer-bench mi bench --estimator ksg --suite bmi",
    ),
    "mi estimate": (
        "fer-bench mi estimate x.npy y.npy",
        "fer-bench mi estimate x.npy labels.npy --discrete-y --null 19 --unit bits",
    ),
    "mi check": (
        "fer-bench mi check --estimator ksg",
        "fer-bench mi check --against reference.json",
    ),
    "mi bench": (
        "fer-bench mi bench --estimator ksg --suite bmi",
        "fer-bench mi bench --task 1v1-normal-0.75 --n 1000 --seeds 1",
    ),
    "data": (
        "fer-bench data prepare photos faces",
        "fer-bench data show folder --root faces",
        "fer-bench data audit folder --root faces",
    ),
}
"""By command, as they are typed after `fer-bench`; the name "" is the program itself."""


class _WithExamples:
    """Ends the help of a command with its examples, one a line."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        path = " ".join(ctx.command_path.split()[1:])
        examples = EXAMPLES.get(path, ())
        if examples:
            with formatter.section("Examples"):
                for example in examples:
                    formatter.write(f"{'':{formatter.current_indent}}{example}\n")


Folder = Annotated[Path, typer.Argument(help="Result folder.", show_default=False)]


class Command(_WithExamples, typer.core.TyperCommand):
    """A command whose help ends with examples."""


class Commands(_WithExamples, typer.core.TyperGroup):
    """A group that shows the first sentence of every command, however long it is."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        rows = [
            (name, command.get_short_help_str(limit=1_000))
            for name in self.list_commands(ctx)
            if (command := self.get_command(ctx, name)) is not None and not command.hidden
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def group(name: str, about: str) -> typer.Typer:
    """A group of commands that looks like the program itself."""
    return typer.Typer(
        name=name,
        cls=Commands,
        help=about,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
