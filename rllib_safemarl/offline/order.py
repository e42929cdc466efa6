"""The order in which windows of a dataset are learned from: a pure function of seed, epoch and learner.

The dataset is a sequence of *blocks*, pieces that are read whole. Every epoch permutes the blocks by (seed,
epoch) and deals them out to the learners like cards. A learner joins consecutive blocks of its hand to
*pools* and permutes the windows of each pool. Its batches are cut from that sequence; what is left over at
the end of an epoch is not learned from in it. Every learner has the same number of batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.errors import SafeMARLError

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """Blocks whose windows are shuffled together.

    Attributes:
        blocks: their indices, in the order in which they are read.
        size: windows of all of them.
        key: seeds the shuffling.
    """

    blocks: Index
    size: int
    key: tuple[int, ...]

    @property
    def windows(self) -> Index:
        """Permutation of the windows of all blocks, counted through in that order."""
        return np.random.default_rng(self.key).permutation(self.size)


@dataclass(frozen=True)
class WindowOrder:
    """Who learns from which window when.

    Attributes:
        counts: ``[K]`` windows in each block.
        seed: of all shuffling.
        batch_size: windows in a batch of one learner.
        num_learners: L.
        pool_windows: a pool takes in blocks until it has so many windows.
    """

    counts: Index
    seed: int
    batch_size: int
    num_learners: int = 1
    pool_windows: int = 1 << 17

    def __post_init__(self) -> None:
        if len(self.counts) < self.num_learners:
            raise SafeMARLError(
                f"the dataset has {len(self.counts)} blocks for {self.num_learners} learners: write it in "
                "smaller shards, or lower num_learners."
            )
        if self.batches_per_epoch(0) == 0:
            raise SafeMARLError(
                f"the dataset has {int(self.counts.sum())} windows, too few for one batch of "
                f"{self.batch_size} for each of {self.num_learners} learners: lower "
                "train_batch_size_per_learner."
            )

    def hand(self, epoch: int, learner: int) -> Index:
        """The blocks of one learner in an epoch."""
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.counts))
        return order[learner :: self.num_learners]

    def batches_per_epoch(self, epoch: int) -> int:
        """Batches of every learner: as many as the learner with the fewest windows has."""
        windows = min(self.counts[self.hand(epoch, each)].sum() for each in range(self.num_learners))
        return int(windows) // self.batch_size

    def pools(self, epoch: int, learner: int) -> Iterator[Pool]:
        """The pools of one learner in an epoch."""
        hand = self.hand(epoch, learner)
        before = np.cumsum(self.counts[hand]) - self.counts[hand]
        number = before // self.pool_windows
        for k, pool in enumerate(np.unique(number)):
            blocks = hand[number == pool]
            yield Pool(blocks, int(self.counts[blocks].sum()), (self.seed, epoch, learner, k))


@dataclass(frozen=True)
class Position:
    """Where training stands in a dataset.

    Attributes:
        epoch: whole passes so far.
        batch: batches that every learner has had in this one.
    """

    epoch: int = 0
    batch: int = 0

    def advance(self, batches: int, order: WindowOrder) -> Position:
        """The position so many batches later."""
        epoch, batch = self.epoch, self.batch + batches
        while batch >= (size := order.batches_per_epoch(epoch)):
            epoch, batch = epoch + 1, batch - size
        return Position(epoch, batch)
