"""What a trial's results say, read once for the live table, the summary and the figures."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

RESULT_FILE = "result.json"
"""Tune's file of a trial: one result a line."""
ONLINE = "env_runners"
"""Part of a result with the figures of episodes that were learned from."""
SAMPLED = (f"{ONLINE}/num_env_steps_sampled_lifetime", "num_env_steps_sampled_lifetime", "timesteps_total")
LEARNED = ("learners/__all_modules__/num_env_steps_trained_lifetime",)
"""Where the steps so far stand: those sampled, and those learned from a dataset."""
_MEAN, _EVERYWHERE = "_mean", ("episode_", "agent_", "module_", "num_")


@dataclass(frozen=True)
class Reading:
    """The figures of one iteration; NaN where there is none (yet).

    Attributes:
        iteration: training iterations so far.
        steps: environment steps so far.
        seconds: training time so far.
        team_return: undiscounted return per episode, mean over agents.
        cost: undiscounted cost per episode and agent; with several constraints that of the tightest.
        limit: its limit.
        constraint: its name, where there are several.
        worst_cost: cost per episode of the agent with the largest, summed over constraints.
        multiplier: mean over agents and constraints.
        within_limit: share of episodes in which every agent kept to every limit.
        metrics: the environment's own figures of episodes, means over them.
        loss: of algorithms that learn from a dataset, whose episodes are those of their evaluation.
    """

    iteration: int
    steps: float
    seconds: float
    team_return: float
    cost: float
    limit: float
    constraint: str
    worst_cost: float
    multiplier: float
    loss: float = math.nan
    within_limit: float = math.nan
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def holds(self) -> bool | None:
        """Whether the cost keeps to its limit; None if one of them is missing."""
        if math.isnan(self.cost) or math.isnan(self.limit):
            return None
        return self.cost <= self.limit


def lookup(result: Mapping[str, Any], path: str, default: Any = math.nan) -> Any:
    """The value at ``a/b/c`` of a nested result."""
    value: Any = result
    for part in path.split("/"):
        if not isinstance(value, Mapping) or part not in value:
            return result.get(path, default)
        value = value[part]
    return value


def read_result(result: Mapping[str, Any]) -> Reading:
    """Read one result of a trial, ours or a stock algorithm's."""
    loss = _first(result, "learners/__all_modules__/total_loss")
    where = ONLINE if math.isnan(loss) else f"evaluation/{ONLINE}"
    cost, limit, constraint = tightest_cost(result, where=where)
    return Reading(
        iteration=int(_first(result, "training_iteration")),
        steps=_first(result, *(SAMPLED if math.isnan(loss) else LEARNED)),
        seconds=_first(result, "time_total_s"),
        team_return=_team_return(result, where),
        cost=cost,
        limit=limit,
        constraint=constraint,
        worst_cost=_first(result, f"{where}/episode_cost_max_agent"),
        multiplier=_first(result, "learners/__all_modules__/multiplier_mean"),
        loss=loss,
        within_limit=_first(result, f"{where}/episode_within_limit_share"),
        metrics=_own_metrics(lookup(result, where, None)),
    )


def _own_metrics(episodes: Any) -> dict[str, float]:
    """Means of what is neither RLlib's nor of every environment."""
    if not isinstance(episodes, Mapping):
        return {}
    own = (name for name in episodes if name.endswith(_MEAN) and not name.startswith(_EVERYWHERE))
    values = {name.removesuffix(_MEAN): _number(episodes[name]) for name in own}
    return {name: value for name, value in values.items() if not math.isnan(value)}


def _team_return(result: Mapping[str, Any], where: str) -> float:
    """Our metric, or what stock algorithms report: per agent, or of the only one."""
    of_agents = lookup(result, f"{where}/agent_episode_returns_mean", None)
    ours = _first(result, f"{where}/episode_team_return_mean")
    if math.isnan(ours) and isinstance(of_agents, Mapping) and of_agents:
        return sum(_number(value) for value in of_agents.values()) / len(of_agents)
    return _first(result, f"{where}/episode_team_return_mean", f"{where}/episode_return_mean")


def tightest_cost(
    result: Mapping[str, Any], limit: Any = None, where: str = ONLINE
) -> tuple[float, float, str]:
    """The cost nearest to, or farthest above, its limit.

    Args:
        result: a result.
        limit: a number for every constraint or a dict by name; None takes that of the result.
        where: the part of the result with the figures of episodes.

    Returns:
        Cost, limit and, where there are several constraints, the name; NaN for what is missing.
    """
    if limit is None:
        limit = lookup(result, f"{where}/cost_limit", lookup(result, "config/cost_limit", None))
    costs = lookup(result, f"{where}/episode_costs_mean", None)
    if not isinstance(costs, Mapping):
        if isinstance(limit, Mapping):
            limit = next(iter(limit.values()), None)
        return _first(result, f"{where}/episode_cost_mean"), _number(limit), ""

    def limit_of(name: str) -> float:
        return _number(limit.get(name) if isinstance(limit, Mapping) else limit)

    def tightness(name: str) -> float:
        bound = limit_of(name)
        excess = _number(costs[name]) - bound
        return excess / max(bound, 1e-9) if math.isfinite(excess) else -math.inf

    name = max(costs, key=tightness)
    return _number(costs[name]), limit_of(name), str(name)


def read_curve(trial_folder: Path) -> pd.DataFrame:
    """Every reading of a trial, one a row; an empty frame if it reported nothing.

    A line cut off by a crash is left out, and of iterations that a resumed trial ran again the last counts.
    """
    file = trial_folder / RESULT_FILE
    readings = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        try:
            readings.append(asdict(read_result(json.loads(line))))
        except json.JSONDecodeError:
            continue
    return _in_order(readings)


def read_readings(file: Path) -> pd.DataFrame:
    """Readings that were kept one a line; of iterations that were run again the last count.

    A line cut off by a crash is left out.
    """
    readings = []
    for line in file.read_text("utf-8").splitlines() if file.is_file() else []:
        with contextlib.suppress(json.JSONDecodeError):
            readings.append(json.loads(line))
    return _in_order(readings)


def _in_order(readings: list[dict[str, Any]]) -> pd.DataFrame:
    own = [dict(reading.pop("metrics", None) or {}) for reading in readings]
    fixed = [name for name in Reading.__dataclass_fields__ if name != "metrics"]
    # What stands in a column already keeps its meaning.
    more = [name for name in dict.fromkeys(name for values in own for name in values) if name not in fixed]
    lines = [{**values, **reading} for values, reading in zip(own, readings, strict=True)]
    frame = pd.DataFrame(lines, columns=[*fixed, *more])
    return frame.drop_duplicates("iteration", keep="last").sort_values("iteration", ignore_index=True)


def _first(result: Mapping[str, Any], *paths: str) -> float:
    """The first of several places that holds a number, else NaN."""
    values = (_number(lookup(result, path, None)) for path in paths)
    return next((value for value in values if not math.isnan(value)), math.nan)


def _number(value: Any) -> float:
    if isinstance(value, bool) or value is None:
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
