"""Training, evaluation and interruption for real, on tiny batches; Ray runs in the commands' processes."""

import contextlib
import json
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image

from rllib_safemarl.cli.paths import CHECKPOINT_FILE, checkpoint_number, newest_checkpoint
from rllib_safemarl.evaluation.curves import read_curve
from tests.cli.runs import RAY_FOLDER, TINY, command, environment, leave_behind_a_cluster, run, run_here


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Two trials of two iterations, κ 0 and 1: what was printed, and the experiment's folder."""
    folder = tmp_path_factory.mktemp("grid")
    file = folder / "tiny.yaml"
    file.write_text(TINY.format(name="tiny", iterations=50, kappa="{grid_search: [0, 1]}"))
    leave_behind_a_cluster()
    done = run(
        "train",
        "file",
        file,
        *("--storage-path", "results", "--stop", '{"training_iteration": 2}', "--set", "lr=2e-3"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done, folder / "results" / "tiny"


def test_a_grid_trains_to_its_stop_criterion(grid):
    _, folder = grid
    trials = sorted(folder.glob("SCAL_MAPPO_L_*"))
    assert [json.loads((t / "params.json").read_text())["kappa"] for t in trials] == [0, 1]
    for trial in trials:
        assert json.loads((trial / "params.json").read_text())["lr"] == 0.002
        curve = read_curve(trial)
        assert list(curve["iteration"]) == [1, 2]
        assert list(curve["steps"]) == [480, 960]
        assert curve[["team_return", "cost", "limit", "multiplier"]].notna().all(axis=None)


def test_every_trial_is_saved_once_and_the_picture_is_there(grid):
    _, folder = grid
    saved = [file.parent.name for file in folder.glob(f"*/*/{CHECKPOINT_FILE}")]
    assert saved == ["checkpoint_000000"] * 2
    assert (folder / "training.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_printed_is_for_a_person(grid):
    done, folder = grid
    lines = done.stdout.splitlines()
    assert lines[0].endswith("tiny.yaml")
    assert "checked tiny: SCAL_MAPPO_L on safemarl/crossing, 2 trials" in lines
    assert any(f"results go to {folder}" in line for line in lines)
    rows = [line for line in lines if re.match(r"kappa=[01] +[12] +(480|960) ", line)]
    assert {tuple(row.split()[:2]) for row in rows} == {
        (f"kappa={k}", str(i)) for k in (0, 1) for i in (1, 2)
    }
    for kappa in (0, 1):
        (saved,) = [line for line in lines if line.startswith(f"kappa={kappa}: last checkpoint: {folder}")]
        assert saved.endswith("checkpoint_000000")
    assert lines[-1] == f"picture: {folder / 'training.png'}"
    assert done.stderr == "", "Ray's noise is kept down"
    assert not [line for line in lines if "WARNING" in line or "(pid=" in line]


def test_a_checkpoint_is_evaluated_on_so_many_episodes(grid, tmp_path):
    _, folder = grid
    out = tmp_path / "deep" / "results.json"
    done = run_here("evaluate", folder, "--episodes", "6", "--set", "env_config.time_limit=10", "--out", out)
    assert done.exit_code == 0, done.output
    results = json.loads(out.read_text())
    assert results["env_runners"]["num_episodes"] == 6
    assert results["env_runners"]["episode_len_max"] == 10, "the override reaches the environment"
    assert results["cost_limit"] == 1.0
    assert results["checkpoint"].startswith(str(folder))
    table = dict(re.split(r"  +", line, maxsplit=1) for line in done.stdout.splitlines() if "  " in line)
    assert table["episodes"] == "6"
    assert " / 1.00, " in table["cost per episode and agent"]
    assert "goal reached" in table
    share, cost = results["safety"]["safe_share"], results["env_runners"]["episode_cost_mean"]
    assert share == pytest.approx(1.0 - cost / 10), "a cost is one step in danger of one agent"
    assert table["safe states"] == f"{100 * share:.1f} %" and " % interval " in table["dangerous episodes"]


def test_an_episode_of_a_checkpoint_is_drawn(grid, tmp_path):
    _, folder = grid
    out = tmp_path / "episode.gif"
    done = _render(folder, "--out", out, "--set", "env_config.time_limit=7", "--episodes", "2")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == f"14 frames: {out}"
    with Image.open(out) as gif:
        assert gif.n_frames == 14
    still = _render(folder, "--out", tmp_path / "still.png", "--step", "3")
    assert still.stdout.splitlines()[-1] == f"step 3: {tmp_path / 'still.png'}"
    plans = _render(folder, "--out", out, "--plans")
    assert plans.stderr.startswith("error: there are no plans to draw: the policies do not plan")
    lost = _render(folder, "--out", tmp_path / "no" / "episode.gif")
    assert (lost.exit_code, lost.stderr) == (
        1,
        f"error: there is no folder {tmp_path / 'no'} to write episode.gif into.\n",
    )


def _render(*arguments) -> Result:
    return run_here("render", *arguments, name="safemarl")


def _until(process: subprocess.Popen[str], number: int, at: int) -> str:
    """What a run printed that got a signal once an iteration was shown; it has ended."""
    lines, sent = [], False
    for line in process.stdout:
        lines.append(line)
        row = re.match(r" +(\d+) +[\d,]+ ", line)
        if row and int(row.group(1)) >= at and not sent:
            process.send_signal(number)
            sent = True
    process.wait()
    return "".join(lines)


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Ray's agents outlive a head that was killed for as long as they wait for another: a minute.
        env={**environment(), "RAY_gcs_rpc_server_reconnect_timeout_s": "5"},
        start_new_session=True,
    )


def _left_over() -> list[str]:
    """Processes of the commands' Ray."""
    left = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"RAY_TMPDIR={RAY_FOLDER}" in (process / "environ").read_text(errors="replace"):
                left.append((process / "cmdline").read_text().replace("\0", " "))
    return left


def test_a_killed_driver_and_ctrl_c_lose_nothing_that_was_saved(tmp_path):
    file = tmp_path / "long.yaml"
    file.write_text(TINY.format(name="long", iterations=30, kappa=1))
    arguments = ["train", "file", str(file), "--storage-path", str(tmp_path), "--checkpoint-freq", "1"]
    _until(_start(*arguments), signal.SIGKILL, at=3)
    deadline = time.monotonic() + 300
    while _left_over() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not _left_over()
    (trial,) = (tmp_path / "long").glob("SCAL_MAPPO_L_*")
    # One checkpoint per iteration, the first of which is 0.
    saved = checkpoint_number(newest_checkpoint(str(trial))) + 1
    assert saved >= 2

    process = _start(*arguments, "--resume")
    printed = _until(process, signal.SIGINT, at=saved + 1)
    assert process.returncode == 130, printed
    first_row = re.search(r"^ +(\d+) +[\d,]+ ", printed, re.MULTILINE)
    assert int(first_row.group(1)) == saved + 1
    (checkpoint,) = re.findall(r"last checkpoint: (/\S+)", printed)
    assert f"--storage-path {tmp_path} --checkpoint-freq 1 --resume" in printed
    reached = int(read_curve(trial)["iteration"].max())
    assert saved + 1 <= reached < 30

    resumed = run(*arguments, "--resume")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert f"training from {checkpoint}" in resumed.stdout
    assert list(read_curve(trial)["iteration"])[saved - 30 :] == list(range(saved + 1, 31))
    first_row = re.search(r"^ +(\d+) +[\d,]+ ", resumed.stdout, re.MULTILINE)
    assert int(first_row.group(1)) == reached + 1
    assert "30 iterations, 14,400 steps" in resumed.stdout
