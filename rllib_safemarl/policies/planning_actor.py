"""The acting side of planners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rllib_safemarl.envs.team import Group
from rllib_safemarl.envs.vector import VectorEnv
from rllib_safemarl.policies.actor import Actor, Choice
from rllib_safemarl.policies.decisions import FLAGS
from rllib_safemarl.policies.planning import PlanningPolicy

PLANNING = "planning/"
"""What the names of planners' flags begin with."""


class Planned(NamedTuple):
    """What G agents planned in N copies.

    Attributes:
        values: ``[N, G, M, H + 1, F]`` features along M plans.
        barrier: ``[N, G, M, H + 1]`` h̃ along them.
        chosen: ``[N, G]`` the plan that is followed.
    """

    values: NDArray[np.float32]
    barrier: NDArray[np.float32]
    chosen: NDArray[np.int64]


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

    def meet(self, env: VectorEnv) -> None:
        """Know the environment's own dynamics, which ``projection_model`` may ask for."""
        self.policy.dynamics = env.dynamics(self.kind)

    def begin(self) -> None:
        """Forget the last plans."""
        self.policy.forget()

    def planned(self, features: Sequence[int]) -> Planned:
        """Features of the agents' own observations along what was planned last, in their own units.

        Args:
            features: F indices into the own observation.
        """
        decision, planner = self.policy.decision, self.policy.planner
        assert decision is not None, "choose() first"
        at, agents = list(features), len(self.groups[0].rows)
        values = decision.plans[..., at] * planner.deviation[at] + planner.mean[at]
        parts = (values, decision.barrier, decision.chosen)
        return Planned(*(part.unflatten(0, (-1, agents)).cpu().numpy() for part in parts))

    def choose(self, views: torch.Tensor, explore: bool, generator: torch.Generator) -> Choice:
        """Plan for every view."""
        decision = self.policy.decide(views[0])
        flags = {PLANNING + name: flag for name, flag in decision.flags.items()}
        return Choice(decision.actions[None], flags=flags)
