"""The cost contract: what an environment says in ``infos[agent]["cost"]``.

A non-negative finite number, or a dict name → number for several constraints, for every agent that acted, at
every step. A missing cost is never read as 0: a constraint would seem to hold where nobody watched it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rllib_safemarl.errors import SafeMARLError, nearest_name

COST = "cost"
"""Key of an agent's info, and the name of a cost that has none."""


def reported_cost_names(infos: Mapping[Any, Any]) -> tuple[str, ...]:
    """Names of the costs in the infos of one step: those of the first agent that reports any."""
    for info in infos.values():
        if isinstance(info, Mapping) and COST in info:
            cost = info[COST]
            return tuple(cost) if isinstance(cost, Mapping) else (COST,)
    return ()


def check_cost_names(names: Any) -> tuple[str, ...]:
    """The ``cost_names`` that an environment declares.

    Raises:
        SafeMARLError: they are not distinct strings.
    """
    fits = isinstance(names, Sequence) and not isinstance(names, str)
    if not fits or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise SafeMARLError(f"cost_names={names!r} of the environment must be a list of distinct names.")
    return tuple(names)


def read_cost(info: Any, names: Sequence[str], agent: Any, where: str) -> list[float]:
    """An agent's costs of one step, in the order of ``names``.

    Args:
        info: the agent's info, ``None`` where it has none.
        names: names of the environment's costs; empty for an environment without costs.
        agent: for the message.
        where: for the message, such as ``step 3 of an episode``.

    Raises:
        SafeMARLError: a cost is missing, unknown, not a number, negative or not finite.
    """
    given = isinstance(info, Mapping) and COST in info
    if not names:
        if given:
            raise SafeMARLError(
                f"agent {agent!r} reports a cost in {where}, but nobody did in the first step; report it at "
                "every step, or name the costs in the environment's attribute cost_names."
            )
        return []
    if not given:
        raise SafeMARLError(
            f"agent {agent!r} reports no cost in {where}; put infos[{agent!r}]['cost'], a number of at least "
            "0, into every step's infos."
        )
    cost = info[COST]
    if not isinstance(cost, Mapping):
        if len(names) > 1:
            raise SafeMARLError(
                f"agent {agent!r} reports one cost, {cost!r}, in {where}; give a dict with all of "
                f"{', '.join(names)}."
            )
        return [_number(cost, names[0], agent, where)]
    _check_names(cost, names, agent, where)
    return [_number(cost[name], name, agent, where) for name in names]


def _check_names(cost: Mapping[str, Any], names: Sequence[str], agent: Any, where: str) -> None:
    """Refuse a dict of costs with other names."""
    for name in cost:
        if name not in names:
            raise SafeMARLError(
                f"agent {agent!r} reports the cost {name!r} in {where}, which is not among {list(names)}."
                f"{nearest_name(name, names)}"
            )
    for name in names:
        if name not in cost:
            raise SafeMARLError(
                f"agent {agent!r} reports no cost {name!r} in {where}; give all of {', '.join(names)} at "
                "every step."
            )


def _number(value: Any, name: str, agent: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (0.0 <= number < math.inf):
        label = "cost" if name == COST else f"cost {name!r}"
        raise SafeMARLError(
            f"agent {agent!r} reports {label} = {value!r} in {where}; costs must be finite numbers of at "
            "least 0."
        )
    return number
