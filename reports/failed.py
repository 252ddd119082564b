"""The runs that are not there, by their reasons."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from fer_bench.reports.summary import Failure
from fer_bench.reports.text import listed
from fer_bench.runs.store import RunStore

ADVICE = {
    "failed": "mend the cause; running the experiment again starts what is missing",
    "skipped": "the data or the method cannot give it: use others, or leave it out",
    "damaged": "set the run aside, so that it is made again",
}
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Reason:
    """Why some runs are not there.

    Attributes:
        text: one sentence, of the first of them.
        kind: "failed", "skipped" or "damaged".
        failures: the runs.
    """

    text: str
    kind: str
    failures: tuple[Failure, ...]

    @property
    def advice(self) -> str:
        """What to do."""
        return ADVICE.get(self.kind, ADVICE["failed"])

    @property
    def labels(self) -> list[str]:
        """The rows it stopped."""
        return list(dict.fromkeys(failure.label for failure in self.failures))

    @property
    def places(self) -> str:
        """Their seeds and folds, in words."""
        seeds = sorted({failure.seed for failure in self.failures})
        folds = sorted({failure.fold for failure in self.failures})
        return f"{_numbers(seeds, 'seed')}, {_numbers(folds, 'fold')}"


def reasons_of(failures: Iterable[Failure]) -> list[Reason]:
    """The reasons, those of most runs first.

    Sentences that differ in numbers alone, such as the batch in which a loss left the finite
    numbers, are one reason.
    """
    grouped: dict[tuple[str, str], list[Failure]] = defaultdict(list)
    for failure in failures:
        grouped[failure.kind, _NUMBER.sub("#", failure.reason)].append(failure)
    known = [Reason(group[0].reason, kind, tuple(group)) for (kind, _), group in grouped.items()]
    return sorted(known, key=lambda reason: -len(reason.failures))


def with_files(reasons: Iterable[Reason], store: RunStore) -> list[tuple[Reason, list[str]]]:
    """Reasons, and what the first run of each left behind, as paths in the result folder."""
    return [(reason, _files(store, reason.failures[0].run)) for reason in reasons]


def _files(store: RunStore, run: str) -> list[str]:
    log = store.log(run)
    trace = store.failure_path(run).with_suffix(".traceback.txt")
    paths = (trace, log.with_suffix(".txt"), log)
    return [path.relative_to(store.root).as_posix() for path in paths if path.is_file()]


def _numbers(numbers: Collection[int], word: str) -> str:
    """Seeds or folds in words.

    >>> _numbers([0], "seed"), _numbers([0, 1, 7], "fold")
    ('seed 0', 'folds 0, 1 and 7')
    """
    return f"{word}{'s' * (len(numbers) > 1)} {listed(map(str, numbers))}"
