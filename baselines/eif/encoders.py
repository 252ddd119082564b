"""Attribute encoders: v of a face, t of every level, and retrieval by their cosines (eq. 3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fer_bench.backbones import BackboneConfig
from fer_bench.baselines.common.heads import cross_entropy
from fer_bench.baselines.common.networks import Encoder
from fer_bench.errors import MethodError, did_you_mean
from fer_bench.method import Batch, Task

_TEMPERATURE = 0.5  # tau of eq. 3
_SCALE = 10.0  # of cosines when columns are learned; CLIP learns its own


class AttributeEncoder(nn.Module):
    """Base: retrieval of attributes by cosine similarity.

    Attributes:
        levels: the words of each attribute that is used.
        dim: length of v and of each t.
    """

    learned = False

    def __init__(self, levels: Mapping[str, tuple[str, ...]], dim: int) -> None:
        super().__init__()
        self.levels = dict(levels)
        self.dim = dim

    @property
    def width(self) -> int:
        """Length of what `forward` returns: (1 + number of attributes) * dim."""
        return (1 + len(self.levels)) * self.dim

    def look(self, images: Tensor) -> Tensor:
        """[B, C, H, W] normalised faces -> unit vectors v [B, dim]."""
        raise NotImplementedError

    def texts(self) -> dict[str, Tensor]:
        """Unit vectors t [levels, dim] of each attribute."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] normalised faces -> [v; t_1; ...], with the retrieved levels."""
        return self.describe(self.look(images))

    def of_batch(self, batch: Batch) -> Tensor:
        """As `forward`, for a training batch, which may know more than its pixels."""
        return self(batch.images)

    def describe(self, v: Tensor, known: Mapping[str, Tensor] | None = None) -> Tensor:
        """[v; t_1; ...]: known levels (codes, -1 where missing) are taken, others retrieved."""
        parts = [v]
        for name, t in self.texts().items():
            level = (v @ t.T).argmax(1)
            if known is not None:
                level = torch.where(known[name] >= 0, known[name], level)
            parts.append(t[level])
        return torch.cat(parts, 1)

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> dict[str, Tensor]:
        """Eq. 3: softmax of the cosines over 0.5, [B, levels] per attribute."""
        v = self.look(images)
        return {name: (v @ t.T / _TEMPERATURE).softmax(1) for name, t in self.texts().items()}


class ColumnEncoder(AttributeEncoder):
    """Attributes as the data's own columns name them: the oracle of the ablation.

    A small encoder and one vector per level are learned on the training columns first, as CLIP
    learns from captions. EIF's training then takes the true levels; a test face, whose columns no
    method may see, gets the levels retrieved from its pixels.
    """

    learned = True

    def __init__(
        self, task: Task, levels: Mapping[str, tuple[str, ...]], *, dim: int, width: int
    ) -> None:
        super().__init__(levels, dim)
        if not levels:
            raise MethodError(
                "attributes.names is empty, but a column encoder learns from columns: name some, "
                "or use attributes.encoder = 'clip' or 'tiny-clip' for appearance alone."
            )
        self.encoder = Encoder(BackboneConfig(width=width), task.shape, dim)
        self.words = nn.ParameterDict(
            {f"of_{name}": nn.Parameter(torch.randn(len(v), dim)) for name, v in levels.items()}
        )

    def look(self, images: Tensor) -> Tensor:
        """The small encoder's code."""
        return functional.normalize(self.encoder(images), dim=1)

    def texts(self) -> dict[str, Tensor]:
        """The learned vectors."""
        return {name: functional.normalize(self.words[f"of_{name}"], dim=1) for name in self.levels}

    def of_batch(self, batch: Batch) -> Tensor:
        """With the true levels."""
        return self.describe(self.look(batch.images), batch.attributes)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of every column's levels, from scaled cosines."""
        v = self.look(batch.images)
        losses = {
            name: cross_entropy(_SCALE * v @ t.T, batch.attributes[name])
            for name, t in self.texts().items()
        }
        return {"total": torch.stack(list(losses.values())).sum(), **losses}


class ClipEncoder(AttributeEncoder):
    """Attributes as a CLIP model reads them, zero-shot; frozen, and no part of a checkpoint.

    CLIP sees every face with mean 0 and variance 1 over its pixels, which is where its own
    normalisation puts photographs on average: whatever `training.normalise` is, training and test
    faces look alike to it. Exposure and contrast are lost, colours are not.

    Args:
        model: an open_clip model.
        tokenize: texts -> token ids.
        prompts: per attribute, per level, the text.
        names: attributes to use; None takes all.
    """

    def __init__(
        self,
        model: Any,
        tokenize: Any,
        prompts: Mapping[str, Mapping[str, str]],
        *,
        names: tuple[str, ...] | None = None,
    ) -> None:
        levels = {name: tuple(texts) for name, texts in prompts.items()}
        chosen = pick(levels, levels, names)
        model = model.eval().requires_grad_(False)
        with torch.no_grad():
            vectors = {
                name: functional.normalize(
                    model.encode_text(tokenize(list(prompts[name].values()))).float(), dim=1
                )
                for name in chosen
            }
            size = model.visual.image_size
            self_size = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
            encoded = model.encode_image(torch.zeros(1, 3, *self_size))
        super().__init__(chosen, encoded.shape[1])
        self.size = self_size
        for name, t in vectors.items():
            self.register_buffer(f"text_{name}", t, persistent=False)
        # A list hides the model from torch: its weights are neither ours to train nor to save.
        self._outside = [model]
        self._seen: dict[int, Tensor] = {}

    @torch.no_grad()
    def look(self, images: Tensor) -> Tensor:
        """The image vector."""
        [model] = self._outside
        model.to(images.device)
        return functional.normalize(model.encode_image(self._prepared(images)).float(), dim=1)

    def texts(self) -> dict[str, Tensor]:
        """The text vectors."""
        return {name: self.get_buffer(f"text_{name}") for name in self.levels}

    def of_batch(self, batch: Batch) -> Tensor:
        """Each face is looked at once, as stored: CLIP is frozen and costs more than the rest."""
        rows = batch.index.tolist()
        new = [i for i, row in enumerate(rows) if row not in self._seen]
        if new:
            for i, v in zip(new, self.look(batch.pixels[new].float()), strict=True):
                self._seen[rows[i]] = v
        return self.describe(torch.stack([self._seen[row] for row in rows]))

    def _prepared(self, images: Tensor) -> Tensor:
        images = standardised(images)
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        return functional.interpolate(
            images, size=self.size, mode="bicubic", antialias=True, align_corners=False
        )


def standardised(images: Tensor) -> Tensor:
    """Mean 0 and variance 1 over all pixels and channels of each face; blank ones become 0."""
    flat = images.float().flatten(1)
    deviation, mean = torch.std_mean(flat, 1, keepdim=True, correction=0)
    return ((flat - mean) / deviation.clamp_min(1e-6)).view(images.shape)


def pick(
    default: Mapping[str, tuple[str, ...]],
    known: Mapping[str, tuple[str, ...]],
    names: tuple[str, ...] | None,
) -> dict[str, tuple[str, ...]]:
    """The named attributes with their levels, in the order named; the default without names.

    Raises:
        MethodError: a name is not known.
    """
    if names is None:
        return dict(default)
    for name in names:
        if name not in known:
            raise MethodError(f"there is no attribute {name!r}: {did_you_mean(name, known)}")
    return {name: known[name] for name in names}
