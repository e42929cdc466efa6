"""Readers of other people's layouts, on files made here."""

import base64
import pickle
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gymnasium import spaces

from rllib_safemarl.data.arrays import read_arrays
from rllib_safemarl.data.assemble import ends_by_count
from rllib_safemarl.data.convert import SourceOptions, detect_format, read_any
from rllib_safemarl.data.files import write_dataset
from rllib_safemarl.data.frames import FrameColumns, read_frame
from rllib_safemarl.data.minari import read_minari
from rllib_safemarl.data.rllib_parquet import read_rllib
from rllib_safemarl.errors import SafeMARLError
from tests.data.builders import one_agent


def test_ends_by_count_restart_at_every_known_end():
    ends = np.array([0, 0, 0, 1, 0, 0, 0, 0, 0], bool)
    assert np.flatnonzero(ends_by_count(ends, 2)).tolist() == [1, 3, 5, 7]
    assert np.flatnonzero(ends_by_count(ends, 3)).tolist() == [2, 6]


def omar(folder, sizes=(3, 3, 2), dones=(0, 0, 1, 0, 0, 1), with_next=False):
    """Six rows of agents that observe vectors of these sizes and act in two dimensions."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for i, size in enumerate(sizes):
        obs = rng.normal(size=(6, size))
        np.save(folder / f"obs_{i}.npy", obs)
        np.save(folder / f"acs_{i}.npy", rng.uniform(-1, 1, (6, 2)))
        np.save(folder / f"rews_{i}.npy", np.arange(6.0) + 10 * i)
        np.save(folder / f"dones_{i}.npy", np.array(dones, bool))
        if with_next:
            np.save(
                folder / f"next_obs_{i}.npy", np.concatenate([obs[1:3], obs[:1] + 9, obs[4:], obs[:1] + 9])
            )
    return folder


def test_omar_time_limits_are_timeouts(tmp_path):
    data = read_arrays(omar(tmp_path / "a"), time_limit=3)
    assert data.schema.agents == ("agent_0", "agent_1", "agent_2")
    assert [(kind.agents, kind.observation_size) for kind in data.schema.kinds] == [((0, 1), 3), ((2,), 2)]
    # The last row of each episode of three became what was seen last.
    assert data.lengths.tolist() == [2, 2]
    assert data["rewards"][:, 1].tolist() == [10, 11, 13, 14]
    assert not data["terminals"].any()
    assert data["timeouts"].tolist() == [False, True, False, True]
    assert (
        data["final/observations/kind_0"][1, 1] == np.load(tmp_path / "a/obs_1.npy")[5].astype("f4")
    ).all()


def test_omar_earlier_ends_are_terminals(tmp_path):
    data = read_arrays(omar(tmp_path, with_next=True), time_limit=25)
    assert data.lengths.tolist() == [3, 3]
    assert data["terminals"][:, 0].tolist() == [False, False, True, False, False, True]
    assert not data["timeouts"].any()
    first = np.load(tmp_path / "obs_0.npy")[0].astype("f4")
    np.testing.assert_allclose(data["final/observations/kind_0"][0, 0], first + 9, rtol=1e-6)


def test_omar_seeds_are_joined(tmp_path):
    for seed in range(2):
        omar(tmp_path / f"seed_{seed}_data")
    assert read_arrays(tmp_path).num_episodes == 4
    (tmp_path / "seed_1_data" / "rews_2.npy").unlink()
    with pytest.raises(SafeMARLError, match=r"rews_2\.npy is missing"):
        read_arrays(tmp_path)
    np.save(tmp_path / "seed_1_data" / "rews_2.npy", np.zeros(5))
    with pytest.raises(SafeMARLError, match="rewards of agent 2 has 5 rows, not 6"):
        read_arrays(tmp_path)


def test_madiff_paths(tmp_path):
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(7, 2, 4)).astype("f4")
    np.save(tmp_path / "obs.npy", obs)
    np.save(tmp_path / "actions.npy", rng.integers(0, 3, (7, 2, 1)))
    np.save(tmp_path / "rewards.npy", np.arange(7.0))
    np.save(tmp_path / "path_lengths.npy", np.array([4, 3]))
    data = read_arrays(tmp_path, num_choices=5)
    assert data.schema.kinds[0].action.choices == (5,)
    assert data.lengths.tolist() == [3, 2]
    assert data["rewards"].tolist() == [[0, 0], [1, 1], [2, 2], [4, 4], [5, 5]]
    assert (data["final/observations"] == obs[[3, 6]]).all()
    # With a time limit of four, the second path reached a terminal and keeps its last row.
    data = read_arrays(tmp_path, time_limit=4)
    assert data.lengths.tolist() == [3, 3]
    assert data["terminals"].all(1).tolist() == [False] * 5 + [True]


def test_arrays_of_others(tmp_path):
    with pytest.raises(SafeMARLError, match=r"neither obs\.npy nor obs_0\.npy"):
        read_arrays(tmp_path)
    np.save(tmp_path / "obs.npy", np.zeros((3, 2)))
    with pytest.raises(SafeMARLError, match=r"actions\.npy is missing"):
        read_arrays(tmp_path)
    (tmp_path / "obs.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(SafeMARLError, match=r"obs\.npy cannot be read"):
        read_arrays(tmp_path)


class Harmful:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return print, ("harm",)


def packed(value):
    """A value as RLlib compresses it."""
    compressed = pytest.importorskip("lz4.frame").compress(pickle.dumps(value))
    return base64.b64encode(compressed).decode("ascii")


def rllib_rows(**changes):
    """Two episodes of RLlib's transitions; the first comes in two fragments around the second."""
    obs = np.array([[0.0, 0], [1, 0], [10, 0], [11, 0], [2, 0]])
    after = np.array([[1.0, 0], [2, 0], [11, 0], [12, 0], [3, 0]])
    columns = {
        "eps_id": ["a", "a", "b", "b", "a"],
        "agent_id": [None] * 5,
        "obs": obs.tolist(),
        "new_obs": after.tolist(),
        "actions": [0, 1, 2, 0, 1],
        "rewards": [0.0, 1, 2, 3, 4],
        "terminateds": [False, False, False, True, False],
        "truncateds": [False] * 5,
        "hits": [0.0, 0, 1, 0, 2],
    }
    return pa.table({**columns, **changes})


