"""Runs several sides in turn, and prints medians, ranges and, as the last line, JSON with the ratios."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

REPEATS = 5


def in_turn(
    sides: Mapping[str, Callable[[], float]],
    repeats: int = REPEATS,
    warm_up: int = 1,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Units of work per CPU-second of every side, measured A B A B ….

    Args:
        sides: name → function that does some work and returns how many units it was.
        repeats: measurements of each side.
        warm_up: rounds not counted, first.
        clock: seconds; where other processors work, those that pass.
    """
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(-warm_up, repeats):
        for name, work in sides.items():
            started = clock()
            units = work()
            if repeat >= 0:
                rates[name].append(units / (clock() - started))
    return rates


def report(title: str, unit: str, rates: Mapping[str, list[float]]) -> dict[str, float]:
    """Print a table and return the medians."""
    print(f"\n{title}\n")
    print(f"| side | {unit}: median | min – max |\n|---|---|---|")
    for name, values in rates.items():
        median, low, high = map(_number, (statistics.median(values), min(values), max(values)))
        print(f"| {name} | {median} | {low} – {high} |")
    return {name: statistics.median(values) for name, values in rates.items()}


def _number(value: float) -> str:
    """Whole numbers, and three digits of small ones."""
    return f"{value:,.0f}" if value >= 100.0 else f"{value:.3g}"


def ratio(rates: Mapping[str, list[float]], over: str, under: str) -> float:
    """Median over rounds of one side's rate over another's in the same round."""
    return statistics.median(a / b for a, b in zip(rates[over], rates[under], strict=True))


def finish(**ratios: float) -> None:
    """Print the JSON line."""
    print(json.dumps({name: round(value, 3) for name, value in ratios.items()}))


def learner_of(config: Any) -> tuple[Any, Any]:
    """An offline config's learner, built without Ray, and its data."""
    from rllib_safemarl.offline.offline_data import MultiAgentOfflineData

    config.validate()
    learner = config.get_default_learner_class()(config=config, module_spec=config.get_multi_rl_module_spec())
    learner.build()
    return learner, MultiAgentOfflineData(config)


def start_ray() -> None:
    """A quiet Ray for algorithms that run in this process."""
    import logging

    import ray
    import torch

    torch.set_num_threads(1)
    logging.getLogger("ray").setLevel(logging.ERROR)
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
