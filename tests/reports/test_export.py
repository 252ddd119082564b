"""Exports: what other tools read."""

from __future__ import annotations

import pandas as pd
import pytest
from PIL import Image

from fer_bench.reports.export import write_exports
from fer_bench.runs.store import RunStore


@pytest.fixture(scope="module")
def exported(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    return folder, write_exports(results, out=folder)


def test_scores_are_those_of_the_runs(results, exported):
    frame = pd.read_parquet(exported[0] / "scores.parquet")
    record = RunStore(results).records()[0]
    for metric, outcome in record.outcomes().items():
        for key, score in outcome.scores.items():
            line = frame[(frame["run"] == record.folder.name) & (frame["key"] == f"{metric}/{key}")]
            if score.value == score.value:
                assert line["value"].item() == score.value


def test_projector_files_fit_each_other(exported):
    folder = exported[0] / "projector"
    config = (folder / "projector_config.pbtxt").read_text("utf-8")
    assert config.count("embeddings {") == 8 + 5  # five rows have I
    vectors = pd.read_csv(folder / "eif.identity.tsv", sep="\t", header=None)
    labels = pd.read_csv(folder / "eif.metadata.tsv", sep="\t")
    assert len(vectors) == len(labels) == 112
    assert {"expression", "subject", "predicted"} <= set(labels)
    sheet = Image.open(folder / "eif.faces.png")
    assert sheet.size == (11 * 32, 11 * 32)
    for line in config.splitlines():
        if "_path:" in line:
            assert (folder / line.split('"')[1]).is_file()


def test_no_face_leaves_where_the_terms_forbid_it(closed_results, tmp_path):
    written = write_exports(closed_results, out=tmp_path / "out")
    assert not [p for p in written if p.suffix == ".png"]


def test_names_cannot_break_the_columns(build, two_methods, tmp_path):
    root = build(tmp_path / "r", rename=lambda t: t + "\t\n\"../x", seeds=1, folds=2,
                 n_subjects=6, per_subject=6, methods=two_methods)  # fmt: skip
    written = write_exports(root, out=tmp_path / "out")
    assert all(p.parent in (tmp_path / "out", tmp_path / "out" / "projector") for p in written)
    for path in written:
        if path.name.endswith(".metadata.tsv"):
            widths = {line.count("\t") for line in path.read_text("utf-8").splitlines()}
            assert len(widths) == 1
