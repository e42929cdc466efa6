"""highway-env itself, and the roads that it builds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from rllib_safemarl.errors import SafeMARLError

INSTALL = 'pip install "rllib_safemarl[driving]"'


def need_highway_env() -> ModuleType:
    """The module ``highway_env``.

    Raises:
        SafeMARLError: it is missing.
    """
    try:
        return import_module("highway_env")
    except ImportError as error:
        raise SafeMARLError(f"safemarl/driving needs highway-env; install it by: {INSTALL}") from error


def stock_road(source: str, settings: Mapping[str, Any], change: Callable[[Any], None] | None = None) -> Any:
    """The road of one of highway-env's environments, without any vehicle.

    Args:
        source: ``module:class`` below ``highway_env.envs``.
        settings: what to change in the environment's own configuration.
        change: called with the network, to change it in place.

    Returns:
        A ``highway_env.road.road.Road``.
    """
    need_highway_env()
    module, name = source.split(":")
    kind = getattr(import_module(f"highway_env.envs.{module}"), name)
    # The constructor would place vehicles, and for that change settings of the whole process.
    env = kind.__new__(kind)
    env.render_mode = None
    env.config = {**kind.default_config(), **settings}
    (env._create_road if hasattr(env, "_create_road") else env._make_road)()
    if change is not None:
        change(env.road.network)
    return env.road
