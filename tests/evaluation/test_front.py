"""From arrays or files to scores, a page, and a folder that every other command reads."""

import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fer_bench
from fer_bench.errors import DataError, RunError
from fer_bench.evaluation.front import Evaluation, Options, plan_files, score_planned

QUICK = ["classification"]


@pytest.fixture(scope="module")
def files(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    made.labels.to_csv(folder / "labels.csv", index=False)
    for name, e in (("ours", made.expression), ("theirs", made.identity)):
        np.savez(folder / f"{name}.npz", E=e, I=made.identity, logits=made.logits, id=made.ids)
    return folder


@pytest.fixture(scope="module")
def evaluated(files, made, tmp_path_factory):
    """Two models, all default metrics that are quick, scored into a result folder."""
    paths = [str(files / "ours.npz"), str(files / "theirs.npz")]
    plan = plan_files(paths, files / "labels.csv", Options(classes=made.classes))
    root = tmp_path_factory.mktemp("results") / "r"
    return score_planned(plan, out=root, metrics=["classification", "leakage", "groups"])


def test_accuracy_is_that_of_scikit_learn(evaluated, made):
    record = evaluated.store.records()[0]
    rows = record.arrays.test.labels["row"]
    expected = accuracy_score(made.y[rows], made.logits.argmax(1)[rows])
    row = evaluated.scores.query("score == 'classification/test.accuracy' and model == 'ours'")
    assert row["value"].item() == pytest.approx(expected)
    assert row["low"].item() <= expected <= row["high"].item()


def test_the_leak_table_has_intervals_and_chance(evaluated):
    table = evaluated.table()
    assert table.count("\n") == 4
    leak = table.splitlines()[2].split("|")[3]
    assert "[" in leak
    assert "(" in leak


def test_a_notebook_shows_the_numbers_and_what_is_unknown(evaluated):
    html = evaluated._repr_html_()
    assert "<table>" in html
    assert "unknown whether the encoder" in html


def test_all_commands_work_on_the_folder(evaluated, tmp_path):
    from fer_bench.reports.change import compare_summaries
    from fer_bench.reports.export import write_exports
    from fer_bench.reports.page import write_report
    from fer_bench.reports.summary import summarise
    from fer_bench.reports.tables import write_table
    from fer_bench.sweep.sweep import score_store

    page = write_report(evaluated.root, maps="none").read_text(encoding="utf-8")
    assert "unknown whether the encoder" in page
    assert "ours" in write_table(evaluated.root, format="latex", layout="leakage")
    assert write_exports(evaluated.root, out=tmp_path / "export")
    score_store(evaluated.store, metrics=["classification"], again=True, workers=1, quiet=True)
    summary = summarise(evaluated.store)
    assert summary.cautions[0].kind[0] == "encoder-people-unknown"
    assert compare_summaries(summary, summary) is not None


def test_the_same_files_are_the_same_run_and_others_are_refused(evaluated, files, made):
    before = {r.folder.name for r in evaluated.store.records()}
    paths = [str(files / "ours.npz"), str(files / "theirs.npz")]
    plan = plan_files(paths, files / "labels.csv", Options(classes=made.classes))
    score_planned(plan, out=evaluated.root, metrics=["classification"])
    assert {r.folder.name for r in evaluated.store.records()} == before
    other = plan_files(paths, files / "labels.csv", Options(classes=made.classes, seed=1))
    with pytest.raises(RunError, match="other rows, labels or parts"):
        score_planned(other, out=evaluated.root)


def test_a_folder_of_other_files_is_left_alone(files, made, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    plan = plan_files([str(files / "ours.npz")], files / "labels.csv")
    with pytest.raises(RunError, match=r"other files \(mine.txt\)"):
        score_planned(plan, out=tmp_path)


def test_save_copies_the_folder_and_writes_the_page(evaluated, tmp_path):
    page = Evaluation(evaluated.root).save(tmp_path / "kept", maps="none")
    assert page.is_file()
    assert len(Evaluation(tmp_path / "kept").scores) == len(evaluated.scores)
    with pytest.raises(RunError, match="there already"):
        evaluated.save(tmp_path / "kept")


def test_estimators_callables_and_tensors_are_applied(made):
    import torch

    call = {"labels": made.y, "subjects": made.people, "metrics": QUICK}
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    pipeline.fit(made.expression, made.y)
    truth = accuracy_score(made.y, pipeline.predict(made.expression))
    for model in (pipeline, pipeline.predict_proba):
        evaluation = fer_bench.evaluate(model, inputs=made.expression, **call)
        value = evaluation.scores.set_index("score")["value"]
        if model is pipeline:
            assert value["classification/test.accuracy"] == pytest.approx(truth, abs=0.1)
    net = torch.nn.Linear(16, 4)
    evaluation = fer_bench.evaluate(net, inputs=made.expression, **call)
    assert evaluation.store.records()[0].arrays.test.expression.shape[1] == 4
    assert net.training


def test_several_models_in_one_call(made):
    models = {"a": {"expression": made.expression}, "b": {"expression": made.identity}}
    evaluation = fer_bench.evaluate(models, labels=made.y, subjects=made.people, metrics=QUICK)
    assert {r.spec.label for r in evaluation.store.records()} == {"a", "b"}


@pytest.mark.parametrize("lacking", ["labels", "subjects", "both but valence"])
def test_what_is_there_is_scored(made, lacking):
    call = {"labels": made.y, "subjects": made.people}
    if lacking in call:
        del call[lacking]
    else:
        angle = made.y * 1.0
        call = {"valence": np.cos(angle), "arousal": np.sin(angle)}
        call["valence_arousal"] = np.c_[np.cos(angle), np.sin(angle)]
    metrics = ["classification", "affect", "groups"] + ["leakage"] * (lacking == "labels")
    call["predictions"] = None if lacking == "labels" else made.y
    evaluation = fer_bench.evaluate(expression=made.expression, metrics=metrics, **call)
    failed = [
        o.failed for r in evaluation.store.records() for o in r.outcomes().values() if o.failed
    ]
    assert failed == []
    present = set(evaluation.scores.dropna(subset="value")["score"])
    wanted = {
        "labels": "leakage/E.identity.auc",
        "subjects": "classification/test.accuracy",
        "both but valence": "affect/test.ccc.mean",
    }
    assert wanted[lacking] in present


def test_faces_are_kept_and_named_by_the_ids(made, tmp_path):
    from PIL import Image

    for name in made.ids:
        path = tmp_path / "faces" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 50), (9, 9, 9)).save(path)
    call = {"labels": made.y, "subjects": made.people, "metrics": QUICK, "ids": made.ids}
    evaluation = fer_bench.evaluate(expression=made.expression, images=tmp_path / "faces", **call)
    record = evaluation.store.records()[0]
    assert evaluation.store.thumbnails(record.spec.fingerprint).shape == (240, 48, 48, 3)
    shutil.rmtree(tmp_path / "faces" / "p03")
    with pytest.raises(DataError, match="there is no picture 'p03/"):
        fer_bench.evaluate(expression=made.expression, images=tmp_path / "faces", **call)


