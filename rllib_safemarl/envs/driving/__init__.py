"""Driving among others on roads of highway-env: see :class:`DrivingVectorEnv`."""

from rllib_safemarl.envs.driving.config import DrivingConfig
from rllib_safemarl.envs.driving.env import DrivingVectorEnv

__all__ = ["DrivingConfig", "DrivingVectorEnv"]
