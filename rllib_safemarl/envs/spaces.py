"""Flat rows for any observation space, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rllib_safemarl.errors import SafeMARLError

_SIMPLE = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


def check_observation_space(space: spaces.Space, agent: Any) -> None:
    """Refuse spaces that have no fixed flat length."""
    parts = (
        list(space.spaces.values())
        if isinstance(space, spaces.Dict)
        else list(space.spaces)
        if isinstance(space, spaces.Tuple)
        else []
    )
    if not parts and not isinstance(space, _SIMPLE):
        raise SafeMARLError(
            f"agent {agent!r} has an observation space of type {type(space).__name__}; use Box, "
            "Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of these."
        )
    for part in parts:
        check_observation_space(part, agent)


def check_action_space(space: spaces.Space, agent: Any) -> None:
    """Refuse action spaces other than flat Box, Discrete and MultiDiscrete."""
    flat_box = isinstance(space, spaces.Box) and len(space.shape) == 1
    if not flat_box and not isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
        raise SafeMARLError(
            f"agent {agent!r} has the action space {space}; use a Box of one dimension, Discrete or "
            "MultiDiscrete."
        )


def flatten_value(space: spaces.Space, value: Any) -> NDArray[np.float32]:
    """One observation as a flat float32 vector."""
    if isinstance(space, spaces.Box):
        return np.asarray(value, np.float32).ravel()
    return np.asarray(spaces.flatten(space, value), np.float32)


def unflatten_rows(space: spaces.Space, rows: Any) -> Any:
    """Flat rows ``[B, D]`` (array or tensor) as a batch of values of ``space``.

    Discrete parts, flat as one-hots, become integers ``[B]``; Dict and Tuple become dict and tuple.
    """
    if isinstance(space, spaces.Box):
        return rows if len(space.shape) == 1 else rows.reshape(len(rows), *space.shape)
    if isinstance(space, spaces.Discrete):
        return rows.argmax(-1)
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        items = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        parts, start = {}, 0
        for key, part in items:
            size = int(spaces.flatdim(part))
            parts[key] = unflatten_rows(part, rows[..., start : start + size])
            start += size
        return parts if isinstance(space, spaces.Dict) else tuple(parts.values())
    return rows


def flat_space(space: spaces.Space) -> spaces.Box:
    """The Box of the flat observation."""
    if isinstance(space, spaces.Box) and len(space.shape) == 1 and space.dtype == np.float32:
        return space
    flat = spaces.flatten_space(space)
    assert isinstance(flat, spaces.Box)
    return spaces.Box(flat.low.astype(np.float32), flat.high.astype(np.float32), dtype=np.float32)
