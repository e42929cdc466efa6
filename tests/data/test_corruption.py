"""What can go wrong with files: each kind is one clear line that names file, column and row."""

import json

import numpy as np
import pytest

pytest.importorskip("h5py")

import h5py
import pyarrow as pa
import pyarrow.parquet as pq

from rllib_safemarl.data import ActionSchema, ShardWriter, make_dataset, read_dataset
from rllib_safemarl.data.hdf5 import write_hdf5
from rllib_safemarl.data.parquet import write_parquet
from rllib_safemarl.data.shards import write_split
from rllib_safemarl.errors import SafeMARLError
from tests.data.builders import mixed, one_agent, team


def put(name, value, index=...):
    """Change some numbers of a dataset in a file, or replace it where the shape changes."""

    def change(path):
        with h5py.File(path, "r+") as file:
            if index is ...:
                if name in file:
                    del file[name]
                if value is not None:
                    file[name] = value
            else:
                file[name][index] = value

    return change


def attribute(name, value):
    def change(path):
        with h5py.File(path, "r+") as file:
            file.attrs[name] = value

    return change


def content(edit):
    """Change the bytes of a file."""

    def change(path):
        path.write_bytes(edit(path.read_bytes()))

    return change


def flip_compressed(path):
    """Damage the compressed rewards, as a bad disk does."""
    with h5py.File(path) as file:
        chunk = file["rewards"].id.get_chunk_info(0)
    raw = bytearray(path.read_bytes())
    for at in range(chunk.byte_offset + 2, chunk.byte_offset + chunk.size):
        raw[at] ^= 0xFF
    path.write_bytes(raw)


