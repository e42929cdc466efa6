"""Running episodes of remote env runners, on their way into a checkpoint and back."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import ray

logger = logging.getLogger(__name__)


def save_remote(group: Any, timeout: float | None) -> dict[str, Any]:
    """Where every healthy remote runner of an EnvRunnerGroup stands, and the seed of those to come.

    Args:
        group: the EnvRunnerGroup.
        timeout: runners that have not answered by then are left out, seconds; their environment may hang.
    """
    saved = group.foreach_env_runner(
        lambda runner: (runner.worker_index, runner.save_episodes()),
        local_env_runner=False,
        timeout_seconds=timeout,
    )
    return {"seed": group.local_env_runner.seed, "runners": dict(saved)}


def restore_remote(group: Any, state: Mapping[str, Any], resets: int) -> None:
    """Let every remote runner go on with its own episodes, or begin new ones; then one line says why.

    Args:
        group: the EnvRunnerGroup.
        state: from :func:`save_remote`, perhaps of another number of runners.
        resets: tells the seeds of new episodes from those before.
    """
    saved, runners = state["runners"], group.num_remote_env_runners()
    reasons = []
    if runners > 0:
        shared, seed = ray.put(saved), state["seed"]
        reasons = group.foreach_env_runner(
            lambda runner: runner.restore_episodes(ray.get(shared).get(runner.worker_index), seed, resets),
            local_env_runner=False,
        )
    told = sorted({reason for reason in reasons if reason})
    if len(saved) > runners:
        told.append(f"it was saved with {len(saved)} remote env runners, and there are {runners} now")
    if told:
        logger.warning(
            "Some episodes of the checkpoint do not go on and others begin, from seeds that follow the "
            "checkpoint: %s.",
            "; ".join(told),
        )
