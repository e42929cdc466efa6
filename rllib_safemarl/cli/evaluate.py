"""`rllib evaluate`: restore a checkpoint, run episodes, print what came out."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from rllib_safemarl.cli.console import one_line_errors, say, say_first
from rllib_safemarl.cli.documents import parse_mapping, set_dotted
from rllib_safemarl.cli.flags import TrainFlags
from rllib_safemarl.cli.formats import count, number
from rllib_safemarl.cli.trained import local_checkpoint
from rllib_safemarl.errors import SafeMARLError

ENV_RUNNERS, SAFETY = "env_runners", "safety"


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
@click.option(
    "--shield",
    metavar="CHECKPOINT",
    help="Planners, such as DIFFUSION_CBF's, whose barrier corrects what these policies choose; settings of "
    "acting, such as beta, are then theirs.",
)
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
    """Evaluate CHECKPOINT: a checkpoint's folder, or that of a trial or experiment (its newest).

    RLlib pickles checkpoints, so that one can run any code: evaluate those of people you trust. Policy
    folders, which `safemarl export` writes, hold data only.
    """
    say_first(f"evaluating {checkpoint}")
    if options["episodes"] and options["steps"]:
        raise SafeMARLError("--episodes and --steps exclude each other.")
    folder = local_checkpoint(checkpoint)
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
    """Evaluate, without RLlib's messages and with errors of one line."""
    from rllib_safemarl.cli.ray_session import import_ray

    import_ray(quiet=not options["log_info"])
    from rllib_safemarl.cli.failures import one_line
    from rllib_safemarl.cli.python_files import load_python

    if options["file"]:
        load_python(options["file"])
    try:
        return _run(folder, options)
    except SafeMARLError:
        raise
    except Exception as error:
        reason = one_line(error)
        if "size mismatch" in reason:
            reason = "the environment's agents or spaces are not those that the policies were trained on"
        raise SafeMARLError(f"evaluation failed: {reason}") from error


def _changes(config: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Config keys that only hold in this evaluation."""
    from rllib_safemarl.cli.checking import check_env

    changes: dict[str, Any] = {"env_config": dict(config.env_config)}
    for key, value in parse_mapping(options["config"], "--config").items():
        both = isinstance(value, Mapping) and isinstance(changes.get(key), dict)
        changes[key] = {**changes[key], **value} if both else value
    set_dotted(changes, options["assignments"])
    if options["env"]:
        changes["env"] = options["env"]
    check_env(changes.get("env", config.env))
    return {**changes, "explore": options["explore"], "seed": options["seed"]}


def _run(folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """The results of one evaluation, as plain numbers."""
    from rllib_safemarl.algorithms.columnar_config import ColumnarConfig
    from rllib_safemarl.cli.checking import algorithm_class
    from rllib_safemarl.evaluation.trained import read_config, set_evaluation

    algorithm, config = read_config(folder)
    if options["run"] is not None and algorithm_class(options["run"]) is not algorithm:
        raise SafeMARLError(f"{folder} holds {algorithm.__name__}, not {options['run']}.")
    changes = _changes(config, options)
    unit = "timesteps" if options["steps"] else "episodes"
    duration = options["steps"] or options["episodes"] or 10
    if isinstance(config, ColumnarConfig):
        results = plain(_run_ours(folder, changes, duration, unit, options["shield"]))
    elif options["shield"]:
        raise SafeMARLError(f"--shield is for policies of this package; {algorithm.__name__} is RLlib's own.")
    else:
        set_evaluation(config, changes, duration, unit)
        results = plain(_run_rllibs(algorithm, config, folder, TrainFlags(log_info=options["log_info"])))
    results["cost_limit"] = plain(getattr(config, "cost_limit", None))
    return results


def _run_ours(
    folder: Path, changes: Mapping[str, Any], duration: int, unit: str, shield: str | None
) -> dict[str, Any]:
    """Only the policies act, so that the environment may be one that they never saw."""
    from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

    from rllib_safemarl.algorithms.results import complete_results
    from rllib_safemarl.evaluation.comparison_records import make_record
    from rllib_safemarl.evaluation.rollouts import evaluate_runner
    from rllib_safemarl.evaluation.trained import TrainedTeam

    planners = local_checkpoint(shield) if shield else None
    runner = TrainedTeam.read(folder).runner(changes, duration, unit, planners)
    try:
        safety = {}
        if unit == "episodes":
            found = evaluate_runner(runner, duration, bool(changes["explore"]))
            safety = make_record(found, None, {}).safety_figures()
        else:
            runner.sample(num_timesteps=duration)
        metrics = MetricsLogger(root=True)
        metrics.aggregate([runner.get_metrics()], key=ENV_RUNNERS)
        results = metrics.peek(latest_merged_only=True)
        limits = None if runner.config.cost_limit is None else runner.config.limits(runner.team)
        assert runner.team is not None
        complete_results(results, limits, runner.team)
    finally:
        runner.stop()
    return {**results, SAFETY: safety}


def _run_rllibs(algorithm: Any, config: Any, folder: Path, flags: TrainFlags) -> dict[str, Any]:
    """An algorithm of RLlib's is built as it was, and evaluates itself."""
    import ray

    from rllib_safemarl.cli.ray_session import start_ray

    try:
        start_ray(flags)
        built = algorithm(config)
        try:
            built.restore_from_path(str(folder))
            return dict(built.evaluate())
        finally:
            built.stop()
            # Ray gives every algorithm a folder for logs of which there are none.
            with contextlib.suppress(OSError):
                os.rmdir(built.logdir)
    finally:
        ray.shutdown()


def table(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values to print of an evaluation.

    Args:
        results: what ``Algorithm.evaluate()`` returned, ``cost_limit``, and perhaps figures of ``safety``.
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
        rows += _share("episodes within the limit", figures.get("episode_within_limit_share"))
    rows += _safety_rows(results.get(SAFETY) or {}, figures)
    for name, share in sorted((figures.get("planning") or {}).items()):
        if share is not None:
            rows.append((f"planning: {name.removesuffix('_share')}", f"{100 * share:.1f} % of decisions"))
    for key, value in sorted(figures.items()):
        if key.endswith("_mean") and not key.startswith(("episode_", "agent_", "module_")):
            rows.append((key.removesuffix("_mean").replace("_", " "), number(value)))
    return rows


def _share(name: str, value: float | None) -> list[tuple[str, str]]:
    """A share in percent, if there is one."""
    return [] if value is None or math.isnan(value) else [(name, f"{100 * value:.1f} %")]


def _safety_rows(safety: Mapping[str, Any], figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    from rllib_safemarl.evaluation.statistics import wilson_interval

    if "dangerous_episodes" not in safety:
        return []
    episodes = int(figures["num_episodes"])
    rate = wilson_interval(round(safety["dangerous_episodes"] * episodes), episodes)
    low, high = 100 * rate.low, 100 * rate.high
    return [
        ("dangerous episodes", f"{100 * rate.mean:.1f} %, 95 % interval {low:.1f} to {high:.1f} %"),
        ("safe states", f"{100 * safety['safe_share']:.1f} %"),
        ("violations per episode", number(safety["violations"])),
    ]


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
