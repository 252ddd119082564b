import numpy as np
import pytest
from sklearn.base import clone

import fer_bench
from fer_bench.errors import FerBenchError, MethodError


@pytest.fixture(scope="module")
def fitted(small_faces):
    train = small_faces.subset(np.flatnonzero(small_faces.subject < 8))
    return fer_bench.Recognizer("erm", epochs=4, batch_size=16, validation=0.25).fit(train)


@pytest.fixture(scope="module")
def held_out(small_faces):
    return small_faces.subset(np.flatnonzero(small_faces.subject >= 8))


def test_fit_predict_evaluate(fitted, held_out):
    predicted = fitted.predict(held_out)
    truth = held_out.table["expression"].to_numpy()
    scores = fitted.evaluate(held_out, metrics=("classification",))
    assert (predicted == truth).mean() == pytest.approx(
        scores["classification.test.accuracy"].value
    )
    assert scores["classification.test.accuracy"].value > 0.7
    assert fitted.transform(held_out).shape[0] == len(held_out)


def test_predictions_compare_with_names_and_codes_alike(fitted, held_out):
    predicted, names = fitted.predict(held_out), held_out.table["expression"].to_numpy()
    right = np.array([str(p) for p in predicted]) == names
    assert 0 < right.mean() < 1 or right.all()
    for compared in (predicted == held_out.expression, held_out.expression == predicted):
        assert (compared == right).all()
    assert (predicted == names).tolist() == right.tolist()
    assert ((predicted != held_out.expression) == ~right).all()
    assert (predicted[::3] == held_out.expression[::3]).tolist() == right[::3].tolist()
    scores = fitted.evaluate(held_out, metrics=("classification",))
    assert fitted.score(held_out) == pytest.approx(scores["classification.test.accuracy"].value)


def test_codes_are_those_of_the_faces_that_were_predicted(fitted, held_out):
    few = held_out.subset(np.flatnonzero(held_out.table["expression"].isin(["anger", "surprise"])))
    truth = few.table["expression"].to_numpy()
    assert len(few) < len(held_out)
    assert fitted.score(few) == (fitted.predict(few) == truth).mean()


def test_a_recognizer_is_cloned_and_changed_as_scikit_learn_does(fitted, held_out):
    again = clone(fitted)
    assert again.get_params() == fitted.get_params()
    assert again.get_params()["epochs"] == 4
    assert again.method is None
    with pytest.raises(FerBenchError, match="did you mean 'epochs'"):
        again.set_params(epoch=3)
    assert again.get_params() == fitted.get_params()
    assert again.set_params(epochs=2, method="supcon") is again
    assert (again.training.epochs, again.adapter.info.name) == (2, "supcon")
    with pytest.raises(MethodError, match="not trained yet"):
        again.score(held_out)


def test_what_cannot_be_is_said(fitted, held_out):
    with pytest.raises(FerBenchError, match="no identity embedding"):
        fitted.mig(held_out)
    with pytest.raises(MethodError, match="not trained yet"):
        fer_bench.Recognizer("erm").predict(held_out)
    with pytest.raises(FerBenchError, match="did you mean 'epochs'"):
        fer_bench.Recognizer("erm", epoch=3)


def test_public_names():
    for name in fer_bench.__all__:
        assert getattr(fer_bench, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fer_bench.nothing
