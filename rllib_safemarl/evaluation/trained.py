"""Trained teams from checkpoints, and env runners in which they act: without learners and without data."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_LEARNER_GROUP, COMPONENT_RL_MODULE
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModule

from rllib_safemarl.algorithms.checkpoint_version import check_version
from rllib_safemarl.algorithms.columnar_config import ColumnarConfig
from rllib_safemarl.algorithms.team_algorithm import TeamAlgorithm
from rllib_safemarl.envs.team import TEAM, Team
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.policies.files import load_policy
from rllib_safemarl.policies.kinds import Policy
from rllib_safemarl.policies.planning_settings import PLANNING_SETTINGS
from rllib_safemarl.rollout.trained_runner import TrainedEnvRunner

CLASS_FILE = "class_and_ctor_args.pkl"
"""What RLlib keeps of an algorithm's class and config."""
VIEW_SETTINGS = ("kappa", "policy_hops", "max_neighbours")
"""Settings that say what policies see, and so stay what they were in training."""


def read_config(folder: Path) -> tuple[type[Algorithm], AlgorithmConfig]:
    """The algorithm's class and its config, which can be changed, of a checkpoint of any algorithm.

    RLlib pickles them: a checkpoint can run any code as it is read, and must come from someone you trust.
    Policy folders (:func:`rllib_safemarl.load_policy`) are read without unpickling.

    Raises:
        SafeMARLError: the checkpoint cannot be read.
    """
    try:
        with (folder / CLASS_FILE).open("rb") as file:
            stored = pickle.load(file)
        config = stored["ctor_args_and_kwargs"][0][0]
        if not isinstance(config, AlgorithmConfig):
            config = AlgorithmConfig.from_state(config)
    except Exception as error:
        raise SafeMARLError(
            f"{folder} cannot be read, perhaps it is cut off or of another version: "
            f"{type(error).__name__}: {error}"
        ) from error
    return stored["class"], config.copy(copy_frozen=False)


def set_evaluation(config: AlgorithmConfig, changes: Mapping[str, Any], duration: int, unit: str) -> None:
    """Have a config evaluate in this process.

    Args:
        config: is changed.
        changes: config keys that only hold in the evaluation, ``env`` and ``env_config`` among them.
        duration: of the evaluation.
        unit: ``episodes`` or ``timesteps``.

    Raises:
        SafeMARLError: a key or a value of ours does not fit.
    """
    if isinstance(config, ColumnarConfig):
        _refuse_what_is_learnt(config, changes)
    config.update_from_dict(
        {
            "num_env_runners": 0,
            "num_learners": 0,
            "num_gpus_per_learner": 0,
            "evaluation_interval": 1,
            "evaluation_num_env_runners": 0,
            "evaluation_parallel_to_training": False,
            "evaluation_duration": duration,
            "evaluation_duration_unit": unit,
            "evaluation_config": dict(changes),
            # Nobody samples ahead.
            **({"max_sample_age": 0} if hasattr(config, "max_sample_age") else {}),
        }
    )
    config.validate()


def _refuse_what_is_learnt(config: ColumnarConfig, changes: Mapping[str, Any]) -> None:
    for name in (*VIEW_SETTINGS, *sorted(config.learnt_with)):
        if name in changes and changes[name] != (trained := getattr(config, name)):
            why = "policies see as they were trained" if name in VIEW_SETTINGS else "networks are as trained"
            raise SafeMARLError(f"{name}={changes[name]!r} cannot be evaluated: {why}, {name}={trained!r}.")


def shield_settings(changes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Changes that are settings of a shield's planners, and the others."""
    theirs = {name: value for name, value in changes.items() if name in PLANNING_SETTINGS}
    return theirs, {name: value for name, value in changes.items() if name not in theirs}


@dataclass(frozen=True)
class TrainedTeam:
    """Policies as they were trained.

    Attributes:
        config: of the algorithm, as it trained.
        team: the team that they learned as.
        weights: policy → state of its module.
    """

    config: ColumnarConfig
    team: Team
    weights: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> TrainedTeam:
        """The policies of a checkpoint.

        Raises:
            SafeMARLError: the checkpoint cannot be read, or no algorithm of ours wrote it.
        """
        _, config = read_config(folder)
        check_version(folder, Algorithm.METADATA_FILE_NAME)
        assert isinstance(config, ColumnarConfig)
        path = folder / COMPONENT_LEARNER_GROUP / COMPONENT_LEARNER / COMPONENT_RL_MODULE
        try:
            module = MultiRLModule.from_checkpoint(path)
            return cls(config, module.model_config[TEAM], module.get_state(inference_only=True))
        except Exception as error:
            raise SafeMARLError(
                f"the policies of {folder} cannot be read, perhaps it is cut off: "
                f"{type(error).__name__}: {error}"
            ) from error

    def runner(
        self,
        changes: Mapping[str, Any],
        duration: int,
        unit: str = "episodes",
        shield: str | Path | None = None,
    ) -> TrainedEnvRunner:
        """An env runner in which the policies act, in their environment or in one they never saw.

        Args:
            changes: config keys that hold in this evaluation; they may change the environment and how
                policies act, but not what they see.
            duration: of the evaluation.
            unit: ``episodes`` or ``timesteps``.
            shield: checkpoint or policy folder of planners that correct what these policies choose; settings
                of acting among ``changes`` are then the planners'.

        Raises:
            SafeMARLError: a change or the environment does not fit the policies, or the shield does not;
                one line.
        """
        planners: Mapping[str, Policy] = {}
        if shield is not None:
            theirs, changes = shield_settings(changes)
            planners = load_policy(shield, settings=theirs).policies
        config = self.config.copy(copy_frozen=False)
        set_evaluation(config, changes, duration, unit)
        config = config.get_evaluation_config_object()
        config.validate()
        config.freeze()
        _, creator = TeamAlgorithm._get_env_id_and_creator(config.env, config)
        runner = TrainedEnvRunner(
            trained=self.team, shield=planners, config=config, env_creator=creator, worker_index=0
        )
        try:
            runner.set_state({COMPONENT_RL_MODULE: dict(self.weights)})
        except RuntimeError as error:
            runner.stop()
            if "size mismatch" not in str(error):
                raise
            raise SafeMARLError(
                "the settings changed for this evaluation give networks of other sizes than those trained: "
                f"{', '.join(set(changes) - {'env', 'env_config', 'seed', 'explore'}) or 'none are'}."
            ) from error
        return runner
