"""Flat rows for any observation space, and back."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Refuse action spaces other than flat Box of floats, Discrete and flat MultiDiscrete."""
    flat = len(space.shape or ()) == 1
    flat_box = flat and isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating)
    flat_choice = flat and isinstance(space, spaces.MultiDiscrete)
    if not (flat_box or flat_choice or isinstance(space, spaces.Discrete)):
        raise SafeMARLError(
            f"agent {agent!r} has the action space {space}; use a Box of floats of one dimension, Discrete "
            "or MultiDiscrete of one dimension."
        )


def flatten_value(space: spaces.Space, value: Any) -> NDArray:
    """One observation as a flat vector; choices become one-hots.

    Args:
        space: Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of these.
        value: as the environment gave it; a Box's bounds are not checked.

    Raises:
        ValueError: the value does not have the space's shape, or a choice lies outside it.
    """
    if isinstance(space, (spaces.Box, spaces.MultiBinary)):
        array = np.asarray(value)
        if array.shape != space.shape:
            raise ValueError(f"its shape is {array.shape}")
        return array.ravel()
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
        return _one_hots(space, np.asarray(value))
    assert isinstance(space, (spaces.Dict, spaces.Tuple))
    if isinstance(space, spaces.Dict):
        if not isinstance(value, Mapping) or value.keys() != space.spaces.keys():
            raise ValueError(f"its keys are {list(value) if isinstance(value, Mapping) else None}")
        pairs = [(part, value[key]) for key, part in space.spaces.items()]
    else:
        if not isinstance(value, (tuple, list)) or len(value) != len(space.spaces):
            raise ValueError("it is not a tuple of that length")
        pairs = list(zip(space.spaces, value, strict=True))
    return np.concatenate([flatten_value(part, each) for part, each in pairs])


def _one_hots(space: spaces.Discrete | spaces.MultiDiscrete, value: NDArray) -> NDArray[np.float32]:
    """The one-hots of all choices, one after another."""
    if value.shape != (space.shape or ()):
        raise ValueError(f"its shape is {value.shape}")
    sizes = space.nvec.ravel() if isinstance(space, spaces.MultiDiscrete) else np.array([space.n])
    chosen = np.asarray(value, np.int64).ravel() - np.ravel(space.start)
    if (chosen < 0).any() or (chosen >= sizes).any():
        raise ValueError(f"its value is {value}")
    flat = np.zeros(int(sizes.sum()), np.float32)
    flat[np.cumsum(sizes) - sizes + chosen] = 1.0
    return flat


def value_of(space: spaces.Space, row: NDArray[np.float32]) -> Any:
    """The value of ``space`` whose flat vector is ``row``; the inverse of :func:`flatten_value`."""
    if isinstance(space, spaces.Box):
        return row.astype(space.dtype).reshape(space.shape)
    return spaces.unflatten(space, row)


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
