"""Cost limits as users give them, per episode and agent, undiscounted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.algorithms.settings import is_number
from rllib_safemarl.envs.team import Team
from rllib_safemarl.errors import SafeMARLError, nearest_name


def is_limit(value: Any) -> bool:
    """A number of at least 0, a dict of such, or ``None``."""
    if isinstance(value, Mapping):
        return all(is_limit(limit) for limit in value.values()) and len(value) > 0
    return value is None or (is_number(value) and value >= 0)


def limits_of(team: Team, limit: Any) -> NDArray[np.float64]:
    """Limits ``[C]`` of a team's costs; ``inf`` where a cost is only watched.

    Args:
        team: the team.
        limit: a number for every cost, cost name → number, or ``None``.

    Raises:
        SafeMARLError: the limits and the environment's costs do not fit.
    """
    names = team.cost_names
    if limit is None:
        return np.full(len(names), np.inf)
    if not names:
        raise SafeMARLError(
            f"cost_limit={limit!r} needs costs and this environment reports none; put "
            "infos[agent]['cost'], a number of at least 0, into every step's infos."
        )
    if not isinstance(limit, Mapping):
        return np.full(len(names), float(limit))
    for name in limit:
        if name not in names:
            raise SafeMARLError(
                f"cost_limit names {name!r}, but the environment's costs are {list(names)}."
                f"{nearest_name(name, names)}"
            )
    missing = [name for name in names if name not in limit]
    if missing:
        raise SafeMARLError(
            f"cost_limit has no entry for {missing}; give every cost a limit, inf to only watch it."
        )
    return np.array([float(limit[name]) for name in names])
