"""Hyper-parameters of our algorithms: each stands once, with default, unit and meaning."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ray.tune.search.sample import Domain

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
        """Refuse a value that does not fit; what Tune has yet to draw passes."""
        if is_search_space(value):
            return
        try:
            fits = self.accepts(value)
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise SafeMARLError(f"{name}={value!r} does not fit: it must be {self.expected}.")


def is_search_space(value: Any) -> bool:
    """Whether Tune replaces this value in every trial: a grid search or a domain."""
    return isinstance(value, Domain) or (isinstance(value, Mapping) and "grid_search" in value)


def is_number(value: Any) -> bool:
    """A real number, not a bool, not NaN."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


def is_whole(value: Any) -> bool:
    """A whole number of at least 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_radius(value: Any) -> bool:
    """A neighbourhood radius: whole hops, or infinity (also as the string ``inf``)."""
    hops = float(value)
    return not isinstance(value, bool) and hops >= 0 and (math.isinf(hops) or hops == int(hops))


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


def describe(settings: Mapping[str, Setting]) -> str:
    """A Markdown table of settings."""
    rows = [f"| `{name}` | `{s.default}` | {s.unit} | {s.meaning} |" for name, s in settings.items()]
    return "\n".join(["| setting | default | unit | meaning |", "|---|---|---|---|", *rows])
