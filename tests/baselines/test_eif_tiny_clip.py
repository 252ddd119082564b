"""The tiny CLIP: its committed weights, its zero-shot accuracy, its recipe, its tokenizer."""

import json

import pytest
import torch
from safetensors import safe_open

from fer_bench.baselines.eif import tiny_clip
from fer_bench.baselines.eif.attributes import AttributeConfig
from fer_bench.conformance import example_batch, example_task
from fer_bench.data.synthetic import caption
from fer_bench.data.synthetic.factors import ATTRIBUTES, sample_factors
from fer_bench.errors import DataError, MethodError


def recorded():
    with safe_open(tiny_clip.WEIGHTS, "pt") as file:
        return json.loads(file.metadata()["zero_shot_accuracy"])


def test_weights_are_a_few_megabytes_with_their_accuracy():
    assert tiny_clip.WEIGHTS.stat().st_size < 4e6
    assert set(recorded()) == {"skin", "age", "gender"}


def test_it_reads_attributes_of_people_it_has_not_seen():
    model, _, _ = tiny_clip.load_tiny_clip()
    accuracies = tiny_clip.zero_shot(model, subjects=54, images_per_subject=3, seed=991)
    chance = {"skin": 1 / 3, "age": 1 / 3, "gender": 1 / 2}
    for name, expected in recorded().items():
        # 54 people are few: their attributes vary less than their number says.
        assert accuracies[name] == pytest.approx(expected, abs=0.15)
        assert accuracies[name] > chance[name] + 0.15


def test_eif_trains_with_it():
    from fer_bench.baselines.eif.adapter import EIF

    config = EIF.Config(backbone={"width": 8}, dim=12, attributes="tiny-clip")
    method, batch = EIF(example_task(), config), example_batch(count=14)
    assert [stage.name for stage in method.stages()] == ["train"]
    losses = method.loss(batch)
    losses["total"].backward()
    assert method.aggregator.weight.grad.abs().sum() > 0
    assert method.aggregator.in_features == 4 * 64  # v and three attributes
    assert method.embed(batch.images).identity.shape == (14, 12)
    assert not any("clip" in name or "visual" in name for name in method.state_dict())


def test_appearance_alone_has_no_texts():
    encoder = AttributeConfig(encoder="tiny-clip", names=()).build(example_task(), dim=8, width=4)
    assert encoder.width == encoder.dim == 64


def test_the_recipe_learns():
    lines = []
    tiny_clip.train_tiny_clip(
        subjects=32, images_per_subject=2, epochs=6, batch_size=32, seed=5, say=lines.append
    )
    losses = [float(line.rsplit(" ", 1)[1]) for line in lines]
    assert len(losses) == 6
    assert losses[-1] < losses[0] - 0.2


def test_weights_survive_the_file(tmp_path):
    model = tiny_clip.build_tiny_clip().eval()
    path = tmp_path / "tiny.safetensors"
    tiny_clip.save_tiny_clip(model, path, {"skin": 0.5})
    again, tokenize, _ = tiny_clip.load_tiny_clip(path)
    images, tokens = torch.randn(2, 3, 64, 64), tokenize(["a photo of a man", "a photo of a woman"])
    with torch.no_grad():
        assert torch.allclose(again.encode_image(images), model.encode_image(images), atol=1e-2)
        assert torch.allclose(again.encode_text(tokens), model.encode_text(tokens), atol=1e-2)


@pytest.mark.parametrize("content", [b"", b"not a file of weights", None])
def test_damaged_weights_are_refused(content, tmp_path):
    path = tmp_path / "tiny.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MethodError, match="Train it anew"):
        tiny_clip.load_tiny_clip(path)


def test_weights_of_another_configuration_are_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "tiny.safetensors"
    save_file({"logit_scale": torch.zeros(())}, path)
    with pytest.raises(MethodError, match="Train it anew"):
        tiny_clip.load_tiny_clip(path)


def test_the_tokenizer_knows_every_caption_and_prompt():
    tokenize = tiny_clip.WordTokenizer()
    rows = sample_factors(300, subjects=300, seed=3).to_dict("records")
    texts = [caption(row) for row in rows]
    texts += [text for levels in tiny_clip.PROMPTS.values() for text in levels.values()]
    tokens = tokenize(texts)
    assert (tokens.max(1).values == tokenize.end).all()  # where open_clip looks for the end
    assert len({tuple(row) for row in tokens.tolist()}) == len(set(texts))
    with pytest.raises(DataError, match="cannot read 'a photo of a cat'"):
        tokenize(["a photo of a cat"])


def test_a_text_matches_the_faces_it_describes():
    rows = sample_factors(60, subjects=60, seed=4)
    facts = tiny_clip.fact_codes(rows)
    whole = [caption(row) for row in rows.to_dict("records")]
    torch.manual_seed(0)
    texts, claims = tiny_clip.describe(whole, facts)
    match = tiny_clip.matches(facts, claims)
    assert match.diagonal().all()
    names = list(ATTRIBUTES)
    for j, text in enumerate(texts):
        if text == "a photo of a woman":
            assert torch.equal(match[:, j], facts[:, names.index("gender")] == 0)
        if text == whole[j]:
            assert [whole[i] for i in match[:, j].nonzero().flatten()] == [text] * match[:, j].sum()
    assert "a photo of a woman" in texts
    assert any(text == original for text, original in zip(texts, whole, strict=True))


def test_the_loss_is_clips_when_each_face_has_one_text():
    logits = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    own = torch.arange(6)
    expected = (
        torch.nn.functional.cross_entropy(logits, own)
        + torch.nn.functional.cross_entropy(logits.T, own)
    ) / 2
    loss = tiny_clip.matching_loss(logits, torch.eye(6).bool())
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
