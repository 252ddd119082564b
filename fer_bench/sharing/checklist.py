"""A draft of the NeurIPS paper checklist, filled from a result folder.

What the folder shows is answered, with a link to the file that shows it. What only the authors can
know is left open as TODO, with what to think of.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fer_bench import __version__
from fer_bench.errors import RunError
from fer_bench.runs.store import RunRecord, RunStore
from fer_bench.terminal import duration

TODO = "[TODO]"


@dataclass(frozen=True)
class Answer:
    """One question of the checklist.

    Attributes:
        question: its title.
        answer: "Yes", "No", "NA" or TODO.
        why: the justification.
        evidence: files of the result folder, relative to it.
    """

    question: str
    answer: str
    why: str
    evidence: tuple[str, ...] = ()

    def markdown(self, number: int, folder: str) -> str:
        """The question as a list item, with links into the result folder as seen from the draft."""
        links = {path: quote((Path(folder) / path).as_posix()) for path in self.evidence}
        shown = ", ".join(f"[{path}]({link})" for path, link in links.items())
        lines = [f"{number}. **{self.question}**", f"   - Answer: {self.answer}"]
        lines.append(f"   - Justification: {self.why}")
        return "\n".join([*lines, *([f"   - Evidence: {shown}"] if shown else [])])


def checklist(folder: str | Path, *, beside: str | Path | None = None) -> str:
    """The draft as Markdown.

    Args:
        folder: result folder.
        beside: folder that the draft will lie in, to which links are relative; the result folder
            if not given.

    Raises:
        RunError: the folder holds no finished run.
    """
    facts = _Facts.of(folder)
    head = [
        "# NeurIPS paper checklist (draft)",
        "",
        f"Drafted by FER-Bench {__version__} from {len(facts.records)} runs. Read every answer "
        f"before you hand it in; {TODO} marks what only the authors know.",
        "",
    ]
    answers = [*_answers(facts)]
    prefix = os.path.relpath(folder, beside if beside is not None else folder)
    return "\n".join([*head, *(a.markdown(i, prefix) for i, a in enumerate(answers, 1)), ""])


@dataclass(frozen=True)
class _Facts:
    """What the folder shows."""

    root: Path
    records: Sequence[RunRecord]
    cards: Sequence[dict[str, Any]]

    @classmethod
    def of(cls, folder: str | Path) -> _Facts:
        store = RunStore(folder)
        records = store.records()
        if not records:
            raise RunError(f"{folder} holds no finished run: there is no evidence to link to.")
        prints = sorted({record.spec.fingerprint for record in records})
        return cls(store.root, records, [store.data_card(p) for p in prints])

    def there(self, *names: str) -> tuple[str, ...]:
        """Those files and folders that exist, relative to the result folder."""
        return tuple(name for name in names if (self.root / name).exists())

    @property
    def seeds(self) -> list[int]:
        return sorted({record.spec.seed for record in self.records})

    @property
    def folds(self) -> list[int]:
        return sorted({record.spec.fold for record in self.records})

    @property
    def methods(self) -> list[str]:
        return sorted({record.spec.label for record in self.records})

    @property
    def seconds(self) -> float:
        return sum(record.environment.get("training_s") or 0.0 for record in self.records)

    @property
    def machines(self) -> list[str]:
        about = [record.environment for record in self.records]
        made_here = [e for e in about if "platform" in e and "device" in e]
        return sorted({f"{e['platform']}, {e['device']}" for e in made_here})


def _answers(facts: _Facts) -> Iterator[Answer]:
    people = [card for card in facts.cards if card.get("subjects_kind") in ("real", "proxy")]
    yield Answer(
        "Claims",
        TODO,
        "State each claim with its table and interval; the page says which "
        "methods cannot be separated.",
        facts.there("report.html"),
    )
    yield Answer(
        "Limitations",
        TODO,
        "The page lists the cautions of every run (few steps, few "
        "people, estimators that failed their calibration): discuss them.",
        facts.there("report.html"),
    )
    yield Answer("Theory assumptions and proofs", TODO, "NA if the paper proves nothing.")
    yield Answer(
        "Experimental result reproducibility",
        "Yes",
        f"Every setting with its default is in "
        f"experiment.json; each of the {len(facts.records)} runs keeps its specification, "
        "seed and versions; `fer-bench verify` trains runs again.",
        facts.there("experiment.json", "plan.json", "verification.json"),
    )
    yield Answer(
        "Open access to data and code",
        TODO,
        "Name where your code is. The data sets have "
        "these terms: " + "; ".join(_terms(card) for card in facts.cards),
    )
    yield Answer(
        "Experimental setting and details",
        "Yes",
        f"{', '.join(facts.methods)}; folds "
        f"{facts.folds}, who is trained on and who is tested is published by row.",
        facts.there("experiment.json", "folds"),
    )
    yield _significance(facts)
    yield _compute(facts)
    yield Answer(
        "Code of ethics",
        TODO,
        "Identity attackers measure leakage within a closed test set; "
        "say that they are not used to identify anybody.",
    )
    yield Answer(
        "Broader impacts",
        TODO,
        "A face does not say what a person feels; recognition "
        "differs between groups of people (section Groups of the page).",
        facts.there("report.html"),
    )
    yield Answer(
        "Safeguards",
        TODO if people else "NA",
        "Embeddings and checkpoints of real faces "
        "can identify people: say whether they are released, and to whom."
        if people
        else "All faces are generated.",
    )
    yield Answer(
        "Licenses for existing assets",
        "Yes",
        "; ".join(map(_terms, facts.cards)) + ". `fer-bench cite` writes their references.",
        facts.there("data"),
    )
    yield Answer(
        "New assets",
        TODO,
        "NA if none is released; `fer-bench pack` writes one file of "
        "scores, hashes and terms without faces and names.",
    )
    yield Answer(
        "Crowdsourcing and research with human subjects",
        TODO,
        "NA if no photographs or ratings were collected for this paper.",
    )
    yield Answer("Institutional review board approvals", TODO, "NA as above, else the approval.")
    yield Answer(
        "Declaration of LLM usage", TODO, "NA if language models are no part of the method."
    )


def _terms(card: dict[str, Any]) -> str:
    terms = str(card.get("terms", "")).rstrip(".") or "no terms are stated"
    return f"{card.get('title') or card.get('name')}: {terms}"


def _significance(facts: _Facts) -> Answer:
    repeated = len(facts.seeds) > 1 or len(facts.folds) > 1
    why = (
        f"95 % intervals over test people; seeds {facts.seeds}, folds "
        f"{facts.folds}; differences are paired by person and adjusted by Holm."
        if repeated
        else "Intervals are over test people alone: with one seed and one fold the experiment does "
        "not say how far training varies."
    )
    return Answer(
        "Experiment statistical significance",
        "Yes" if repeated else "No",
        why,
        facts.there("report.html", "summary.json"),
    )


def _compute(facts: _Facts) -> Answer:
    if not facts.machines:
        return Answer("Experiments compute resources", TODO, "The folder does not say.")
    time = f"; {duration(facts.seconds)} of training in all" if facts.seconds else ""
    return Answer(
        "Experiments compute resources",
        "Yes",
        f"{'; '.join(facts.machines)}{time}. Add what preliminary and failed experiments took.",
        facts.there("runs"),
    )
