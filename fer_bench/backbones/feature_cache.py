"""Features of frozen networks, kept by the content of the face."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from fer_bench.data.cache import cache_folder
from fer_bench.errors import MethodError

FORMAT = 1  # raise it when the same network would give other features
_AT_ONCE = 500  # values in one question to SQLite


@dataclass(frozen=True)
class FeatureCache:
    """One file of features a network, shared by all processes of this machine.

    A face and its mirror image are two faces. A face is computed alone and not in a batch, so
    that its features do not depend, to the last bit, on which others were known already.

    Attributes:
        file: an SQLite file; it may be deleted at any time between runs.
    """

    file: Path

    @classmethod
    def of(cls, network: nn.Module, shape: Sequence[int]) -> FeatureCache:
        """The cache of a network, in the folder of decoded faces; its name is a content hash.

        Args:
            network: with the weights it keeps.
            shape: (C, H, W) of a face.
        """
        digest = hashlib.blake2b(f"{FORMAT} {network!r} {list(shape)}".encode(), digest_size=16)
        for name, value in network.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return cls(cache_folder() / "features" / f"{digest.hexdigest()}.sqlite")

    def read(self, images: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """Features of faces [B, C, H, W] -> float32 [B, ...].

        Args:
            images: float32, normalised, on the CPU.
            compute: the network, for faces that were never seen.

        Raises:
            MethodError: the file cannot be read or written.
        """
        keys = [
            hashlib.blake2b(face.contiguous().numpy().tobytes(), digest_size=16).digest()
            for face in images
        ]
        try:
            with closing(self._opened()) as table:
                known = _stored(table, keys)
                new = {key: row for row, key in enumerate(keys) if key not in known}
                with torch.autocast("cpu", enabled=False):
                    made = {k: compute(images[i : i + 1].float())[0] for k, i in new.items()}
                with table:
                    table.executemany(
                        "INSERT OR IGNORE INTO features VALUES (?, ?)",
                        [(key, _packed(value)) for key, value in made.items()],
                    )
        except (sqlite3.Error, OSError) as error:
            raise MethodError(
                f"features cannot be kept in {self.file} ({error}): delete the file, or set "
                "FER_BENCH_CACHE to a folder that can be written."
            ) from error
        known |= made
        return torch.stack([known[key] for key in keys])

    def _opened(self) -> sqlite3.Connection:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        table = sqlite3.connect(self.file, timeout=60)
        table.execute("CREATE TABLE IF NOT EXISTS features (key BLOB PRIMARY KEY, value BLOB)")
        return table


def _stored(table: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, Tensor]:
    features: dict[bytes, Tensor] = {}
    for start in range(0, len(keys), _AT_ONCE):
        asked = keys[start : start + _AT_ONCE]
        marks = ",".join("?" * len(asked))
        query = f"SELECT key, value FROM features WHERE key IN ({marks})"  # nosec B608: only marks
        rows = table.execute(query, asked)
        features |= {key: _unpacked(value) for key, value in rows}
    return features


def _packed(value: Tensor) -> bytes:
    """Rank and sides as int32, then the values as float32."""
    head = np.array([value.ndim, *value.shape], dtype="<i4")
    return head.tobytes() + value.contiguous().numpy().astype("<f4").tobytes()


def _unpacked(value: bytes) -> Tensor:
    rank = int(np.frombuffer(value, "<i4", 1)[0])
    shape = np.frombuffer(value, "<i4", rank, 4)
    return torch.from_numpy(np.frombuffer(value, "<f4", offset=4 + 4 * rank).reshape(shape).copy())
