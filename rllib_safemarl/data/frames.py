"""Logs as tables: pandas frames and CSV files with a row per episode, step and agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rllib_safemarl.data.assemble import with_next, without_next
from rllib_safemarl.data.checks import check_values
from rllib_safemarl.data.dataset import Dataset, make_dataset
from rllib_safemarl.data.schema import ActionSchema, Provenance, single_kind
from rllib_safemarl.errors import SafeMARLError, nearest_name


@dataclass(frozen=True)
class FrameColumns:
    """Which columns of a table hold what.

    Attributes:
        episode: identifies the episode.
        observations: the observation's numbers.
        actions: the action's numbers; a single choice is one column with ``num_choices``.
        reward: per step.
        step: orders the rows of an episode; by default the table's own order.
        agent: name of the agent; without it there is one.
        costs: cost → column.
        terminal: 1 where the agent reached a terminal state by this step; by default never.
        timeout: 1 where the episode was cut; by default an episode without terminal was cut at its last row.
        next_observations: what was seen after the row, in the order of ``observations``; without them the
        last
            row of a cut episode becomes its last observation.
        positions: coordinates.
        margin: signed distance to danger.
        num_choices: of a single choice.
    """

    episode: str
    observations: Sequence[str]
    actions: Sequence[str]
    reward: str
    step: str | None = None
    agent: str | None = None
    costs: Mapping[str, str] = field(default_factory=dict)
    terminal: str | None = None
    timeout: str | None = None
    next_observations: Sequence[str] = ()
    positions: Sequence[str] = ()
    margin: str | None = None
    num_choices: int | None = None

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> FrameColumns:
        """From plain settings, such as a JSON or YAML mapping.

        Raises:
            SafeMARLError: a key is unknown, or one that is needed is missing.
        """
        known = [each.name for each in fields(cls)]
        for name in given:
            if name not in known:
                raise SafeMARLError(f"the column mapping has no key {name!r}.{nearest_name(name, known)}")
        for name in ("episode", "observations", "actions", "reward"):
            if name not in given:
                raise SafeMARLError(f"the column mapping must name {name!r}.")
        lists = ("observations", "actions", "next_observations", "positions")
        as_list = {k: [given[k]] if isinstance(given[k], str) else given[k] for k in lists if k in given}
        costs = given.get("costs", {})
        return cls(**{**given, **as_list, "costs": {"cost": costs} if isinstance(costs, str) else costs})

    @property
    def names(self) -> list[str]:
        """All columns of the table that are read."""
        singles = [self.episode, self.reward, self.step, self.agent, self.terminal, self.timeout, self.margin]
        vectors = [*self.observations, *self.actions, *self.next_observations, *self.positions]
        return [name for name in singles if name is not None] + vectors + list(self.costs.values())


def read_frame(
    source: pd.DataFrame | str | Path, columns: FrameColumns, time_limit: int | None = None
) -> Dataset:
    """A dataset from a table with one row per episode, step and agent.

    An agent without a row in some step of an episode does not act in it.

    Args:
        source: the table, or a CSV file.
        columns: which of its columns hold what.
        time_limit: steps of an episode at most, if known.

    Raises:
        SafeMARLError: columns are missing, hold no numbers, or name an agent twice in a step.
    """
    where = "the table" if isinstance(source, pd.DataFrame) else str(source)
    frame = source if isinstance(source, pd.DataFrame) else _read_csv(Path(source).expanduser())
    for name in columns.names:
        if name not in frame.columns:
            raise SafeMARLError(
                f"{where} has no column {name!r}.{nearest_name(name, map(str, frame.columns))}"
            )
    if frame.empty:
        raise SafeMARLError(f"{where} has no row.")
    agents = sorted(frame[columns.agent].unique()) if columns.agent else ["agent"]
    place = _places(frame, columns, agents, where)
    names = tuple(map(str, agents))
    schema = single_kind(
        names,
        len(columns.observations),
        _action(frame, columns),
        "agent",
        cost_names=tuple(columns.costs),
        time_limit=time_limit,
    )
    rows = _rows(frame, columns, place, len(agents), where)
    # The last positions are known only where the last row itself becomes what was seen last.
    if columns.next_observations and not columns.positions:
        after = {"observations": place.column(_numbers(frame, columns.next_observations, where), len(agents))}
        made = with_next(rows, place.offsets, after, where, split=False)
    else:
        made = without_next(rows, place.offsets)
    provenance = Provenance(
        source="" if isinstance(source, pd.DataFrame) else Path(source).name, notes=made.notes
    )
    return check_values(make_dataset(schema, made.rows, made.offsets, made.final, provenance, where), where)


def _read_csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except FileNotFoundError:
        raise SafeMARLError(f"there is no file {path}.") from None
    except (ValueError, OSError) as error:
        raise SafeMARLError(f"{path} is no table of comma-separated values: {error}.") from error


@dataclass(frozen=True)
class _Places:
    """Where each row of the table goes: joint step and agent."""

    row: NDArray[np.intp]
    agent: NDArray[np.intp]
    offsets: NDArray[np.int64]

    def column(self, values: NDArray, agents: int) -> NDArray:
        """``[R, A, ...]`` with zeros where an agent has no row."""
        joint = np.zeros((self.offsets[-1], agents, *values.shape[1:]), values.dtype)
        joint[self.row, self.agent] = values
        return joint


def _places(frame: pd.DataFrame, columns: FrameColumns, agents: list[Any], where: str) -> _Places:
    episode = pd.factorize(frame[columns.episode])[0]
    agent = pd.Categorical(frame[columns.agent], agents).codes if columns.agent else np.zeros(len(frame), int)
    if columns.step:
        step = frame[columns.step].to_numpy()
    else:
        step = frame.groupby([episode, np.asarray(agent)]).cumcount().to_numpy()
    keys = pd.MultiIndex.from_arrays([episode, step, np.asarray(agent)])
    if keys.has_duplicates:
        row = int(np.flatnonzero(keys.duplicated())[0])
        raise SafeMARLError(
            f"{where}: row {row} has the same episode, step and agent as an earlier one; name the "
            "columns of the step and of the agent."
        )
    joint = (
        pd.DataFrame({"episode": episode, "step": step}).drop_duplicates().sort_values(["episode", "step"])
    )
    index = pd.MultiIndex.from_frame(joint)
    row = index.get_indexer(pd.MultiIndex.from_arrays([episode, step]))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(joint["episode"]))])
    return _Places(row, np.asarray(agent, np.intp), offsets)


def _numbers(frame: pd.DataFrame, names: Sequence[str], where: str) -> NDArray[np.float64]:
    part = frame[list(names)]
    for name in part.columns:
        if part[name].dtype.kind not in "fiub":
            raise SafeMARLError(f"{where}: the column {name!r} holds text, not numbers.")
    return part.to_numpy(np.float64)


def _action(frame: pd.DataFrame, columns: FrameColumns) -> ActionSchema:
    if columns.num_choices:
        return ActionSchema.discrete(columns.num_choices)
    size = len(columns.actions)
    return ActionSchema.box([-np.inf] * size, [np.inf] * size)


def _rows(
    frame: pd.DataFrame, columns: FrameColumns, place: _Places, agents: int, where: str
) -> dict[str, NDArray]:
    def column(names: Sequence[str]) -> NDArray:
        return place.column(_numbers(frame, names, where), agents)

    actions = column(columns.actions)
    rows = {
        "observations": column(columns.observations),
        "actions": actions[..., 0] if columns.num_choices else actions,
        "rewards": column([columns.reward])[..., 0],
        "active": place.column(np.ones(len(frame), bool), agents),
        "terminals": np.zeros((place.offsets[-1], agents), bool),
    }
    if columns.costs:
        rows["costs"] = column(list(columns.costs.values()))
    if columns.terminal:
        rows["terminals"] = column([columns.terminal])[..., 0] != 0
    if columns.positions:
        rows["positions"] = column(columns.positions)
    if columns.margin:
        rows["margins"] = column([columns.margin])[..., 0]
    last = place.offsets[1:] - 1
    timeouts = np.zeros(place.offsets[-1], bool)
    timeouts[last] = ~(rows["terminals"] | ~rows["active"])[last].all(1)
    if columns.timeout:
        timeouts |= (column([columns.timeout])[..., 0] != 0).any(1)
    rows["timeouts"] = timeouts
    return rows
