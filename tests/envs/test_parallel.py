from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

from rllib_safemarl.envs.parallel import parallel_env
from rllib_safemarl.envs.pettingzoo import ParallelVectorEnv
from rllib_safemarl.envs.registry import make_vector
from rllib_safemarl.errors import SafeMARLError

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
