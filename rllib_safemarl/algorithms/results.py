"""What every result of ``train()`` says of costs beside the env runners' own figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.rllib.utils.metrics import ALL_MODULES, ENV_RUNNER_RESULTS, LEARNER_RESULTS

from rllib_safemarl.envs.team import Team
from rllib_safemarl.rollout.episode_metrics import (
    AGENT_EPISODE_COSTS_MEAN,
    EPISODE_COST_MAX_AGENT,
)

COST_LIMIT = "cost_limit"
EPISODE_COST_ESTIMATE = "episode_cost_estimate"
EPISODE_COST_ESTIMATES = "episode_cost_estimates"
EPISODE_COST_SOURCE = "episode_cost_source"
FROM_EPISODES = "episode_cost_estimate_from_episodes"
"""Under this name the learner says 1 where the estimate rests on episodes that ended, else 0."""


def complete_results(results: dict[str, Any], limits: NDArray[np.float64] | None, team: Team) -> None:
    """Enter limits and cost estimates under ``env_runners/``, in place.

    - ``cost_limit``: undiscounted cost per episode and agent; a dict by name where the environment has
      several costs, ``inf`` for one that is only watched, NaN without any limit.
    - ``episode_cost_estimate``: what drives the multipliers, mean over agents and summed over costs just
      as ``episode_cost_mean``; finite from the first batch on. Several costs stand under
      ``episode_cost_estimates/<name>`` as well.
    - ``episode_cost_source``: what its episode length is: that of ``episodes`` that ended, the
      ``time_limit``, or in environments without one that of ``open_episodes`` so far; ``none`` without
      costs.

    Args:
        results: of one iteration.
        limits: ``[C]``, or ``None`` where there is no limit.
        team: the team.
    """
    figures = results.setdefault(ENV_RUNNER_RESULTS, {})
    learnt = results.get(LEARNER_RESULTS, {}).get(ALL_MODULES, {})
    figures[COST_LIMIT] = _by_name(limits, team)
    figures[EPISODE_COST_ESTIMATE] = learnt.get(EPISODE_COST_ESTIMATE, math.nan)
    if EPISODE_COST_ESTIMATES in learnt:
        figures[EPISODE_COST_ESTIMATES] = dict(learnt[EPISODE_COST_ESTIMATES])
    figures[EPISODE_COST_SOURCE] = _source(learnt, team)
    of_agents = figures.get(AGENT_EPISODE_COSTS_MEAN, {})
    if set(of_agents) == set(map(str, team.agents)):
        # Over several runners the mean of their largest is more than the largest of the means.
        figures[EPISODE_COST_MAX_AGENT] = max(of_agents.values())


def _by_name(limits: NDArray[np.float64] | None, team: Team) -> float | dict[str, float]:
    values = [math.nan] * len(team.cost_names) if limits is None else limits.tolist()
    if len(values) > 1:
        return dict(zip(team.cost_names, values, strict=True))
    return values[0] if values else math.nan


def _source(learnt: Mapping[str, Any], team: Team) -> str:
    if FROM_EPISODES not in learnt:
        return "none"
    if learnt[FROM_EPISODES]:
        return "episodes"
    return "open_episodes" if team.time_limit is None else "time_limit"
