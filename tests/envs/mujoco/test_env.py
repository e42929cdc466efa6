"""One step by hand: rewards, costs, falls, clipping."""

from __future__ import annotations

import math

import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco")

from rllib_safemarl.envs.mujoco import MujocoVectorEnv  # noqa: E402
from rllib_safemarl.envs.mujoco.tasks import TASKS  # noqa: E402
from rllib_safemarl.errors import SafeMARLError  # noqa: E402
from tests.envs.mujoco import physics  # noqa: E402

EVERY = [(task, partition) for task in TASKS for partition in TASKS[task].partitions]


def _flat(env, actions):
    """The first copy's controls in the order of the model's motors."""
    control = np.zeros(env.model.nu)
    motor_of = {env.model.joint(env.model.actuator_trnid[i, 0]).name: i for i in range(env.model.nu)}
    for kind in env.kinds:
        for row, agent in enumerate(kind.agents):
            for joint, value in zip(env.parts[agent], actions[kind.name][0, row], strict=True):
                control[motor_of[joint]] = value
    return control


def _stepped(env, actions, obstacle=None):
    """A copy of the first copy's world, one step on; with the contact forces before the last physics step."""
    data = physics.data_at(env.model, env.get_state()["state"][0])
    data.ctrl[:] = np.clip(_flat(env, actions), -1, 1)
    if obstacle is not None:
        data.ctrl[-1] = obstacle
    mujoco.mj_step(env.model, data, env.robot.frame_skip - 1)
    mujoco.mj_forward(env.model, data)
    mujoco.mj_rnePostConstraint(env.model, data)
    forces = data.cfrc_ext.copy()
    mujoco.mj_step(env.model, data)
    return data, forces


@pytest.mark.parametrize(("task", "partition"), EVERY)
def test_rewards_and_observations_are_finite_and_agents_share_the_reward(task, partition):
    env = MujocoVectorEnv(3, task=task, partition=partition, time_limit=40)
    env.reset(1)
    rng, seen = np.random.default_rng(0), []
    for _ in range(50):
        step = env.step(physics.random_actions(env, rng))
        assert np.isfinite(step.reward).all() and (step.reward == step.reward[:, :1]).all()
        assert set(np.unique(step.cost)) <= {0.0, 1.0}
        assert step.cost.shape == (3, env.num_agents, 1)
        assert step.info["margin"].shape == (3, env.num_agents)
        assert step.info["position"].shape == (3, env.num_agents, 2)
        for kind in env.kinds:
            values = step.observation.values[kind.name]
            assert values.shape == (3, len(kind.agents), kind.observation_size)
            assert kind.observation_space.contains(values[0, 0])
        seen.append(step.reward[0, 0])
    assert np.std(seen) > 0


def test_ants_reward_by_hand():
    env = MujocoVectorEnv(1, task="ant", partition="2x4")
    env.reset(3)
    rng, touched = np.random.default_rng(1), 0
    for _ in range(80):
        actions = physics.random_actions(env, rng)
        x = env.get_state()["state"][0, 1]
        data, forces = _stepped(env, actions)
        step = env.step(actions)
        contact = 5e-4 * (np.clip(forces, -1, 1) ** 2).sum()
        expected = (data.qpos[0] - x) / 0.05 + 1.0 - 0.5 * (_flat(env, actions) ** 2).sum() - contact
        np.testing.assert_allclose(step.reward[0], expected, atol=1e-4)
        touched += contact > 1e-3
        if step.ending is not None:
            break
    assert touched >= 3


def test_half_cheetahs_reward_by_hand_and_the_obstacles_drive():
    env = MujocoVectorEnv(1, task="half_cheetah")
    env.reset(3)
    rng = np.random.default_rng(1)
    for t in range(30):
        actions = physics.random_actions(env, rng)
        before = env.get_state()["state"][0]
        data, _ = _stepped(env, actions, 0.02 * math.sin(0.05 * t / 3) ** 2 - 0.004)
        step = env.step(actions)
        at = int(env.model.joint("rootx").qposadr[0])
        control = 0.1 * (_flat(env, actions) ** 2).sum()
        expected = (data.qpos[at] - before[1 + at]) / 0.05 - control
        np.testing.assert_allclose(step.reward[0], expected, atol=1e-4)
        np.testing.assert_allclose(env.get_state()["state"][0, 1 : 1 + env.model.nq], data.qpos, atol=1e-9)


