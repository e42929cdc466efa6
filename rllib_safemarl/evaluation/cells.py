"""Numbers and intervals as the cells of tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from rllib_safemarl.evaluation.statistics import STUDENT, Estimate

NOTHING = "–"


def figure(value: Any) -> str:
    """A number with about three digits, such as ``0.42``, ``-118`` or ``1.2e+07``."""
    if value is None or pd.isna(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    size = abs(value)
    if size >= 1e6 or 0 < size < 0.001:
        return f"{value:.1e}"
    return f"{value:.0f}" if size >= 100 else f"{value:.2f}" if size >= 0.095 or size == 0 else f"{value:.3f}"


def percent(value: Any) -> str:
    """A share, such as ``12.5 %``."""
    return NOTHING if pd.isna(value) else f"{100 * value:.1f} %"


def whole(value: Any) -> str:
    """A whole number, such as ``12,800``."""
    return NOTHING if pd.isna(value) else f"{value:,.0f}"


def interval(estimate: Estimate) -> str:
    """An average, ``± half-width`` of Student's interval or ``[low, high]`` of the bootstrap's."""
    return _with_interval(estimate, figure)


def percent_interval(estimate: Estimate) -> str:
    """The same of a share."""
    text = _with_interval(estimate, lambda value: f"{100 * value:.1f}")
    return text if text == NOTHING else f"{text} %"


def _with_interval(estimate: Estimate, text: Callable[[float], str]) -> str:
    if math.isnan(estimate.mean):
        return NOTHING
    mean = text(estimate.mean)
    if math.isnan(estimate.low):
        return mean
    if estimate.method == STUDENT:
        return f"{mean} ± {text(estimate.mean - estimate.low)}"
    return f"{mean} [{text(estimate.low)}, {text(estimate.high)}]"


def side_by_side(values: Sequence[float], text: Callable[[Any], str] = figure) -> str:
    """Values of seeds in one cell, such as ``1.55, 1.49, 1.52``."""
    return ", ".join(text(value) for value in values) or NOTHING


def title_of(column: str) -> str:
    """Heading of a column of the results: ``least_margin`` → ``least margin``."""
    return column.replace("_", " ")
