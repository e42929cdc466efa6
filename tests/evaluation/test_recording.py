"""Recorded datasets: the same from any process after any interruption, and true to the environment."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rllib_safemarl.data import iterate_dataset, read_dataset
from rllib_safemarl.envs.crossing.scripted import straight, yielding
from rllib_safemarl.envs.parallel import parallel_env
from rllib_safemarl.envs.registry import make_vector
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.recording import is_recorded, record
from rllib_safemarl.evaluation.recording_choice import grid_filter, safety_problem
from rllib_safemarl.evaluation.recording_episodes import EpisodeRecorder
from rllib_safemarl.evaluation.recording_players import Player
from rllib_safemarl.evaluation.recording_reader import read_recipe
from rllib_safemarl.evaluation.recording_recipe import Behaviour, Grid

SHIPPED = Path(__file__).parents[2] / "tuned_configs" / "offline" / "data"
TINY = {"n_agents": 4, "time_limit": 12}
TOY = "tests.evaluation.recording_toy:make"
BEHAVIOURS = {
    "careful": {"scripted": "yielding", "share": 2},
    "noisy": {"scripted": "straight", "noise": [0.1, 0.5]},
    "mixed": {"scripted": {"yielding": 0.5, "straight": 0.5}},
    "trained": {"policy": "policies/limit_2", "explore": True},
    "random": {"scripted": "random"},
}


def recipe(behaviours=None, env="safemarl/crossing", env_config=None, **rest):
    config = TINY if env_config is None and env == "safemarl/crossing" else env_config
    document = {"env": env, "env_config": config, "behaviours": behaviours or BEHAVIOURS, **rest}
    return read_recipe(document, SHIPPED, "recipe")


def recorded(*arguments, **settings):
    return EpisodeRecorder(recipe(*arguments, **settings))


# The same dataset, whoever records it.


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


# True to the environment.


def test_columns_are_what_the_environment_gives_again():
    data = recorded(episodes=12).record(range(12))
    env = parallel_env("safemarl/crossing", **TINY)
    inner = make_vector("safemarl/crossing", 1, **TINY)
    for episode in data:
        seed = int(episode["seed"][0])
        seen, _ = env.reset(seed=seed)
        place = inner.reset(seed)
        for t in range(episode.num_rows):
            for i, agent in enumerate(env.possible_agents):
                assert (episode["observations"][t, i] == seen[agent]).all()
            assert (episode["positions"][t] == place.positions[0]).all()
            assert (episode["neighbours"][t] == place.edges[0]).all()
            actions = episode["actions"][t]
            assert (np.abs(actions) <= 1.0).all()
            seen, rewards, terminated, truncated, infos = env.step(
                dict(zip(env.possible_agents, actions, strict=True))
            )
            step = inner.step({"robot": actions[None]})
            place = step.observation if step.ending is None else step.ending.observation
            for i, agent in enumerate(env.possible_agents):
                assert episode["rewards"][t, i] == np.float32(rewards[agent])
                assert episode["costs"][t, i, 0] == infos[agent]["cost"]
                assert episode["margins"][t, i] == infos[agent]["margin"]
                assert episode["terminals"][t, i] == terminated[agent]
                assert episode["timeouts"][t] == truncated[agent]
        assert episode.num_rows == 12
        assert (episode["final/observations"][0] == np.stack([seen[a] for a in env.possible_agents])).all()
        assert (episode["final/positions"][0] == place.positions[0]).all()
        assert (episode["final/neighbours"][0] == place.edges[0]).all()
    assert data["active"].all()
    assert data["final/active"].all()
    assert (data["costs"][..., 0] == (data["margins"] < 0)).all()


def test_schema_says_what_the_environment_is():
    schema = recorded().schema
    assert schema.agents == ("robot_0", "robot_1", "robot_2", "robot_3")
    assert (schema.time_limit, schema.step_seconds, schema.hops) == (12, 0.1, None)
    assert schema.kinds[0].action.low == (-1.0, -1.0)
    static = recorded({"a": {"scripted": "straight"}}, env_config={**TINY, "graph": "static"})
    assert (
        static.schema.hop_distances
        == make_vector("safemarl/crossing", 1, **TINY, graph="static").graph().hops
    ).all()
    assert "neighbours" not in static.record([0])


def test_agents_that_leave_are_masked_and_bootstrap_from_their_last_observation():
    data = recorded({"any": {"scripted": "random"}}, TOY, {"length": 4}, episodes=3).record(range(3))
    assert data.schema.step_seconds == 0.5
    assert data.lengths.tolist() == [4, 4, 4]
    episode = data.episode(1)
    assert episode["active"].tolist() == [[1, 1, 1], [1, 1, 1], [0, 1, 1], [0, 0, 1]]
    assert episode["terminals"].tolist() == [[0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert not episode["timeouts"].any()
    assert not episode["final/active"].any()
    steps = episode.points("observations")[..., 1]
    assert steps.tolist() == [[0, 0, 0], [1, 1, 1], [2, 2, 2], [0, 3, 3], [0, 0, 4]]
    acted, chosen = episode["active"], episode["actions"]
    assert (episode["rewards"] == chosen * acted).all()
    assert (episode["costs"][..., 0] == ((chosen == 2) & acted)).all()
    assert (episode["margins"] == (1 - chosen) * acted).all()
    assert not chosen[~acted].any()


@pytest.mark.parametrize(
    ("settings", "recipe_limit", "ends"),
    [({"length": 9}, 6, (6, True)), ({"length": 5, "terminal": False}, None, (5, True)), ({}, 9, (4, False))],
)
def test_cut_and_terminal_ends_stay_apart(settings, recipe_limit, ends):
    data = recorded({"any": {"scripted": "random"}}, TOY, settings, time_limit=recipe_limit).record([0])
    assert (data.num_rows, bool(data["timeouts"][-1])) == ends
    assert data["final/active"].tolist() == [[False, False, ends[1]]]
    assert data["final/observations"][0, 2, 1] == ends[0]


def test_bad_numbers_name_the_episode():
    with pytest.raises(SafeMARLError, match=r"episode 2 \(seed \d+\): rewards of row 0 holds nan"):
        recorded({"any": {"scripted": "random"}}, TOY, {"bad": "nan"}, episodes=3).record([2])


# Behaviours.


def test_episodes_are_dealt_by_share_and_labelled():
    made = recipe(episodes=60)
    plan = made.plan()
    assert np.bincount(plan).tolist() == [20, 10, 10, 10, 10]
    for end in range(1, 60):
        assert (
            np.abs(np.bincount(plan[:end], minlength=5) - end * np.array([2, 1, 1, 1, 1]) / 6) <= 1.5
        ).all()
    data = EpisodeRecorder(made).record(range(12))
    assert data["behaviour"].tolist() == plan[:12].tolist()
    assert data["number"].tolist() == list(range(12))


def test_controllers_act_as_they_are_called_with_their_settings():
    behaviours = {"a": {"scripted": "yielding"}, "b": {"scripted": "yielding", "settings": {"gain": 0.3}}}
    data = recorded(behaviours, episodes=4).record(range(4))
    env = make_vector("safemarl/crossing", 1, **TINY)
    for episode, gain in zip(data, (1.5, 0.3, 1.5, 0.3), strict=True):
        env.reset(int(episode["seed"][0]))
        for t in range(12):
            assert (episode["actions"][t] == yielding(env, gain)[0]).all()
            env.step({"robot": episode["actions"][None, t]})


def test_drawn_settings_differ_between_episodes_and_stay_in_their_range():
    drawn = recipe({"a": {"scripted": "yielding", "settings": {"gain": [0.2, 0.9]}, "noise": [0.0, 0.4]}})
    player = EpisodeRecorder(drawn)._players[0]
    noises = []
    for seed in range(200):
        player.begin(seed)
        noises.append(player._noise)
    assert 0.0 <= min(noises) < 0.02
    assert 0.38 < max(noises) <= 0.4
    assert len(set(noises)) == 200


def test_in_a_mix_every_agent_plays_one_controller_for_the_episode():
    data = recorded({"mix": {"scripted": {"yielding": 0.75, "straight": 0.25}}}, episodes=60).record(
        range(60)
    )
    env, straights = make_vector("safemarl/crossing", 1, **TINY), 0
    for episode in data:
        env.reset(int(episode["seed"][0]))
        alike = np.ones((2, 4), bool)
        for t in range(12):
            for k, controller in enumerate((yielding, straight)):
                alike[k] &= (controller(env)[0] == episode["actions"][t]).all(-1)
            env.step({"robot": episode["actions"][None, t]})
        assert alike.any(0).all()
        straights += int((~alike[0]).sum())
    # Of 240 agents a quarter; some that drive straight meet nobody and look alike. Four standard deviations.
    assert (
        0.25 - 4 * np.sqrt(0.25 * 0.75 / 240) - 0.1 < straights / 240 < 0.25 + 4 * np.sqrt(0.25 * 0.75 / 240)
    )


def test_noise_has_its_standard_deviation():
    data = recorded({"a": {"scripted": "stand_still", "noise": 0.2}}, episodes=40).record(range(40))
    actions = data["actions"]
    assert abs(actions.mean()) < 4 * 0.2 / np.sqrt(actions.size)
    assert abs(actions.std() / 0.2 - 1) < 4 / np.sqrt(2 * actions.size)


class Constant(Player):
    """Chooses 0."""

    def _begin(self, seed):
        pass

    def _act(self, observation, active):
        return {"kind_0": np.zeros((1, 3), np.int64)}


def test_noise_of_choices_is_the_chance_of_a_random_one():
    env = EpisodeRecorder(recipe({"any": {"scripted": "random"}}, TOY))._env
    player = Constant(Behaviour("any", noise=(0.3, 0.3)), env)
    player.begin(0)
    chosen = np.concatenate([player.act(env.reset(0), env.active())["kind_0"][0] for _ in range(2000)])
    # Of three choices a random one is another in two of three cases.
    assert abs((chosen != 0).mean() - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 6000)
    assert abs((chosen == 1).mean() - 0.1) < 4 * np.sqrt(0.1 * 0.9 / 6000)


def test_policies_act_as_loaded_ones_do():
    from rllib_safemarl.policies import load_policy

    behaviours = {
        "mode": {"policy": "policies/limit_2"},
        "sampled": {"policy": "policies/limit_2", "explore": True},
    }
    data = recorded(behaviours, episodes=2, env_config={"n_agents": 4}).record(range(2))
    policy, env = (
        load_policy(SHIPPED / "policies" / "limit_2"),
        make_vector("safemarl/crossing", 1, n_agents=4),
    )
    differences = []
    for episode in data:
        seen = env.reset(int(episode["seed"][0]))
        differences.append(0.0)
        for t in range(episode.num_rows):
            expected = policy.act_columns(seen.values, env.active(), seen.positions, seen.edges)["robot"]
            differences[-1] = max(differences[-1], float(np.abs(expected[0] - episode["actions"][t]).max()))
            seen = env.step({"robot": episode["actions"][None, t]}).observation
    assert differences[0] < 1e-6
    assert differences[1] > 0.1


def test_a_pattern_of_policies_is_a_behaviour_for_each():
    made = recipe({"run": {"policy": "policies/*", "share": 3}, "any": {"scripted": "random"}})
    assert [b.name for b in made.behaviours] == ["run 1", "run 2", "any"]
    assert [b.share for b in made.behaviours] == [1.5, 1.5, 1.0]
    assert [Path(b.policy).name for b in made.behaviours[:2]] == ["limit_0_5", "limit_2"]
    assert made.behaviours[0].policy_hash != made.behaviours[1].policy_hash


# What a dataset keeps.


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


# Bad recipes.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"enviroment": 1}, "has no key 'enviroment'"),
        ({"episods": 1}, "has no key 'episods'. Did you mean 'episodes'?"),
        ({"env": None}, "env must name an environment"),
        ({"env": "safemarl/crosing"}, "Did you mean 'safemarl/crossing'?"),
        ({"env": "nowhere.py:make"}, "there is no file 'nowhere.py'"),
        ({"env": "tests.evaluation.recording_toy:mak"}, "has no function 'mak'"),
        ({"env": TOY, "env_config": {"height": 1}}, "failed: TypeError"),
        ({"env_config": {"n_agent": 4}}, "no env_config key 'n_agent'"),
        ({"env_config": [4]}, "env_config must be a mapping"),
        ({"episodes": 0}, "episodes must be a whole number of at least 1, not 0"),
        ({"seed": "x"}, "seed must be a whole number"),
        ({"behaviours": {}, "env": TOY}, "behaviours must say who acts"),
        ({"behaviours": {"a": {"share": 1}}}, "behaviour 'a' needs either scripted, a controller, or policy"),
        ({"behaviours": {"a": {"scripted": "x", "policy": "y"}}}, "needs either scripted"),
        ({"behaviours": {"a": {"scripted": "yieldin"}}}, "controller 'yieldin'. Did you mean 'yielding'?"),
        ({"behaviours": {"a": {"scripted": "yielding", "nois": 1}}}, "key 'nois'. Did you mean 'noise'?"),
        ({"behaviours": {"a": {"scripted": "yielding", "noise": -1}}}, "noise must be a number of at least"),
        ({"behaviours": {"a": {"scripted": "yielding", "noise": [1, 0]}}}, "or [lowest, highest]"),
        ({"behaviours": {"a": {"scripted": "yielding", "share": 0}}}, "share must be above 0"),
        ({"behaviours": {"a": {"scripted": "yielding", "explore": True}}}, "explore must be true or false"),
        ({"behaviours": {"a": {"scripted": "yielding", "settings": {"gian": 1}}}}, "Did you mean 'gain'?"),
        ({"behaviours": {"a": {"scripted": "random", "settings": {"gain": 1}}}}, "has no setting 'gain'"),
        ({"behaviours": {"a": {"scripted": {"yielding": 0.5, "straight": 0.4}}}}, "sum to 0.9, not to 1"),
        ({"behaviours": {"a": {"scripted": {"yielding": 0.5, "no": 0.5}}}}, "has no controller 'no'"),
        ({"behaviours": {"a": {"policy": "nowhere/*"}}}, "nothing fits policy 'nowhere/*'"),
        ({"behaviours": {"a": {"policy": "."}}}, "holds no policy"),
        ({"behaviours": {"a": {"policy": "policies/limit_2", "settings": {"gain": 1}}}}, "not of a policy"),
        (
            {"behaviours": {"a": {"policy": "policies/limit_2"}}, "env_config": {"n_agents": 3}},
            "behaviour 'a': its policy was trained with other agents",
        ),
        ({"behaviours": {"a": {"policy": "policies/limit_2"}}, "env": TOY, "env_config": {}}, "other agents"),
        ({"behaviours": {"a": {"scripted": "random", "noise": 2}}, "env": TOY, "env_config": {}}, "at most"),
        ({"behaviours": {"a 1": {"scripted": "random"}, "a": {"policy": "policies/*"}}}, "two behaviours"),
        ({"grid": {"cells": 3}}, "grid has no key 'cells'"),
        ({"grid": {"cost_cells": 0}}, "grid.cost_cells must be a whole number of at least 1"),
        ({"cost_limits": {"speed": 1}}, "has no cost 'speed'; it has: separation"),
        ({"cost_limits": ["low"]}, "cost_limits must be a number"),
    ],
)  # fmt: skip
def test_bad_recipes_are_one_line(change, message, tmp_path):
    document = {"env": "safemarl/crossing", "env_config": TINY, "behaviours": {"a": {"scripted": "random"}}}
    with pytest.raises(SafeMARLError) as error:
        record(read_recipe({**document, **change}, SHIPPED, "x.yaml"), tmp_path / "x.h5", "command")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_targets_are_checked_before_anything_is_recorded(tmp_path):
    made = recipe({"a": {"scripted": "random"}}, episodes=1)
    with pytest.raises(SafeMARLError, match="record into a file"):
        record(made, tmp_path / "x.txt", "command")
    (tmp_path / "mine.parts").mkdir()
    (tmp_path / "mine.parts" / "thesis.tex").write_text("x")
    with pytest.raises(SafeMARLError, match="holds no parts of a recording"):
        record(made, tmp_path / "mine", "command", overwrite=True)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("x")
    with pytest.raises(SafeMARLError, match="a folder without a dataset"):
        record(made, tmp_path / "folder", "command", any_safety=True, overwrite=True)
    assert (tmp_path / "folder" / "thesis.tex").exists()


# The shipped dataset.


def test_the_shipped_dataset_is_what_its_recipe_records():
    from rllib_safemarl.cli.documents import load_yaml
    from rllib_safemarl.data.statistics import episode_table

    path = SHIPPED / "crossing.h5"
    made = read_recipe(load_yaml(SHIPPED / "crossing.yaml"), SHIPPED, "crossing.yaml")
    data = read_dataset(path, verify_hash=True)
    assert path.stat().st_size < 8e6
    assert safety_problem(episode_table(data)) == ""
    assert is_recorded(made, path)
    assert data.content_hash in (SHIPPED / "crossing.md").read_text(encoding="utf-8")
    assert np.bincount(data["split"]).tolist() == [
        round(share * data.num_episodes) for share in (0.7, 0.15, 0.15)
    ]
    # One episode of every behaviour, recorded again; networks may round otherwise elsewhere.
    _, chosen = np.unique(data["behaviour"], return_index=True)
    again = EpisodeRecorder(made).record(data["number"][chosen].astype(int))
    for name, column in data.select(chosen).rows.items():
        assert np.allclose(again[name], column, atol=1e-3), name


def test_descriptions_of_recipes_can_be_kept():
    assert json.loads(json.dumps(recipe().to_json(whole=True)))["env"] == "safemarl/crossing"
    other = {**BEHAVIOURS, "careful": {"scripted": "yielding", "share": 3}}
    assert recipe().fingerprint() != recipe(other).fingerprint()
    assert recipe(grid={}).fingerprint() == recipe().fingerprint()
    assert recipe(grid={}).fingerprint(whole=True) != recipe().fingerprint(whole=True)
    assert next(iter(iterate_dataset(SHIPPED / "crossing.h5"))).provenance.notes
