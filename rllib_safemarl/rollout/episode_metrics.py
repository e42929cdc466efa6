"""Metrics of finished episodes and sampled steps, under RLlib's names and ours beside them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.rllib.utils.metrics import (
    EPISODE_LEN_MAX,
    EPISODE_LEN_MEAN,
    EPISODE_LEN_MIN,
    EPISODE_RETURN_MAX,
    EPISODE_RETURN_MEAN,
    EPISODE_RETURN_MIN,
    NUM_AGENT_STEPS_SAMPLED,
    NUM_AGENT_STEPS_SAMPLED_LIFETIME,
    NUM_ENV_STEPS_SAMPLED,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_EPISODES,
    NUM_EPISODES_LIFETIME,
    NUM_MODULE_STEPS_SAMPLED,
    NUM_MODULE_STEPS_SAMPLED_LIFETIME,
)
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from rllib_safemarl._compat import (
    EPISODE_AGENT_RETURN_MEAN,
    EPISODE_AGENT_STEPS,
    EPISODE_MODULE_RETURN_MEAN,
)
from rllib_safemarl.envs.team import AGENTS_WITH_OWN_POLICY, Team
from rllib_safemarl.functional.safety_metrics import agent_costs, team_returns, within_limits
from rllib_safemarl.policies.actor import Actor
from rllib_safemarl.rollout.collector import Episode, flag_share
from rllib_safemarl.rollout.columns import ColumnBatch

EPISODE_TEAM_RETURN_MEAN = "episode_team_return_mean"
EPISODE_COST_MEAN = "episode_cost_mean"
EPISODE_COSTS_MEAN = "episode_costs_mean"
EPISODE_COST_MAX_AGENT = "episode_cost_max_agent"
EPISODE_WITHIN_LIMIT_SHARE = "episode_within_limit_share"
AGENT_EPISODE_COSTS_MEAN = "agent_episode_costs_mean"

_COST_KEYS = (EPISODE_COST_MEAN, EPISODE_COST_MAX_AGENT, EPISODE_WITHIN_LIMIT_SHARE)
_REDUCE = {
    EPISODE_RETURN_MIN: "min",
    EPISODE_RETURN_MAX: "max",
    EPISODE_LEN_MIN: "min",
    EPISODE_LEN_MAX: "max",
}


class EpisodeMetrics:
    """Means over the last episodes of one env runner, and counts of its steps.

    Costs of an episode are undiscounted sums, over all constraints where there are several (then each
    also stands under ``episode_costs_mean/<name>``). ``episode_cost_max_agent`` is the largest over agents
    of the mean over episodes; ``episode_within_limit_share`` the share of episodes in which every agent kept
    to every limit, NaN without limits. All keys are there from the start, NaN until an episode has ended;
    those of costs stay NaN in an environment without costs. What actors note of their decisions stands as
    shares of them under ``<topic>/<flag>_share`` and ``module_<topic>/<policy>/<flag>_share``.

    Args:
        metrics: the runner's logger.
        team: the team.
        actors: its policies.
        window: mean over so many episodes, those of earlier iterations included.
        per_agent: report every agent also above 16.
        limits: ``[C]`` of the costs; None without any.
    """

    def __init__(
        self,
        metrics: MetricsLogger,
        team: Team,
        actors: Sequence[Actor],
        window: int,
        per_agent: bool,
        limits: NDArray[np.float64] | None = None,
    ) -> None:
        self._metrics = metrics
        self._team = team
        self._groups = [group for actor in actors for group in actor.groups]
        self._flags = {(name, group.policy): group for a in actors for group in a.groups for name in a.flags}
        self._names = [str(agent) for agent in team.agents]
        self._limits = limits if limits is not None and np.isfinite(limits).any() else None
        self._per_agent = per_agent or len(self._names) <= AGENTS_WITH_OWN_POLICY
        self.episodes: deque[Episode] = deque(maxlen=window)

    def log_steps(self, batch: ColumnBatch) -> None:
        """Count the steps of a block."""
        log = self._metrics.log_value
        steps = batch.env_steps()
        log(NUM_ENV_STEPS_SAMPLED, steps, reduce="sum")
        log(NUM_ENV_STEPS_SAMPLED_LIFETIME, steps, reduce="lifetime_sum", with_throughput=True)
        acted = batch.acted.sum((0, 1))
        per_agent = (
            dict(zip(self._names, acted.tolist(), strict=True))
            if self._per_agent
            else {"all": int(acted.sum())}
        )
        per_module = {g.policy: int(acted[g.agents].sum()) for g in self._groups}
        for once, lifetime, counts in (
            (NUM_AGENT_STEPS_SAMPLED, NUM_AGENT_STEPS_SAMPLED_LIFETIME, per_agent),
            (NUM_MODULE_STEPS_SAMPLED, NUM_MODULE_STEPS_SAMPLED_LIFETIME, per_module),
        ):
            for name, count in counts.items():
                log((once, name), count, reduce="sum")
                log((lifetime, name), count, reduce="lifetime_sum")

    def add(self, episodes: Sequence[Episode]) -> None:
        """Take in finished episodes."""
        self._metrics.log_value(NUM_EPISODES, len(episodes), reduce="sum")
        self._metrics.log_value(NUM_EPISODES_LIFETIME, len(episodes), reduce="lifetime_sum")
        self.episodes.extend(episodes)

    def replace(self, episodes: Sequence[Episode]) -> None:
        """Take the given episodes, and all of them, for the window."""
        self.episodes = deque(maxlen=max(len(episodes), self.episodes.maxlen or 0))
        self.add(episodes)

    def log_window(self) -> None:
        """Log the means over the window; called once whenever metrics are fetched."""
        for key, value in _flat(self._means()):
            # Over several runners, extremes stay extremes; anything else is their mean.
            self._metrics.log_value(key, value, reduce=_REDUCE.get(key[0], "mean"), window=1)

    def _means(self) -> dict[str, Any]:
        agents, costs = len(self._names), len(self._team.cost_names)
        returns = _stack([e.returns for e in self.episodes], (agents,))
        lengths = np.array([float(e.length) for e in self.episodes] or [np.nan])
        steps = _stack([e.agent_steps for e in self.episodes], (agents,))
        total = returns.sum(1)
        means: dict[str, Any] = {
            EPISODE_RETURN_MEAN: total.mean(),
            EPISODE_RETURN_MIN: total.min(),
            EPISODE_RETURN_MAX: total.max(),
            EPISODE_LEN_MEAN: lengths.mean(),
            EPISODE_LEN_MIN: lengths.min(),
            EPISODE_LEN_MAX: lengths.max(),
            EPISODE_TEAM_RETURN_MEAN: team_returns(returns).mean(),
            EPISODE_AGENT_RETURN_MEAN: self._over_agents(returns.mean(0)),
            EPISODE_AGENT_STEPS: self._over_agents(steps.mean(0)),
            EPISODE_MODULE_RETURN_MEAN: {g.policy: returns[:, g.agents].sum(1).mean() for g in self._groups},
        }
        per_episode = _stack([e.costs for e in self.episodes], (agents, costs))
        means |= self._costs(per_episode) if costs else dict.fromkeys(_COST_KEYS, np.nan)
        means |= self._shares()
        if self.episodes:
            for name in self.episodes[-1].metrics:
                values = [e.metrics[name] for e in self.episodes if name in e.metrics]
                means[f"{name}_mean"] = np.mean(values)
        return means

    def _shares(self) -> dict[str, Any]:
        """Shares of decisions of which something was noted, of all policies and of each that notes it."""
        shares: dict[str, Any] = {}
        for (name, policy), group in self._flags.items():
            topic, _, flag = name.rpartition("/")
            share = f"{flag}_share"
            shares.setdefault(topic, {})[share] = flag_share(self.episodes, name)
            of_policy = shares.setdefault(f"module_{topic}", {}).setdefault(policy, {})
            of_policy[share] = flag_share(self.episodes, name, group.agents)
        return shares

    def _costs(self, per_episode: NDArray[np.float64]) -> dict[str, Any]:
        """Cost metrics from ``[E, A, C]`` costs of episodes."""
        mean = agent_costs(per_episode)
        per_agent = mean.sum(1)
        costs = {
            EPISODE_COST_MEAN: per_agent.mean(),
            EPISODE_COST_MAX_AGENT: per_agent.max(),
            EPISODE_WITHIN_LIMIT_SHARE: self._within_limit(per_episode),
            AGENT_EPISODE_COSTS_MEAN: self._over_agents(per_agent),
        }
        if mean.shape[1] > 1:
            names = self._team.cost_names
            costs[EPISODE_COSTS_MEAN] = dict(zip(names, mean.mean(0), strict=True))
        return costs

    def _within_limit(self, per_episode: NDArray[np.float64]) -> float:
        if self._limits is None or not self.episodes:
            return np.nan
        return float(within_limits(per_episode, self._limits).mean())

    def _over_agents(self, values: NDArray[np.float64]) -> dict[str, float]:
        if self._per_agent:
            return dict(zip(self._names, values, strict=True))
        return {"mean": values.mean(), "min": values.min(), "max": values.max()}


def _stack(rows: Sequence[NDArray], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Rows ``[E, ...]`` as floats, one of NaN where there is none."""
    return np.stack(rows).astype(float) if rows else np.full((1, *shape), np.nan)


def _flat(tree: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], float]]:
    leaves = []
    for key, value in tree.items():
        if isinstance(value, dict):
            leaves += _flat(value, (*path, key))
        else:
            leaves.append(((*path, key), float(value)))
    return leaves
