"""Trained policies as small files: load them, act with them. Nothing here knows Ray."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_LAZY = {
    "TeamPolicy": "rllib_safemarl.policies.team_policy",
    "load_policy": "rllib_safemarl.policies.files",
    "save_policy": "rllib_safemarl.policies.files",
}

__all__ = list(_LAZY)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
