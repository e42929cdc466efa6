"""Samples from remote env runners: of all of them at once, or of whoever has finished."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.rollout.columns import ColumnBatch

logger = logging.getLogger(__name__)

TAG = "sample"
"""Under which requests for samples are known to RLlib."""
SECONDS_BETWEEN_LOOKS = 0.02


@dataclass(frozen=True)
class Share:
    """What one env runner sampled in answer to one request.

    Attributes:
        batch: its columns.
        metrics: what it counted meanwhile.
    """

    batch: ColumnBatch
    metrics: Any

    @property
    def worker(self) -> int:
        """The runner's index, from 1 on."""
        return int(self.batch.copy_ids[0]) // self.batch.copies + 1


class RemoteSampling:
    """Gets each update's samples from the remote env runners of a group.

    With ``max_sample_age=0`` every healthy runner is asked and waited for, up to ``sample_timeout_s``; one
    that lets two requests in a row go unanswered is killed, if it will be restarted.

    With more, no runner waits for an update, nor an update for a slow runner: every runner is asked again
    once it has answered, under the weights of that moment, and an update takes the first ``num_env_runners``
    shares, whoever they come from. Those whose weights are more than ``max_sample_age`` updates old are
    dropped, never learnt from.

    Args:
        group: RLlib's EnvRunnerGroup.
        config: the algorithm's.

    Attributes:
        dropped_steps: environment steps so far that were too old to be learnt from.
    """

    def __init__(self, group: Any, config: Any) -> None:
        self._group = group
        self._wanted: int = config.num_env_runners
        self._timeout: float | None = config.sample_timeout_s
        self._restarts: bool = config.restart_failed_env_runners
        self._max_age: int = config.max_sample_age
        self._late: set[int] = set()
        self._waiting: list[Share] = []
        self.dropped_steps = 0

    def sample(self, weights: Any, weights_seq_no: int, env_steps: int) -> list[Share]:
        """The shares of one update, in the order of the runners; none if all runners failed.

        Args:
            weights: the learner's present ones.
            weights_seq_no: their number, which counts updates.
            env_steps: what all runners together have sampled so far.

        Raises:
            SafeMARLError: an environment broke a contract, or no runner answered in time.
        """
        request = {
            "weights": ray.put(weights),
            "weights_seq_no": weights_seq_no,
            "env_steps": env_steps,
        }
        shares = self._of_all(request) if self._max_age == 0 else self._of_the_first(request)
        return sorted(shares, key=lambda share: share.worker)

    def forget(self) -> None:
        """Drop what was sampled for a state that is no longer ours."""
        self._waiting.clear()
        self._group.fetch_ready_async_reqs(tags=TAG, timeout_seconds=self._timeout)

    # All of them.

    def _of_all(self, request: Mapping[str, Any]) -> list[Share]:
        shares = _read(
            self._group.foreach_env_runner(
                "sample_with_weights",
                kwargs=request,
                local_env_runner=False,
                timeout_seconds=self._timeout,
            )
        )
        silent = set(self._group.healthy_env_runner_ids()) - {share.worker for share in shares}
        if silent and not shares:
            raise self._silence()
        self._give_up(silent & self._late)
        self._late = silent
        return shares

    def _give_up(self, workers: set[int]) -> None:
        """Have Ray start runners anew that have not answered twice."""
        for worker in workers if self._restarts else ():
            logger.warning(
                "Env runner %d has not answered twice within sample_timeout_s=%g s and is started anew.",
                worker,
                self._timeout,
            )
            manager = self._group._worker_manager
            ray.kill(manager._actors[worker], no_restart=False)
            manager.set_actor_state(worker, healthy=False)

    def _silence(self) -> SafeMARLError:
        return SafeMARLError(
            f"no env runner answered within sample_timeout_s={self._timeout:g} seconds: the environment "
            "hangs, or is slow; raise sample_timeout_s, or lower the batch size."
        )

    # Whoever has finished.

    def _of_the_first(self, request: Mapping[str, Any]) -> list[Share]:
        deadline = time.monotonic() + (float("inf") if self._timeout is None else self._timeout)
        while True:
            self._waiting += self._answers(request)
            self._drop_old(request["weights_seq_no"])
            if len(self._waiting) >= self._wanted or not self._group.num_healthy_remote_env_runners():
                break
            if time.monotonic() > deadline:
                if not self._waiting:
                    raise self._silence()
                break
        taken, self._waiting = self._waiting[: self._wanted], self._waiting[self._wanted :]
        return taken

    def _answers(self, request: Mapping[str, Any]) -> list[Share]:
        """What is ready; runners that have nothing to do get the request."""
        return _read(
            self._group.foreach_env_runner_async_fetch_ready(
                "sample_with_weights",
                kwargs=request,
                tag=TAG,
                timeout_seconds=SECONDS_BETWEEN_LOOKS,
            )
        )

    def _drop_old(self, weights_seq_no: int) -> None:
        """Keep shares that are no older than allowed, nor from weights that a restored state undid."""
        waiting, self._waiting = self._waiting, []
        for share in waiting:
            if 0 <= weights_seq_no - share.batch.weights_seq_no <= self._max_age:
                self._waiting.append(share)
            else:
                self.dropped_steps += share.batch.env_steps()


def _read(results: Sequence[Any]) -> list[Share]:
    for result in results:
        if isinstance(result, SafeMARLError):
            raise result
    return [Share(*result) for result in results]
