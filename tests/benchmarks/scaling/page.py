"""The page of results: what was measured, how well the model tells it, and what it foretells."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.benchmarks.scaling.costs import DriverRow, driver_costs
from tests.benchmarks.scaling.model import ROUND_TRIPS, Costs, Growth, Network, iteration
from tests.benchmarks.scaling.trials import STEP_SECONDS
from tests.benchmarks.scaling.words import (
    ASSUMPTIONS,
    CHECKED,
    COSTS,
    DRIVER,
    FORETOLD,
    HEAD,
    HERE,
    LEARNERS,
    MEANINGS,
    SHORT,
)

SLOW = 0.01
"""Seconds per env step of a slow simulator."""
SHARE_STEPS, FIXED_STEPS = 1600, 32_000
NUMBERS = (10, 100, 1000)
NETWORKS = {
    "0.1 ms, 10 Gbit/s": Network(1e-4, 10e9 / 8, 16),
    "1 ms, 1 Gbit/s": Network(1e-3, 1e9 / 8, 16),
}


def page(kept: Mapping[str, Any], processor: str) -> str:
    """Markdown of all that was measured so far."""
    rows = {part: entry["rows"] for part, entry in kept.items()}
    driver = driver_costs([DriverRow(**row) for row in rows["costs"]["driver"]])
    costs = {int(k): replace(Costs(**v), **driver) for k, v in rows["costs"]["costs"].items()}
    parts = [HEAD.format(processor=processor, cpus=os.cpu_count()), _short(costs)]
    if "here" in rows:
        parts += [HERE.format(about=_about(kept["here"])), _here(rows["here"])]
    parts += [COSTS.format(about=_about(kept["costs"])), _costs(costs)]
    parts += [DRIVER, _driver(rows["costs"]["driver"], costs[0])]
    if "sleeping" in rows:
        checked = _checked(rows["sleeping"], costs[0])
        words = CHECKED.format(
            about=_about(kept["sleeping"]), milliseconds=1000 * STEP_SECONDS, **_errors(checked)
        )
        parts += [words, _table(_CHECKED, [[*row[:-1], f"{row[-1]:+.0%}"] for row in checked])]
    parts += [FORETOLD.format(share=SHARE_STEPS, fixed=FIXED_STEPS), _foretold(costs[0])]
    parts += [LEARNERS, _learners(costs), ASSUMPTIONS.format(round_trips=ROUND_TRIPS)]
    return "\n".join(parts)


def _about(entry: Mapping[str, Any]) -> str:
    low, high = sorted(entry["load"])
    return (
        f"{entry['date']}, commit {entry['commit']}; load average {low:.1f} to {high:.1f} on "
        f"{os.cpu_count()} CPUs"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    align = "|".join(" :--- " if i == 0 else " ---: " for i in range(len(head)))
    lines = [" | ".join(head), align, *(" | ".join(map(str, row)) for row in rows)]
    return "\n".join(f"| {line} |" if i != 1 else f"|{line}|" for i, line in enumerate(lines)) + "\n"


def _digits(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if value >= 100.0 else f"{value:.3g}"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def _place(count: int) -> str:
    return f"{count} remote" if count else "in the driver"


def _here(rows: Sequence[Mapping[str, Any]]) -> str:
    return _table(
        ["env runners", "learners", "env steps per second", "slowest – fastest iteration", "clock per CPU"],
        [
            [
                _place(row["runners"]),
                _place(row["learners"]),
                _digits(row["steps"] / row["seconds"]),
                f"{_digits(row['steps'] / row['most'])} – {_digits(row['steps'] / row['least'])}",
                "–" if row["learners"] else _digits(row["stretch"]),
            ]
            for row in rows
        ],
    )


def _costs(costs: Mapping[int, Costs]) -> str:
    rows = []
    for name, (meaning, factor, unit) in MEANINGS.items():
        values = [_digits(getattr(each, name) * factor) for each in costs.values()]
        rows.append([meaning, unit, *(values if len(set(values)) > 1 else [values[0], "″", "″"])])
    return _table(["cost", "unit", *(f"{_place(k)}" for k in costs)], rows)


def _driver(rows: Sequence[Mapping[str, Any]], costs: Costs) -> str:
    lines = []
    for row in rows:
        runners = row["runners"]
        told = costs.iteration + runners * (costs.call + runners * costs.pair) + costs.byte * row["bytes"]
        lines.append(
            [
                str(row["runners"]),
                _digits(row["bytes"] / row["runners"] / 1e3),
                _digits(row["seconds"]),
                _digits(told),
                f"{told / row['seconds'] - 1.0:+.0%}",
            ]
        )
    head = ["env runners", "kB of a share", "CPU-seconds, measured", "by the model", "difference"]
    return _table(head, lines)


_CHECKED = [
    "batch",
    "updates",
    "round trip, s",
    "env runners",
    "env steps",
    "s, measured",
    "min – max",
    "clock per CPU",
    "s, by the model",
    "s, stretched",
    "difference",
]


def _checked(rows: Sequence[Mapping[str, Any]], costs: Costs) -> list[list[Any]]:
    lines = []
    for row in rows:
        quiet, told = (
            iteration(
                sleeping(costs, stretch), Network(row["latency"]), row["runners"], row["steps"]
            ).seconds(row["overlapped"])
            for stretch in (1.0, row["stretch"])
        )
        lines.append(
            [
                row["batch"],
                "overlapped" if row["overlapped"] else "waited for",
                f"{row['latency']:g}",
                row["runners"],
                row["steps"],
                _digits(row["seconds"]),
                f"{_digits(row['least'])} – {_digits(row['most'])}",
                _digits(row["stretch"]),
                _digits(quiet),
                _digits(told),
                told / row["seconds"] - 1.0,
            ]
        )
    return lines


def sleeping(costs: Costs, stretch: float) -> Costs:
    """Costs of env runners that sleep, where every CPU-second takes ``stretch`` seconds of the clock."""
    names = ("step", "request", "iteration", "call", "pair", "byte", "update_step", "update")
    slow = replace(costs, **{name: stretch * getattr(costs, name) for name in names})
    return replace(slow, step=slow.step + STEP_SECONDS)


def _errors(checked: Sequence[Sequence[Any]]) -> dict[str, str]:
    errors = [abs(row[-1]) for row in checked]
    return {"median": f"{statistics.median(errors):.0%}", "worst": f"{max(errors):.0%}"}


def _foretold(costs: Costs) -> str:
    slow = replace(costs, step=costs.step + SLOW)
    lines = []
    for environment, each in (("crossing", costs), ("10 ms a step", slow)):
        for name, network in NETWORKS.items():
            for fixed in (False, True):
                for overlapped in (False, True):
                    steps = FIXED_STEPS if fixed else SHARE_STEPS
                    growth = Growth(each, network, steps, fixed, overlapped=overlapped)
                    what = "overlapped" if overlapped else "waited for"
                    lines.append([environment, name, "fixed" if fixed else "growing", what, *_row(growth)])
    head = ["environment", "network", "batch", "updates", *(f"{n} env runners" for n in NUMBERS)]
    return _table([*head, "enough", "seconds of 1000 go to"], lines)


def _row(growth: Growth) -> list[str]:
    cells = [f"{_digits(growth.rate(n))} ({_percent(growth.share_of_ideal(n))})" for n in NUMBERS]
    shares = list(growth.at(NUMBERS[-1]).shares(growth.overlapped).items())[:2]
    return [*cells, f"{growth.enough():,}", ", ".join(f"{name} {share:.0%}" for name, share in shares)]


def _learners(costs: Mapping[int, Costs]) -> str:
    lines = []
    for name, network in NETWORKS.items():
        for learners in (0, 1, 2, 4, 8, 16):
            growth = Growth(costs[min(2, learners)], network, SHARE_STEPS, learners=learners)
            lines.append([name, _place(learners), *_row(growth)])
        lines.append([name, "updates for nothing", *_row(Growth(_idle(costs[0]), network, SHARE_STEPS))])
    head = ["network", "learners", *(f"{n} env runners" for n in NUMBERS)]
    return _table([*head, "enough", "seconds of 1000 go to"], lines)


def _idle(costs: Costs) -> Costs:
    return replace(costs, update=0.0, update_step=0.0)


def _short(costs: Mapping[int, Costs]) -> str:
    """What all of it comes to."""
    network, slow = next(iter(NETWORKS.values())), replace(costs[0], step=costs[0].step + SLOW)
    many = Growth(costs[2], network, SHARE_STEPS, learners=16)
    free = Growth(_idle(costs[0]), network, SHARE_STEPS)
    return SHORT.format(
        rate=1.0 / costs[0].update_step,
        fast=Growth(costs[0], network, SHARE_STEPS).enough(),
        slow=Growth(slow, network, SHARE_STEPS).enough(),
        many=many.rate(NUMBERS[-1]),
        free=max(map(free.rate, NUMBERS)),
        pairs=costs[0].pair * 1e6,
    )
