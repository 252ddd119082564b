"""What happens to a batch between storage and network, on whatever device it is."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from fer_bench.errors import DataError, did_you_mean

Normalisation = Literal["image", "unit", "imagenet"]
Augmentation = Literal["none", "flip", "rotations", "affine"]
NORMALISATIONS, AUGMENTATIONS = get_args(Normalisation), get_args(Augmentation)

ROTATIONS = (-15.0, -10.0, -5.0, 0.0, 5.0, 10.0, 15.0)
"""Degrees; with and without a flip they are the 14 views of the DICE-FER report."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalise(images: Tensor, mode: Normalisation = "image") -> Tensor:
    """uint8 [B, C, H, W] -> float32 [B, C, H, W].

    Args:
        images: pixels as stored, 0 to 255.
        mode: "image" gives every face mean 0 and variance 1 over all its pixels and channels
            (light and contrast go away; a blank face becomes 0); "unit" scales to [0, 1];
            "imagenet" applies the usual mean and deviation a channel (their mean, for gray).

    >>> normalise(torch.tensor([[[[0, 255]]]], dtype=torch.uint8), "unit").tolist()
    [[[[0.0, 1.0]]]]
    """
    if mode == "unit":
        return images.float().div_(255)
    if mode == "image":
        # Two plain passes over flat rows: several times faster than torch.var_mean on a CPU.
        values = images.to(torch.float32, memory_format=torch.contiguous_format).flatten(1)
        values -= values.mean(1, keepdim=True)
        deviation = torch.linalg.vector_norm(values, dim=1, keepdim=True) / values.shape[1] ** 0.5
        # One gray level is the smallest step there is: less is a blank face, not contrast.
        return values.div_(deviation.clamp_min(1.0)).view(images.shape)
    if mode == "imagenet":
        mean = images.new_tensor(IMAGENET_MEAN, dtype=torch.float32)
        std = images.new_tensor(IMAGENET_STD, dtype=torch.float32)
        if images.shape[1] == 1:
            mean, std = mean.mean(0, keepdim=True), std.mean(0, keepdim=True)
        return images.float().sub_(255 * mean[:, None, None]).div_(255 * std[:, None, None])
    raise DataError(f"normalisation {mode!r} is unknown: {did_you_mean(str(mode), NORMALISATIONS)}")


def denormalise(images: Tensor, mode: Normalisation, *, light: tuple[float, float]) -> Tensor:
    """Inverse of `normalise`: float images [B, C, H, W] -> pixels from 0 to 255, unrounded.

    Args:
        images: normalised.
        mode: of the normalisation.
        light: mean and deviation of the pixels of a face, which "image" has taken away.

    >>> pixels = torch.tensor([[[[0, 51], [102, 255]]]], dtype=torch.uint8)
    >>> images = normalise(pixels, "image")
    >>> denormalise(images, "image", light=(102, 94.62)).round().flatten().tolist()
    [0.0, 51.0, 102.0, 255.0]
    """
    if mode == "image":
        mean, deviation = light
        return images * deviation + mean
    # The others are straight lines through the values of black and white.
    ends = images.new_tensor([0, 255]).byte().view(2, 1, 1, 1).expand(2, images.shape[1], 1, 1)
    black, white = normalise(ends, mode)
    return (images - black) / (white - black) * 255


def augment(
    images: Tensor,
    mode: Augmentation = "flip",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Vary a batch of float faces [B, C, H, W]; every face draws its own variation.

    Args:
        images: normalised faces.
        mode: "none"; "flip" mirrors half of them; "rotations" draws one of the 14 views of the
            DICE-FER report (7 rotations from -15 to 15 degrees, with and without a flip);
            "affine" rotates up to 15 degrees, scales by 0.9 to 1.1, shifts up to 6 % of the side,
            and flips.
        generator: on the CPU, for runs that repeat exactly on any device.
    """
    if mode == "none":
        return images
    n = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(n, generator=generator) * (high - low) + low

    flip = torch.randint(0, 2, (n,), generator=generator).bool()
    if mode == "flip":
        return flipped(images, flip)
    if mode == "rotations":
        which = torch.randint(0, len(ROTATIONS), (n,), generator=generator)
        return warped(images, flip=flip, degrees=torch.tensor(ROTATIONS)[which])
    if mode == "affine":
        return warped(
            images,
            flip=flip,
            degrees=uniform(-15, 15),
            scale=uniform(0.9, 1.1),
            shift=torch.stack([uniform(-0.06, 0.06), uniform(-0.06, 0.06)], dim=1),
        )
    raise DataError(f"augmentation {mode!r} is unknown: {did_you_mean(str(mode), AUGMENTATIONS)}")


def views(images: Tensor) -> Tensor:
    """All 14 views of every face: [B, C, H, W] -> [14, B, C, H, W], the first 7 unflipped."""
    n = len(images)
    varied = [
        warped(images, flip=torch.full((n,), flip), degrees=torch.full((n,), degrees))
        for flip in (False, True)
        for degrees in ROTATIONS
    ]
    return torch.stack(varied)


def flipped(images: Tensor, flip: Tensor) -> Tensor:
    """Mirror the faces for which `flip` [B] is true."""
    flip = flip.to(images.device)
    return torch.where(flip[:, None, None, None], images.flip(3), images)


def warped(
    images: Tensor,
    *,
    flip: Tensor,
    degrees: Tensor,
    scale: Tensor | None = None,
    shift: Tensor | None = None,
) -> Tensor:
    """Mirror, rotate (counter-clockwise as seen), scale and shift every face by its own amount.

    Args:
        images: float [B, C, H, W].
        flip: [B] bool. degrees: [B]. scale: [B], 1 keeps the size. shift: [B, 2] to the right and
            down, in sides of the image.
    """
    n, _, height, width = images.shape
    scale = torch.ones(n) if scale is None else scale
    shift = torch.zeros(n, 2) if shift is None else shift
    angle = degrees.float() * (math.pi / 180)
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    mirror = 1 - 2 * flip.float()
    aspect = height / width
    # The grid says where each pixel comes from: the inverse of what is seen. Coordinates run
    # from -1 to 1 with y downwards, so pixels of a wide image need the aspect in the shear.
    x0, y0 = 2 * shift[:, 0], 2 * shift[:, 1]
    row_x = torch.stack([cos, -sin * aspect, -(cos * x0 - sin * aspect * y0)], dim=1)
    row_y = torch.stack([sin / aspect, cos, -(sin / aspect * x0 + cos * y0)], dim=1)
    theta = torch.stack([row_x * mirror[:, None], row_y], dim=1).to(images.device)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(
        images, grid.to(images.dtype), padding_mode="reflection", align_corners=False
    )
