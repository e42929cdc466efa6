"""What every online algorithm of ours does alike: sample columns, keep all state, say what it costs."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any, NoReturn

import ray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, WEIGHTS_SEQ_NO
from ray.util.debug import log_once

from rllib_safemarl.algorithms.checkpoint_version import check_version, version_metadata
from rllib_safemarl.algorithms.results import complete_results
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.policies.files import FOLDER, save_policy
from rllib_safemarl.policies.team_policy import PolicySettings, TeamPolicy
from rllib_safemarl.rollout.actor import policy_mlps
from rllib_safemarl.rollout.columns import ColumnBatch, join_copies
from rllib_safemarl.rollout.distributions import distribution_of
from rllib_safemarl.rollout.remote_episodes import restore_remote, save_remote
from rllib_safemarl.rollout.runner import ColumnarEnvRunner

logger = logging.getLogger(__name__)

REMOTE_EPISODES = "remote_episodes"
"""Key of an algorithm's state under which the running episodes of remote env runners stand."""


class ColumnarAlgorithm(Algorithm):
    """Sampling in columns, checkpoints with all state, and policies as small files beside them."""

    def __repr__(self) -> str:
        """RLlib's, which fails before ``setup()`` and so kills the actor instead of reporting its error."""
        return type(self).__name__ if self.config is None else super().__repr__()

    def setup(self, config: Any) -> None:
        """RLlib's, which goes on without env runners that failed, and then only misses their spaces.

        Raises:
            SafeMARLError: why no remote env runner could be started.
        """
        try:
            super().setup(config)
        except IndexError:
            if self.config.num_env_runners > 0:
                # One more runner, in this process, fails as the remote ones did, but says why.
                ColumnarEnvRunner(config=self.config, env_creator=self.env_creator, worker_index=1)
            raise

    # Training.

    def step(self) -> dict[str, Any]:
        """RLlib's iteration, with limits and cost estimates in its results."""
        results = super().step()
        team, config = self.env_runner.team, self.config
        limits = None if config.cost_limit is None else config.limits(team)
        complete_results(results, limits, team)
        return results

    def weights(self) -> dict[str, Any]:
        """The learners' present weights, as env runners take them over in ``set_state``."""
        state = self.learner_group.get_state(
            components=f"{COMPONENT_LEARNER}/{COMPONENT_RL_MODULE}", inference_only=True
        )[COMPONENT_LEARNER]
        return {key: state[key] for key in (COMPONENT_RL_MODULE, WEIGHTS_SEQ_NO)}

    def sample(self) -> ColumnBatch | None:
        """A batch from the local runner, or from all healthy remote ones under current weights.

        Returns:
            The copies of all runners side by side, in the order of the runners; ``None`` if all failed.

        Raises:
            SafeMARLError: the environment broke a contract, such as that of costs.
        """
        group = self.env_runner_group
        if group.num_remote_env_runners() == 0:
            (batch,) = self.env_runner.sample()
            self.metrics.aggregate([self.env_runner.get_metrics()], key=ENV_RUNNER_RESULTS)
            return batch
        weights = self.weights()
        results = group.foreach_env_runner(
            "sample_with_weights",
            kwargs={
                "weights": ray.put(weights[COMPONENT_RL_MODULE]),
                "weights_seq_no": weights[WEIGHTS_SEQ_NO],
            },
            local_env_runner=False,
            timeout_seconds=self.config.sample_timeout_s,
        )
        for result in results:
            if isinstance(result, SafeMARLError):
                raise result
        if not results:
            return None
        batches, metrics = zip(*sorted(results, key=lambda result: result[0].copy_ids[0]), strict=True)
        self.metrics.aggregate(list(metrics), key=ENV_RUNNER_RESULTS)
        return join_copies(batches)

    def restore_env_runners(self, env_runner_group: Any) -> list[int]:
        """RLlib's; runners that came back begin other episodes than in their first life."""
        restored = super().restore_env_runners(env_runner_group)
        if restored and env_runner_group is self.env_runner_group:
            seed, resets = self.env_runner.seed, self.iteration + 1
            env_runner_group.foreach_env_runner(
                lambda runner: runner.restart_episodes(seed, resets),
                remote_worker_ids=restored,
                local_env_runner=False,
                timeout_seconds=self.config.env_runner_restore_timeout_s,
            )
        return restored

    # Checkpoints.

    def get_metadata(self) -> dict[str, Any]:
        """RLlib's, and our version."""
        return {**super().get_metadata(), **version_metadata()}

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """RLlib's state, and the running episodes of remote env runners."""
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self._check_component(REMOTE_EPISODES, components, not_components):
            state[REMOTE_EPISODES] = save_remote(self.env_runner_group)
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over a state of :meth:`get_state`."""
        super().set_state(state)
        if REMOTE_EPISODES in state:
            restore_remote(self.env_runner_group, state[REMOTE_EPISODES], self.iteration + 1)

    def restore_from_path(self, path: Any, *args: Any, **kwargs: Any) -> None:
        """RLlib's, after a look at the version.

        Raises:
            SafeMARLError: another version wrote the checkpoint.
        """
        if kwargs.get("component") is None and not args:
            check_version(path, self.METADATA_FILE_NAME, kwargs.get("filesystem"))
        super().restore_from_path(path, *args, **kwargs)

    def save_to_path(self, path: str | Path | None = None, **kwargs: Any) -> str:
        """RLlib's checkpoint, with the policies as small files in ``policy/`` beside it."""
        saved = super().save_to_path(path, **kwargs)
        if not Path(saved).is_dir():
            return saved
        try:
            save_policy(self.team_policy(), Path(saved) / FOLDER)
        except SafeMARLError as error:
            if log_once(f"no_policy_file_{id(self)}"):
                logger.warning("No policy file beside the checkpoint: %s", error)
        return saved

    def team_policy(self) -> TeamPolicy:
        """The present policies, ready to act without Ray.

        Raises:
            SafeMARLError: a policy is an RLModule of the user's own.
        """
        runner, config = self.env_runner, self.config
        networks = policy_mlps(runner.groups, runner.module)
        foreign = [group.policy for group in runner.groups if group.policy not in networks]
        if foreign:
            name = type(runner.module[foreign[0]]).__name__
            raise SafeMARLError(
                f"policy {foreign[0]!r} is a {name}; only MLPs of the default RLModule become policy files."
            )
        return TeamPolicy(
            runner.team,
            networks,
            {policy: distribution_of(runner.module[policy]) for policy in networks},
            PolicySettings(
                config.policy_radius,
                config.max_neighbours,
                config.normalize_actions,
                config.clip_actions,
            ),
        )

    # What RLlib offers and a team of fixed policies has no use for.

    def add_module(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not possible.

        Raises:
            SafeMARLError: always.
        """
        raise SafeMARLError(_FIXED.format("add_module()"))

    def remove_module(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not possible.

        Raises:
            SafeMARLError: always.
        """
        raise SafeMARLError(_FIXED.format("remove_module()"))


_FIXED = (
    "{} has no meaning here: the policies of a team are fixed once it is built; name them all in "
    ".multi_agent(policies=…) and leave some untrained by policies_to_train."
)
