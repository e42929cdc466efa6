"""safemarl data: what a person sees, and exit statuses."""

import sys

import numpy as np
import pytest

pytest.importorskip("h5py")

import h5py

from rllib_safemarl.data import read_dataset, write_dataset
from tests.cli.runs import run_here
from tests.data.builders import team
from tests.data.test_dsrl import write_layout


def run(*arguments, status=0):
    done = run_here("data", *arguments, name="safemarl")
    assert done.exit_code == status, done.output
    return done.output


@pytest.fixture
def path(tmp_path):
    return write_dataset(team((3, 5) * 20), tmp_path / "team.h5")


def test_info_says_what_is_there(path):
    run("split", path)
    lines = dict(line.split("  ", 1) for line in run("info", path).splitlines() if "  " in line)
    lines = {name: value.strip() for name, value in lines.items()}
    assert lines["environment"] == "safemarl/toy (n=3)"
    assert lines["agents"] == "3: robot_0, robot_1, robot_2"
    assert lines["kind agent"] == "3 agents, 3 observations, 2 real actions"
    assert lines["cost limits"] == "crash 2.00, 5.00"
    assert lines["beside these"] == "margins, positions, neighbours, states, team_state, signals/log_prob"
    assert lines["episodes"] == "40, 0 % end by a terminal"
    assert lines["rows"] == "160"
    data = read_dataset(path)
    share = (data["margins"] < 0)[data["active"]].mean()
    assert lines["danger"] == f"margin below 0: 100.0 % of episodes, {100 * share:.2f} % of agent steps"
    assert lines["steps"].split() == ["4.00", "3.00", "3.00", "4.00", "5.00", "5.00"]
    assert [lines[name].split()[0] for name in ("careful", "random")] == ["20", "20"]
    assert [lines[name].split()[0] for name in ("train", "selection", "calibration")] == ["28", "6", "6"]


def test_split_is_kept_and_seeded(path):
    assert "selection" in run("split", path, "--seed", 1, "--shares", "0.5,0.25,0.25")
    first = read_dataset(path)["split"]
    assert np.bincount(first).tolist() == [20, 10, 10]
    run("split", path, "--seed", 1, "--shares", "0.5,0.25,0.25")
    assert (read_dataset(path, verify_hash=True)["split"] == first).all()
    assert "must be three numbers" in run("split", path, "--shares", "a", status=1)


def test_verify_says_one_line_and_status_1(path):
    assert run("verify", path) == f"{path}: 40 episodes, 160 rows, nothing wrong\n"
    with h5py.File(path, "r+") as file:
        file["costs"][7, 2, 0] = np.nan
    assert run("verify", path, status=1) == (
        f"error: {path}: costs of row 7 holds nan; drop that episode or mend its source.\n"
    )
    with h5py.File(path, "r+") as file:
        file["costs"][7, 2, 0] = 0.125
    assert "do not fit their content_hash" in run("verify", path, status=1)


def test_convert_to_shards_and_back(path, tmp_path):
    assert "40 episodes, 160 rows" in run("convert", path, tmp_path / "shards")
    run("convert", tmp_path / "shards", tmp_path / "back.h5")
    assert read_dataset(tmp_path / "back.h5").content_hash == read_dataset(path).content_hash


def test_convert_relabels_and_notes(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["safemarl", "data", "convert", "a file.hdf5"])
    source = write_layout(tmp_path / "x.hdf5", drop=("costs",))
    said = run("convert", source, tmp_path / "plain.h5")
    assert "note: The source has no costs" in said
    rule = ("--cost", "observations[0] > 4.5", "--cost-limit", 2, "--cost-limit", 3)
    run("convert", source, tmp_path / "costs.h5", *rule, "--danger-cost", 0.5)
    data = read_dataset(tmp_path / "costs.h5")
    assert data["costs"].ravel().tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert data.provenance.cost_limits == {"cost": (2.0, 3.0)}
    assert data.schema.danger_cost == 0.5
    assert data.provenance.command == "safemarl data convert 'a file.hdf5'"
    assert "Costs were relabelled" in run("info", tmp_path / "costs.h5")


