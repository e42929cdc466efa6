"""The RLModule of DIFFUSION_CBF."""

from __future__ import annotations

from rllib_safemarl.policies.layouts import action_layout
from rllib_safemarl.policies.planner import Planner
from rllib_safemarl.policies.planning import PlanningPolicy
from rllib_safemarl.rollout.deciding_module import DecidingRLModule

PLANNER = "planner"
"""Key of the model config under which the planner's layout, settings and widths stand."""


class DiffusionCBFModule(DecidingRLModule):
    """Acts by planning; exploring is acting.

    Attributes:
        planner_class: of the planner.
    """

    planner_class: type[Planner] = Planner

    def setup(self) -> None:
        """Build the planner that the model config describes."""
        layout, settings, hiddens = self.model_config[PLANNER]
        self.planner = self.planner_class(layout, action_layout(self.action_space), settings, hiddens)
        if self.inference_only:
            # The projection differentiates by actions alone, and that costs less where weights are fixed.
            self.planner.requires_grad_(False)
        self.policy = PlanningPolicy(self.planner)
