"""A scenario at one moment: what is measured of it after every step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.driving.danger import Danger, DangerRule
from rllib_safemarl.envs.driving.fleet import Fleet
from rllib_safemarl.envs.driving.lanes import Array
from rllib_safemarl.envs.driving.paths import Paths, paths_of, to_go


@dataclass(frozen=True)
class Moment:
    """N copies as they stand.

    Attributes:
        paths: of all vehicles.
        danger: of the agents.
        left: ``[N, A]`` way to the agents' goals, metres.
    """

    paths: Paths
    danger: Danger
    left: Array


def moment_of(fleet: Fleet, rule: DangerRule, past_exit: float, finish: Array | None) -> Moment:
    """Measure a fleet.

    Args:
        fleet: all vehicles.
        rule: of danger.
        past_exit: metres along the last road of a route at which an agent has arrived.
        finish: ``[N, A]`` metres left where no route leads to a goal.
    """
    paths = paths_of(fleet)
    left = to_go(fleet, slice(0, fleet.agents), past_exit) if finish is None else finish
    return Moment(paths, rule(fleet, paths), left)


def road_distances(fleet: Fleet) -> Array:
    """``[N, A, A]`` least ways between agents along the roads, in whichever direction, metres.

    Infinite to those who are not there.
    """
    network, agents = fleet.network, fleet.agents
    rows = slice(0, agents)
    lane = fleet.lane[:, rows]
    s, _ = fleet.on_lane(lane)
    length = network.lanes.length[lane]
    road = network.road_of[lane]
    # Of either end of the road: which node, and how far.
    nodes = network.ends[road]
    away = np.abs(np.stack([s, length - s], -1))
    through = network.between[nodes[:, :, None, :, None], nodes[:, None, :, None, :]]
    through = through + away[:, :, None, :, None] + away[:, None, :, None, :]
    distance = through.min((3, 4))
    same = road[:, :, None] == road[:, None]
    # Lanes of one road differ in length: places are compared as shares of it.
    share = s / length
    direct = np.abs(share[:, :, None] - share[:, None]) * 0.5 * (length[:, :, None] + length[:, None])
    distance = np.where(same, np.minimum(direct, distance), distance)
    present = fleet.present[:, rows]
    return np.where(present[:, :, None] & present[:, None], distance, np.inf)


def nearest_edges(distance: Array, reach: float, degree: int) -> NDArray[np.int32]:
    """The at most ``degree`` nearest agents of each within ``reach``, ``[N, A, degree]``: rising, then −1.

    Of equally near agents the one of lower index goes first.
    """
    agents = distance.shape[1]
    away = np.where(distance <= reach, distance, np.inf)
    away[:, np.arange(agents), np.arange(agents)] = np.inf
    order = away.argsort(-1, kind="stable")[..., :degree]
    near = np.isfinite(np.take_along_axis(away, order, -1))
    edges = np.sort(np.where(near, order, agents), -1)
    return np.where(edges == agents, -1, edges).astype(np.int32)
