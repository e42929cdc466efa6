"""The traffic: highway-env's ``IDMVehicle``, over arrays.

Speeds follow the intelligent driver model, lane changes MOBIL: a driver changes if it gains enough
acceleration, and if nobody behind has to brake too hard for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.driving.fleet import LENGTH, Bool, Fleet
from rllib_safemarl.envs.driving.lanes import Array, Index
from rllib_safemarl.envs.driving.network import NONE
from rllib_safemarl.envs.driving.steering import not_zero, reachable

MOST_ACCELERATION = 6.0
"""Metres per second squared."""


@dataclass(frozen=True)
class Driver:
    """How the traffic drives; the defaults are highway-env's.

    Attributes:
        gap: wanted to the next vehicle at rest, centre to centre, metres.
        time_gap: wanted to the next vehicle, seconds.
        comfort_acceleration: metres per second squared.
        comfort_braking: metres per second squared.
        politeness: how much others' gains count in a lane change.
        least_gain: of acceleration, for which a driver changes lanes, metres per second squared.
        most_imposed: braking that a lane change may force on others, metres per second squared.
        delay: between two thoughts of changing lanes, seconds.
        haste: share by which speed limits are exceeded.
    """

    gap: float = 5.0 + LENGTH
    time_gap: float = 1.5
    comfort_acceleration: float = 3.0
    comfort_braking: float = 5.0
    politeness: float = 0.0
    least_gain: float = 0.2
    most_imposed: float = 2.0
    delay: float = 1.0
    haste: float = 0.0

    def bolder(self, aggressiveness: float) -> Driver:
        """This driver at 0; at 1 one that leaves little room and cuts in."""
        much = aggressiveness
        return replace(
            self,
            gap=LENGTH + (self.gap - LENGTH) * (1.0 - 0.6 * much),
            time_gap=self.time_gap * (1.0 - 0.6 * much),
            comfort_acceleration=self.comfort_acceleration * (1.0 + much),
            least_gain=self.least_gain * (1.0 - much),
            most_imposed=self.most_imposed + 4.0 * much,
            haste=0.3 * much,
        )


@dataclass(frozen=True)
class Choice:
    """M choices to weigh.

    Attributes:
        copy: ``[M]``.
        slot: ``[M]`` who chooses.
        lane: ``[M]`` the lane in question.
    """

    copy: Index
    slot: Index
    lane: Index

    def pick(self, chosen: NDArray) -> Choice:
        """Some of them."""
        return Choice(self.copy[chosen], self.slot[chosen], self.lane[chosen])


def neighbours(fleet: Fleet, choice: Choice, connected: bool = True) -> tuple[Index, Index]:
    """Who is next ahead and next behind on the lanes in question, ``[M]`` each, ``-1`` for nobody.

    Args:
        fleet: vehicles; obstacles are numbered after them.
        choice: from where, on which lanes.
        connected: look beyond the lanes' ends.
    """
    network, copies = fleet.network, fleet.shape[0]
    rows = fleet.place.reshape(-1, fleet.everything)
    every = np.arange(len(choice.lane))
    place = rows[choice.lane * copies + choice.copy]
    if connected:
        for lane, offset in zip(
            network.connected[choice.lane].T[1:], network.connected_offset[choice.lane].T[1:], strict=True
        ):
            further = rows[np.maximum(lane, 0) * copies + choice.copy] + offset[:, None]
            np.copyto(place, further, where=np.isinf(place) & (lane >= 0)[:, None])
    place[every, choice.slot] = np.inf
    own = fleet.s[choice.lane, choice.copy, choice.slot][:, None]
    ahead = np.where(place >= own, place, np.inf)[:, ::-1]
    first = ahead.argmin(1)
    front = np.where(np.isinf(ahead[every, first]), NONE, fleet.everything - 1 - first)
    behind = np.where(place < own, place, -np.inf)
    last = behind.argmax(1)
    return front, np.where(np.isinf(behind[every, last]), NONE, last)


class Traffic:
    """Drives the vehicles that are no agents.

    Args:
        fleet: all vehicles.
        driver: how.
        braking: greatest braking, metres per second squared.
        connected: look for others beyond the ends of lanes, as highway-env's newer versions of its
            environments do.
    """

    def __init__(self, fleet: Fleet, driver: Driver, braking: float, connected: bool = True) -> None:
        self.fleet, self.driver, self.braking = fleet, driver, braking
        self._connected = connected

    def acting(self) -> Bool:
        """``[N, V]`` those who drive; who has crashed does not."""
        acting = self.fleet.present & ~self.fleet.crashed
        acting[:, : self.fleet.agents] = False
        return acting

    def accelerate(self, acting: Bool, seconds: float) -> None:
        """Choose accelerations for the next frame of ``seconds``, once target lanes are known."""
        fleet = self.fleet
        copy, slot = np.nonzero(acting)
        if not len(copy):
            return
        lane, target = fleet.lane[copy, slot], fleet.target[copy, slot]
        turning = np.flatnonzero(lane != target)
        # Who changes lanes minds both.
        both = Choice(
            np.concatenate([copy, copy[turning]]),
            np.concatenate([slot, slot[turning]]),
            np.concatenate([lane, target[turning]]),
        )
        front, _ = neighbours(fleet, both, self._connected)
        exponent = fleet.exponent[both.copy, both.slot]
        wanted = self.acceleration(both.copy, both.slot, front, exponent)
        wanted, aside = wanted[: len(copy)], wanted[len(copy) :]
        wanted[turning] = np.minimum(wanted[turning], aside)
        # Brakes do not drive backwards.
        least = np.maximum(-self.braking, -np.maximum(fleet.speed[copy, slot], 0.0) / seconds)
        fleet.acceleration[copy, slot] = np.minimum(np.maximum(wanted, least), MOST_ACCELERATION)

    def acceleration(self, copy: Index, ego: Index, front: Index, exponent: Array) -> Array:
        """The intelligent driver model: ``a (1 − (v / v₀)^δ − (d* / d)²)``, metres per second squared.

        Args:
            copy: ``[M]``.
            ego: ``[M]`` whose acceleration; 0 for nobody and for obstacles.
            front: ``[M]`` who is ahead of it; ``-1`` for nobody.
            exponent: ``[M]`` δ.
        """
        fleet, driver = self.fleet, self.driver
        vehicles = fleet.shape[1]
        drives = (ego >= 0) & (ego < vehicles)
        ego = np.where(drives, ego, 0)
        lane, speed = fleet.lane[copy, ego], fleet.speed[copy, ego]
        limit = fleet.network.speed_limit[lane] * (1.0 + driver.haste)
        free = np.minimum(np.maximum(fleet.target_speed[copy, ego], 0.0), limit)
        share = np.maximum(speed, 0.0) / np.abs(not_zero(free))
        wanted = driver.comfort_acceleration * (1.0 - np.power(share, exponent))
        follows = np.flatnonzero(front >= 0)
        if len(follows):
            copy, ego, front, lane = copy[follows], ego[follows], front[follows], lane[follows]
            distance = not_zero(fleet.s[lane, copy, front] - fleet.s[lane, copy, ego])
            share = self._desired_gap(copy, ego, front) / distance
            wanted[follows] -= driver.comfort_acceleration * (share * share)
        return np.where(drives, wanted, 0.0)

    def _desired_gap(self, copy: Index, ego: Index, front: Index) -> Array:
        """``d* = d₀ + v τ + v Δv / (2 √(a b))``, metres."""
        fleet, driver = self.fleet, self.driver
        moves = front < fleet.shape[1]
        other = np.where(moves, front, 0)
        speed, cos, sin = fleet.speed[copy, ego], fleet.cos[copy, ego], fleet.sin[copy, ego]
        other_speed = np.where(moves, fleet.speed[copy, other], 0.0)
        vx, vy = other_speed * fleet.cos[copy, other], other_speed * fleet.sin[copy, other]
        closing = (speed * cos - vx) * cos + (speed * sin - vy) * sin
        scale = 2.0 * np.sqrt(driver.comfort_acceleration * driver.comfort_braking)
        return driver.gap + speed * driver.time_gap + speed * closing / scale

    # Lane changes.

    def change_lanes(self, acting: Bool, before: Index) -> None:
        """Choose target lanes.

        Args:
            acting: ``[N, V]`` who chooses.
            before: ``[N, V]`` target lanes before this frame.
        """
        fleet = self.fleet
        roads = fleet.network.road_of
        turning = acting & (fleet.lane != fleet.target)
        due = acting & ~turning & (fleet.timer > self.driver.delay)
        if due.any():
            fleet.timer[due] = 0.0
            self._consider(due)
        if turning.any():
            turning &= roads[fleet.lane] == roads[fleet.target]
            self._abort(turning, before)

    def _abort(self, turning: Bool, before: Index) -> None:
        """Stay where somebody else changes into the same lane, close ahead.

        highway-env's drivers act one after another: they know what those before them have just chosen, and
        what those after them chose in the last frame.
        """
        fleet, every = self.fleet, np.arange(self.fleet.shape[1])
        for slot in np.flatnonzero(turning.any(0)):
            copy = np.flatnonzero(turning[:, slot])
            lane, target = fleet.lane[copy, slot], fleet.target[copy, slot]
            aims = np.where(every < slot, fleet.target[copy], before[copy])
            rivals = (aims == target[:, None]) & (fleet.lane[copy] != target[:, None])
            rivals &= fleet.present[copy] & (every != slot)
            place = fleet.s[lane, copy, : fleet.shape[1]]
            distance = place - place[:, [slot]]
            rows, others = np.nonzero(rivals & (distance > 0.0))
            gap = self._desired_gap(copy[rows], np.full(len(rows), slot), others)
            stays = rows[distance[rows, others] < gap]
            fleet.target[copy[stays], slot] = lane[stays]

    def _consider(self, due: Bool) -> None:
        """Drivers whose time has come weigh both sides; the right one wins where both are good."""
        fleet, network = self.fleet, self.fleet.network
        copy, slot = np.nonzero(due & (np.abs(fleet.speed) >= 1.0))
        lane = fleet.lane[copy, slot]
        copy, slot = np.concatenate([copy, copy]), np.concatenate([slot, slot])
        side = np.concatenate([network.beside(lane, -1), network.beside(lane, 1)])
        there = np.maximum(side, 0)
        good = (side >= 0) & reachable(fleet, there, fleet.s[there, copy, slot], fleet.r[there, copy, slot])
        choice = Choice(copy, slot, side).pick(np.flatnonzero(good))
        if len(choice.lane):
            choice = choice.pick(self._mobil(choice))
            # Right ones come last, and what is written last stays.
            fleet.target[choice.copy, choice.slot] = choice.lane

    def _mobil(self, choice: Choice) -> Bool:
        """Whether to change to the lanes in question, ``[M]``."""
        fleet, driver, count = self.fleet, self.driver, len(choice.lane)
        copy, slot = choice.copy, choice.slot
        there_and_here = Choice(
            np.concatenate([copy, copy]),
            np.concatenate([slot, slot]),
            np.concatenate([choice.lane, fleet.lane[copy, slot]]),
        )
        (front, old_front), (rear, old_rear) = (
            (found[:count], found[count:]) for found in neighbours(fleet, there_and_here, self._connected)
        )
        feels = self._felt(copy, slot, [(rear, slot), (slot, front), (slot, old_front)])
        imposed, own, gain = feels[0], feels[1], feels[1] - feels[2]
        if driver.politeness:
            others = [(rear, front), (old_rear, old_front), (old_rear, slot)]
            before, released, behind = self._felt(copy, slot, others)
            gain = gain + driver.politeness * (imposed - before + released - behind)
        number = fleet.network.number
        planned, at = fleet.planned_number[copy, slot], number[fleet.target[copy, slot]]
        towards = np.sign(number[choice.lane] - at) == np.sign(planned - at)
        on_plan = towards & (own >= -driver.most_imposed)
        wanted = np.where(planned >= 0, on_plan, gain >= driver.least_gain)
        return (imposed >= -driver.most_imposed) & wanted

    def _felt(self, copy: Index, slot: Index, pairs: list[tuple[Index, Index]]) -> Array:
        """``[K, M]`` accelerations of K pairs ``(ego, ahead)``, as the drivers in ``slot`` expect them."""
        egos, ahead = (np.concatenate(column) for column in zip(*pairs, strict=True))
        copies, exponent = np.tile(copy, len(pairs)), np.tile(self.fleet.exponent[copy, slot], len(pairs))
        return self.acceleration(copies, egos, ahead, exponent).reshape(len(pairs), -1)
