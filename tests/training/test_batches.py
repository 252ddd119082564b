import numpy as np
import pandas as pd
import torch

from fer_bench.experiment import TrainingSpec
from fer_bench.training.batches import Batcher, EpochPlan, make_task


def test_training_subjects_come_first(small_faces):
    train = np.flatnonzero(np.isin(small_faces.subject, [3, 7]))
    task = make_task(small_faces, train)
    assert task.subjects[:2] == ("s03", "s07")
    assert task.n_train_subjects == 2
    assert sorted(task.subjects) == sorted(small_faces.subjects)
    assert task.class_counts == (10, 10, 10, 10)
    assert task.attributes["gender"] == ("female", "male")


def test_batches_carry_the_labels_of_their_rows(small_faces):
    rows = np.array([200, 3, 77])
    task = make_task(small_faces, np.arange(120))
    batcher = Batcher(small_faces, task, TrainingSpec(), torch.device("cpu"))
    batch = batcher.batch(rows)
    table = small_faces.table.iloc[rows]
    assert [task.classes[i] for i in batch.expression] == table["expression"].tolist()
    assert [task.subjects[i] for i in batch.subject] == table["subject"].tolist()
    np.testing.assert_allclose(batch.valence_arousal[:, 0], table["valence"].astype("float32"))
    levels = task.attributes["glasses"]
    assert [levels[i] for i in batch.attributes["glasses"]] == table["glasses"].tolist()
    np.testing.assert_array_equal(
        batch.pixels.permute(0, 2, 3, 1).numpy(), small_faces.gather(rows)
    )
    assert batch.index.tolist() == rows.tolist()


def test_labels_of_another_set_that_the_task_does_not_know_are_missing(small_faces):
    from fer_bench.data import FaceData

    task = make_task(small_faces, np.arange(len(small_faces)))
    table = pd.DataFrame({"expression": ["fear", "anger"], "subject": ["x", "s01"]})
    other = FaceData(np.zeros((2, 32, 32, 3), np.uint8), table)
    batch = Batcher(other, task, TrainingSpec(), torch.device("cpu")).batch(np.arange(2))
    assert batch.expression.tolist() == [-1, task.classes.index("anger")]
    assert batch.subject.tolist() == [-1, task.subjects.index("s01")]
    assert batch.attributes["glasses"].tolist() == [-1, -1]


def test_an_epoch_visits_every_row_once_and_depends_on_its_number_alone(small_faces):
    rows = np.arange(10, 74)
    plan = EpochPlan(small_faces, rows, batch_size=16, pairs=False, seed=(1, 0))
    first = [r for r, _ in plan.epoch(0)]
    assert sorted(np.concatenate(first)) == rows.tolist()
    again = EpochPlan(small_faces, rows, batch_size=16, pairs=False, seed=(1, 0))
    list(again.epoch(5))
    assert all((a == b).all() for (a, _), b in zip(again.epoch(0), first, strict=True))
    assert not (next(plan.epoch(1))[0] == first[0]).all()


def test_pairs_share_the_expression_and_not_the_subject(small_faces):
    rows = np.arange(len(small_faces))[::2]
    plan = EpochPlan(small_faces, rows, batch_size=32, pairs=True)
    for anchors, partners in plan.epoch(0):
        assert np.isin(partners, rows).all()
        assert (small_faces.expression[anchors] == small_faces.expression[partners]).all()
        assert (small_faces.subject[anchors] != small_faces.subject[partners]).all()
    assert plan.cautions == ()


def test_balanced_epochs_even_out_the_classes(small_faces):
    rows = np.flatnonzero((small_faces.expression == 0) | (small_faces.subject == 0))
    plan = EpochPlan(small_faces, rows, batch_size=8, pairs=False, balanced=True)
    drawn = np.concatenate([r for e in range(40) for r, _ in plan.epoch(e)])
    share = np.bincount(small_faces.expression[drawn]) / len(drawn)
    assert np.abs(share - 0.25).max() < 0.04
