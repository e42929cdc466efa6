"""Names for points in the core: who is seen, how the step is taken, how constraints act."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rllib_safemarl.algorithms.constrained.algorithm import ConstrainedPolicyOptimization
from rllib_safemarl.algorithms.constrained.config import ConstrainedConfig, with_presets


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


AS_PUBLISHED: dict[str, Any] = {
    "lr": 9e-5,
    "critic_lr": 5e-3,
    "gamma": 0.99,
    "clip_param": 0.2,
    "factor_clip": math.inf,
    "num_envs_per_env_runner": 16,
    "train_batch_size": 16_000,
    "num_epochs": 5,
    "minibatch_size": 400,
    "multiplier_init": 0.78,
    "multiplier_lr": 2e-7,
}
"""Of MAPPO-L on Safe MAMuJoCo, in our units: see :class:`MAPPOLConfig`."""


class MAPPOLConfig(ConstrainedConfig):
    """MAPPO-Lagrangian (Gu et al. 2023): HAPPO with multipliers on every agent's costs.

    ``preset="published"`` is the authors' script for Safe MAMuJoCo: 16 copies, 1000 steps of each in 40
    minibatches of 5 epochs, a free factor, and multipliers that start at 0.78 and move by
    ``1e-7 · (1 - γ)`` per unit of cost and minibatch, which over 200 minibatches is 2e-7 an iteration: in
    effect a fixed penalty. It is there to be compared with, and not the default.
    """

    settings = with_presets("published")
    presets: Mapping[str, Mapping[str, Any]] = {"published": AS_PUBLISHED}
    fixed_radius = True

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or MAPPOL)
        self.policy_hops, self.critic_hops = 0, math.inf
        self.factor_scope = "all"


class MAPPOPIDConfig(ConstrainedConfig):
    """MAPPO-L whose multipliers follow a PID controller (Stooke et al. 2020)."""

    fixed_radius = True

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or MAPPOPID)
        self.policy_hops, self.critic_hops = 0, math.inf
        self.factor_scope, self.multiplier = "all", "pid"


class MACPOConfig(ConstrainedConfig):
    """MACPO (Gu et al. 2023): constrained policy optimisation, one agent's trust region after another."""

    fixed_radius = True

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or MACPO)
        self.policy_hops, self.critic_hops = 0, math.inf
        self.factor_scope, self.multiplier = "all", "cpo"
        self.step, self.target_kl = "trust_region", 0.01


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


class MAPPOPID(ConstrainedPolicyOptimization):
    """See :class:`MAPPOPIDConfig`."""

    config_class = MAPPOPIDConfig


class MACPO(ConstrainedPolicyOptimization):
    """See :class:`MACPOConfig`."""

    config_class = MACPOConfig


class ScalMAPPOL(ConstrainedPolicyOptimization):
    """See :class:`ScalMAPPOLConfig`."""

    config_class = ScalMAPPOLConfig


PRESETS: dict[str, type[ConstrainedPolicyOptimization]] = {
    "IPPO": IPPO,
    "MAPPO": MAPPO,
    "HAPPO": HAPPO,
    "MAPPO_L": MAPPOL,
    "MAPPO_PID": MAPPOPID,
    "MACPO": MACPO,
    "SCAL_MAPPO_L": ScalMAPPOL,
}
"""Name under which Ray knows each algorithm."""
