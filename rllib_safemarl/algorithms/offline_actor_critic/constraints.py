"""How constraints act on critics and actors: not at all, by multipliers, or by projection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rllib_safemarl.algorithms.collectives import gather_last, own_part, sum_arrays
from rllib_safemarl.algorithms.offline_actor_critic.actor_critic import ActorCritic
from rllib_safemarl.algorithms.offline_actor_critic.batches import Transitions
from rllib_safemarl.algorithms.offline_actor_critic.losses import (
    actor_loss,
    distance_to_data,
    values_of_policy,
)
from rllib_safemarl.algorithms.results import EPISODE_COST_ESTIMATE
from rllib_safemarl.functional.cost_projection import (
    projection_logits,
    projection_multipliers,
    projection_weights,
)
from rllib_safemarl.functional.multipliers import PIDGains, PIDState, pid_control

LARGEST_MULTIPLIER = 3.0
"""Of a projection, in deviations of A per deviation of A_c; published code bounds ν as well. Where no weights
keep to a limit, more would clone the few cheapest samples, whatever states they are of."""


class Constraint:
    """The base: costs are not looked at.

    Args:
        learner: an :class:`OfflineActorCriticLearner`.
    """

    def __init__(self, learner: Any) -> None:
        self.learner, self.config = learner, learner.config
        self.held = learner.held
        self.limits = (1.0 - self.config.limit_margin) * self.config.limits(learner.team)[self.held]
        """``[C]`` per episode, undiscounted."""

    def next_values(self, agent: ActorCritic, values: Tensor) -> Tensor:
        """Values ``[1 + C, M]`` of what comes next, as targets take them."""
        return values

    def critic_losses(self, agent: ActorCritic, rows: Transitions, x: Tensor) -> dict[str, Tensor]:
        """Losses of critics, name → ``[M]``, beside those of the temporal differences."""
        return {}

    def actor_loss(self, agent: ActorCritic, rows: Transitions, x: Tensor) -> Tensor:
        """``[M]`` what the actor descends; see :func:`losses.actor_loss`."""
        inputs = agent.policy.inputs(rows.views)
        reward, costs = values_of_policy(agent, inputs, x, self.learner.generator)
        gain, magnitude = self.gain(agent, rows, reward, costs)
        scale = max(self.learner.overall_mean(agent.group.policy, magnitude.detach(), rows), 1e-6)
        near = self.config.conservatism == "bc"
        distance = distance_to_data(agent, inputs, rows.actions) if near else None
        return actor_loss(gain, scale, distance, self.config.q_weight)

    def gain(
        self, agent: ActorCritic, rows: Transitions, reward: Tensor, costs: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What the actor ascends, and its magnitude, ``[M]`` each; ``reward [M]``, ``costs [C, M]``."""
        return reward, reward.abs()

    def end_iteration(self) -> None:
        """Move what moves once in an iteration, and report."""

    def get_state(self) -> dict[str, Any]:
        """What must survive."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`get_state`."""

    def note(self, policy: str, multipliers: Any, costs: Any) -> None:
        """Have ``[C]`` multipliers, and estimated costs per episode, reported, by name."""
        for c, number in enumerate(self.held):
            name = self.learner.team.cost_names[number]
            values = {f"multiplier/{name}": multipliers[c], f"{EPISODE_COST_ESTIMATE}/{name}": costs[c]}
            self.learner.note(policy, {key: torch.as_tensor(value) for key, value in values.items()})

    # Units.

    def critic_limits(self, agent: ActorCritic) -> Tensor:
        """Limits ``[C]`` as the cost critics' networks see them, in units of their scales."""
        values = self.limits * self.learner.unit_values
        return torch.as_tensor(values, dtype=torch.float32, device=agent.scales.device) / agent.scales[1:]


