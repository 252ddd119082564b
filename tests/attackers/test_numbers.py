"""Error rates against scikit-learn; information of ranks against its exact value."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from fer_bench.attackers.closed_forms import Cosine
from fer_bench.attackers.comparisons import (
    Comparisons,
    Searches,
    Side,
    compared_and_permuted,
    compared_pairs,
    searched,
)
from fer_bench.attackers.faces import Faces
from fer_bench.attackers.numbers import person_effects, search_numbers, verification_numbers
from fer_bench.attackers.power import without_people
from fer_bench.cautions import has


def comparisons(genuine, impostor, *, people=60, seed=0):
    """Normal scores of random people."""
    rng = np.random.default_rng(seed)
    own = rng.integers(0, people, len(genuine))
    first = rng.integers(0, people, len(impostor))
    second = (first + rng.integers(1, people, len(impostor))) % people

    def side(scores, pair):
        return Side(scores, np.full(len(scores), 1 / max(len(scores), 1)), pair)

    return Comparisons(side(genuine, np.c_[own, own]), side(impostor, np.c_[first, second]), people)


def test_numbers_are_scikit_learns():
    rng = np.random.default_rng(0)
    g, m = rng.normal(1, 1, 3_000), rng.normal(0, 1, 50_000)
    scores = verification_numbers(comparisons(g, m), draws=50)
    truth, score = np.r_[np.ones(3_000), np.zeros(50_000)], np.r_[g, m]
    accepts, hits, _ = roc_curve(truth, score)
    assert scores["auc"].value == pytest.approx(roc_auc_score(truth, score), abs=1e-3)
    assert compared_auc(g, m) == pytest.approx(roc_auc_score(truth, score), abs=1e-9)
    at = np.argmin(np.abs(accepts - 1 + hits))
    assert scores["eer"].value == pytest.approx(accepts[at], abs=2e-3)
    for rate in (0.1, 0.01, 0.001):
        expected = np.interp(rate, accepts, hits)
        assert scores[f"tar@{rate:g}"].value == pytest.approx(expected, abs=5e-3)
    # Two normal distributions a deviation apart: the integral of the definition, by quadrature.
    s = np.linspace(-6, 7, 20_001)
    own, other = (np.exp(-((s - k) ** 2) / 2) / np.sqrt(2 * np.pi) for k in (1, 0))
    exact = np.trapezoid(own * np.clip((own - other) / (own + other), 0, None), s)
    assert scores["linkability"].value == pytest.approx(exact, abs=0.02)


def compared_auc(g, m):
    return comparisons(g, m).auc


def test_effects_are_what_leaving_a_person_out_changes():
    rng = np.random.default_rng(1)
    compared = comparisons(rng.normal(1, 1, 400), rng.normal(0, 1, 3_000), people=12)

    def without(person):
        def side(pairs):
            kept = (pairs.people != person).all(axis=1)
            return Side(pairs.scores[kept], pairs.weights[kept], pairs.people[kept])

        return Comparisons(side(compared.genuine), side(compared.impostor), 12)

    effects = person_effects(compared)
    scores = {k: verification_numbers(without(k), draws=2) for k in range(12)}
    value = verification_numbers(compared, draws=2)
    for key in ("eer", "auc"):
        expected = [value[key].value - scores[k][key].value for k in range(12)]
        assert effects[key].changes == pytest.approx(expected, abs=2e-3), key
        assert effects[key].faces.sum() == 2 * (400 + 3_000)


def test_few_pairs_say_how_many_a_rate_would_need():
    rng = np.random.default_rng(0)
    scores = verification_numbers(comparisons(rng.normal(size=50), rng.normal(size=4_000)), draws=9)
    assert np.isfinite(scores["tar@0.01"].value)
    assert np.isnan(scores["tar@0.001"].value)
    (caution,) = scores["tar@0.001"].cautions
    assert caution.values["needed"] == 30_000


def test_the_interval_covers_when_people_differ(world):
    """Two-way: people are drawn, not pairs, and stand on both sides of an impostor pair."""

    def auc(faces, draws):
        compared = compared_pairs(Cosine().fit(faces, faces), faces)
        return verification_numbers(compared, draws=draws)["auc"]

    truth = np.mean([auc(world(300, seed=k, leak=1.0, d=6), 2).value for k in range(3)])
    values = [auc(world(25, seed=100 + k, leak=1.0, d=6), 100) for k in range(30)]
    assert sum(score.low <= truth <= score.high for score in values) >= 26


def test_permuted_people_are_at_chance_and_expressions_do_not_count(world):
    faces = world(40, seed=3, leak=2.0)
    attacker = Cosine().fit(faces, faces)
    compared, permuted = compared_and_permuted(attacker, faces, draws=39)
    scores = verification_numbers(compared, permuted=np.stack(list(permuted)), draws=50)
    assert scores["auc"].null == pytest.approx(0.5, abs=0.02)
    assert scores["auc"].p == pytest.approx(1 / 40)
    perfect = faces.with_x(np.eye(7)[faces.apart])
    assert compared_pairs(Cosine().fit(perfect, perfect), perfect).auc == pytest.approx(0.5)


def test_rank_information_is_exact_for_certain_and_for_random_ranks():
    rng = np.random.default_rng(0)
    target = np.repeat(np.arange(64), 4)

    def scores_of(rank):
        permuted = rng.integers(1, 65, (20, len(target)))
        gallery = np.full(len(target), 64)
        return search_numbers(Searches(rank, gallery, target, permuted, None), draws=50)

    certain = scores_of(np.ones(256, dtype=np.int64))
    assert certain["rank1"].value == 1.0
    assert certain["rank_bits"].value == pytest.approx(6.0, abs=0.15)
    random = scores_of(rng.integers(1, 65, 256))
    assert random["rank_bits"].value == pytest.approx(0.0, abs=0.05)
    assert random["rank_bits"].low < 0 < random["rank_bits"].high


def test_where_few_people_have_a_template_the_null_rests_on_all_of_them():
    """As in sets of faces in the wild, where most people have one or two."""
    rng = np.random.default_rng(0)
    many, few = np.repeat(np.arange(40), 8), np.repeat(np.arange(40, 840), 2)
    s = np.r_[many, few]
    y = np.r_[np.tile(np.arange(8) % 2, 40), np.tile(np.arange(2), 800)]
    faces = Faces.of_people(rng.normal(size=(len(s), 8)), s, y)
    searches = searched(Cosine().fit(faces, faces), faces, enrolled=3, draws=40)
    assert searches.permuted.min() >= 1
    assert np.mean(searches.permuted) == pytest.approx(20.5, abs=0.5)
    scores = search_numbers(searches)
    assert scores["rank_bits"].low < 0 < scores["rank_bits"].high
    assert scores["rank_bits"].value == pytest.approx(0, abs=0.25)


@pytest.mark.parametrize("of", ["people", "expressions"])
def test_what_is_tied_to_its_target_trades_places_as_a_whole(of):
    """A video of one person, or a person of one face, has nobody within to trade places with."""
    rng = np.random.default_rng(0)
    if of == "people":
        apart = np.repeat(np.arange(60), 8)
        target = np.where(apart == 59, np.arange(480) % 20, apart % 20)  # one video shows many
    else:
        apart, target = np.arange(480), np.arange(480) % 4
        apart[:40] = np.arange(40) // 2
    x = 1.2 * rng.normal(size=(20, 6))[target] + rng.normal(size=(480, 6))
    faces = (Faces.of_people if of == "people" else Faces.of_expressions)(
        x, *((target, apart) if of == "people" else (apart, target))
    )
    attacker = Cosine().fit(faces, faces)
    compared, permuted = compared_and_permuted(attacker, faces, draws=40)
    auc = verification_numbers(compared, permuted=np.stack(list(permuted)), draws=20)["auc"]
    assert auc.value > 0.7
    assert auc.null == pytest.approx(0.5, abs=0.03)
    assert auc.p == pytest.approx(1 / 41)
    gone = without_people(faces, rng)
    assert compared_pairs(attacker.fit(gone, gone), gone).auc < 0.6


def test_few_people_are_not_searched_for(world):
    faces = world(8, seed=0)
    scores = search_numbers(searched(Cosine().fit(faces, faces), faces))
    assert has(scores["rank1"].cautions, "few-for-search")


@pytest.mark.parametrize("templates", ["mean", "best"])
def test_searches_find_whoever_is_there(templates):
    s, y = np.repeat(np.arange(30), 8), np.tile(np.arange(8) % 4, 30)
    faces = Faces.of_people(np.eye(30)[s], s, y)
    attacker = Cosine().fit(faces, faces)
    searches = searched(attacker, faces, enrolled=3, templates=templates)
    assert (searches.rank == 1).all()
    assert searches.comparisons.auc == pytest.approx(1.0)
    blind = faces.with_x(np.ones((len(s), 3)))
    ranks = searched(attacker.fit(blind, blind), blind, enrolled=3).rank
    assert np.mean(ranks) == pytest.approx(15.5, abs=2)  # ties are random, not in the middle
    assert len(np.unique(ranks)) > 20


def test_templates_need_their_faces():
    s, y = np.repeat(np.arange(30), 4), np.tile(np.arange(4), 30)
    faces = Faces.of_people(np.zeros((120, 2)), s, y)
    attacker = Cosine().fit(faces, faces)
    assert searched(attacker, faces, enrolled=3) is not None
    assert searched(attacker, faces, enrolled=5) is None


def test_a_person_of_520_faces_decides_no_number():
    """On unbalanced people a probe reads the share of the one who has most faces."""
    rng = np.random.default_rng(0)
    s = np.r_[np.zeros(520, int), np.repeat(np.arange(1, 61), 4)]
    y = rng.integers(0, 4, len(s))
    x = rng.normal(size=(len(s), 8))
    x[s == 0] += 5  # recognised, as nobody else is
    faces = Faces.of_people(x, s, y).at_most(10)
    scores = verification_numbers(compared_pairs(Cosine().fit(faces, faces), faces), draws=50)
    assert scores["auc"].value < 0.56
    assert scores["auc"].details["people"] == 61
