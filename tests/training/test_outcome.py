import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from fer_bench.arrays import PartArrays
from fer_bench.cautions import has
from fer_bench.method import Player, Stage
from fer_bench.training.outcome import CODES, bounds_at, prediction_cautions, training_cautions

CLASSES = ("neutral", "happiness", "sadness", "anger")


def part(logits, y, name="test"):
    labels = pd.DataFrame({"expression": [CLASSES[c] if c >= 0 else None for c in y]})
    logits = np.asarray(logits, dtype=np.float32)
    return PartArrays(name, logits, None, logits, None, labels, CLASSES)


def stage(**facts):
    known = {"name": "s", "epochs_run": 5, "best_epoch": 4, "steps": 1_000, "bounds": {}}
    return known | facts


def codes(cautions):
    return [caution.code for caution in cautions]


Y = np.tile(np.arange(4), 30)
RIGHT = 4.0 * np.eye(4)[Y]


def test_a_method_that_has_learned_is_told_nothing():
    for name in ("train", "test"):
        assert codes(prediction_cautions(part(RIGHT, Y, name))) == []
    assert codes(training_cautions([stage()])) == []


def test_one_class_is_named():
    (caution,) = prediction_cautions(part(np.tile([0.0, 1, 0, 0], (120, 1)), Y))
    assert str(caution) == "all 120 faces of the test part are predicted as happiness"


def test_guesses_are_at_chance_and_few_right_answers_beyond_them_are_not():
    rng = np.random.default_rng(0)
    guesses = rng.normal(size=(120, 4))
    (caution,) = prediction_cautions(part(guesses, Y))
    assert caution.code == "accuracy-at-chance"
    assert caution.values["chance"] == 0.25
    better = np.where(rng.random(120)[:, None] < 0.4, RIGHT, guesses)
    assert codes(prediction_cautions(part(better, Y))) == []


def test_the_training_loss_is_beside_that_of_equal_probabilities():
    sure_and_wrong = 9.0 * np.eye(4)[(Y + (np.arange(120) % 2)) % 4]
    (caution,) = prediction_cautions(part(sure_and_wrong, Y, "train"))
    assert caution.code == "loss-above-uniform"
    assert caution.values["uniform"] == pytest.approx(math.log(4))
    assert codes(prediction_cautions(part(sure_and_wrong, Y, "test"))) == []


def test_unlabelled_faces_count_nothing():
    y = np.where(np.arange(120) < 60, Y, -1)
    wrong_where_unlabelled = np.where((y < 0)[:, None], 4.0 * np.eye(4)[0], RIGHT)
    assert codes(prediction_cautions(part(wrong_where_unlabelled, y))) == []
    assert codes(prediction_cautions(part(RIGHT, np.full(120, -1)))) == []


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"steps": 199}, ["few-steps"]),
        ({"steps": 200}, []),
        ({"best_epoch": 1}, ["first-epoch-kept"]),
        ({"best_epoch": 1, "epochs_run": 1}, []),
        (
            {"bounds": {"jsd": {"train": 0.1, "validation": 0.1, "ceiling": 2.8}}},
            ["bound-near-zero"],
        ),
        (
            {"bounds": {"jsd": {"train": 2.0, "validation": 0.9, "ceiling": 2.8}}},
            ["bound-memorised"],
        ),
        ({"bounds": {"jsd": {"train": 2.0, "validation": 1.2, "ceiling": 2.8}}}, []),
        ({"bounds": {"jsd": {"train": 2.0, "validation": None, "ceiling": 2.8}}}, []),
    ],
)
def test_what_the_stages_say(facts, expected):
    cautions = list(training_cautions([stage(**facts)]))
    assert codes(cautions) == expected
    assert set(expected) <= set(CODES)
    for caution in cautions:
        assert not str(caution).startswith(caution.code), "it has no wording, or it does not fit"


@given(st.lists(st.integers(0, 500), min_size=1, max_size=4))
def test_steps_are_those_of_all_stages(steps):
    said = list(training_cautions([stage(steps=n) for n in steps]))
    assert has(said, "few-steps") == (0 < sum(steps) < 200)


def test_terms_without_a_ceiling_are_no_bounds():
    rows = [["s", 2, "train", "p", "jsd", 1.0], ["s", 2, "train", "p", "l1", 5.0]]
    assert list(bounds_at(rows, "s", 2, {"jsd": 2.8})) == ["jsd"]
    assert bounds_at(rows, "s", 1, {"jsd": 2.8}) == {}


def test_a_run_holds_its_bounds_and_cautions(make_trainer, two_players):
    method, trainer = make_trainer(two_players, epochs=2)

    def loss(batch):
        total = functional.cross_entropy(method.predict(batch.images).logits, batch.expression)
        return {"total": total, "jsd": 0.01 + 0 * total}

    player = Player("all", [method.encoder, method.head], loss)
    method.stages = lambda: [Stage("s", players=[player], select="last", ceilings={"jsd": 2.8})]
    position = trainer.run()
    (bound,) = position.stages[0]["bounds"].values()
    assert bound == pytest.approx({"train": 0.01, "validation": 0.01, "ceiling": 2.8})
    assert has(position.cautions, "bound-near-zero")
    assert has(position.cautions, "few-steps")
