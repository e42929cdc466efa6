"""DSRL's layout: read by a reader of its own, and read as it comes."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

pytest.importorskip("h5py")

import h5py

from rllib_safemarl.data import make_dataset, read_dataset
from rllib_safemarl.data.download import download
from rllib_safemarl.data.dsrl import read_dsrl
from rllib_safemarl.data.dsrl_tasks import TASKS, find_task
from rllib_safemarl.data.hdf5 import write_hdf5
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.safety_metrics import normalised_cost
from tests.data.builders import one_agent, team


def published_reader(path):
    """A reader of DSRL's layout after its description: flat root columns, sliced by terminals or timeouts.

    As the benchmark's own loader does, it reads *every* dataset of the file and slices each by rows.
    """
    columns = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            columns[name] = item[:]

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    rows = len(columns["observations"])
    for name in ("observations", "next_observations", "actions"):
        assert columns[name].ndim == 2 and len(columns[name]) == rows and columns[name].dtype == np.float32
    for name in ("rewards", "costs", "terminals", "timeouts"):
        assert columns[name].shape == (rows,)
    ends = np.where((columns["terminals"] == 1) | (columns["timeouts"] == 1))[0]
    starts = [0, *(ends[:-1] + 1)]
    episodes = [{k: v[a : b + 1] for k, v in columns.items()} for a, b in zip(starts, ends, strict=True)]
    joined = {k: np.concatenate([e[k] for e in episodes]) for k in columns}
    return episodes, joined


def test_one_agent_is_read_by_a_reader_of_dsrl(tmp_path):
    data = one_agent((3, 1, 4))
    terminals = np.zeros((8, 1), bool)
    terminals[3] = True
    timeouts = data["timeouts"] & ~terminals[:, 0]
    rows = {**data.rows, "terminals": terminals, "timeouts": timeouts}
    final = {"final/observations": data["final/observations"], "seed": [4, 5, 6], "split": [0, 1, 2]}
    data = make_dataset(data.schema, {**rows, "margins": np.ones((8, 1))}, data.offsets, final)
    episodes, joined = published_reader(write_hdf5(data, tmp_path / "one.h5"))
    assert [len(e["rewards"]) for e in episodes] == [3, 1, 4]
    for e, mine in zip(episodes, data, strict=True):
        assert (e["observations"] == mine["observations"][:, 0]).all()
        assert (e["next_observations"][:-1] == mine["observations"][1:, 0]).all()
        assert (e["next_observations"][-1] == mine["final/observations"][0, 0]).all()
        assert (e["costs"] == mine["costs"][:, 0, 0]).all()
        assert (e["actions"] == mine["actions"][:, 0]).all()
    assert joined["terminals"].tolist() == terminals[:, 0].tolist()
    assert joined["timeouts"].tolist() == timeouts.tolist()


def write_layout(path, drop=(), column_vectors=False, dtype=None, **changes):
    """A file of DSRL's layout from scratch: two episodes of three rows, cut, then one of two, terminated."""
    moments = np.arange(11, dtype=np.float32)[:, None] * [1.0, 10.0]
    columns = {
        "observations": moments[[0, 1, 2, 4, 5, 6, 8, 9]],
        "next_observations": moments[[1, 2, 3, 5, 6, 7, 9, 10]],
        "actions": np.linspace(-1, 1, 8)[:, None],
        "rewards": np.arange(8.0),
        "costs": np.array([0, 0, 1, 0, 0, 0, 2, 0.5]),
        "terminals": np.array([0, 0, 0, 0, 0, 0, 0, 1]),
        "timeouts": np.array([0, 0, 1, 0, 0, 1, 0, 0]),
    }
    columns.update(changes)
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            if name in drop:
                continue
            if column_vectors and column.ndim == 1:
                column = column[:, None]
            file.create_dataset(name, data=column.astype(dtype or "f4"), compression="gzip", chunks=True)
    return path


