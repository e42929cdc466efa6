"""The acting side of planners."""

from __future__ import annotations

import torch

from rllib_safemarl.envs.team import Group
from rllib_safemarl.policies.actor import Actor, Choice
from rllib_safemarl.policies.decisions import FLAGS
from rllib_safemarl.policies.planning import PlanningPolicy

PLANNING = "planning/"
"""What the names of planners' flags begin with."""


class PlanningActor(Actor):
    """One policy that plans; exploring is acting.

    Args:
        group: its agents.
        policy: their policy.
        normalize_actions: as in RLlib, see :class:`ActionTransform`.
        clip_actions: as in RLlib.

    Attributes:
        policy: the policy, which keeps what it planned last.
    """

    flags = tuple(PLANNING + name for name in FLAGS)

    def __init__(
        self, group: Group, policy: PlanningPolicy, normalize_actions: bool, clip_actions: bool
    ) -> None:
        super().__init__([group], normalize_actions, clip_actions)
        self.policy = policy

    def begin(self) -> None:
        """Forget the last plans."""
        self.policy.forget()

    def choose(self, views: torch.Tensor, explore: bool, generator: torch.Generator) -> Choice:
        """Plan for every view."""
        decision = self.policy.decide(views[0])
        flags = {PLANNING + name: flag for name, flag in decision.flags.items()}
        return Choice(decision.actions[None], flags=flags)
