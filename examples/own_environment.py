"""An environment of your own: a convoy of carts, as a PettingZoo ParallelEnv that tells costs.

How to run:     python examples/own_environment.py --iterations 40
What to expect: a line per iteration. At first carts bump into each other; then the cost per episode and cart
                goes towards its limit, and the return rises as far as the limit allows.

What makes an environment a safe one is a single line: ``infos[agent]["cost"] = ...``.
"""

from __future__ import annotations

import argparse
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv
from ray.tune.registry import register_env

from rllib_safemarl.algorithms import ScalMAPPOLConfig

SECONDS = 0.2
"""Of one step."""


class Convoy(ParallelEnv):
    """Carts behind one another, each paid for its speed. Too near to the one ahead costs 1 per step.

    The first cart now and then has to brake. Every cart sees its gap, its speed, and that of the one ahead.

    Args:
        carts: how many.
        safe_gap: metres below which a gap is dangerous.
    """

    metadata: ClassVar = {"name": "convoy"}
    # Who is whose neighbour, and how long an episode is: read from the environment where they are declared.
    agent_graph = "chain"
    time_limit = 60

    def __init__(self, carts: int = 3, safe_gap: float = 1.0) -> None:
        self.possible_agents = [f"cart_{i}" for i in range(carts)]
        self.agents: list[str] = []
        self._safe_gap = safe_gap
        self._seen = spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self._pushes = spaces.Box(-1.0, 1.0, (1,), np.float32)  # of 3 m/s²

    def observation_space(self, agent: str) -> spaces.Space:
        return self._seen

    def action_space(self, agent: str) -> spaces.Space:
        return self._pushes

    def reset(self, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        self.agents = list(self.possible_agents)
        self._random = np.random.default_rng(seed)
        self._steps = 0
        self._place = -3.0 * np.arange(len(self.agents)) + self._random.uniform(-0.5, 0.5, len(self.agents))
        self._speed = np.full(len(self.agents), 1.0)
        return self._observe(), {agent: {} for agent in self.agents}

    def step(self, actions: dict[str, NDArray]) -> tuple[dict, dict, dict, dict, dict]:
        agents, pushes = self.agents, np.array([float(actions[agent][0]) for agent in self.agents])
        if self._random.random() < 0.1:
            pushes[0] = -1.0
        self._speed = np.clip(self._speed + 3.0 * np.clip(pushes, -1.0, 1.0) * SECONDS, 0.0, 3.0)
        self._place = self._place + self._speed * SECONDS
        self._steps += 1
        danger = self._gaps() < self._safe_gap
        infos: dict[str, dict[str, Any]] = {
            agent: {"cost": float(danger[i])} for i, agent in enumerate(agents)
        }
        rewards = {agent: float(self._speed[i]) * SECONDS for i, agent in enumerate(agents)}
        observations, over = self._observe(), self._steps >= self.time_limit
        if over:
            self.agents = []
        return observations, rewards, dict.fromkeys(agents, False), dict.fromkeys(agents, over), infos

    def _gaps(self) -> NDArray:
        return np.concatenate([[10.0], self._place[:-1] - self._place[1:]])

    def _observe(self) -> dict[str, NDArray]:
        ahead = np.concatenate([self._speed[:1], self._speed[:-1]])
        table = np.stack([np.minimum(self._gaps(), 10.0), self._speed, ahead], -1).astype(np.float32)
        return {agent: table[i] for i, agent in enumerate(self.possible_agents)}


def make_config() -> ScalMAPPOLConfig:
    """One policy of all carts, which see their neighbours in the chain."""
    register_env("convoy", lambda settings: Convoy(**settings))
    return (
        ScalMAPPOLConfig()
        .environment("convoy", env_config={"carts": 3})
        .multi_agent(policies={"cart"})
        .env_runners(num_env_runners=0, num_envs_per_env_runner=16)
        .training(train_batch_size=1920, minibatch_size=480, num_epochs=5, lr=1e-3, kappa=1)
        .rl_module(model_config={"fcnet_hiddens": [32, 32], "fcnet_activation": "tanh"})
        .safety(cost_limit=2.0)  # undiscounted, per episode and cart: two of sixty steps
        .debugging(seed=0)
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--iterations", type=int, default=40)
    given = parser.parse_args(arguments)
    algorithm = make_config().build_algo()
    for iteration in range(1, given.iterations + 1):
        found = algorithm.train()["env_runners"]
        print(
            f"iteration {iteration}: return {found['episode_team_return_mean']:.2f}, "
            f"cost {found['episode_cost_mean']:.2f} of {found['cost_limit']:.2f}"
        )
    algorithm.stop()


if __name__ == "__main__":
    main()
