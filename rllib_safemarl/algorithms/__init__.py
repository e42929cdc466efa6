"""Algorithms under RLlib; importing this package registers all of them, and our environments, with Ray."""

from ray.tune.registry import register_trainable

from rllib_safemarl.algorithms.constrained.algorithm import ConstrainedPolicyOptimization
from rllib_safemarl.algorithms.constrained.config import ConstrainedConfig
from rllib_safemarl.algorithms.constrained.presets import (
    HAPPO,
    IPPO,
    MACPO,
    MAPPO,
    MAPPOL,
    MAPPOPID,
    PRESETS,
    HAPPOConfig,
    IPPOConfig,
    MACPOConfig,
    MAPPOConfig,
    MAPPOLConfig,
    MAPPOPIDConfig,
    ScalMAPPOL,
    ScalMAPPOLConfig,
)
from rllib_safemarl.algorithms.diffusion_cbf.config import (
    DiffusionCBF,
    DiffusionCBFConfig,
    DiffusionReturn,
    DiffusionReturnConfig,
)
from rllib_safemarl.algorithms.diffusion_cbf.madiff import MADiff, MADiffConfig
from rllib_safemarl.algorithms.offline.behaviour_cloning import MABC, MABCConfig, MABCSafe, MABCSafeConfig
from rllib_safemarl.algorithms.offline_actor_critic.config import OfflineActorCriticConfig
from rllib_safemarl.algorithms.offline_actor_critic.fisor import FISOR, FISORConfig
from rllib_safemarl.algorithms.offline_actor_critic.presets import (
    CPQ,
    MADDPG,
    MADDPGCQL,
    OFFLINE_PRESETS,
    TD3BCPID,
    CPQConfig,
    IndependentQ,
    IndependentQConfig,
    IndependentQCQL,
    IndependentQCQLConfig,
    IndependentTD3BC,
    IndependentTD3BCConfig,
    MADDPGConfig,
    MADDPGCQLConfig,
    OfflineCUP,
    OfflineCUPConfig,
    TD3BCPIDConfig,
)
from rllib_safemarl.rollout.multi_agent_env import register_environments

ALGORITHMS: dict[str, type] = {
    **PRESETS,
    "MABC": MABC,
    "MABC_SAFE": MABCSafe,
    "DIFFUSION_CBF": DiffusionCBF,
    "DIFFUSION_RETURN": DiffusionReturn,
    "MADIFF": MADiff,
    **OFFLINE_PRESETS,
}
"""Name → Algorithm class of everything this package offers."""


def register() -> None:
    """Register every algorithm and environment with Ray, under their names."""
    for name, algorithm in ALGORITHMS.items():
        register_trainable(name, algorithm)
    register_environments()


register()

__all__ = [
    "ALGORITHMS",
    "CPQ",
    "FISOR",
    "HAPPO",
    "IPPO",
    "MABC",
    "MACPO",
    "MADDPG",
    "MADDPGCQL",
    "MAPPO",
    "MAPPOL",
    "MAPPOPID",
    "TD3BCPID",
    "CPQConfig",
    "ConstrainedConfig",
    "ConstrainedPolicyOptimization",
    "DiffusionCBF",
    "DiffusionCBFConfig",
    "DiffusionReturn",
    "DiffusionReturnConfig",
    "FISORConfig",
    "HAPPOConfig",
    "IPPOConfig",
    "IndependentQ",
    "IndependentQCQL",
    "IndependentQCQLConfig",
    "IndependentQConfig",
    "IndependentTD3BC",
    "IndependentTD3BCConfig",
    "MABCConfig",
    "MABCSafe",
    "MABCSafeConfig",
    "MACPOConfig",
    "MADDPGCQLConfig",
    "MADDPGConfig",
    "MADiff",
    "MADiffConfig",
    "MAPPOConfig",
    "MAPPOLConfig",
    "MAPPOPIDConfig",
    "OfflineActorCriticConfig",
    "OfflineCUP",
    "OfflineCUPConfig",
    "ScalMAPPOL",
    "ScalMAPPOLConfig",
    "TD3BCPIDConfig",
    "register",
]
