"""Environments whose values and optima are known in closed form."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from ray.tune.registry import register_env

from rllib_safemarl.envs.vector import Ending, Kind, Observation, Step, VectorEnv


class SetPointVectorEnv(VectorEnv):
    """Every agent earns ``-(a - 1)²`` and pays ``max(a, 0)`` for its action a, each step alike.

    Unconstrained the best action is 1. With one step per episode and a limit l < 1 on the cost it is l,
    and the multiplier that makes it so is ``2 (1 - l)``.
    """

    def __init__(self, num_copies: int, n_agents: int = 2, time_limit: int = 1, terminal: bool = False):
        self.num_copies = num_copies
        self.possible_agents = tuple(f"agent_{i}" for i in range(n_agents))
        box = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.kinds = (Kind("agent", tuple(range(n_agents)), box, spaces.Box(-3.0, 3.0, (1,))),)
        self.cost_names = ("effort",)
        self.time_limit = time_limit
        self._terminal = terminal
        self._t = np.zeros(num_copies, int)

    def _observe(self) -> Observation:
        return Observation({"agent": np.ones((self.num_copies, self.num_agents, 1), np.float32)})

    def reset(self, seed: int) -> Observation:
        self._t[:] = 0
        return self._observe()

    def step(self, actions) -> Step:
        a = np.asarray(actions["agent"])[..., 0]
        self._t += 1
        over = self._t >= self.time_limit
        self._t[over] = 0
        shape = a.shape
        return Step(
            observation=self._observe(),
            reward=-((a - 1.0) ** 2).astype(np.float32),
            cost=np.maximum(a, 0.0)[..., None].astype(np.float32),
            terminated=np.broadcast_to(over[:, None] & self._terminal, shape),
            truncated=over & (not self._terminal),
            active=np.ones(shape, bool),
            ending=Ending(np.flatnonzero(over), Observation({"agent": self._observe().values["agent"][over]}))
            if over.any()
            else None,
        )


class CoupledVectorEnv(SetPointVectorEnv):
    """Agents choose (x, y), earn ``x + y``, and the last one pays for the others, too.

    One step is an episode. The last agent pays ``20 + 3 x + 2 Σ x_h`` over the other agents h, the others pay
    ``offset`` whatever is done; their own x and y cost the others nothing that they see.
    """

    def __init__(self, num_copies: int, n_agents: int = 2, offset: float = 0.0):
        super().__init__(num_copies, n_agents)
        (kind,) = self.kinds
        self.kinds = (replace(kind, action_space=spaces.Box(-np.inf, np.inf, (2,), np.float32)),)
        self._offset = offset

    def step(self, actions) -> Step:
        a = np.asarray(actions["agent"])
        step = super().step({"agent": a[..., :1]})
        cost = np.full(step.cost.shape, self._offset, np.float32)
        cost[:, -1, 0] = 20.0 + 3.0 * a[:, -1, 0] + 2.0 * a[:, :-1, 0].sum(-1)
        return replace(step, reward=a.sum(-1), cost=np.maximum(cost, 0.0))


class ConstantVectorEnv(SetPointVectorEnv):
    """Reward 1 and cost 0.5 in every step, whatever the agents do."""

    def step(self, actions) -> Step:
        step = super().step(actions)
        fields = {name: getattr(step, name) for name in step.__dataclass_fields__}
        fields["reward"] = np.ones_like(step.reward)
        fields["cost"] = np.full_like(step.cost, 0.5)
        return Step(**fields)


class FaultyVectorEnv(SetPointVectorEnv):
    """Does one thing wrong in the third step after a reset.

    Args:
        fault: what: ``nan_observation``, ``nan_reward``, ``negative_cost``, ``flat_reward`` (from the first
            step on), ``raise`` or ``raise_once`` (in the first environment that is made after ``made`` was
            set to 0).
    """

    made = 0

    def __init__(self, num_copies: int, fault: str):
        super().__init__(num_copies, time_limit=10)
        self._fault, self._steps = fault, 0
        type(self).made += 1

    def step(self, actions) -> Step:
        step, self._steps = super().step(actions), self._steps + 1
        if self._fault == "flat_reward":
            return replace(step, reward=step.reward[:, 0])
        if self._steps != 3:
            return step
        if self._fault == "raise" or (self._fault == "raise_once" and self.made == 1):
            raise ZeroDivisionError("a wheel came off\nand rolled away")
        if self._fault == "nan_observation":
            step.observation.values["agent"][1, 1, 0] = np.nan
        if self._fault == "nan_reward":
            step.reward[1, 1] = np.nan
        if self._fault == "negative_cost":
            step.cost[1, 1, 0] = -0.5
        return step


class StallingVectorEnv(SetPointVectorEnv):
    """Sleeps in every step of the second env runner.

    Args:
        stalls: whether this is that one's.
        seconds: how long.
        hangs: a file; while it exists, for ever.
    """

    def __init__(self, num_copies: int, stalls: bool, seconds: float = 0.0, hangs: str = ""):
        super().__init__(num_copies, time_limit=10)
        self._stalls, self._seconds, self._hangs = stalls, seconds, hangs

    def step(self, actions) -> Step:
        if self._stalls:
            time.sleep(self._seconds)
            while self._hangs and Path(self._hangs).exists():
                time.sleep(3600.0)
        return super().step(actions)


class _Made:
    def __init__(self, make: type, settings: dict[str, Any]):
        self._make, self._settings = make, dict(settings)

    def make_vector(self, num_copies: int) -> VectorEnv:
        return self._make(num_copies, **self._settings)


register_env("toy/faulty", lambda settings: _Made(FaultyVectorEnv, settings))
register_env(
    "toy/stalling",
    lambda settings: _Made(StallingVectorEnv, {**settings, "stalls": settings.worker_index == 2}),
)
register_env("toy/set_point", lambda settings: _Made(SetPointVectorEnv, settings))
register_env("toy/coupled", lambda settings: _Made(CoupledVectorEnv, settings))
register_env("toy/constant", lambda settings: _Made(ConstantVectorEnv, settings))
