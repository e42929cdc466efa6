"""How far each robot is from danger, and which robots it senses.

The margin of robot i is ``m_i = min_j ( d_ij - V_ij² / (2 b_ij) - κ_s )``: d_ij the distance from surface to
surface, V_ij the *closing* speed ``max(0, -Δp·Δv / ‖Δp‖)``, b_ij the braking of both robots together, κ_s the
clearance that must remain. Danger is m_i < 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.crossing.neighbour_search import Array, Index, NearPairs


def pair_margins(
    pairs: NearPairs, velocities: Array, radius: float, braking: float, clearance: float
) -> Array:
    """The margin ``[L]`` of every pair in reach, metres.

    Args:
        pairs: robots in reach of each other.
        velocities: ``[N, A, 2]`` metres per second.
        radius: of a robot, metres.
        braking: of a robot, metres per second squared.
        clearance: κ_s, metres.
    """
    plane = np.ascontiguousarray(velocities.reshape(-1, 2).T)
    relative = plane.take(pairs.candidates.second.take(pairs.near), 1)
    relative -= plane.take(pairs.candidates.first.take(pairs.near), 1)
    squared = np.maximum(pairs.squared.take(pairs.near), 1e-18)
    approach = np.minimum(pairs.gap[0] * relative[0] + pairs.gap[1] * relative[1], 0.0)
    # V² / (2 (b + b)) with V = approach / distance.
    brake = approach * approach / (squared * (4.0 * braking))
    return np.sqrt(squared) - brake - (2.0 * radius + clearance)


def margins(
    pairs: NearPairs, velocities: Array, radius: float, braking: float, clearance: float, reach: float
) -> NDArray[np.float32]:
    """The least margin ``[N, A]`` of every robot over the pairs in reach, metres.

    Args:
        pairs: robots in reach of each other.
        velocities: ``[N, A, 2]`` metres per second.
        radius: of a robot, metres.
        braking: of a robot, metres per second squared.
        clearance: κ_s, metres.
        reach: metres, centre to centre; a robot with nobody in reach has the margin of one at rest there.
    """
    copies, robots, _ = velocities.shape
    margin = pair_margins(pairs, velocities, radius, braking, clearance)
    least = np.full(copies * robots, reach - (2.0 * radius + clearance))
    np.minimum.at(least, pairs.candidates.first.take(pairs.near), margin)
    np.minimum.at(least, pairs.candidates.second.take(pairs.near), margin)
    return least.reshape(copies, robots).astype(np.float32)


def nearest_edges(pairs: NearPairs, copies: int, robots: int, reach: float, degree: int) -> NDArray[np.int32]:
    """The at most ``degree`` nearest robots of each within ``reach``, ``[N, A, degree]``.

    Edges stand in rising order, then ``-1``; of equally near robots the one of lower index goes first.
    """
    near = (pairs.squared <= reach**2).take(pairs.candidates.pair)
    kept = np.flatnonzero(near)
    source, target = pairs.candidates.source.take(kept), pairs.candidates.target.take(kept)
    count = np.bincount(source, minlength=copies * robots)
    if count.max(initial=0) > degree:
        chosen = _nearest(source, pairs.squared.take(pairs.candidates.pair.take(kept)), count, degree)
        source, target = source[chosen], target[chosen]
        count = np.minimum(count, degree)
    slot = source * degree + _rank(source, count)
    edges = np.full(copies * robots * degree, -1, np.int32)
    edges[slot] = target
    return edges.reshape(copies, robots, degree)


def _rank(source: Index, count: Index) -> Index:
    """Place of each entry among those of its source; sources rise."""
    begin = np.cumsum(count) - count
    return np.arange(len(source)) - begin.take(source)


def _nearest(source: Index, squared: Array, count: Index, degree: int) -> NDArray[np.bool_]:
    """Which entries stay when each source keeps the ``degree`` nearest, of equals those that come first."""
    full = count > degree
    crowded = np.flatnonzero(full.take(source))
    row = (np.cumsum(full) - 1).take(source.take(crowded))
    place = _rank(source, count).take(crowded)
    table = np.full((int(full.sum()), int(count.max())), np.inf)
    table[row, place] = squared.take(crowded)
    last = np.partition(table, degree - 1, 1)[:, degree - 1 : degree]
    nearer, equal = table < last, table == last
    left = degree - nearer.sum(1, keepdims=True)
    chosen = np.ones(len(source), bool)
    chosen[crowded] = (nearer | (equal & (equal.cumsum(1) <= left)))[row, place]
    return chosen
