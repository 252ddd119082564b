"""Worlds of embedded faces with planted identity."""

from __future__ import annotations

import numpy as np
import pytest

from fer_bench.attackers.faces import Faces


def world_of(
    people: int,
    *,
    seed: int,
    images: int = 14,
    d: int = 16,
    leak: float = 0.0,
    leakers: float = 1.0,
    goal: str = "identity",
) -> Faces:
    """Faces of expressions and mixed noise; `leak` of four shared directions tell the person.

    Worlds of different seeds are different people in the same embedding. Of a share `leakers` of
    them the code is fixed; that of others is drawn anew for every face, so that a single face
    looks alike.
    """
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(99)
    axes, code_axes = fixed.normal(size=(7, d)), fixed.normal(size=(4, d))
    mix = fixed.normal(size=(d, d)) / np.sqrt(d)
    s, y = np.repeat(np.arange(people), images), np.tile(np.arange(images) % 7, people)
    code, fresh = rng.normal(size=(people, 4))[s], rng.normal(size=(len(s), 4))
    fixed_code = (rng.permutation(people) < leakers * people)[s]
    code = leak * np.where(fixed_code[:, None], code, fresh) @ code_axes / 2
    x = 2 * axes[y] + (code + rng.normal(size=(len(s), d))) @ mix
    return (Faces.of_people if goal == "identity" else Faces.of_expressions)(x, s, y)


@pytest.fixture(scope="session")
def world():
    """A builder of planted worlds."""
    return world_of


@pytest.fixture(scope="session")
def parts():
    """(train, validation, test) faces of one planted embedding."""

    def build(leak: float, *, people: tuple[int, int, int] = (60, 25, 40), seed: int = 0, **others):
        return tuple(
            world_of(n, leak=leak, seed=10 * seed + k, **others) for k, n in enumerate(people)
        )

    return build
