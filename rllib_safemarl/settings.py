"""Settings: each stands once, with default, unit and meaning."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rllib_safemarl.errors import SafeMARLError


@dataclass(frozen=True)
class Setting:
    """One hyper-parameter.

    Attributes:
        default: its value unless set.
        unit: what it is measured in.
        meaning: one sentence.
        accepts: whether a value fits.
        expected: what fits, in words.
    """

    default: Any
    unit: str
    meaning: str
    accepts: Callable[[Any], bool] = lambda value: True
    expected: str = "any value"

    def check(self, name: str, value: Any) -> None:
        """Refuse a value that does not fit.

        Raises:
            SafeMARLError: it does not; one line that names what does.
        """
        try:
            fits = self.accepts(value)
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise SafeMARLError(f"{name}={value!r} does not fit: it must be {self.expected}.")


def is_number(value: Any) -> bool:
    """A real number, not a bool, not NaN."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


def is_whole(value: Any) -> bool:
    """A whole number of at least 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def one_of(*known: str) -> dict[str, Any]:
    """``accepts`` and ``expected`` of a choice."""
    return {"accepts": known.__contains__, "expected": f"one of {', '.join(known)}"}


def at_least(bound: float, *, above: bool = False, none: bool = False) -> dict[str, Any]:
    """``accepts`` and ``expected`` of a bounded number."""

    def accepts(value: Any) -> bool:
        if value is None:
            return none
        return is_number(value) and (value > bound if above else value >= bound)

    words = f"a number {'above' if above else 'of at least'} {bound:g}{' or None' if none else ''}"
    return {"accepts": accepts, "expected": words}


def counts(least: int) -> dict[str, Any]:
    """``accepts`` and ``expected`` of a whole number."""
    return {
        "accepts": lambda value: is_whole(value) and value >= least,
        "expected": f"a whole number of at least {least}",
    }


def _is_share(value: Any) -> bool:
    return is_number(value) and 0.0 <= value <= 1.0


FLAG: dict[str, Any] = {"accepts": lambda value: isinstance(value, bool), "expected": "true or false"}
SHARE: dict[str, Any] = {"accepts": _is_share, "expected": "a number between 0 and 1"}
SHARE_OR_NULL: dict[str, Any] = {
    "accepts": lambda value: value is None or _is_share(value),
    "expected": "a number between 0 and 1, or null",
}
INSIDE_SHARE: dict[str, Any] = {
    "accepts": lambda value: is_number(value) and 0.0 < value < 1.0,
    "expected": "a number above 0 and below 1",
}
"""``accepts`` and ``expected`` of switches, of shares, and of shares that are neither nothing nor all."""
