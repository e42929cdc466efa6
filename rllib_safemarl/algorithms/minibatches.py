"""Minibatches over columns: the same share of time steps of every copy, on however many learners."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rllib_safemarl.algorithms.collectives import sum_arrays
from rllib_safemarl.functional.minibatches import shuffled_steps, step_shares


def minibatches(
    key: tuple[int, ...],
    copy_ids: NDArray[np.int64],
    num_minibatches: int,
    acting: NDArray,
    device: torch.device,
) -> Iterator[tuple[Tensor, NDArray[np.float64]]]:
    """One pass over T steps of N copies.

    Args:
        key: seeds the shuffling, such as (seed, iteration, group, epoch).
        copy_ids: ``[N]`` the copies' numbers among all env runners.
        num_minibatches: minibatches at most; there are never more than T.
        acting: ``[..., T * N]`` how many rows count at each time and copy.
        device: of the rows.

    Yields:
        ``[R]`` indices into ``T * N``, and ``[...]`` the rows that count there over all learners,
        at least 1.
    """
    copies = len(copy_ids)
    steps = acting.shape[-1] // copies
    order = shuffled_steps(key, copy_ids, steps)
    offsets = np.arange(copies)[:, None]
    rows = [(order[:, share] * copies + offsets).ravel() for share in step_shares(steps, num_minibatches)]
    (counts,) = sum_arrays(np.stack([acting[..., r].sum(-1) for r in rows]))
    for r, count in zip(rows, np.maximum(counts, 1.0), strict=True):
        yield torch.from_numpy(r).to(device), count


def member_minibatches(
    keys: Sequence[tuple[int, ...]],
    copy_ids: NDArray[np.int64],
    num_minibatches: int,
    acting: NDArray,
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor]]:
    """:func:`minibatches` of M members side by side, each shuffled by its own key.

    Args:
        keys: of the M members.
        copy_ids: as there.
        num_minibatches: as there.
        acting: ``[M, T * N]`` how many rows of each member count.
        device: of the rows.

    Yields:
        ``[M * R]`` indices into ``M * T * N``, member after member, and ``[M]`` the rows that count.
    """
    copies, rows = len(copy_ids), acting.shape[-1]
    steps = rows // copies
    orders = np.stack([shuffled_steps(key, copy_ids, steps) for key in keys])
    offsets = np.arange(copies)[:, None] + rows * np.arange(len(keys))[:, None, None]
    parts = [
        (orders[..., share] * copies + offsets).reshape(len(keys), -1)
        for share in step_shares(steps, num_minibatches)
    ]
    (counts,) = sum_arrays(np.stack([acting.reshape(-1)[part].sum(-1) for part in parts]))
    for part, count in zip(parts, np.maximum(counts, 1.0), strict=True):
        yield torch.from_numpy(part.ravel()).to(device), torch.from_numpy(count).to(device)
