"""A policy as learners use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModule
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from rllib_safemarl.envs.spaces import unflatten_rows
from rllib_safemarl.envs.team import Group
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.distributions import ActionDistribution
from rllib_safemarl.functional.sequences import map_leaves
from rllib_safemarl.rollout.distributions import distribution_of


class TrainablePolicy:
    """An RLModule seen from the learner: flat rows in, distribution inputs out.

    Attributes:
        recurrent: whether it has states, and so needs sequences instead of rows.
    """

    def __init__(self, group: Group, module: RLModule) -> None:
        self.group = group
        self.module = module
        self.distribution: ActionDistribution = distribution_of(module)
        self.recurrent = module.is_stateful()
        self.parameters = [p for p in _torch_parameters(module) if p.requires_grad]
        plain = type(module).forward_train is TorchRLModule.forward_train
        self._forward = module._forward_train if plain else module.forward_train

    def inputs(self, views: Tensor) -> Tensor:
        """Distribution inputs ``[B, P]`` for views ``[B, V]``."""
        return self._inputs({Columns.OBS: unflatten_rows(self.group.observation_space, views)})

    def sequence_inputs(self, views: Tensor, states: Any) -> Tensor:
        """Distribution inputs ``[B, L, P]`` of sequences of views ``[B, L, V]`` from states ``[B, ...]``."""
        rows = unflatten_rows(self.group.observation_space, views.flatten(0, 1))
        observed = map_leaves(lambda leaf: leaf.unflatten(0, views.shape[:2]), rows)
        return self._inputs({Columns.OBS: observed, Columns.STATE_IN: states})

    def _inputs(self, batch: dict[str, Any]) -> Tensor:
        out = self._forward(batch)
        if Columns.ACTION_DIST_INPUTS not in out:
            raise SafeMARLError(
                f"the RLModule of policy {self.group.policy!r} returned {sorted(out)} from "
                "forward_train; it must return 'action_dist_inputs'."
            )
        return out[Columns.ACTION_DIST_INPUTS]


def _torch_parameters(module: Any) -> Sequence[torch.nn.Parameter]:
    return list(module.parameters())
