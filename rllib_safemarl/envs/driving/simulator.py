"""Frames of highway-env's simulation for N copies at once."""

from __future__ import annotations

import numpy as np

from rllib_safemarl.envs.driving.collisions import collide
from rllib_safemarl.envs.driving.fleet import LENGTH, Fleet
from rllib_safemarl.envs.driving.pilots import Pilots
from rllib_safemarl.envs.driving.regulation import PER_SECOND, regulate
from rllib_safemarl.envs.driving.steering import follow_road, steer
from rllib_safemarl.envs.driving.traffic import Traffic

TOP_SPEED = 40.0
"""Beyond it vehicles are slowed down, forwards and backwards, metres per second."""


class Simulator:
    """Moves a fleet.

    Args:
        fleet: all vehicles.
        pilots: drive the agents.
        traffic: drives the others.
        seconds: duration of a frame.
        regulated: whether there is a right of way.
    """

    def __init__(
        self, fleet: Fleet, pilots: Pilots, traffic: Traffic, seconds: float, regulated: bool = False
    ) -> None:
        self.fleet, self.pilots, self.traffic = fleet, pilots, traffic
        self.seconds = seconds
        self._rules_every = int(1.0 / seconds / PER_SECOND) if regulated else 0

    def frame(self) -> None:
        """Everyone chooses, everyone moves, and those who touch have crashed."""
        fleet, pilots, traffic = self.fleet, self.pilots, self.traffic
        before, driving = fleet.target.copy(), traffic.acting()
        follow_road(fleet, driving | pilots.acting())
        pilots.aim()
        traffic.change_lanes(driving, before)
        angles = steer(fleet, fleet.target)
        pilots.steer(angles[:, : fleet.agents])
        np.copyto(fleet.steering, angles, where=driving)
        pilots.accelerate(self.seconds)
        traffic.accelerate(driving, self.seconds)
        self.fleet.clock += 1
        if self._rules_every:
            due = np.flatnonzero(self.fleet.clock % self._rules_every == 0)
            if len(due):
                regulate(self.fleet, due, self.pilots.actions == "continuous")
        self._move()
        collide(self.fleet, self.seconds)

    def _move(self) -> None:
        """The bicycle model of highway-env's ``Vehicle``: a steering angle turns the velocity by its slip."""
        fleet, seconds, speed = self.fleet, self.seconds, self.fleet.speed
        fleet.steering[fleet.crashed] = 0.0
        fleet.acceleration = np.where(fleet.crashed, -1.0 * speed, fleet.acceleration)
        fast, backwards = speed > TOP_SPEED, speed < -TOP_SPEED
        if fast.any():
            slowed = np.minimum(fleet.acceleration, TOP_SPEED - speed)
            fleet.acceleration = np.where(fast, slowed, fleet.acceleration)
        if backwards.any():
            slowed = np.maximum(fleet.acceleration, -TOP_SPEED - speed)
            fleet.acceleration = np.where(backwards, slowed, fleet.acceleration)
        slip = np.arctan(0.5 * np.tan(fleet.steering))
        present = fleet.present
        fleet.x = np.where(present, fleet.x + speed * np.cos(fleet.heading + slip) * seconds, fleet.x)
        fleet.y = np.where(present, fleet.y + speed * np.sin(fleet.heading + slip) * seconds, fleet.y)
        if fleet.pushed.any():
            pushed = fleet.pushed
            fleet.x[pushed] += fleet.push_x[pushed]
            fleet.y[pushed] += fleet.push_y[pushed]
            fleet.crashed |= pushed
            fleet.pushed[:] = False
        fleet.heading = fleet.heading + speed * np.sin(slip) / (0.5 * LENGTH) * seconds
        fleet.speed = speed + fleet.acceleration * seconds
        fleet.timer[:, fleet.agents :] += seconds
        fleet.locate()
