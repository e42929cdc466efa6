"""Settings in words, as labels of rows, axes and points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def setting_text(value: Any) -> str:
    """A setting as a person writes it."""
    if value is None:
        return "none"
    if isinstance(value, float):
        return "∞" if value == float("inf") else f"{value:g}"
    return str(list(value)) if isinstance(value, tuple) else str(value)


def short_names(settings: Sequence[str]) -> dict[str, str]:
    """Setting → its last part, where that alone tells it from the others."""
    last = [name.rpartition(".")[2] for name in settings]
    return {name: part if last.count(part) == 1 else name for name, part in zip(settings, last, strict=True)}
