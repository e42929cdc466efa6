"""Points of grids that were evaluated on seeds of their own, and which of them is chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rllib_safemarl.evaluation.comparison import DONE, UNFINISHED, EvaluationResult


@dataclass(frozen=True)
class PointResult:
    """What a point of a grid came to on the validation seeds.

    Attributes:
        row: of the grid.
        environment: where it was trained.
        point: its settings in words.
        results: one per seed.
    """

    row: str
    environment: str
    point: str
    results: Sequence[EvaluationResult]

    @property
    def is_settled(self) -> bool:
        """Whether every seed has been evaluated or has failed."""
        return all(result.status != UNFINISHED for result in self.results)

    @property
    def is_eligible(self) -> bool:
        """Whether every seed has been evaluated."""
        return all(result.status == DONE for result in self.results)

    def figures(self, name: str) -> list[float]:
        """A figure of every seed that has been evaluated."""
        found = (result.record.figures() for result in self.results if result.record is not None)
        return [float(figures.get(name, math.nan)) for figures in found]

    @property
    def bound(self) -> float:
        """Upper bound of the worst agent's cost, the largest of all seeds."""
        return max(self.figures("worst_agent_bound"), default=math.nan)

    @property
    def limit(self) -> float:
        """Limit on that cost; NaN without."""
        return max(self.figures("limit"), default=math.nan)

    @property
    def merit(self) -> tuple[bool, float]:
        """The greater the better: within the limit by return, above it by how little."""
        if math.isfinite(self.limit) and self.bound > self.limit:
            return False, -self.bound / max(self.limit, 1e-9)
        return True, float(np.mean(self.figures("return")))


def point_results(results: Sequence[EvaluationResult]) -> list[PointResult]:
    """Points over their seeds, in the order of the evaluations."""
    groups: dict[tuple[str, str, str], list[EvaluationResult]] = {}
    for result in results:
        evaluation = result.evaluation
        key = (evaluation.trial.row, evaluation.trial.environment, evaluation.point)
        groups.setdefault(key, []).append(result)
    return [PointResult(*key, group) for key, group in groups.items()]


def choose(points: Sequence[PointResult]) -> dict[tuple[str, str], str]:
    """The best point of every row and environment of which nothing is left to do.

    Of the points whose worst agents keep to the limit in every seed, by the upper bounds of their costs, the
    one with the greatest mean return; if there is none, the one that is the least above it. Points of which
    a seed failed are not chosen.
    """
    groups: dict[tuple[str, str], list[PointResult]] = {}
    for point in points:
        groups.setdefault((point.row, point.environment), []).append(point)
    chosen = {}
    for key, group in groups.items():
        eligible = [point for point in group if point.is_eligible]
        if eligible and all(point.is_settled for point in group):
            chosen[key] = max(eligible, key=lambda point: point.merit).point
    return chosen
