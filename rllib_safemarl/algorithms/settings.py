"""Settings of our algorithms: what Tune has yet to draw, and tables of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ray.tune.search.sample import Domain

from rllib_safemarl.settings import Setting


def is_search_space(value: Any) -> bool:
    """Whether Tune replaces this value in every trial: a grid search or a domain."""
    return isinstance(value, Domain) or (isinstance(value, Mapping) and "grid_search" in value)


def check(setting: Setting, name: str, value: Any) -> None:
    """Refuse a value that does not fit; what Tune has yet to draw passes.

    Raises:
        SafeMARLError: it does not fit.
    """
    if not is_search_space(value):
        setting.check(name, value)


def is_radius(value: Any) -> bool:
    """A neighbourhood radius: whole hops, or infinity (also as the string ``inf``)."""
    hops = float(value)
    return not isinstance(value, bool) and hops >= 0 and (math.isinf(hops) or hops == int(hops))


def describe(settings: Mapping[str, Setting]) -> str:
    """A Markdown table of settings."""
    rows = [f"| `{name}` | `{s.default}` | {s.unit} | {s.meaning} |" for name, s in settings.items()]
    return "\n".join(["| setting | default | unit | meaning |", "|---|---|---|---|", *rows])
