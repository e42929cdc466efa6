"""The lines of `safemarl data info`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rllib_safemarl.cli.formats import NOTHING, count, number
from rllib_safemarl.data.columns import SPLITS
from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.data.dsrl_tasks import TASKS
from rllib_safemarl.data.files import iterate_dataset
from rllib_safemarl.data.schema import KindSchema
from rllib_safemarl.data.statistics import episode_table
from rllib_safemarl.functional.safety_metrics import normalised_cost

_MOST_NAMES = 6


def describe(path: str) -> Iterator[str]:
    """Lines that tell a person what the dataset at ``path`` holds.

    Raises:
        SafeMARLError: the dataset is missing or bad.
    """
    tables, first, size = [], None, 0
    for piece in iterate_dataset(path):
        tables.append(episode_table(piece))
        first, size = first or piece, size + piece.nbytes
    assert first is not None
    table = pd.concat(tables, ignore_index=True)
    yield from _pairs([*_origin(path, first, size), *_content(first, table)])
    yield ""
    yield from _grid(_quantiles(table, first))
    if table["behaviour"].any():
        yield ""
        yield from _grid(_groups(table, "behaviour", sorted(table["behaviour"].unique())))
    if table["split"].any():
        yield ""
        yield from _grid(_groups(table, "split", list(SPLITS)))
    for note in first.provenance.notes:
        yield f"note: {note}"


def _origin(path: str, first: Dataset, size: int) -> list[tuple[str, str]]:
    file = Path(path).expanduser()
    on_disk = sum(
        each.stat().st_size for each in (file.rglob("*") if file.is_dir() else [file]) if each.is_file()
    )
    source = first.provenance
    rows = [("dataset", f"{path}, {_megabytes(on_disk)} on disk, {_megabytes(size)} in memory")]
    if source.label:
        rows.append(("label", f"{source.label}: one body cut into agents, no multi-agent data"))
    settings = ", ".join(f"{name}={value}" for name, value in source.env_config.items())
    rows += [
        ("environment", f"{source.environment}{f' ({settings})' if settings else ''}"),
        ("source", source.source),
        ("made by", source.command),
        ("version", source.version),
        ("seed", "" if source.seed is None else str(source.seed)),
    ]
    return [(name, value) for name, value in rows if value]


def _content(first: Dataset, table: pd.DataFrame) -> list[tuple[str, str]]:
    schema = first.schema
    optional = [
        name for name in ("margins", "positions", "neighbours", "states", "team_state") if name in first
    ]
    signals = [name for name in first.rows if name.startswith("signals/")]
    danger = "margin below 0" if "margins" in first else f"cost above {number(schema.danger_cost)} in a step"
    limits = [f"{name} {', '.join(map(number, each))}" for name, each in first.provenance.cost_limits.items()]
    unsafe, share = table["unsafe"].mean(), np.average(table["danger_share"], weights=table["agent_steps"])
    has_danger = "margins" in first or schema.cost_names
    return [
        ("agents", f"{schema.num_agents}: {_names(schema.agents)}"),
        *((f"kind {kind.name}", _kind(kind)) for kind in schema.kinds),
        ("costs", _names(schema.cost_names) or f"{NOTHING} (relabel by safemarl data convert --cost)"),
        *([("cost limits", "; ".join(limits))] if limits else []),
        *([("beside these", _names([*optional, *signals]))] if optional or signals else []),
        ("episodes", f"{count(len(table))}, {100 * table['terminated'].mean():.0f} % end by a terminal"),
        ("rows", count(int(table["steps"].sum()))),
        ("danger", f"{danger}: {100 * unsafe:.1f} % of episodes, {100 * share:.2f} % of agent steps")
        if has_danger
        else ("danger", "unknown without costs or margins"),
    ]


def _kind(kind: KindSchema) -> str:
    action = kind.action
    if action.continuous:
        acts = f"{len(action.low)} real actions"
    elif action.single:
        acts = f"{action.choices[0]} choices"
    else:
        acts = f"{' x '.join(map(str, action.choices))} choices"
    agents = f"{len(kind.agents)} agent{'s' if len(kind.agents) > 1 else ''}"
    return f"{agents}, {kind.observation_size} observations, {acts}"


def _quantiles(table: pd.DataFrame, first: Dataset) -> list[list[str]]:
    """Rows of a table: a figure of episodes and how it is spread."""
    figures = {"steps": table["steps"], "return": table["return"]}
    if table["cost"].notna().any():
        named = [name for name in table.columns if name.startswith("cost_")]
        figures["cost"] = table["cost"]
        if len(named) > 1:
            figures.update({f"cost {name.removeprefix('cost_')}": table[name] for name in named})
        if first.schema.num_agents > 1:
            figures["cost, worst agent"] = table["worst_cost"]
    task = TASKS.get(first.provenance.task)
    if task and not first.provenance.label:
        figures["normalised return"] = table["return"].map(task.normalised_return)
        limit = task.cost_limits[0]
        figures[f"cost / {number(limit)}"] = table["cost"].map(lambda cost: normalised_cost(cost, limit))
    head = ["per episode", "mean", "least", "25 %", "median", "75 %", "most"]
    rows = [
        [name, *map(number, (float(each.mean()), *each.quantile([0, 0.25, 0.5, 0.75, 1]).tolist()))]
        for name, each in figures.items()
    ]
    return [head, *rows]


def _groups(table: pd.DataFrame, column: str, names: list[str]) -> list[list[str]]:
    """Rows of a table: a line per group of episodes."""
    rows = [[column, "episodes", "return", "cost", "with danger"]]
    for name in names:
        part = table[table[column] == name]
        if len(part):
            share = f"{100 * part['unsafe'].mean():.0f} %"
            mean = (number(float(part[each].mean())) for each in ("return", "cost"))
            rows.append([name or NOTHING, count(len(part)), *mean, share])
    return rows


def _pairs(rows: list[tuple[str, str]]) -> Iterator[str]:
    width = max(len(name) for name, _ in rows)
    return (f"{name.ljust(width)}  {value}" for name, value in rows)


def _grid(rows: list[list[str]]) -> Iterator[str]:
    """Rows under one another: names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        yield "  ".join(cells)


def _names(names: Any) -> str:
    names = list(names)
    return ", ".join(names[:_MOST_NAMES]) + (f", … ({len(names)})" if len(names) > _MOST_NAMES else "")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
