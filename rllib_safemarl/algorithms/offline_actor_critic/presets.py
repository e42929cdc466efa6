"""Names for points in the core: who is seen, how conservative, how constraints act."""

from __future__ import annotations

import math
from typing import Any

from rllib_safemarl.algorithms.offline.algorithm import OfflineAlgorithm
from rllib_safemarl.algorithms.offline_actor_critic.config import OfflineActorCriticConfig
from rllib_safemarl.algorithms.offline_actor_critic.fisor import FISOR


class IndependentQConfig(OfflineActorCriticConfig):
    """Independent Q-learning (Tan 1993): every agent for itself, the others being part of its world.

    Choices: double Q-learning, without an actor. Real actions: an actor finds the largest Q, as in TD3.
    """

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or IndependentQ)
        self.choice_actor = "greedy"


class IndependentQCQLConfig(IndependentQConfig):
    """INDEPENDENT_Q with the conservative term of CQL (Kumar et al. 2020)."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or IndependentQCQL)
        self.conservatism = "cql"


class IndependentTD3BCConfig(OfflineActorCriticConfig):
    """TD3+BC (Fujimoto & Gu 2021) per agent; choices by logits that stay likely."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or IndependentTD3BC)
        self.conservatism = "bc"


class MADDPGConfig(OfflineActorCriticConfig):
    """MADDPG (Lowe et al. 2017) with TD3's twin critics, which see everyone's observations and actions.

    Offline it overestimates actions that the data do not hold: it is here to be compared with.
    """

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or MADDPG)
        self.critic_hops, self.critic_actions = math.inf, "seen"
        self.reward_scope = "team"


class MADDPGCQLConfig(MADDPGConfig):
    """MADDPG with the conservative term of CQL, one agent's actions at a time."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or MADDPGCQL)
        self.conservatism = "cql"


class TD3BCPIDConfig(IndependentTD3BCConfig):
    """TD3+BC on ``Q - λ Q_c``, λ by a PID controller (Stooke et al. 2020) of the estimated episode cost."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or TD3BCPID)
        self.constraint = "pid"


class OfflineCUPConfig(OfflineActorCriticConfig):
    """CUP (Yang et al. 2022) from data alone: the best policy near the data's within the limits, cloned.

    Its actions are the data's, so that nobody need be wary of others, and its dual takes Q_c at its word.
    """

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or OfflineCUP)
        self.actor, self.constraint, self.cost_twins = "gaussian", "cup", "mean"


class CPQConfig(OfflineActorCriticConfig):
    """Constraints-penalised Q-learning (Xu et al. 2022)."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or CPQ)
        self.actor, self.constraint = "gaussian", "cpq"


class IndependentQ(OfflineAlgorithm):
    """See :class:`IndependentQConfig`."""

    config_class: Any = IndependentQConfig


class IndependentQCQL(OfflineAlgorithm):
    """See :class:`IndependentQCQLConfig`."""

    config_class: Any = IndependentQCQLConfig


class IndependentTD3BC(OfflineAlgorithm):
    """See :class:`IndependentTD3BCConfig`."""

    config_class: Any = IndependentTD3BCConfig


class MADDPG(OfflineAlgorithm):
    """See :class:`MADDPGConfig`."""

    config_class: Any = MADDPGConfig


class MADDPGCQL(OfflineAlgorithm):
    """See :class:`MADDPGCQLConfig`."""

    config_class: Any = MADDPGCQLConfig


class TD3BCPID(OfflineAlgorithm):
    """See :class:`TD3BCPIDConfig`."""

    config_class: Any = TD3BCPIDConfig


class OfflineCUP(OfflineAlgorithm):
    """See :class:`OfflineCUPConfig`."""

    config_class: Any = OfflineCUPConfig


class CPQ(OfflineAlgorithm):
    """See :class:`CPQConfig`."""

    config_class: Any = CPQConfig


OFFLINE_PRESETS: dict[str, type[OfflineAlgorithm]] = {
    "INDEPENDENT_Q": IndependentQ,
    "INDEPENDENT_Q_CQL": IndependentQCQL,
    "INDEPENDENT_TD3BC": IndependentTD3BC,
    "MADDPG": MADDPG,
    "MADDPG_CQL": MADDPGCQL,
    "TD3BC_PID": TD3BCPID,
    "OFFLINE_CUP": OfflineCUP,
    "CPQ": CPQ,
    "FISOR": FISOR,
}
"""Name under which Ray knows each algorithm."""
