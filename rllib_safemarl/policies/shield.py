"""A learnt barrier before other policies: their actions are projected as planners' are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from rllib_safemarl.envs.vector import VectorEnv
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.policies.actor import Actor, Choice
from rllib_safemarl.policies.deciding import PLANNING
from rllib_safemarl.policies.kinds import Policy
from rllib_safemarl.policies.planning import PlanningPolicy
from rllib_safemarl.policies.planning_actor import PlanningActor

SHIELD_FLAGS = ("accepted", "projected", "unsatisfied")
"""What is noted of a shielded decision; the names mean what they mean of planners."""


class Shield:
    """Projects what P policies chose on the barrier's condition, one planner per policy.

    Args:
        policies: the planners, of which only barrier, calibration and one-step model act.

    Attributes:
        flags: names of what is noted of every decision.
    """

    flags = tuple(PLANNING + name for name in SHIELD_FLAGS)

    def __init__(self, policies: Sequence[PlanningPolicy]) -> None:
        self.policies = tuple(policies)

    def meet(self, env: VectorEnv, kind: str) -> None:
        """Know the environment's own dynamics, which ``projection_model`` may ask for."""
        for policy in self.policies:
            policy.dynamics = env.dynamics(kind)

    def move(self, device: torch.device) -> None:
        """Move the planners."""
        for policy in self.policies:
            policy.planner.to(device)

    def __call__(self, views: torch.Tensor, choice: Choice) -> Choice:
        """The choice ``[P, B, D]`` for views ``[P, B, V]`` with projected actions and flags ``[P, B]``."""
        parts = [
            policy.shielded(seen, chosen)
            for policy, seen, chosen in zip(self.policies, views, choice.actions, strict=True)
        ]
        noted = {PLANNING + name: torch.stack([flags[name] for _, flags in parts]) for name in SHIELD_FLAGS}
        actions = torch.stack([action for action, _ in parts])
        return choice._replace(actions=actions, flags={**choice.flags, **noted})


def put_behind(actors: Sequence[Actor], shield: Mapping[str, Policy]) -> None:
    """Have planners of another team correct what actors choose.

    Args:
        actors: of policies that do not plan themselves.
        shield: policy → planner; a single one serves all policies.

    Raises:
        SafeMARLError: the shield does not plan, or does not fit the actors; one line.
    """
    for actor in actors:
        if isinstance(actor, PlanningActor):
            raise SafeMARLError("policies that plan need no shield: they have a projection of their own.")
        planners = [_planner_of(group.policy, shield) for group in actor.groups]
        actor.put_behind(Shield(planners))


def _planner_of(name: str, shield: Mapping[str, Policy]) -> PlanningPolicy:
    found = shield.get(name, next(iter(shield.values())) if len(shield) == 1 else None)
    if found is None:
        raise SafeMARLError(f"the shield has no policy {name!r}; it has {', '.join(shield)}.")
    if not isinstance(found, PlanningPolicy):
        raise SafeMARLError(
            "a shield must be a planner with a barrier, such as one of DIFFUSION_CBF: this one is none."
        )
    if found.planner.action.choices:
        raise SafeMARLError("a shield corrects actions that are real numbers; these are choices.")
    # With state of its own.
    return PlanningPolicy(found.planner)