TEAM_FILES = {
    "no such file": (lambda path: path.unlink(), "there is no dataset"),
    "empty file": (content(lambda raw: b""), "cannot be read"),
    "not HDF5": (content(lambda raw: b"<html>404</html>" * 99), "it is no HDF5 file"),
    "cut off": (content(lambda raw: raw[: len(raw) // 2]), "it is cut off"),
    "damaged bytes": (flip_compressed, "rewards is damaged"),
    "newer version": (attribute("format_version", 99), "version 99; this package reads"),
    "no description": (attribute("metadata", "{"), "description is damaged"),
    "description of something else": (attribute("metadata", '{"schema": {}}'), "description is damaged"),
    "no offsets": (put("episode_offsets", None), "'episode_offsets' is missing"),
    "offsets fall": (put("episode_offsets", [0, 3, 2, 8]), r"episode_offsets\[2\] must start at 0 and rise"),
    "offsets stop early": (put("episode_offsets", [0, 3, 4, 7]), r"has shape .*; with 7 rows"),
    "no rewards": (put("rewards", None), "'rewards' is missing"),
    "no last observations": (put("final/observations", None), "'final/observations/agent'.*is missing"),
    "half the rows": (put("costs", np.zeros((4, 3, 2), "f4")), r"costs has shape \(4, 3, 2\)"),
    "an agent less": (put("rewards", np.zeros((8, 2), "f4")), r"rewards has shape \(8, 2\)"),
    "other observations": (put("observations", np.zeros((8, 3, 5), "f4")), r"observations/agent has shape"),
    "text": (put("rewards", np.full((8, 3), b"x")), "rewards holds |S1, not numbers"),
    "not a number": (put("observations", np.nan, (5, 1, 2)), "observations/agent of row 5 holds nan"),
    "infinite": (put("rewards", np.inf, (6, 0)), "rewards of row 6 holds inf"),
    "infinite at the end": (put("final/positions", -np.inf, (1, 0, 0)), "final/positions of episode 1 holds"),
    "negative cost": (put("costs", -0.5, (2, 1, 0)), r"costs\[2\] of agent 'robot_1' is -0.5"),
    "flags of two": (
        put("timeouts", np.array([0, 0, 1, 1, 0, 0, 0, 2])),
        r"timeouts\[7\] is 2, but must be flags",
    ),
    "no end": (put("timeouts", False, 2), r"the end of episode 0 is missing: neither timeouts\[2\]"),
    "an end inside": (put("timeouts", True, 5), r"timeouts\[5\] ends episode 2, which goes on until row 7"),
    "acts after its end": (
        put("active", True, (1, 2)),
        r"active\[1\]: agent 'robot_2' acts after its terminals",
    ),
    "nobody acts": (put("active", False, 4), r"active\[4\] holds no agent that acts"),
    "the absent end": (put("terminals", True, (2, 2)), r"terminals\[2\] ends an agent that is not active"),
    "no such neighbour": (put("neighbours", 3, (1, 0, 0)), r"neighbours\[1\] of agent 0 holds 3"),
    "its own neighbour": (put("neighbours", 1, (4, 1, 0)), r"neighbours\[4\] of agent 1 holds 1"),
    "no such split": (put("split", np.array([0, 1, 5])), "split of episode 2 is 5"),
    "a split of others": (put("split", np.array([0, 1])), r"'split' has shape \(2,\)"),
}


@pytest.mark.parametrize(("damage", "message"), TEAM_FILES.values(), ids=TEAM_FILES.keys())
def test_damaged_hdf5(damage, message, tmp_path):
    path = write_hdf5(team(), tmp_path / "team.h5")
    damage(path)
    check(path, message)


def check(path, message, verify_hash=False):
    with pytest.raises(SafeMARLError, match=message) as error:
        read_dataset(path, verify_hash)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_choices_out_of_range(tmp_path):
    one = write_hdf5(team(action=ActionSchema.discrete(4)), tmp_path / "one.h5")
    put("actions", 4, (3, 0))(one)
    check(one, "actions/agent of row 3 holds 4")
    several = write_hdf5(mixed(), tmp_path / "several.h5")
    put("actions/drone", 2, (1, 0, 1))(several)
    check(several, r"actions/drone of row 1 holds 2; .* fewer than \[3, 2\]")
    put("actions/drone", np.full((5, 1, 2), 0.5))(several)
    check(several, "actions/drone.* is 0.5, but must be whole numbers")


def test_the_hash_finds_what_is_possible_but_changed(tmp_path):
    path = write_hdf5(one_agent(), tmp_path / "one.h5")
    put("rewards", 1.25, 3)(path)
    assert read_dataset(path)["rewards"][3, 0] == 1.25
    check(path, "do not fit their content_hash", verify_hash=True)


def rewrite(path, edit):
    """Change a Parquet file's table, keeping its description."""
    table = pq.ParquetFile(path).read()
    pq.write_table(edit(table).replace_schema_metadata(table.schema.metadata), path)


def without_last_number(table):
    rewards = [row[:-1] if i == 1 else row for i, row in enumerate(table["rewards"].to_pylist())]
    at = table.column_names.index("rewards")
    return table.set_column(at, "rewards", pa.array(rewards, pa.list_(pa.float32())))


def flip_page(path):
    """Damage the rewards' page, as a bad disk does."""
    with pq.ParquetFile(path) as file:
        group = file.metadata.row_group(0)
        names = [group.column(i).path_in_schema for i in range(group.num_columns)]
        column = group.column(names.index("rewards.list.element"))
    raw = bytearray(path.read_bytes())
    raw[column.data_page_offset + column.total_compressed_size - 5] ^= 0x10
    path.write_bytes(raw)


PARQUET_FILES = {
    "damaged bytes": (flip_page, "it is cut off, damaged or no Parquet file"),
    "cut off": (content(lambda raw: raw[: len(raw) // 2]), "it is cut off, damaged or no Parquet file"),
    "not ours": (lambda path: pq.write_table(pa.table({"a": [1]}), path), "no dataset of this package"),
    "a chunk missing": (
        lambda path: rewrite(path, lambda t: t.slice(1)),
        "does not follow the chunk before it",
    ),
    "the last chunk missing": (
        lambda path: rewrite(path, lambda t: t.filter(pa.array([i != 2 for i in range(t.num_rows)]))),
        "chunk 1 .*its successor is missing",
    ),
    "a chunk twice": (
        lambda path: rewrite(path, lambda t: pa.concat_tables([t.slice(0, 2), t.slice(1)])),
        "does not follow the chunk before it",
    ),
    "a number missing": (lambda path: rewrite(path, without_last_number), "rewards of chunk 1 holds"),
    "a column missing": (lambda path: rewrite(path, lambda t: t.drop(["costs"])), "'costs' is missing"),
}


@pytest.mark.parametrize(("damage", "message"), PARQUET_FILES.values(), ids=PARQUET_FILES.keys())
def test_damaged_parquet(damage, message, tmp_path):
    path = write_parquet(team((5, 3)), tmp_path / "team.parquet", chunk_steps=2, overlap=1)
    damage(path)
    check(path, message)


def damage_manifest(**changes):
    def change(folder):
        path = folder / "dataset.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def other_shard(folder):
    """A shard of another dataset with the same number of bytes."""
    path = folder / "shard-00000.h5"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 0xFF
    path.write_bytes(raw)


FOLDERS = {
    "no manifest": (lambda f: (f / "dataset.json").unlink(), "there is no dataset.json in it"),
    "half a manifest": (lambda f: (f / "dataset.json").write_text('{"format": '), "dataset.json is damaged"),
    "another manifest": (damage_manifest(format="x"), "is 'x' of version 1"),
    "a manifest without shards": (damage_manifest(shards=[{}]), "dataset.json is damaged"),
    "unfinished": (damage_manifest(finished=False), "is unfinished"),
    "a shard missing": (lambda f: (f / "shard-00001.h5").unlink(), "shard-00001.h5 is missing"),
    "a shard cut off": (
        lambda f: content(lambda raw: raw[:99])(f / "shard-00001.h5"),
        "has 99 bytes, not the",
    ),
    "a shard changed": (other_shard, "does not fit its SHA-256"),
    "a split of others": (lambda f: write_split(f, [0, 1]), "splits 2 episodes, the dataset has 3"),
    "half a split": (lambda f: (f / "split.npy").write_bytes(b"\x93NUM"), "split.npy is damaged"),
}


@pytest.mark.parametrize(("damage", "message"), FOLDERS.values(), ids=FOLDERS.keys())
def test_damaged_folders(damage, message, tmp_path):
    data = team()
    with ShardWriter(tmp_path / "folder", data.schema, storage="hdf5") as writer:
        writer.append(data.select([0]))
        writer.append(data.select([1, 2]))
    damage(tmp_path / "folder")
    check(tmp_path / "folder", message, verify_hash=True)


def test_what_is_recorded_is_checked_before_it_is_written(tmp_path):
    data = one_agent()
    rows = {**data.rows, "timeouts": np.zeros(8, bool)}
    with pytest.raises(SafeMARLError, match="the end of episode 0 is missing"):
        write_hdf5(make_dataset(data.schema, rows, data.offsets, data.episodes), tmp_path / "x.h5")
    assert not list(tmp_path.iterdir())
