"""The draft of the checklist answers what the folder shows, and links to files that exist."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest

from fer_bench.errors import RunError
from fer_bench.sharing.checklist import TODO, checklist


def answers(text):
    return dict(re.findall(r"\*\*(.*)\*\*\n   - Answer: (.*)", text))


def test_questions_and_answers(sweep):
    text = checklist(sweep)
    given = answers(text)
    assert len(given) == 16
    assert given["Experimental result reproducibility"] == "Yes"
    assert given["Experiment statistical significance"] == "Yes"
    assert given["Safeguards"] == "NA"
    assert given["Claims"] == TODO
    assert "seeds [0, 1]" in text


def test_links_lead_to_files_of_the_folder(sweep):
    links = re.findall(r"\[([^\]]+)\]\(([^)]+)\)", checklist(sweep))
    assert {"experiment.json", "folds", "data"} <= {target for _, target in links}
    for shown, target in links:
        assert shown == target
        assert (sweep / target).exists()


def test_links_of_a_draft_elsewhere_lead_to_the_folder(sweep, tmp_path):
    draft = tmp_path / "paper" / "checklist.md"
    targets = re.findall(r"\]\(([^)]+)\)", checklist(sweep, beside=draft.parent))
    assert targets
    assert all((draft.parent / unquote(target)).resolve().exists() for target in targets)


def test_given_embeddings_of_real_people_need_safeguards(given):
    text = checklist(given)
    assert answers(text)["Safeguards"] == TODO
    assert answers(text)["Experiment statistical significance"] == "No"
    assert answers(text)["Experiments compute resources"] == TODO


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(RunError, match="no finished run"):
        checklist(tmp_path)
