"""The RLModule of DIFFUSION_CBF: a planner behind RLlib's forward methods."""

from __future__ import annotations

from typing import Any

from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.torch.torch_distribution import TorchDeterministic
from ray.rllib.core.rl_module.torch import TorchRLModule

from rllib_safemarl.algorithms.diffusion_cbf.planner import Planner

PLANNER = "planner"
"""Key of the model config under which the planner's layout, settings and widths stand."""


class DiffusionCBFModule(TorchRLModule):
    """Acts by planning; exploring is acting."""

    def setup(self) -> None:
        """Build the planner that the model config describes."""
        layout, settings, hiddens = self.model_config[PLANNER]
        self.planner = Planner(layout, self.action_space.shape[0], settings, hiddens)

    def get_exploration_action_dist_cls(self) -> Any:
        """Actions are chosen, not drawn."""
        return TorchDeterministic

    get_inference_action_dist_cls = get_train_action_dist_cls = get_exploration_action_dist_cls

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        actions = self.planner.act(batch[Columns.OBS])
        return {Columns.ACTIONS: actions, Columns.ACTION_LOGP: actions.new_zeros(len(actions))}
