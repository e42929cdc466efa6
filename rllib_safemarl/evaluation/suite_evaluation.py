"""Evaluation of a suite's trials: a checkpoint, or a controller without training; runs anywhere in Ray."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import Any

from rllib_safemarl.envs.vector import VectorEnv
from rllib_safemarl.evaluation.comparison_records import EvaluationRecord, make_record
from rllib_safemarl.evaluation.suite_trials import SuiteTrial

MOST_COPIES = 32
"""Copies of the environment that a controller acts in, at most."""


def evaluate_trial(
    trial: SuiteTrial, checkpoint: str | None, num_episodes: int, about: Mapping[str, Any]
) -> EvaluationRecord:
    """Run deterministic episodes of a trial on seeds that it was not trained on.

    Args:
        trial: the trial.
        checkpoint: folder of its last checkpoint; None for a controller.
        num_episodes: E.
        about: what to note in the record.
    """
    import rllib_safemarl.algorithms  # noqa: F401  (registers every name, in a Ray worker too)

    if trial.controller is not None:
        episodes, limit = _evaluate_controller(trial, num_episodes), trial.limit
    else:
        assert checkpoint is not None
        episodes, limit = _evaluate_checkpoint(trial, checkpoint, num_episodes)
    return make_record(episodes, limit, about)


def _evaluate_checkpoint(trial: SuiteTrial, checkpoint: str, num_episodes: int) -> tuple[Any, Any]:
    """The episodes, and the limit that the algorithm had."""
    from ray.tune.registry import get_trainable_cls

    from rllib_safemarl.evaluation.rollouts import evaluate_algorithm

    algorithm = get_trainable_cls(trial.run)
    config = algorithm.get_default_config().update_from_dict({**trial.config, "env": trial.env})
    config.update_from_dict(
        {
            "num_env_runners": 0,
            "num_learners": 0,
            "num_gpus_per_learner": 0,
            "evaluation_interval": 1,
            "evaluation_num_env_runners": 0,
            "evaluation_parallel_to_training": False,
            "evaluation_duration": num_episodes,
            "evaluation_duration_unit": "episodes",
            "evaluation_config": {"explore": False, "seed": trial.evaluation_seed},
        }
    )
    built = algorithm(config)
    try:
        built.restore_from_path(checkpoint)
        return evaluate_algorithm(built, num_episodes), config.cost_limit
    finally:
        built.stop()
        # Ray gives every algorithm a folder for logs of which there are none.
        with contextlib.suppress(OSError):
            os.rmdir(built.logdir)


def _evaluate_controller(trial: SuiteTrial, num_episodes: int) -> Any:
    from rllib_safemarl.evaluation.controllers import named_controller
    from rllib_safemarl.evaluation.rollouts import evaluate_controller

    assert trial.controller is not None
    controller = named_controller(trial.env, trial.controller, trial.evaluation_seed)
    env = _make_env(trial, _copies(num_episodes))
    try:
        return evaluate_controller(env, controller, num_episodes, trial.evaluation_seed)
    finally:
        env.close()


def _copies(num_episodes: int) -> int:
    """As many copies as share the episodes evenly."""
    return max(n for n in range(1, min(MOST_COPIES, num_episodes) + 1) if num_episodes % n == 0)


def _make_env(trial: SuiteTrial, num_copies: int) -> VectorEnv:
    """Copies of an environment that Ray or Gymnasium knows by name."""
    from ray.rllib.algorithms.algorithm import Algorithm
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
    from ray.rllib.env.env_context import EnvContext

    from rllib_safemarl.rollout.make_env import make_vector_env

    _, creator = Algorithm._get_env_id_and_creator(trial.env, AlgorithmConfig())
    context = EnvContext(dict(trial.config.get("env_config") or {}), worker_index=0)
    return make_vector_env(creator, None, context, num_copies)
