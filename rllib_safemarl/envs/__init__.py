"""Environments on Gymnasium and PettingZoo; nothing here knows Ray."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_LAZY = {
    "ParallelVectorEnv": "rllib_safemarl.envs.pettingzoo",
    "VectorEnv": "rllib_safemarl.envs.vector",
    "make_vector": "rllib_safemarl.envs.registry",
    "parallel_env": "rllib_safemarl.envs.parallel",
}

__all__ = list(_LAZY)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
