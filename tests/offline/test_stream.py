"""Batches from memory and from Ray Data: every window once an epoch, and exactly resumable."""

import shutil
import threading
from itertools import islice

import numpy as np
import pytest

from rllib_safemarl.data import ShardWriter
from rllib_safemarl.data.columns import SPLIT
from rllib_safemarl.data.shards import write_split
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.offline.order import Position, WindowOrder
from rllib_safemarl.offline.source import open_source
from rllib_safemarl.offline.stream import WindowStream
from tests.offline.datasets import numbered

LENGTHS = [5, 17, 9, 30, 1, 12, 8, 22]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four shards of two episodes each, in chunks of six steps."""
    path = tmp_path_factory.mktemp("data") / "shards"
    dataset = numbered(LENGTHS)
    with ShardWriter(path, dataset.schema, chunk_steps=6, overlap=2) as writer:
        for e in range(0, len(LENGTHS), 2):
            writer.append(dataset.select([e, e + 1]))
    return path


@pytest.fixture
def streams():
    """An order and the streams of all its learners, closed in the end."""
    opened, before = [], set(threading.enumerate())

    def make(source, batch_size=4, learners=1, horizon=3):
        order = WindowOrder(source.counts, 7, batch_size, learners, pool_windows=40)
        opened.extend(WindowStream(source, order, k, horizon) for k in range(learners))
        return order, opened[-learners:]

    yield make
    for stream in opened:
        stream.close()
    begun = set(threading.enumerate()) - before
    assert not [t for t in begun if t.name in ("windows", "pools")], "threads end"


def windows_of(batches):
    """(episode, step) of every window's first moment, read off its numbers."""
    return [tuple(map(int, w)) for batch in batches for w in batch["observations/robot"][:, 0, 0, :2]]


EVERY = {(e, t) for e, n in enumerate(LENGTHS) for t in range(n)}


@pytest.mark.parametrize("learners", [1, 2])
@pytest.mark.parametrize("in_memory_bytes", [1 << 30, 0], ids=["memory", "streamed"])
def test_an_epoch_holds_no_window_twice_and_leaves_out_less_than_a_batch_each(
    ray_cluster, folder, streams, in_memory_bytes, learners
):
    source = open_source(str(folder), in_memory_bytes=in_memory_bytes, horizon=3)
    assert source.streamed == (in_memory_bytes == 0)
    order, each = streams(source, learners=learners)
    size = order.batches_per_epoch(0)
    found = [window for stream in each for window in windows_of(stream.take(Position(), size))]
    assert len(found) == len(set(found)) == 4 * size * learners
    assert set(found) <= EVERY
    if learners == 1:
        assert len(EVERY - set(found)) < 4


@pytest.mark.parametrize("in_memory_bytes", [1 << 30, 0], ids=["memory", "streamed"])
def test_any_position_is_resumed_exactly(ray_cluster, folder, streams, in_memory_bytes):
    source = open_source(str(folder), in_memory_bytes=in_memory_bytes, horizon=3)
    order, (stream,) = streams(source)
    total = order.batches_per_epoch(0) + 5
    whole = list(stream.take(Position(), total))
    _, (again,) = streams(source)
    for begin in (0, 1, 11, order.batches_per_epoch(0), total - 2):
        rest = list(again.take(Position().advance(begin, order), total - begin))
        assert windows_of(rest) == windows_of(whole[begin:])
        for ours, theirs in zip(rest, whole[begin:], strict=True):
            np.testing.assert_array_equal(ours.mask, theirs.mask)
            np.testing.assert_array_equal(ours["rewards"], theirs["rewards"])
    list(islice(again.take(Position(), 3), 3))
    assert windows_of(again.take(Position(0, 3), 2)) == windows_of(whole[3:5])


@pytest.mark.parametrize("in_memory_bytes", [1 << 30, 0], ids=["memory", "streamed"])
def test_only_the_split_is_learned_from(ray_cluster, folder, streams, in_memory_bytes):
    split = np.array([0, 1, 0, 2, 0, 0, 1, 0])
    write_split(folder, split)
    try:
        source = open_source(str(folder), "train", in_memory_bytes, 3)
        assert source.counts.sum() == sum(np.array(LENGTHS)[split == 0])
        order, (stream,) = streams(source, batch_size=1)
        found = windows_of(stream.take(Position(), order.batches_per_epoch(0)))
        assert set(found) == {(e, t) for e, t in EVERY if split[e] == 0}
        source = open_source(str(folder), "all", in_memory_bytes, 3)
        assert source.counts.sum() == sum(LENGTHS)
    finally:
        (folder / "split.npy").unlink()


