"""Whole episodes of a trained algorithm, or of a controller without training, summed up alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rllib_safemarl.envs.team import Group, Team, describe_team, make_groups, make_views
from rllib_safemarl.envs.vector import VectorEnv
from rllib_safemarl.evaluation.controllers import Controller
from rllib_safemarl.evaluation.episode_danger import safety_of_columns
from rllib_safemarl.evaluation.statistics import upper_bound
from rllib_safemarl.functional.safety_metrics import EpisodeSafety, agent_costs, team_returns
from rllib_safemarl.policies.actor import Acted, Actor
from rllib_safemarl.rollout.collector import Collector, Episode
from rllib_safemarl.rollout.columns import ColumnBatch
from rllib_safemarl.rollout.runner import EVALUATION_STEPS, ColumnarEnvRunner


@dataclass(frozen=True)
class EpisodeSet:
    """Figures of E episodes.

    Attributes:
        returns: ``[E, A]`` undiscounted reward of every agent.
        costs: ``[E, A, C]`` undiscounted cost of every agent.
        lengths: ``[E]`` steps.
        metrics: name → ``[E]`` the environment's own figures, and shares of what actors note of decisions.
        cost_names: ``[C]``.
        safety: ``[E]``; empty where neither margins nor costs say what danger is.
    """

    returns: NDArray[np.float64]
    costs: NDArray[np.float64]
    lengths: NDArray[np.float64]
    metrics: dict[str, NDArray[np.float64]]
    cost_names: tuple[str, ...]
    safety: list[EpisodeSafety]

    @property
    def team_return(self) -> float:
        """Mean over episodes and agents."""
        return float(team_returns(self.returns).mean())

    @property
    def cost(self) -> float:
        """Mean over episodes and agents of the summed costs."""
        return float(agent_costs(self.costs.sum(-1)).mean())

    def worst_agent_bound(self, confidence: float = 0.95) -> float:
        """Largest over agents of the upper confidence bound of their mean cost per episode."""
        per_agent = self.costs.sum(-1)
        return max(upper_bound(per_agent[:, i], confidence) for i in range(per_agent.shape[1]))


def episode_set(
    episodes: Sequence[Episode], batches: Sequence[ColumnBatch], team: Team, env: VectorEnv
) -> EpisodeSet:
    """Put episodes side by side.

    Args:
        episodes: E of them, in order of their end.
        batches: the columns in which they ran, from a reset on.
        team: whose they are.
        env: N copies, of which each contributed its first episodes.
    """
    quota = np.bincount([episode.copy for episode in episodes], minlength=env.num_copies)
    figures = [{**episode.metrics, **episode.shares()} for episode in episodes]
    names = dict.fromkeys(name for each in figures for name in each)
    return EpisodeSet(
        np.stack([episode.returns for episode in episodes]),
        np.stack([episode.costs for episode in episodes]),
        np.array([float(episode.length) for episode in episodes]),
        {name: np.array([each.get(name, np.nan) for each in figures]) for name in names},
        team.cost_names,
        safety_of_columns(batches, quota, team.time_limit, env.clearance),
    )


def evaluate_algorithm(algorithm: Any, num_episodes: int, explore: bool = False) -> EpisodeSet:
    """Run episodes of a built algorithm on its local evaluation runner, a fixed quota per copy.

    Args:
        algorithm: built with ``evaluation_interval`` set and no remote evaluation runners.
        num_episodes: E.
        explore: sample actions, or take the mode.
    """
    runner = algorithm.eval_env_runner
    runner.set_state(algorithm.weights())
    return evaluate_runner(runner, num_episodes, explore)


def evaluate_runner(runner: ColumnarEnvRunner, num_episodes: int, explore: bool = False) -> EpisodeSet:
    """Run episodes of an evaluation's env runner under the weights it has, a fixed quota per copy."""
    episodes, batches = runner.run_episodes(num_episodes, explore)
    assert runner.team is not None
    return episode_set(episodes, batches, runner.team, runner.env)


def evaluate_controller(
    env: VectorEnv, controller: Controller, num_episodes: int, seed: int = 0
) -> EpisodeSet:
    """Run episodes of a controller that needs no training, see :func:`controller_episodes`."""
    team = controller_team(env)
    return episode_set(*controller_episodes(env, controller, num_episodes, seed), team, env)


def controller_team(env: VectorEnv, agent_graph: Any = None) -> Team:
    """The team of an environment in which a controller acts; ``agent_graph`` as of :func:`describe_team`."""
    return describe_team(env, lambda agent, *_: f"controller_{_kind_of(env, agent)}", agent_graph)


def controller_episodes(
    env: VectorEnv, controller: Controller, num_episodes: int, seed: int = 0
) -> tuple[list[Episode], list[ColumnBatch]]:
    """Run episodes of a controller that needs no training.

    Args:
        env: N copies; each contributes its first ``E / N`` episodes.
        controller: chooses the actions.
        num_episodes: E, rounded up to a multiple of N.
        seed: of the environment.

    Returns:
        The episodes, in order of their end, and the columns in which they ran.
    """
    team = controller_team(env)
    views = make_views(team, 0, 0)
    collector = Collector(env, views, keeps_margins=True)
    collector.reset(seed)
    actors = [_ControllerActor(group, env, controller) for group in make_groups(team, views, True)]
    quota = np.full(env.num_copies, -(-num_episodes // env.num_copies))
    episodes: list[Episode] = []
    batches: list[ColumnBatch] = []
    while quota.any():
        batch, ended = collector.collect(EVALUATION_STEPS, actors, False, torch.Generator())
        batches.append(batch)
        for episode in ended:
            if quota[episode.copy] > 0:
                quota[episode.copy] -= 1
                episodes.append(episode)
    return episodes, batches


def _kind_of(env: VectorEnv, agent: Any) -> str:
    i = env.possible_agents.index(agent)
    return next(kind.name for kind in env.kinds if i in kind.agents)


class _ControllerActor(Actor):
    """A controller in the place of the policy of one kind."""

    def __init__(self, group: Group, env: VectorEnv, controller: Controller) -> None:
        super().__init__([group], normalize_actions=False, clip_actions=False)
        self._env = env
        self._controller = controller

    def choose(self, views: Any, explore: bool, generator: Any) -> Any:
        raise NotImplementedError("a controller reads the environment, not views")

    def act(self, views: Any, explore: bool, generator: Any) -> Acted:
        """The controller's actions, which are the environment's already."""
        actions = self._controller(self._env)[self.kind][None]
        return Acted(actions, actions, None, None)
