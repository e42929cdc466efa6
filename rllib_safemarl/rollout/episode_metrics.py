"""Metrics of finished episodes and sampled steps, under RLlib's names and ours beside them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
from ray.rllib.utils.metrics import (
    EPISODE_AGENT_RETURN_MEAN,
    EPISODE_AGENT_STEPS,
    EPISODE_LEN_MAX,
    EPISODE_LEN_MEAN,
    EPISODE_LEN_MIN,
    EPISODE_MODULE_RETURN_MEAN,
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

from rllib_safemarl.rollout.collector import Episode
from rllib_safemarl.rollout.columns import ColumnBatch
from rllib_safemarl.rollout.groups import AGENTS_WITH_OWN_POLICY, Group, Team

EPISODE_TEAM_RETURN_MEAN = "episode_team_return_mean"
EPISODE_COST_MEAN = "episode_cost_mean"
EPISODE_COSTS_MEAN = "episode_costs_mean"
EPISODE_COST_MAX_AGENT = "episode_cost_max_agent"
AGENT_EPISODE_COSTS_MEAN = "agent_episode_costs_mean"


class EpisodeMetrics:
    """Logs episodes and steps of one env runner.

    Episode costs are undiscounted sums, over all constraints where there are several (then each also
    stands under ``episode_costs_mean/<name>``). ``episode_cost_max_agent`` is the largest over agents of
    the mean over the window's episodes.
    """

    def __init__(
        self, metrics: MetricsLogger, team: Team, groups: Sequence[Group], window: int, per_agent: bool
    ) -> None:
        self._metrics = metrics
        self._team = team
        self._groups = groups
        self._window = window
        self._names = [str(agent) for agent in team.agents]
        self._per_agent = per_agent or len(self._names) <= AGENTS_WITH_OWN_POLICY
        self._agent_costs: deque[np.ndarray] = deque(maxlen=window)

    def log_steps(self, batch: ColumnBatch) -> None:
        """Count the steps of a block."""
        log = self._metrics.log_value
        log(NUM_ENV_STEPS_SAMPLED, batch.env_steps(), reduce="sum")
        log(
            NUM_ENV_STEPS_SAMPLED_LIFETIME,
            batch.env_steps(),
            reduce="lifetime_sum",
            with_throughput=True,
        )
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

    def log_episodes(self, episodes: Sequence[Episode]) -> None:
        """Enter finished episodes."""
        log = self._metrics.log_value
        log(NUM_EPISODES, len(episodes), reduce="sum")
        log(NUM_EPISODES_LIFETIME, len(episodes), reduce="lifetime_sum")
        for episode in episodes:
            self._log_episode(episode)
        if self._agent_costs:
            worst = np.mean(self._agent_costs, axis=0).max(initial=0.0)
            log(EPISODE_COST_MAX_AGENT, float(worst), window=1)

    def _log_episode(self, episode: Episode) -> None:
        total = float(episode.returns.sum())
        means = {
            EPISODE_RETURN_MEAN: total,
            EPISODE_LEN_MEAN: episode.length,
            EPISODE_TEAM_RETURN_MEAN: float(episode.returns.mean()),
            EPISODE_AGENT_RETURN_MEAN: self._over_agents(episode.returns),
            EPISODE_AGENT_STEPS: self._over_agents(episode.agent_steps),
            EPISODE_MODULE_RETURN_MEAN: {
                g.policy: float(episode.returns[g.agents].sum()) for g in self._groups
            },
        }
        if self._team.cost_names:
            means |= self._costs(episode)
        means |= {f"{name}_mean": value for name, value in episode.metrics.items()}
        self._metrics.log_dict(means, window=self._window)
        for reduce, length, ret in (
            ("min", EPISODE_LEN_MIN, EPISODE_RETURN_MIN),
            ("max", EPISODE_LEN_MAX, EPISODE_RETURN_MAX),
        ):
            self._metrics.log_dict(
                {length: episode.length, ret: total}, reduce=reduce, window=self._window
            )

    def _costs(self, episode: Episode) -> dict:
        agent_costs = episode.costs.sum(-1)
        self._agent_costs.append(agent_costs)
        costs = {
            EPISODE_COST_MEAN: float(agent_costs.mean()),
            AGENT_EPISODE_COSTS_MEAN: self._over_agents(agent_costs),
        }
        if len(self._team.cost_names) > 1:
            per_name = episode.costs.mean(0).tolist()
            costs[EPISODE_COSTS_MEAN] = dict(zip(self._team.cost_names, per_name, strict=True))
        return costs

    def get_state(self) -> list[np.ndarray]:
        """The window of agents' costs."""
        return list(self._agent_costs)

    def set_state(self, state: Sequence[np.ndarray]) -> None:
        """Take over a window of :meth:`get_state`."""
        self._agent_costs = deque(state, maxlen=self._window)

    def _over_agents(self, values: np.ndarray) -> dict[str, float]:
        if self._per_agent:
            return dict(zip(self._names, values.tolist(), strict=True))
        return {"mean": float(values.mean()), "min": float(values.min()), "max": float(values.max())}


def smoothing_window(episodes: int, num_runners: int) -> int:
    """Episodes each of several runners averages over, so that together they make the window."""
    return max(1, math.ceil(episodes / max(1, num_runners)))
