"""Windows against windows cut by hand, whole and from chunks."""

import numpy as np
import pytest

from rllib_safemarl.data.chunks import cut_chunks
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.offline.windows import WindowCutter
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
    cutter = WindowCutter(dataset, horizon)
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


def test_only_named_columns_are_cut_and_unknown_ones_refused():
    dataset = numbered([3])
    assert set(WindowCutter(dataset, 1, ["rewards"]).cut(np.array([0])).columns) == {"rewards"}
    with pytest.raises(SafeMARLError, match=r"no column 'margins'; it has .*rewards"):
        WindowCutter(dataset, 1, ["margins"])
