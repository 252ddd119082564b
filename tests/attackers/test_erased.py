"""Erased rows of an experiment: planned after their encoder, which is not trained again."""

from dataclasses import replace

import numpy as np
import pytest

from fer_bench.attackers.erase import LEACE
from fer_bench.attackers.erased import erase_run, row_title
from fer_bench.cautions import has
from fer_bench.errors import DataError, ExperimentError
from fer_bench.experiment import parse_experiment
from fer_bench.metrics.sanity import planted_run
from fer_bench.runs.store import RunStore
from fer_bench.sweep.executors import Options
from fer_bench.sweep.plan import plan
from fer_bench.sweep.sweep import run_experiment

GENERATED = {"name": "generated", "subjects": 9, "images_per_subject": 14, "size": 32}


def content(*methods, **others):
    return {
        "name": "erasing",
        "data": GENERATED,
        "split": {"folds": 2, "use": [0]},
        "training": {"epochs": 1, "augment": "none"},
        "methods": list(methods),
        "scores": {"metrics": ["classification"]},
        **others,
    }


ERM = {"name": "erm"}
ROW = {"name": "erased", "of": "erm", "parameters": {"eraser": "mean", "rank": 2}}


def test_e_is_erased_as_by_hand_and_the_head_is_new():
    run = planted_run(leak=1.0, subjects=14)
    erased = erase_run(run, {"eraser": "leace", "rank": 3})
    train = run.parts["train"]
    by_hand = LEACE(rank=3).fit(train.expression, train.s)
    for part in erased.parts:
        expected = by_hand.transform(run.parts[part.name].expression)
        assert np.allclose(part.expression, expected, atol=1e-5)
        assert part.identity is None
        by_weights = part.expression @ erased.state["head.weight"] + erased.state["head.bias"]
        assert (by_weights.argmax(axis=1) == part.logits.argmax(axis=1)).mean() > 0.99
    test = next(part for part in erased.parts if part.name == "test")
    assert np.mean(test.logits.argmax(axis=1) == test.y) > 0.8
    assert has(erased.cautions, "eraser-without-guarantee")


def test_full_erasure_of_six_people_has_its_guarantee_and_the_oracle_sees_the_test_people():
    run = planted_run(leak=1.0, subjects=14)
    assert not erase_run(run, {"eraser": "leace"}).cautions
    oracle = erase_run(run, {"eraser": "leace", "oracle": True})
    assert oracle.info.role == "oracle"
    (test,) = (part for part in oracle.parts if part.name == "test")
    means = np.stack([test.expression[test.s == k].mean(axis=0) for k in range(14)])
    assert np.abs(means - means[0]).max() < 1e-3


def test_class_scores_only_keep_the_predictions_and_say_what_is_gone():
    run = planted_run(leak=1.0)
    weights = np.random.default_rng(0).normal(size=(run.test.expression.shape[1], len(run.classes)))
    for name, part in run.parts.items():  # a linear head, as methods have
        run.parts[name] = replace(part, logits=(part.expression @ weights).astype(np.float32))
    erased = erase_run(run, {"eraser": "scores"})
    (test,) = (part for part in erased.parts if part.name == "test")
    spread = np.linalg.svd(test.expression - test.expression.mean(axis=0), compute_uv=False)
    assert np.count_nonzero(spread > 1e-4 * spread[0]) == len(run.classes) - 1
    before = run.test.logits - run.test.logits[:, :1]
    assert np.allclose(test.logits - test.logits[:, :1], before, atol=1e-3)
    assert [caution.code for caution in erased.cautions] == ["class-scores-only"]


def test_a_run_without_people_in_training_is_refused():
    run = planted_run(leak=1.0)
    train = run.parts["train"]
    fields = {k: getattr(train, k) for k in train.__dataclass_fields__}
    run.parts["train"] = type(train)(**{**fields, "labels": train.labels.assign(subject=None)})
    with pytest.raises(DataError, match="train part has no subjects"):
        erase_run(run, {"eraser": "mean"})


