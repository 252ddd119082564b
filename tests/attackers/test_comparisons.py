"""Scores of pairs: the same from a table of all pairs and where that would be too large."""

import numpy as np
import pytest

from fer_bench.attackers import comparisons
from fer_bench.attackers.closed_forms import PLDA, Cosine
from fer_bench.attackers.comparisons import compared_and_permuted
from fer_bench.attackers.faces import Faces
from fer_bench.attackers.numbers import verification_numbers
from fer_bench.attackers.power import leak_p_value


@pytest.mark.parametrize("attacker", [Cosine(), PLDA()])
def test_pairs_of_many_faces_are_scored_as_those_of_few(attacker, monkeypatch):
    rng = np.random.default_rng(0)
    people, expression = np.repeat(np.arange(30), 8), np.tile(np.arange(4), 60)
    x = rng.normal(size=(30, 5))[people] + rng.normal(size=(240, 5))
    faces = Faces.of_people(x, people, expression)
    fitted = attacker.fit(faces, faces)

    def read():
        compared, drawn = compared_and_permuted(fitted, faces, draws=3)
        return compared.genuine.scores, compared.impostor.scores, *drawn

    from_table = read()
    monkeypatch.setattr(comparisons, "TABLE_ROWS", 0)
    monkeypatch.setattr(comparisons, "PAIR_BLOCK", 100)
    for one, other in zip(from_table, read(), strict=True):
        # Scores are kept to six digits of the largest, which a table and pairs do not share.
        np.testing.assert_allclose(one, other, rtol=0, atol=3e-6 * np.nanmax(np.abs(one)))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("people", [2, 3])
def test_few_people_cannot_be_told_from_their_own_deals(people, tied):
    """With so few arrangements a p-value of one in a hundred would be an artefact."""
    subject = np.repeat(np.arange(people), 2)
    apart = np.arange(2 * people) if tied else np.tile([0, 1], people)
    faces = Faces.of_people(np.eye(people)[subject], subject, apart)
    compared, drawn = compared_and_permuted(Cosine().fit(faces, faces), faces, draws=99)
    auc = verification_numbers(compared, permuted=np.stack(list(drawn)), draws=20)["auc"]
    assert np.isfinite([auc.null, auc.details["detectable"]]).all()
    assert auc.value == 1
    assert auc.p > 0.03
    assert leak_p_value((faces, faces, faces), [Cosine()], permutations=99) > 0.03
