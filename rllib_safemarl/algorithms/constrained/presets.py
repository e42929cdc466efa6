"""Names for points in the core: who is seen, how the step is taken, how constraints act."""

from __future__ import annotations

import math

from rllib_safemarl.algorithms.constrained.algorithm import ConstrainedPolicyOptimization
from rllib_safemarl.algorithms.constrained.config import ConstrainedConfig


class IPPOConfig(ConstrainedConfig):
    """Independent PPO: every agent learns from its own view, reward and critic; unconstrained."""

    fixed_radius = True

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or IPPO)
        self.policy_hops, self.critic_hops = 0, 0
        self.reward_scope, self.sequential, self.multiplier = "own", False, "none"


class MAPPOConfig(ConstrainedConfig):
    """MAPPO (Yu et al. 2022): own-view policies, global critics, simultaneous; unconstrained."""

    fixed_radius = True

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or MAPPO)
        self.policy_hops, self.critic_hops = 0, math.inf
        self.sequential, self.multiplier = False, "none"


class HAPPOConfig(ConstrainedConfig):
    """HAPPO (Kuba et al. 2022): MAPPO in sequence under the factor of all; unconstrained."""

    fixed_radius = True

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or HAPPO)
        self.policy_hops, self.critic_hops = 0, math.inf
        self.factor_scope, self.multiplier = "all", "none"


class MAPPOLConfig(ConstrainedConfig):
    """MAPPO-Lagrangian (Gu et al. 2023): HAPPO with multipliers on every agent's costs."""

    fixed_radius = True

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or MAPPOL)
        self.policy_hops, self.critic_hops = 0, math.inf
        self.factor_scope = "all"


class ScalMAPPOLConfig(ConstrainedConfig):
    """Scal-MAPPO-L (Zhang et al. 2024): κ-hop policies and critics, in sequence, with multipliers."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or ScalMAPPOL)


class IPPO(ConstrainedPolicyOptimization):
    """See :class:`IPPOConfig`."""

    config_class = IPPOConfig


class MAPPO(ConstrainedPolicyOptimization):
    """See :class:`MAPPOConfig`."""

    config_class = MAPPOConfig


class HAPPO(ConstrainedPolicyOptimization):
    """See :class:`HAPPOConfig`."""

    config_class = HAPPOConfig


class MAPPOL(ConstrainedPolicyOptimization):
    """See :class:`MAPPOLConfig`."""

    config_class = MAPPOLConfig


class ScalMAPPOL(ConstrainedPolicyOptimization):
    """See :class:`ScalMAPPOLConfig`."""

    config_class = ScalMAPPOLConfig


PRESETS: dict[str, type[ConstrainedPolicyOptimization]] = {
    "IPPO": IPPO,
    "MAPPO": MAPPO,
    "HAPPO": HAPPO,
    "MAPPO_L": MAPPOL,
    "SCAL_MAPPO_L": ScalMAPPOL,
}
"""Name under which Ray knows each algorithm."""
