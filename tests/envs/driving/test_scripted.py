"""Controllers differ as their names say."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("highway_env")

from rllib_safemarl.envs.driving import DrivingVectorEnv
from rllib_safemarl.envs.driving.scripted import CONTROLLERS
from rllib_safemarl.errors import SafeMARLError

COPIES = 12


def _outcomes(name, scenario, **settings):
    """Shares of crashes and arrivals, and mean speed, in the first episodes of some copies."""
    env = DrivingVectorEnv(COPIES, scenario=scenario, n_agents=2, **settings)
    env.reset(0)
    found = np.full((COPIES, 3), np.nan)
    for _ in range(env.time_limit):
        step = env.step({"vehicle": CONTROLLERS[name](env)})
        if step.ending is not None:
            metrics = step.ending.metrics
            figures = np.stack([metrics[key] for key in ("crash", "arrived", "mean_speed")], -1)
            first = np.isnan(found[step.ending.copies, 0])
            found[step.ending.copies[first]] = figures[first]
        if not np.isnan(found).any():
            break
    return found.mean(0)


@pytest.mark.parametrize(
    ("scenario", "settings"), [("merge", {}), ("merge", {"actions": "acceleration"}), ("intersection", {})]
)
def test_who_yields_crashes_less_and_still_arrives(scenario, settings):
    careful, fast = (_outcomes(name, scenario, **settings) for name in ("yielding", "reckless"))
    # At most one of them crashes.
    assert careful[0] <= 1.0 / COPIES and fast[0] >= careful[0] + 0.3
    assert careful[1] >= 0.75 and careful[2] > 0.5 * fast[2]


def test_freely_steered_agents_stay_on_the_racetrack():
    env = DrivingVectorEnv(4, scenario="racetrack", traffic=0)
    env.reset(0)
    crashes = []
    for _ in range(120):
        step = env.step({"vehicle": CONTROLLERS["following"](env)})
        crashes += [] if step.ending is None else step.ending.metrics["crash"].tolist()
    assert len(crashes) == 0 and env.fleet.speed[:, :2].min() > 7.0


def test_controllers_refuse_leaders_and_followers():
    env = DrivingVectorEnv(1, leader_follower=True)
    env.reset(0)
    with pytest.raises(SafeMARLError, match="leave out leader_follower"):
        CONTROLLERS["reckless"](env)
