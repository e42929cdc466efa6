"""The parts of the reward, with highway-env's names and formulas, and their sum."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.driving.fleet import Fleet
from rllib_safemarl.envs.driving.lanes import Array
from rllib_safemarl.envs.driving.scenarios import Scenario

Bool = NDArray[np.bool_]

EVENTS = ("collision_reward", "arrived_reward", "first_reward")
"""Parts that are paid at once; all others are paid by the second."""
ON_ROAD = "on_road_reward"
"""Not added, but what the sum of all rates is multiplied by."""
_CENTRING = 4.0
"""Of ``lane_centering_reward``, 1/m²."""


class Rewards:
    """Computes the parts for all agents.

    Args:
        scenario: whose parts.
        weights: part → weight.
        seconds: duration of a step.
    """

    def __init__(self, scenario: Scenario, weights: Mapping[str, float], seconds: float) -> None:
        self.scenario, self.weights, self.seconds = scenario, weights, seconds
        self.names = (*scenario.parts, ON_ROAD)

    def parts(
        self, fleet: Fleet, actions: NDArray, changes_lane: Bool, arrived: Bool, first: Bool
    ) -> dict[str, Array]:
        """Part → ``[N, A]`` without weights.

        Args:
            fleet: as the step left it.
            actions: ``[N, A, ...]`` of the step.
            changes_lane: ``[N, A]`` which of them are lane changes.
            arrived: ``[N, A]`` who arrived in this step.
            first: ``[N, A]`` who did so before all others.
        """
        rows = slice(0, fleet.agents)
        speed = fleet.speed[:, rows]
        low, high = self.scenario.speed_range
        lane = fleet.lane[:, rows]
        network = fleet.network
        _, aside = fleet.on_lane(lane)
        count = network.count[network.road_of[lane]]
        share = (speed - low) / (high - low)
        known = {
            "collision_reward": lambda: fleet.crashed[:, rows],
            "arrived_reward": lambda: arrived,
            "first_reward": lambda: first,
            "high_speed_reward": lambda: np.clip(share, 0.0, 1.0) if self.scenario.clip_speed else share,
            "right_lane_reward": lambda: network.number[lane] / np.maximum(count - 1, 1),
            "lane_change_reward": lambda: changes_lane,
            "merging_speed_reward": lambda: self._merging(fleet),
            "lane_centering_reward": lambda: 1.0 / (1.0 + _CENTRING * aside**2),
            "action_reward": lambda: _norm(actions),
            ON_ROAD: lambda: on_road(fleet),
        }
        return {name: np.asarray(known[name](), np.float64) for name in self.names}

    def total(self, parts: Mapping[str, Array]) -> Array:
        """``[N, A]`` rates over the step, if on the road, and events."""
        rates, events = np.zeros((2, *parts[ON_ROAD].shape))
        for name, weight in self.weights.items():
            into = events if name in EVENTS else rates
            into += weight * parts[name]
        return self.seconds * rates * parts[ON_ROAD] + events

    def _merging(self, fleet: Fleet) -> Array:
        """How much slower than they want vehicles on the merging lane are, the same for all agents.

        Agents want the least speed that is rewarded, whatever target they choose, and who is faster than it
        wants loses nothing: or agents who choose to stop, and do not yet, would be paid for it.
        """
        network = fleet.network
        road = network.road("b", "c")
        merging = network.first[road] + network.count[road] - 1
        wants = np.maximum(fleet.target_speed, 1.0)
        rows = slice(0, fleet.agents)
        wants[:, rows] = np.maximum(wants[:, rows], self.scenario.speed_range[0])
        slower = np.maximum(wants - fleet.speed, 0.0) / wants
        lost = np.where(fleet.present & (fleet.lane == merging), slower, 0.0).sum(1)
        return np.repeat(lost[:, None], fleet.agents, 1)


def on_road(fleet: Fleet) -> Bool:
    """``[N, A]`` whether agents' centres are on their lanes."""
    lane = fleet.lane[:, : fleet.agents]
    s, r = fleet.on_lane(lane)
    length, width = fleet.network.lanes.length[lane], fleet.network.lanes.width[lane]
    return (np.abs(r) <= 0.5 * width) & (s >= -5.0) & (s < length + 5.0)


def _norm(actions: NDArray) -> Array:
    """Length of real actions; 0 for choices."""
    if actions.ndim == 2:
        return np.zeros(actions.shape)
    return np.sqrt((np.asarray(actions, np.float64) ** 2).sum(-1))