class PIDLagrangian(Constraint):
    """``Q - Σ_c λ_c Q_c``, λ by PID control of the estimated episode cost (Stooke et al. 2020)."""

    def __init__(self, learner: Any) -> None:
        super().__init__(learner)
        shape = len(learner.team.agents), len(self.held)
        self.multipliers = np.full(shape, float(self.config.multiplier_init))
        self._pid = PIDState.start(self.multipliers)
        self._sums, self._counts = np.zeros(shape), np.zeros(shape[0])

    def gain(
        self, agent: ActorCritic, rows: Transitions, reward: Tensor, costs: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The Lagrangian; what the policy's own actions cost is noted on the way."""
        agents = agent.group.agents
        mine = torch.as_tensor(self.multipliers[agents].T, dtype=torch.float32, device=costs.device)
        weighted = mine.repeat(1, costs.shape[1] // len(agents)) * costs
        counted = rows.counted.view(-1, len(agents))
        noted = costs.detach().view(len(costs), -1, len(agents)) * counted
        self._sums[agents] += noted.sum(1).T.double().cpu().numpy()
        self._counts[agents] += counted.sum(0).double().cpu().numpy()
        return reward - weighted.sum(0), reward.abs() + weighted.abs().sum(0)

    def end_iteration(self) -> None:
        """One update of the controller."""
        sums, counts = (total.copy() for total in sum_arrays(self._sums, self._counts))
        self._sums[:], self._counts[:] = 0.0, 0.0
        if not counts.any():
            return
        values = sums / np.maximum(counts, 1.0)[:, None]
        cost = values / self.learner.unit_values
        config = self.config
        gains = PIDGains(
            config.proportional_gain,
            config.multiplier_lr,
            config.derivative_gain,
            config.derivative_smoothing,
        )
        self.multipliers, self._pid = pid_control(self._pid, cost, self.limits, gains)
        for group in self.learner.groups:
            self.note(group.policy, self.multipliers[group.agents].mean(0), cost[group.agents].mean(0))

    def get_state(self) -> dict[str, Any]:
        """Multipliers, and the controller's memory."""
        return {
            "multipliers": self.multipliers.copy(),
            "integral": self._pid.integral.copy(),
            "cost": self._pid.cost.copy(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`get_state`."""
        self.multipliers = np.array(state["multipliers"], float)
        self._pid = PIDState(np.array(state["integral"], float), np.array(state["cost"], float))


class CostProjection(Constraint):
    """CUP from data alone: clone the data by weights of the best policy near it that keeps to the limits."""

    def actor_loss(self, agent: ActorCritic, rows: Transitions, x: Tensor) -> Tensor:
        """Weighted regression on the data's actions."""
        inputs = agent.policy.inputs(rows.views)
        with torch.no_grad():
            weights = self._weights(agent, rows, x, inputs)
        return weights * distance_to_data(agent, inputs, rows.actions)

    def _weights(self, agent: ActorCritic, rows: Transitions, x: Tensor, inputs: Tensor) -> Tensor:
        """``[M]``, of each agent by itself: limits are per agent."""
        critics = agent.critics
        assert critics is not None
        action = agent.layout.encode(rows.actions)
        reward, costs = values_of_policy(agent, inputs, x, None)
        advantage = critics.reward(x, action) * agent.scales[0] - reward
        cost_advantages = critics.costs(x, action) * agent.scales[1:, None] - costs
        agents = len(agent.group.agents)

        def by_agent(values: Tensor) -> Tensor:
            return gather_last(values.unflatten(-1, (-1, agents)).movedim(-1, -2))

        counted = by_agent(rows.counted) > 0.0
        advantages, all_costs, now = by_agent(advantage), by_agent(cost_advantages), by_agent(costs)
        # Steps in which an agent did not act weigh nothing.
        advantages = torch.where(counted, advantages, -torch.inf)
        deviation = advantages[counted].std().clamp_min(1e-6)
        temperature = self.config.advantage_temperature * deviation
        limits = self.critic_limits(agent) * agent.scales[1:]
        mean_cost = (now * counted).sum(-1) / counted.sum(-1).clamp_min(1)
        largest = LARGEST_MULTIPLIER * deviation / all_costs[:, counted].std(-1).clamp_min(1e-6)
        multipliers = projection_multipliers(
            advantages, all_costs, limits[:, None] - mean_cost, temperature, largest
        )
        estimate = mean_cost.mean(1).double().cpu().numpy() / self.learner.unit_values
        self.note(agent.group.policy, multipliers.mean(1), estimate)
        logits = projection_logits(advantages, all_costs, multipliers)
        weights = projection_weights(logits, temperature, self.config.weight_clip)
        return own_part(weights).T.flatten()