@pytest.mark.parametrize(
    "variant",
    [{}, {"column_vectors": True}, {"drop": ("timeouts",)}, {"dtype": "f8"}],
    ids=["gzip", "(N, 1)", "no timeouts", "doubles"],
)
def test_files_of_the_layout_are_read(variant, tmp_path):
    data = read_dsrl(write_layout(tmp_path / "x.hdf5", **variant))
    assert data.lengths.tolist() == [3, 3, 2]
    assert data["final/observations"][:, 0, 0].tolist() == [3, 7, 10]
    assert data["terminals"][:, 0].tolist() == [False] * 7 + [True]
    assert data["timeouts"].tolist() == [False, False, True, False, False, True, False, False]
    assert data["final/active"][:, 0].tolist() == [True, True, False]
    assert data["costs"].shape == (8, 1, 1)
    assert data["costs"][6, 0, 0] == 2
    assert read_dataset(tmp_path / "x.hdf5")["rewards"].ravel().tolist() == list(range(8))


def test_without_next_observations_the_last_row_of_a_cut_episode_becomes_its_end(tmp_path):
    data = read_dsrl(write_layout(tmp_path / "x.hdf5", drop=("next_observations", "costs")))
    assert data.lengths.tolist() == [2, 2, 2]
    assert data["rewards"].ravel().tolist() == [0, 1, 3, 4, 6, 7]
    assert data["final/observations"][:, 0, 0].tolist() == [2, 6, 9]
    assert data["terminals"].sum() == 1
    assert data.schema.cost_names == ()
    assert "last row of 2 cut episodes" in data.provenance.notes[0]


def test_the_time_limit_cuts_where_nothing_else_says_it(tmp_path):
    drop = ("timeouts", "next_observations")
    path = write_layout(tmp_path / "x.hdf5", drop, terminals=np.array([0, 0, 0, 0, 1, 0, 0, 0]))
    # Three steps, two that end by a terminal, three: the first and the last are cut and give up a row.
    assert read_dsrl(path, time_limit=3).lengths.tolist() == [2, 2, 2]
    path = write_layout(tmp_path / "x.hdf5", drop, terminals=np.zeros(8))
    with pytest.raises(SafeMARLError, match="give the time limit"):
        read_dsrl(path)


def test_rows_after_the_last_end_belong_to_no_episode(tmp_path):
    data = read_dsrl(write_layout(tmp_path / "x.hdf5", terminals=np.zeros(8)))
    assert data.num_rows == 6
    assert "last 2 rows" in data.provenance.notes[0]


