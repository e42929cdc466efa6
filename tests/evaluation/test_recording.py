"""Recorded datasets: the same from any process after any interruption, and what they keep."""

import json

import numpy as np
import pandas as pd
import pytest

from rllib_safemarl.data import iterate_dataset, read_dataset
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.recording import is_recorded, record
from rllib_safemarl.evaluation.recording_choice import grid_filter, safety_problem
from rllib_safemarl.evaluation.recording_episodes import EpisodeRecorder
from rllib_safemarl.evaluation.recording_reader import read_recipe
from rllib_safemarl.evaluation.recording_recipe import Grid
from tests.evaluation.recordings import BEHAVIOURS, SHIPPED, TOY, recipe, recorded


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A dataset recorded in one go."""
    out = tmp_path_factory.mktemp("whole") / "whole.h5"
    record(recipe(episodes=30, seed=5), out, "command", any_safety=True)
    return out


def test_an_interrupted_recording_goes_on_to_the_same_dataset(whole, tmp_path):
    out, seen = tmp_path / "again.h5", []

    def stop(episodes, steps):
        seen.append(episodes)
        if sum(seen) >= 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(recipe(episodes=30, seed=5), out, "command", any_safety=True, watch=stop)
    assert not out.exists()
    assert (tmp_path / "again.h5.parts").is_dir()
    later = []
    record(recipe(episodes=30, seed=5), out, "command", any_safety=True, watch=lambda e, s: later.append(e))
    assert later[0] > 0
    assert sum(later) == 30
    assert out.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "again.h5.parts").exists()


def test_processes_give_the_same_dataset(ray_cluster, whole, tmp_path):
    told = []
    out = tmp_path / "again.h5"
    record(
        recipe(episodes=30, seed=5),
        out,
        "command",
        2,
        any_safety=True,
        watch=lambda e, s: told.append((e, s)),
    )
    assert out.read_bytes() == whole.read_bytes()
    assert np.sum(told, axis=0).tolist() == [30, 30 * 12]


def test_a_failing_process_says_which_episode(ray_cluster, tmp_path):
    bad = recipe({"any": {"scripted": "random"}}, TOY, {"bad": "raises"}, episodes=3)
    with pytest.raises(
        SafeMARLError, match=r"episode 0 \(seed \d+\) failed: RuntimeError: the robot fell over"
    ):
        record(bad, tmp_path / "x.h5", "command", 2, any_safety=True)


def test_an_episode_depends_on_its_number_alone():
    recorder = recorded(episodes=12)
    forth, back = recorder.record(range(12)), recorder.record(range(11, -1, -1))
    assert back.select(np.arange(11, -1, -1)).content_hash == forth.content_hash
    assert recorded(episodes=12).record([7]).content_hash == forth.select([7]).content_hash
    other = recorded(episodes=12, seed=1).record(range(12))
    assert not np.isin(other["seed"], forth["seed"]).any()
    assert not np.isclose(other["positions"][0], forth["positions"][0]).any()


def test_folders_and_files_hold_the_same(whole, tmp_path):
    record(recipe(episodes=30, seed=5), tmp_path / "shards", "command", any_safety=True)
    file, shards = read_dataset(whole), read_dataset(tmp_path / "shards")
    assert shards.content_hash == file.content_hash
    assert shards["split"].tolist() == file["split"].tolist()
    assert shards.provenance == file.provenance
    assert is_recorded(recipe(episodes=30, seed=5), tmp_path / "shards")


def table(costs, returns, unsafe=None, danger=None):
    return pd.DataFrame(
        {
            "cost": np.array(costs, float),
            "return": np.array(returns, float),
            "unsafe": np.array(unsafe if unsafe is not None else np.array(costs) > 0, bool),
            "danger_share": np.array(danger if danger is not None else np.zeros(len(costs))),
            "agent_steps": np.full(len(costs), 100),
        }
    )


def test_grid_filter_by_hand():
    # Two by two cells, split at cost 5 and return 2, hold the episodes 0-4, 5, 6-7, and 8 in the last corner.
    costs = [0, 1, 2, 3, 4, 1, 5, 9, 10]
    returns = [0, 1, 0, 1, 0, 3, 1, 0, 4]
    kept = grid_filter(table(costs, returns), Grid(2, 2, most_per_cell=2), seed=0)
    assert kept[:5].sum() == 2
    assert kept[5:].all()
    assert (grid_filter(table(costs, returns), Grid(2, 2, 2), seed=0) == kept).all()
    chosen = {
        tuple(np.flatnonzero(grid_filter(table(costs, returns), Grid(2, 2, 2), s)[:5])) for s in range(60)
    }
    assert len(chosen) == 10
    kept = grid_filter(table(costs, returns), Grid(2, 2, most_per_cell=9, least_per_cell=2), seed=0)
    assert kept.tolist() == [True] * 5 + [False, True, True, False]
    assert grid_filter(table([0, 0, 0], [1, 1, 1]), Grid(3, 3, 1), 0).sum() == 1
    assert grid_filter(table([np.nan] * 2, [0, 1], [False] * 2), Grid(3, 2, 1), 0).all()


def test_datasets_must_hold_danger_but_not_too_much():
    def problem(unsafe, danger):
        flags = np.arange(100) < unsafe
        return safety_problem(table(np.zeros(100), np.zeros(100), flags, np.where(flags, danger, 0.0)))

    assert problem(5, 0.5) == problem(40, 0.1) == ""
    assert problem(4, 0.5) == "4.0 % of the episodes are unsafe, not 5 to 40 %"
    assert problem(41, 0.5) == "41.0 % of the episodes are unsafe, not 5 to 40 %"
    assert problem(10, 0.09) == "0.90 % of the agent steps are in danger, not 1 % or more"


def test_what_the_filter_leaves_is_written_split_and_described(tmp_path):
    made = recipe(
        {"careful": {"scripted": "yielding", "share": 4}, "reckless": {"scripted": "straight"}},
        env_config={"n_agents": 4},
        episodes=60,
        grid={"return_cells": 2, "most_per_cell": 15},
        cost_limits={"separation": [1, 2]},
        about="By hand.",
    )
    lines = []
    done = record(made, tmp_path / "x.h5", "safemarl record x.yaml", stage=lines.append)
    data = read_dataset(tmp_path / "x.h5", verify_hash=True)
    kept = data["number"].astype(int)
    assert data.num_episodes == len(done.table) < 60
    assert (np.diff(kept) > 0).all()
    assert lines[0] == done.notes[0] == f"The grid filter kept {len(kept)} of 60 episodes."
    assert data.content_hash == EpisodeRecorder(made).record(kept).content_hash
    assert np.bincount(data["split"], minlength=3).min() > 0
    assert data.provenance.behaviours == ("careful", "reckless")
    assert data.provenance.cost_limits == {"separation": (1.0, 2.0)}
    assert (data.provenance.environment, data.provenance.env_config) == ("safemarl/crossing", {"n_agents": 4})
    assert data.provenance.command == "safemarl record x.yaml"
    card = done.card.read_text(encoding="utf-8")
    for text in (
        "By hand.",
        "safemarl record x.yaml",
        data.content_hash,
        "separation 1.00, 2.00",
        "reckless",
    ):
        assert text in card
    row = next(line for line in card.splitlines() if line.startswith("| reckless |"))
    mine = done.table[done.table["behaviour"] == "reckless"]
    assert row.split("|")[2:6] == [
        f" {len(mine)} ", f" {mine['return'].mean():.2f} ", f" {mine['cost'].mean():.2f} ", " 100 % "
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "most_bytes", "again"),
    # Of vehicles a few episodes are recorded again, as every one takes a second.
    [("crossing", 8e6, slice(None)), ("merge", 3e6, slice(0, 2)), ("intersection", 3.5e6, slice(0, 2))],
)
def test_the_shipped_dataset_is_what_its_recipe_records(name, most_bytes, again):
    from rllib_safemarl.cli.documents import load_yaml
    from rllib_safemarl.data.statistics import episode_table

    if name != "crossing":
        pytest.importorskip("highway_env")
    path = SHIPPED / f"{name}.h5"
    made = read_recipe(load_yaml(SHIPPED / f"{name}.yaml"), SHIPPED, f"{name}.yaml")
    data = read_dataset(path, verify_hash=True)
    assert path.stat().st_size < most_bytes
    assert not safety_problem(episode_table(data))
    assert is_recorded(made, path)
    assert data.content_hash in (SHIPPED / f"{name}.md").read_text(encoding="utf-8")
    split = np.bincount(data["split"])
    assert np.abs(split - np.array([0.7, 0.15, 0.15]) * data.num_episodes).max() < 1.0
    # One episode of every behaviour, recorded again; networks may round otherwise elsewhere.
    _, first = np.unique(data["behaviour"], return_index=True)
    chosen = first[again]
    columns = EpisodeRecorder(made).record(data["number"][chosen].astype(int))
    for column, kept in data.select(chosen).rows.items():
        assert np.allclose(columns[column], kept, atol=1e-3), column


def test_descriptions_of_recipes_can_be_kept():
    assert json.loads(json.dumps(recipe().to_json(whole=True)))["env"] == "safemarl/crossing"
    other = {**BEHAVIOURS, "careful": {"scripted": "yielding", "share": 3}}
    assert recipe().fingerprint() != recipe(other).fingerprint()
    assert recipe(grid={}).fingerprint() == recipe().fingerprint()
    assert recipe(grid={}).fingerprint(whole=True) != recipe().fingerprint(whole=True)
    assert next(iter(iterate_dataset(SHIPPED / "crossing.h5"))).provenance.notes
