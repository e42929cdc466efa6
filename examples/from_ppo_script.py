"""A PPO script for an RLlib MultiAgentEnv becomes a constrained one: another config class, and a limit.

How to run:     python examples/from_ppo_script.py
                python examples/from_ppo_script.py --constrained
What to expect: a line per iteration. Stock PPO knows nothing of costs, and reports none; constrained, cost
                and limit stand beside the return. Everything between the two marked lines is the same.
"""

from __future__ import annotations

import argparse

import numpy as np
from gymnasium import spaces
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.env.multi_agent_env import MultiAgentEnv
from ray.tune.registry import register_env

from rllib_safemarl.algorithms import MAPPOLConfig


class SharedPump(MultiAgentEnv):
    """Farmers draw water from one well. More earns more; drawing from a low well costs."""

    def __init__(self, config: dict | None = None) -> None:
        super().__init__()
        self.agents = self.possible_agents = ["farmer_0", "farmer_1"]
        self.observation_spaces = {a: spaces.Box(0.0, 1.0, (2,), np.float32) for a in self.agents}
        self.action_spaces = {a: spaces.Discrete(3) for a in self.agents}
        self.length = (config or {}).get("length", 30)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        super().reset(seed=seed)
        self._level, self._step = float(self.np_random.uniform(0.5, 1.0)), 0
        return self._observe(), {}

    def _observe(self) -> dict:
        seen = np.array([self._level, self._step / self.length], np.float32)
        return dict.fromkeys(self.agents, seen)

    def step(self, action_dict: dict) -> tuple[dict, dict, dict, dict, dict]:
        self._step += 1
        drawn = {agent: 0.03 * int(action) for agent, action in action_dict.items()}
        self._level = float(np.clip(self._level + 0.04 - sum(drawn.values()), 0.0, 1.0))
        low = self._level < 0.3
        # The one line that a script for stock PPO does not have.
        infos = {agent: {"cost": float(low and drawn[agent] > 0.0)} for agent in self.agents}
        over = self._step >= self.length
        return self._observe(), drawn, {"__all__": False}, {"__all__": over}, infos


def script(config: AlgorithmConfig) -> AlgorithmConfig:
    """The settings, the same line by line for either config class."""
    register_env("shared_pump", SharedPump)
    return (
        config.environment("shared_pump")
        .multi_agent(policies={"farmer"}, policy_mapping_fn=lambda agent_id, episode, **kwargs: "farmer")
        .env_runners(num_env_runners=0, num_envs_per_env_runner=8)
        .training(train_batch_size_per_learner=960, minibatch_size=240, num_epochs=5, lr=1e-3)
        .debugging(seed=0)
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--constrained", action="store_true")
    parser.add_argument("--iterations", type=int, default=20)
    given = parser.parse_args(arguments)
    if given.constrained:
        config = script(MAPPOLConfig()).safety(cost_limit=1.0)  # per episode and farmer
    else:
        config = script(PPOConfig())
    algorithm = config.build_algo()
    for iteration in range(1, given.iterations + 1):
        found = algorithm.train()["env_runners"]
        costs = f", cost {found['episode_cost_mean']:.2f} of 1.00" if given.constrained else ""
        print(f"iteration {iteration}: return {found['episode_return_mean']:.2f}{costs}")
    algorithm.stop()


if __name__ == "__main__":
    main()