def test_rllib_fragments_of_an_episode_are_joined(tmp_path):
    (tmp_path / "run-000001").mkdir()
    pq.write_table(rllib_rows(), tmp_path / "run-000001" / "0.parquet")
    data = read_rllib(tmp_path, cost_column="hits")
    assert data.lengths.tolist() == [3, 2]
    assert data["rewards"][:, 0].tolist() == [0, 1, 4, 2, 3]
    assert data["actions"][:, 0].tolist() == [0, 1, 1, 2, 0]
    assert data["final/observations"][:, 0, 0].tolist() == [3, 12]
    assert data["timeouts"].tolist() == [False, False, True, False, False]
    assert data["terminals"][:, 0].tolist() == [False] * 4 + [True]
    assert data["costs"][:, 0, 0].tolist() == [0, 0, 2, 1, 0]
    assert data.schema.kinds[0].action.choices == (3,)
    assert read_rllib(tmp_path).schema.cost_names == ()


def test_rllib_rows_that_were_recorded_twice_count_once(tmp_path):
    # The second file repeats the first, which ended within an episode, and goes on; so does RLlib's recorder.
    plain = rllib_rows(eps_id=["a", "a", "b", "b", "a"])
    pq.write_table(plain.slice(0, 3), tmp_path / "0.parquet")
    pq.write_table(plain, tmp_path / "1.parquet")
    data = read_rllib(tmp_path)
    assert data.lengths.tolist() == [3, 2]
    assert data["rewards"][:, 0].tolist() == [0, 1, 4, 2, 3]
    assert data.provenance.notes == ("2 fragments that RLlib recorded twice were left out.",)


def test_rllib_compressed_columns_are_read(tmp_path):
    from ray.rllib.utils.compression import pack

    plain = rllib_rows()
    columns = {
        name: [pack(np.array(row, dtype)) for row in plain[name].to_pylist()]
        for name, dtype in (("obs", np.float32), ("new_obs", np.float64))
    }
    pq.write_table(rllib_rows(**columns), tmp_path / "x.parquet")
    pq.write_table(plain, tmp_path / "plain.parquet")
    packed_rows, rows = (read_rllib(tmp_path / name) for name in ("x.parquet", "plain.parquet"))
    assert packed_rows.content_hash == rows.content_hash


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (rllib_rows().drop(["new_obs"]), "no column 'new_obs'"),
        (rllib_rows(obs=["gASV"] * 5), "obs cannot be decompressed.*output_compress_columns"),
        (rllib_rows(obs=["*"] * 5), "obs cannot be decompressed"),
        (rllib_rows(obs=[packed(Harmful())] * 5), r"cannot be decompressed \(.*print is no part of an array"),
        (rllib_rows(obs=[packed(np.array([None]))] * 5), "obs holds object, not an array of numbers"),
        (rllib_rows(agent_id=["x", "y", "x", "y", "x"]), "several agents"),
        (rllib_rows(obs=[[1.0], [1, 2], [1], [1], [1]]), "different lengths"),
        (pa.table({"item": [b"\xc1"]}), "cannot be unpacked"),
    ],
)
def test_rllib_files_that_cannot_be_read(table, message, tmp_path):
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(SafeMARLError, match=message):
        read_rllib(tmp_path / "x.parquet")


