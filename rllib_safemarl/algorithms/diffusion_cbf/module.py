"""The RLModule of DIFFUSION_CBF."""

from __future__ import annotations

from gymnasium import spaces

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.policies.planner import ActionLayout, Planner
from rllib_safemarl.policies.planning import PlanningPolicy
from rllib_safemarl.rollout.planning_module import PlanningRLModule

PLANNER = "planner"
"""Key of the model config under which the planner's layout, settings and widths stand."""


class DiffusionCBFModule(PlanningRLModule):
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


def action_layout(space: spaces.Space) -> ActionLayout:
    """What an agent can do, by its action space.

    Raises:
        SafeMARLError: inverse dynamics cannot give such actions.
    """
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return ActionLayout(space.shape[0])
    if isinstance(space, spaces.Discrete):
        return ActionLayout(0, (int(space.n),), single=True)
    if isinstance(space, spaces.MultiDiscrete) and len(space.shape) == 1:
        return ActionLayout(0, tuple(int(n) for n in space.nvec))
    raise SafeMARLError(
        f"plans cannot be acted on by {space}: actions must be a vector, a choice, or a vector of choices."
    )
