"""Who learns from what when: every window once an epoch, the same from every position, equal shares."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.offline.order import Position, WindowOrder


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 9), min_size=3, max_size=12),
    st.integers(0, 5),
    st.integers(1, 3),
    st.integers(1, 30),
)
def test_learners_share_every_window_of_an_epoch(counts, seed, learners, pool_windows):
    order = WindowOrder(np.array(counts), seed, 1, learners, pool_windows)
    dealt = []
    for learner in range(learners):
        for pool in order.pools(2, learner):
            dealt += list(pool.blocks)
            assert sorted(pool.windows) == list(range(sum(counts[b] for b in pool.blocks)))
        hand = [b for pool in order.pools(2, learner) for b in pool.blocks]
        assert hand == list(order.hand(2, learner))
        assert order.batches_per_epoch(2) <= sum(counts[b] for b in hand)
    assert sorted(dealt) == list(range(len(counts)))


def test_epochs_and_seeds_differ_and_repeat():
    def flat(seed, epoch):
        order = WindowOrder(np.full(8, 4), seed, 2)
        return [tuple(pool.windows) for pool in order.pools(epoch, 0)]

    assert flat(0, 0) == flat(0, 0)
    assert flat(0, 0) != flat(0, 1) and flat(0, 0) != flat(1, 0)


def test_positions_count_through_epochs():
    order = WindowOrder(np.array([5, 5, 5]), 0, 4)
    assert order.batches_per_epoch(0) == 3
    assert Position().advance(2, order) == Position(0, 2)
    assert Position(0, 2).advance(1, order) == Position(1, 0)
    assert Position(0, 2).advance(8, order) == Position(3, 1)


@pytest.mark.parametrize(
    ("counts", "batch", "learners", "message"),
    [
        ([3, 3], 4, 2, "has 6 windows, too few for one batch of 4 for each of 2 learners"),
        ([9], 1, 2, "1 blocks for 2"),
    ],
)
def test_too_small_datasets_are_refused(counts, batch, learners, message):
    with pytest.raises(SafeMARLError, match=message):
        WindowOrder(np.array(counts), 0, batch, learners)
