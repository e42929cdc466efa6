"""Pairs of robots, and how far each is from danger.

The margin of robot i is ``m_i = min_j ( d_ij - V_ij² / (2 b_ij) - κ_s )``: d_ij the distance from surface to
surface, V_ij the *closing* speed ``max(0, -Δp·Δv / ‖Δp‖)``, b_ij the braking of both robots together, κ_s the
clearance that must remain. Danger is m_i < 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Array = NDArray[np.float64]

DENSE_ROBOTS = 32
"""Up to so many robots all pairs are formed; above, only those a k-d tree finds in reach."""


@dataclass(frozen=True)
class Pairs:
    """Pairs (first, second) of robots in reach, indices into ``[N * A]``, each pair once.

    Attributes:
        first: ``[K]``.
        second: ``[K]``, of the same copy as ``first``.
        gap: ``[K, 2]`` position of second minus that of first, metres.
        distance: ``[K]`` length of ``gap``.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    gap: Array
    distance: Array

    def within(self, reach: float) -> Pairs:
        """Those pairs that are at most ``reach`` metres apart."""
        near = self.distance <= reach
        if near.all():
            return self
        return Pairs(self.first[near], self.second[near], self.gap[near], self.distance[near])


def close_pairs(positions: Array, reach: float) -> Pairs:
    """Pairs of robots of one copy that are at most ``reach`` metres apart, centre to centre.

    Args:
        positions: ``[N, A, 2]`` metres.
        reach: metres.
    """
    copies, robots, _ = positions.shape
    flat = positions.reshape(-1, 2)
    if robots <= DENSE_ROBOTS:
        i, j = np.triu_indices(robots, 1)
        offset = np.arange(0, copies * robots, robots)[:, None]
        first, second = (offset + i).ravel(), (offset + j).ravel()
    else:
        # Copies far apart along a third axis share one tree and never meet.
        layer = np.repeat(np.arange(copies) * (2.0 * reach + 1.0), robots)
        tree = cKDTree(np.column_stack([flat, layer]), balanced_tree=False, compact_nodes=False)
        found = tree.query_pairs(reach, output_type="ndarray")
        first, second = found[:, 0], found[:, 1]
    gap = flat[second] - flat[first]
    distance = np.sqrt(np.einsum("ij,ij->i", gap, gap))
    return Pairs(first, second, gap, distance).within(reach)


def margins(
    pairs: Pairs, velocities: Array, radius: float, braking: float, clearance: float, reach: float
) -> NDArray[np.float32]:
    """Margin m_i of every robot, metres; ``reach`` where no other robot is in reach.

    Args:
        pairs: from :func:`close_pairs` with the same ``reach``.
        velocities: ``[N, A, 2]`` metres per second.
        radius: of a robot, metres.
        braking: greatest deceleration of one robot, metres per second squared; both can brake.
        clearance: κ_s, metres.
        reach: metres.

    Returns:
        ``[N, A]``.
    """
    shape = velocities.shape[:2]
    flat = velocities.reshape(-1, 2)
    relative = flat[pairs.second] - flat[pairs.first]
    closing = -np.einsum("ij,ij->i", pairs.gap, relative) / np.maximum(pairs.distance, 1e-9)
    closing = np.maximum(closing, 0.0)
    margin = pairs.distance - 2.0 * radius - closing**2 / (4.0 * braking) - clearance
    least = np.full(flat.shape[0], reach)
    np.minimum.at(least, pairs.first, margin)
    np.minimum.at(least, pairs.second, margin)
    return least.reshape(shape).astype(np.float32)


def nearest_edges(pairs: Pairs, copies: int, robots: int, degree: int) -> NDArray[np.int32]:
    """The at most ``degree`` nearest robots of each, as edges ``[N, A, degree]`` in rising order."""
    source = np.concatenate([pairs.first, pairs.second])
    target = np.concatenate([pairs.second, pairs.first])
    distance = np.concatenate([pairs.distance, pairs.distance])
    order = np.lexsort((distance, source))
    source, target = source[order], target[order]
    rank = np.arange(len(source)) - np.searchsorted(source, source, side="left")
    kept = rank < degree
    edges = np.full((copies * robots, degree), robots, np.int32)
    edges[source[kept], rank[kept]] = target[kept] % robots
    edges.sort(-1)
    edges[edges == robots] = -1
    return edges.reshape(copies, robots, degree)
