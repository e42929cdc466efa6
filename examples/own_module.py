"""A network of your own: an RLModule that looks at others with attention, as one writes it for stock RLlib.

How to run:     python examples/own_module.py --iterations 20
What to expect: a line per iteration, as with the built-in networks. Nothing of the module knows of costs:
                critics are the learner's, and separate.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import nn

from rllib_safemarl.algorithms import ScalMAPPOLConfig


class AttentiveModule(TorchRLModule):
    """Cuts what it sees into tokens of equal size and lets them attend to each other.

    ``model_config``: ``token`` numbers in a token, ``width`` of the network.
    """

    def setup(self) -> None:
        self._token = self.model_config.get("token", 8)
        width = self.model_config.get("width", 32)
        (size,) = self.observation_space.shape
        self._padding = -size % self._token
        self.embed = nn.Linear(self._token, width)
        self.attend = nn.MultiheadAttention(width, num_heads=2, batch_first=True)
        # A diagonal Gaussian: a mean and a log standard deviation per number of the action.
        self.head = nn.Linear(width, 2 * self.action_space.shape[0])

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        seen = nn.functional.pad(batch[Columns.OBS], (0, self._padding))
        tokens = self.embed(seen.unflatten(-1, (-1, self._token)))
        mixed, _ = self.attend(tokens, tokens, tokens)
        return {Columns.ACTION_DIST_INPUTS: self.head(torch.tanh(tokens + mixed).mean(-2))}


def make_config() -> ScalMAPPOLConfig:
    """Scal-MAPPO-L on the crossing, with that module for every policy."""
    module = RLModuleSpec(module_class=AttentiveModule, model_config={"token": 8, "width": 32})
    return (
        ScalMAPPOLConfig()
        .environment("safemarl/crossing")
        .multi_agent(policies={"robot"})
        .env_runners(num_env_runners=0, num_envs_per_env_runner=32)
        .training(train_batch_size=3200, minibatch_size=800, num_epochs=5, lr=1e-3, kappa=1)
        .rl_module(rl_module_spec=module)
        .safety(cost_limit=1.0)
        .debugging(seed=0)
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--iterations", type=int, default=20)
    given = parser.parse_args(arguments)
    algorithm = make_config().build_algo()
    module = algorithm.get_module("robot")
    print(f"{type(module).__name__}, {sum(p.numel() for p in module.parameters())} parameters")
    for iteration in range(1, given.iterations + 1):
        found = algorithm.train()["env_runners"]
        print(
            f"iteration {iteration}: return {found['episode_team_return_mean']:.2f}, "
            f"cost {found['episode_cost_mean']:.2f} of {found['cost_limit']:.2f}"
        )
    algorithm.stop()


if __name__ == "__main__":
    main()
