"""Attribute encoders: columns, CLIP of any kind, and what is said when something is missing."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from fer_bench.baselines.eif.attributes import PAPER_LEVELS, AttributeConfig
from fer_bench.baselines.eif.encoders import ClipEncoder, ColumnEncoder, standardised
from fer_bench.conformance import example_batch, example_task
from fer_bench.data.augment import normalise
from fer_bench.errors import MethodError


@pytest.fixture(scope="module")
def batch():
    return example_batch(count=20)


def build(config, task=None):
    torch.manual_seed(0)
    config = AttributeConfig.model_validate(config)
    return config.build(task or example_task(), dim=10, width=4)


def columns(**attributes):
    return replace(example_task(), attributes=attributes)


class TestColumns:
    def test_auto_takes_the_demographic_columns(self):
        task = columns(group=("a", "b"), gender=("m", "w"), hat=("no", "yes"), one=("x",))
        assert list(build("auto", task).levels) == ["gender"]
        assert list(build({"names": ["hat", "gender"]}, task).levels) == ["hat", "gender"]

    def test_without_demographic_columns_all_are_taken(self):
        task = columns(pose=("left", "right"), eyewear=("no", "yes"), one=("x",))
        assert list(build("columns", task).levels) == ["pose", "eyewear"]

    def test_training_takes_true_levels_and_retrieves_missing_ones(self, batch):
        encoder = build("columns").eval()
        gender = torch.randint(0, 2, (20,))
        gender[:5] = -1
        told = replace(batch, attributes={**batch.attributes, "gender": gender})
        with torch.no_grad():
            described, t = encoder.of_batch(told), encoder.texts()["gender"]
            retrieved = (encoder.look(batch.images) @ t.T).argmax(1)
        position = 1 + list(encoder.levels).index("gender")
        probabilities = described[:, position * 10 : (position + 1) * 10]
        assert torch.equal(probabilities[5:], t[gender[5:]])
        assert torch.equal(probabilities[:5], t[retrieved[:5]])

    def test_a_face_alone_never_tells_its_columns(self, batch):
        encoder = build("columns").eval()
        with torch.no_grad():
            assert torch.equal(encoder(batch.images), encoder(batch.images.clone()))
            other = {name: codes.flip(0) for name, codes in batch.attributes.items()}
            swapped = encoder.of_batch(replace(batch, attributes=other))
            assert not torch.equal(encoder.of_batch(batch), swapped)

    def test_it_learns_the_columns(self):
        task = example_task()
        faces = example_batch(task)
        encoder = build({"encoder": "columns", "names": ["gender", "age"]}, task)
        optimizer = torch.optim.Adam(encoder.parameters(), lr=3e-3)
        for _ in range(40):
            losses = encoder.loss(faces)
            optimizer.zero_grad()
            losses["total"].backward()
            optimizer.step()
        assert set(losses) == {"total", "gender", "age"}
        for name, p in encoder.eval().probabilities(faces.images).items():
            assert (p.argmax(1) == faces.attributes[name]).float().mean() > 0.9

    def test_equation_3(self, batch):
        encoder = build("columns").eval()
        with torch.no_grad():
            v = encoder.look(batch.images)
            for name, t in encoder.texts().items():
                weights = torch.exp(v @ t.T / 0.5)
                expected = weights / weights.sum(1, keepdim=True)
                probabilities = encoder.probabilities(batch.images)[name]
                assert torch.allclose(probabilities, expected, atol=1e-6)


class FakeClip(nn.Module):
    """Means over the three channels as image vector; the first letter as text vector."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.visual = nn.Module()
        self.visual.image_size = 8
        self.faces_seen = 0

    def encode_image(self, images):
        assert images.shape[1:] == (3, 8, 8)
        self.faces_seen += len(images)
        return self.scale * images.mean((2, 3))

    def encode_text(self, tokens):
        return torch.eye(3)[tokens]