def test_rllib_packed_episodes(tmp_path):
    msgpack = pytest.importorskip("msgpack")

    def packed(array):
        array = np.asarray(array)
        return {
            b"nd": True,
            b"type": array.dtype.str.encode(),
            b"kind": b"",
            b"shape": array.shape,
            b"data": array.tobytes(),
        }

    def buffer(values, lookback=0):
        return {"data": values, "lookback": lookback, "finalized": False, "space": None}

    def item(name, first, lookback=0, **flags):
        steps = 2 + lookback
        state = {
            "id_": name,
            "observations": buffer([packed([first + t, 0.5]) for t in range(steps + 1)], lookback),
            "actions": buffer([packed([0.1 * t]) for t in range(steps)], lookback),
            "rewards": buffer([float(t) for t in range(steps)], lookback),
            "is_terminated": False,
            "is_truncated": False,
            **flags,
        }
        return msgpack.packb(state)

    # The second fragment looks back one step into the first.
    items = [
        item("a", 0.0),
        item("a", 1.0, lookback=1, is_terminated=True),
        item("b", 50.0, is_truncated=True),
    ]
    pq.write_table(pa.table({"item": items}), tmp_path / "x.parquet")
    data = read_rllib(tmp_path)
    assert data.lengths.tolist() == [4, 2]
    assert data["observations"][:, 0, 0].tolist() == [0, 1, 2, 3, 50, 51]
    assert data["final/observations"][:, 0, 0].tolist() == [4, 52]
    assert data["rewards"][:, 0].tolist() == [0, 1, 1, 2, 0, 1]
    assert data["terminals"][:, 0].tolist() == [False, False, False, True, False, False]


@dataclass
class Episode:
    """What Minari's iterate_episodes gives."""

    observations: object
    actions: object
    rewards: np.ndarray
    terminations: np.ndarray
    truncations: np.ndarray
    infos: dict


def minari_set(observation_space, action_space, episodes):
    return SimpleNamespace(
        observation_space=observation_space,
        action_space=action_space,
        spec=SimpleNamespace(dataset_id="toy/x-v0"),
        iterate_episodes=lambda: iter(episodes),
    )


def test_minari_episodes():
    flags = np.array([False, True])
    episodes = [
        Episode(
            np.arange(6.0).reshape(3, 2),
            np.array([1, 0]),
            np.ones(2),
            flags,
            ~flags & False,
            {"cost": [9, 1, 2]},
        ),
        Episode(
            np.ones((3, 2)), np.array([2, 2]), np.ones(2), flags & False, flags & False, {"cost": [9, 0, 0]}
        ),
    ]
    data = read_minari(minari_set(spaces.Box(-1, 1, (2,)), spaces.Discrete(3), episodes))
    assert data["observations"][:2, 0].tolist() == [[0, 1], [2, 3]]
    assert data["final/observations"][0, 0].tolist() == [4, 5]
    assert data["costs"][:, 0, 0].tolist() == [1, 2, 0, 0]
    assert data["terminals"][:, 0].tolist() == [False, True, False, False]
    # The second was cut by its collector, which says nothing.
    assert data["timeouts"].tolist() == [False, False, False, True]
    assert data.provenance.environment == "toy/x-v0"


def test_minari_dicts_by_agent():
    observation = spaces.Dict({"a": spaces.Box(-1, 1, (2,)), "b": spaces.Discrete(3)})
    action = spaces.Dict({"a": spaces.Box(-1, 1, (1,)), "b": spaces.Discrete(2)})
    episode = Episode(
        {"a": np.zeros((3, 2)), "b": np.array([0, 2, 1])},
        {"a": np.zeros((2, 1)), "b": np.array([1, 0])},
        np.ones(2),
        np.array([False, False]),
        np.array([False, True]),
        {},
    )
    data = read_minari(minari_set(observation, action, [episode]))
    assert data.schema.agents == ("a", "b")
    assert data["observations/kind_1"][:, 0].tolist() == [[1, 0, 0], [0, 0, 1]]
    assert data["final/observations/kind_1"][0, 0].tolist() == [0, 1, 0]
    assert data["actions/kind_1"][:, 0].tolist() == [1, 0]
    assert data["rewards"].tolist() == [[1, 1], [1, 1]]
    wrong = minari_set(observation, spaces.Dict({"a": action["a"]}), [episode])
    with pytest.raises(SafeMARLError, match="keys are not those of the observations"):
        read_minari(wrong)