def test_coupled_cheetahs_reward_is_the_mean_of_both():
    env = MujocoVectorEnv(1, task="coupled_half_cheetah", partition="2x6")
    env.reset(0)
    actions = physics.random_actions(env, np.random.default_rng(0))
    before = env.get_state()["state"][0]
    step = env.step(actions)
    after = env.get_state()["state"][0]
    speeds, efforts = [], []
    for i, name in enumerate(("rootx", "second_rootx")):
        at = 1 + int(env.model.joint(name).qposadr[0])
        speeds.append((after[at] - before[at]) / 0.05)
        efforts.append(0.1 * (actions[env.kinds[0].name][0, i] ** 2).sum())
    np.testing.assert_allclose(step.reward[0], np.mean(speeds) - np.mean(efforts), rtol=1e-5)


def test_humanoids_motors_are_scaled_to_their_range_and_its_speed_is_that_of_its_mass():
    env = MujocoVectorEnv(1, task="humanoid_velocity")
    env.reset(0)
    assert env.step_seconds == pytest.approx(0.015)
    data = physics.data_at(env.model, env.get_state()["state"][0])
    mujoco.mj_forward(env.model, data)
    earlier = data.subtree_com[1, :2].copy()
    for _ in range(3):
        data = physics.data_at(env.model, env.get_state()["state"][0])
        data.ctrl[:] = 0.4
        mujoco.mj_step(env.model, data, env.robot.frame_skip - 1)
        mujoco.mj_forward(env.model, data)
        moved, earlier = data.subtree_com[1, :2] - earlier, data.subtree_com[1, :2].copy()
        step = env.step({kind.name: np.ones((1, 1, *kind.action_space.shape)) for kind in env.kinds})
        np.testing.assert_allclose(step.info["margin"][0], 0.58 - np.linalg.norm(moved) / 0.015, atol=1e-4)
        # Nothing touches the ground yet.
        reward = 1.25 * moved[0] / 0.015 + 5.0 - 0.1 * 17 * 0.4**2
        np.testing.assert_allclose(step.reward[0], reward, atol=1e-3)


def test_actions_beyond_the_motors_change_nothing():
    twins = [MujocoVectorEnv(1, task="ant") for _ in range(2)]
    steps = []
    for env, size in zip(twins, (1.0, 7.0), strict=True):
        env.reset(0)
        shape = (1, 4, 2)
        steps.append(env.step({env.kinds[0].name: np.full(shape, size)}))
    np.testing.assert_array_equal(steps[0].reward, steps[1].reward)
    np.testing.assert_array_equal(twins[0].get_state()["state"], twins[1].get_state()["state"])


def test_an_action_that_is_no_number_is_refused():
    env = MujocoVectorEnv(1, task="ant")
    env.reset(0)
    with pytest.raises(SafeMARLError, match="not a finite number"):
        env.step({env.kinds[0].name: np.full((1, 4, 2), np.nan)})


# Costs at constructed states.


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (-10.0, 3.1, 0.0),  # 1.9 m below the wall of the straight entry.
        (-10.0, 3.3, 1.0),
        (-10.0, 7.0, 1.0),  # Beyond the wall.
        (10.0, 10.0 * math.tan(math.pi / 6), 0.0),  # On the centre line.
        (10.0, 10.0 * math.tan(math.pi / 6) + 2.9, 0.0),  # 2.1 m along y: 1.82 m from the wall.
        (10.0, 10.0 * math.tan(math.pi / 6) + 3.0, 1.0),  # 1.73 m, though 2 m along y.
        (40.0, -3.0, 1.0),
        (40.0, -2.9, 0.0),
        (130.0, 20.0 * math.tan(math.pi / 6) - 3.3, 1.0),
        (130.0, 20.0 * math.tan(math.pi / 6), 0.0),
    ],
)
def test_ants_cost_is_the_true_distance_to_the_walls(x, y, expected):
    env = MujocoVectorEnv(1, task="ant")
    env.reset(0)
    state = env.get_state()
    state["state"][0, 1:4] = x, y, 0.75
    state["state"][0, 1 + env.model.nq :] = 0.0
    env.set_state(state)
    step = env.step(physics.stand(env))
    assert step.cost.max() == step.cost.min() == expected
    assert (step.info["margin"] < 0).all() == bool(expected)


