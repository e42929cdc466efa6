"""Round trips through every storage, shards that go on, atomic writers."""

import errno
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("h5py")

import h5py
import pyarrow.parquet as pq

from rllib_safemarl.data import ActionSchema, ShardWriter, decode_chunks, read_dataset, write_dataset
from rllib_safemarl.data.chunks import cut_chunks, join_chunks
from rllib_safemarl.data.files import iterate_dataset, keep_split
from rllib_safemarl.data.hdf5 import write_hdf5
from rllib_safemarl.data.parquet import encode_chunks, read_table, write_parquet
from rllib_safemarl.data.shards import read_manifest
from rllib_safemarl.errors import SafeMARLError
from tests.data.builders import mixed, one_agent, same, team

BUILDERS = {
    "one agent": one_agent,
    "team": team,
    "two agents": lambda: team(agents=2),
    "choices": lambda: team(action=ActionSchema.discrete(4)),
    "several choices": lambda: team(action=ActionSchema.multi_discrete([2, 3])),
    "kinds": mixed,
    "one kind of costs": lambda: team(time_limit=4, hops=((0, 1, 1), (1, 0, 1), (1, 1, 0))),
}


@pytest.mark.parametrize("name", ["data.h5", "data.hdf5", "data.parquet", "folder"])
@pytest.mark.parametrize("builder", BUILDERS.values(), ids=BUILDERS.keys())
def test_what_is_written_is_read(builder, name, tmp_path):
    data = builder()
    path = write_dataset(data, tmp_path / name, shard_bytes=200)
    back = read_dataset(path, verify_hash=True)
    assert same(data, back)
    assert back.provenance == data.provenance
    assert not [file for file in tmp_path.rglob("*") if file.name.startswith(".")]
    keep_split(path, np.arange(data.num_episodes) % 3)
    assert (read_dataset(path, verify_hash=True)["split"] == np.arange(data.num_episodes) % 3).all()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 5), st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_chunks_are_self_contained_and_join_to_the_episodes(lengths, chunk_steps, overlap):
    data = team(tuple(lengths), agents=2)
    chunks = cut_chunks(data, chunk_steps, overlap, first_episode=10)
    back = decode_chunks(encode_chunks(chunks))
    assert same(chunks, back)
    assert same(join_chunks(back, "test"), data)
    for chunk in back:
        episode, start = chunk.episodes["episode"][0] - 10, chunk.episodes["start"][0]
        whole = data.episode(episode)
        assert chunk.episodes["own_steps"][0] == min(chunk_steps, lengths[episode] - start)
        assert chunk.num_rows == min(chunk_steps + overlap, lengths[episode] - start)
        end = start + chunk.num_rows
        assert (chunk["rewards"] == whole["rewards"][start:end]).all()
        assert (chunk.points("positions") == whole.points("positions")[start : end + 1]).all()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.sampled_from([one_agent, team, mixed]))
@settings(max_examples=20, deadline=None)
def test_ragged_episodes_come_back_from_hdf5(lengths, builder):
    data = builder(tuple(lengths))
    with tempfile.TemporaryDirectory() as folder:
        back = read_dataset(write_hdf5(data, Path(folder) / "x.h5"), verify_hash=True)
    assert same(data, back)
    assert back.lengths.tolist() == lengths


def test_some_rows_of_a_table_decode_too():
    table = encode_chunks(cut_chunks(team((5, 3), agents=2), 2, 1))
    part = decode_chunks(table.slice(2, 2).replace_schema_metadata(None), table.schema.metadata)
    assert part.episodes["start"].tolist() == [4, 0]
    assert (part["rewards"][:1] == team((5, 3), agents=2)["rewards"][4:5]).all()


