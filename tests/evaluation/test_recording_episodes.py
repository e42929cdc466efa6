"""Recorded episodes: true to the environment and to the behaviours that acted."""

from pathlib import Path

import numpy as np
import pytest

from rllib_safemarl.envs.crossing.scripted import straight, yielding
from rllib_safemarl.envs.parallel import parallel_env
from rllib_safemarl.envs.registry import make_vector
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.recording_episodes import EpisodeRecorder, round_fraction
from rllib_safemarl.evaluation.recording_players import Player
from rllib_safemarl.evaluation.recording_recipe import Behaviour
from tests.evaluation.recordings import SHIPPED, TINY, TOY, recipe, recorded


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


def test_observations_of_fewer_bits_are_the_nearest_and_nothing_else_changes():
    whole = recorded(episodes=2).record(range(2))
    fewer = recorded(episodes=2, observation_bits=10).record(range(2))
    for name in ("observations/robot", "final/observations/robot"):
        half = whole[name].astype(np.float16)  # IEEE's, which has ten bits
        assert (half != whole[name]).any()
        # Ties go to the even neighbour there, and away from zero here.
        assert np.abs(fewer[name] - half).max() <= 2.0**-10 * np.abs(half).max()
        assert np.mean(fewer[name] == half) > 0.999
    for name in whole.rows.keys() - {"observations/robot"}:
        assert (fewer[name] == whole[name]).all(), name


def test_rounding_by_hand():
    given = np.array([0.0, 1.0, 1.3, -1.4, 1.75, 3.9, 1e-3], np.float32)
    # Of 1.x with two bits: quarters. 3.9 = 2 * 1.95; 0.001 = 2^-10 * 1.024.
    expected = [0.0, 1.0, 1.25, -1.5, 1.75, 4.0, 2.0**-10]
    assert round_fraction(given, 2).tolist() == expected
    assert (round_fraction(given, 22) == given).mean() < 1.0, "even the last bit counts"


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
    made = recipe({"run": {"policy": "policies/limit_*", "share": 3}, "any": {"scripted": "random"}})
    assert [b.name for b in made.behaviours] == ["run 1", "run 2", "any"]
    assert [b.share for b in made.behaviours] == [1.5, 1.5, 1.0]
    assert [Path(b.policy).name for b in made.behaviours[:2]] == ["limit_0_5", "limit_2"]
    assert made.behaviours[0].policy_hash != made.behaviours[1].policy_hash
