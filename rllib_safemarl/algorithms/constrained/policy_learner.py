"""The part of the learner that moves the policies: in sequence, each under what those before it did."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.utils.metrics import ALL_MODULES
from ray.rllib.utils.schedules.scheduler import Scheduler

from rllib_safemarl.algorithms.collectives import max_array, num_learners, sum_arrays
from rllib_safemarl.algorithms.constrained.estimates import GroupEstimates
from rllib_safemarl.algorithms.constrained.jobs import Job, centred_costs
from rllib_safemarl.algorithms.constrained.learner_metrics import log_allowance, log_ledger, log_step
from rllib_safemarl.algorithms.constrained.learner_state import LearnerState
from rllib_safemarl.algorithms.constrained.order import UpdateOrder
from rllib_safemarl.algorithms.constrained.policy_data import PolicyData, policy_data
from rllib_safemarl.algorithms.constrained.policy_update import (
    CostBound,
    StepResult,
    StepSettings,
    clipped_update,
    moves,
)
from rllib_safemarl.algorithms.constrained.reach import shares_in_reach
from rllib_safemarl.algorithms.constrained.sequence import SequentialFactor
from rllib_safemarl.algorithms.constrained.stacked_policies import StackedPolicies, stack_alike
from rllib_safemarl.algorithms.constrained.stacked_update import Members, stacked_update
from rllib_safemarl.algorithms.constrained.tightening import Allowance, Ledger
from rllib_safemarl.algorithms.constrained.trust_region_update import (
    StepProblem,
    TrustRegionSettings,
    step_problem,
    trust_region_update,
)
from rllib_safemarl.envs.team import Group
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.gradients import clip_gradients, clip_stacked_gradients
from rllib_safemarl.functional.surrogates import constrained_advantage
from rllib_safemarl.functional.views import ViewBuilder
from rllib_safemarl.rollout.columns import ColumnBatch

Stacks = list[tuple[list[int], StackedPolicies | None]]
"""Places in a list of policies, with the stack that updates these as one."""

_ALIKE = ("clip_param", "entropy_coeff", "num_epochs", "grad_clip", "grad_clip_by")
"""Settings of single policies that a stack has for all of its members."""


class PolicyLearner(LearnerState):
    """Updates the policies from a batch and its advantages."""

    _critic_views: ViewBuilder
    _held: NDArray[np.intp]
    _reach: NDArray[np.bool_] | None
    _order: UpdateOrder
    _stacks_of_rounds: dict[tuple[int, ...], Stacks]
    _entropy_schedules: dict[str, Scheduler]

    def _update_policies(self, batch: ColumnBatch, estimates: dict[str, GroupEstimates]) -> None:
        factor = SequentialFactor(batch, self.config, self._critic_views, self._device)
        ledger = self._open_ledger(batch, estimates) if self.config.tightening > 0.0 else None
        views = None
        if self._policy_views is not self._critic_views:
            now = batch.observations[:-1]
            views = self._policy_views(now.values, now.alive, now.positions, now.edges)
        generator = np.random.default_rng((self._seed, self._updates))
        rounds = self._order.rounds(generator, batch, self._critic_views)
        for numbers in rounds:
            trained = [int(g) for g in numbers if self.should_module_be_updated(self.groups[g].policy)]
            if not trained:
                continue
            jobs = self._jobs(batch, trained, estimates, views, factor, ledger)
            for job, result in zip(jobs, self._step_together(batch, jobs), strict=True):
                self._finish(job, result, factor, ledger)
        if self.config.coloured:
            self.metrics.log_value((ALL_MODULES, "update_rounds"), len(rounds), window=1)
        if ledger is not None:
            log_ledger(self.metrics, ledger)
            self._tightening.close(ledger)

    def _jobs(
        self,
        batch: ColumnBatch,
        numbers: Sequence[int],
        estimates: dict[str, GroupEstimates],
        views: dict[str, NDArray[np.float32]] | None,
        factor: SequentialFactor,
        ledger: Ledger | None,
    ) -> list[Job]:
        """What the updates of the groups of these numbers need, before any of them begins."""
        jobs = []
        for g, allowance in zip(numbers, self._allow(ledger, [self.groups[g] for g in numbers]), strict=True):
            group, mine = self.groups[g], estimates[self.groups[g].policy]
            seen = mine.views[:-1] if views is None else group.pick(views[group.kind])
            data = policy_data(self._policies[group.policy], batch, seen, self._device)
            costs = self._costs(data, mine)
            jobs.append(Job(g, group, data, mine, factor.of(group.agents), costs, allowance))
        return jobs

    def _finish(self, job: Job, result: StepResult, factor: SequentialFactor, ledger: Ledger | None) -> None:
        """Enter an update into the books."""
        group = job.group
        if not np.isfinite(result.loss) or not np.isfinite(result.kl):
            raise SafeMARLError(
                f"policy {group.policy!r} diverged (loss {result.loss}, KL {result.kl}); lower lr or "
                "set grad_clip."
            )
        factor.record(group.agents, result.log_ratio)
        log_step(self.metrics, group, result)
        if ledger is not None:
            assert job.costs is not None and job.allowance is not None
            ledger.record(group, *moves(job.data.mask, result, job.costs))
            names = [self.team.cost_names[c] for c in self._held]
            log_allowance(self.metrics, group, names, job.allowance, ledger)

    def _step_together(self, batch: ColumnBatch, jobs: Sequence[Job]) -> list[StepResult]:
        """Update the policies of one round; clipped steps of like policies as one batched step."""
        if len(jobs) < 2 or self.config.step == "trust_region":
            return [self._step(batch, job) for job in jobs]
        results: dict[int, StepResult] = {}
        for places, stack in self._stacked([job.number for job in jobs]):
            part = [jobs[k] for k in places]
            if stack is None:
                moved = [self._step(batch, job) for job in part]
            else:
                clip = self.clipper(part[0].group.policy, clip_stacked_gradients)
                moved = stacked_update(stack, self._members(batch, part), batch.copy_ids, clip)
            results.update(zip(places, moved, strict=True))
        return [results[k] for k in range(len(jobs))]

    def _stacked(self, numbers: Sequence[int]) -> Stacks:
        """Places among ``numbers`` whose policies are updated as one, with their stack."""
        known = self._stacks_of_rounds.get(tuple(numbers))
        if known is not None:
            return known
        names = [self.groups[g].policy for g in numbers]
        configs = [self.config.get_config_for_module(name) for name in names]
        alike = stack_alike(
            [self._policies[name] for name in names],
            [self.get_optimizer(name) for name in names],
            [repr([getattr(config, setting) for setting in _ALIKE]) for config in configs],
        )
        if self._order.fixed:
            self._stacks_of_rounds[tuple(numbers)] = alike
        return alike

    def _members(self, batch: ColumnBatch, jobs: Sequence[Job]) -> Members:
        return Members(
            [job.data for job in jobs],
            [self._advantage(job.group, job.data, job.estimates) * job.factor for job in jobs],
            [(self._seed, self._updates, job.number) for job in jobs],
            [self._step_settings(job, batch) for job in jobs],
            [bound for job in jobs if (bound := self._bound(job)) is not None],
        )

    def _bound(self, job: Job) -> CostBound | None:
        if job.allowance is None:
            return None
        assert job.costs is not None
        return CostBound(job.costs, job.allowance.slack)

    def _step(self, batch: ColumnBatch, job: Job) -> StepResult:
        """Update one policy."""
        group, policy = job.group, self._policies[job.group.policy]
        advantage = self._advantage(group, job.data, job.estimates) * job.factor
        if self.config.step == "trust_region":
            return trust_region_update(
                policy, job.data, self._problem(job, advantage), self._trust_region_settings(job)
            )
        return clipped_update(
            policy,
            job.data,
            advantage,
            batch.copy_ids,
            (self._seed, self._updates, job.number),
            self._step_settings(job, batch),
            self.get_optimizer(group.policy),
            self.clipper(group.policy, clip_gradients),
            self._bound(job),
        )

    def _advantage(self, group: Group, data: PolicyData, estimates: GroupEstimates) -> torch.Tensor:
        """A_λ ``[T * N, G]``, normalised once over all learners' acting rows."""
        advantages = torch.from_numpy(np.ascontiguousarray(estimates.advantages)).to(self._device)
        multipliers = self.constraints.multipliers[np.ix_(group.agents, self._held)]
        multipliers = torch.from_numpy(multipliers).to(advantages)
        combined = constrained_advantage(advantages[0], advantages[1:].movedim(0, -1), multipliers).flatten(
            0, 1
        )
        kept = (combined * data.mask).double()
        sums = sum_arrays(float(kept.sum()), float(kept.square().sum()), float(data.mask.sum()))
        total, squares, count = (float(x) for x in sums)
        mean = total / max(count, 1.0)
        variance = squares / max(count, 1.0) - mean**2
        return (combined - mean) / max(math.sqrt(max(variance, 0.0)), 1e-8)

    # The limits.

    def _open_ledger(self, batch: ColumnBatch, estimates: dict[str, GroupEstimates]) -> Ledger:
        """The books of Theorem 3.7 for this iteration."""
        assert self.constraints.estimate is not None
        largest = np.zeros((len(self.team.agents), len(self._held)))
        if self._tightening.rule == "theorem":
            for group in self.groups:
                costs = np.abs(estimates[group.policy].advantages[1:]) * batch.acted[..., group.agents]
                largest[group.agents] = costs.max((1, 2)).T
            largest = max_array(largest)
        near = shares_in_reach(batch, self._critic_views, self._reach)
        limits = self.constraints.limits[self._held]
        return self._tightening.open(limits, self.constraints.estimate, self._held, near, largest)

    def _allow(self, ledger: Ledger | None, groups: Sequence[Group]) -> Sequence[Allowance | None]:
        """What groups that are updated together may do; their multipliers move towards it."""
        if ledger is None:
            return [None] * len(groups)
        allowances = ledger.allow(groups, [self._target_kl(group.policy) for group in groups])
        for group, allowance in zip(groups, allowances, strict=True):
            limits = np.tile(self.constraints.limits, (len(group.agents), 1))
            limits[:, self._held] = allowance.limits
            self.constraints.aim(group.agents, limits)
        return allowances

    def _costs(self, data: PolicyData, estimates: GroupEstimates) -> torch.Tensor | None:
        """Cost advantages ``[m, T * N, G]`` in cost per step, where trust regions or limits need them."""
        if self.config.multiplier != "cpo" and self.config.tightening == 0.0:
            return None
        return centred_costs(data, estimates, self._device)

    def _problem(self, job: Job, reward: torch.Tensor) -> StepProblem:
        """What a trust-region step shall do; only CPO has constraints in it."""
        if self.config.multiplier != "cpo":
            return StepProblem(reward, reward.new_zeros(0, *reward.shape), np.zeros(0))
        assert job.costs is not None and self.constraints.estimate is not None
        limits = self.constraints.limits[self._held] if job.allowance is None else job.allowance.limits
        return step_problem(
            reward, job.costs * job.factor, job.group, limits, self.constraints.estimate, self._held
        )

    # Settings.

    def _target_kl(self, policy: str) -> float:
        target = self.config.get_config_for_module(policy).target_kl
        return float("inf") if target is None else float(target)

    def _radius(self, job: Job) -> float:
        return self._target_kl(job.group.policy) if job.allowance is None else job.allowance.radius

    def _trust_region_settings(self, job: Job) -> TrustRegionSettings:
        config = self.config.get_config_for_module(job.group.policy)
        return TrustRegionSettings(
            radius=self._radius(job),
            entropy_coeff=float(self._entropy_schedules[job.group.policy].get_current_value()),
            conjugate_gradient_steps=config.conjugate_gradient_steps,
            damping=config.damping,
            line_search_steps=config.line_search_steps,
            line_search_shrink=config.line_search_shrink,
            clip=config.clip_param,
        )

    def _step_settings(self, job: Job, batch: ColumnBatch) -> StepSettings:
        config = self.config.get_config_for_module(job.group.policy)
        return StepSettings(
            clip=config.clip_param,
            entropy_coeff=float(self._entropy_schedules[job.group.policy].get_current_value()),
            num_epochs=config.num_epochs,
            num_minibatches=self._num_minibatches(batch, len(job.group.agents)),
            target_kl=self._radius(job),
        )

    def _num_minibatches(self, batch: ColumnBatch, agents: int) -> int:
        """How many minibatches of ``minibatch_size`` agent steps a learner's even share makes."""
        if self.config.minibatch_size is None:
            return 1
        (steps,) = sum_arrays(batch.env_steps())
        rows = float(steps) * agents / num_learners()
        return max(1, round(rows / self.config.minibatch_size))
