"""The Learner of constrained policy optimisation: critics, multipliers, and policies in sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.utils.metrics import ALL_MODULES
from ray.rllib.utils.schedules.scheduler import Scheduler

from rllib_safemarl.algorithms.collectives import broadcast, sum_arrays
from rllib_safemarl.algorithms.constrained.constraints import Constraints, MultiplierSettings
from rllib_safemarl.algorithms.constrained.critics import CriticStack, CriticTargets
from rllib_safemarl.algorithms.constrained.estimates import (
    GroupEstimates,
    critic_views,
    estimate,
)
from rllib_safemarl.algorithms.constrained.learner_metrics import log_constraints, log_estimates
from rllib_safemarl.algorithms.constrained.order import UpdateOrder
from rllib_safemarl.algorithms.constrained.policy_learner import PolicyLearner
from rllib_safemarl.algorithms.constrained.reach import static_reach
from rllib_safemarl.algorithms.constrained.tightening import Tightening
from rllib_safemarl.envs.team import make_views
from rllib_safemarl.functional.gradients import clip_stacked_gradients
from rllib_safemarl.functional.multipliers import PIDGains
from rllib_safemarl.functional.rewards import seen_rewards
from rllib_safemarl.nn.stacked import StackedMLP
from rllib_safemarl.rollout.columns import ColumnBatch

_CRITICS_KEY = 1 << 20
"""Sets the critics' shuffling apart from the policies'."""


class ConstrainedLearner(PolicyLearner):
    """Updates all policies of a team from one :class:`ColumnBatch`.

    In each call: the multipliers take one step; the critics value the batch; the policies' groups are
    updated one after another, or class by class, in a random order, each finishing all its epochs, under the
    factor of those before; the critics then learn the batch. With several learners every learner holds some
    of the copies and all sums are taken over all of them, so that the outcome does not depend on their
    number.
    """

    # Building.

    def build(self) -> None:
        """Build policies, critics, constraints and optimisers; equal on every learner."""
        if self._is_built:
            return
        super().build()
        config = self.config
        team = self.team
        same = config.critic_radius == config.policy_radius
        self._critic_views = (
            self._policy_views if same else make_views(team, config.critic_radius, config.max_neighbours)
        )
        self._updates = 0
        self._held = config.held_costs(team)
        self._reach = static_reach(team, config.critic_radius)
        self._order = UpdateOrder(self.groups, config.sequential, config.coloured, self._reach)
        self._stacks_of_rounds = {}
        self._tightening = Tightening(
            config.tightening, config.nu, config.gamma, (len(team.agents), len(self._held))
        )
        self._make_critics()
        self.constraints = Constraints(
            (1.0 - config.limit_margin) * config.limits(team),
            len(team.agents),
            team.time_limit,
            MultiplierSettings(
                config.multiplier,
                config.multiplier_init,
                PIDGains(
                    config.proportional_gain,
                    config.multiplier_lr,
                    config.derivative_gain,
                    config.derivative_smoothing,
                ),
            ),
        )
        self._entropy_schedules = {
            g.policy: Scheduler(
                fixed_value_or_schedule=config.get_config_for_module(g.policy).entropy_coeff,
                framework="torch",
                device=self._device,
            )
            for g in self.groups
        }

    def _make_critics(self) -> None:
        """Stack the critics of policies whose views and groups have equal sizes."""
        config, generator = self.config, torch.Generator().manual_seed(self._seed)
        shapes: dict[tuple[int, int], list[str]] = {}
        for group in self.groups:
            size = self._critic_views.layouts[group.kind].size
            shapes.setdefault((size, len(group.rows)), []).append(group.policy)
        self._stacks: list[CriticStack] = []
        signals = 1 + len(self._held)
        for k, ((size, _), policies) in enumerate(shapes.items()):
            hiddens, activation = config.critic_network
            net = StackedMLP(len(policies) * signals, size, hiddens, 1, activation, generator)
            net.to(self._device)
            broadcast(net.parameters())
            self._stacks.append(CriticStack(policies, signals - 1, net))
            parameters = list(net.parameters())
            self.register_optimizer(
                module_id=ALL_MODULES,
                optimizer_name=f"critics_{k}",
                optimizer=torch.optim.Adam(parameters, eps=1e-5, fused=True),
                params=parameters,
                lr_or_lr_schedule=config.lr if config.critic_lr is None else config.critic_lr,
            )

    # Updating.

    def update(  # type: ignore[override]
        self,
        *,
        training_data: TrainingData | None = None,
        batch: ColumnBatch | None = None,
        timesteps: dict[str, Any] | None = None,
        **_: Any,
    ) -> Any:
        """Learn one batch of columns; RLlib's other arguments have no meaning here."""
        if batch is None:
            assert training_data is not None
            training_data.solve_refs()
            batch = training_data.batch
        assert isinstance(batch, ColumnBatch)
        self.before_gradient_based_update(timesteps=timesteps or {})
        self._weights_seq_no += 1
        self._update_constraints(batch)
        estimates = self._estimate(batch)
        self._update_policies(batch, estimates)
        log_constraints(self.metrics, self.groups, self.constraints, self.team)
        self._fit_critics(batch, estimates)
        self._updates += 1
        for schedule in self._entropy_schedules.values():
            schedule.update(timestep=(timesteps or {}).get("num_env_steps_sampled_lifetime", 0))
        self.after_gradient_based_update(timesteps=timesteps or {})
        return self.metrics.reduce()

    def _update_constraints(self, batch: ColumnBatch) -> None:
        cost_sum, steps, ended_steps, ended = sum_arrays(
            batch.cost.sum((0, 1), dtype=np.float64),
            batch.env_steps(),
            float(batch.ended_lengths.sum()),
            len(batch.ended_lengths),
        )
        self.constraints.update(cost_sum, float(steps), float(ended_steps), float(ended))
        if self.config.tightening > 0.0:
            assert self.constraints.estimate is not None
            self._tightening.observe(self.constraints.estimate.cost[:, self._held])

    def _estimate(self, batch: ColumnBatch) -> dict[str, GroupEstimates]:
        config, near = self.config, None
        if config.reward_scope == "neighbourhood":
            edges = batch.observations.edges
            near = self._critic_views.neighbours(None if edges is None else edges[:-1])
        reward = seen_rewards(batch.reward, config.reward_scope, near)
        signals = np.concatenate([reward[None], np.moveaxis(batch.cost[..., self._held], -1, 0)])
        moments = critic_views(batch, self._critic_views)
        estimates: dict[str, GroupEstimates] = {}
        for stack in self._stacks:
            groups = [self._policies[policy].group for policy in stack.policies]
            estimates |= estimate(
                batch, stack, groups, moments, signals, config.gamma, config.lambda_, self._device
            )
        names = ["reward", *(self.team.cost_names[c] for c in self._held)]
        log_estimates(self.metrics, batch, self.groups, estimates, names)
        return estimates

    def _fit_critics(self, batch: ColumnBatch, estimates: dict[str, GroupEstimates]) -> None:
        for k, stack in enumerate(self._stacks):
            groups = [self._policies[policy].group for policy in stack.policies]
            mine = [estimates[policy] for policy in stack.policies]
            targets = CriticTargets(
                torch.from_numpy(np.stack([e.views[:-1] for e in mine])).to(self._device),
                np.stack([e.returns for e in mine]),
                np.stack([batch.acted[..., group.agents] for group in groups]),
            )
            loss = stack.fit(
                targets,
                batch.copy_ids,
                (self._seed, self._updates, _CRITICS_KEY + k),
                self.config.num_epochs,
                self._num_minibatches(batch, len(groups[0].agents)),
                self.get_optimizer(ALL_MODULES, f"critics_{k}"),
                self.clipper(ALL_MODULES, clip_stacked_gradients),
                float(self.config.vf_clip_param),
            )
            for policy in stack.policies:
                self.metrics.log_value((policy, "critic_loss"), loss, window=1)
