"""What the learner reports, per policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ray.rllib.algorithms.ppo.ppo import LEARNER_RESULTS_KL_KEY, LEARNER_RESULTS_VF_EXPLAINED_VAR_KEY
from ray.rllib.utils.metrics import ALL_MODULES, NUM_MODULE_STEPS_TRAINED_LIFETIME
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from rllib_safemarl.algorithms.constrained.constraints import Constraints
from rllib_safemarl.algorithms.constrained.estimates import GroupEstimates
from rllib_safemarl.algorithms.constrained.policy_update import StepResult
from rllib_safemarl.algorithms.constrained.tightening import Allowance, Ledger
from rllib_safemarl.algorithms.results import EPISODE_COST_ESTIMATE, EPISODE_COST_ESTIMATES, FROM_EPISODES
from rllib_safemarl.envs.team import Group, Team
from rllib_safemarl.functional.advantages import explained_variance
from rllib_safemarl.rollout.columns import ColumnBatch

VF_EXPLAINED_VAR, MEAN_KL = LEARNER_RESULTS_VF_EXPLAINED_VAR_KEY, LEARNER_RESULTS_KL_KEY
COST_EXPLAINED_VAR = "cost_explained_var"
"""Share of a cost's variance that its critic explains, by the cost's name; RLlib has none."""


def log_estimates(
    metrics: MetricsLogger,
    batch: ColumnBatch,
    groups: Sequence[Group],
    estimates: Mapping[str, GroupEstimates],
    names: Sequence[str],
) -> None:
    """Explained variance of every critic; ``names`` are those of the signals it values."""
    for group in groups:
        mine, acted = estimates[group.policy], batch.acted[..., group.agents]
        for signal, name in enumerate(names):
            explained = explained_variance(mine.returns[signal], mine.values[signal], acted)
            key = (VF_EXPLAINED_VAR,) if signal == 0 else (COST_EXPLAINED_VAR, name)
            metrics.log_value((group.policy, *key), explained, window=1)
        steps = (group.policy, NUM_MODULE_STEPS_TRAINED_LIFETIME)
        metrics.log_value(steps, int(acted.sum()), reduce="lifetime_sum")


def log_constraints(
    metrics: MetricsLogger, groups: Sequence[Group], constraints: Constraints, team: Team
) -> None:
    """Multipliers, and the cost estimate that moved them."""
    if not team.cost_names or constraints.estimate is None:
        return
    for group in groups:
        for c, name in enumerate(team.cost_names):
            mean = float(constraints.multipliers[group.agents, c].mean())
            metrics.log_value((group.policy, "multiplier", name), mean, window=1)
    estimates = constraints.estimate.cost.mean(0)
    values = {
        "multiplier_mean": constraints.multipliers.mean(),
        "multiplier_max": constraints.multipliers.max(),
        EPISODE_COST_ESTIMATE: estimates.sum(),
        FROM_EPISODES: constraints.estimate.from_episodes,
    }
    if len(estimates) > 1:
        for name, estimate in zip(team.cost_names, estimates, strict=True):
            metrics.log_value((ALL_MODULES, EPISODE_COST_ESTIMATES, name), float(estimate), window=1)
    for name, value in values.items():
        metrics.log_value((ALL_MODULES, name), float(value), window=1)


def log_step(metrics: MetricsLogger, group: Group, result: StepResult) -> None:
    """What a policy's update did."""
    values = {
        MEAN_KL: result.kl,
        "entropy": result.entropy,
        "policy_loss": result.loss,
        "clip_fraction": result.clip_fraction,
        "epochs": float(result.epochs),
        **result.details,
    }
    for name, value in values.items():
        metrics.log_value((group.policy, name), float(np.asarray(value)), window=1)


def log_allowance(
    metrics: MetricsLogger, group: Group, names: Sequence[str], allowance: Allowance, ledger: Ledger
) -> None:
    """The terms of Theorem 3.7 of a policy that was updated, means over its agents."""
    agents = group.agents
    metrics.log_value((group.policy, "kl_radius"), float(allowance.radius), window=1)
    metrics.log_value((group.policy, "kl_charged"), float(allowance.spent.mean()), window=1)
    terms = {
        "nu": ledger.nu[agents],
        "limit_tightened": allowance.limits,
        "cost_slack": allowance.limits - ledger.cost[agents],
        "cost_foreseen": ledger.change[agents],
    }
    for term, values in terms.items():
        for name, value in zip(names, values.mean(0), strict=True):
            metrics.log_value((group.policy, term, name), float(value), window=1)


def log_ledger(metrics: MetricsLogger, ledger: Ledger) -> None:
    """What the whole team spent."""
    values = {"kl_sum": ledger.kl.sum(), "kl_max_agent": ledger.kl.max(), "nu_max": ledger.nu.max()}
    for name, value in values.items():
        metrics.log_value((ALL_MODULES, name), float(value), window=1)
