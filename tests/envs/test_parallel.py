from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

from rllib_safemarl.envs.parallel import parallel_env
from rllib_safemarl.envs.pettingzoo import ParallelVectorEnv
from rllib_safemarl.envs.registry import ENVIRONMENTS, make_vector
from rllib_safemarl.envs.spaces import flatten_value
from rllib_safemarl.errors import SafeMARLError
from tests.envs.third_party import ACTIONS, OBSERVATIONS, HarvestEnv, draw

CROSSING = "safemarl/crossing"


@pytest.mark.parametrize("layout", ["open", "doorway", "ring"])
def test_pettingzoos_own_tests_pass(layout, capsys):
    make = partial(parallel_env, CROSSING, n_agents=5, layout=layout, costs=["separation", "speed"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parallel_api_test(make(), num_cycles=200)
        parallel_seed_test(make, num_cycles=60)
    assert "Passed" in capsys.readouterr().out


def test_it_is_the_vector_environments_copy():
    settings = {"n_agents": 3, "time_limit": 4, "costs": ["separation", "speed"]}
    env, vector = parallel_env(CROSSING, **settings), make_vector(CROSSING, 1, **settings)
    shown, infos = env.reset(seed=8)
    observation = vector.reset(8)
    assert infos == {f"robot_{i}": {} for i in range(3)} and env.agents == env.possible_agents
    rng = np.random.default_rng(0)
    for t in range(4):
        np.testing.assert_array_equal(list(shown.values()), observation.values["robot"][0])
        actions = rng.uniform(-1, 1, (3, 2)).astype(np.float32)
        shown, rewards, terminated, truncated, infos = env.step(dict(zip(env.agents, actions, strict=True)))
        step = vector.step({"robot": actions[None]})
        observation = step.ending.observation if step.ending else step.observation
        np.testing.assert_array_equal(list(rewards.values()), step.reward[0])
        for i, info in enumerate(infos.values()):
            assert list(info["cost"].values()) == step.cost[0, i].tolist()
            assert info["margin"] == step.info["margin"][0, i]
        assert not any(terminated.values()) and all(truncated.values()) == (t == 3)
    np.testing.assert_array_equal(list(shown.values()), observation.values["robot"][0])
    assert env.agents == []
    assert infos["robot_0"]["episode"].keys() == {"goal_reached", "least_margin"}


def test_leavers_terminations_and_own_spaces_survive_the_way_there_and_back(monkeypatch, capsys):
    monkeypatch.setitem(ENVIRONMENTS, "test/harvest", "tests.envs.third_party:HarvestVectorEnv")
    env, hand = parallel_env("test/harvest"), HarvestEnv()
    shown, _ = env.reset(seed=3)
    expected, _ = hand.reset(seed=int(np.random.SeedSequence((3, 0, 0)).generate_state(1)[0] >> 1))
    rng = np.random.default_rng(0)
    while hand.agents:
        assert env.agents == hand.agents and shown.keys() == expected.keys()
        for agent, value in expected.items():
            assert env.observation_space(agent).contains(shown[agent])
            np.testing.assert_allclose(
                flatten_value(OBSERVATIONS[agent], shown[agent]),
                flatten_value(OBSERVATIONS[agent], value),
                rtol=1e-6,
                atol=1e-6,
            )
        actions = {agent: draw(ACTIONS[agent], rng) for agent in hand.agents}
        shown, rewards, terminated, truncated, infos = env.step(actions)
        expected, their_rewards, their_terminated, their_truncated, their_infos = hand.step(actions)
        assert terminated == their_terminated and truncated == their_truncated
        for agent, reward in their_rewards.items():
            np.testing.assert_allclose(rewards[agent], reward, rtol=1e-6)
            for name, cost in their_infos[agent]["cost"].items():
                np.testing.assert_allclose(infos[agent]["cost"][name], cost, rtol=1e-6)
    assert env.agents == []
    np.testing.assert_allclose(infos["twin"]["episode"]["push"], hand.total, rtol=1e-5)
    parallel_api_test(parallel_env("test/harvest"), num_cycles=50)
    assert "Passed" in capsys.readouterr().out


def test_resets_without_a_seed_go_on_from_the_last_seed():
    def episodes():
        env = parallel_env(CROSSING)
        return [env.reset(seed=3)[0], env.reset()[0], env.reset()[0]]

    first, again = episodes(), episodes()
    rows = [np.stack(list(shown.values())) for shown in first]
    for a, b in zip(rows, again, strict=True):
        np.testing.assert_array_equal(a, np.stack(list(b.values())))
    assert not np.array_equal(rows[0], rows[1]) and not np.array_equal(rows[1], rows[2])


def test_one_cost_is_a_number_and_adapting_it_back_loses_nothing():
    settings = {"n_agents": 4, "graph": "static"}
    env = parallel_env(CROSSING, **settings)
    env.reset(seed=0)
    infos = env.step({agent: np.zeros(2, np.float32) for agent in env.agents})[-1]
    assert isinstance(infos["robot_0"]["cost"], float)
    again = ParallelVectorEnv(lambda: parallel_env(CROSSING, **settings), 2)
    vector = make_vector(CROSSING, 2, **settings)
    assert again.cost_names == vector.cost_names and again.time_limit == vector.time_limit
    assert [kind.agents for kind in again.kinds] == [kind.agents for kind in vector.kinds]
    np.testing.assert_array_equal(again.graph().hops, vector.graph().hops)


def test_unknown_names_settings_and_render_modes_are_refused():
    with pytest.raises(SafeMARLError, match="Did you mean 'safemarl/crossing'"):
        parallel_env("safemarl/crosing")
    with pytest.raises(SafeMARLError, match="no env_config key 'layuot'"):
        parallel_env(CROSSING, layuot="open")
    with pytest.raises(SafeMARLError, match="render_mode='human' must be None or one of"):
        parallel_env(CROSSING, render_mode="human")