PROMPTS = {"skin": {"red": "0", "green": "1", "blue": "2"}, "tone": {"warm": "0", "cold": "2"}}


def fake_clip(**options):
    return ClipEncoder(FakeClip(), lambda texts: torch.tensor([int(x) for x in texts]), PROMPTS)


class TestClip:
    def test_it_retrieves_the_most_similar_text(self):
        faces = torch.zeros(3, 3, 16, 16)
        for channel in range(3):
            faces[channel, channel] = 1.0
        probabilities = fake_clip().probabilities(faces)
        assert probabilities["skin"].argmax(1).tolist() == [0, 1, 2]
        assert probabilities["tone"].argmax(1)[[0, 2]].tolist() == [0, 1]

    def test_description_is_face_then_texts(self):
        encoder = fake_clip()
        described = encoder(torch.rand(4, 3, 16, 16))
        assert described.shape == (4, encoder.width) == (4, 9)
        assert torch.allclose(described[:, :3].norm(dim=1), torch.ones(4))

    def test_gray_faces_are_repeated(self):
        assert fake_clip()(torch.rand(2, 1, 16, 16)).shape == (2, 9)

    def test_each_training_face_is_looked_at_once(self, batch):
        encoder = fake_clip()
        [model] = encoder._outside
        before = model.faces_seen
        first = encoder.of_batch(batch)
        assert torch.equal(encoder.of_batch(batch), first)
        assert model.faces_seen - before == len(batch)
        # Training and test see the same, whatever the augmentation.
        assert torch.allclose(first, encoder(batch.images), atol=1e-4)

    def test_nothing_of_clip_is_trained_or_saved(self):
        encoder = fake_clip()
        assert list(encoder.parameters()) == []
        assert encoder.state_dict() == {}
        assert not any(p.requires_grad for p in encoder._outside[0].parameters())

    @pytest.mark.parametrize("mode", ["image", "unit"])
    def test_it_sees_the_same_whatever_the_normalisation(self, mode, batch):
        assert torch.allclose(
            standardised(normalise(batch.pixels, mode)), standardised(batch.pixels), atol=1e-4
        )
        assert standardised(torch.full((1, 3, 4, 4), 7.0)).abs().max() == 0


class TestWhatIsMissing:
    def test_columns_without_columns(self):
        with pytest.raises(MethodError, match="these data have none: use attributes = 'clip'"):
            build("columns", columns())

    def test_columns_for_appearance_alone(self):
        with pytest.raises(MethodError, match=r"names is empty"):
            build({"encoder": "columns", "names": []})

    def test_an_unknown_attribute(self):
        with pytest.raises(MethodError, match=r"no attribute 'gendre': did you mean 'gender'\?"):
            build({"names": ["gendre"]})

    def test_an_unknown_model_or_file(self):
        with pytest.raises(MethodError, match="no model 'ViT-B-33': did you mean"):
            build({"encoder": "clip", "model": "ViT-B-33"})
        with pytest.raises(MethodError, match=r"'no/such.safetensors' is neither a file nor a tag"):
            build({"encoder": "clip", "weights": "no/such.safetensors"})

    def test_weights_that_do_not_fit(self, tmp_path):
        from safetensors.torch import save_file

        path = tmp_path / "other.safetensors"
        save_file({"x": torch.zeros(1)}, path)
        with pytest.raises(MethodError, match="set attributes.weights to a local file that fits"):
            build({"encoder": "clip", "model": "RN50", "weights": str(path)})

    def test_no_network(self, monkeypatch):
        import open_clip

        def offline(*args, **options):
            raise OSError("no route to host")

        monkeypatch.setattr(open_clip, "create_model", offline)
        with pytest.raises(
            MethodError, match=r"'openai' of 'ViT-B-32' cannot be loaded \(OSError\)"
        ):
            build("clip")


def test_the_papers_levels_are_the_default():
    assert AttributeConfig().levels == PAPER_LEVELS
    assert isinstance(build("auto"), ColumnEncoder)
