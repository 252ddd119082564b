import numpy as np
import pytest
import torch
from PIL import Image

from fer_bench.data.augment import (
    ROTATIONS,
    augment,
    denormalise,
    flipped,
    normalise,
    views,
    warped,
)
from fer_bench.errors import DataError


def faces(n=4, c=3, h=24, w=24, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (n, c, h, w), dtype=np.uint8))


def test_image_normalisation_whitens_every_face_and_ignores_light():
    images = faces()
    out = normalise(images)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.mean((1, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var((1, 2, 3), correction=0), torch.ones(4), atol=1e-4, rtol=0)
    darker = (images.float() * 0.5 + 20).to(torch.uint8)
    assert (normalise(darker) - out).abs().max() < 0.03
    assert normalise(torch.full((1, 1, 8, 8), 77, dtype=torch.uint8)).abs().max() == 0


def test_unit_and_imagenet_normalisation_match_their_formulas():
    images = faces()
    torch.testing.assert_close(normalise(images, "unit"), images.float() / 255)
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    torch.testing.assert_close(normalise(images, "imagenet"), (images / 255 - mean) / std)
    gray = normalise(faces(c=1), "imagenet")
    torch.testing.assert_close(gray, (faces(c=1) / 255 - mean.mean()) / std.mean())
    with pytest.raises(DataError, match="did you mean 'image'"):
        normalise(images, "imge")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["image", "unit", "imagenet"])
def test_normalisation_can_be_undone(mode, channels):
    [pixels] = faces(n=1, c=channels)[None].float()
    light = pixels.mean().item(), pixels.std(correction=0).item()
    images = normalise(pixels.byte(), mode)
    torch.testing.assert_close(denormalise(images, mode, light=light), pixels, atol=0.01, rtol=0)


def test_the_stored_batch_is_never_changed():
    images = faces()
    before = images.clone()
    for mode in ("image", "unit", "imagenet"):
        normalise(images, mode)
    floats = normalise(images)
    copy = floats.clone()
    for mode in ("none", "flip", "rotations", "affine"):
        augment(floats, mode)
    torch.testing.assert_close(images, before)
    torch.testing.assert_close(floats, copy)


@pytest.mark.parametrize("mode", ["flip", "rotations", "affine"])
def test_augmentation_repeats_with_its_generator_and_varies_by_face(mode):
    one = normalise(faces(1)).repeat(64, 1, 1, 1)
    first, second, other = (
        augment(one, mode, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    torch.testing.assert_close(first, second)
    assert not torch.equal(first, other)
    assert len({face.numpy().tobytes() for face in first}) > 1
    assert first.isfinite().all()


def test_rotations_draw_only_the_fourteen_views():
    one = normalise(faces(1))
    drawn = augment(one.repeat(300, 1, 1, 1), "rotations", torch.Generator().manual_seed(0))
    allowed = views(one)[:, 0]
    assert allowed.shape == (14, 3, 24, 24)
    distance = (drawn[:, None] - allowed[None]).abs().amax((2, 3, 4))
    assert distance.min(1).values.max() < 1e-5
    assert len(distance.argmin(1).unique()) == 14
    torch.testing.assert_close(allowed[3], one[0], atol=1e-5, rtol=0)  # 0 degrees, unflipped
    torch.testing.assert_close(allowed[10], one[0].flip(2), atol=1e-5, rtol=0)


@pytest.mark.parametrize("degrees", [-15.0, 10.0])
@pytest.mark.parametrize("shape", [(60, 60), (60, 90)])
def test_rotation_turns_as_pillow_does(degrees, shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    smooth = 128 + 60 * np.sin(x / 9.0) + 60 * np.cos(y / 7.0 + x / 20)
    ours = warped(
        torch.from_numpy(smooth).float()[None, None],
        flip=torch.tensor([False]),
        degrees=torch.tensor([degrees]),
    )[0, 0].numpy()
    theirs = Image.fromarray(smooth.astype(np.float32)).rotate(degrees, Image.Resampling.BILINEAR)
    inner = np.s_[16:-16, 16:-16]
    assert np.abs(ours[inner] - np.asarray(theirs)[inner]).max() < 1.0


def test_shift_goes_right_and_down_and_scale_grows():
    image = torch.zeros(1, 1, 40, 40)
    image[0, 0, 20:22, 20:22] = 1
    none = torch.tensor([False])
    zero = torch.zeros(1)
    moved = warped(image, flip=none, degrees=zero, shift=torch.tensor([[0.25, 0.1]]))[0, 0]
    assert moved.nonzero().float().mean(0).tolist() == pytest.approx([24.5, 30.5], abs=0.01)
    bigger = warped(image, flip=none, degrees=zero, scale=torch.tensor([2.0]))
    assert bigger.sum() == pytest.approx(4 * image.sum().item(), rel=0.1)
    mirrored = warped(image, flip=~none, degrees=zero)
    torch.testing.assert_close(mirrored, image.flip(3), atol=1e-5, rtol=0)


def test_flip_is_exact():
    images = normalise(faces())
    out = flipped(images, torch.tensor([True, False, True, False]))
    torch.testing.assert_close(out[0], images[0].flip(2))
    torch.testing.assert_close(out[1], images[1])
    with pytest.raises(DataError, match="did you mean 'rotations'"):
        augment(images, "rotation")
    assert list(ROTATIONS) == [-15, -10, -5, 0, 5, 10, 15]
