"""The learner of the offline actor-critic core: critics by temporal differences, then actors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rllib_safemarl.algorithms.offline_actor_critic.actor_critic import Noise
from rllib_safemarl.algorithms.offline_actor_critic.batches import Transitions
from rllib_safemarl.algorithms.offline_actor_critic.building import make_agent, set_facts, unit_values
from rllib_safemarl.algorithms.offline_actor_critic.constraints import (
    Constraint,
    CostProjection,
    PIDLagrangian,
)
from rllib_safemarl.algorithms.offline_actor_critic.cost_penalty import CostPenalty
from rllib_safemarl.algorithms.offline_actor_critic.losses import (
    bellman_targets,
    conservative_loss,
    double_q_losses,
)
from rllib_safemarl.algorithms.offline_actor_critic.transition_learner import TransitionLearner
from rllib_safemarl.envs.team import make_views
from rllib_safemarl.functional.views import ViewBuilder
from rllib_safemarl.offline.source import Source
from rllib_safemarl.offline.windows import WindowBatch

CONSTRAINTS: dict[str, type[Constraint]] = {
    "none": Constraint,
    "pid": PIDLagrangian,
    "cup": CostProjection,
    "cpq": CostPenalty,
}
"""Value of the setting ``constraint`` → what it does."""
CRITICS = "critics"
"""Name of the critics' optimiser."""


class OfflineActorCriticLearner(TransitionLearner):
    """Learns an actor, and critics of rewards and costs, per policy.

    Attributes:
        agents: policy → what is learnt for it.
        held: ``[C]`` indices of the costs that are kept to.
        unit_values: ``[C]`` what critics say on average of an episode that costs 1.
    """

    # Building.

    def build(self) -> None:
        """Build policies, critics and their optimisers; equal on every learner."""
        if self._is_built:
            return
        super().build()
        config = self.config
        same = config.critic_radius == config.policy_radius
        self._critic_views = (
            self._policy_views if same else make_views(self.team, config.critic_radius, config.max_neighbours)
        )
        self.held = config.held_costs(self.team)
        self.agents = {group.policy: make_agent(self, group) for group in self.groups}
        for policy, agent in self.agents.items():
            if agent.critics is not None:
                self.register_optimizer(
                    module_id=policy,
                    optimizer_name=CRITICS,
                    optimizer=torch.optim.Adam(agent.critics.learnt, fused=True),
                    params=agent.critics.learnt,
                    lr_or_lr_schedule=config.lr if config.critic_lr is None else config.critic_lr,
                )
        self._noise = Noise(config.target_noise, config.target_noise_clip)
        self._constraint = CONSTRAINTS[config.constraint](self)

    @property
    def viewers(self) -> tuple[ViewBuilder, ...]:
        """The policies' views, and the critics'."""
        return self._policy_views, self._critic_views

    def prepare(self, source: Source) -> None:
        """Find out the scale of what is seen, done, earned and paid."""
        if len(self.held):
            self.unit_values = unit_values(source, self.team, self.config)[self.held]
        if self._batches == 0:
            for agent in self.agents.values():
                set_facts(self, agent, source.statistics, self._recorded)

    # Learning.

    def learn(self, windows: WindowBatch) -> None:
        """One step of all critics and, every ``actor_delay`` batches, of all actors."""
        batch = self.read(windows)
        recorded = {p: agent.layout.encode(batch[p].actions) for p, agent in self.agents.items()}
        upcoming = {
            p: agent.act_next(batch[p].next_views, self.generator, self._noise)
            for p, agent in self.agents.items()
            if agent.critics is not None
        }
        now, after = (self._joint(actions, windows) for actions in (recorded, upcoming))
        trained = [policy for policy in batch if self.should_module_be_updated(policy)]
        for policy in trained:
            self._improve_values(policy, batch[policy], now, after, upcoming.get(policy))
        if self._batches % self.config.actor_delay == 0:
            if self.config.others_act == "policies":
                now = self._joint(self._acting(batch), windows)
            for policy in trained:
                self._improve_actor(policy, batch[policy], now)
        for policy in trained:
            self.agents[policy].follow(self.config.target_decay)
        self._batches += 1

    @torch.no_grad()
    def _acting(self, batch: Mapping[str, Transitions]) -> dict[str, Tensor]:
        return {p: agent.act(batch[p].views, self.generator) for p, agent in self.agents.items()}

    def _joint(self, actions: Mapping[str, Tensor], windows: WindowBatch) -> Tensor | None:
        """Encoded actions of all agents ``[B, A, E]``, where critics see them."""
        if self.config.critic_actions == "own" or not actions:
            return None
        size = max(mine.shape[-1] for mine in actions.values())
        joint = torch.zeros(len(windows), len(self.team.agents), size, device=self._device)
        for policy, each in actions.items():
            mine = each.unflatten(0, (len(windows), -1))
            joint[:, self.agents[policy].group.agents, : mine.shape[-1]] = mine
        return joint

    def _improve_values(
        self,
        policy: str,
        rows: Transitions,
        now: Tensor | None,
        after: Tensor | None,
        next_action: Tensor | None,
    ) -> None:
        """One step of a policy's critics, or of the policy itself where it puts out values."""
        agent, config = self.agents[policy], self.config
        critics = agent.critics
        if critics is None or next_action is None:
            losses = double_q_losses(agent, rows, config)
            self.step(policy, None, self.means(policy, losses, rows), agent.policy.parameters)
            return
        x = critics.features(rows.seen, rows.others(now))
        action = agent.layout.encode(rows.actions)
        with torch.no_grad():
            next_x = critics.features(rows.next_seen, rows.next_others(after))
            upcoming = self._constraint.next_values(agent, critics.targets(next_x, next_action))
            targets = bellman_targets(rows, upcoming, agent.scales, config.gamma, self.held)
        twins = torch.stack([q(x, action) for q in critics.q])
        errors = (twins - targets[:, None]).square().sum(1)
        losses = {"critic_loss": errors[0]}
        if len(errors) > 1:
            losses["cost_critic_loss"] = errors[1:].sum(0)
        if config.conservatism == "cql":
            losses["cql_loss"] = conservative_loss(agent, rows, x, twins[0], config, self.generator)
        losses |= self._constraint.critic_losses(agent, rows, x)
        self.step(policy, CRITICS, self.means(policy, losses, rows), critics.learnt)
        self.log(policy, self.means(policy, {"q_mean": twins[0].mean(0) * agent.scales[0]}, rows))

    def _improve_actor(self, policy: str, rows: Transitions, joint: Tensor | None) -> None:
        agent = self.agents[policy]
        if agent.critics is None:
            return
        x = agent.critics.features(rows.seen, rows.others(joint))
        loss = self._constraint.actor_loss(agent, rows, x)
        self.step(policy, None, self.means(policy, {"actor_loss": loss}, rows), agent.policy.parameters)

    def report(self) -> None:
        """Move multipliers, and report means since the last time."""
        self._constraint.end_iteration()
        super().report()

    def own_state(self) -> dict[str, Any]:
        """Critics, slow copies, scales, multipliers, the counter and the generator."""
        agents = {policy: agent.get_state() for policy, agent in self.agents.items()}
        return {**super().own_state(), "agents": agents, "constraint": self._constraint.get_state()}

    def set_own_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of :meth:`own_state`."""
        super().set_own_state(state)
        for policy, agent in self.agents.items():
            agent.set_state(state["agents"][policy])
        self._constraint.set_state(state["constraint"])
