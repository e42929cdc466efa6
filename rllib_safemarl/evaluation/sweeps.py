"""Sweeps: what runs came to, beside the settings in which they differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from rllib_safemarl.errors import SafeMARLError, nearest_name
from rllib_safemarl.evaluation.runs import Run, differing_settings
from rllib_safemarl.evaluation.words import setting_text, short_names

LAST = 0.1
"""Share of a run's readings, the last of them, whose mean is what it came to."""
FIGURES = {
    "return": "team_return",
    "cost": "cost",
    "limit": "limit",
    "within_limit": "within_limit",
}
"""Figure → column of the readings."""


def sweep_frame(runs: Sequence[Run]) -> tuple[pd.DataFrame, list[str]]:
    """What every run came to.

    Args:
        runs: of one sweep or several.

    Returns:
        One line per run with the settings in which some differ, by short names, ``seed``, and the figures
        ``return``, ``cost``, ``limit`` and ``within_limit``, means over the last tenth of its readings; and
        the names of those settings.

    Raises:
        SafeMARLError: the runs differ in nothing but their seeds.
    """
    names = short_names(differing_settings(runs))
    if not names:
        raise SafeMARLError("these runs differ in no setting but their seeds: there is nothing to lay out.")
    names = {name: name if short in (*FIGURES, "seed") else short for name, short in names.items()}
    lines: list[dict[str, Any]] = []
    for run in runs:
        settings = {short: run.settings.get(name) for name, short in names.items()}
        last = run.curve.iloc[-max(1, math.ceil(LAST * len(run.curve))) :]
        figures = {name: float(last[column].mean()) for name, column in FIGURES.items()}
        lines.append({**settings, "seed": run.seed, **figures})
    return pd.DataFrame(lines).astype(dict.fromkeys(names.values(), object)), list(names.values())


def check_setting(name: str, settings: Sequence[str]) -> None:
    """Refuse a setting in which the runs do not differ.

    Raises:
        SafeMARLError: one line that names those in which they do.
    """
    if name not in settings:
        raise SafeMARLError(
            f"the runs do not differ in {name!r}.{nearest_name(name, settings)} They do in: "
            f"{', '.join(settings)}."
        )


def ordered(values: pd.Series) -> list[Any]:
    """Different values of a setting, numbers by size and before words."""
    different = {setting_text(value): value for value in values}.values()
    return sorted(
        different,
        key=lambda v: (0, float(v), "") if is_number(v) else (1, 0.0, setting_text(v)),
    )


def in_order(frame: pd.DataFrame, settings: Sequence[str]) -> pd.DataFrame:
    """The lines in the order of their settings."""
    ranks = pd.DataFrame(index=frame.index)
    for name in settings:
        rank = {setting_text(value): k for k, value in enumerate(ordered(frame[name]))}
        ranks[name] = frame[name].map(setting_text).map(rank)
    return frame.loc[ranks.sort_values(list(settings), kind="stable").index] if settings else frame


def choices(frame: pd.DataFrame, settings: Sequence[str]) -> list[str]:
    """Of every line its settings in words, equal for runs that differ in nothing but their seed."""
    return [
        ", ".join(f"{name}={setting_text(value)}" for name, value in zip(settings, line, strict=True))
        for line in frame[list(settings)].itertuples(index=False, name=None)
    ]


def is_number(value: Any) -> bool:
    """Whether a setting is a number, infinity among them."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


def places(values: Sequence[Any]) -> tuple[list[float], bool, bool]:
    """Where values of a setting stand on an axis.

    Args:
        values: in order.

    Returns:
        Their places; whether they are numbers on a scale, or else stand evenly apart; and whether that scale
        is logarithmic, as numbers that span more than a factor of 20 are easier to read.
    """
    if len(values) < 3 or not all(is_number(v) and math.isfinite(v) for v in values):
        return [float(k) for k in range(len(values))], False, False
    numbers = [float(v) for v in values]
    return numbers, True, numbers[0] > 0.0 and numbers[-1] / numbers[0] > 20.0
