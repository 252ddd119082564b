"""The example faces: pairs are pairs, and every face is labelled."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_bench.conformance import example_batch, example_task


@settings(deadline=None, max_examples=20)
@given(count=st.integers(1, 112), seed=st.integers(0, 99))
def test_partners_share_the_expression_and_not_the_person(count, seed):
    batch = example_batch(count=count, seed=seed)
    assert torch.equal(batch.expression, batch.partner.expression)
    assert (batch.subject != batch.partner.subject).all()


def test_every_face_has_an_expression_and_valence_arousal():
    task = example_task()
    batch = example_batch(task)
    assert batch.expression.unique().tolist() == list(range(len(task.classes)))
    assert torch.isfinite(batch.valence_arousal).all()


def test_every_attribute_of_the_task_is_in_the_faces():
    batch = example_batch(count=112)
    for name, levels in example_task().attributes.items():
        assert batch.attributes[name].unique().tolist() == list(range(len(levels))), name