def test_a_fall_costs_and_ends_the_episode():
    env = MujocoVectorEnv(2, task="ant")
    env.reset(0)
    state = env.get_state()
    state["state"][1, 3] = 1.5
    env.set_state(state)
    step = env.step(physics.stand(env))
    np.testing.assert_array_equal(step.terminated, [[False] * 4, [True] * 4])
    np.testing.assert_array_equal(step.cost[..., 0], [[0.0] * 4, [1.0] * 4])
    np.testing.assert_array_equal(step.truncated, [False, False])
    np.testing.assert_array_equal(step.ending.copies, [1])
    assert step.ending.metrics["fallen"][0] == 1.0
    last = step.ending.observation.values[env.kinds[0].name]
    assert last.shape == (1, 4, env.kinds[0].observation_size)
    assert last[0, 0, 4] > 1.0  # Height as it fell, not of the next episode.
    assert env.get_state()["state"][1, 0] == 0.0


@pytest.mark.parametrize(("gap", "expected"), [(8.0, 1.0), (9.5, 0.0), (-8.0, 1.0), (-9.5, 0.0)])
def test_half_cheetahs_cost_is_nearness_to_the_obstacle_on_either_side(gap, expected):
    env = MujocoVectorEnv(1, task="half_cheetah")
    env.reset(0)
    physics.place(env, rootx=10.0 - gap, obstacle=0.0)
    step = env.step(physics.stand(env))
    assert step.cost.max() == step.cost.min() == expected
    np.testing.assert_allclose(step.info["margin"], abs(gap) - 9.0, atol=0.05)


def test_coupled_cheetahs_can_be_blamed_apart():
    costs = {}
    for cost in ("team", "per_agent"):
        env = MujocoVectorEnv(1, task="coupled_half_cheetah", partition="6x2", cost=cost)
        env.reset(0)
        physics.place(env, rootx=0.0, second_rootx=2.0, obstacle=-3.5)  # 6.5 m and 4.5 m off.
        costs[cost] = env.step(physics.stand(env)).cost[0, :, 0].tolist()
    assert costs == {"team": [1.0] * 6, "per_agent": [0.0] * 3 + [1.0] * 3}


def test_many_agent_ants_can_be_blamed_apart():
    env = MujocoVectorEnv(1, task="many_agent_ant", partition="3x2", cost="per_agent")
    env.reset(0)
    # Across the straight entry, head up: segments at y = 3, 2, …, -2; danger from 2.7 on.
    half = math.sqrt(0.5)
    physics.place(env, root=[-20.0, 3.0, 0.75, half, 0.0, 0.0, half])
    step = env.step(physics.stand(env))
    assert step.cost[0, :, 0].tolist() == [1.0, 0.0, 0.0]
    np.testing.assert_allclose(step.info["position"][0, :, 1], [2.5, 0.5, -1.5], atol=0.1)
    with pytest.raises(SafeMARLError, match="no parts to blame"):
        MujocoVectorEnv(1, task="ant", cost="per_agent")


def test_speed_costs_above_the_published_threshold():
    for task, partition, joint, limit in (
        ("half_cheetah_velocity", "2x3", "rootx", 3.227),
        ("swimmer_velocity", "2x1", "slider1", 0.04891),
        ("hopper_velocity", "3x1", "rootx", 0.9613),
    ):
        for speed in (-1.5 * limit, 0.2 * limit, 1.5 * limit):
            env = MujocoVectorEnv(1, task=task, partition=partition)
            env.reset(0)
            before = env.get_state()
            before["state"][0, 1 + env.model.nq :] = 0.0
            before["state"][0, 1 + env.model.nq + int(env.model.joint(joint).dofadr[0])] = speed
            env.set_state(before)
            at = 1 + int(env.model.joint(joint).qposadr[0])
            step = env.step(physics.stand(env))
            mean = (env.get_state()["state"][0, at] - before["state"][0, at]) / env.seconds
            signed = mean if task == "swimmer_velocity" else abs(mean)
            np.testing.assert_allclose(step.info["margin"], limit - signed, atol=1e-5)
            assert step.cost.max() == float(signed > limit)


def test_physics_that_diverge_end_the_episode_and_write_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    env = MujocoVectorEnv(3, task="ant")
    env.reset(0)
    state = env.get_state()
    state["state"][1, -1] = 1e13
    env.set_state(state)
    step = env.step(physics.stand(env))
    np.testing.assert_array_equal(step.terminated[:, 0], [False, True, False])
    np.testing.assert_array_equal(step.cost[:, 0, 0], [0.0, 1.0, 0.0])
    assert np.isfinite(step.reward).all() and step.reward[1, 0] == 0.0
    assert np.isfinite(step.ending.observation.values[env.kinds[0].name]).all()
    for _ in range(5):
        assert np.isfinite(env.step(physics.stand(env)).reward).all()
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
