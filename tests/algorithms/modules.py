"""An RLModule as a user might have written it for stock PPO."""

from __future__ import annotations

import numpy as np
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


class OwnMemory(OwnModule):
    """The same with a memory: Elman's, and how many steps it has seen, nested as nobody else would."""

    def setup(self):
        super().setup()
        self.back = nn.Linear(16, 16)

    def get_initial_state(self):
        return {"memory": (np.full(16, 0.5, np.float32), {"steps": torch.zeros(())})}

    def _forward(self, batch, **kwargs):
        h, count = batch[Columns.STATE_IN]["memory"]
        steps, outputs = count["steps"], []
        for t in range(batch[Columns.OBS].shape[1]):
            h = torch.tanh(self.trunk(batch[Columns.OBS][:, t]) + self.back(h))
            outputs.append(self.policy(h) * (1.0 + 0.1 * steps[:, None]))
            steps = steps + 1.0
        state = {"memory": (h, {"steps": steps})}
        return {Columns.ACTION_DIST_INPUTS: torch.stack(outputs, 1), Columns.STATE_OUT: state}
