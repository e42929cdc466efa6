"""The learner of the offline actor-critic core: critics by temporal differences, then actors."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ray.rllib.utils.metrics import ALL_MODULES
from torch import Tensor, nn

from rllib_safemarl.algorithms.collectives import num_learners, sum_arrays, sum_gradients
from rllib_safemarl.algorithms.offline.learner import OfflineLearner
from rllib_safemarl.algorithms.offline_actor_critic.actor_critic import ActorCritic, Noise
from rllib_safemarl.algorithms.offline_actor_critic.batches import BatchReader, Transitions
from rllib_safemarl.algorithms.offline_actor_critic.building import make_agent, set_facts, steps_per_episode
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
from rllib_safemarl.envs.team import make_views
from rllib_safemarl.errors import SafeMARLError
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
STATE = "offline_actor_critic"
"""Key of a learner's state under which ours stands."""


class OfflineActorCriticLearner(OfflineLearner):
    """Learns an actor, and critics of rewards and costs, per policy.

    Attributes:
        agents: policy → what is learnt for it.
        held: ``[C]`` indices of the costs that are kept to.
        generator: of all that is drawn, equal on every learner.
        episode_steps: T, by which limits per episode become limits per step.
    """

    extra_columns = ("rewards", "costs", "terminals", "timeouts")

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
        self._reader = BatchReader(self, self.held)
        self.generator = torch.Generator().manual_seed(self._seed)
        self._noise = Noise(config.target_noise, config.target_noise_clip)
        self._constraint = CONSTRAINTS[config.constraint](self)
        self._batches = 0
        self._logged: dict[str, dict[str, list[Tensor]]] = {}

    @property
    def viewers(self) -> tuple[ViewBuilder, ...]:
        """The policies' views, and the critics'."""
        return self._policy_views, self._critic_views

    def prepare(self, source: Source) -> None:
        """Find out the scale of what is seen, done, earned and paid."""
        self.episode_steps = steps_per_episode(source, self.team)
        if self._batches == 0:
            for agent in self.agents.values():
                set_facts(self, agent, source.statistics, self._recorded)

    # Learning.

    def learn(self, windows: WindowBatch) -> None:
        """One step of all critics and, every ``actor_delay`` batches, of all actors."""
        batch = self._reader(windows)
        (counts,) = sum_arrays(np.array([float(rows.counted.sum()) for rows in batch.values()]))
        self._counts = dict(zip(batch, np.maximum(counts, 1.0).tolist(), strict=True))
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
            self._step(policy, None, self._means(policy, losses, rows), agent.policy.parameters)
            return
        x = critics.features(rows.seen, rows.others(now))
        action = agent.layout.encode(rows.actions)
        with torch.no_grad():
            next_x = critics.features(rows.next_seen, rows.next_others(after))
            upcoming = self._constraint.next_values(agent, critics.targets(next_x, next_action))
            targets = bellman_targets(rows, upcoming, agent.scales, config.gamma)
        twins = torch.stack([q(x, action) for q in critics.q])
        errors = (twins - targets[:, None]).square().sum(1)
        losses = {"critic_loss": errors[0]}
        if len(errors) > 1:
            losses["cost_critic_loss"] = errors[1:].sum(0)
        if config.conservatism == "cql":
            losses["cql_loss"] = conservative_loss(agent, rows, x, twins[0], config, self.generator)
        losses |= self._constraint.critic_losses(agent, rows, x)
        self._step(policy, CRITICS, self._means(policy, losses, rows), critics.learnt)
        q = (twins[0].detach().mean(0) * agent.scales[0] * rows.counted).sum() / self._counts[policy]
        self._log(policy, {"q_mean": q})

    def _improve_actor(self, policy: str, rows: Transitions, joint: Tensor | None) -> None:
        agent = self.agents[policy]
        if agent.critics is None:
            return
        x = agent.critics.features(rows.seen, rows.others(joint))
        loss = self._constraint.actor_loss(agent, rows, x)
        self._step(policy, None, self._means(policy, {"actor_loss": loss}, rows), agent.policy.parameters)

    def _means(self, policy: str, losses: Mapping[str, Tensor], rows: Transitions) -> dict[str, Tensor]:
        """This learner's share of the means of ``[M]`` values over what all learners' agents did."""
        return {name: (each * rows.counted).sum() / self._counts[policy] for name, each in losses.items()}

    def overall_mean(self, agent: ActorCritic, values: Tensor, rows: Transitions) -> float:
        """Mean of ``[M]`` values over what all learners' agents did."""
        (total,) = sum_arrays(float((values * rows.counted).sum()))
        return float(total) / self._counts[agent.group.policy]

    def _step(
        self, policy: str, name: str | None, losses: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]
    ) -> None:
        optimizer = self.get_optimizer(policy, name) if name else self.get_optimizer(policy)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        sum_gradients(parameters)
        self.clipper(policy)(parameters)
        optimizer.step()
        self._log(policy, losses)

    # Reporting.

    def note(self, policy: str, values: Mapping[str, Tensor]) -> None:
        """Report values that all learners have alike."""
        self._log(policy, {name: value / num_learners() for name, value in values.items()})

    def _log(self, policy: str, shares: Mapping[str, Tensor]) -> None:
        for name, value in shares.items():
            self._logged.setdefault(policy, {}).setdefault(name, []).append(value.detach())

    def report(self) -> None:
        """Means since the last report, over all learners."""
        self._constraint.end_iteration()
        totals = []
        for policy, logged in self._logged.items():
            (means,) = sum_arrays(np.array([float(torch.stack(values).mean()) for values in logged.values()]))
            found = dict(zip(logged, means.tolist(), strict=True))
            for name, value in found.items():
                self.metrics.log_value((policy, *name.split("/")), value, window=1)
            totals.append(sum(value for name, value in found.items() if name.endswith("_loss")))
            if not np.isfinite(totals[-1]):
                raise SafeMARLError(f"policy {policy!r} diverged ({found}); lower lr or set grad_clip.")
        self.metrics.log_value((ALL_MODULES, "total_loss"), float(np.mean(totals)), window=1)
        self._logged.clear()

    # State.

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """RLlib's state, and ours: critics, slow copies, scales, multipliers, counter and generator."""
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self._check_component(STATE, components, not_components):
            state[STATE] = {
                "agents": {policy: agent.get_state() for policy, agent in self.agents.items()},
                "constraint": self._constraint.get_state(),
                "batches": self._batches,
                "generator": self.generator.get_state().numpy(),
            }
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over a state of :meth:`get_state`."""
        super().set_state(state)
        if STATE not in state:
            return
        mine = state[STATE]
        for policy, agent in self.agents.items():
            agent.set_state(mine["agents"][policy])
        self._constraint.set_state(mine["constraint"])
        self._batches = int(mine["batches"])
        self.generator.set_state(torch.from_numpy(np.array(mine["generator"])))
