"""A described agent graph as hop distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.neighbourhoods import complete_hops, hop_distances


def graph_hops(description: Any, agents: Sequence[Any]) -> NDArray[np.int16] | None:
    """Hop distances ``[A, A]`` of an ``agent_graph``, or ``None`` where none was given.

    Args:
        description: ``None``, ``"complete"``, ``"chain"``, pairs of agent names or indices, or a
            function from the list of agents to such pairs.
        agents: the environment's agents.

    Raises:
        SafeMARLError: it is none of these, or names an unknown agent.
    """
    if description is None:
        return None
    if description == "complete":
        return complete_hops(len(agents))
    if description == "chain":
        return hop_distances([(i, i + 1) for i in range(len(agents) - 1)], len(agents))
    if callable(description):
        description = description(list(agents))
    if isinstance(description, str):
        raise SafeMARLError(
            f"agent_graph={description!r} is neither 'complete' nor 'chain' nor a list of pairs."
        )
    names = {agent: i for i, agent in enumerate(agents)}
    try:
        edges = [
            tuple(end if isinstance(end, int) and end not in names else names[end] for end in pair)
            for pair in description
        ]
        return hop_distances([(i, j) for i, j in edges], len(agents))
    except (KeyError, TypeError, ValueError) as error:
        raise SafeMARLError(
            f"agent_graph must be pairs of agents of {list(agents)}; it fails at {error}."
        ) from error
