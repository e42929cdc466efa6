"""The card beside a recorded dataset: what is in it, how it was made, and its frontier."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from rllib_safemarl.data.atomic import file_sha256, write_text
from rllib_safemarl.data.columns import SPLITS
from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.data.files import iterate_dataset
from rllib_safemarl.data.schema import KindSchema
from rllib_safemarl.data.shards import MANIFEST
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.recording_choice import danger_shares
from rllib_safemarl.evaluation.recording_recipe import Behaviour, Recipe
from rllib_safemarl.evaluation.tables import figure

_OPTIONAL = ("margins", "positions", "neighbours", "states", "team_state")
_READING = (
    "Return and cost are undiscounted, per episode, mean over agents. An episode is unsafe if any agent was "
    "ever in danger."
)


def write_card(recipe: Recipe, out: Path, table: pd.DataFrame) -> Path:
    """Write the card of a dataset, and its picture where matplotlib is installed and there are costs.

    Args:
        recipe: that it was recorded by.
        out: the dataset.
        table: of its episodes.

    Returns:
        The card: as the dataset, with the ending ``.md``.
    """
    first = next(iter(iterate_dataset(out)))
    picture = _draw(out, first, table)
    parts = [
        f"# {out.name}",
        f"`{first.provenance.command}`",
        *([recipe.about] if recipe.about else []),
        _pairs(_facts(out, first, table)),
        *([f"![Cost against return of every episode]({picture.name})"] if picture else []),
        "## Behaviours",
        _READING,
        _table(group_rows(table, "behaviour")),
        "\n".join(f"- **{b.name}**: {_described(b)}." for b in recipe.behaviours),
        "## Episodes",
        _table(_quantiles(table)),
    ]
    if table["split"].any():
        parts += ["## Splits", "By episode, stratified by cost.", _table(group_rows(table, "split", SPLITS))]
    card = out.with_name(f"{out.stem}.md")
    write_text(card, "\n\n".join(parts) + "\n")
    return card


def group_rows(table: pd.DataFrame, column: str, order: Sequence[str] = ()) -> list[list[str]]:
    """A heading, and a row for each group of episodes and for all: episodes, return, cost, danger.

    Args:
        table: of the episodes.
        column: ``behaviour`` or ``split``.
        order: of the groups, by default that of the names.
    """
    rows = [[column, "episodes", "return", "cost", "unsafe", "agent steps in danger"]]
    names = order or sorted(table[column].unique())
    for name, part in [*((name, table[table[column] == name]) for name in names), ("all", table)]:
        if len(part):
            unsafe, danger = danger_shares(part)
            mean = (figure(part[each].mean()) for each in ("return", "cost"))
            rows.append([name, str(len(part)), *mean, f"{100 * unsafe:.0f} %", f"{100 * danger:.1f} %"])
    return rows


def _facts(out: Path, first: Dataset, table: pd.DataFrame) -> dict[str, str]:
    source, schema = first.provenance, first.schema
    beside = [name for name in (*_OPTIONAL, *first.rows) if name in first]
    beside = [name for name in dict.fromkeys(beside) if name in _OPTIONAL or name.startswith("signals/")]
    unsafe, danger = danger_shares(table)
    limits = [f"{name} {', '.join(map(figure, each))}" for name, each in source.cost_limits.items()]
    what = "margin below 0" if "margins" in first else f"cost above {schema.danger_cost:g} in a step"
    facts = {
        "environment": f"{source.environment}, env_config `{json.dumps(dict(source.env_config))}`",
        "agents": "; ".join(map(_kind, schema.kinds)),
        "costs": ", ".join(schema.cost_names) or "none",
        "cost limits to compare with": "; ".join(limits),
        "columns beside the usual": ", ".join(beside),
        "episodes": f"{len(table):,}, at most {table['steps'].max():,} steps; {table['steps'].sum():,} rows",
        "seconds per step": "" if schema.step_seconds is None else f"{schema.step_seconds:g}",
        "danger": f"{what}: {100 * unsafe:.1f} % of episodes, {100 * danger:.2f} % of agent steps",
        "seed": str(source.seed),
        "version": source.version,
        "notes": " ".join(source.notes),
        **_hashes(out, first),
    }
    return {name: value for name, value in facts.items() if value}


def _kind(kind: KindSchema) -> str:
    action = kind.action
    acts = f"{len(action.low)} real actions" if action.continuous else f"choices of {list(action.choices)}"
    return f"{len(kind.agents)} of kind {kind.name}, each {kind.observation_size} observations and {acts}"


def _hashes(out: Path, first: Dataset) -> dict[str, str]:
    """SHA-256 of the file, or of the list of a folder's shards, which holds theirs; and of the content."""
    if out.is_dir():
        return {f"SHA-256 of {MANIFEST}": f"`{file_sha256(out / MANIFEST)}`"}
    return {
        "size": f"{out.stat().st_size / 1e6:.2f} MB",
        "SHA-256 of the file": f"`{file_sha256(out)}`",
        "SHA-256 of the content": f"`{first.content_hash}` (schema and numbers, however compressed)",
    }


def _described(behaviour: Behaviour) -> str:
    if behaviour.policy:
        how = "sampled" if behaviour.explore else "its most likely actions"
        text = f"a trained policy, {how}, SHA-256 of its description {behaviour.policy_hash[:16]}…"
    elif len(behaviour.scripted) == 1:
        settings = ", ".join(f"{name} {_range(ends)}" for name, ends in behaviour.settings.items())
        text = f"the controller {next(iter(behaviour.scripted))}{f' with {settings}' if settings else ''}"
    else:
        chances = (f"{name} with probability {chance:g}" for name, chance in behaviour.scripted.items())
        text = f"every agent plays {' or '.join(chances)}, drawn for each episode"
    return f"{text}, noise {_range(behaviour.noise)}" if behaviour.noise[1] else text


def _range(ends: tuple[float, float]) -> str:
    low, high = ends
    return f"{low:g}" if low == high else f"between {low:g} and {high:g}, drawn for each episode"


def _quantiles(table: pd.DataFrame) -> list[list[str]]:
    rows = [["per episode", "mean", "least", "25 %", "median", "75 %", "most"]]
    for name in ("steps", "return", "cost", "worst_cost"):
        values = table[name].to_numpy(np.float64)
        if not np.isnan(values).any():
            spread = np.quantile(values, [0.0, 0.25, 0.5, 0.75, 1.0])
            label = name.replace("worst_cost", "cost, worst agent")
            rows.append([label, *map(figure, (values.mean(), *spread))])
    return rows


def _draw(out: Path, first: Dataset, table: pd.DataFrame) -> Path | None:
    from rllib_safemarl.data.figures import frontier_figure, save_frontier

    known = first.provenance.cost_limits if len(first.schema.cost_names) == 1 else {}
    limits = tuple(limit for each in known.values() for limit in each)
    try:
        drawn = frontier_figure(table, limits, first.provenance.environment)
    except SafeMARLError:
        # No matplotlib, or no costs: the card says the rest.
        return None
    return save_frontier(drawn, out.with_name(f"{out.stem}.png"))


def _pairs(facts: Mapping[str, str]) -> str:
    return _table([["", ""], *([name, value] for name, value in facts.items())])


def _table(rows: list[list[str]]) -> str:
    """Markdown: names to the left, numbers to the right."""
    widths = [":---", *("---:" if len(rows[0]) > 2 else ":---" for _ in rows[0][1:])]
    cells = [[text.replace("|", "\\|") for text in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in (cells[0], widths, *cells[1:]))
