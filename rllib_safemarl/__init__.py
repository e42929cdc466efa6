"""Safe multi-agent reinforcement learning on Ray RLlib, online and offline.

Importing this package loads neither Ray nor torch. ``rllib_safemarl.register()`` or importing
``rllib_safemarl.algorithms`` makes every algorithm and environment known to Ray by its name.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "register": "rllib_safemarl.algorithms",
    "load_policy": "rllib_safemarl.policies",
    "make_vector": "rllib_safemarl.envs.registry",
    "SafeMARLError": "rllib_safemarl.errors",
}

__all__ = ["__version__", *_LAZY]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
