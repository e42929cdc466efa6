"""Training from a dataset: portions of it to the learners, their weights to the evaluation."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ray.rllib.core import (
    COMPONENT_ENV_RUNNER,
    COMPONENT_EVAL_ENV_RUNNER,
    COMPONENT_LEARNER_GROUP,
    COMPONENT_RL_MODULE,
)
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModule
from ray.rllib.utils.checkpoints import Checkpointable
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    EVALUATION_RESULTS,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    TIMERS,
)

from rllib_safemarl.algorithms.offline.config import OfflineConfig
from rllib_safemarl.algorithms.offline.dataset_team import check_same_team
from rllib_safemarl.algorithms.results import complete_results
from rllib_safemarl.algorithms.team_algorithm import TeamAlgorithm
from rllib_safemarl.envs.team import TEAM, Team

OFFLINE_DATA = "offline_data"
"""Key of an algorithm's state under which its place in the dataset stands."""
_OF_ENV_RUNNERS = (COMPONENT_ENV_RUNNER, COMPONENT_EVAL_ENV_RUNNER)
"""Keys of RLlib's state that have no meaning without training env runners; evaluations start anew anyway."""


class OfflineAlgorithm(TeamAlgorithm):
    """Learns from :class:`MultiAgentOfflineData`; needs an environment only to evaluate.

    Attributes:
        config_class: the preset's config.
    """

    config_class: type[OfflineConfig] = OfflineConfig

    @classmethod
    def get_default_config(cls) -> OfflineConfig:
        """The preset."""
        return cls.config_class()

    @classmethod
    def default_resource_request(cls, config: Any) -> Any:
        """RLlib's, and a CPU for Ray Data where the dataset is streamed: a trial that held all would wait."""
        from ray.tune.execution.placement_groups import PlacementGroupFactory

        from rllib_safemarl.offline.source import is_streamed

        request = super().default_resource_request(config)
        built = cls.get_default_config().update_from_dict(config)
        if not is_streamed(built.input_, built.in_memory_bytes):
            return request
        return PlacementGroupFactory([*request.bundles, {"CPU": 1.0}], strategy=built.placement_strategy)

    def setup(self, config: Any) -> None:
        """RLlib's, and a look at whether the environment is that of the dataset."""
        super().setup(config)
        check_same_team(self.team, self.offline_data.source)

    @property
    def team(self) -> Team:
        """The team, as the learners know it."""
        return self._spec.model_config[TEAM]

    @property
    def _spec(self) -> Any:
        return self.offline_data.module_spec

    def acting_module(self) -> MultiRLModule:
        """The learners' present policies."""
        module = self._spec.build()
        module.set_state(self.weights()[COMPONENT_RL_MODULE])
        return module

    # Training.

    def training_step(self) -> None:
        """``dataset_num_iters_per_learner`` batches for every learner."""
        config = self.config
        portions = self.offline_data.sample(
            config.dataset_num_iters_per_learner, num_shards=max(1, config.num_learners)
        )
        data = TrainingData(batches=portions) if config.num_learners else TrainingData(batch=portions[0])
        position = self.offline_data.position
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            results = self.learner_group.update(
                training_data=data,
                timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: self._windows_learned},
            )
            self.metrics.aggregate(results, key=LEARNER_RESULTS)
        for key, value in (("epoch", position.epoch), ("batch_of_epoch", position.batch)):
            self.metrics.log_value((OFFLINE_DATA, key), value, window=1)

    @property
    def _windows_learned(self) -> int:
        """Windows that all learners have had so far; schedules count in them."""
        config = self.config
        per_iteration = config.dataset_num_iters_per_learner * config.train_batch_size_per_learner
        return (self.iteration + 1) * per_iteration * max(1, config.num_learners)

    def step(self) -> dict[str, Any]:
        """RLlib's iteration, with limits in the evaluation's results."""
        results = super().step()
        self._complete(results.get(EVALUATION_RESULTS))
        return results

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's evaluation, with limits in its results."""
        results = super().evaluate(*args, **kwargs)
        self._complete(results)
        return results

    def _complete(self, evaluation: dict[str, Any] | None) -> None:
        if evaluation and evaluation.get(ENV_RUNNER_RESULTS):
            limits = None if self.config.cost_limit is None else self.config.limits(self.team)
            complete_results(evaluation, limits, self.team)

    # Checkpoints.

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """RLlib's state, and the place in the dataset."""
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self._check_component(OFFLINE_DATA, components, not_components):
            state[OFFLINE_DATA] = self.offline_data.get_state()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        """Take over a state of :meth:`get_state`."""
        mine = {key: value for key, value in state.items() if key not in _OF_ENV_RUNNERS}
        if COMPONENT_LEARNER_GROUP in mine:
            self.learner_group.set_state(mine.pop(COMPONENT_LEARNER_GROUP))
        super().set_state(mine)
        if OFFLINE_DATA in state:
            self.offline_data.set_state(state[OFFLINE_DATA])

    def restore_checkpoint(self, path: Any, **kwargs: Any) -> None:
        """RLlib's without its last part, which needs env runners that train."""
        Checkpointable.restore_from_path(self, path, **kwargs)
