"""Windows against windows cut by hand, whole and from chunks."""

import numpy as np
import pytest

from rllib_safemarl.data.chunks import cut_chunks
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.offline.windows import Pieces, WindowCutter
from tests.offline.datasets import numbered


def by_hand(lengths, horizon):
    """(episode, first step) → steps, moments and mask of the window."""
    return {
        (e, t): (
            [min(t + k, n - 1) for k in range(horizon)],
            [min(t + k, n) for k in range(horizon + 1)],
            [t + k < n for k in range(horizon)],
        )
        for e, n in enumerate(lengths)
        for t in range(n)
    }


@pytest.mark.parametrize("horizon", [1, 2, 5])
@pytest.mark.parametrize("chunked", [False, True])
def test_windows_stay_inside_their_episode(horizon, chunked):
    lengths = [1, 7, 4, 12]
    dataset = numbered(lengths)
    if chunked:
        dataset = cut_chunks(dataset, chunk_steps=3, overlap=horizon - 1)
    cutter = WindowCutter(Pieces.of(dataset), horizon)
    expected = by_hand(lengths, horizon)
    assert len(cutter) == sum(lengths)
    batch = cutter.cut(np.arange(len(cutter)))
    seen = batch["observations/robot"]
    assert seen.shape == (len(cutter), horizon + 1, 2, 3) and batch["rewards"].shape == (
        len(cutter),
        horizon,
        2,
    )
    found = set()
    for b in range(len(cutter)):
        episode, first, _ = seen[b, 0, 0]
        steps, moments, mask = expected[int(episode), int(first)]
        found.add((int(episode), int(first)))
        assert list(batch["rewards"][b, :, 0]) == steps
        assert list(seen[b, :, 1, 1]) == moments
        assert (seen[b, :, :, 0] == episode).all() and (seen[b, :, 1, 2] == 1).all()
        assert list(batch.mask[b]) == mask
    assert found == set(expected), "every step begins one window"


@pytest.mark.parametrize("horizon", [1, 4])
@pytest.mark.parametrize("chunked", [False, True])
def test_without_the_last_moment_the_others_are_the_same(horizon, chunked):
    dataset = numbered([1, 7, 4, 12])
    if chunked:
        dataset = cut_chunks(dataset, chunk_steps=3, overlap=horizon - 1)
    whole = WindowCutter(Pieces.of(dataset), horizon)
    every = np.arange(len(whole))
    expected = whole.cut(every)
    # From pieces without last moments, as in memory, and from pieces with them, as from files.
    for pieces in (Pieces.of(dataset, last_moment=False), Pieces.of(dataset)):
        found = WindowCutter(pieces, horizon, last_moment=False).cut(every)
        np.testing.assert_array_equal(found.mask, expected.mask)
        inside = expected.mask
        for name in expected.columns:
            assert found[name].shape[:2] == (len(every), horizon)
            np.testing.assert_array_equal(found[name][inside], expected[name][:, :horizon][inside])


def test_joined_pieces_hold_the_windows_of_all_parts():
    parts = [numbered([4, 2]), numbered([3])]
    joined = WindowCutter(Pieces.join([Pieces.of(part) for part in parts]), 2)
    apart = [WindowCutter(Pieces.of(part), 2) for part in parts]
    expected = [cutter.cut(np.arange(len(cutter))) for cutter in apart]
    found = joined.cut(np.arange(len(joined)))
    for name in found.columns:
        np.testing.assert_array_equal(found[name], np.concatenate([part[name] for part in expected]))


def test_only_named_columns_are_cut_and_unknown_ones_refused():
    dataset = numbered([3])
    assert set(WindowCutter(Pieces.of(dataset, ["rewards"]), 1).cut(np.array([0])).columns) == {"rewards"}
    with pytest.raises(SafeMARLError, match=r"no column 'margins'; it has .*rewards"):
        Pieces.of(dataset, ["margins"])
