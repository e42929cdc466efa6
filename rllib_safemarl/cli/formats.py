"""Numbers as a person reads them."""

from __future__ import annotations

import math
from typing import Any

NOTHING = "–"
"""What stands where there is no number yet."""


def is_number(value: Any) -> bool:
    """A finite real number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def count(value: Any) -> str:
    """A whole number with thousands apart, such as ``12,800``."""
    return f"{round(value):,}" if is_number(value) else NOTHING


def number(value: Any) -> str:
    """A number with about three digits, such as ``0.42`` or ``-118``."""
    if not is_number(value):
        return NOTHING
    if abs(value) >= 1e6:
        return f"{value:.2e}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    if value != 0 and abs(value) < 0.01:
        return f"{value:.3f}" if abs(value) >= 0.001 else f"{value:.0e}"
    return f"{value:.2f}"


def duration(seconds: Any) -> str:
    """A duration such as ``48 s``, ``3 min 5 s`` or ``2 h 10 min``."""
    if not is_number(seconds):
        return NOTHING
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
