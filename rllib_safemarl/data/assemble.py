"""Episodes out of logs that say less than a dataset holds: no ends, no last observation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.data.columns import FINAL, first_row, has_final
from rllib_safemarl.errors import SafeMARLError


@dataclass(frozen=True)
class Episodes:
    """Rows cut into episodes that know their last observation.

    Attributes:
        rows: row columns, ``timeouts`` among them.
        offsets: ``[E + 1]``.
        final: ``final/<name>`` of all columns that describe a moment.
        notes: what was changed, in sentences.
    """

    rows: dict[str, NDArray]
    offsets: NDArray[np.int64]
    final: dict[str, NDArray]
    notes: tuple[str, ...] = ()


def breaks(
    observations: NDArray, next_observations: NDArray, active: NDArray | None = None
) -> NDArray[np.bool_]:
    """``[R]`` rows after which the next row does not go on: its observation is not the announced one.

    The last row is one. Numbers that differ by rounding count as equal.

    Args:
        observations: ``[R, ...]``.
        next_observations: ``[R, ...]``.
        active: ``[R, A]`` where the second axis counts agents: one that leaves or enters is no break.
    """
    flat, after = (x.reshape(len(x), -1).astype(np.float32) for x in (observations, next_observations))
    apart = np.abs(after[:-1] - flat[1:]) > 1e-5 * (1.0 + np.abs(flat[1:]))
    if active is not None:
        stays = active[:-1] & active[1:]
        apart &= np.repeat(stays, flat.shape[1] // active.shape[1], axis=1)
    return np.concatenate([apart.any(1), [True]])


def ends_by_count(ends: NDArray[np.bool_], time_limit: int) -> NDArray[np.bool_]:
    """``[R]`` rows at which an episode has lasted ``time_limit`` steps, given the known other ends."""
    reached = np.zeros(len(ends), bool)
    start = 0
    for stop in [*np.flatnonzero(ends), len(ends) - 1]:
        reached[np.arange(start + time_limit - 1, stop + 1, time_limit)] = True
        start = stop + 1
    return reached


def cut_at(ends: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Offsets of the episodes that end at the marked rows; rows after the last mark belong to none."""
    return np.concatenate([[0], np.flatnonzero(ends) + 1])


def with_next(
    rows: Mapping[str, NDArray], offsets: NDArray, after: Mapping[str, NDArray], where: str, split: bool
) -> Episodes:
    """Episodes of rows that name what was seen after each of them.

    Args:
        rows: row columns up to ``offsets[-1]``.
        offsets: ``[E + 1]``.
        after: name → ``[R, ...]`` what followed.
        where: the file, for messages.
        split: cut an episode where its rows do not follow one another, instead of refusing it.

    Raises:
        SafeMARLError: rows inside an episode do not follow one another.
    """
    is_end = np.zeros(offsets[-1], bool)
    is_end[offsets[1:] - 1] = True
    active = rows.get("active")
    notes: tuple[str, ...] = ()
    for name, following in after.items():
        is_joint = active is not None and rows[name].shape[1] == active.shape[1]
        jumps = breaks(rows[name], following, active if is_joint else None) & ~is_end
        if jumps.any() and not split:
            row = first_row(jumps)
            raise SafeMARLError(
                f"{where}: next_{name}[{row}] is not {name}[{row + 1}], though no episode ends there; "
                "mark its end in timeouts, or convert with --split-breaks to cut episodes at such rows."
            )
        if jumps.any():
            notes += (f"{int(jumps.sum())} episodes were cut where rows did not follow one another.",)
            is_end |= jumps
    offsets = cut_at(is_end)
    timeouts = rows["timeouts"] | (is_end & ~_all_over(rows))
    final = {FINAL + name: following[offsets[1:] - 1] for name, following in after.items()}
    return Episodes({**rows, "timeouts": timeouts}, offsets, final, notes)


def without_next(rows: Mapping[str, NDArray], offsets: NDArray) -> Episodes:
    """Episodes of rows that do not say what was seen after them.

    The last row of an episode that was cut becomes its last observation; its action, reward and cost are
    lost. An episode that terminated keeps its last row, whose observation stands in for the unknown one
    after it: nothing is bootstrapped from it.

    Args:
        rows: row columns up to ``offsets[-1]``, with ``terminals``.
        offsets: ``[E + 1]``.

    Raises:
        SafeMARLError: no row is left.
    """
    last = offsets[1:] - 1
    over = _all_over(rows)[last]
    keep = np.ones(offsets[-1], bool)
    keep[last[~over]] = False
    lengths = np.diff(offsets) - ~over
    left = lengths > 0
    if not left.any():
        raise SafeMARLError("every episode has a single row and no next observation: nothing is left.")
    new_offsets = np.concatenate([[0], np.cumsum(lengths[left])])
    kept = {name: column[keep] for name, column in rows.items()}
    kept["timeouts"] = np.zeros(new_offsets[-1], bool)
    kept["timeouts"][new_offsets[1:] - 1] = ~over[left]
    final = {FINAL + name: column[last[left]] for name, column in rows.items() if has_final(name)}
    if "active" in rows:
        final[FINAL + "active"] = final[FINAL + "active"] & ~over[left][:, None]
    cut = int((~over).sum())
    note = f"The last row of {cut} cut episodes became their last observation, as the source has none."
    return Episodes(kept, new_offsets, final, (note,) if cut else ())


def _all_over(rows: Mapping[str, NDArray]) -> NDArray[np.bool_]:
    """``[R]`` whether every agent that acted in the row reached its end."""
    over = rows["terminals"] | ~rows["active"] if "active" in rows else rows["terminals"]
    return np.asarray(over.all(1))
