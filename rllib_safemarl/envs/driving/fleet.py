"""The vehicles of N copies, as arrays. Agents come first; slots may be empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.driving.network import NONE, Array, Index, Network

Bool = NDArray[np.bool_]

LENGTH, WIDTH = 5.0, 2.0
"""Of every vehicle, metres."""
OBSTACLE = 2.0
"""Length and width of every obstacle, metres."""
NOWHERE = 1e5
"""Where empty slots are, metres."""

_NUMBERS = (
    "x",
    "y",
    "heading",
    "speed",
    "steering",
    "acceleration",
    "target_speed",
    "timer",
    "exponent",
    "push_x",
    "push_y",
)
_INDICES = ("lane", "target", "route_at", "planned_number")
_FLAGS = ("present", "crashed", "pushed", "yields")


class Fleet:
    """Up to V vehicles in each of N copies.

    Args:
        network: the road they are on.
        copies: N.
        vehicles: V.
        agents: A, the first so many.
        route_length: roads of a route at most.

    Attributes:
        x, y: ``[N, V]`` centres, metres.
        heading: radians.
        speed: metres per second.
        steering, acceleration: what the driver wants, radians and metres per second squared.
        target_speed: metres per second.
        timer: seconds since a driver of the traffic last thought of changing lanes.
        exponent: δ of the intelligent driver model.
        push_x, push_y, pushed: how a collision moves a vehicle in the next frame, metres.
        lane: the nearest lane.
        target: the lane that is steered for.
        route: ``[N, V, K]`` roads of the planned way; ``-1`` where it ends.
        route_at: the first road of it that is not yet finished.
        planned_number: lane number that the plan wants on that road; ``-1`` for any.
        present: whether the slot holds a vehicle.
        crashed: whether it has ever collided.
        yields: whether it stops to let somebody pass.
        clock: ``[N]`` frames since the episode began.
        cos, sin: ``[N, V]`` of the headings, as of the last :meth:`locate`.
        s, r: ``[L, N, V + O]`` lane coordinates of all vehicles and obstacles on all lanes, metres.
        place: ``[L, N, V + O]`` s of those who are on a lane, a metre aside included; else infinite.
    """

    x: Array
    y: Array
    heading: Array
    speed: Array
    steering: Array
    acceleration: Array
    target_speed: Array
    timer: Array
    exponent: Array
    push_x: Array
    push_y: Array
    lane: Index
    target: Index
    route_at: Index
    planned_number: Index
    present: Bool
    crashed: Bool
    pushed: Bool
    yields: Bool

    def __init__(self, network: Network, copies: int, vehicles: int, agents: int, route_length: int) -> None:
        self.network, self.agents = network, agents
        shape = self.shape = copies, vehicles
        for name in _NUMBERS:
            setattr(self, name, np.zeros(shape))
        for name in _INDICES:
            setattr(self, name, np.zeros(shape, np.intp))
        for name in _FLAGS:
            setattr(self, name, np.zeros(shape, bool))
        self.route = np.full((*shape, route_length), NONE, np.intp)
        self.clock = np.zeros(copies, np.int64)
        self.x[:] = self.y[:] = NOWHERE
        obstacles = network.obstacles
        self.everything = vehicles + len(obstacles)
        table = (len(network.lanes), copies, self.everything)
        self.s, self.r, self.place = np.zeros(table), np.zeros(table), np.full(table, np.inf)
        self.cos, self.sin = np.ones(shape), np.zeros(shape)
        s, r = network.lanes.coordinates(*obstacles.T)
        self.s[:, :, vehicles:], self.r[:, :, vehicles:] = s[:, None], r[:, None]
        self.place[:, :, vehicles:] = np.where(network.lanes.holds(s, r, 1.0), s, np.inf)[:, None]

    def locate(self) -> None:
        """Find all lane coordinates and nearest lanes anew, after vehicles moved."""
        lanes, (copies, vehicles) = self.network.lanes, self.shape
        s, r = lanes.coordinates(self.x.ravel(), self.y.ravel())
        self.lane = lanes.nearest(s, r, self.heading.ravel()).reshape(self.shape)
        table = (len(lanes), copies, vehicles)
        on = lanes.holds(s, r, 1.0).reshape(table)
        on &= self.present
        s = s.reshape(table)
        self.s[:, :, :vehicles], self.r[:, :, :vehicles] = s, r.reshape(table)
        self.place[:, :, :vehicles] = np.where(on, s, np.inf)
        self.cos, self.sin = np.cos(self.heading), np.sin(self.heading)

    def on_lane(self, lane: Index) -> tuple[Array, Array]:
        """Lane coordinates ``[N, V']`` of the first V' vehicles, each on its own ``lane [N, V']``."""
        copies, vehicles = lane.shape
        where = (lane, np.arange(copies)[:, None], np.arange(vehicles))
        return self.s[where], self.r[where]

    def remove(self, gone: Bool) -> None:
        """Empty slots ``[N, V]``; coordinates follow with :meth:`locate`."""
        self.present &= ~gone
        self.x[gone] = self.y[gone] = NOWHERE
        self.speed[gone] = self.steering[gone] = self.acceleration[gone] = 0.0
        self.pushed &= ~gone

    def get_state(self) -> dict[str, Any]:
        """Copies of everything that is not derived."""
        names = (*_NUMBERS, *_INDICES, *_FLAGS, "route", "clock")
        return {name: getattr(self, name).copy() for name in names}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`get_state`."""
        for name in self.get_state():
            setattr(self, name, np.array(state[name]))
        lane = self.lane
        self.locate()
        self.lane = lane
