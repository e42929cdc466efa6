"""CPQ: constraints-penalised Q-learning (Xu et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rllib_safemarl.algorithms.collectives import sum_arrays
from rllib_safemarl.algorithms.offline_actor_critic.actor_critic import ActorCritic
from rllib_safemarl.algorithms.offline_actor_critic.batches import Transitions
from rllib_safemarl.algorithms.offline_actor_critic.constraints import Constraint
from rllib_safemarl.algorithms.offline_actor_critic.losses import sampled_actions
from rllib_safemarl.functional.cost_penalised_q import (
    allowed,
    next_log_weight,
    outside,
    penalised_value,
)

WANTED_OUTSIDE = 1.5
"""What the cost of actions outside the data is lifted to, in multiples of the limit; as in public code."""


class CostPenalty(Constraint):
    """CPQ: rewards count where the cost critic allows, and it forbids what the data do not hold."""

    def __init__(self, learner: Any) -> None:
        super().__init__(learner)
        self._log_weights = {policy: torch.zeros(len(self.held)) for policy in learner.agents}

    def next_values(self, agent: ActorCritic, values: Tensor) -> Tensor:
        """What is not allowed next is worth the floor."""
        value = penalised_value(values[0], values[1:], self.critic_limits(agent), agent.floor)
        return torch.cat([value[None], values[1:]])

    def critic_losses(self, agent: ActorCritic, rows: Transitions, x: Tensor) -> dict[str, Tensor]:
        """The behaviour model's, and the lift of the cost of actions outside the data."""
        critics, policy, config = agent.critics, agent.group.policy, self.config
        assert critics is not None and critics.behaviour is not None
        recorded = agent.layout.encode(rows.actions)
        losses = {"behaviour_loss": critics.behaviour.loss(x, recorded, self.learner.generator)}
        sampled, _ = sampled_actions(agent, rows, config, self.learner.generator)
        with torch.no_grad():
            surprise = critics.behaviour(x, sampled)
            out = outside(surprise, critics.behaviour(x, recorded), config.ood_quantile) * rows.counted
        values = torch.stack([q(x, sampled).mean(0) for q in critics.q[1:]])
        share = out.sum(0) / out.sum(0).clamp_min(1.0)
        lifted = (values * out).sum(1) / out.sum(0).clamp_min(1.0)
        weight = self._log_weights[policy].exp().to(x.device)
        losses["ood_loss"] = -(weight[:, None] * lifted).sum(0)
        self._move_weights(agent, lifted.detach(), share)
        return losses

    def _move_weights(self, agent: ActorCritic, lifted: Tensor, share: Tensor) -> None:
        policy = agent.group.policy
        total, count = sum_arrays(lifted.sum(1).double().cpu().numpy(), float(share.sum()))
        mean = torch.as_tensor(total / max(float(count), 1.0), dtype=torch.float32)
        wanted = WANTED_OUTSIDE * self.critic_limits(agent).cpu()
        self._log_weights[policy] = next_log_weight(
            self._log_weights[policy], mean, wanted, self.config.ood_rate
        )

    def gain(
        self, agent: ActorCritic, rows: Transitions, reward: Tensor, costs: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Q where it is allowed; elsewhere the actor descends the costs, or it would learn nothing there."""
        limits = self.critic_limits(agent) * agent.scales[1:]
        fits = allowed(costs.detach(), limits)
        gain = torch.where(fits, reward, -costs.sum(0))
        return gain, torch.where(fits, reward.abs(), costs.abs().sum(0))

    def get_state(self) -> dict[str, Any]:
        """Weights on the cost of actions outside."""
        return {policy: weight.numpy().copy() for policy, weight in self._log_weights.items()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`get_state`."""
        self._log_weights = {policy: torch.from_numpy(np.array(w)) for policy, w in state.items()}
