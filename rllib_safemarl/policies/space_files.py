"""Gymnasium spaces as JSON, with their bounds as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from rllib_safemarl.errors import SafeMARLError


def space_to_json(space: spaces.Space, name: str, arrays: dict[str, NDArray]) -> dict[str, Any]:
    """Describe a space; bounds of Boxes go into ``arrays`` under ``name``."""
    if isinstance(space, spaces.Box):
        arrays[f"{name}/low"], arrays[f"{name}/high"] = space.low, space.high
        return {"type": "Box", "name": name, "dtype": str(space.dtype)}
    if isinstance(space, spaces.Discrete):
        return {"type": "Discrete", "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.MultiDiscrete):
        return {"type": "MultiDiscrete", "nvec": space.nvec.tolist(), "start": space.start.tolist()}
    if isinstance(space, spaces.MultiBinary):
        return {"type": "MultiBinary", "shape": list(space.shape)}
    assert isinstance(space, (spaces.Dict, spaces.Tuple))
    items = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
    parts = [[key, space_to_json(part, f"{name}/{key}", arrays)] for key, part in items]
    return {"type": type(space).__name__, "parts": parts}


def space_from_json(described: dict[str, Any], arrays: dict[str, NDArray]) -> spaces.Space:
    """The space that :func:`space_to_json` described."""
    kind = described["type"]
    if kind == "Box":
        low, high = (arrays[f"{described['name']}/{end}"] for end in ("low", "high"))
        return spaces.Box(low, high, dtype=np.dtype(described["dtype"]).type)
    if kind == "Discrete":
        return spaces.Discrete(described["n"], start=described["start"])
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(described["nvec"], start=described["start"])
    if kind == "MultiBinary":
        return spaces.MultiBinary(described["shape"])
    parts = [(key, space_from_json(part, arrays)) for key, part in described.get("parts", [])]
    if kind == "Dict":
        return spaces.Dict(parts)
    if kind == "Tuple":
        return spaces.Tuple([part for _, part in parts])
    raise SafeMARLError(f"the policy's space of type {kind!r} is unknown to this version.")
