"""What the learner reports, per policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ray.rllib.utils.metrics import ALL_MODULES, NUM_MODULE_STEPS_TRAINED_LIFETIME
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from rllib_safemarl.algorithms.constrained.constraints import Constraints
from rllib_safemarl.algorithms.constrained.estimates import GroupEstimates
from rllib_safemarl.algorithms.constrained.policy_update import StepResult
from rllib_safemarl.functional.advantages import explained_variance
from rllib_safemarl.rollout.columns import ColumnBatch
from rllib_safemarl.rollout.groups import Group, Team


def log_estimates(
    metrics: MetricsLogger,
    batch: ColumnBatch,
    groups: Sequence[Group],
    estimates: Mapping[str, GroupEstimates],
    constraints: Constraints,
    team: Team,
) -> None:
    """Explained variance of every critic, multipliers, and the cost estimate that moved them."""
    log = metrics.log_value
    names = ["reward", *team.cost_names]
    for group in groups:
        mine, acted = estimates[group.policy], batch.acted[..., group.agents]
        for signal, name in enumerate(names):
            explained = explained_variance(mine.returns[signal], mine.values[signal], acted)
            log((group.policy, "explained_variance", name), explained, window=1)
        for c, name in enumerate(team.cost_names):
            multipliers = constraints.multipliers[group.agents, c]
            log((group.policy, "multiplier", name), float(multipliers.mean()), window=1)
        log(
            (group.policy, NUM_MODULE_STEPS_TRAINED_LIFETIME),
            int(acted.sum()),
            reduce="lifetime_sum",
        )
    if constraints.estimate is not None and team.cost_names:
        log((ALL_MODULES, "multiplier_mean"), float(constraints.multipliers.mean()), window=1)
        log((ALL_MODULES, "multiplier_max"), float(constraints.multipliers.max()), window=1)
        cost = constraints.estimate.cost.sum(-1)
        log((ALL_MODULES, "episode_cost_estimate"), float(cost.mean()), window=1)
        log(
            (ALL_MODULES, "episode_cost_estimate_from_episodes"),
            float(constraints.estimate.from_episodes),
            window=1,
        )


def log_step(metrics: MetricsLogger, group: Group, result: StepResult) -> None:
    """What a policy's update did."""
    values = {
        "kl": result.kl,
        "entropy": result.entropy,
        "policy_loss": result.loss,
        "clip_fraction": result.clip_fraction,
        "epochs": float(result.epochs),
    }
    for name, value in values.items():
        metrics.log_value((group.policy, name), float(np.asarray(value)), window=1)