def test_what_cannot_be_opened_is_refused(folder, tmp_path):
    with pytest.raises(SafeMARLError, match=r"no dataset .*gone.h5"):
        open_source(str(tmp_path / "gone.h5"))
    with pytest.raises(SafeMARLError, match="no split 'trian'"):
        open_source(str(folder), "trian")
    with pytest.raises(SafeMARLError, match="is not split yet"):
        open_source(str(folder), "calibration", 0)
    with pytest.raises(SafeMARLError, match="repeat 2 steps, too few for windows of 4"):
        open_source(str(folder), in_memory_bytes=0, horizon=4)
    from rllib_safemarl.data import write_dataset

    single = write_dataset(numbered([4, 4]), tmp_path / "one.h5")
    with pytest.raises(SafeMARLError, match="one file: write a folder of shards"):
        open_source(str(single), in_memory_bytes=10)


def test_one_execution_of_ray_data_serves_several_epochs_or_one_alike(
    ray_cluster, folder, streams, monkeypatch
):
    source = open_source(str(folder), in_memory_bytes=0, horizon=3)
    found = []
    for blocks in (1, 3 * len(source.counts)):
        monkeypatch.setattr("rllib_safemarl.offline.stream.EXECUTION_BLOCKS", blocks)
        order, (stream,) = streams(source)
        found.append(windows_of(stream.take(Position(0, 2), 3 * order.batches_per_epoch(0))))
        stream.close()
    assert found[0] == found[1]


def test_columns_and_moments_that_are_not_wanted_are_not_read(ray_cluster, folder):
    source = open_source(str(folder), in_memory_bytes=0, horizon=2)
    order = WindowOrder(source.counts, 7, 4, pool_windows=40)
    batches = []
    for last_moment in (True, False):
        stream = WindowStream(source, order, 0, 2, ["observations/robot", "active"], last_moment)
        batches.append(next(iter(stream.take(Position(), 1))))
        stream.close()
    whole, short = batches
    assert set(whole.columns) == {"observations/robot", "active"}
    assert whole["observations/robot"].shape[:2] == (4, 3) and short["active"].shape == (4, 2, 2)
    seen = short["observations/robot"]
    np.testing.assert_array_equal(seen[short.mask], whole["observations/robot"][:, :2][whole.mask])


def test_pools_are_no_larger_than_memory_is_meant_for(folder, monkeypatch):
    source = open_source(str(folder), in_memory_bytes=0)
    # A chunk's observations, actions, rewards, costs, … of two agents: some tens of bytes a window.
    assert 60 < source.window_bytes < 400
    monkeypatch.setattr("rllib_safemarl.offline.source.POOL_BYTES", 10.5 * source.window_bytes)
    assert source.pool_windows(1000) == 10 and source.pool_windows(7) == 7
    assert open_source(str(folder)).pool_windows(1000) == 1000


def test_a_shard_damaged_while_it_is_learned_from_is_named(ray_cluster, folder, tmp_path, streams):
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    source = open_source(str(damaged), in_memory_bytes=0)
    order, (stream,) = streams(source, horizon=1)
    file = damaged / "shard-00001.parquet"
    content = bytearray(file.read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    file.write_bytes(content)
    with pytest.raises(SafeMARLError, match=r"shard-00001\.parquet cannot be read") as caught:
        list(stream.take(Position(), order.batches_per_epoch(0)))
    assert "\n" not in str(caught.value)


def test_an_error_while_reading_reaches_the_learner(folder, streams):
    source = open_source(str(folder))
    order, _ = streams(source)
    stream = WindowStream(source, order, 0, 3, ["rewards"])
    stream._whole.cut = lambda windows: 1 / 0
    with pytest.raises(ZeroDivisionError):
        list(stream.take(Position(), 1))
    assert SPLIT not in source.dataset.episodes
