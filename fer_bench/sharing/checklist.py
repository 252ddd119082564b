"""A draft of the NeurIPS paper checklist, filled from a result folder.

What the folder shows is answered, with a link to the file that shows it. What only the authors can
know is left open as TODO, with what to think of.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fer_bench import __version__
from fer_bench.errors import RunError
from fer_bench.runs.store import RunRecord, RunStore
from fer_bench.terminal import counted, duration

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
        f"Drafted by FER-Bench {__version__} from {counted(len(facts.records), 'run')}. Read every "
        f"answer before you hand it in; {TODO} marks what only the authors know.",
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
    """The answers in the order of the checklist, with those files that exist."""
    words = {
        "runs": len(facts.records),
        "methods": ", ".join(facts.methods),
        "folds": facts.folds,
        "terms": "; ".join(map(_terms, facts.cards)),
    }
    for entry in QUESTIONS:
        computed = entry if isinstance(entry, Answer) else entry(facts)
        why = computed.why.format(**words) if computed is entry else computed.why
        yield replace(computed, why=why, evidence=facts.there(*computed.evidence))


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
        ("report.html", "summary.json"),
    )


def _compute(facts: _Facts) -> Answer:
    question = "Experiments compute resources"
    if not facts.machines:
        return Answer(question, TODO, "The folder does not say.")
    time = f"; {duration(facts.seconds)} of training in all" if facts.seconds else ""
    why = f"{'; '.join(facts.machines)}{time}. Add what preliminary and failed experiments took."
    return Answer(question, "Yes", why, ("runs",))


def _safeguards(facts: _Facts) -> Answer:
    if not any(card.get("subjects_kind") in ("real", "proxy") for card in facts.cards):
        return Answer("Safeguards", "NA", "All faces are generated.")
    return Answer(
        "Safeguards",
        TODO,
        "Embeddings and checkpoints of real faces can identify people: say whether they are "
        "released, and to whom.",
    )


# In the order of the checklist: an answer, with facts in braces, or what makes one of the facts.
QUESTIONS: tuple[Answer | Callable[[_Facts], Answer], ...] = (
    Answer(
        "Claims",
        TODO,
        "State each claim with its table and interval; the page says which methods cannot be "
        "separated.",
        ("report.html",),
    ),
    Answer(
        "Limitations",
        TODO,
        "The page lists the cautions of every run (few steps, few people, estimators that failed "
        "their calibration): discuss them.",
        ("report.html",),
    ),
    Answer("Theory assumptions and proofs", TODO, "NA if the paper proves nothing."),
    Answer(
        "Experimental result reproducibility",
        "Yes",
        "Every setting with its default is in experiment.json; each run ({runs} in all) keeps its "
        "specification, seed and versions; `fer-bench verify` trains runs again.",
        ("experiment.json", "plan.json", "verification.json"),
    ),
    Answer(
        "Open access to data and code",
        TODO,
        "Name where your code is. The data sets have these terms: {terms}",
    ),
    Answer(
        "Experimental setting and details",
        "Yes",
        "{methods}; folds {folds}, who is trained on and who is tested is published by row.",
        ("experiment.json", "folds"),
    ),
    _significance,
    _compute,
    Answer(
        "Code of ethics",
        TODO,
        "Identity attackers measure leakage within a closed test set; say that they are not used "
        "to identify anybody.",
    ),
    Answer(
        "Broader impacts",
        TODO,
        "A face does not say what a person feels; recognition differs between groups of people "
        "(section Groups of the page).",
        ("report.html",),
    ),
    _safeguards,
    Answer(
        "Licenses for existing assets",
        "Yes",
        "{terms}. `fer-bench cite` writes their references.",
        ("data",),
    ),
    Answer(
        "New assets",
        TODO,
        "NA if none is released; `fer-bench pack` writes one file of scores, hashes and terms "
        "without faces and names.",
    ),
    Answer(
        "Crowdsourcing and research with human subjects",
        TODO,
        "NA if no photographs or ratings were collected for this paper.",
    ),
    Answer("Institutional review board approvals", TODO, "NA as above, else the approval."),
    Answer("Declaration of LLM usage", TODO, "NA if language models are no part of the method."),
)
