"""The RLModule of policies that plan or sample: such a policy behind RLlib's forward methods."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.torch.torch_distribution import TorchDeterministic
from ray.rllib.core.rl_module.rl_module import RLModule
from ray.rllib.core.rl_module.torch import TorchRLModule

from rllib_safemarl.policies.deciding import DecidingPolicy


class DecidingRLModule(TorchRLModule):
    """Acts by deciding; exploring is acting.

    Attributes:
        policy: made by the subclass in ``setup()``.
    """

    policy: DecidingPolicy

    def get_exploration_action_dist_cls(self) -> Any:
        """Actions are chosen, not drawn."""
        return TorchDeterministic

    get_inference_action_dist_cls = get_train_action_dist_cls = get_exploration_action_dist_cls

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        actions = self.policy.act(batch[Columns.OBS])
        return {Columns.ACTIONS: actions, Columns.ACTION_LOGP: torch.zeros(len(actions))}


def deciding_policy(module: RLModule) -> DecidingPolicy | None:
    """The policy of a module that does nothing but decide; ``None`` for any other module."""
    if not isinstance(module, DecidingRLModule) or type(module)._forward is not DecidingRLModule._forward:
        return None
    return module.policy
