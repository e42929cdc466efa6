"""Policies that act without Ray: networks with a distribution, recurrent or not, and those that decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from gymnasium.spaces.utils import flatdim

from rllib_safemarl.envs.team import Group
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.distributions import ActionDistribution, DiagonalGaussian
from rllib_safemarl.nn.mlp import PolicyMLP
from rllib_safemarl.policies.actor import Actor, StackActor, stack_by_shape
from rllib_safemarl.policies.deciding import DecidingActor, DecidingPolicy
from rllib_safemarl.policies.lstm_actor import LSTMActor, LSTMPolicy
from rllib_safemarl.policies.planning import PlanningPolicy
from rllib_safemarl.policies.planning_actor import PlanningActor


@dataclass(frozen=True)
class MLPPolicy:
    """A network from views to the inputs of a distribution of actions.

    Attributes:
        network: the layers.
        distribution: of the actions.
    """

    network: PolicyMLP
    distribution: ActionDistribution


Policy = MLPPolicy | LSTMPolicy | DecidingPolicy


def deciding_actor(
    group: Group, policy: DecidingPolicy, normalize_actions: bool, clip_actions: bool
) -> DecidingActor:
    """The acting side of a policy that decides; of planners one that keeps what was planned."""
    kind = PlanningActor if isinstance(policy, PlanningPolicy) else DecidingActor
    return kind(group, policy, normalize_actions, clip_actions)


def check_outputs(group: Group, policy: Policy) -> None:
    """Refuse a network with more or fewer outputs than its distribution of the group's actions takes.

    Raises:
        SafeMARLError: it has.
    """
    if isinstance(policy, DecidingPolicy):
        return
    last = policy.network if isinstance(policy, MLPPolicy) else policy.network.after
    given = sum(len(part) for part in (*last.biases[-1:], *([] if last.log_std is None else [last.log_std])))
    needed = flatdim(group.action_space) * (2 if isinstance(policy.distribution, DiagonalGaussian) else 1)
    if given != needed:
        raise SafeMARLError(
            f"the network of policy {group.policy!r} has {given} outputs, and {group.action_space} needs "
            f"{needed}: its files are damaged."
        )


def policy_actors(
    groups: Sequence[Group], policies: Mapping[str, Policy], normalize_actions: bool, clip_actions: bool
) -> list[Actor]:
    """Actors for all groups: MLPs of equal shape together, those that remember or decide one by one.

    Args:
        groups: of a team.
        policies: policy → what it is.
        normalize_actions: as in RLlib, see :class:`ActionTransform`.
        clip_actions: as in RLlib.
    """
    actors: list[Actor] = []
    plain: dict[str, MLPPolicy] = {}
    for group in groups:
        policy = policies[group.policy]
        if isinstance(policy, MLPPolicy):
            plain[group.policy] = policy
        elif isinstance(policy, LSTMPolicy):
            actors.append(LSTMActor(group, policy, normalize_actions, clip_actions))
        else:
            actors.append(deciding_actor(group, policy, normalize_actions, clip_actions))
    networks = {name: policy.network for name, policy in plain.items()}
    for members in stack_by_shape([group for group in groups if group.policy in plain], networks):
        stacked = [networks[group.policy] for group in members]
        distribution = plain[members[0].policy].distribution
        actors.append(
            StackActor(members, partial(list, stacked), distribution, normalize_actions, clip_actions)
        )
    return actors
