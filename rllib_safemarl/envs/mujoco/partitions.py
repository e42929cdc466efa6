"""Joints dealt out to agents, and the graph of agents that follows from the joints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.neighbourhoods import hop_distances

Parts = tuple[tuple[str, ...], ...]
"""The joints of every agent."""

GRAPHS = ("joint", "chain")
MOST_SEGMENTS = 50


def read_partition(label: str) -> tuple[int, int]:
    """``(agents, parts of each)`` of a label such as ``6x1``.

    Raises:
        SafeMARLError: it does not read so.
    """
    left, _, right = str(label).partition("x")
    if not (left.isdecimal() and right.isdecimal()) or min(int(left), int(right)) < 1:
        raise SafeMARLError(f"safemarl/mujoco: partition={label!r} must read AGENTSxPARTS, such as 6x1.")
    return int(left), int(right)


def read_segments(task: str, label: str, fewest: int) -> int:
    """Segments that a partition of a robot of any length asks for.

    Raises:
        SafeMARLError: too few or too many.
    """
    agents, each = read_partition(label)
    if not fewest <= agents * each <= MOST_SEGMENTS:
        raise SafeMARLError(
            f"safemarl/mujoco: partition={label!r} makes {agents * each} parts; {task} takes "
            f"{fewest} to {MOST_SEGMENTS}."
        )
    return agents * each


def cut(joints: Sequence[str], agents: int) -> Parts:
    """Joints in their order, in equal parts."""
    each = len(joints) // agents
    return tuple(tuple(joints[i * each : (i + 1) * each]) for i in range(agents))


def agent_hops(parts: Parts, edges: Iterable[tuple[str, str]], graph: str) -> NDArray[np.int16]:
    """Hop distances ``[A, A]`` of agents.

    Args:
        parts: joints of every agent.
        edges: pairs of joints that a rigid part or a tendon joins.
        graph: ``joint`` joins agents of whose joints two are joined, ``chain`` each agent to the next.
    """
    agents = len(parts)
    if graph == "chain":
        return hop_distances([(i, i + 1) for i in range(agents - 1)], agents)
    owner = {joint: i for i, part in enumerate(parts) for joint in part}
    return hop_distances([(owner[a], owner[b]) for a, b in edges], agents)


def clique(joints: Sequence[str]) -> list[tuple[str, str]]:
    """All pairs: joints at one rigid part."""
    return [(a, b) for i, a in enumerate(joints) for b in joints[i + 1 :]]


def path(joints: Sequence[str]) -> list[tuple[str, str]]:
    """Each joint and the next."""
    return list(pairwise(joints))