def test_minari_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "minari", None)
    with pytest.raises(SafeMARLError, match="pip install minari"):
        read_minari("D4RL/door/human-v2")


TABLE = """run,t,robot,x,y,push,gain,hit,left
7,0,a,0,5,0.5,1,0,0
7,0,b,1,6,0.1,2,1,0
7,1,b,2,7,0.2,3,0,1
7,1,a,3,8,0.3,4,0,0
7,2,a,4,9,0.4,5,2,0
9,1,a,8,1,0.6,7,0,0
9,0,a,9,0,0.7,8,0,0
"""
COLUMNS = {
    "episode": "run",
    "step": "t",
    "agent": "robot",
    "observations": ["x", "y"],
    "actions": "push",
    "reward": "gain",
    "costs": {"crash": "hit"},
    "terminal": "left",
    "positions": ["x", "y"],
}


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(TABLE)
    return path


def test_tables_by_their_columns(table):
    data = read_frame(table, FrameColumns.from_dict(COLUMNS))
    assert data.schema.agents == ("a", "b")
    # Cut episodes: their last rows became what was seen last.
    assert data.lengths.tolist() == [2, 1]
    assert data["rewards"].tolist() == [[1, 2], [4, 3], [8, 0]]
    assert data["active"].tolist() == [[True, True], [True, True], [True, False]]
    assert data["costs"][:, :, 0].tolist() == [[0, 1], [0, 0], [0, 0]]
    assert data["terminals"].tolist() == [[False, False], [False, True], [False, False]]
    assert data["final/observations"][:, 0].tolist() == [[4, 9], [8, 1]]
    assert data["final/active"].tolist() == [[True, False], [True, False]]
    assert data["positions"][1].tolist() == [[3, 8], [2, 7]]
    assert data["timeouts"].tolist() == [False, True, True]


def test_tables_that_name_what_came_next_keep_every_row():
    frame = pd.DataFrame({"e": [0, 0, 1], "o": [1.0, 2, 8], "n": [2.0, 3, 9], "a": [0, 1, 1], "r": [1, 1, 1]})
    columns = FrameColumns("e", ["o"], ["a"], "r", next_observations=["n"], num_choices=2)
    data = read_frame(frame, columns)
    assert data.lengths.tolist() == [2, 1]
    assert data["final/observations"].ravel().tolist() == [3, 9]
    assert data["actions"].tolist() == [[0], [1], [1]]
    with pytest.raises(SafeMARLError, match=r"next_observations\[0\]"):
        read_frame(frame.assign(n=[5.0, 3, 9]), columns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reward": "gian"}, "no column 'gian'. Did you mean 'gain'"),
        ({"reword": "gain"}, "no key 'reword'. Did you mean 'reward'"),
        ({"agent": None}, "row 1 has the same episode, step and agent"),
        ({"reward": "robot"}, "'robot' holds text"),
    ],
)
def test_tables_that_do_not_fit(change, message, table):
    with pytest.raises(SafeMARLError, match=message):
        read_frame(table, FrameColumns.from_dict({**COLUMNS, **change}))
    with pytest.raises(SafeMARLError, match="must name 'episode'"):
        FrameColumns.from_dict({"observations": "x"})


def test_formats_are_told_from_their_files(tmp_path, table):
    pytest.importorskip("h5py")
    write_dataset(one_agent(), tmp_path / "ours.h5")
    write_dataset(one_agent(), tmp_path / "ours.parquet")
    write_dataset(one_agent(), tmp_path / "ours")
    (tmp_path / "rllib").mkdir()
    pq.write_table(rllib_rows(), tmp_path / "rllib" / "0.parquet")
    omar(tmp_path / "omar")
    expected = {
        "ours.h5": "safemarl",
        "ours.parquet": "safemarl",
        "ours": "safemarl",
        "rllib": "rllib",
        "rllib/0.parquet": "rllib",
        "omar": "arrays",
        "log.csv": "table",
    }
    assert {name: detect_format(str(tmp_path / name)) for name in expected} == expected
    assert detect_format("CarCircle") == "dsrl"
    with pytest.raises(SafeMARLError, match="name it by --from"):
        (tmp_path / "x.txt").write_text("")
        detect_format(str(tmp_path / "x.txt"))
    with pytest.raises(SafeMARLError, match="say by --columns"):
        read_any(str(table))
    assert read_any(str(table), options=SourceOptions(columns=COLUMNS)).num_episodes == 2
