"""A sweep without a finished run has a page that says so, why, and what next."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from fer_bench.cli.app import app
from fer_bench.errors import RunError
from fer_bench.reports.failed import reasons_of
from fer_bench.reports.headline import headline
from fer_bench.reports.page import write_report
from fer_bench.reports.summary import Failure, summarise
from fer_bench.runs.store import RunStore

LOSS = "the loss of player 'all', batch {}, is nan: lower the learning rate <b>"
PEOPLE = "the data name no people."


def failed_folder(results: Path, root: Path, kinds: dict[str, str], *, planned: int = 0) -> Path:
    """The folder `results` with none of its runs finished: those of a label by their kind."""
    shutil.copytree(results, root, ignore=shutil.ignore_patterns("runs", "failures", "*.html"))
    store = RunStore(root)
    specs = [record.spec for record in RunStore(results).records()]
    for i, spec in enumerate(specs):
        kind = kinds.get(spec.label, "failed")
        reason = PEOPLE if kind == "skipped" else LOSS.format(i)
        store.save_failure(spec, reason=reason, kind=kind, traceback="Traceback")
        store.log(spec.id).parent.mkdir(exist_ok=True)
        store.log(spec.id).write_text("{}\n")
    more = {f"run-{i}": "a run" for i in range(planned)}
    store.save_plan({spec.id: spec.label for spec in specs} | more)
    return root


def words(page: Path) -> str:
    """What a reader sees of the page."""
    text = page.read_text("utf-8").partition("<main")[2].partition("</main>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", text).split()).replace(" .", ".")


def test_the_page_says_that_all_failed_and_why(small_results, tmp_path):
    root = failed_folder(small_results, tmp_path / "failed", {})
    text = words(write_report(root))
    assert "Every planned run failed (4 of 4): there is no number to compare." in text
    assert "Why: the loss of player &#39;all&#39;, batch 0" in text
    assert "4 runs failed: the loss" in text  # though no two sentences have the same batch
    assert "DICE-FER and ERM (seed 0, folds 0 and 1)" in text
    assert "learning rate &lt;b&gt;" in text
    (trace, log) = re.findall(r"[\w/.-]+\.traceback\.txt|[\w/.-]+\.jsonl", text)
    assert (root / trace).is_file()
    assert (root / log).is_file()
    assert "Drawn faces" in text
    for absent in ("Leaderboard", "Maps", "BibTeX", "0 runs"):
        assert absent not in text


def test_what_was_skipped_or_not_begun_did_not_fail(small_results, tmp_path):
    root = failed_folder(small_results, tmp_path / "failed", {"ERM": "skipped"}, planned=3)
    said = headline(summarise(RunStore(root), without_rows=True))
    assert said.sentences[0] == (
        "No planned run finished (2 failed, 2 skipped, 3 not begun): there is no number to compare"
    )
    assert said.sentences[1].startswith("Why, for 2 of them: the loss")
    assert said.troubles == {}
    text = words(write_report(root))
    assert "2 runs skipped: the data name no people." in text


def test_a_record_of_an_earlier_version_names_no_data(tmp_path, small_results):
    root = failed_folder(small_results, tmp_path / "failed", {})
    for path in (root / "failures").glob("*.json"):
        path.write_text(re.sub(r'\n "(fingerprint|fold_hash)".*', "", path.read_text()))
    text = words(write_report(root))
    assert "Every planned run failed" in text
    assert "damaged" not in text


def test_only_the_page_is_written_without_a_finished_run(small_results, tmp_path):
    store = RunStore(failed_folder(small_results, tmp_path / "failed", {}))
    with pytest.raises(RunError, match="DICE-FER failed because the loss"):
        summarise(store)
    with pytest.raises(RunError, match="no finished run"):
        write_report(tmp_path / "nowhere")


def test_reasons_stand_by_how_many_they_stopped():
    planted = (("a", "failed", "nan", 2), ("b", "failed", "full", 3), ("c", "skipped", "nan", 1))
    failures = [
        Failure(f"{label}-{seed}", label, label, seed, 0, kind, f"{what} in batch {seed}")
        for label, kind, what, seeds in planted
        for seed in range(seeds)
    ]
    told = [(r.kind, r.labels, r.places, r.text) for r in reasons_of(failures)]
    assert told == [
        ("failed", ["b"], "seeds 0, 1 and 2, fold 0", "full in batch 0"),
        ("failed", ["a"], "seeds 0 and 1, fold 0", "nan in batch 0"),
        ("skipped", ["c"], "seed 0, fold 0", "nan in batch 0"),
    ]


def test_a_sweep_that_fails_ends_with_its_page(tmp_path):
    options = (
        "data={name='generated', subjects=8, images_per_subject=7, size=24}",
        "methods=[{name='erm'}]",
        "seeds=[0, 1]",
        "split={folds=2, use=[0], validation=0.5}",
        "training={epochs=1, batch_size=8, lr=1e30}",
    )
    flags = [flag for option in options for flag in ("--set", option)]
    done = CliRunner().invoke(
        app, ["run", *flags, "-q", "--executor", "serial", "--out", str(tmp_path)]
    )
    assert done.exit_code == 1
    assert done.output.splitlines()[-1] == f"report: {tmp_path.resolve() / 'report.html'}"
    assert "Every planned run failed (2 of 2)" in words(tmp_path / "report.html")


def test_a_sweep_that_was_skipped_as_a_whole_ends_with_its_page(tmp_path):
    for expression in ("anger", "neutral"):
        for subject in range(6):
            file = tmp_path / "faces" / expression / f"s{subject}" / "0.png"
            file.parent.mkdir(parents=True)
            Image.effect_noise((40, 40), 60 + subject).save(file)
    experiment = tmp_path / "plain.toml"
    experiment.write_text(
        f'seeds = [0]\n[data]\nname = "folder"\nroot = "{tmp_path / "faces"}"\nsize = 32\n'
        '[split]\nfolds = 3\nuse = [0]\n[[methods]]\nname = "caf"\n'
    )
    ended = CliRunner().invoke(app, ["run", str(experiment), "--out", str(tmp_path / "out")])
    assert ended.exit_code == 0
    assert "0 runs trained, 0 kept, 0 failed, 1 skipped" in ended.output
    text = words(tmp_path / "out" / "report.html")
    assert "No planned run finished (1 skipped)" in text
    assert "CAF needs valence-arousal" in text