def test_rows_that_do_not_follow_are_refused_or_cut(tmp_path):
    path = write_layout(tmp_path / "x.hdf5", timeouts=np.array([0, 0, 0, 0, 0, 1, 0, 0]))
    with pytest.raises(SafeMARLError, match=r"next_observations\[2\] is not observations\[3\]"):
        read_dsrl(path)
    data = read_dsrl(path, split_breaks=True)
    assert data.lengths.tolist() == [3, 3, 2]
    assert data["timeouts"].tolist() == [False, False, True, False, False, True, False, False]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"drop": ("actions",)}, "column 'actions' is missing"),
        ({"rewards": np.zeros(7)}, r"rewards has shape \(7,\); it must be \(8,\)"),
        ({"observations": np.zeros(8)}, "observations has shape"),
        ({"next_observations": np.zeros((8, 3))}, "different shapes"),
        ({"terminals": np.full(8, 0.5)}, r"terminals\[0\] is 0.5, but must be flags"),
        ({"rewards": np.array([0, 0, np.nan, 0, 0, 0, 0, 0])}, "rewards of row 2 holds nan"),
        ({"costs": np.full(8, -1.0)}, r"costs\[0\].*at least 0"),
        ({"terminals": np.zeros(8), "timeouts": np.zeros(8)}, "no row of terminals or timeouts"),
    ],
)
def test_bad_files_of_the_layout(changes, message, tmp_path):
    path = write_layout(tmp_path / "x.hdf5", **changes)
    with pytest.raises(SafeMARLError, match=message) as error:
        read_dsrl(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_the_table_of_tasks():
    assert len(TASKS) == 38
    assert sum(task.suite == "Bullet" for task in TASKS.values()) == 8
    assert sum(task.suite == "MetaDrive" for task in TASKS.values()) == 9
    assert sum(task.suite == "Velocity" for task in TASKS.values()) == 5
    ant = find_task("AntVelocity")
    assert (ant.trajectories, ant.time_limit, ant.cost_limits) == (2249, 1000, (20.0, 40.0, 80.0))
    assert ant.return_range == pytest.approx((6.15, 2976.28), rel=1e-3)
    assert ant.normalised_return(ant.return_range[1]) == 1.0
    assert find_task("CarCircle").time_limit == 300
    assert find_task("CarCircle").cost_limits == (10.0, 20.0, 40.0)
    assert find_task("easysparse").cost_range[1] == pytest.approx(82.4, rel=1e-3)
    for task in TASKS.values():
        assert 0 <= task.cost_range[0] < task.cost_range[1]
        assert task.return_range[0] < task.return_range[1]
        assert task.name in task.file
        # The file's name rounds the greatest cost up.
        assert float(task.file.split("-")[-2]) >= task.cost_range[1] - 1.0
    with pytest.raises(SafeMARLError, match="Did you mean 'AntCircle'"):
        find_task("AntCircl")


def test_costs_are_normalised_by_their_limit():
    assert normalised_cost(10.0, 20.0) == 0.5
    assert normalised_cost(0.0, 0.0) == 1.0
    assert normalised_cost(3.0, 0.0) == 4.0


def test_a_task_is_found_in_its_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DSRL_DATASET_DIR", str(tmp_path))
    write_layout(tmp_path / find_task("CarRun").file)
    data = read_dsrl("CarRun")
    assert data.provenance.task == "CarRun"
    assert data.schema.time_limit == 200
    assert data.provenance.cost_limits == {"cost": (10.0, 20.0, 40.0)}


class Host(BaseHTTPRequestHandler):
    """A host like the real one: a redirect that states the checksum, then the file."""

    content = b"some rows" * 1000
    checksum = hashlib.sha256(content).hexdigest()
    cut = 0

    def do_GET(self):
        if self.path == "/file":
            self.send_response(302)
            self.send_header("Location", "/blob")
            self.send_header("X-Linked-ETag", f'"{self.checksum}"')
            self.end_headers()
            return
        if self.path != "/blob":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content[: len(self.content) - self.cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def host(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    server = HTTPServer(("127.0.0.1", 0), Host)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_downloads_are_checked(host, tmp_path, monkeypatch):
    path = download(f"{host}/file", tmp_path / "folder" / "x.hdf5")
    assert path.read_bytes() == Host.content
    assert (path.parent / "x.hdf5.sha256").read_text().split()[0] == Host.checksum
    for sha256, settings in (("0" * 64, {}), (None, {"checksum": "0" * 64}), (None, {"cut": 5})):
        for name, value in settings.items():
            monkeypatch.setattr(Host, name, value)
        with pytest.raises(SafeMARLError, match=r"SHA-256|broke off"):
            download(f"{host}/file", tmp_path / "y.hdf5", sha256)
        monkeypatch.undo()
        monkeypatch.setenv("no_proxy", "*")
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def test_without_a_connection_there_is_one_clear_line(host, tmp_path):
    with pytest.raises(SafeMARLError, match=r"cannot be downloaded.*DSRL_DATASET_DIR") as error:
        download(f"{host}/none", tmp_path / "x.hdf5")
    assert "\n" not in str(error.value)
    with pytest.raises(SafeMARLError, match="cannot be downloaded"):
        download("http://127.0.0.1:9/none", tmp_path / "x.hdf5", timeout=2.0)
    assert not list(tmp_path.iterdir())


def test_a_team_is_no_file_of_dsrl_but_looks_like_one(tmp_path):
    with h5py.File(write_hdf5(team(), tmp_path / "team.h5")) as file:
        assert file["observations"].shape == (8, 3, 3)
        assert file["rewards"].shape == (8, 3)
        assert file["timeouts"].shape == (8,)
        assert file["costs"].shape == (8, 3, 2)
