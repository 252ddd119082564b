"""What an attacker is, and how it scores pairs and tables of faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fer_bench.attackers.faces import Faces
from fer_bench.metrics.common import Floats


@dataclass(frozen=True)
class Form:
    """A score of an enrolled and a probed face: s + sum_j a_j e_j^2 + b_j p_j^2 + c_j e_j p_j.

    Cosines of unit rows and log-likelihood ratios in a diagonal basis both are of this form.

    Attributes:
        enrolled, probed, both: [k] coefficients a, b and c.
        constant: s.
    """

    enrolled: Floats
    probed: Floats
    both: Floats
    constant: float = 0.0

    @classmethod
    def cosine(cls, k: int) -> Form:
        """The cosine of unit rows."""
        return cls(np.zeros(k), np.zeros(k), np.ones(k))

    def pairs(self, enrolled: Floats, probed: Floats) -> Floats:
        """[...] scores of equally many rows [..., k]."""
        cross = np.einsum("...k,...k->...", enrolled * self.both, probed)
        return cross + enrolled**2 @ self.enrolled + probed**2 @ self.probed + self.constant

    def table(self, enrolled: Floats, probed: Floats) -> Floats:
        """[a, b] scores of every enrolled row [a, k] against every probed one [b, k]."""
        out = (enrolled * self.both) @ probed.T
        out += (enrolled**2 @ self.enrolled)[:, None]
        out += probed**2 @ self.probed + self.constant
        return out


class Attacker(Protocol):
    """Fitted on faces of some people; compares faces of others."""

    @property
    def name(self) -> str:
        """In tables, such as "plda"."""
        ...

    @property
    def step(self) -> int:
        """Its place on the ladder; of equals the earliest is taken."""
        ...

    def fit(self, train: Faces, validation: Faces) -> Attacker:
        """Learn from the training people; settings are chosen on the validation people."""
        ...

    def embed(self, x: Floats) -> Floats:
        """The space in which faces [n, d] are compared: [n, k]."""
        ...

    def template(self, rows: Floats) -> Floats:
        """One enrolled row [..., k] of several embedded faces [..., m, k] of one person."""
        ...

    def form(self, faces: int = 1) -> Form:
        """How a template of so many faces is compared with one face."""
        ...


def unit(x: Floats) -> Floats:
    """Rows [..., k] scaled to length 1; rows of zeros stay zero."""
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    return x / np.where(length > 0, length, 1.0)
