"""The ladder as a whole: what is chosen, what is said, and the worst tenth."""

import numpy as np
import pytest

from fer_bench.attackers.closed_forms import Cosine
from fer_bench.attackers.faces import Faces
from fer_bench.attackers.ladder import climb, closed_forms, template_numbers, worst_people
from fer_bench.attackers.network import MetricNetwork
from fer_bench.cautions import has


def test_a_planted_leak_is_read_and_more_so_from_templates(parts):
    ladder = climb(*parts(0.7), permutations=39, draws=50)
    assert ladder.chosen in ("lda", "plda")
    auc = ladder.best.scores["auc"]
    assert auc.low > 0.55
    assert auc.p == pytest.approx(1 / 40)
    many = template_numbers(ladder, draws=50)
    assert many["mean5.auc"].value > many["mean1.auc"].value + 0.02
    assert many["mean5.rank_bits"].low > 0
    assert not ladder.cautions


def test_what_is_chosen_is_never_a_step_down_on_validation_people(parts):
    for seed in range(6):
        ladder = climb(*parts(0.3, seed=seed), permutations=0, draws=10)
        assert ladder.best.validation >= ladder.rungs["cosine"].validation


def test_nothing_is_read_where_nothing_is_planted(parts):
    ladder = climb(*parts(0.0), permutations=39, draws=100)
    assert ladder.best.scores["auc"].value == pytest.approx(0.5, abs=0.03)
    assert ladder.best.scores["auc"].p > 0.02


def test_a_ladder_without_validation_people_keeps_a_quarter_of_the_training_people(parts):
    train, _, test = parts(0.7)
    ladder = climb(train, None, test, permutations=0, draws=10)
    assert ladder.best.scores["auc"].value > 0.6


def test_expressions_are_attacked_alike(parts):
    ladder = climb(*parts(0.0, goal="expression"), permutations=9, draws=50)
    auc = ladder.best.scores["auc"]
    assert auc.value > 0.9
    assert auc.null == pytest.approx(0.5, abs=0.02)  # one pair in seven agrees after the deal
    assert not has(ladder.cautions, "permuted-above-chance")


def test_numbers_repeat(parts):
    first, second = (climb(*parts(0.5), permutations=9, draws=20) for _ in range(2))
    assert repr(first.best.scores) == repr(second.best.scores)


@pytest.mark.slow
def test_one_leaker_in_twenty_moves_no_average_and_is_seen_in_the_worst_tenth(world):
    train, validation = (world(n, seed=k, leak=1.0) for k, n in enumerate((60, 25)))
    clean, some = (world(200, seed=5, leak=0.7, leakers=k) for k in (0.0, 0.05))
    moved, seen = [], []
    for test in (clean, some):
        ladder = climb(train, validation, test, permutations=0, draws=10)
        moved.append(ladder.best.scores["auc"].value)
        seen.append(worst_people(ladder))
    assert abs(moved[1] - moved[0]) < 0.02
    assert seen[0].p > 0.05
    assert seen[1].p < 0.01
    assert seen[1].value > seen[1].null + 0.05


def test_the_network_sees_what_no_closed_form_does(parts):
    """The person stands in the sign of a product: no mean or covariance tells it."""
    rng = np.random.default_rng(0)

    def xor(people):
        s, y = np.repeat(np.arange(people), 16), np.tile(np.arange(16) % 4, people)
        key, bits = rng.choice([-1, 1], (len(s), 3)), rng.choice([-1, 1], (people, 3))
        noise = 0.2 * rng.normal(size=(len(s), 6))
        return Faces.of_people(np.hstack([key, key * bits[s]]) + noise, s, y)

    attackers = (*closed_forms(), MetricNetwork(widths=(256,), epochs=30, seeds=1))
    ladder = climb(xor(80), xor(30), xor(40), attackers=attackers, permutations=0, draws=10)
    assert ladder.chosen == "network"
    assert ladder.rungs["plda"].scores["auc"].value < 0.6
    assert ladder.best.scores["auc"].value > 0.75


class TestAlarms:
    """Sabotaged evaluations say so, and sound ones do not."""

    def test_sound(self, parts):
        for seed in range(5):
            ladder = climb(*parts(0.3 * (seed % 3), seed=seed), permutations=9, draws=10)
            assert not ladder.cautions
            assert not [c for rung in ladder.rungs.values() for c in rung.cautions]

    @pytest.mark.parametrize("code", ["expression", "person"])
    def test_oracles_are_sound(self, code):
        """One point an expression, of which test people have others; a column for every person."""
        parts = []
        for first, people, often in ((0, 60, [0, 0, 1]), (60, 25, [0, 1]), (85, 30, [0, 1, 1])):
            y = np.tile(often, 2 * people)
            s = np.repeat(np.arange(first, first + people), len(y) // people)
            x = np.eye(2)[y] if code == "expression" else np.eye(115)[s]
            parts.append(Faces.of_people(x, s, y))
        ladder = climb(*parts, permutations=9, draws=10)
        assert not ladder.cautions
        assert not [c for rung in ladder.rungs.values() for c in rung.cautions]

    def test_what_permuted_people_still_tell(self, parts):
        """Two groups of people with expressions of their own: pairs of one person share a group."""
        mixed = []
        for faces in parts(0.9):
            group = faces.people % 2
            mixed.append(
                Faces.of_people(np.c_[3.0 * group, faces.x], faces.people, faces.apart + 9 * group)
            )
        ladder = climb(*mixed, permutations=9, draws=10)
        assert has(ladder.cautions, "permuted-above-chance")

    def test_embeddings_of_another_run(self, parts):
        train, validation, test = parts(0.7)
        turned = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 16)))[0]
        ladder = climb(train, validation, test.with_x(test.x @ turned), permutations=9, draws=10)
        assert has(ladder.cautions, "foreign-embedding")

    def test_wrong_people_of_the_test_part(self, parts):
        train, validation, test = parts(0.9)
        rows = np.random.default_rng(0).permutation(len(test))
        wrong = Faces(test.x[rows], test.target, test.apart, test.people)
        ladder = climb(train, validation, wrong, permutations=9, draws=50)
        assert has(ladder.cautions, "validation-not-repeated")

    def test_wrong_people_of_the_train_part(self, parts):
        train, validation, test = parts(0.9)
        rows = np.random.default_rng(0).permutation(len(train))
        wrong = Faces(train.x[rows], train.target, train.apart, train.people)
        ladder = climb(wrong, validation, test, permutations=9, draws=10)
        assert has(ladder.cautions, "training-people-at-chance")

    def test_an_attacker_that_was_not_fitted(self, parts):
        attackers = (Cosine(), _Random())
        ladder = climb(*parts(0.9), attackers=attackers, permutations=9, draws=10)
        assert has(ladder.rungs["random"].cautions, "attacker-not-fitted")

    def test_too_few_people(self, parts):
        ladder = climb(*parts(0.7, people=(60, 25, 4)), permutations=9, draws=10)
        assert has(ladder.cautions, "few-attacked")


class _Random(Cosine):
    """An attacker whose space has nothing to do with the faces."""

    def __init__(self):
        super().__init__("random", 1, 4)

    def fit(self, train, validation):
        return self

    def embed(self, x):
        return super().embed(np.random.default_rng(len(x)).normal(size=(len(x), 4)))
