"""Safe multi-agent MuJoCo: see :class:`MujocoVectorEnv`. Nothing here imports mujoco before it is needed."""

from rllib_safemarl.envs.mujoco.config import MujocoConfig
from rllib_safemarl.envs.mujoco.env import MujocoVectorEnv

__all__ = ["MujocoConfig", "MujocoVectorEnv"]
