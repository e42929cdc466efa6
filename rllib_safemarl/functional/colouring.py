"""Classes of agents that do not touch each other, by colouring a graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def colour_classes(adjacent: NDArray[np.bool_]) -> tuple[NDArray[np.intp], ...]:
    """Split agents into classes within which no two are adjacent.

    By saturation (Brélaz 1979): the next agent is the one whose neighbours have the most colours already, of
    these the one with the most neighbours, of these the first; it takes the first colour that none of its
    neighbours has. There are at most one more colours than an agent has neighbours, and two on a graph
    without odd cycles.

    Args:
        adjacent: ``[A, A]``; an edge in either direction counts, the diagonal does not.

    Returns:
        Indices of each class's agents, rising; together all agents.
    """
    edges = adjacent | adjacent.T
    np.fill_diagonal(edges, False)
    count, degrees = len(edges), edges.sum(1)
    colours = np.full(count, -1)
    taken = np.zeros((count, int(degrees.max(initial=0)) + 1), bool)
    for _ in range(count):
        rank = np.where(colours < 0, taken.sum(1) * (count + 1) + degrees, -1)
        agent = int(rank.argmax())
        colours[agent] = int(taken[agent].argmin())
        taken[edges[agent], colours[agent]] = True
    return tuple(np.flatnonzero(colours == colour) for colour in range(int(colours.max(initial=-1)) + 1))
