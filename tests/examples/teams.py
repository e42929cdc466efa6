"""Teams with untrained networks, to be exported and acted by."""

from __future__ import annotations

import torch

from rllib_safemarl import make_vector
from rllib_safemarl.envs.team import describe_team, make_groups, make_views
from rllib_safemarl.functional.distributions import DiagonalGaussian
from rllib_safemarl.nn.mlp import PolicyMLP
from rllib_safemarl.policies import TeamPolicy
from rllib_safemarl.policies.acting_team import PolicySettings
from rllib_safemarl.policies.kinds import MLPPolicy


def crossing_policy(kappa, **env_config):
    """An environment of crossing robots, and their policies with networks of their own."""
    env = make_vector("safemarl/crossing", 1, **env_config)
    team, settings = describe_team(env, None), PolicySettings(kappa, 4, True, False)
    groups = make_groups(team, make_views(team, kappa, 4), own_spaces=False)
    torch.manual_seed(0)
    networks = {}
    for group in groups:
        size = group.observation_space.shape[0]
        weights = torch.randn(size, 8) / size**0.5, torch.randn(8, 2)
        layers = PolicyMLP(weights, (torch.zeros(8), torch.zeros(2)), ("tanh", "linear"), torch.zeros(2))
        networks[group.policy] = MLPPolicy(layers, DiagonalGaussian())
    return env, TeamPolicy(team, networks, settings)
