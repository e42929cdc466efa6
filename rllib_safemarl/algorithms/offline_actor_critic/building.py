"""What is built for every policy, and what it must know of the data."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rllib_safemarl.algorithms.collectives import broadcast
from rllib_safemarl.algorithms.offline_actor_critic.actor_critic import ActorCritic
from rllib_safemarl.algorithms.offline_actor_critic.critics import Critics
from rllib_safemarl.algorithms.offline_actor_critic.scales import value_floor, value_scale, view_scales
from rllib_safemarl.data.normaliser import ColumnStatistics, NormaliserStatistics
from rllib_safemarl.envs.team import Group, Team
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.actions import ActionTransform
from rllib_safemarl.functional.offline_limits import even_unit_value, measured_unit_values
from rllib_safemarl.nn.behaviour_model import BehaviourModel
from rllib_safemarl.offline.source import Source
from rllib_safemarl.policies.layouts import ActionLayout, action_layout
from rllib_safemarl.rollout.network_module import NetworkRLModule

logger = logging.getLogger(__name__)


def make_agent(learner: Any, group: Group) -> ActorCritic:
    """The actor and critics of one policy, equal on every learner.

    Args:
        learner: an :class:`OfflineActorCriticLearner`.
        group: the policy's agents.
    """
    layout, policy = action_layout(group.action_space), learner.policy_of(group)
    if layout.choices and learner.config.choice_actor == "greedy":
        if not layout.single:
            raise SafeMARLError(
                f"policy {group.policy!r} makes {len(layout.choices)} choices at once, and choice_actor="
                "'greedy' values one: set choice_actor='categorical'."
            )
        return ActorCritic(policy, None, layout)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(learner.seed + int(group.agents[0]))
        critics = _make_critics(learner, group, layout).to(learner.device)
    broadcast(critics.parameters())
    return ActorCritic(policy, critics, layout)


def _make_critics(learner: Any, group: Group, layout: ActionLayout) -> Critics:
    config, views = learner.config, learner.viewers[1]
    hiddens = config.critic_layers
    others = 0
    if config.critic_actions == "seen":
        others = views.slots * max(action_layout(each.action_space).encoded for each in learner.groups)
    seen = views.layouts[group.kind].size
    behaviour = None
    if config.constraint == "cpq":
        behaviour = BehaviourModel(seen + others, layout.encoded, layout.choices, hiddens)
    mean_costs = config.cost_twins == "mean"
    return Critics(seen, others, layout.encoded, len(learner.held), hiddens, behaviour, mean_costs)


def set_facts(
    learner: Any, agent: ActorCritic, statistics: NormaliserStatistics, recorded: dict[str, str]
) -> None:
    """Tell networks the scales of the data.

    Args:
        learner: an :class:`OfflineActorCriticLearner`.
        agent: whose networks.
        statistics: of the dataset's columns.
        recorded: kind of the team → its name in the dataset.
    """
    group, config = agent.group, learner.config
    narrow, wide = (
        view_scales(statistics, recorded, group.kind, views.layouts[group.kind]) for views in learner.viewers
    )
    for policy in (agent.policy, agent.target):
        if isinstance(policy.module, NetworkRLModule):
            policy.module.network.set_scales(*narrow)
    if agent.critics is not None:
        agent.critics.set_scales(*wide)
    scales = value_scale(statistics["rewards"], config.gamma)
    if len(learner.held):
        scales = np.concatenate([scales, value_scale(statistics["costs"], config.gamma)[learner.held]])
    bounds = (np.zeros(0), np.zeros(0))
    if not agent.layout.choices:
        bounds = _real_range(learner, group, statistics[f"actions/{recorded[group.kind]}"])
    agent.set_facts(*bounds, scales, value_floor(statistics["rewards"], config.gamma))


def _real_range(learner: Any, group: Group, data: ColumnStatistics) -> tuple[np.ndarray, np.ndarray]:
    """Bounds ``[D]`` of real actions as policies put them out: the space's, where it has none the data's."""
    space, config = group.action_space, learner.config
    if config.has_unit_actions(space):
        return -np.ones(space.shape), np.ones(space.shape)
    transform = ActionTransform(space, config.normalize_actions, config.clip_actions)
    low = np.where(space.bounded_below, space.low, data.low)
    high = np.where(space.bounded_above, space.high, data.high)
    return transform.inverse(low), transform.inverse(high)


def unit_values(source: Source, team: Team, config: Any) -> NDArray[np.float64]:
    """``[C]`` what critics say on average of an episode that costs 1, see ``functional/offline_limits.py``.

    Args:
        source: the dataset.
        team: the team that learns.
        config: of the algorithm.

    Raises:
        SafeMARLError: costs are to be taken for evenly spread, and nothing tells how long episodes are.
    """
    dataset, limit = source.dataset, source.schema.time_limit or team.time_limit
    if limit is None and dataset is None:
        raise SafeMARLError(
            "the dataset has no time limit, by which a cost per episode becomes one per step: give it one by "
            "safemarl data convert, or raise in_memory_bytes."
        )
    steps = float(limit or dataset.lengths.mean()) if dataset is not None else float(limit or 1)
    even = even_unit_value(steps, config.gamma, config.bootstrap_timeouts)
    if config.cost_spread == "even":
        return np.full(len(team.cost_names), even)
    if dataset is None:
        logger.warning("The dataset is streamed, so that costs are taken for evenly spread over episodes.")
        return np.full(len(team.cost_names), even)
    return measured_unit_values(dataset["costs"], dataset.offsets, config.gamma, even)
