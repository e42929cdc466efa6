"""Pictures show what is there."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("highway_env")
pytest.importorskip("matplotlib")

from rllib_safemarl.envs.driving import DrivingVectorEnv
from tests.envs.driving.test_danger import _put

RED = np.array([0xE5, 0x26, 0x2B])


def _near(picture, colour, within=40):
    return float((np.abs(picture.astype(int) - colour).sum(-1) < within).mean())


@pytest.mark.parametrize("scenario", ["merge", "roundabout", "racetrack"])
def test_pictures_keep_their_size_and_change_nothing(scenario):
    env = DrivingVectorEnv(2, scenario=scenario, n_agents=3)
    env.reset(0)
    before = env.get_state()["fleet"]
    pictures = [env.render(1)]
    for name, value in env.get_state()["fleet"].items():
        np.testing.assert_array_equal(value, before[name])
    env.step({"vehicle": env.pilots.idle})
    pictures.append(env.render(1))
    assert pictures[0].shape == pictures[1].shape and pictures[0].dtype == np.uint8
    assert (pictures[0] != pictures[1]).any()
    # Each agent's colour is there.
    for colour in ([0x2F, 0x6F, 0xDE], [0xE8, 0x87, 0x1E], [0x12, 0xA5, 0xB5]):
        assert _near(pictures[1], np.array(colour)) > 0.0003


def test_danger_is_red():
    env = DrivingVectorEnv(1, scenario="highway", traffic=0)
    env.reset(0)
    shares = []
    for place in (160.0, 112.0):
        _put(env, 0, ("0", "1", 1), 100.0, 29.0)
        _put(env, 1, ("0", "1", 1), place, 18.0)
        env._measure()
        shares.append(_near(env.render(), RED))
    assert shares[0] == 0.0 < 0.001 < shares[1]
