"""Actors for RLModules: plain MLPs together, others by their own forward methods, alike ones stacked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ray.rllib.core.rl_module.multi_rl_module import MultiRLModule
from ray.rllib.core.rl_module.rl_module import RLModule

from rllib_safemarl.envs.team import Group
from rllib_safemarl.nn.mlp import PolicyMLP
from rllib_safemarl.policies.actor import Actor, StackActor, stack_by_shape
from rllib_safemarl.policies.kinds import MLPPolicy, Policy, deciding_actor
from rllib_safemarl.policies.lstm_actor import LSTMPolicy
from rllib_safemarl.rollout.deciding_module import deciding_policy
from rllib_safemarl.rollout.distributions import distribution_of
from rllib_safemarl.rollout.module_actor import ModuleActor
from rllib_safemarl.rollout.recurrent_actor import RecurrentActor
from rllib_safemarl.rollout.rl_module import policy_lstm, policy_mlp
from rllib_safemarl.rollout.stacked_module_actor import stack_module_actors


def make_actors(
    groups: Sequence[Group], module: MultiRLModule, normalize_actions: bool, clip_actions: bool
) -> list[Actor]:
    """Actors for all groups: MLPs of equal shape together, any other module by itself."""
    plain = policy_mlps(groups, module)
    actors: list[Actor] = []
    single: list[ModuleActor] = []
    transform = {"normalize_actions": normalize_actions, "clip_actions": clip_actions}
    for group in groups:
        deciding = deciding_policy(module[group.policy])
        if deciding is not None:
            actors.append(deciding_actor(group, deciding, **transform))
        elif module[group.policy].is_stateful():
            actors.append(RecurrentActor(group, module[group.policy], **transform))
        elif group.policy not in plain:
            single.append(ModuleActor(group, module[group.policy], **transform))
    actors += stack_module_actors(single, **transform)
    for members in stack_by_shape([g for g in groups if g.policy in plain], plain):
        modules = [module[group.policy] for group in members]
        actors.append(
            StackActor(
                members,
                partial(_networks, modules),
                distribution_of(modules[0]),
                **transform,
            )
        )
    return actors


def portable_policies(groups: Sequence[Group], module: MultiRLModule) -> dict[str, Policy]:
    """Those policies that can act without Ray, sharing the modules' parameters."""
    found: dict[str, Policy] = {
        name: MLPPolicy(network, distribution_of(module[name]))
        for name, network in policy_mlps(groups, module).items()
    }
    for group in groups:
        deciding, recurrent = deciding_policy(module[group.policy]), policy_lstm(module[group.policy])
        if deciding is not None:
            found[group.policy] = deciding.fresh()
        elif recurrent is not None and _is_flat(group):
            found[group.policy] = LSTMPolicy(recurrent, distribution_of(module[group.policy]))
    return found


def policy_mlps(groups: Sequence[Group], module: MultiRLModule) -> dict[str, PolicyMLP]:
    """Networks of those policies that are plain MLPs on flat views, sharing the modules' parameters."""
    found = {group.policy: policy_mlp(module[group.policy]) for group in groups}
    flat = {group.policy for group in groups if _is_flat(group)}
    return {policy: mlp for policy, mlp in found.items() if mlp is not None and policy in flat}


def _is_flat(group: Group) -> bool:
    return len(group.observation_space.shape or ()) == 1


def _networks(modules: Sequence[RLModule]) -> list[PolicyMLP]:
    return [network for network in map(policy_mlp, modules) if network is not None]
