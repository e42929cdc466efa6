"""`rllib evaluate`: restore a checkpoint, run episodes, print what came out."""

from __future__ import annotations

import contextlib
import json
import math
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from rllib_safemarl.cli.console import one_line_errors, say, say_first
from rllib_safemarl.cli.documents import parse_mapping, set_dotted
from rllib_safemarl.cli.flags import TrainFlags
from rllib_safemarl.cli.formats import count, number
from rllib_safemarl.cli.paths import newest_checkpoint
from rllib_safemarl.errors import SafeMARLError

ENV_RUNNERS = "env_runners"
_CLASS_FILE = "class_and_ctor_args.pkl"


@click.command()
@click.argument("checkpoint", metavar="CHECKPOINT")
@click.option("--episodes", type=click.IntRange(min=1), help="Episodes to run.  [default: 10]")
@click.option("--steps", type=click.IntRange(min=1), help="Environment steps to run, instead of episodes.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a config key for the evaluation, such as env_config.n_agents=8; repeatable.",
)
@click.option("--config", "-c", default="{}", metavar="JSON|YAML", help="Several of them at once.")
@click.option("--explore/--no-explore", default=False, show_default=True, help="Sample actions.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of environments and actions.")
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Write the results to a JSON file.")
@click.option("--env", "-e", metavar="NAME", help="Another environment than the checkpoint's.")
@click.option("--run", "--algo", "-r", "-a", "run", metavar="NAME", help="Insist on this algorithm.")
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    help="The .py file that was trained from: run it first, so that its environments are known.",
)
@click.option("--local-mode", is_flag=True, help="No meaning: evaluation is local.")
@click.option("--log-info", "-v", is_flag=True, help="Ray's own output, and tracebacks.")
@one_line_errors
def evaluate(checkpoint: str, **options: Any) -> None:
    """Evaluate CHECKPOINT: a checkpoint's folder, or that of a trial or experiment (its newest)."""
    say_first(f"evaluating {checkpoint}")
    if options["episodes"] and options["steps"]:
        raise SafeMARLError("--episodes and --steps exclude each other.")
    folder = newest_checkpoint(checkpoint)
    if not isinstance(folder, Path):
        raise SafeMARLError(f"{checkpoint} lies elsewhere: copy it to this machine first.")
    if str(folder) != checkpoint:
        say(f"checkpoint: {folder}")
    results = _evaluate_quietly(folder, options)
    rows = table(results)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        say(f"{name.ljust(width)}  {value}")
    if options["out"]:
        write_json({"checkpoint": str(folder), **results}, options["out"])
        say(f"results: {options['out']}")


