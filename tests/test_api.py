import numpy as np
import pytest

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