def test_convert_by_a_function_of_the_user(tmp_path):
    source = write_layout(tmp_path / "x.hdf5")
    code = tmp_path / "mine.py"
    code.write_text("def twice(dataset):\n    return 2 * dataset['costs'][..., 0]\n")
    run("convert", source, tmp_path / "a.h5", "--cost-function", f"{code}:twice")
    assert read_dataset(tmp_path / "a.h5")["costs"].ravel().tolist() == [0, 0, 2, 0, 0, 0, 4, 1]
    assert "no function 'once'" in run(
        "convert", source, tmp_path / "b.h5", "--cost-function", f"{code}:once", status=1
    )
    assert not (tmp_path / "b.h5").exists()


def test_convert_factors_velocity_tasks_only(tmp_path):
    rows = 4
    shape = {"observations": np.zeros((rows, 17)), "next_observations": np.zeros((rows, 17))}
    ends = np.arange(rows) == rows - 1
    numbers = {name: np.zeros(rows) for name in ("rewards", "costs", "terminals")}
    source = write_layout(tmp_path / "x.hdf5", **shape, **numbers, actions=np.zeros((rows, 6)), timeouts=ends)
    assert "needs a velocity task" in run("convert", source, tmp_path / "a.h5", "--factor", "2x3", status=1)
    run("convert", source, tmp_path / "a.h5", "--factor", "2x3", "--task", "HalfCheetahVelocity")
    said = run("info", tmp_path / "a.h5")
    assert "factored: one body cut into agents, no multi-agent data" in said
    assert "2: bthigh+bshin+bfoot, fthigh+fshin+ffoot" in said


def test_convert_reads_tables(tmp_path):
    (tmp_path / "log.csv").write_text("run,x,a,r,c\n1,0,1,2,0\n1,1,0,3,1\n1,2,0,4,0\n")
    columns = "{episode: run, observations: x, actions: a, reward: r, costs: c, num_choices: 2}"
    run("convert", tmp_path / "log.csv", tmp_path / "log.h5", "--columns", columns)
    data = read_dataset(tmp_path / "log.h5")
    assert data["actions"].ravel().tolist() == [1, 0]
    assert data["costs"].ravel().tolist() == [0, 1]
    (tmp_path / "columns.yaml").write_text(columns)
    run("convert", tmp_path / "log.csv", tmp_path / "again.h5", "-c", tmp_path / "columns.yaml")
    assert read_dataset(tmp_path / "again.h5").content_hash == data.content_hash


def test_misuse_is_one_line(tmp_path, path):
    for arguments, message in (
        (["info", tmp_path / "none.h5"], "there is no dataset"),
        (["convert", "AntCircl", tmp_path / "x.h5"], "Did you mean 'AntCircle'"),
        (["convert", path, tmp_path / "x.txt"], "write to a file .h5"),
        (
            ["convert", path, tmp_path / "x.h5", "--cost", "a > 1", "--cost-function", "x"],
            "exclude each other",
        ),
    ):
        said = run(*arguments, status=1)
        assert message in said
        assert said.startswith("error: ")
        assert said.count("\n") == 1


def test_plot_draws_episodes_frontier_and_limits(path, tmp_path):
    pytest.importorskip("matplotlib")
    from rllib_safemarl.data.figures import frontier_figure
    from rllib_safemarl.data.statistics import episode_table

    assert run("plot", path) == f"picture: {path.with_suffix('.png')}\n"
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    table = episode_table(read_dataset(path))
    axes = frontier_figure(table, (1.0, 2.5), "title").axes[0]
    drawn = np.concatenate([points.get_offsets() for points in axes.collections])
    assert sorted(map(tuple, drawn)) == sorted(zip(table["cost"], table["return"], strict=True))
    assert [points.get_label() for points in axes.collections] == ["careful", "random"]
    stair, *limits = axes.lines
    assert [line.get_xdata()[0] for line in limits] == [1.0, 2.5]
    assert stair.get_ydata()[-1] == table["return"].max()
    assert (np.diff(stair.get_ydata()) >= 0).all()


def test_plot_needs_costs_and_matplotlib(tmp_path, path, monkeypatch):
    write_layout(tmp_path / "x.hdf5", drop=("costs",))
    assert "no costs to plot" in run("plot", tmp_path / "x.hdf5", status=1)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "pip install 'rllib_safemarl[plot]'" in run("plot", path, status=1)
