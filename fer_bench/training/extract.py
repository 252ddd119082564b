"""From a trained method to the saved arrays of a part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_bench.arrays import FURTHER, PartArrays
from fer_bench.data.augment import denormalise
from fer_bench.data.thumbnails import reduced
from fer_bench.errors import MethodError
from fer_bench.method import Embeddings, Method, infer
from fer_bench.training.batches import Batcher, Rows


def extract(
    method: Method,
    batcher: Batcher,
    rows: Rows,
    *,
    name: str,
    draw: bool = False,
    batch_size: int = 256,
) -> PartArrays:
    """Embed and predict `rows`, in order, in eval mode.

    Args:
        method: that is asked.
        batcher: of the faces.
        rows: of the data set.
        name: of the part.
        draw: whether a decoder of the method's own draws these faces as well.
        batch_size: faces at once.

    Raises:
        MethodError: an embedding is not a finite [n, d] array.
    """
    method.eval()
    columns: dict[str, list[Tensor]] = {}
    drawings = _Drawings(batcher)
    for batch in batcher.ordered(rows, batch_size):
        embeddings, prediction = infer(method, batch)
        outputs = {
            "expression": embeddings.expression,
            "identity": embeddings.identity,
            "logits": prediction.logits,
            "valence_arousal": prediction.valence_arousal,
            **{f"{FURTHER}{key}": value for key, value in embeddings.further.items()},
        }
        if draw:
            drawings.add(decoded(method, embeddings), batch.pixels)
        for key, value in outputs.items():
            if value is not None:
                columns.setdefault(key, []).append(value.detach().float().cpu())
    arrays = {key: torch.cat(values).numpy() for key, values in columns.items()}
    for key, array in arrays.items():
        if array.ndim != 2 or len(array) != len(rows):
            raise MethodError(
                f"{key} of {len(rows)} faces has shape {array.shape}; expected [{len(rows)}, d]."
            )
        if not np.isfinite(array).all():
            raise MethodError(f"{key} of part {name!r} holds values that are not finite.")
    labels = batcher.labels.iloc[rows].reset_index(drop=True)
    labels = labels.assign(row=np.asarray(rows, dtype=np.int64))
    part = PartArrays.of_stored(name, arrays, labels, method.task.classes)
    return replace(part, drawn=drawings.pixels())


@torch.no_grad()
def decoded(method: Method, embeddings: Embeddings) -> Tensor | None:
    """What a method's own decoder draws of embeddings: [B, C, H, W], normalised.

    Raises:
        MethodError: it does not draw faces in the shape of those it is trained on.
    """
    images = method.decode(embeddings)
    wanted = (len(embeddings.expression), *method.task.shape)
    if images is not None and tuple(images.shape) != wanted:
        raise MethodError(
            f"decode() of {method.info.title} draws {list(images.shape)}: faces are {list(wanted)}."
        )
    return images


def average_light(pixels: Tensor) -> tuple[float, float]:
    """Mean and deviation of the pixels of a face [B, C, H, W], on the average of the faces."""
    deviation, mean = torch.std_mean(pixels.flatten(1).float(), dim=1, correction=0)
    return mean.mean().item(), deviation.mean().item()


class _Drawings:
    """Small copies of what a decoder draws, in the light of the average face.

    The light and the contrast of a face are gone once it is normalised: no embedding has them.
    """

    def __init__(self, batcher: Batcher) -> None:
        self.mode = batcher.training.normalise
        self._images: list[Tensor] = []
        self._light: list[tuple[float, float]] = []  # of the faces at full size
        self._faces: list[int] = []

    def add(self, images: Tensor | None, pixels: Tensor) -> None:
        if images is None:
            return
        self._images.append(reduced(images.float()).cpu())
        self._light.append(average_light(pixels))
        self._faces.append(len(pixels))

    def pixels(self) -> NDArray[np.uint8] | None:
        """[n, side, side, C], or None where nothing was drawn."""
        if not self._images:
            return None
        mean, deviation = np.average(self._light, axis=0, weights=self._faces)
        light = float(mean), float(deviation)
        images = denormalise(torch.cat(self._images), self.mode, light=light)
        levels = images.nan_to_num().clamp(0, 255).round().byte()
        return levels.permute(0, 2, 3, 1).contiguous().numpy()
