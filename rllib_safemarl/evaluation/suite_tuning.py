"""Tuning grids of suites: a row's settings chosen by rollouts on reserved validation seeds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.comparison_records import EvaluationRecord
from rllib_safemarl.evaluation.runs import setting_text
from rllib_safemarl.evaluation.suite_parts import mapping, merged, positive
from rllib_safemarl.evaluation.suite_trials import SuiteEvaluation

TUNING_KEYS = ("seeds", "evaluation_episodes")
Choices = Mapping[tuple[str, str], str]
"""Row and environment → the point that was chosen."""


@dataclass(frozen=True)
class Point:
    """A point of a grid.

    Attributes:
        name: its settings in words.
        config: of the algorithm, to be laid over the row's.
    """

    name: str
    config: Mapping[str, Any]


def read_grid(grid: Any, where: str) -> dict[str, Point]:
    """Every combination of the values of a row's ``tune``, by name.

    Args:
        grid: setting → list of values; dots lead into nested settings.
        where: of the row, for errors.

    Raises:
        SafeMARLError: it is no such mapping.
    """
    grid = mapping(grid, f"tune of {where}")
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise SafeMARLError(f"tune of {where}: {name} must be a list of values, such as [0.001, 0.0003].")
        if name == "seed":
            raise SafeMARLError(f"tune of {where} sets seed: seeds stand in the suite itself.")
    points = {}
    for values in itertools.product(*grid.values()):
        config: dict[str, Any] = {}
        for name, value in zip(grid, values, strict=True):
            config = merged(config, _nested(str(name), value))
        words = (f"{n}={setting_text(_plain(v))}" for n, v in zip(grid, values, strict=True))
        points[", ".join(words)] = Point(", ".join(f"{n}" for n in grid), config)
    return {name: Point(name, point.config) for name, point in points.items()}


def _nested(name: str, value: Any) -> dict[str, Any]:
    first, _, rest = name.partition(".")
    return {first: _nested(rest, value) if rest else value}


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Tuning:
    """How rows with a grid are tuned.

    Attributes:
        seeds: of the trials, the first of the suite's: only the episodes of their evaluation are reserved.
        episodes: of each evaluation.
    """

    seeds: tuple[int, ...]
    episodes: int


def read_tuning(given: Any, seeds: tuple[int, ...], episodes: int, where: str) -> Tuning:
    """The suite's ``tuning``; without one all its seeds and as many episodes as for the test."""
    given = mapping(given or {}, f"tuning of {where}", TUNING_KEYS)
    count = positive(given.get("seeds", len(seeds)), f"seeds of the tuning of {where}")
    if count > len(seeds):
        raise SafeMARLError(f"the tuning of {where} asks for {count} seeds, and the suite has {len(seeds)}.")
    asked = given.get("evaluation_episodes", episodes)
    return Tuning(seeds[:count], positive(asked, f"evaluation_episodes of the tuning of {where}"))


@dataclass(frozen=True)
class PointResult:
    """What a point came to on the validation seeds.

    Attributes:
        row: of the grid.
        environment: where it was trained.
        point: its settings in words.
        values: return per seed.
        bounds: upper bound of the worst agent's cost per seed, of the tightest constraint; NaN without costs.
        limit: on it; NaN without.
        safe_shares: share of safe states per seed; NaN where nothing tells danger.
        planned: seeds that were to be run.
    """

    row: str
    environment: str
    point: str
    values: Sequence[float]
    bounds: Sequence[float]
    limit: float
    safe_shares: Sequence[float]
    planned: int

    @property
    def is_done(self) -> bool:
        """Whether every seed has been evaluated."""
        return len(self.values) == self.planned

    @property
    def merit(self) -> tuple[bool, float]:
        """The greater the better: within the limit by return, above it by how little."""
        if math.isfinite(self.limit) and max(self.bounds) > self.limit:
            return False, -max(self.bounds) / max(self.limit, 1e-9)
        return True, float(np.mean(self.values))


def point_results(
    evaluations: Sequence[SuiteEvaluation], records: Sequence[EvaluationRecord | None]
) -> list[PointResult]:
    """Points over their seeds, in the order of the evaluations."""
    groups: dict[tuple[str, str, str], list[EvaluationRecord | None]] = {}
    for evaluation, record in zip(evaluations, records, strict=True):
        key = (evaluation.trial.row, evaluation.trial.environment, evaluation.point)
        groups.setdefault(key, []).append(record)
    return [_point_result(*key, group) for key, group in groups.items()]


def _point_result(
    row: str, environment: str, point: str, records: Sequence[EvaluationRecord | None]
) -> PointResult:
    figures = [record.figures() for record in records if record is not None]
    return PointResult(
        row,
        environment,
        point,
        [f["return"] for f in figures],
        [f["worst_agent_bound"] for f in figures],
        max((f["limit"] for f in figures), default=math.nan),
        [f.get("safe_share", math.nan) for f in figures],
        len(records),
    )


def choose(results: Sequence[PointResult]) -> dict[tuple[str, str], str]:
    """The best point of every row and environment whose points have all been evaluated.

    Of the points whose worst agents keep to the limit in every seed, by the upper bounds of their costs, the
    one with the greatest mean return; if there is none, the one that is the least above it.
    """
    groups: dict[tuple[str, str], list[PointResult]] = {}
    for result in results:
        groups.setdefault((result.row, result.environment), []).append(result)
    return {
        key: max(points, key=lambda point: point.merit).point
        for key, points in groups.items()
        if all(point.is_done for point in points)
    }
