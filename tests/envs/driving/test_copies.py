"""Copies, runs and restored states agree to the bit."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("highway_env")

from rllib_safemarl.envs.driving import DrivingVectorEnv

SETTINGS = [
    {"scenario": "merge", "n_agents": 3},
    {"scenario": "roundabout", "actions": "acceleration"},
    {"scenario": "intersection", "n_agents": 3, "traffic": 7},
    {"scenario": "racetrack"},
    {"scenario": "highway", "leader_follower": True},
]
IDS = [settings["scenario"] for settings in SETTINGS]


def _actions(env, t):
    """The same for every copy of a number, whatever the number of copies."""
    columns = {}
    for kind in env.kinds:
        wave = np.sin(0.9 * np.arange(len(kind.agents)) + 0.3 * t + np.arange(env.num_copies)[:, None])
        if env.pilots.actions == "discrete":
            columns[kind.name] = np.floor((wave + 1.0) * 0.4999 * kind.action_space.n).astype(np.int64)
        else:
            size = kind.action_space.shape[0]
            columns[kind.name] = np.stack([wave, 0.02 * wave], -1)[..., :size].astype(np.float32)
    return columns


def _step(env, t):
    step = env.step(_actions(env, t))
    rows = [step.reward, step.cost, step.terminated, step.truncated, step.active, step.observation.positions]
    rows += [step.observation.edges, *step.observation.values.values(), *step.info.values()]
    if step.ending is not None:
        rows += [step.ending.observation.positions, np.stack(list(step.ending.metrics.values()))]
    return rows


def _equal(one, other, copies=slice(None)):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b[copies])


@pytest.mark.parametrize("settings", SETTINGS, ids=IDS)
def test_a_copy_is_the_same_among_few_and_many_and_seeds_differ(settings):
    few, many = (DrivingVectorEnv(copies, time_limit=11, **settings) for copies in (2, 4))
    first = [env.reset(7) for env in (few, many)]
    for name, values in first[0].values.items():
        np.testing.assert_array_equal(values, first[1].values[name][:2])
    for t in range(16):
        steps = [env.step(_actions(env, t)) for env in (few, many)]
        for name in ("reward", "cost", "terminated", "truncated", "active"):
            np.testing.assert_array_equal(getattr(steps[0], name), getattr(steps[1], name)[:2])
        for name, values in steps[0].observation.values.items():
            np.testing.assert_array_equal(values, steps[1].observation.values[name][:2])
        np.testing.assert_array_equal(steps[0].observation.edges, steps[1].observation.edges[:2])
    assert few.steps.max() < 11
    again = few.reset(7)
    for name, values in first[0].values.items():
        np.testing.assert_array_equal(values, again.values[name])
        assert not np.array_equal(values[0], values[1])
    other = few.reset(8)
    assert not np.array_equal(first[0].positions, other.positions)


@pytest.mark.parametrize("settings", SETTINGS, ids=IDS)
def test_state_mid_episode_continues_exactly(settings):
    env = DrivingVectorEnv(2, time_limit=11, **settings)
    env.reset(1)
    for t in range(7):
        _step(env, t)
    state = env.get_state()
    # Beyond the end of the running episodes.
    expected = [_step(env, t) for t in range(7, 14)]
    other = DrivingVectorEnv(2, time_limit=11, **settings)
    other.reset(77)
    _step(other, 0)
    for fresh in (other, env):
        fresh.set_state(state)
        for t, rows in zip(range(7, 14), expected, strict=True):
            _equal(_step(fresh, t), rows)


def test_starts_spread_as_documented():
    env = DrivingVectorEnv(500, scenario="merge", n_agents=4)
    env.reset(0)
    fleet = env.fleet
    np.testing.assert_allclose(fleet.speed[:, :4].mean(0), 25.0, atol=0.3)
    assert fleet.speed[:, :4].min() >= 22.5 and fleet.speed[:, :4].max() <= 27.5
    np.testing.assert_allclose(fleet.x[:, :4].mean(0), [90, 90, 60, 60], atol=0.8)
    assert np.abs(fleet.x[:, :4] - [90, 90, 60, 60]).max() <= 7.0
    assert ((fleet.exponent[:, 4:] >= 3.5) & (fleet.exponent[:, 4:] <= 4.5)).all()
    # Traffic is drawn from all places alike, and nobody stands in another.
    assert len(np.unique(np.round((fleet.x[:, 4:] - 10.0) / 25.0))) == 7
    gaps = np.abs(fleet.x[:, :, None] - fleet.x[:, None]) + 100.0 * np.eye(8)
    same = fleet.lane[:, :, None] == fleet.lane[:, None]
    assert gaps[same & (gaps < 99.0)].min() > 8.0
