"""Who is within whose range, over the rows of a batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.algorithms.collectives import sum_arrays
from rllib_safemarl.envs.team import Team
from rllib_safemarl.functional.views import ViewBuilder
from rllib_safemarl.rollout.columns import ColumnBatch


def static_reach(team: Team, radius: float) -> NDArray[np.bool_] | None:
    """Whether agents ``[A, A]`` are within ``radius`` hops of each other; ``None`` where that changes.

    No agent is within its own range.
    """
    apart = ~np.eye(len(team.agents), dtype=bool)
    if np.isinf(radius) or radius < 1:
        return apart & bool(np.isinf(radius))
    if team.graph is None or team.graph.hops is None:
        return None
    return apart & (team.graph.hops <= radius)


def shares_in_reach(
    batch: ColumnBatch, views: ViewBuilder, reach: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Share of all learners' rows ``[A, A]`` in which agent j is within the range of agent i.

    Args:
        batch: the columns.
        views: whose neighbours are in range where that changes.
        reach: from :func:`static_reach`.
    """
    if reach is not None:
        return reach.astype(float)
    edges, agents = batch.observations.edges, batch.reward.shape[-1]
    index = views.neighbours(None if edges is None else edges[:-1]).index
    index = index.reshape(-1, agents, index.shape[-1])
    pairs = np.arange(agents)[:, None] * agents + index
    counts = np.bincount(pairs[index >= 0], minlength=agents * agents).reshape(agents, agents)
    total, rows = sum_arrays(counts, float(len(index)))
    return total / max(float(rows), 1.0)
