"""Generators that draw codes, and networks that compare the people in the drawings."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fer_bench.errors import FerBenchError
from fer_bench.metrics.common import Floats

if TYPE_CHECKING:
    from torch import Tensor

Generator = Callable[["Tensor"], "Tensor"]
"""Codes float32 [n, d] -> images [n, 1 or 3, h, w] in [-1, 1], as StyleGAN's generator."""
Recognise = Callable[[NDArray[np.uint8]], NDArray[Any]]
"""Faces uint8 [n, h, w, 1 or 3] -> codes [n, k]; their cosine says how alike two people look."""


def read_generator(name: str) -> Generator:
    """A generator by its name: a TorchScript file, or `module:function`.

    A generator is a program. It runs with the rights of whoever names it, as a plug-in does; no
    file of data, results or weights can name one.

    Raises:
        FerBenchError: the file holds no TorchScript, or there is no such function.
    """
    import torch

    if Path(name).is_file():
        try:
            return torch.jit.load(name, map_location="cpu").eval()
        except (RuntimeError, ValueError):
            raise FerBenchError(
                f"{name!r} is no TorchScript file: save the generator with torch.jit.save, or give "
                "module:function."
            ) from None
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        function = None
    if not callable(function):
        raise FerBenchError(
            f"the generator {name!r} is neither a file nor a function: give a TorchScript file or "
            "module:function."
        )
    return function


def generated(generator: Generator, codes: Floats) -> NDArray[np.uint8]:
    """Faces uint8 [n, h, w, 1 or 3] that a generator draws of codes [n, d].

    Raises:
        FerBenchError: the generator does not take such codes, or gives no images.
    """
    import torch

    wanted = "[n, 1 or 3, height, width] in [-1, 1]"
    pictures = []
    with torch.no_grad():
        for some in torch.from_numpy(codes.astype(np.float32)).split(16):
            try:
                images = generator(some)
            except (RuntimeError, ValueError, TypeError) as error:
                why = str(error).strip().splitlines() or [""]
                raise FerBenchError(
                    f"the generator cannot draw codes of {codes.shape[1]} numbers: {why[-1]}"
                ) from None
            if not (torch.is_tensor(images) and images.ndim == 4 and images.shape[1] in (1, 3)):
                shape = list(getattr(images, "shape", ())) or type(images).__name__
                raise FerBenchError(f"the generator gives {shape}: it must give images {wanted}.")
            levels = (images.float().cpu() * 127.5 + 127.5).nan_to_num().clamp(0, 255).round()
            pictures.append(levels.byte().permute(0, 2, 3, 1).numpy())
    return np.concatenate(pictures)


def resized(faces: NDArray[np.uint8], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Faces [n, h, w, C] in another size, gray or in colour."""
    from PIL import Image

    if faces.shape[1:] == shape:
        return faces
    height, width, channels = shape
    out = np.empty((len(faces), *shape), dtype=np.uint8)
    for i, face in enumerate(faces):
        image = Image.fromarray(face[..., 0] if face.shape[-1] == 1 else face)
        image = image.convert("L" if channels == 1 else "RGB")
        resized = image.resize((width, height), Image.Resampling.BICUBIC)
        out[i] = np.asarray(resized).reshape(shape)
    return out
