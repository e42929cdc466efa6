"""Grids of settings in suites, of which one point is chosen per row and environment; read without Ray."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.suite_parts import mapping, merged, positive
from rllib_safemarl.evaluation.words import setting_text

TUNING_KEYS = ("seeds", "evaluation_episodes")
Choices = Mapping[tuple[str, str], str]
"""Row and environment → the point that was chosen."""


def read_grid(grid: Any, where: str) -> dict[str, dict[str, Any]]:
    """Every combination of the values of a row's ``tune``: its settings in words → config over the row's.

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
        words = []
        for name, value in zip(grid, values, strict=True):
            config = merged(config, _nested(str(name), value))
            words.append(f"{name}={setting_text(tuple(value) if isinstance(value, list) else value)}")
        points[", ".join(words)] = config
    return points


def _nested(name: str, value: Any) -> dict[str, Any]:
    first, _, rest = name.partition(".")
    return {first: _nested(rest, value) if rest else value}


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
