"""Copies, runs, threads and restored states agree to the bit."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("mujoco")

from rllib_safemarl.envs.mujoco import MujocoVectorEnv

TASKS = [
    {"task": "half_cheetah", "partition": "6x1"},
    {"task": "coupled_half_cheetah", "partition": "6x2"},
    {"task": "ant", "partition": "4x2"},
    {"task": "many_agent_ant", "partition": "3x1", "cost": "per_agent"},
    {"task": "humanoid", "partition": "9|8"},
    {"task": "hopper", "partition": "3x1"},
    {"task": "many_agent_swimmer", "partition": "3x1"},
    {"task": "walker2d_velocity", "partition": "2x3"},
    {"task": "ant", "partition": "2x4", "legacy": True},
    {"task": "half_cheetah", "partition": "2x3", "legacy": True},
]


def _actions(env, t):
    """The same for every copy of a number, whatever the number of copies."""
    columns = {}
    for kind in env.kinds:
        shape = (len(kind.agents), *kind.action_space.shape)
        phase = np.arange(np.prod(shape)).reshape(shape)
        copies = np.arange(env.num_copies)[:, None, None]
        columns[kind.name] = np.sin(1.3 * phase + 0.7 * t + copies)
    return columns


def _columns(env, steps, first=0):
    rows = []
    for t in range(first, first + steps):
        step = env.step(_actions(env, t))
        rows += [step.reward, step.cost, step.terminated, step.truncated, step.info["margin"]]
        rows += [step.observation.values[kind.name] for kind in env.kinds]
        if step.ending is not None:
            rows += [np.array([value.tolist() for value in step.ending.metrics.values()])]
    return rows


def _run(copies, seed, steps=45, **settings):
    env = MujocoVectorEnv(copies, time_limit=30, **settings)
    first = env.reset(seed).values[env.kinds[0].name].copy()
    return [first, *_columns(env, steps)]


@pytest.mark.parametrize("settings", TASKS, ids=lambda s: f"{s['task']}-{s['partition']}")
def test_runs_agree_with_one_thread_or_two_and_seeds_differ(settings):
    one, two = _run(5, 3, **settings), _run(5, 3, threads=2, **settings)
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    other = _run(5, 4, steps=1, **settings)
    assert not np.array_equal(one[0], other[0])
    assert not np.array_equal(one[0][0], one[0][1])


@pytest.mark.parametrize("settings", TASKS, ids=lambda s: f"{s['task']}-{s['partition']}")
def test_a_copy_is_the_same_among_few_and_many(settings):
    envs = [MujocoVectorEnv(copies, time_limit=20, **settings) for copies in (2, 4)]
    few, many = ([env.reset(7), *(env.step(_actions(env, t)) for t in range(30))] for env in envs)
    kinds = [kind.name for kind in envs[0].kinds]
    for a, b in zip(few[1:], many[1:], strict=True):
        np.testing.assert_array_equal(a.reward, b.reward[:2])
        np.testing.assert_array_equal(a.cost, b.cost[:2])
        for kind in kinds:
            np.testing.assert_array_equal(a.observation.values[kind], b.observation.values[kind][:2])


@pytest.mark.parametrize("settings", TASKS, ids=lambda s: f"{s['task']}-{s['partition']}")
def test_state_mid_episode_continues_exactly(settings):
    env = MujocoVectorEnv(3, time_limit=25, **settings)
    env.reset(1)
    _columns(env, 13)
    state = env.get_state()
    expected = _columns(env, 30, first=13)
    other = MujocoVectorEnv(3, time_limit=25, **settings)
    other.reset(77)
    _columns(other, 3)
    for fresh in (other, env):
        fresh.set_state(state)
        for a, b in zip(expected, _columns(fresh, 30, first=13), strict=True):
            np.testing.assert_array_equal(a, b)


def test_time_limit_truncates_and_starts_the_next_episode_in_the_same_step():
    env = MujocoVectorEnv(2, task="half_cheetah", time_limit=4)
    first = env.reset(0).values[env.kinds[0].name].copy()
    for t in range(4):
        step = env.step(_actions(env, t))
        assert step.truncated.all() == (t == 3) and not step.terminated.any() and step.active.all()
    following, last = step.observation.values[env.kinds[0].name], step.ending.observation.values
    assert np.abs(last[env.kinds[0].name] - following).max() > 0.1
    assert not np.array_equal(following, first)
    assert set(step.ending.metrics) == {"distance", "fallen", "least_margin"}
    assert (env.get_state()["state"][:, 0] == 0.0).all()


def test_starts_spread_as_documented():
    env = MujocoVectorEnv(2000, task="half_cheetah")
    env.reset(0)
    state = env.get_state()["state"]
    qpos, qvel = state[:, 1 : 1 + env.model.nq], state[:, 1 + env.model.nq :]
    assert np.abs(qpos).max() <= 0.1
    np.testing.assert_allclose(qpos.std(0), 0.2 / np.sqrt(12), rtol=0.06)
    np.testing.assert_allclose(qvel.std(0), 0.1, rtol=0.06)
    assert (np.abs(qvel) > 0.25).any()
    np.testing.assert_allclose(qpos.mean(0), 0.0, atol=0.006)
