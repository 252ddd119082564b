"""Evaluation mode is right after any number of steps, for every method and no word of theirs."""

import numpy as np
import pytest
import torch

from fer_bench import registry
from fer_bench.normalisers import with_statistics

STEPS = (1, 3, 10)
SHIFT, RATIO = 0.15, 1.4  # tolerance: of the mean in deviations, of the variance as a factor

PARAMETERS = {
    "frozen-backbone": None,  # needs a file of weights, and trains the layer that pixels train
    "face-descriptor": None,  # needs dlib; likewise
    "caf": {"target": "valence_arousal"},
}
METHODS = [n for n in registry.methods.names() if PARAMETERS.get(n, {}) is not None]


def small(name):
    """The adapter with a narrow encoder and default parameters."""
    adapter = registry.methods.get(name)
    narrow = {"backbone": {"width": 4}, "dim": 8}
    config = adapter.Config(
        **{key: value for key, value in narrow.items() if key in adapter.Config.model_fields}
    )

    class Small(adapter):
        def __init__(self, task, _):
            super().__init__(task, config)

    return Small


def seen_by(layers, evaluate):
    """What each layer is given while `evaluate` runs: {layer: [n, channels]}."""
    inputs = {}

    def note(layer, args):
        inputs.setdefault(layer, []).append(args[0].transpose(0, 1).flatten(1))

    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    evaluate()
    for hook in hooks:
        hook.remove()
    return {layer: torch.cat(parts, 1) for layer, parts in inputs.items()}


@pytest.mark.parametrize("name", METHODS)
def test_evaluation_mode_agrees_with_statistics_of_the_training_faces(
    make_trainer, parts, name, request
):
    """The reference is the input of every layer in evaluation mode, over all training faces."""
    for steps in STEPS:
        options = PARAMETERS.get(name, {})
        method, trainer = make_trainer(small(name), steps=steps, **options)
        trainer.run()
        layers = with_statistics(method)
        if not layers:
            return
        images = trainer.batcher.batch(parts.train).images

        def evaluate(method=method, images=images):
            with torch.no_grad():
                method.embed(images)
                method.predict(images)

        for layer, values in seen_by(layers, evaluate).items():
            deviation = (values.var(1) + layer.eps).sqrt()
            shift = (values.mean(1) - layer.running_mean).abs() / deviation
            ratio = (layer.running_var + layer.eps).sqrt() / deviation
            assert shift.max() < SHIFT, f"{steps} steps, {layer}"
            assert max(ratio.max(), 1 / ratio.min()) ** 2 < RATIO, f"{steps} steps, {layer}"


def test_they_are_right_without_validation_people_too(make_trainer, parts):
    method, trainer = make_trainer(small("erm"), steps=1)
    trainer.validation_rows = parts.validation[:0]
    trainer.run()
    images = trainer.batcher.batch(parts.train).images
    with torch.no_grad():
        (values,) = seen_by(with_statistics(method)[:1], lambda: method.embed(images)).values()
    (first, *_) = with_statistics(method)
    np.testing.assert_allclose(first.running_mean, values.mean(1), atol=0.05)
