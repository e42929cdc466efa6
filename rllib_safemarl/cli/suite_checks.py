"""Checks of a suite on the driver, before hours are spent on it: every row, environment and variant once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rllib_safemarl.cli.checking import algorithm_class, check_env, check_experiment
from rllib_safemarl.cli.experiments import Experiment
from rllib_safemarl.cli.paths import is_remote, resolve
from rllib_safemarl.envs.registry import ENVIRONMENTS, make_vector
from rllib_safemarl.envs.team import Team, describe_team
from rllib_safemarl.envs.unseen import unseen_team
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.suite_trials import SuiteEvaluation


def check_evaluations(
    evaluations: Sequence[SuiteEvaluation],
    experiments: Sequence[Experiment],
    inputs: Path,
    is_local: bool,
) -> None:
    """Check every row in every environment and variant once.

    Args:
        evaluations: what is to be done.
        experiments: what is to be trained for it.
        inputs: relative paths of datasets are looked for here.
        is_local: whether environments can be built here.

    Raises:
        SafeMARLError: a row, an environment, a variant or a controller does not fit; one line.
    """
    by_name = {experiment.name: experiment for experiment in experiments}
    once = {(e.row, e.trial.environment, e.environment): e for e in evaluations}
    for evaluation in once.values():
        where = (
            "" if evaluation.environment == evaluation.trial.environment else f" in {evaluation.environment}"
        )
        try:
            _check(evaluation, by_name, inputs, is_local)
        except SafeMARLError as error:
            raise SafeMARLError(f"row {evaluation.row!r}{where}: {error}") from error


def _check(
    evaluation: SuiteEvaluation, experiments: Mapping[str, Experiment], inputs: Path, is_local: bool
) -> None:
    from rllib_safemarl.algorithms.diffusion_cbf.config import DiffusionCBFConfig
    from rllib_safemarl.evaluation.controllers import named_controller
    from rllib_safemarl.evaluation.trained import set_evaluation, shield_settings
    from rllib_safemarl.rollout.runner import ColumnarEnvRunner

    trial = evaluation.trial
    check_env(evaluation.env)
    if trial.controller is not None:
        named_controller(evaluation.env, trial.controller)
        return
    if trial.data is not None:
        path = resolve(trial.data, inputs)
        if not is_remote(path) and not Path(path).exists():
            raise SafeMARLError(f"data: there is no {trial.data!r} in {inputs} nor in {Path.cwd()}.")
        return
    config = algorithm_class(str(trial.run)).get_default_config()
    if not issubclass(config.env_runner_cls or object, ColumnarEnvRunner):
        raise SafeMARLError(f"{trial.run} is none of our algorithms, and only these are compared.")
    if trial.folder in experiments and evaluation.is_own:
        check_experiment(experiments[trial.folder], build_env=is_local)
    if evaluation.is_own:
        return
    config.update_from_dict({**trial.config, "env": trial.env})
    if is_local and {trial.env, evaluation.env} <= set(ENVIRONMENTS):
        trained = _team(trial.env, trial.config.get("env_config") or {}, config)
        here = _team(evaluation.env, evaluation.env_config, config)
        unseen_team(here, trained, config.policy_radius, config.max_neighbours)
    changes = evaluation.changes
    if evaluation.shield is not None:
        shield = algorithm_class(str(evaluation.shield.run)).get_default_config()
        if not isinstance(shield, DiffusionCBFConfig):
            raise SafeMARLError(f"the shield {evaluation.shield.row!r} must plan, as DIFFUSION_CBF does.")
        theirs, changes = shield_settings(changes)
        shield.update_from_dict(theirs)
    set_evaluation(config, changes, 1, "episodes")
    config.get_evaluation_config_object().validate()


def _team(env: str, settings: Mapping[str, Any], config: Any) -> Team:
    vector = make_vector(env, 1, **settings)
    try:
        return describe_team(vector, config.policy_mapping, config.agent_graph)
    finally:
        vector.close()
