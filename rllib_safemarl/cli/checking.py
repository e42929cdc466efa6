"""Checks on the driver, before anything is started: names, configs and resources."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from rllib_safemarl.cli.experiments import Experiment
from rllib_safemarl.errors import SafeMARLError, nearest_name

MOST_GRID_POINTS = 256
"""At most so many points of a grid are checked one by one."""


def rllib_names() -> list[str]:
    """Names of RLlib's own algorithms."""
    from ray.rllib.algorithms.registry import ALGORITHMS

    return list(ALGORITHMS)


def algorithm_class(run: str) -> Any:
    """The algorithm that Ray knows as ``run``.

    Raises:
        SafeMARLError: there is none; the error names the nearest.
    """
    from ray.tune import TuneError
    from ray.tune.registry import get_trainable_cls, is_function_trainable

    from rllib_safemarl.algorithms import ALGORITHMS

    try:
        found = get_trainable_cls(run)
    except TuneError:
        # Ray forgets names with the session that had them.
        found = ALGORITHMS.get(run)
    if found is None:
        raise SafeMARLError(
            f"there is no algorithm {run!r}.{nearest_name(run, [*ALGORITHMS, *rllib_names()])} Ours are: "
            f"{', '.join(ALGORITHMS)}."
        )
    if is_function_trainable(found) or not hasattr(found, "get_default_config"):
        raise SafeMARLError(f"{run!r} is registered with Ray, but is no RLlib algorithm.")
    return found


def check_env(env: Any) -> None:
    """Refuse the name of an environment that neither Ray nor Gymnasium knows.

    Raises:
        SafeMARLError: it is unknown; the error names the nearest.
    """
    import gymnasium
    from ray.tune.registry import ENV_CREATOR, _global_registry

    from rllib_safemarl.envs.registry import ENVIRONMENTS

    if not isinstance(env, str) or env in ENVIRONMENTS or _global_registry.contains(ENV_CREATOR, env):
        return
    try:
        gymnasium.spec(env)
    except Exception:
        known = [*ENVIRONMENTS, *gymnasium.registry]
        raise SafeMARLError(
            f"there is no environment {env!r}.{nearest_name(env, known)} Ours are: "
            f"{', '.join(ENVIRONMENTS)}; your own are known after register_env() in a .py file."
        ) from None


def grid_points(config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every point of a config's grid; what Tune samples at random stands at one sample of it."""
    leaves = list(_searched(config, ()))
    choices = [values for _, values in leaves]
    for values in itertools.islice(itertools.product(*choices), MOST_GRID_POINTS):
        yield _placed(config, {path: v for (path, _), v in zip(leaves, values, strict=True)}, ())


def _searched(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], list[Any]]]:
    from ray.tune.search.sample import Domain

    if isinstance(value, Domain):
        yield path, [value.sample()]
    elif isinstance(value, Mapping):
        if set(value) == {"grid_search"}:
            if not isinstance(value["grid_search"], list) or not value["grid_search"]:
                raise SafeMARLError(f"grid_search of {'.'.join(map(str, path))} must be a list of values.")
            yield path, value["grid_search"]
        else:
            for key, below in value.items():
                yield from _searched(below, (*path, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _searched(below, (*path, index))


def _placed(value: Any, chosen: Mapping[tuple[Any, ...], Any], path: tuple[Any, ...]) -> Any:
    if path in chosen:
        return chosen[path]
    if isinstance(value, Mapping):
        return {key: _placed(below, chosen, (*path, key)) for key, below in value.items()}
    if isinstance(value, list):
        return [_placed(below, chosen, (*path, index)) for index, below in enumerate(value)]
    return value


def check_experiment(experiment: Experiment, build_env: bool) -> list[dict[str, Any]]:
    """Check an experiment's names, and its config at every point of its grid.

    Args:
        experiment: the experiment.
        build_env: also create one copy of the environment, where it is ours.

    Returns:
        The config of every point of the grid.

    Raises:
        SafeMARLError: something does not fit; one line.
    """
    algorithm = algorithm_class(experiment.run)
    points = list(grid_points(experiment.config))
    for point in points:
        check_env(point.get("env"))
        _check_config(experiment, algorithm, point)
        if build_env:
            _build_env(point)
    return points


def _check_config(experiment: Experiment, algorithm: Any, point: dict[str, Any]) -> None:
    try:
        algorithm.get_default_config().update_from_dict(point).validate()
    except SafeMARLError:
        raise
    except Exception as error:
        raise SafeMARLError(
            f"config of experiment {experiment.name!r} does not fit {experiment.run}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _build_env(point: Mapping[str, Any]) -> None:
    from rllib_safemarl.envs.registry import ENVIRONMENTS, make_vector

    env, settings = point.get("env"), point.get("env_config") or {}
    if env not in ENVIRONMENTS:
        return
    try:
        make_vector(env, 1, **settings).close()
    except SafeMARLError:
        raise
    except Exception as error:
        raise SafeMARLError(f"env_config {settings!r} does not fit {env}: {error}") from error


def shortage(run: str, point: dict[str, Any], nodes: list[dict[str, float]]) -> str | None:
    """Say in one line what a trial asks for and the cluster lacks, or return None.

    Args:
        run: the algorithm's name.
        point: config of one trial.
        nodes: resources of every node.
    """
    algorithm = algorithm_class(run)
    request = algorithm.default_resource_request(point)
    config = algorithm.get_default_config().update_from_dict(point)
    for resource, name in (("CPU", "CPUs"), ("GPU", "GPUs")):
        asked = sum(bundle.get(resource, 0) for bundle in request.bundles)
        has = sum(node.get(resource, 0) for node in nodes)
        if asked > has:
            return (
                f"a trial asks for {asked:g} {name} and the cluster has {has:g}: lower "
                f"{_levers(config, resource)}."
            )
        bundle = max((bundle.get(resource, 0) for bundle in request.bundles), default=0)
        largest = max((node.get(resource, 0) for node in nodes), default=0)
        if bundle > largest:
            return (
                f"one process of a trial asks for {bundle:g} {name} and the largest node has {largest:g}: "
                f"lower {_levers(config, resource)}."
            )
    return None


def _levers(config: Any, resource: str) -> str:
    """The settings that raise a trial's request, with their values."""
    names = (
        ("num_env_runners", "num_cpus_per_env_runner", "evaluation_num_env_runners", "num_learners")
        if resource == "CPU"
        else ("num_learners", "num_gpus_per_learner", "num_gpus_per_env_runner")
    )
    given = [f"{name} ({getattr(config, name)})" for name in names if getattr(config, name, 0)]
    return " or ".join(given) or "num_cpus_for_main_process"
