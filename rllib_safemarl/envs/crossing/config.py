"""Settings of the crossing environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from rllib_safemarl.envs.crossing.layouts import LAYOUTS, LEAST_START_DISTANCE
from rllib_safemarl.errors import SafeMARLError, nearest_name

COSTS = ("separation", "speed")
GRAPHS = ("moving", "static")
_POSITIVE = ("sense_radius", "step_seconds", "top_speed", "acceleration", "radius", "goal_radius")
_NOT_NEGATIVE = ("clearance", "time_penalty", "speed_limit")


@dataclass(frozen=True)
class CrossingConfig:
    """Settings of the crossing environment (``env_config``).

    Attributes:
        n_agents: robots, 2 to 1000.
        layout: ``open`` (fours cross in the open), ``doorway`` (fours swap sides through a door) or
            ``ring`` (all cross through the centre of one ring).
        costs: which costs to report: ``separation`` (1 per step in danger of another robot) and
            ``speed`` (1 per step faster than ``speed_limit``).
        graph: ``moving`` joins the nearest robots within ``sense_radius`` at every step; ``static``
            joins robots whose nominal starts lie within 2 m.
        sense_radius: metres, centre to centre.
        max_degree: at most so many robots are joined to one, the nearest.
        time_limit: steps per episode; ``None`` takes 20 more than 1.5 times the straight way needs, and
            in a doorway for every robot of a door half a second and the time it takes to stop.
        step_seconds: duration of one step, seconds.
        top_speed: metres per second.
        acceleration: greatest acceleration and braking, metres per second squared.
        radius: of a robot, metres.
        clearance: κ_s, distance that must remain after braking, metres.
        goal_radius: within it a robot has reached its goal, metres.
        time_penalty: reward lost per step away from the goal; makes the safe way cost something.
        speed_limit: metres per second, for the ``speed`` cost.
    """

    n_agents: int = 4
    layout: str = "open"
    costs: Sequence[str] = ("separation",)
    graph: str = "moving"
    sense_radius: float = 1.5
    max_degree: int = 8
    time_limit: int | None = None
    step_seconds: float = 0.1
    top_speed: float = 1.0
    acceleration: float = 1.5
    radius: float = 0.1
    clearance: float = 0.05
    goal_radius: float = 0.15
    time_penalty: float = 0.02
    speed_limit: float = 0.7

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> CrossingConfig:
        """Read ``env_config``, refusing unknown names and values that do not fit."""
        names = [f.name for f in fields(cls)]
        for name in settings:
            if name not in names:
                raise SafeMARLError(
                    f"safemarl/crossing has no env_config key {name!r}."
                    f"{nearest_name(name, names)} It knows: {', '.join(names)}."
                )
        config = cls(**settings)
        config._check_names()
        config._check_numbers()
        return config

    def _check_names(self) -> None:
        if isinstance(self.costs, str) or not self.costs:
            raise SafeMARLError("safemarl/crossing: costs must be a list, such as [separation].")
        for key, value, known in (
            ("layout", self.layout, LAYOUTS),
            ("graph", self.graph, GRAPHS),
            *(("costs", cost, COSTS) for cost in self.costs),
        ):
            if value not in known:
                raise SafeMARLError(
                    f"safemarl/crossing: {key}={value!r} is not one of {', '.join(known)}."
                    f"{nearest_name(value, known)}"
                )

    def _check_numbers(self) -> None:
        def refuse(key: str, must: str) -> None:
            raise SafeMARLError(f"safemarl/crossing: {key}={getattr(self, key)!r} must be {must}.")

        if not (isinstance(self.n_agents, int) and 2 <= self.n_agents <= 1000):
            refuse("n_agents", "a whole number, 2 to 1000")
        for key in ("max_degree", "time_limit"):
            value = getattr(self, key)
            fits = isinstance(value, int) and value >= 1
            if not fits and not (key == "time_limit" and value is None):
                refuse(key, "a whole number of at least 1")
        for key in (*_POSITIVE, *_NOT_NEGATIVE):
            value = getattr(self, key)
            above = key in _POSITIVE
            if not isinstance(value, (int, float)) or not (value > 0 if above else value >= 0):
                refuse(key, f"a number {'above' if above else 'of at least'} 0")
        if 2.0 * self.radius + self.clearance > LEAST_START_DISTANCE:
            refuse("radius", f"small enough that 2 radius + clearance <= {LEAST_START_DISTANCE:.2f} m")
