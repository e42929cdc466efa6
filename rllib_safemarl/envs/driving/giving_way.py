"""How careful drivers decide, where ways meet, whether to go or to wait.

Who goes looks ahead: if it goes on and the other does not wait, one of the two must at every moment be so
and so many seconds away from the place where they could touch, or have left it. It also goes if the other
gives way: an agent that comes later, or traffic without the right of way, as long as that can still stop.
Otherwise it stops before the place, and before all others that it comes to, where nobody turns into it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.driving.danger import Met
from rllib_safemarl.envs.driving.env import DrivingVectorEnv
from rllib_safemarl.envs.driving.lanes import Array

Bool = NDArray[np.bool_]

COMFORT = 3.0
"""Acceleration that careful drivers use, metres per second squared."""
GENTLE = 2.0
"""How hard they brake towards a place to wait at, metres per second squared."""
PROMPT = 0.3
"""Within which they take the speed that this allows, seconds."""
TIMES = np.arange(0.0, 6.1, 0.2)
"""Moments of the look ahead, seconds."""
LIMIT = 10.0
"""What others are expected to accelerate to, metres per second."""
REACTION = 1.0
"""Within which the traffic obeys the right of way, seconds."""
SLACK = 0.5
"""Beyond the clearance that whoever goes leaves, metres."""
ASIDE = 1.5
"""Beyond the clearance that whoever waits leaves, metres."""
SWING = 7.5
"""The same, and further back, where somebody turns towards whoever waits: bodies swing out, metres."""


@dataclass(frozen=True)
class Driven:
    """A vehicle on its way through M meeting places, at T moments.

    Attributes:
        enter: ``[M, T]`` way from its front to the place, metres.
        leave: ``[M, T]`` way until its rear has left it, metres.
        speed: ``[M, T]`` metres per second.
    """

    enter: Array
    leave: Array
    speed: Array

    def away(self, seconds: Array, room: Array | float) -> Bool:
        """``[M, T]`` whether it has left the place, or is that many seconds and metres before it."""
        return (self.leave <= 0.0) | (self.enter - self.speed * seconds >= room)


def drive_on(enter: Array, leave: Array, speed: Array, push: Array, top: float) -> Driven:
    """Accelerate by ``push [M]`` ≥ 0 up to ``top``, and keep that speed; who is faster keeps its own."""
    push, speed = push[:, None], speed[:, None]
    fastest = np.where(push > 0.0, np.maximum(speed, top), speed)
    until = (fastest - speed) / np.maximum(push, 1e-9)
    pushed = np.minimum(TIMES, until)
    way = speed * pushed + 0.5 * push * pushed**2 + fastest * (TIMES - pushed)
    return Driven(
        enter[:, None] - way, leave[:, None] - way, np.where(TIMES < until, speed + push * TIMES, fastest)
    )


def brake_at_meetings(env: DrivingVectorEnv, patience: float) -> Array:
    """``[N, A]`` accelerations that stop before places where others will be, infinite where nobody must.

    Args:
        env: the environment.
        patience: seconds that one of two must be away from a place where their ways meet.
    """
    fleet = env.fleet
    wanted = np.full((env.num_copies, env.num_agents), np.inf)
    met = env.moment.danger.met.both_ways(fleet.agents)
    goes = _is_free(env, met, patience) | _is_let_through(env, met)
    np.minimum.at(wanted, (met.copy, met.first), np.where(goes, np.inf, _stop(env, met)))
    return wanted


def _speeds(env: DrivingVectorEnv, met: Met) -> tuple[Array, Array]:
    speed = env.fleet.speed
    return speed[met.copy, met.first], speed[met.copy, met.second]


def _is_free(env: DrivingVectorEnv, met: Met, patience: float) -> Bool:
    """``[M]`` whether the first can go on while the second keeps its speed, or goes on accelerating."""
    fleet, (speed, other_speed) = env.fleet, _speeds(env, met)
    # Who is already in somebody's way hurries on, unless it would be hit.
    entered = np.zeros((env.num_copies, env.num_agents), bool)
    np.logical_or.at(entered, (met.copy, met.first), met.enter[0] <= 0.0)
    inside = entered[met.copy, met.first]
    seconds = np.where(inside, np.minimum(patience, 0.0), patience)[:, None]
    room = env.clearance + SLACK
    other_room = room + np.where(inside, 0.0, ASIDE)[:, None]
    comfort = np.full(len(speed), COMFORT)
    own = drive_on(met.enter[0], met.leave[0], speed, comfort, env.pilots.speeds[-1]).away(seconds, room)
    waits = fleet.yields[met.copy, met.second] | (met.second < fleet.agents)
    faster = np.where(waits, 0.0, np.clip(fleet.acceleration[met.copy, met.second], 0.0, COMFORT))
    free = np.ones(len(speed), bool)
    for push in (np.zeros(len(speed)), faster):
        other = drive_on(met.enter[1], met.leave[1], other_speed, push, LIMIT)
        free &= (own | other.away(seconds, other_room)).all(1)
    return free


def _is_let_through(env: DrivingVectorEnv, met: Met) -> Bool:
    """``[M]`` whether the second gives way and still can: a later agent, or traffic of lower priority."""
    fleet, (speed, other_speed) = env.fleet, _speeds(env, met)
    twice_braking = 2.0 * env.pilots.braking
    stops = met.enter[1] > other_speed**2 / twice_braking + env.clearance
    comes, other_comes = np.maximum(met.enter, 0.0) / np.maximum([speed, other_speed], 0.5)
    later = (comes < other_comes) | ((comes == other_comes) & (met.first < met.second))
    # Traffic obeys after a while, until which it may accelerate.
    priority = env.network.priority[fleet.lane]
    lower = priority[met.copy, met.second] < priority[met.copy, met.first]
    push = np.clip(fleet.acceleration[met.copy, met.second], 0.0, COMFORT)
    faster = other_speed + REACTION * push
    spare = met.enter[1] - faster**2 / twice_braking - env.clearance
    # Who stops beyond its line is in the way, and no longer expected.
    beyond = _line(env, met) < speed**2 / twice_braking
    obeys = spare > np.where(beyond, 0.5 * REACTION * faster, REACTION * faster + ASIDE)
    return np.where(met.second < fleet.agents, later & stops, env.scenario.regulated & lower & obeys)


def _stop(env: DrivingVectorEnv, met: Met) -> Array:
    """``[M]`` acceleration that stops the first where it is in nobody's way; infinite if it is too late."""
    speed, _ = _speeds(env, met)
    needed = speed**2 / (2.0 * env.pilots.braking)
    last, line = met.enter[0] - env.clearance, _line(env, met)
    # Before all places that it has not reached, as long as it can.
    first = np.full((2, env.num_copies, env.num_agents), np.inf)
    for kept, way in zip(first, (last, line), strict=True):
        np.minimum.at(kept, (met.copy, met.first), np.where(met.enter[0] > 0.0, way, np.inf))
    first_last, first_line = first[:, met.copy, met.first]
    before_all = first_last >= needed
    room = np.where(before_all, np.minimum(first_line, line), line)
    late = ~before_all & (last < needed)
    allowed = np.sqrt(2.0 * GENTLE * np.maximum(room, 0.0))
    return np.where(late, np.inf, (allowed - speed) / PROMPT)


def _line(env: DrivingVectorEnv, met: Met) -> Array:
    """``[M]`` way to where the first waits, metres: further back if the second turns towards it."""
    lanes, meetings, (own, other) = env.network.lanes, env.meetings, met.lane
    ahead = lanes.heading_at(own, meetings.begin[own, other])
    leaves = lanes.heading_at(other, meetings.end[other, own])
    facing = np.maximum(-np.cos(leaves - ahead), 0.0)
    head_on = LIMIT**2 / (4.0 * env.pilots.braking)
    return met.enter[0] - env.clearance - ASIDE - facing * (head_on + SWING)
