"""The acting side of planners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.vector import VectorEnv
from rllib_safemarl.policies.deciding import DecidingActor
from rllib_safemarl.policies.planning import PlanningPolicy


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


class PlanningActor(DecidingActor):
    """One policy that plans.

    Attributes:
        policy: the policy, which keeps what it planned last.
    """

    policy: PlanningPolicy

    def meet(self, env: VectorEnv) -> None:
        """Know the environment's own dynamics, which ``projection_model`` may ask for."""
        self.policy.dynamics = env.dynamics(self.kind)

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
