"""Teams of planners whose networks were drawn at random."""

from __future__ import annotations

import torch

from rllib_safemarl.algorithms import ALGORITHMS
from rllib_safemarl.algorithms.offline.config import team_spaces
from rllib_safemarl.envs.crossing import CrossingVectorEnv
from rllib_safemarl.envs.team import describe_team
from rllib_safemarl.evaluation.trained import TrainedTeam
from rllib_safemarl.policies import TeamPolicy, save_policy
from rllib_safemarl.policies.acting_team import PolicySettings
from rllib_safemarl.rollout.actor import portable_policies

COPIES = 3


def trained_team(name, **changes):
    """A team whose networks were drawn at random, and all facts of the data with them."""
    torch.manual_seed(0)
    denoiser = {"denoiser": "transformer", "denoiser_settings": {"width": 16, "layers": 1}}
    settings = {
        "env": "safemarl/crossing",
        "env_config": {"n_agents": 3, "time_limit": 9},
        "input_": "unused",
        "policies": ["robot"],
        "max_neighbours": 2,
        "plan_horizon": 4,
        "diffusion_steps": 16,
        "model_config": {"fcnet_hiddens": [8]},
        "num_envs_per_env_runner": COPIES,
        "normalize_actions": True,
        **denoiser,
        **changes,
    }
    config = ALGORITHMS[name].get_default_config().update_from_dict(settings)
    team = describe_team(CrossingVectorEnv(1, n_agents=3), config.policy_mapping)
    module = config.get_multi_rl_module_spec(spaces=team_spaces(team, config)).build()
    planner = module["robot"].planner
    if name == "MADIFF":
        planner.team_size.fill_(3)
    with torch.no_grad():
        for tensor in planner.state_dict().values():
            if tensor.is_floating_point() and tensor.dim():
                tensor.add_(0.05 * torch.randn(tensor.shape))
        planner.rate.fill_(0.1)
        # As many dangerous episodes as a β of 0.95 takes.
        planner.scores[0, :21] = torch.tensor([-0.2, 0.0, 0.1]).repeat(7)
    return TrainedTeam(config, team, module.get_state()), module


def write(trained, module, path):
    """Their policy file."""
    runner = trained.runner({"explore": False}, 1)
    policy = TeamPolicy(
        trained.team, portable_policies(runner.groups, module), PolicySettings(1.0, 2, True, False)
    )
    runner.stop()
    return save_policy(policy, path)
