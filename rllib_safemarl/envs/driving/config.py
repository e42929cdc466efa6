"""Settings of the driving environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from rllib_safemarl.envs.driving.observing import ORDERS
from rllib_safemarl.envs.driving.pilots import ACTIONS
from rllib_safemarl.envs.driving.scenarios import SCENARIOS
from rllib_safemarl.errors import SafeMARLError, nearest_name

COSTS = ("total", "collision", "headway")
MOST_AGENTS = 8
BRAKING = 6.0
"""Metres per second squared, on dry roads."""
_POSITIVE = ("braking", "step_seconds", "sense_radius")
_NOT_NEGATIVE = ("clearance", "crash_cost")
_WHOLE = {"traffic": 0, "time_limit": 1, "frames_per_step": 1, "max_degree": 1, "observed": 2, "meetings": 0}


@dataclass(frozen=True)
class DrivingConfig:
    """Settings of ``safemarl/driving`` (``env_config``); ``None`` takes the scenario's own.

    Attributes:
        scenario: a key of ``SCENARIOS``.
        n_agents: agents, 2 to 8.
        traffic: vehicles of the traffic.
        aggressiveness: of the traffic, from 0 (highway-env's drivers) to 1: shorter gaps, higher speeds,
            ruder lane changes.
        layout: of the road.
        shift: a named change of the scenario: ``dense``, ``slippery`` or ``layout``; other settings go
            before it.
        actions: ``discrete``: meta-actions; ``acceleration``: an acceleration, the lane is kept;
            ``continuous``: acceleration and steering.
        costs: which costs to report: ``total`` (their sum, a collision weighing ``crash_cost``), or
            ``collision`` and ``headway`` (1 per step in danger) apart.
        crash_cost: weight of a collision in the total.
        clearance: κ_s, gap that must remain after braking, metres.
        braking: greatest braking of every vehicle, metres per second squared.
        leader_follower: agent 0 chooses one step ahead; all others observe what it is about to do.
        rewards: part of the reward → weight, instead of the scenario's.
        sense_radius: agents are joined in the graph within so many metres along the roads.
        max_degree: at most so many agents are joined to one, the nearest.
        observed: vehicles that an agent observes, itself included.
        order: nearest first in the plane (``distance``) or along the own lane (``lane``, as highway-env
            does).
        meetings: places that an agent observes where its way meets another's, the most endangering first.
        time_limit: steps per episode.
        step_seconds: duration of one step, seconds.
        frames_per_step: of the simulation.
    """

    scenario: str = "merge"
    n_agents: int = 2
    traffic: int | None = None
    aggressiveness: float | None = None
    layout: str | None = None
    shift: str | None = None
    actions: str | None = None
    costs: Sequence[str] = ("total",)
    crash_cost: float = 10.0
    clearance: float | None = None
    braking: float | None = None
    leader_follower: bool = False
    rewards: Mapping[str, float] = field(default_factory=dict)
    sense_radius: float = 100.0
    max_degree: int = 3
    observed: int = 6
    order: str = "distance"
    meetings: int | None = None
    time_limit: int | None = None
    step_seconds: float = 0.2
    frames_per_step: int = 3

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> DrivingConfig:
        """Read ``env_config``, refusing unknown names and values that do not fit; no ``None`` is left."""
        names = [f.name for f in fields(cls)]
        for name in settings:
            if name not in names:
                raise SafeMARLError(
                    f"safemarl/driving has no env_config key {name!r}."
                    f"{nearest_name(name, names)} It knows: {', '.join(names)}."
                )
        config = cls(**settings)
        config._check_names()
        config._check_numbers()
        return config._completed()

    def _completed(self) -> DrivingConfig:
        """With the scenario's values, or those of the shift, where there were none."""
        scenario = SCENARIOS[self.scenario]
        defaults: dict[str, Any] = {
            "traffic": scenario.traffic,
            "aggressiveness": 0.0,
            "layout": next(iter(scenario.layouts)),
            "actions": scenario.actions,
            "clearance": scenario.clearance,
            "meetings": scenario.meetings,
            "braking": BRAKING,
            "time_limit": round(scenario.seconds / self.step_seconds),
        }
        if self.shift is not None:
            defaults |= shifts(self.scenario)[self.shift]
        missing = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        return replace(self, **missing)

    def _check_names(self) -> None:
        if self.scenario not in SCENARIOS:
            self._refuse_name("scenario", self.scenario, SCENARIOS)
        if isinstance(self.costs, str) or not self.costs:
            raise SafeMARLError("safemarl/driving: costs must be a list, such as [collision, headway].")
        scenario = SCENARIOS[self.scenario]
        for key, value, known in (
            ("layout", self.layout, scenario.layouts),
            ("shift", self.shift, shifts(self.scenario)),
            ("actions", self.actions, ACTIONS),
            ("order", self.order, ORDERS),
            *(("costs", cost, COSTS) for cost in self.costs),
            *(("rewards", part, scenario.parts) for part in self.rewards),
        ):
            if value is not None and value not in known:
                self._refuse_name(key, value, known)
        if "total" in self.costs and len(self.costs) > 1:
            raise SafeMARLError("safemarl/driving: costs=[total] is the sum of all others; name it alone.")

    def _refuse_name(self, key: str, value: Any, known: Any) -> None:
        raise SafeMARLError(
            f"safemarl/driving: {key}={value!r} is not one of {', '.join(known)}.{nearest_name(value, known)}"
        )

    def _check_numbers(self) -> None:
        if not (isinstance(self.n_agents, int) and 2 <= self.n_agents <= MOST_AGENTS):
            self._refuse("n_agents", f"a whole number, 2 to {MOST_AGENTS}")
        for key, least in _WHOLE.items():
            value = getattr(self, key)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                self._refuse(key, f"a whole number of at least {least}")
        for key in (*_POSITIVE, *_NOT_NEGATIVE):
            value, above = getattr(self, key), key in _POSITIVE
            if value is not None and not (_number(value) and (value > 0 if above else value >= 0)):
                self._refuse(key, f"a number {'above' if above else 'of at least'} 0")
        value = self.aggressiveness
        if value is not None and not (_number(value) and 0.0 <= value <= 1.0):
            self._refuse("aggressiveness", "a number from 0 to 1")
        if not isinstance(self.leader_follower, bool):
            self._refuse("leader_follower", "true or false")

    def _refuse(self, key: str, must: str) -> None:
        raise SafeMARLError(f"safemarl/driving: {key}={getattr(self, key)!r} must be {must}.")


def shifts(scenario: str) -> dict[str, dict[str, Any]]:
    """The named changes of a scenario: what they set."""
    known = SCENARIOS[scenario]
    return {
        "dense": {"traffic": 2 * known.traffic, "aggressiveness": 0.7},
        "slippery": {"braking": 0.5 * BRAKING},
        "layout": {"layout": list(known.layouts)[1]},
    }


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