def test_shards_are_appended_and_continued(tmp_path):
    data = team((2, 3, 1, 4), agents=2)
    for storage in ("parquet", "hdf5"):
        folder = tmp_path / storage
        writer = ShardWriter(folder, data.schema, data.provenance, storage, chunk_steps=2, overlap=1)
        writer.append(data.select([0, 1]))
        with pytest.raises(SafeMARLError, match="unfinished: its writer stopped after 1 shards"):
            read_dataset(folder)
        # Leftovers of a writer that was killed are no part of the dataset.
        (folder / "shard-00001.parquet").write_bytes(b"half")
        with ShardWriter(folder, data.schema, storage=storage, chunk_steps=2, overlap=1) as writer:
            assert (writer.num_episodes, writer.num_rows) == (2, 5)
            writer.append(data.select([2, 3]))
        assert same(read_dataset(folder, verify_hash=True), data)
        assert [part.num_episodes for part in iterate_dataset(folder)] == [2, 2]
        statistics = read_manifest(folder)["statistics"]
        np.testing.assert_allclose(statistics["rewards"].count, data["active"].sum())
    numbers = read_table(tmp_path / "parquet" / "shard-00001.parquet")["episodes/episode"].to_pylist()
    assert sorted(set(numbers)) == [2, 3]


def test_a_writer_refuses_folders_of_others(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(SafeMARLError, match="not empty"):
        ShardWriter(tmp_path, team().schema)
    with ShardWriter(tmp_path / "a", team().schema) as writer:
        writer.append(team())
    with pytest.raises(SafeMARLError, match="another storage or schema"):
        ShardWriter(tmp_path / "a", one_agent().schema)
    with (
        pytest.raises(SafeMARLError, match="no episode was written"),
        ShardWriter(tmp_path / "b", team().schema),
    ):
        pass


def test_a_writer_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = write_hdf5(one_agent(), tmp_path / "data.h5")
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(h5py.File, "create_dataset", fail)
    with pytest.raises(OSError, match="disk full"):
        write_hdf5(team(), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_costs_a_folder_the_shard_that_was_being_written(tmp_path, monkeypatch):
    data, folder = team(), tmp_path / "data"
    original = pq.write_table

    def fail(table, where, *args, **kwargs):
        original(table, where, *args, **kwargs)
        Path(where).write_bytes(Path(where).read_bytes()[:50])
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"), ShardWriter(folder, data.schema) as writer:
        writer.append(data.select([0]))
        monkeypatch.setattr(pq, "write_table", fail)
        writer.append(data.select([1]))
    monkeypatch.undo()
    assert sorted(file.name for file in folder.iterdir()) == ["dataset.json", "shard-00000.parquet"]
    with ShardWriter(folder, data.schema) as writer:
        assert writer.num_episodes == 1
        writer.append(data.select([1, 2]))
    assert read_dataset(folder).content_hash == data.content_hash


def test_bad_values_are_not_written(tmp_path):
    data = one_agent()
    data["costs"][2] = -1
    for write in (write_hdf5, write_parquet):
        with pytest.raises(SafeMARLError, match=r"costs\[2\] of agent 'robot' is -1"):
            write(data, tmp_path / "x.h5")
    assert not list(tmp_path.iterdir())


def test_next_observations_of_a_team_can_be_written(tmp_path):
    data = team()
    with h5py.File(write_hdf5(data, tmp_path / "a.h5", next_observations=True)) as file:
        assert (file["next_observations"][()] == data.next("observations")).all()
    with h5py.File(write_hdf5(mixed(), tmp_path / "b.h5", next_observations=True)) as file:
        assert (file["next_observations/car"][()] == mixed().next("observations/car")).all()
    assert same(read_dataset(tmp_path / "a.h5"), data)
    assert same(read_dataset(tmp_path / "b.h5"), mixed())


def test_paths_say_the_storage(tmp_path):
    with pytest.raises(SafeMARLError, match=r"write to a file \.h5"):
        write_dataset(team(), tmp_path / "data.csv")
    with pytest.raises(SafeMARLError, match="there is no dataset"):
        read_dataset(tmp_path / "none")
    manifest = json.loads((write_dataset(team(), tmp_path / "data") / "dataset.json").read_text())
    assert manifest["schema"]["agents"] == ["robot_0", "robot_1", "robot_2"]
    with pytest.raises(SafeMARLError, match="not empty"):
        write_dataset(team(), tmp_path / "data")


def test_chunks_refuse_episode_columns_of_their_own_names(tmp_path):
    given = team()
    dataset = replace(given, episodes={**given.episodes, "start": np.arange(given.num_episodes)})
    with pytest.raises(SafeMARLError, match="need the episode column 'start' for themselves; rename yours"):
        write_dataset(dataset, tmp_path / "named.parquet")
