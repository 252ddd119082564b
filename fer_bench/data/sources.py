"""Faces from what PyTorch programs have at hand: loaders, datasets, tensors, arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
)

from fer_bench.data.faces import DataInfo, FaceData
from fer_bench.data.labels import SYNONYMS, is_expression, plain
from fer_bench.data.progress import progress_bar
from fer_bench.errors import DataError

_NAMES = {
    "image": ("image", "images", "pixels", "pixel_values", "x", "img"),
    "label": ("label", "labels", "expression", "emotion", "target", "y"),
    "subject": ("subject", "subjects", "person", "identity", "id"),
}
_AS_TUPLE = ("image", "label", "subject")
_CODED = "class {}"
_SLACK = 1e-3  # by which resampling leaves a range


@dataclass
class FaceReader:
    """Turns loaders, datasets, tensors and arrays into `FaceData`, all of them in one way.

    The first source decides the range of pixel values and the names of integer labels; those read
    later are taken in the same way, so that a test face is what a training face was.

    Attributes:
        classes: names of the labels 0, 1, ...; None takes `dataset.classes` where there are any,
            then those of the first source, then "class 0", "class 1", ...
        n_classes: how many labels there are; None for as many as the first source has.
        range: float values that become 0 and 255; None until a float image is read. They are 0
            and 1, or -1 and 1, or 0 and 255, whichever the first source fits, else its extremes.
        learned: names of the labels of the first source.

    >>> import torch
    >>> reader = FaceReader(classes=("neutral", "happy"))
    >>> faces = reader((torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 1, 0]), ["a", "b", "a", "b"]))
    >>> faces.shape, faces.classes, faces.subjects, reader.range
    ((3, 8, 8), ('neutral', 'happiness'), ('a', 'b'), (0.0, 1.0))
    """

    classes: Sequence[str] | None = None
    n_classes: int | None = None
    range: tuple[float, float] | None = None
    learned: Sequence[str] | None = None

    def __call__(self, source: Any, *, what: str = "faces") -> FaceData:
        """Read all faces of a source.

        Args:
            source: `FaceData` (returned as it is); a `DataLoader`, or a dataset or another
                iterable, that yields (image, label), (image, label, subject) or mappings, face by
                face or in batches; or such a tuple or mapping of whole arrays. Images are tensors
                [C, H, W], arrays [H, W, C] or [C, H, W], or PIL pictures, uint8 or float. Labels
                are integers, names, or pairs of valence and arousal; -1 and None are missing.
                Further keys of a mapping become attributes. A shuffled loader is read in the
                order of its dataset, and to the end; what its transforms draw is drawn once.
            what: the name of this source in messages.

        Raises:
            DataError: what is yielded is no face or no label, or two faces differ in size.
        """
        if isinstance(source, FaceData):
            return source
        chunks: list[_Chunk] = []
        columns: dict[str, list[Any]] = {}
        total = 0
        with progress_bar(f"reading {what}", _length(source)) as done:
            for item in _items(source):
                images, labels = _images_and_labels(item, what)
                first = chunks[0].pixels if chunks else images
                if images.shape[1:] != first.shape[1:]:
                    raise DataError(
                        f"{what}: face {total} has shape {images.shape[1:]} and the first one "
                        f"{first.shape[1:]}: resize all to one size in the dataset."
                    )
                chunks.append(_Chunk.of(images, self.range))
                for name in columns.keys() | labels.keys():
                    column = columns.setdefault(name, [None] * total)
                    column.extend(labels.get(name, [None] * len(images)))
                total += len(images)
                done(1)
        if not total:
            raise DataError(f"{what}: there is no face in it.")
        table = self._table(columns, total, _class_names(source), what)
        return FaceData(self._pixels(chunks), table, info=DataInfo(what, own=True))

    @property
    def label_names(self) -> tuple[str, ...]:
        """What the labels 0, 1, ... mean, as far as it is known."""
        return tuple(_class_name(name) for name in self.classes or self.learned or ())

    def _pixels(self, chunks: Sequence[_Chunk]) -> NDArray[np.uint8]:
        ranges = [chunk.range for chunk in chunks if chunk.range is not None]
        if self.range is None and ranges:
            self.range = _usual(min(low for low, _ in ranges), max(high for _, high in ranges))
        return np.concatenate([chunk.in_range(self.range) for chunk in chunks])

    def _table(
        self, columns: dict[str, list[Any]], total: int, own: Sequence[str] | None, what: str
    ) -> pd.DataFrame:
        columns = dict(columns)
        labels = columns.pop("label", None)
        if labels is not None:
            if any(isinstance(v, tuple) for v in labels):
                pairs = [v if isinstance(v, tuple) else (None, None) for v in labels]
                columns["valence"], columns["arousal"] = map(list, zip(*pairs, strict=True))
            else:
                columns["expression"] = self._expressions(labels, own, what)
        if "subject" in columns:
            columns["subject"] = [None if v in (None, -1) else str(v) for v in columns["subject"]]
        return pd.DataFrame(columns, index=range(total))

    def _expressions(
        self, labels: Sequence[Any], own: Sequence[str] | None, what: str
    ) -> list[str | None]:
        codes = [v for v in labels if isinstance(v, int)]
        count = self.n_classes or max(codes, default=-1) + 1
        names = self.classes or own or self.learned or [_CODED.format(k) for k in range(count)]
        if self.n_classes not in (None, len(names)):
            raise DataError(
                f"{what}: there are {len(names)} classes ({', '.join(names)}), not "
                f"{self.n_classes}."
            )
        if codes and self.learned is None:
            self.learned = tuple(names)
        meaning = [_class_name(name) for name in names]
        expressions: list[str | None] = []
        for row, label in enumerate(labels):
            if isinstance(label, int) and label >= len(meaning):
                raise DataError(
                    f"{what}: face {row} has the label {label}, and there are {len(meaning)} "
                    f"classes: labels are 0 to {len(meaning) - 1}, and -1 where there is none."
                )
            if isinstance(label, int):
                expressions.append(meaning[label] if label >= 0 else None)
            else:
                expressions.append(None if label is None else _class_name(label))
        return expressions


@dataclass(frozen=True)
class _Chunk:
    """Some faces as uint8, and the float values that are 0 and 255 in it."""

    pixels: NDArray[np.uint8]
    range: tuple[float, float] | None = None

    @classmethod
    def of(cls, images: NDArray[Any], known: tuple[float, float] | None) -> _Chunk:
        if images.dtype == np.uint8:
            return cls(images)
        low, high = known or _usual(float(images.min()), float(images.max()))
        return cls(_quantised(images, low, high), (low, high))

    def in_range(self, wanted: tuple[float, float] | None) -> NDArray[np.uint8]:
        if self.range is None or wanted is None or self.range == wanted:
            return self.pixels
        low, high = self.range
        return _quantised(low + self.pixels * np.float32((high - low) / 255), *wanted)


def _quantised(images: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    scaled = (images.astype(np.float32) - low) * (255 / max(high - low, 1e-12))
    return scaled.round().clip(0, 255).astype(np.uint8)


def _usual(low: float, high: float) -> tuple[float, float]:
    """The usual range that values fit, or their extremes."""
    for usual in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
        if low >= usual[0] - _SLACK and high <= usual[1] + _SLACK:
            return usual
    return low, high


def joined(first: FaceData, second: FaceData) -> FaceData:
    """The faces of two sets one after the other.

    Raises:
        DataError: their faces differ in size or colour.
    """
    if first.shape != second.shape:
        raise DataError(
            f"{first.info.name} has faces of (C, H, W) {first.shape} and {second.info.name} of "
            f"{second.shape}: bring both to one size."
        )
    table = pd.concat([first.table, second.table], ignore_index=True)
    return FaceData(np.concatenate([first.images, second.images]), table, info=first.info)


def _class_name(name: object) -> str:
    word = plain(str(name))
    folded = word.casefold()
    return SYNONYMS.get(folded, folded) if is_expression(word) else word


def _class_names(source: Any) -> Sequence[str] | None:
    """`classes` of a dataset, below loaders, subsets and concatenations."""
    for _ in range(10):
        names = getattr(source, "classes", None)
        if isinstance(names, Sequence) and not isinstance(names, str) and names:
            return [str(name) for name in names]
        inner = getattr(source, "dataset", None) or getattr(source, "datasets", None)
        source = inner[0] if isinstance(inner, (list, tuple)) and inner else inner
        if source is None:
            return None
    return None


def _items(source: Any) -> Iterator[Any]:
    if _is_one_array(source):
        yield source
    elif isinstance(source, DataLoader):
        yield from _in_order(source)
    elif hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        yield from (source[i] for i in range(len(source)))
    elif hasattr(source, "__iter__"):
        yield from source
    else:
        raise DataError(
            f"faces cannot be read from {type(source).__name__}: give FaceData, a DataLoader, a "
            "dataset, or (images, labels)."
        )


def _is_one_array(source: Any) -> bool:
    """Whether a source is one array of faces, alone or with their labels."""
    if isinstance(source, Mapping):
        return True
    first = source[0] if isinstance(source, (tuple, list)) and source else source
    return isinstance(first, (Tensor, np.ndarray)) and first.ndim == 4


def _in_order(loader: DataLoader[Any]) -> DataLoader[Any]:
    """A loader that only shuffles, over the same faces in their own order, with the last batch."""
    if isinstance(loader.dataset, IterableDataset) or type(loader.batch_sampler) not in (
        BatchSampler,
        type(None),
    ):
        return loader
    sampler, dataset = loader.sampler, loader.dataset
    if isinstance(sampler, SubsetRandomSampler):
        dataset = Subset(dataset, sorted(sampler.indices))
    elif not (isinstance(sampler, RandomSampler) and not sampler.replacement):
        return loader
    return DataLoader(
        dataset,
        batch_size=loader.batch_size,
        collate_fn=loader.collate_fn,
        num_workers=loader.num_workers,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
    )


def _length(source: Any) -> int:
    try:
        return 1 if _is_one_array(source) else len(source)
    except TypeError:
        return 1


def _images_and_labels(item: Any, what: str) -> tuple[NDArray[Any], dict[str, list[Any]]]:
    """[B, H, W, C] images of one face or batch, and B labels of each kind."""
    if isinstance(item, Mapping):
        facts = _renamed(item, what)
    elif isinstance(item, (tuple, list)) and len(item) <= len(_AS_TUPLE):
        facts = dict(zip(_AS_TUPLE, item, strict=False))
    elif isinstance(item, (Tensor, np.ndarray, Image.Image)):
        facts = {"image": item}
    else:
        raise DataError(
            f"{what} yields {type(item).__name__}: give (image, label), (image, label, subject) "
            "or a mapping with 'image' and 'label'."
        )
    image = facts.pop("image", None)
    images, alone = _channels_last(image, what)
    labels = {}
    for name, value in facts.items():
        values = _plain_values(value, alone)
        if len(values) != len(images):
            raise DataError(f"{what}: {len(images)} faces, but {len(values)} values of {name!r}.")
        labels[name] = values
    return images, labels


def _renamed(item: Mapping[str, Any], what: str) -> dict[str, Any]:
    facts = dict(item)
    for name, others in _NAMES.items():
        key = next((key for key in others if key in facts), None)
        if key is not None:
            facts[name] = facts.pop(key)
    if "image" not in facts:
        raise DataError(
            f"{what} yields mappings with the keys {', '.join(map(str, item))}: the face must be "
            "under 'image'."
        )
    return facts


def _channels_last(image: Any, what: str) -> tuple[NDArray[Any], bool]:
    """[B, H, W, C], and whether it was a single face."""
    first = isinstance(image, Tensor)
    array = image.detach().cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
    if array.dtype.kind not in "uif":
        raise DataError(f"{what}: an image is {array.dtype}: give uint8 or float.")
    shape = array.shape
    if array.ndim == 2:
        array = array[..., None]
        first = False
    alone = array.ndim == 3
    if alone:
        array = array[None]
    if array.ndim == 4 and array.shape[1] in (1, 3) and (first or array.shape[3] not in (1, 3)):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim != 4 or array.shape[3] not in (1, 3):
        raise DataError(
            f"{what}: an image has shape {shape}: give [C, H, W] or [H, W, C] with one or three "
            "channels, or batches of them."
        )
    if array.dtype.kind != "f" and array.dtype != np.uint8:
        if array.min() < 0 or array.max() > 255:
            raise DataError(f"{what}: whole pixel values lie outside 0 to 255.")
        array = array.astype(np.uint8)
    elif array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"{what}: an image holds values that are not finite.")
    return array, alone


def _plain_values(value: Any, alone: bool) -> list[Any]:
    """Labels as int, str, None, or a (valence, arousal) tuple, one a face."""
    if isinstance(value, (Tensor, np.ndarray)):
        value = value.tolist()
    several = not alone and isinstance(value, (list, tuple))
    return [_plain_value(v) for v in (value if several else [value])]


def _plain_value(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if isinstance(value, (list, tuple)):
        if len(value) != 2:
            raise DataError(
                f"a label has {len(value)} numbers: give a class, or valence and arousal."
            )
        return float(value[0]), float(value[1])
    if isinstance(value, (Tensor, np.generic)):
        value = value.item()
    if value is None or (isinstance(value, float) and value != value):
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value