def test_titles():
    assert row_title("ERM", {"eraser": "k-same", "rank": 4}) == "ERM + k-Same (4)"
    assert row_title("ERM", {"eraser": "scores"}) == "ERM + class scores only"
    assert "test people" in row_title("ERM", {"oracle": True})


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"name": "erased"}, "needs 'of'"),
        ({"name": "erased", "of": "emr"}, "did you mean 'erm'"),
        ({"name": "erm", "label": "b", "of": "erm"}, "take it out"),
        ({"name": "erased", "of": "erm", "seeds": [3]}, "seeds, folds and training of 'erm'"),
        ({"name": "erased", "of": "erm", "parameters": {"eraser": "lease"}}, "eraser"),
        ({"name": "erased", "of": "erm", "parameters": {"rank": 0}}, "rank"),
        (
            {"name": "erased", "of": "erm", "parameters": {"eraser": "scores", "rank": 4}},
            "has no rank",
        ),
    ],
)
def test_wrong_rows_are_told(row, said):
    with pytest.raises(ExperimentError, match=said):
        parse_experiment(content(ERM, row))


def test_a_row_written_before_its_encoder_is_planned_after_it():
    planned = plan(parse_experiment(content(ROW, ERM, seeds=[0, 1])))
    assert [run.method for run in planned.runs] == ["erm", "erased"] * 2
    for encoder, erased in zip(planned.runs[::2], planned.runs[1::2], strict=True):
        assert erased.of == encoder.id
        assert (erased.seed, erased.fold) == (encoder.seed, encoder.fold)
    assert planned.runs[1].label == "ERM + mean projection (2)"


def test_ids_of_other_runs_do_not_know_of_erasers():
    with_row, without = (plan(parse_experiment(content(*m))) for m in ([ERM, ROW], [ERM]))
    assert with_row.runs[0].id == without.runs[0].id
    strengths = [
        plan(parse_experiment(content(ERM, {**ROW, "parameters": {"rank": k}}))).runs[1].id
        for k in (1, 2)
    ]
    assert len(set(strengths)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["serial", "pool"])
def test_an_experiment_with_an_erased_row(tmp_path, executor):
    experiment = parse_experiment(content(ERM, ROW, seeds=[0, 1]))
    options = Options.of(executor)
    sweep = run_experiment(experiment, tmp_path, options=options, quiet=True)
    assert (sweep.done, sweep.failed) == (4, {})
    records = {record.spec.method: record for record in RunStore(tmp_path).records()}
    erased, encoder = records["erased"].arrays, records["erm"].arrays
    assert erased.test.expression.shape == encoder.test.expression.shape
    assert not np.allclose(erased.test.expression, encoder.test.expression)
    assert erased.role == "reference"
    assert "test.accuracy" in records["erased"].outcomes()["classification"].scores
    again = run_experiment(experiment, tmp_path, options=options, quiet=True)
    assert (again.done, again.kept) == (0, 4)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [[0], [0, 1]])  # several are rehearsed, and fail there
def test_a_row_fails_with_its_encoder(tmp_path, monkeypatch, seeds):
    from fer_bench import registry
    from fer_bench.baselines.erm.adapter import ERM as Plain

    class Broken(Plain):
        def stages(self):
            raise DataError("the encoder is broken: mend it.")

    monkeypatch.setitem(registry.methods._local, "broken", Broken)
    oracle = {"name": "erased", "of": "broken", "parameters": {"rank": 2}}
    methods = content({"name": "broken", "label": "broken"}, oracle)
    experiment = parse_experiment(methods | {"seeds": seeds})
    sweep = run_experiment(experiment, tmp_path, quiet=True)
    reasons = sorted(sweep.failed.values())
    assert len(reasons) == 2 * len(seeds)
    assert all(reason.startswith("the run 'broken") for reason in reasons[len(seeds) :])
    assert all("erases, failed" in reason for reason in reasons[len(seeds) :])
    again = run_experiment(experiment, tmp_path, quiet=True)
    assert again.failed.keys() == sweep.failed.keys()


@pytest.mark.slow
def test_what_an_eraser_refuses_is_one_sentence(tmp_path):
    wide = {"name": "oracle-label"}
    row = {"name": "erased", "of": "oracle-label", "label": "wide"}
    data = {**GENERATED, "subjects": 24, "images_per_subject": 7}
    sweep = run_experiment(parse_experiment(content(wide, row, data=data)), tmp_path, quiet=True)
    (reason,) = sweep.failed.values()
    assert "at least as many people as columns" in reason
