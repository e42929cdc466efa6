"""Evaluations of a suite: a checkpoint, a controller without training, a dataset; runs anywhere in Ray."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rllib_safemarl.envs.vector import VectorEnv
from rllib_safemarl.evaluation.comparison_records import EvaluationRecord, make_record
from rllib_safemarl.evaluation.suite_trials import SuiteEvaluation

MOST_COPIES = 32
"""Copies of the environment that a controller acts in, at most."""


def run_evaluation(
    evaluation: SuiteEvaluation,
    source: str | None,
    shield: str | None,
    num_episodes: int,
    about: Mapping[str, Any],
) -> EvaluationRecord:
    """Run deterministic episodes on seeds that were not trained on.

    Args:
        evaluation: what is evaluated.
        source: folder of the last checkpoint, or the dataset, all of whose episodes count; None for a
            controller.
        shield: folder of the last checkpoint of its shield, if it has one.
        num_episodes: E.
        about: what to note in the record.
    """
    import rllib_safemarl.algorithms  # noqa: F401  (registers every name, in a Ray worker too)

    trial = evaluation.trial
    if trial.controller is not None:
        episodes = _run_controller(evaluation, trial.controller, num_episodes)
    else:
        assert source is not None
        if trial.data:
            episodes = _read_dataset(evaluation, source)
        else:
            episodes = _run_checkpoint(evaluation, source, shield, num_episodes)
    return make_record(episodes, trial.limit, about)


def _run_checkpoint(
    evaluation: SuiteEvaluation, checkpoint: str, shield: str | None, num_episodes: int
) -> Any:
    from rllib_safemarl.evaluation.rollouts import evaluate_runner
    from rllib_safemarl.evaluation.trained import TrainedTeam

    changes = {
        "explore": False,
        **evaluation.changes,
        "env": evaluation.env,
        "env_config": dict(evaluation.env_config),
        "seed": evaluation.seed,
    }
    runner = TrainedTeam.read(Path(checkpoint)).runner(changes, num_episodes, shield=shield)
    try:
        return evaluate_runner(runner, num_episodes, bool(changes["explore"]))
    finally:
        runner.stop()


def _read_dataset(evaluation: SuiteEvaluation, path: str) -> Any:
    from rllib_safemarl.evaluation.dataset_episodes import dataset_episodes

    env = _make_env(evaluation, 1)
    try:
        return dataset_episodes(path, evaluation.trial.split, env.clearance)
    finally:
        env.close()


def _run_controller(evaluation: SuiteEvaluation, name: str, num_episodes: int) -> Any:
    from rllib_safemarl.evaluation.controllers import named_controller
    from rllib_safemarl.evaluation.rollouts import evaluate_controller

    seed = evaluation.seed
    env = _make_env(evaluation, _copies(num_episodes))
    try:
        return evaluate_controller(env, named_controller(evaluation.env, name, seed), num_episodes, seed)
    finally:
        env.close()


def _copies(num_episodes: int) -> int:
    """As many copies as share the episodes evenly."""
    return max(n for n in range(1, min(MOST_COPIES, num_episodes) + 1) if num_episodes % n == 0)


def _make_env(evaluation: SuiteEvaluation, num_copies: int) -> VectorEnv:
    from rllib_safemarl.rollout.make_env import named_vector_env

    return named_vector_env(evaluation.env, evaluation.env_config, num_copies)
