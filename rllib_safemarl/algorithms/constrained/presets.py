"""Names for points in the core: who is seen, how the step is taken, how constraints act."""

from __future__ import annotations

import math

from rllib_safemarl.algorithms.constrained.algorithm import ConstrainedPolicyOptimization
from rllib_safemarl.algorithms.constrained.config import ConstrainedConfig


class ScalMAPPOLConfig(ConstrainedConfig):
    """Scal-MAPPO-L (Zhang et al., NeurIPS 2024): κ-hop policies and critics, in sequence, Lagrangian."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or ScalMAPPOL)


class ScalMAPPOL(ConstrainedPolicyOptimization):
    """Registered as ``SCAL_MAPPO_L``."""

    @classmethod
    def get_default_config(cls) -> ScalMAPPOLConfig:
        """Its preset."""
        return ScalMAPPOLConfig()
