"""Robots that swap places: see :class:`CrossingVectorEnv`."""

from rllib_safemarl.envs.crossing.config import CrossingConfig
from rllib_safemarl.envs.crossing.env import CrossingVectorEnv

__all__ = ["CrossingConfig", "CrossingVectorEnv"]
