"""Sequences by hand, and that they do not depend on which learner holds which copies."""

import numpy as np
import pytest

from rllib_safemarl.functional.sequences import (
    SequenceStates,
    map_leaves,
    sequence_rows,
    sequence_starts,
    spread_sequences,
)


def ended_at(steps, *of_copies):
    ended = np.zeros((steps, len(of_copies)), bool)
    for n, ends in enumerate(of_copies):
        ended[ends, n] = True
    return ended


def test_sequences_begin_with_the_block_after_ends_and_every_so_often():
    # Copy 0 runs through; copy 1 ends after its 4th and in its last step; copy 2 ends at once.
    step, copy, steps = sequence_starts(ended_at(7, [], [3, 6], [0]), 3)
    assert copy.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert step.tolist() == [0, 3, 6, 0, 3, 4, 0, 1, 4]
    assert steps.tolist() == [3, 3, 1, 3, 1, 3, 1, 3, 3]


def test_rows_count_through_time_and_copy_and_repeat_behind_the_end():
    rows, inside, copy = sequence_rows(ended_at(3, [], [0]), 2)
    assert rows.tolist() == [[0, 2], [4, 4], [1, 1], [3, 5]]
    assert inside.tolist() == [[True, True], [True, False], [True, False], [True, True]]
    assert copy.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("length", [1, 4, 50])
def test_every_row_is_in_one_sequence_and_no_episode_s_end_is_inside(length):
    ended = np.random.default_rng(0).random((23, 5)) < 0.15
    rows, inside, _ = sequence_rows(ended, length)
    assert sorted(rows[inside]) == list(range(23 * 5))
    assert inside.sum(1).max() <= length
    followed = inside[:, 1:]
    assert not ended.reshape(-1)[rows[:, :-1]][followed].any()
    assert (np.diff(rows, axis=1)[followed] == 5).all()


def test_minibatches_do_not_depend_on_how_copies_are_spread():
    ended = np.random.default_rng(1).random((40, 6)) < 0.1
    _, copy, _ = sequence_starts(ended, 5)
    ids = np.array([3, 4, 5, 9, 10, 11])
    whole = spread_sequences((7, 1), copy, ids, 4)
    parts = [
        spread_sequences((7, 1), sequence_starts(ended[:, at], 5)[1], ids[at], 4)
        for at in (slice(0, 2), slice(2, 6))
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    # At least eight sequences of every copy: some of each in every minibatch, and shares as even as can be.
    table = np.array([np.bincount(whole[copy == n], minlength=4) for n in range(6)])
    assert table.min() >= 1 and (np.ptp(table, axis=1) <= 1).all()
    assert not np.array_equal(whole, spread_sequences((7, 2), copy, ids, 4))


def test_few_sequences_are_spread_over_the_minibatches():
    copy = np.arange(64)
    counts = np.bincount(spread_sequences((0,), copy, np.arange(64), 8), minlength=8)
    assert counts.min() >= 6 and counts.max() <= 10


def test_states_are_nested_as_users_nest_them():
    states = SequenceStates(5, {"a": (np.arange(3), {"b": np.arange(6).reshape(3, 2)})})
    some = states[np.array([True, False, True])]
    assert some.length == 5
    assert map_leaves(lambda leaf: leaf.tolist(), some.values) == {"a": ([0, 2], {"b": [[0, 1], [4, 5]]})}
    assert map_leaves(lambda x, y: x + y, {"a": (1, [2])}, {"a": (10, [20])}) == {"a": (11, (22,))}
