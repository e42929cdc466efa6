"""Batches of windows for one learner, from any position on, prepared while it learns."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

import numpy as np

from rllib_safemarl.offline.ahead import ReadAhead
from rllib_safemarl.offline.order import Index, Pool, Position, WindowOrder
from rllib_safemarl.offline.reading import read_row_groups
from rllib_safemarl.offline.source import BLOCK_WINDOWS, RowGroup, Source
from rllib_safemarl.offline.windows import Pieces, WindowBatch, WindowCutter

PREPARED = 4
"""Batches that wait at most for the learner."""
EXECUTION_BYTES, EXECUTION_BLOCKS = 256 << 20, 64
"""Columns and blocks that one execution of Ray Data reads at most, though at least a pool.

They lie in the object store until they are cut. An execution without end would be held back by Ray Data's
limits, and that it does by asking again and again, in this process, whether it may go on.
"""

Windows = tuple[WindowCutter, Index]
"""What to cut from, and which windows."""


class WindowStream:
    """One learner's batches, in the order that all learners agree on.

    Args:
        source: the dataset.
        order: of its windows.
        learner: which of the order's learners this is.
        horizon: H, steps of a window.
        columns: which columns to cut; ``None`` takes all.
        last_moment: whether windows hold what is seen after their last step.
    """

    def __init__(
        self,
        source: Source,
        order: WindowOrder,
        learner: int,
        horizon: int,
        columns: Sequence[str] | None = None,
        last_moment: bool = True,
    ) -> None:
        self._source, self._order, self._learner = source, order, learner
        self._horizon, self._columns, self._last_moment = horizon, columns, last_moment
        self._position: Position | None = None
        self._batches: ReadAhead[WindowBatch] | None = None
        self._pools: ReadAhead[Windows] | None = None
        self._whole: WindowCutter | None = None
        if source.dataset is not None:
            self._whole = WindowCutter(Pieces.of(source.dataset, columns, last_moment), horizon, last_moment)

    def take(self, position: Position, count: int) -> Iterator[WindowBatch]:
        """So many batches from a position on; going on where the last call ended costs nothing."""
        if position != self._position or self._batches is None:
            self.close()
            self._batches = ReadAhead(self._cut(self._open(position)), PREPARED, "windows")
        self._position = position.advance(count, self._order)
        for _ in range(count):
            yield self._batches.get()

    def close(self) -> None:
        """Stop preparing batches."""
        threads = [thread for thread in (self._pools, self._batches) if thread is not None]
        for thread in threads:
            thread.stop()
        for thread in threads:
            thread.join()
        self._batches = self._pools = None

    def _open(self, position: Position) -> Iterator[Windows]:
        """Pools from a position on, without end; of streamed ones the next is read while one is cut."""
        if self._whole is not None:
            return self._pools_in_memory(self._whole, position)
        self._pools = ReadAhead(self._pools_streamed(position), 1, "pools")
        return iter(self._pools.get, None)

    def _cut(self, pools: Iterator[Windows]) -> Generator[WindowBatch, None, None]:
        """Batches of pools; an epoch's windows are whole batches."""
        rest: list[WindowBatch] = []
        missing = self._order.batch_size
        for cutter, windows in pools:
            begin = 0
            while begin < len(windows):
                rest.append(cutter.cut(windows[begin : begin + missing]))
                begin += len(rest[-1])
                missing -= len(rest[-1])
                if not missing:
                    yield join_windows(rest)
                    rest, missing = [], self._order.batch_size

    def _plan(self, epoch: int, done: int) -> Iterator[tuple[Pool, slice]]:
        """The pools of an epoch after its first batches, and which of their windows are learned from."""
        size = self._order.batch_size
        begin, end = done * size, self._order.batches_per_epoch(epoch) * size
        at = 0
        for pool in self._order.pools(epoch, self._learner):
            part = slice(max(begin - at, 0), min(end - at, pool.size))
            if part.start < part.stop:
                yield pool, part
            at += pool.size

    def _pools_in_memory(self, cutter: WindowCutter, position: Position) -> Iterator[Windows]:
        for epoch, done in _epochs(position):
            for pool, part in self._plan(epoch, done):
                yield cutter, _numbers(pool.blocks, self._order.counts, pool.windows[part])

    def _pools_streamed(self, position: Position) -> Generator[Windows, None, None]:
        with closing(self._blocks(position)) as blocks:
            for epoch, done in _epochs(position):
                for pool, part in self._plan(epoch, done):
                    pieces = Pieces.join([next(blocks) for _ in pool.blocks])
                    yield WindowCutter(pieces, self._horizon, self._last_moment), pool.windows[part]

    def _blocks(self, position: Position) -> Generator[Pieces, None, None]:
        """All blocks of the pools from a position on, without end."""
        source, groups, size = self._source, list[RowGroup](), 0.0
        for epoch, done in _epochs(position):
            for pool, _ in self._plan(epoch, done):
                pool_bytes = pool.size * source.window_bytes
                full = size + pool_bytes > EXECUTION_BYTES or len(groups) >= EXECUTION_BLOCKS
                if groups and full:
                    yield from read_row_groups(groups, source.metadata, self._columns)
                    groups, size = [], 0.0
                groups += [source.row_groups[block] for block in pool.blocks]
                size += pool_bytes


def _epochs(position: Position) -> Iterator[tuple[int, int]]:
    """An epoch and the batches of it that are done, and all epochs after it."""
    epoch, done = position.epoch, position.batch
    while True:
        yield epoch, done
        epoch, done = epoch + 1, 0


def _numbers(blocks: Index, counts: Index, windows: Index) -> Index:
    """A pool's windows as numbers of windows of the whole dataset, whose blocks are of equal size."""
    ends = np.cumsum(counts[blocks])
    block = np.searchsorted(ends, windows, side="right")
    return windows - (ends - counts[blocks])[block] + blocks[block] * BLOCK_WINDOWS


def join_windows(parts: Sequence[WindowBatch]) -> WindowBatch:
    """Batches one after another."""
    if len(parts) == 1:
        return parts[0]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0].columns}
    return WindowBatch(columns, np.concatenate([part.mask for part in parts]))
