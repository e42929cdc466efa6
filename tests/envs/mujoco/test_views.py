"""Who moves what, who sees what, who is near whom."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("mujoco")

from rllib_safemarl.envs.mujoco import MujocoVectorEnv
from rllib_safemarl.envs.team import describe_team, make_views
from tests.envs.mujoco import physics


def _joint(env, name, copy=0):
    state, joint = env.get_state()["state"][copy], env.model.joint(name)
    return state[1 + int(joint.qposadr[0])], state[1 + env.model.nq + int(joint.dofadr[0])]


@pytest.mark.parametrize(
    ("task", "partition"),
    [("ant", "2x4d"), ("half_cheetah", "3x2"), ("many_agent_ant", "3x2"), ("coupled_half_cheetah", "6x2")],
)
def test_an_agent_sees_its_own_joints_first_and_moves_them_alone(task, partition):
    env = MujocoVectorEnv(2, task=task, partition=partition)
    env.reset(0)
    step = env.step(physics.random_actions(env, np.random.default_rng(0)))
    (kind,) = env.kinds
    for i, part in enumerate(env.parts):
        seen = step.observation.values[kind.name][1, i]
        truth = np.array([_joint(env, joint, 1) for joint in part])
        np.testing.assert_allclose(seen[: 2 * len(part)], [*truth[:, 0], *0.1 * truth[:, 1]], rtol=1e-5)
    # One agent's motors turn its own joints by far the most.
    for i, part in enumerate(env.parts):
        moved = {}
        for push in (0.0, 1.0):
            env.reset(0)
            actions = physics.stand(env)
            actions[kind.name][0, i] = push
            env.step(actions)
            moved[push] = {joint: _joint(env, joint)[1] for joint in env.robot.joints}
        change = {joint: abs(moved[1.0][joint] - moved[0.0][joint]) for joint in moved[0.0]}
        others = [change[joint] for joint in change if joint not in part]
        assert np.median([change[joint] for joint in part]) > max(0.1, 1.5 * np.median(others))


def test_diagonal_legs_are_diagonal_and_neighbours_side_by_side():
    for partition, sides in (("2x4", [1.0, -1.0]), ("2x4d", None)):
        env = MujocoVectorEnv(1, task="ant", partition=partition)
        feet = [
            [
                np.array(env.model.body(env.model.joint(name).bodyid[0]).pos[:2])
                for name in part
                if "hip" in name
            ]
            for part in env.parts
        ]
        for i, (one, other) in enumerate(feet):
            if sides is None:
                np.testing.assert_allclose(one, -other)
            else:
                assert np.sign(one[1]) == np.sign(other[1]) == sides[i]


PATH_OF_SIX = np.abs(np.arange(6)[:, None] - np.arange(6))


@pytest.mark.parametrize(
    ("task", "partition", "diameter"),
    [
        ("ant", "4x2", 1),
        ("ant", "8x1", 3),
        ("many_agent_ant", "6x1", 5),
        ("many_agent_ant", "3x2", 2),
        ("half_cheetah", "6x1", 5),
        ("coupled_half_cheetah", "12x1", 7),
        ("many_agent_swimmer", "5x1", 4),
        ("hopper", "3x1", 2),
    ],
)
def test_joint_graphs(task, partition, diameter):
    hops = MujocoVectorEnv(1, task=task, partition=partition).graph().hops
    assert hops.max() == diameter and (hops == hops.T).all()
    if partition == "6x1":
        np.testing.assert_array_equal(hops, PATH_OF_SIX)
    chain = MujocoVectorEnv(1, task=task, partition=partition, graph="chain").graph().hops
    np.testing.assert_array_equal(chain, np.abs(np.subtract.outer(*[np.arange(len(hops))] * 2)))


def test_views_of_one_hop_hold_the_neighbours_own_observations():
    env = MujocoVectorEnv(2, task="half_cheetah", partition="6x1")
    observation = env.reset(0)
    (kind,) = env.kinds
    values, size = observation.values[kind.name], kind.observation_size
    views = make_views(describe_team(env, None), 1, 8)(observation.values, env.active())[kind.name]
    slot = size + 2
    assert views.shape == (2, 6, size + 2 * slot)
    np.testing.assert_array_equal(views[:, 2, size : 2 * size], values[:, 1])
    np.testing.assert_array_equal(views[:, 2, size + slot : 2 * size + slot], values[:, 3])
    np.testing.assert_array_equal(views[:, 0, size : 2 * size], values[:, 1])
    assert (views[:, 0, size + slot :] == 0).all()  # The hind foot has one neighbour.


def test_features_of_the_corridor_by_hand():
    env = MujocoVectorEnv(1, task="many_agent_ant", partition="2x3")
    env.reset(0)
    physics.place(env, root=[-6.0, 1.0, 0.75, 1.0, 0.0, 0.0, 0.0])
    (kind,) = env.kinds
    seen = env._observe().values[kind.name][0]
    # Straight entry, walls at ±4.5, danger at 1.8 m: the same for all segments of a body along it.
    np.testing.assert_allclose(seen[:, 24:26], 0.5 * np.array([[1.7, 3.7]] * 2), rtol=1e-5)
    tail = [0.5 * 1.7, 0.5 * 3.7, 0.0, 0.5, 0.05 * 6.0]
    np.testing.assert_allclose(seen[:, -5:], [tail] * 2, rtol=1e-5)
    np.testing.assert_allclose(seen[:, 26:31], [[0.75, 1.0, 0.0, 0.0, 0.0]] * 2, rtol=1e-5)


def test_features_of_the_obstacle_by_hand():
    env = MujocoVectorEnv(1, task="half_cheetah")
    env.reset(0)
    physics.place(env, rootx=2.0, obstacle=-1.0)
    state = env.get_state()
    state["state"][0, 0] = 3.0
    state["state"][0, 1 + env.model.nq + int(env.model.joint("obstacle").dofadr[0])] = 4.0
    env.set_state(state)
    seen = env._observe().values[env.kinds[0].name][0, 0]
    np.testing.assert_allclose(seen[-4:], [0.7, 0.4, np.cos(2.0), np.sin(2.0)], rtol=1e-5)
