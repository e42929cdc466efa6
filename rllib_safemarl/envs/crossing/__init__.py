"""Robots that swap places: see :class:`CrossingVectorEnv`."""

from rllib_safemarl.envs.crossing.env import CrossingConfig, CrossingVectorEnv

__all__ = ["CrossingConfig", "CrossingVectorEnv"]
