"""Batches of windows for one learner, from any position on, prepared while it learns."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from rllib_safemarl.data.dataset import concatenate
from rllib_safemarl.data.parquet import decode_chunks
from rllib_safemarl.offline.order import Index, Pool, Position, WindowOrder
from rllib_safemarl.offline.source import BLOCK_WINDOWS, RowGroup, Source
from rllib_safemarl.offline.windows import WindowBatch, WindowCutter

PREPARED = 4
"""Batches that wait at most for the learner."""


class WindowStream:
    """One learner's batches, in the order that all learners agree on.

    Args:
        source: the dataset.
        order: of its windows.
        learner: which of the order's learners this is.
        horizon: H, steps of a window.
        columns: which columns to cut; ``None`` takes all.
    """

    def __init__(
        self,
        source: Source,
        order: WindowOrder,
        learner: int,
        horizon: int,
        columns: Sequence[str] | None = None,
    ) -> None:
        self._source, self._order, self._learner = source, order, learner
        self._horizon, self._columns = horizon, columns
        self._position: Position | None = None
        self._prepared: _Prepared | None = None
        self._whole = None if source.dataset is None else WindowCutter(source.dataset, horizon, columns)

    def take(self, position: Position, count: int) -> Iterator[WindowBatch]:
        """So many batches from a position on; going on where the last call ended costs nothing."""
        if position != self._position or self._prepared is None:
            self.close()
            self._prepared = _Prepared(self._batches(position))
        self._position = position.advance(count, self._order)
        for _ in range(count):
            yield self._prepared.get()

    def close(self) -> None:
        """Stop preparing batches."""
        if self._prepared is not None:
            self._prepared.close()
            self._prepared = None

    def _batches(self, position: Position) -> Generator[WindowBatch, None, None]:
        """Batches without end."""
        epoch, done = position.epoch, position.batch
        while True:
            size, left = self._order.batch_size, self._order.batches_per_epoch(epoch) - done
            rest: list[WindowBatch] = []
            for cutter, windows in self._pools(epoch, done * size):
                begin = 0
                while left and begin < len(windows):
                    wanted = size - sum(map(len, rest))
                    rest.append(cutter.cut(windows[begin : begin + wanted]))
                    begin += len(rest[-1])
                    if sum(map(len, rest)) == size:
                        yield join_windows(rest)
                        rest, left = [], left - 1
                if not left:
                    break
            epoch, done = epoch + 1, 0

    def _pools(self, epoch: int, skip: int) -> Iterator[tuple[WindowCutter, Index]]:
        """Pools of an epoch after the first ``skip`` windows: what to cut from, and which windows."""
        pools = list(self._order.pools(epoch, self._learner))
        while skip >= len(pools[0].windows):
            skip -= len(pools.pop(0).windows)
        if self._whole is not None:
            for pool in pools:
                yield self._whole, _numbers(pool, self._order.counts)[skip:]
                skip = 0
            return
        blocks = _read_blocks([self._source.row_groups[b] for pool in pools for b in pool.blocks])
        for pool in pools:
            parts = [decode_chunks(next(blocks), self._source.metadata) for _ in pool.blocks]
            yield WindowCutter(concatenate(parts), self._horizon, self._columns), pool.windows[skip:]
            skip = 0


def _numbers(pool: Pool, counts: Index) -> Index:
    """A pool's windows as numbers of windows of the whole dataset, whose blocks are of equal size."""
    begins = pool.blocks * BLOCK_WINDOWS
    ends = np.cumsum(counts[pool.blocks])
    block = np.searchsorted(ends, pool.windows, side="right")
    return pool.windows - (ends - counts[pool.blocks])[block] + begins[block]


def join_windows(parts: Sequence[WindowBatch]) -> WindowBatch:
    """Batches one after another."""
    if len(parts) == 1:
        return parts[0]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0].columns}
    return WindowBatch(columns, np.concatenate([part.mask for part in parts]))


def _read_blocks(groups: Sequence[RowGroup]) -> Iterator[Any]:
    """Tables of row groups, in order, read by Ray Data's workers ahead of time."""
    import ray.data

    items = [{"file": g.file, "number": g.number, "chunks": g.chunks.tobytes()} for g in groups]
    dataset = ray.data.from_items(items, override_num_blocks=len(items))
    dataset = dataset.map_batches(_read_row_group, batch_size=1, num_cpus=1)
    dataset.context.execution_options.preserve_order = True
    dataset.context.enable_progress_bars = False
    yield from dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=2)


def _read_row_group(item: dict[str, Any]) -> Any:
    """The chunks of a row group that are learned from; runs in Ray Data's workers."""
    with pq.ParquetFile(str(item["file"][0])) as file:
        table = file.read_row_group(int(item["number"][0]))
    chunks = np.frombuffer(item["chunks"][0], np.int64)
    return table if len(chunks) == table.num_rows else table.take(chunks)


class _Prepared:
    """Items of an iterator, made by a thread a few ahead."""

    def __init__(self, items: Generator[WindowBatch, None, None]) -> None:
        self._queue: queue.Queue[WindowBatch | BaseException] = queue.Queue(PREPARED)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._fill, args=(items,), daemon=True, name="windows")
        self._thread.start()

    def _fill(self, items: Generator[WindowBatch, None, None]) -> None:
        try:
            for item in items:
                if not self._put(item):
                    return
        except BaseException as error:
            self._put(error)
        finally:
            # Ray Data's executor of a stream that is not read to its end stops with its generators.
            items.close()

    def _put(self, item: WindowBatch | BaseException) -> bool:
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def get(self) -> WindowBatch:
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        self._closed.set()
        self._thread.join(timeout=10.0)
