"""Losses of critics and actors; rows are steps of single agents, each a mean over those that acted."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rllib_safemarl.algorithms.offline_actor_critic.actor_critic import ActorCritic
from rllib_safemarl.algorithms.offline_actor_critic.batches import Transitions
from rllib_safemarl.functional.conservative_q import (
    conservative_gap,
    nearby_actions,
    uniform_actions,
    uniform_density,
)


def bellman_targets(
    rows: Transitions, next_values: Tensor, scales: Tensor, gamma: float, held: NDArray[np.intp] | None = None
) -> Tensor:
    """``r + γ Q'`` and ``c + γ Q_c'`` in units of the scales, without Q' where nothing comes after.

    Args:
        rows: M steps.
        next_values: ``[1 + C, M]``, in units of the scales.
        scales: ``[1 + C]``.
        gamma: discount per step.
        held: ``[C]`` indices of the costs; none where not given.
    """
    costs = rows.cost[:, :0] if held is None else rows.cost[:, held]
    signals = torch.cat([rows.reward[None], costs.T]) / scales[:, None]
    return signals + gamma * torch.where(rows.ended, 0.0, next_values)


def conservative_loss(
    agent: ActorCritic,
    rows: Transitions,
    x: Tensor,
    recorded: Tensor,
    config: Any,
    generator: torch.Generator,
) -> Tensor:
    """CQL's term ``[M]``, weighted, of both reward critics; the others act as in the data.

    Args:
        agent: whose.
        rows: M steps.
        x: ``[M, F]`` features.
        recorded: ``[2, M]`` the twins' values of the data's actions.
        config: settings.
        generator: of sampled actions, on the CPU.
    """
    assert agent.critics is not None
    sampled, log_density = sampled_actions(agent, rows, config, generator)
    values = agent.critics.q[0](x, sampled)
    if not agent.layout.choices:
        # Where few actions are sampled of a continuum, a peak at the data's own would pay without end.
        values = torch.cat([values, recorded.unsqueeze(1)], 1)
        log_density = torch.cat([log_density, uniform_density(agent.low, agent.high).expand(1, len(x))])
    return config.cql_weight * conservative_gap(values, log_density, recorded).sum(0)


@torch.no_grad()
def sampled_actions(
    agent: ActorCritic, rows: Transitions, config: Any, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Encoded actions ``[S, M, E]`` to compare the data's with, and their log density ``[S, M]``."""
    count = len(rows.views)
    if agent.layout.choices:
        every = every_choice(agent)
        density = every.new_full((len(every), count), 1.0 / len(every)).log()
        return every[:, None].expand(-1, count, -1), density
    shape = (2, config.cql_samples, count, agent.layout.size)
    uniform = torch.rand(shape, generator=generator).to(rows.views.device)
    centre = agent.policy.distribution.mode(agent.policy.inputs(rows.views))
    everywhere = uniform_actions(agent.low, agent.high, uniform[0])
    near = nearby_actions(centre, config.cql_reach, agent.low, agent.high, uniform[1])
    actions, density = (torch.cat(pair) for pair in zip(everywhere, near, strict=True))
    return actions, density


def every_choice(agent: ActorCritic) -> Tensor:
    """All of the agent's choices, encoded ``[N, E]``."""
    every = agent.layout.every()
    encoded = agent.layout.encode(every[:, 0] if agent.layout.single else every)
    return encoded.to(agent.policy.parameters[0].device)


def values_of_policy(
    agent: ActorCritic, inputs: Tensor, x: Tensor, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Q ``[M]`` and Q_c ``[C, M]`` of the policy's own actions, in units of reward and cost.

    Args:
        agent: whose.
        inputs: ``[M, P]`` of its distribution.
        x: ``[M, F]`` features.
        generator: of sampled real actions, on the CPU; without one the mode is valued. Of choices it is the
            mean over all of them.
    """
    critics, scales = agent.critics, agent.scales
    assert critics is not None
    if not agent.layout.choices:
        distribution = agent.policy.distribution
        chosen = distribution.mode(inputs) if generator is None else distribution.sample(inputs, generator)
        actions = agent.within(chosen)
        return critics.reward(x, actions) * scales[0], critics.costs(x, actions) * scales[1:, None]
    every = every_choice(agent)
    actions = every[:, None]
    probabilities = agent.choice_probabilities(inputs)
    reward = (probabilities * critics.reward(x, actions)).sum(0)
    costs = (probabilities * critics.costs(x, actions)).sum(1)
    return reward * scales[0], costs * scales[1:, None]


def double_q_losses(agent: ActorCritic, rows: Transitions, config: Any) -> dict[str, Tensor]:
    """Double Q-learning (van Hasselt et al. 2016), ``[M]``, of a policy that puts out Q of its choices.

    The policy chooses what its slow copy values: ``r + γ Q̄(s', argmax_a Q(s', a))``.
    """
    values = agent.policy.inputs(rows.views)
    recorded = values.gather(-1, rows.actions.long().unsqueeze(-1))[:, 0]
    with torch.no_grad():
        best = agent.policy.inputs(rows.next_views).argmax(-1, keepdim=True)
        upcoming = agent.target.inputs(rows.next_views).gather(-1, best).T
        target = bellman_targets(rows, upcoming, agent.scales[:1], config.gamma)[0]
    losses = {"critic_loss": (recorded - target).square()}
    if config.conservatism == "cql":
        losses["cql_loss"] = config.cql_weight * (values.logsumexp(-1) - recorded)
    return losses


def distance_to_data(agent: ActorCritic, inputs: Tensor, actions: Tensor) -> Tensor:
    """``[M]`` squared distance per dimension of real deterministic actions; else minus the log-likelihood."""
    if agent.is_deterministic:
        return (inputs - actions).square().mean(-1)
    return -agent.policy.distribution.log_prob(inputs, actions)


def actor_loss(objective: Tensor, scale: Tensor | float, distance: Tensor | None, weight: float) -> Tensor:
    """``-α Q / mean|Q| + distance`` of TD3+BC (Fujimoto & Gu 2021, eqs. 4 and 5), ``[M]``.

    Args:
        objective: ``[M]`` Q, costs included.
        scale: mean magnitude of Q.
        distance: ``[M]`` to the data's actions, or ``None``.
        weight: α.
    """
    gain = -objective / scale
    return gain if distance is None else weight * gain + distance