def test_bad_calls_are_one_sentence(made):
    with pytest.raises(DataError, match="neither expressions nor people"):
        fer_bench.evaluate(expression=made.expression)
    with pytest.raises(DataError, match="give inputs"):
        fer_bench.evaluate(LogisticRegression(), labels=made.y)
    with pytest.raises(DataError, match="239 rows"):
        fer_bench.evaluate(expression=made.expression[1:], labels=made.y)


def test_attributes_and_data_frames_are_taken(made):
    frame = pd.DataFrame({"y": made.y, "s": made.people, "g": np.where(made.y > 2, "f", "m")})
    evaluation = fer_bench.evaluate(
        expression=made.expression,
        labels=frame["y"],
        subjects=frame["s"],
        attributes={"gender": frame["g"]},
        metrics=QUICK,
    )
    assert evaluation.store.records()[0].arrays.test.attribute_names() == ["gender"]


def test_a_reference_is_the_upper_end_of_the_leak(made):
    models = {"ours": {"expression": made.expression}, "faces": {"expression": made.identity}}
    rows = {"labels": made.y, "subjects": made.people, "metrics": ["leakage"]}
    summary = fer_bench.evaluate(models, **rows, references=["faces"]).summary
    assert summary.row("faces").role == "reference"
    leaks = {r.label: r.scores["leakage/E.identity.normalised"].mean for r in summary.rows}
    strongest = {r.label: r.scores["leakage/E.identity.strongest"] for r in summary.rows}
    chance = 1 / 5  # half of the ten people are tested
    wanted = (strongest["ours"].mean - chance) / (strongest["faces"].mean - chance)
    assert leaks["ours"] == pytest.approx(wanted, abs=1e-6)
    assert leaks["faces"] == pytest.approx(1)
    with pytest.raises(DataError, match="did you mean 'faces'"):
        fer_bench.evaluate(models, **rows, references=["face"])
