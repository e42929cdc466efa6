"""What agents observe: highway-env's table of the nearest vehicles, in NumPy, and their own state."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.driving.danger import HORIZON, Danger
from rllib_safemarl.envs.driving.fleet import Fleet
from rllib_safemarl.envs.driving.lanes import Array, Index
from rllib_safemarl.envs.driving.paths import Paths
from rllib_safemarl.envs.driving.pilots import Pilots

FEATURES = ("presence", "x", "y", "vx", "vy", "cos_h", "sin_h")
"""Of every vehicle observed; the first is the observer, absolute, the others are relative to it."""
OWN = 13
"""Further features of the observer, see :meth:`Observer.own`."""
MEETING = 7
"""Features of a place where ways meet, see :meth:`Observer.met`."""
SIGHT = 200.0
"""Who is further away is not observed, metres."""
ORDERS = ("distance", "lane")
_BEHIND = 10.0
"""Obstacles further behind are not observed, metres."""
_NEAR = 40.0
"""Distances to places where ways meet are told up to so many metres."""
_TURN_AHEAD = 20.0
"""The direction of the path is told for so far ahead, metres."""


class Observer:
    """Builds observations.

    Args:
        ranges: of x, y and velocities, which become ±1: metres, metres, metres per second.
        rows: vehicles observed, the observer among them.
        order: nearest first, in the plane (``distance``) or along the observer's lane (``lane``,
            highway-env's way).
        top_speed: metres per second.
        meetings: places observed where ways meet, the most endangering ones first.
    """

    def __init__(
        self, ranges: tuple[float, float, float], rows: int, order: str, top_speed: float, meetings: int
    ) -> None:
        self.rows, self.order, self.top_speed, self.meetings = rows, order, top_speed, meetings
        x, y, speed = ranges
        self._scale = np.array([1.0, x, y, speed, speed, 1.0, 1.0])

    @property
    def size(self) -> int:
        """Length of an observation."""
        return self.rows * len(FEATURES) + OWN + self.meetings * MEETING

    def __call__(self, fleet: Fleet, pilots: Pilots, paths: Paths, danger: Danger, left: Array) -> NDArray:
        """Observations ``[N, A, size]`` float32.

        Args:
            fleet: as it stands.
            pilots: the agents' drivers.
            paths: of all vehicles.
            danger: of all agents.
            left: ``[N, A]`` way to the agents' goals, metres.
        """
        table = self.table(fleet)
        own = self.own(fleet, pilots, paths, danger, left)
        parts = [table, own, self.met(fleet, danger)]
        return np.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], -1).astype(np.float32)

    def table(self, fleet: Fleet) -> Array:
        """highway-env's ``KinematicObservation`` of every agent, ``[N, A, rows, 7]``."""
        copies, agents = fleet.shape[0], fleet.agents
        everything = self._everything(fleet)
        observers = everything[:, :agents]
        found, order = self._nearest(fleet, everything)
        others = everything[np.arange(copies)[:, None, None], order]
        others[..., 1:5] -= observers[:, :, None, 1:5]
        table = np.zeros((copies, agents, self.rows, len(FEATURES)))
        table[:, :, 0] = observers
        table[:, :, 1 : 1 + order.shape[2]] = np.where(found[..., None], others, 0.0)
        table /= self._scale
        table[..., 1:5] = np.clip(table[..., 1:5], -1.0, 1.0)
        return table

    @staticmethod
    def _everything(fleet: Fleet) -> Array:
        """``[N, V + O, 7]`` vehicles and obstacles, absolute."""
        copies, vehicles = fleet.shape
        table = np.zeros((copies, fleet.everything, len(FEATURES)))
        table[..., 0] = 1.0
        columns = (fleet.x, fleet.y, fleet.speed * fleet.cos, fleet.speed * fleet.sin, fleet.cos, fleet.sin)
        for k, column in enumerate(columns):
            table[:, :vehicles, 1 + k] = column
        table[:, vehicles:, 1:3] = fleet.network.obstacles
        table[:, vehicles:, 5] = 1.0
        return table

    def _nearest(self, fleet: Fleet, everything: Array) -> tuple[NDArray[np.bool_], Index]:
        """Whom agents see, nearest first: ``[N, A, rows - 1]`` whether there is one, and who."""
        copies, agents, vehicles = fleet.shape[0], fleet.agents, fleet.shape[1]
        dx = everything[:, None, :, 1] - everything[:, :agents, None, 1]
        dy = everything[:, None, :, 2] - everything[:, :agents, None, 2]
        away = np.sqrt(dx * dx + dy * dy)
        s = fleet.s[fleet.lane[:, :agents], np.arange(copies)[:, None]]
        slots = np.arange(agents)
        along = s - s[:, slots, slots][..., None]
        seen = away < SIGHT
        seen[..., :vehicles] &= fleet.present[:, None]
        seen[..., vehicles:] &= along[..., vehicles:] > -_BEHIND
        seen[:, slots, slots] = False
        key = np.where(seen, away if self.order == "distance" else np.abs(along), np.inf)
        order = key.argsort(-1, kind="stable")[..., : self.rows - 1]
        return np.isfinite(np.take_along_axis(key, order, -1)), order

    def own(self, fleet: Fleet, pilots: Pilots, paths: Paths, danger: Danger, left: Array) -> Array:
        """``[N, A, OWN]`` of the observers themselves.

        Speed and target speed less speed, as shares of the top speed; metres off the centre line and off
        that of the target lane, over 4 and 8; sine of the heading against the lane's; cosine and sine of
        the path's direction 20 m ahead against the heading; way to the goal over 100 m; gap ahead over 80
        m and its closing over the top speed; margin over 20 m; whether there is a lane on the left, and on
        the right.
        """
        rows, network = slice(0, fleet.agents), fleet.network
        speed, heading, lane = fleet.speed[:, rows], fleet.heading[:, rows], fleet.lane[:, rows]
        s, r = fleet.on_lane(lane)
        _, off_target = fleet.on_lane(fleet.target[:, rows])
        turned = heading - network.lanes.heading_at(lane, s)
        bend = self._direction_ahead(fleet, paths) - heading
        wants = fleet.target_speed[:, rows] - speed if pilots.actions == "discrete" else np.zeros_like(speed)
        number, count = network.number[lane], network.count[network.road_of[lane]]
        columns = (
            speed / self.top_speed,
            wants / self.top_speed,
            np.clip(r / 4.0, -2.0, 2.0),
            np.clip(off_target / 8.0, -2.0, 2.0),
            np.sin(turned),
            np.cos(bend),
            np.sin(bend),
            np.clip(left / 100.0, -1.0, 5.0),
            danger.gap / HORIZON,
            np.clip(danger.closing / self.top_speed, -1.0, 1.0),
            np.clip(danger.margin / 20.0, -1.0, 1.0),
            number > 0,
            number < count - 1,
        )
        return np.stack(columns, -1)

    def met(self, fleet: Fleet, danger: Danger) -> Array:
        """``[N, A, meetings, MEETING]`` places where the way of an agent meets another's.

        Whether there is one; way of the observer to it and out of it, and that of the other, over 40 m; the
        other's speed as a share of the top speed; whether the other waits by the right of way. Zero for none.
        """
        copies, agents = fleet.shape[0], fleet.agents
        told = np.zeros((copies, agents, self.meetings, MEETING))
        met = danger.met.both_ways(agents)
        owner = met.copy * agents + met.first
        order = np.lexsort((met.margin, owner))
        # Places of one agent stand together now, and the rank of each is how far it is from their first.
        rank = np.arange(len(order)) - np.searchsorted(owner[order], owner[order])
        kept = order[rank < self.meetings]
        copy, first, second = met.copy[kept], met.first[kept], met.second[kept]
        ways = [met.enter[0], met.leave[0], met.enter[1], met.leave[1]]
        columns = (
            np.ones(len(kept)),
            *(np.clip(way[kept] / _NEAR, -1.0, 1.0) for way in ways),
            fleet.speed[copy, second] / self.top_speed,
            fleet.yields[copy, second],
        )
        told[copy, first, rank[rank < self.meetings]] = np.stack(columns, -1)
        return told

    @staticmethod
    def _direction_ahead(fleet: Fleet, paths: Paths) -> Array:
        """``[N, A]`` heading of the agents' paths some metres ahead, radians."""
        lane, offset = (column[:, : fleet.agents] for column in paths.ahead)
        begins = (lane >= 0) & (offset <= _TURN_AHEAD)
        # The last lane that begins before the point; the target lane begins before the agent.
        last = lane.shape[2] - 1 - begins[..., ::-1].argmax(-1)
        there = np.take_along_axis(lane, last[..., None], -1)[..., 0]
        start = np.take_along_axis(offset, last[..., None], -1)[..., 0].astype(np.float64)
        return fleet.network.lanes.heading_at(np.maximum(there, 0), _TURN_AHEAD - start)
