"""PettingZoo, settings, pictures, and what is said where something is missing."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

from rllib_safemarl.envs.parallel import parallel_env
from rllib_safemarl.envs.registry import make_vector
from rllib_safemarl.errors import SafeMARLError

TASKS = [
    {"task": "ant", "partition": "4x2"},
    {"task": "many_agent_ant", "partition": "3x1", "cost": "per_agent"},
    {"task": "half_cheetah", "partition": "6x1"},
    {"task": "coupled_half_cheetah", "partition": "6x2"},
    {"task": "humanoid", "partition": "9|8"},
    {"task": "swimmer_velocity"},
    {"task": "half_cheetah", "legacy": True},
]
NAMES = [settings["task"] for settings in TASKS]


@pytest.mark.parametrize("settings", TASKS, ids=NAMES)
def test_pettingzoos_own_tests_pass(settings):
    pytest.importorskip("mujoco")
    parallel_api_test(parallel_env("safemarl/mujoco", time_limit=20, **settings), num_cycles=60)
    parallel_seed_test(lambda: parallel_env("safemarl/mujoco", time_limit=20, **settings), num_cycles=30)


def test_infos_bring_cost_margin_and_position():
    pytest.importorskip("mujoco")
    env = parallel_env("safemarl/mujoco", task="half_cheetah", partition="2x3")
    env.reset(seed=0)
    _, _, _, _, infos = env.step({agent: env.action_space(agent).sample() for agent in env.agents})
    for agent in env.possible_agents:
        assert infos[agent]["cost"] in (0.0, 1.0)
        assert (infos[agent]["margin"] < 0) == (infos[agent]["cost"] == 1.0)
        assert infos[agent]["position"].shape == (2,)
    assert env.agent_graph == [("agent_0", "agent_1")]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"task": "half_cheeta"}, "Did you mean 'half_cheetah'"),
        ({"tasks": "ant"}, "Did you mean 'task'"),
        ({"task": "ant", "partition": "3x3"}, "has no partition '3x3'.* 2x4, 2x4d, 4x2, 8x1"),
        ({"task": "ant_velocity", "partition": "8x1"}, "It has: 2x4, 4x2"),
        ({"task": "many_agent_ant", "partition": "six"}, "AGENTSxPARTS"),
        ({"task": "many_agent_ant", "partition": "9x9"}, "81 parts"),
        ({"task": "many_agent_swimmer", "partition": "1x1"}, "takes 2 to 50"),
        ({"graph": "joints"}, "Did you mean 'joint'"),
        ({"cost": "agent"}, "team, per_agent"),
        ({"time_limit": 0}, "at least 1"),
        ({"threads": 1.5}, "whole number"),
        ({"threshold": -1.0}, "above 0, in m"),
        ({"legacy": "yes"}, "true or false"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_one_line(settings, words):
    with pytest.raises(SafeMARLError, match=words) as caught:
        make_vector("safemarl/mujoco", 1, **settings)
    assert "\n" not in str(caught.value)


def test_without_the_extra_one_line_says_how_to_install_it():
    code = (
        "import sys; sys.modules['mujoco'] = None\n"
        "from rllib_safemarl.envs import make_vector\n"
        "from rllib_safemarl.errors import SafeMARLError\n"
        "try: make_vector('safemarl/mujoco', 1, task='ant')\n"
        "except SafeMARLError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert 'pip install "rllib_safemarl[mujoco]"' in line


def _env_that_draws(**settings):
    pytest.importorskip("mujoco")
    env = make_vector("safemarl/mujoco", 2, **settings)
    env.reset(0)
    try:
        env.render()
    except SafeMARLError as error:
        pytest.skip(str(error))
    return env


def _redness(picture):
    """Share of pixels that are clearly red."""
    red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
    return np.mean((red > 2 * green) & (red > 2 * blue) & (red > 90))


def test_pictures_follow_the_body_and_turn_red_in_danger():
    env = _env_that_draws(task="half_cheetah")
    pictures = {}
    for gap in (9.5, 4.0):
        state = env.get_state()
        for name, place in (("rootx", 30.0), ("obstacle", 20.0 + gap)):
            state["state"][1, 1 + int(env.model.joint(name).qposadr[0])] = place
        env.set_state(state)
        pictures[gap] = env.render(1)
    assert all(p.shape == (360, 560, 3) and p.dtype == np.uint8 for p in pictures.values())
    assert _redness(pictures[9.5]) < 0.001 < 0.005 < _redness(pictures[4.0])
    # The cheetah is in the picture wherever it runs.
    near, far = (p[150:330, 40:260].astype(int) for p in (env.render(0), pictures[9.5]))
    assert near.std() > 10 and far.std() > 10
    env.close()


def test_a_picture_changes_nothing():
    env = _env_that_draws(task="ant")
    before = env.get_state()
    env.render(0)
    after = env.get_state()
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name])
    env.close()