def _evaluate_quietly(folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Start Ray, evaluate, stop Ray."""
    from rllib_safemarl.cli.ray_session import import_ray, start_ray

    import_ray(quiet=not options["log_info"])
    import ray

    from rllib_safemarl.cli.failures import one_line
    from rllib_safemarl.cli.python_files import load_python

    if options["file"]:
        load_python(options["file"])
    algorithm, config = read_checkpoint(folder, options["run"])
    _configure(config, options)
    try:
        start_ray(TrainFlags(log_info=options["log_info"]))
        return _run(algorithm, config, folder)
    except SafeMARLError:
        raise
    except Exception as error:
        reason = one_line(error)
        if "size mismatch" in reason:
            reason = "the environment's agents or spaces are not those that the policies were trained on"
        raise SafeMARLError(f"evaluation failed: {reason}") from error
    finally:
        ray.shutdown()


def read_checkpoint(folder: Path, run: str | None) -> tuple[Any, Any]:
    """The algorithm's class and its config, which can be changed."""
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

    from rllib_safemarl.cli.checking import algorithm_class

    try:
        with (folder / _CLASS_FILE).open("rb") as file:
            stored = pickle.load(file)
        config = stored["ctor_args_and_kwargs"][0][0]
        if not isinstance(config, AlgorithmConfig):
            config = AlgorithmConfig.from_state(config)
    except Exception as error:
        raise SafeMARLError(
            f"{folder} cannot be read, perhaps it is cut off or of another version: "
            f"{type(error).__name__}: {error}"
        ) from error
    algorithm = stored["class"]
    if run is not None and algorithm_class(run) is not algorithm:
        raise SafeMARLError(f"{folder} holds {algorithm.__name__}, not {run}.")
    return algorithm, config.copy(copy_frozen=False)


def _configure(config: Any, options: Mapping[str, Any]) -> None:
    """Evaluate in this process, under the overrides."""
    from rllib_safemarl.cli.checking import check_env

    changes: dict[str, Any] = {"env_config": dict(config.env_config)}
    for key, value in parse_mapping(options["config"], "--config").items():
        both = isinstance(value, Mapping) and isinstance(changes.get(key), dict)
        changes[key] = {**changes[key], **value} if both else value
    set_dotted(changes, options["assignments"])
    if options["env"]:
        changes["env"] = options["env"]
    check_env(changes.get("env", config.env))
    unit = "timesteps" if options["steps"] else "episodes"
    config.update_from_dict(
        {
            "num_env_runners": 0,
            "num_learners": 0,
            "evaluation_interval": 1,
            "evaluation_num_env_runners": 0,
            "evaluation_parallel_to_training": False,
            "evaluation_duration": options["steps"] or options["episodes"] or 10,
            "evaluation_duration_unit": unit,
            "evaluation_config": {**changes, "explore": options["explore"], "seed": options["seed"]},
        }
    )
    config.validate()


def _run(algorithm: Any, config: Any, folder: Path) -> dict[str, Any]:
    """The results of one evaluation, as plain numbers."""
    built = algorithm(config)
    try:
        built.restore_from_path(str(folder))
        results = plain(built.evaluate())
    finally:
        built.stop()
        # Ray gives every algorithm a folder for logs of which there are none.
        with contextlib.suppress(OSError):
            os.rmdir(built.logdir)
    results["cost_limit"] = plain(getattr(config, "cost_limit", None))
    return results


def table(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values to print of an evaluation.

    Args:
        results: what ``Algorithm.evaluate()`` returned, and ``cost_limit``.
    """
    from rllib_safemarl.evaluation.curves import lookup, tightest_cost

    figures = results.get(ENV_RUNNERS, {})
    rows = [
        ("episodes", count(figures.get("num_episodes"))),
        ("steps", count(figures.get("num_env_steps_sampled"))),
        ("steps per episode", number(figures.get("episode_len_mean"))),
        ("return, sum over agents", number(figures.get("episode_return_mean"))),
    ]
    if "episode_team_return_mean" in figures:
        rows.append(("return, mean over agents", number(figures["episode_team_return_mean"])))
    cost, limit, name = tightest_cost(results, lookup(results, "cost_limit", None))
    if not math.isnan(cost):
        named = f" ({name})" if name else ""
        against = (
            ""
            if math.isnan(limit)
            else f" / {number(limit)}, {'within' if cost <= limit else 'above'} the limit"
        )
        rows.append((f"cost per episode and agent{named}", f"{number(cost)}{against}"))
        rows.append(("cost of the worst agent", number(figures.get("episode_cost_max_agent"))))
    for key, value in sorted(figures.items()):
        if key.endswith("_mean") and not key.startswith(("episode_", "agent_", "module_")):
            rows.append((key.removesuffix("_mean").replace("_", " "), number(value)))
    return rows


def plain(value: Any) -> Any:
    """Nested results with Python's own numbers; NaN becomes None, as JSON has none."""
    if isinstance(value, Mapping):
        return {str(key): plain(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(below) for below in value]
    value = value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (int, float, str, bool, type(None))) else str(value)


def write_json(results: Mapping[str, Any], path: Path) -> None:
    """Write results atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)
