import numpy as np
import pytest
import torch
from safetensors import safe_open
from sklearn.base import clone
from sklearn.metrics import accuracy_score, f1_score

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


def test_predictions_pass_to_scikit_learn_beside_codes(fitted, held_out):
    predicted, truth = fitted.predict(held_out), held_out.expression
    right = (predicted == truth).mean()
    assert accuracy_score(truth, predicted) == accuracy_score(predicted, truth) == right
    assert right == pytest.approx(fitted.score(held_out))
    assert f1_score(truth, predicted, average="macro") > 0
    names = held_out.table["expression"]
    assert accuracy_score(names, predicted.names) == right
    assert (names == predicted).mean() == (predicted == names).mean() == right
    assert set(predicted) <= set(held_out.classes)
    assert predicted.tolist() == [str(name) for name in predicted] == list(predicted.names)
    assert all(isinstance(name, str) for name in predicted[:3])


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


@pytest.fixture(scope="module")
def as_tensors(small_faces):
    images = torch.from_numpy(small_faces.images).permute(0, 3, 1, 2) / 255
    subjects = torch.from_numpy(small_faces.subject)
    labels = torch.from_numpy(small_faces.expression)
    return [
        (images[chosen], labels[chosen], subjects[chosen])
        for chosen in (subjects < 6, (subjects >= 6) & (subjects < 8), subjects >= 8)
    ]


@pytest.fixture(scope="module")
def fitted_on_tensors(as_tensors, small_faces):
    model = fer_bench.Recognizer("erm", epochs=4, batch_size=16, classes=small_faces.classes)
    return model.fit(as_tensors[0], validation=as_tensors[1])


def test_tensors_train_like_faces(fitted_on_tensors, as_tensors, small_faces):
    """The same faces, read from tensors and as `FaceData`, give the same predictions."""
    parts = [
        small_faces.subset(np.flatnonzero(chosen))
        for s in [small_faces.subject]
        for chosen in (s < 6, (s >= 6) & (s < 8), s >= 8)
    ]
    model = fer_bench.Recognizer("erm", epochs=4, batch_size=16).fit(parts[0], parts[1])
    assert (model.predict(parts[2]) == fitted_on_tensors.predict(as_tensors[2])).all()
    accuracy = (fitted_on_tensors.predict(as_tensors[2]) == as_tensors[2][1].numpy()).mean()
    assert accuracy == fitted_on_tensors.score(as_tensors[2]) > 0.5


@pytest.mark.parametrize("method", ["erm", "eif"])
def test_a_saved_recognizer_is_the_same_one(method, small_faces, held_out, tmp_path):
    train = small_faces.subset(np.flatnonzero(small_faces.subject < 8))
    parameters = {"dim": 8, "backbone": {"width": 8}}
    model = fer_bench.Recognizer(method, parameters=parameters, epochs=1).fit(train)
    again = fer_bench.Recognizer.load(model.save(tmp_path / "erm.safetensors"))
    assert np.array_equal(again.transform(held_out), model.transform(held_out))
    assert again.get_params() == model.get_params()
    assert again.cautions == model.cautions
    scores = [m.evaluate(held_out, metrics=("leakage",)) for m in (again, model)]
    assert {k: s.value for k, s in scores[0].items()} == {k: s.value for k, s in scores[1].items()}


def test_the_saved_file_is_read_without_pickle(fitted_on_tensors, tmp_path):
    path = fitted_on_tensors.save(tmp_path / "deep" / "erm.safetensors")
    with safe_open(path, framework="np") as file:
        assert any(key.startswith("model/") for key in file.keys())  # noqa: SIM118


def test_people_in_training_and_validation_are_said(as_tensors, small_faces):
    model = fer_bench.Recognizer("erm", epochs=1, classes=small_faces.classes)
    model.fit(as_tensors[0], validation=as_tensors[0])
    assert [c.values["subjects"] for c in model.cautions
            if c.code == "validation-of-known-subjects"] == [6]  # fmt: skip


def test_faces_of_another_size_are_said(fitted_on_tensors):
    with pytest.raises(FerBenchError, match="was trained on"):
        fitted_on_tensors.predict(torch.rand(2, 3, 8, 8))


@pytest.mark.parametrize("content", [None, b"", b"no"])
def test_a_file_that_is_none_is_said(tmp_path, content):
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MethodError, match="no saved recognizer"):
        fer_bench.Recognizer.load(path)


def test_public_names():
    for name in fer_bench.__all__:
        assert getattr(fer_bench, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fer_bench.nothing
