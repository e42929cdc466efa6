"""Cost limits as users give them, per episode and agent, undiscounted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.functional.safety_metrics import within_limits
from rllib_safemarl.settings import is_number


def is_limit(value: Any) -> bool:
    """A number of at least 0, a dict of such, or ``None``."""
    if isinstance(value, Mapping):
        return all(is_limit(limit) for limit in value.values()) and len(value) > 0
    return value is None or (is_number(value) and value >= 0)


def limits_of(names: Sequence[str], limit: Any) -> NDArray[np.float64]:
    """Limits ``[C]`` of the costs of a team; ``inf`` where a cost is only watched.

    Args:
        names: of the costs.
        limit: a number for every cost, cost name → number, or ``None``.

    Raises:
        SafeMARLError: the limits and the environment's costs do not fit.
    """
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


def safe_episodes(dataset: Dataset, limit: Any) -> NDArray[np.bool_]:
    """``[E]`` episodes in which every agent's undiscounted cost keeps to every limit.

    Args:
        dataset: whole episodes.
        limit: as users give it.
    """
    limits = limits_of(dataset.schema.cost_names, limit)
    costs = np.add.reduceat(dataset["costs"].astype(np.float64), dataset.offsets[:-1])
    # Costs are stored as float32: a sum of them may lie above a limit by its rounding.
    return within_limits(costs, limits, tolerance=1e-5)
