"""The part of the learner that moves the policies: in sequence, each under what those before it did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.utils.schedules.scheduler import Scheduler

from rllib_safemarl.algorithms.collectives import max_array, num_learners, sum_arrays
from rllib_safemarl.algorithms.constrained.estimates import GroupEstimates
from rllib_safemarl.algorithms.constrained.learner_metrics import log_allowance, log_ledger, log_step
from rllib_safemarl.algorithms.constrained.learner_state import LearnerState
from rllib_safemarl.algorithms.constrained.policy_update import (
    CostBound,
    PolicyData,
    StepResult,
    StepSettings,
    clipped_update,
    moves,
    policy_data,
)
from rllib_safemarl.algorithms.constrained.reach import shares_in_reach
from rllib_safemarl.algorithms.constrained.sequence import SequentialFactor
from rllib_safemarl.algorithms.constrained.tightening import Allowance, Ledger
from rllib_safemarl.algorithms.constrained.trust_region_update import (
    StepProblem,
    TrustRegionSettings,
    step_problem,
    trust_region_update,
)
from rllib_safemarl.envs.team import Group
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.gradients import clip_gradients
from rllib_safemarl.functional.surrogates import constrained_advantage
from rllib_safemarl.functional.views import ViewBuilder
from rllib_safemarl.rollout.columns import ColumnBatch


@dataclass(frozen=True)
class Job:
    """What the update of one policy needs.

    Attributes:
        number: of its group.
        group: its agents.
        data: what they saw and did.
        estimates: their advantages.
        factor: M ``[T * N, G]``, or 1.
        costs: ``[m, T * N, G]`` centred cost advantages per step; ``None`` where nothing asks for them.
        allowance: how far they may go; ``None`` without tightening.
    """

    number: int
    group: Group
    data: PolicyData
    estimates: GroupEstimates
    factor: torch.Tensor | float
    costs: torch.Tensor | None
    allowance: Allowance | None


class PolicyLearner(LearnerState):
    """Updates the policies from a batch and its advantages."""

    _critic_views: ViewBuilder
    _held: NDArray[np.intp]
    _reach: NDArray[np.bool_] | None
    _entropy_schedules: dict[str, Scheduler]

    def _update_policies(self, batch: ColumnBatch, estimates: dict[str, GroupEstimates]) -> None:
        factor = SequentialFactor(batch, self.config, self._critic_views, self._device)
        ledger = self._open_ledger(batch, estimates) if self.config.tightening > 0.0 else None
        views = None
        if self._policy_views is not self._critic_views:
            now = batch.observations[:-1]
            views = self._policy_views(now.values, now.alive, now.positions, now.edges)
        order = np.random.default_rng((self._seed, self._updates)).permutation(len(self.groups))
        for g in order:
            group = self.groups[g]
            if not self.should_module_be_updated(group.policy):
                continue
            (allowance,) = self._allow(ledger, [group])
            seen = estimates[group.policy].views[:-1] if views is None else group.pick(views[group.kind])
            data = policy_data(self._policies[group.policy], batch, seen, self._device)
            costs = self._centred_costs(data, estimates[group.policy])
            job = Job(int(g), group, data, estimates[group.policy], factor.of(group.agents), costs, allowance)
            self._finish(job, self._step(batch, job), factor, ledger)
        if ledger is not None:
            log_ledger(self.metrics, ledger)
            self._tightening.close(ledger)

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

    def _step(self, batch: ColumnBatch, job: Job) -> StepResult:
        """Update one policy."""
        group, allowance = job.group, job.allowance
        policy = self._policies[group.policy]
        advantage = self._advantage(group, job.data, job.estimates) * job.factor
        if self.config.step == "trust_region":
            return trust_region_update(
                policy, job.data, self._problem(job, advantage), self._trust_region_settings(job)
            )
        bound = None
        if allowance is not None:
            assert job.costs is not None
            bound = CostBound(job.costs, allowance.slack)
        return clipped_update(
            policy,
            job.data,
            advantage,
            batch.copy_ids,
            (self._seed, self._updates, job.number),
            self._step_settings(job, batch),
            self.get_optimizer(group.policy),
            self.clipper(group.policy, clip_gradients),
            bound,
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

    def _centred_costs(self, data: PolicyData, estimates: GroupEstimates) -> torch.Tensor | None:
        """Cost advantages ``[m, T * N, G]`` in cost per step, where trust regions or limits need them."""
        if self.config.multiplier != "cpo" and self.config.tightening == 0.0:
            return None
        costs = torch.from_numpy(np.ascontiguousarray(estimates.advantages[1:])).to(self._device)
        costs = costs.flatten(1, 2)
        total, count = sum_arrays(
            (costs * data.mask).sum((1, 2)).double().cpu().numpy(), float(data.mask.sum())
        )
        mean = torch.from_numpy(total / max(float(count), 1.0)).to(costs)
        return costs - mean[:, None, None]

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
