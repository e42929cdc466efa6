"""An RLModule as a user might have written it for stock PPO."""

from __future__ import annotations

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import nn


class OwnModule(TorchRLModule, ValueFunctionAPI):
    """A small network with a value head of its own."""

    def setup(self):
        size = self.observation_space.shape[0]
        outputs = self.action_space.n if hasattr(self.action_space, "n") else 2 * self.action_space.shape[0]
        self.trunk = nn.Sequential(nn.Linear(size, 16), nn.Tanh())
        self.policy = nn.Linear(16, outputs)
        self.value = nn.Linear(16, 1)

    def _forward(self, batch, **kwargs):
        return {Columns.ACTION_DIST_INPUTS: self.policy(self.trunk(batch[Columns.OBS]))}

    def compute_values(self, batch, embeddings=None):
        return self.value(self.trunk(torch.as_tensor(batch[Columns.OBS]))).squeeze(-1)
