"""What the values of a dataset must obey; errors name file, column and row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.data.columns import FINAL, SPLIT, SPLITS, first_row
from rllib_safemarl.data.dataset import Dataset
from rllib_safemarl.errors import SafeMARLError


def check_values(dataset: Dataset, where: str, whole_episodes: bool = True) -> Dataset:
    """Refuse values that no recording can hold.

    Args:
        dataset: to be checked.
        where: its file, for messages.
        whole_episodes: every episode must end; not so for chunks of episodes.

    Returns:
        The dataset.

    Raises:
        SafeMARLError: a number is not finite, a cost negative, a choice out of range, a neighbour no agent,
            an agent acts after its end, an episode does not end, or goes on after its end.
    """
    for part, unit in ((dataset.rows, "row"), (dataset.episodes, "episode")):
        for name, column in part.items():
            _check_finite(name, column, unit, where)
    costs = dataset["costs"]
    if (costs < 0).any():
        row, agent, cost = np.argwhere(costs < 0)[0]
        raise SafeMARLError(
            f"{where}: costs[{row}] of agent {dataset.schema.agents[agent]!r} is "
            f"{costs[row, agent, cost]:g}; costs must be at least 0 (relabel them, or change their sign)."
        )
    _check_actions(dataset, where)
    for name in ("neighbours", FINAL + "neighbours"):
        if name in dataset:
            _check_neighbours(name, dataset[name], dataset.schema.num_agents, where)
    if SPLIT in dataset.episodes:
        _check_split(dataset.episodes[SPLIT], where)
    _check_lives(dataset, where)
    _check_ends(dataset, where, whole_episodes)
    return dataset


def _check_finite(name: str, column: NDArray, unit: str, where: str) -> None:
    if column.dtype.kind == "f" and not np.isfinite(column).all():
        row = first_row(~np.isfinite(column))
        value = np.ravel(column[row])[~np.isfinite(np.ravel(column[row]))][0]
        raise SafeMARLError(
            f"{where}: {name} of {unit} {row} holds {value}; drop that episode or mend its source."
        )


def _check_actions(dataset: Dataset, where: str) -> None:
    for kind in dataset.schema.kinds:
        if kind.action.continuous:
            continue
        column = dataset.rows[f"actions/{kind.name}"]
        wrong = (column < 0) | (column >= np.array(kind.action.choices)[..., : column.shape[-1]])
        if kind.action.single:
            wrong = (column < 0) | (column >= kind.action.choices[0])
        if wrong.any():
            row = first_row(wrong)
            raise SafeMARLError(
                f"{where}: actions/{kind.name} of row {row} holds {column[row][wrong[row]][0]}; choices are "
                f"whole numbers from 0, fewer than {list(kind.action.choices)}."
            )


def _check_neighbours(name: str, column: NDArray, num_agents: int, where: str) -> None:
    own = np.arange(num_agents)[:, None]
    wrong = (column < -1) | (column >= num_agents) | (column == own)
    if wrong.any():
        row = first_row(wrong)
        agent = int(np.flatnonzero(wrong[row].any(-1))[0])
        raise SafeMARLError(
            f"{where}: {name}[{row}] of agent {agent} holds {column[row, agent][wrong[row, agent]][0]}; it "
            f"must hold indices of other agents below {num_agents}, or -1 for none."
        )


def _check_split(split: NDArray, where: str) -> None:
    wrong = (split < 0) | (split >= len(SPLITS))
    if wrong.any():
        episode = first_row(wrong)
        raise SafeMARLError(
            f"{where}: split of episode {episode} is {split[episode]}; codes are 0 to {len(SPLITS) - 1} "
            f"({', '.join(SPLITS)})."
        )


def _check_lives(dataset: Dataset, where: str) -> None:
    """Somebody acts in every row, only actors end, and nobody acts after its end."""
    active, terminals = dataset["active"], dataset["terminals"]
    if not active.any(1).all():
        raise SafeMARLError(
            f"{where}: active[{first_row(np.asarray(~active.any(1)))}] holds no agent that acts."
        )
    if (terminals & ~active).any():
        row = first_row(terminals & ~active)
        raise SafeMARLError(f"{where}: terminals[{row}] ends an agent that is not active in that row.")
    if not terminals.any():
        return
    # Ends before each row, counted within its episode.
    before = np.cumsum(terminals, 0) - terminals
    before = before - np.repeat(before[dataset.offsets[:-1]], dataset.lengths, 0)
    again = active & (before > 0)
    if again.any():
        row = first_row(again)
        agent = dataset.schema.agents[int(np.flatnonzero(again[row])[0])]
        raise SafeMARLError(
            f"{where}: active[{row}]: agent {agent!r} acts after its terminals of the same episode; perhaps "
            "the episode's end is missing."
        )


def _check_ends(dataset: Dataset, where: str, whole_episodes: bool) -> None:
    active, timeouts = dataset["active"], dataset["timeouts"]
    # Whether every agent that acted in the row reached its end, and nobody is left to act next.
    over = (~dataset.next("active")).all(1) & (dataset["terminals"] | ~active).all(1)
    is_last = np.zeros(dataset.num_rows, bool)
    is_last[dataset.offsets[1:] - 1] = True
    early = (timeouts | over) & ~is_last
    if early.any():
        row = first_row(early)
        raise SafeMARLError(
            f"{where}: {'timeouts' if timeouts[row] else 'terminals'}[{row}] ends episode "
            f"{int(np.searchsorted(dataset.offsets, row, 'right')) - 1}, which goes on until row "
            f"{int(dataset.offsets[np.searchsorted(dataset.offsets, row, 'right')]) - 1}."
        )
    missing = is_last & ~(timeouts | over)
    if whole_episodes and missing.any():
        row = first_row(missing)
        raise SafeMARLError(
            f"{where}: the end of episode {int(np.searchsorted(dataset.offsets, row, 'right')) - 1} is "
            f"missing: neither timeouts[{row}] nor terminals[{row}] of all its agents say that it ends there."
        )
