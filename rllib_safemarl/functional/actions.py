"""From a policy's actions to the environment's, as RLlib's settings say."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray


class ActionTransform:
    """Scales and clips a block of actions of one space.

    As in RLlib: with ``normalize_actions`` bounded Box actions of about [-1, 1] are stretched to the
    bounds and clipped; else with ``clip_actions`` they are clipped. Discrete choices count from the
    space's own start.

    Attributes:
        low: bounds to clip to, ``None`` for no clipping.
        high: likewise.
        scale: half the width that actions in [-1, 1] are stretched to, ``None`` for no stretching.
        start: what choices are counted from.
    """

    def __init__(self, space: spaces.Space, normalize: bool, clip: bool) -> None:
        self.low: NDArray | None = None
        self.high: NDArray | None = None
        self.scale: NDArray | None = None
        self.start: int | NDArray = 0
        if isinstance(space, spaces.Box):
            bounded = bool(np.all(space.bounded_below) and np.all(space.bounded_above))
            if (normalize and bounded) or (clip and not normalize):
                self.low, self.high = space.low, space.high
            unit = np.all(space.low == -1.0) and np.all(space.high == 1.0)
            if normalize and bounded and not unit:
                self.scale = (space.high - space.low) / 2.0
        elif isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
            self.start = space.start

    def __call__(self, actions: NDArray) -> NDArray:
        """Actions ``[..., D]`` or ``[...]`` for the environment."""
        if self.low is None:
            return actions + self.start if np.any(self.start) else actions
        if self.scale is not None:
            actions = self.low + (actions + 1.0) * self.scale
        return np.clip(actions, self.low, self.high)

    def inverse(self, actions: NDArray) -> NDArray:
        """What a policy must put out for the environment's ``actions``; the inverse within the bounds."""
        if self.low is None:
            return actions - self.start if np.any(self.start) else actions
        if self.scale is None:
            return actions
        return (actions - self.low) / self.scale - 1.0


def random_actions(space: spaces.Space, shape: tuple[int, ...], generator: np.random.Generator) -> NDArray:
    """Uniform actions of ``space`` for every element of ``shape``; unbounded parts are normal."""
    if isinstance(space, spaces.Discrete):
        return generator.integers(space.n, size=shape) + space.start
    if isinstance(space, spaces.MultiDiscrete):
        return generator.integers(space.nvec, size=(*shape, len(space.nvec))) + space.start
    assert isinstance(space, spaces.Box)
    bounded = space.bounded_below & space.bounded_above
    low, high = np.where(bounded, space.low, -1.0), np.where(bounded, space.high, 1.0)
    size = (*shape, *space.shape)
    uniform, normal = generator.uniform(low, high, size), generator.normal(size=size)
    return np.where(bounded, uniform, normal).astype(space.dtype)
