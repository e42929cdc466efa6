"""PettingZoo, settings, and what is said where something is missing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

from rllib_safemarl.envs.parallel import parallel_env
from rllib_safemarl.envs.registry import make_vector
from rllib_safemarl.errors import SafeMARLError

SETTINGS = [
    {"scenario": "merge", "costs": ["collision", "headway"]},
    {"scenario": "roundabout", "n_agents": 3},
    {"scenario": "intersection", "actions": "acceleration"},
    {"scenario": "racetrack"},
    {"scenario": "highway", "leader_follower": True},
]
IDS = [settings["scenario"] for settings in SETTINGS]


@pytest.mark.parametrize("settings", SETTINGS, ids=IDS)
def test_pettingzoos_own_tests_pass(settings):
    pytest.importorskip("highway_env")
    parallel_api_test(parallel_env("safemarl/driving", time_limit=20, **settings), num_cycles=40)
    parallel_seed_test(lambda: parallel_env("safemarl/driving", time_limit=20, **settings), num_cycles=20)


def test_infos_bring_costs_margin_speed_and_the_reward_in_parts():
    pytest.importorskip("highway_env")
    env = parallel_env("safemarl/driving", costs=["collision", "headway"])
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    while env.agents:
        actions = {agent: rng.integers(env.action_space(agent).n) for agent in env.agents}
        *_, infos = env.step(actions)
        for info in infos.values():
            assert info["cost"] == {"collision": info["cost_collision"], "headway": info["cost_headway"]}
            assert (info["margin"] < 0) == info["cost_headway"] and info["gap"] <= 80.0
            parts = ("collision_reward", "right_lane_reward", "high_speed_reward", "on_road_reward")
            assert all(np.isfinite(info[part]) for part in parts)
    figures = next(iter(infos.values()))["episode"]
    assert figures["crash"] + figures["slow"] + figures["agent_0_first"] + figures["agent_1_first"] == 1.0


def test_choices_go_on_when_an_agent_has_left():
    pytest.importorskip("highway_env")
    from rllib_safemarl.envs.driving.pilots import IDLE, SLOWER
    from tests.envs.driving.test_danger import _put

    env = parallel_env("safemarl/driving", scenario="highway", traffic=0)
    env.reset(seed=0)
    copies = env._copy.env
    for agent, s in enumerate((498.0, 200.0)):
        _put(copies, agent, ("0", "1", 2 * agent), s, 25.0)
    env.step({agent: IDLE for agent in env.agents})
    assert env.agents == ["agent_1"]
    env.step({"agent_1": SLOWER})
    assert copies.fleet.target_speed[0, 1] == 20.0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scenario": "merg"}, "Did you mean 'merge'"),
        ({"n_agent": 2}, "Did you mean 'n_agents'"),
        ({"n_agents": 9}, "a whole number, 2 to 8"),
        ({"layout": "t_junction"}, "is not one of standard, short_ramp"),
        ({"shift": "densely"}, "Did you mean 'dense'"),
        ({"actions": "discrete_meta"}, "discrete, acceleration, continuous"),
        ({"costs": "total"}, "must be a list"),
        ({"costs": ["total", "headway"]}, "the sum of all others"),
        ({"costs": ["headways"]}, "Did you mean 'headway'"),
        ({"rewards": {"speed_reward": 1.0}}, "Did you mean 'high_speed_reward'"),
        ({"traffic": -1}, "a whole number of at least 0"),
        ({"aggressiveness": 1.5}, "a number from 0 to 1"),
        ({"braking": 0}, "a number above 0"),
        ({"clearance": -1.0}, "a number of at least 0"),
        ({"leader_follower": "yes"}, "true or false"),
        ({"order": "near"}, "distance, lane"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_one_line(settings, words):
    with pytest.raises(SafeMARLError, match=words) as caught:
        make_vector("safemarl/driving", 1, **settings)
    assert "\n" not in str(caught.value)


def test_without_the_extra_one_line_says_how_to_install_it():
    code = (
        "import sys; sys.modules['highway_env'] = None\n"
        "from rllib_safemarl.envs import make_vector\n"
        "from rllib_safemarl.errors import SafeMARLError\n"
        "try: make_vector('safemarl/driving', 1)\n"
        "except SafeMARLError as error: print(error)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == (
        'safemarl/driving needs highway-env; install it by: pip install "rllib_safemarl[driving]"'
    )
