"""The published environment, replayed with its faults."""

from __future__ import annotations

import math

import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco")

from rllib_safemarl.envs.mujoco import MujocoVectorEnv  # noqa: E402
from rllib_safemarl.errors import SafeMARLError  # noqa: E402
from tests.envs.mujoco import physics  # noqa: E402

SLOPE = math.tan(math.pi / 6)


@pytest.mark.parametrize(
    ("task", "partition", "size"),
    [
        ("ant", "2x4", 29),
        ("many_agent_ant", "2x2", 2),
        ("many_agent_ant", "6x1", 9),
        ("many_agent_ant", "4x2", 25),
        ("half_cheetah", "2x3", 20),
        ("coupled_half_cheetah", "1p1", 38),
        ("humanoid", "9|8", 47),
    ],
)
def test_observations_are_the_published_state_and_the_agents_number_standardised(task, partition, size):
    env = MujocoVectorEnv(2, task=task, partition=partition, legacy=True)
    env.reset(0)
    step = env.step(physics.random_actions(env, np.random.default_rng(0)))
    agents = env.num_agents
    for kind in env.kinds:
        seen = step.observation.values[kind.name]
        assert kind.observation_size == size + agents == seen.shape[-1]
        np.testing.assert_allclose(seen.mean(-1), 0.0, atol=1e-5)
        np.testing.assert_allclose(seen.std(-1), 1.0, rtol=1e-5)


def test_ants_observation_by_hand():
    env = MujocoVectorEnv(1, task="ant", partition="4x2", legacy=True)
    env.reset(0)
    step = env.step(physics.random_actions(env, np.random.default_rng(0)))
    state = env.get_state()["state"][0]
    assert env.model.nq == 57
    qpos, qvel = state[1:58], state[58:]
    raw = np.concatenate([qpos[2:-42], qvel[:-36], [qpos[0] / 5, qpos[1] - SLOPE * qpos[0]]])
    for i in range(4):
        both = np.concatenate([raw, np.eye(4)[i]])
        expected = (both - both.mean()) / both.std()
        np.testing.assert_allclose(step.observation.values[env.kinds[0].name][0, i], expected, rtol=1e-4)


def test_labels_of_the_ant_mean_the_same_cut_of_motors():
    parts = [MujocoVectorEnv(1, task="ant", partition=p, legacy=True).parts for p in ("2x4", "2x4d")]
    assert (
        parts[0]
        == parts[1]
        == (("hip_4", "ankle_4", "hip_1", "ankle_1"), ("hip_2", "ankle_2", "hip_3", "ankle_3"))
    )
    assert MujocoVectorEnv(1, task="half_cheetah", partition="3x2", legacy=True).parts == (
        ("bthigh", "bshin"),
        ("bfoot", "fthigh"),
        ("fshin", "ffoot"),
    )


@pytest.mark.parametrize(
    ("x", "offset", "expected"),
    [
        (10.0, 0.0, 0.0),
        (10.0, 3.3, 1.0),  # 1.7 m along y, 1.47 m in truth.
        (10.0, 3.1, 0.0),  # 1.9 m along y, 1.65 m in truth.
        (10.0, 7.0, 0.0),  # Beyond the wall by 2 m: costs nothing.
        (40.0, -3.3, 1.0),
        (90.0, 3.1, 0.0),
    ],
)
def test_the_cost_is_a_band_of_vertical_distance(x, offset, expected):
    env = MujocoVectorEnv(1, task="ant", legacy=True)
    env.reset(0)
    centre = SLOPE * (x if x < 20 else 40 - x if x < 60 else x - 80)
    physics.place(env, root=[x, centre + offset, 0.75, 1.0, 0.0, 0.0, 0.0])
    state = env.get_state()
    state["state"][0, 1 + env.model.nq :] = 0.0
    env.set_state(state)
    step = env.step(physics.stand(env))
    assert step.cost.max() == expected
    np.testing.assert_allclose(step.info["margin"], abs(5.0 - abs(offset)) - 1.8, atol=0.05)


def test_walls_leave_gaps_at_the_folds_drop_and_are_pushed_aside():
    env = MujocoVectorEnv(1, task="ant", legacy=True)
    env.reset(0)
    data = mujoco.MjData(env.model)
    mujoco.mj_forward(env.model, data)
    for x, hit in ((0.0, True), (17.0, True), (17.6, False), (22.5, False), (23.0, True)):
        for sign in (1.0, -1.0):
            centre = SLOPE * (x if x < 20 else 40 - x)
            name, _ = physics.ray(env.model, data, [x, centre, 1.2], [0.0, sign, 0.0])
            assert (name is not None) == hit, x
    for _ in range(20):
        env.step(physics.stand(env))
    at = 1 + int(env.model.jnt_qposadr[env.model.body("wall_upper_80").jntadr[0]])
    wall = env.get_state()["state"][0, at : at + 3]
    np.testing.assert_allclose(wall, [80.0, 5.0, 0.72], atol=0.02)  # It started at 1 m.


def test_rewards_charge_what_was_asked_for_and_motors_give_what_they_can():
    costs = []
    for legacy in (False, True):
        for size in (1.0, 3.0):
            env = MujocoVectorEnv(1, task="half_cheetah", legacy=legacy)
            env.reset(0)
            costs.append(env.step({env.kinds[0].name: np.full((1, 2, 3), size)}).reward[0, 0])
    assert costs[0] == costs[1]
    assert costs[3] == pytest.approx(costs[2] - 0.1 * 6 * (9.0 - 1.0), abs=1e-4)


def test_what_does_not_go_with_legacy_is_refused():
    for settings, words in (
        ({"task": "ant_velocity"}, "no published observation"),
        ({"task": "coupled_half_cheetah", "cost": "per_agent"}, "does not go with legacy"),
        ({"task": "ant", "threshold": 2.0}, "does not go with legacy"),
    ):
        with pytest.raises(SafeMARLError, match=words):
            MujocoVectorEnv(1, legacy=True, **settings)
