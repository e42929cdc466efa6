"""Models against those they stand for, by physics."""

from __future__ import annotations

import math

import numpy as np
import pytest

mujoco = pytest.importorskip("mujoco")
pytest.importorskip("imageio")  # Gymnasium's own environments want it

from gymnasium.envs.mujoco.ant_v5 import AntEnv  # noqa: E402
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv  # noqa: E402
from gymnasium.envs.mujoco.walker2d_v5 import Walker2dEnv  # noqa: E402
from scipy.integrate import solve_ivp  # noqa: E402

from rllib_safemarl.envs.mujoco import MujocoVectorEnv  # noqa: E402
from rllib_safemarl.envs.mujoco.hazard import SpeedLimit  # noqa: E402
from rllib_safemarl.envs.mujoco.models import compile_model  # noqa: E402
from rllib_safemarl.envs.mujoco.planar import SECOND, CoupledHalfCheetah, HalfCheetah, Walker  # noqa: E402
from rllib_safemarl.envs.mujoco.quadrupeds import Ant, ManyAgentAnt  # noqa: E402
from rllib_safemarl.envs.mujoco.swimmer import ManyAgentSwimmer  # noqa: E402
from tests.envs.mujoco import physics  # noqa: E402

SLOPE = math.tan(math.pi / 6)


def _trajectory(model, skip, steps, seed=0):
    data = mujoco.MjData(model)
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(steps):
        data.ctrl[:] = rng.uniform(-1, 1, model.nu)
        mujoco.mj_step(model, data, skip)
        rows.append(data.qpos.copy())
    return np.array(rows)


@pytest.mark.parametrize(
    ("robot", "peer"), [(Ant, AntEnv), (HalfCheetah, HalfCheetahEnv), (Walker, Walker2dEnv)]
)
def test_robots_move_as_gymnasiums(robot, peer):
    ours, theirs = compile_model(robot(), SpeedLimit(1.0)), peer().model
    assert ours.opt.timestep == theirs.opt.timestep
    rows = _trajectory(ours, robot.frame_skip, 60), _trajectory(theirs, robot.frame_skip, 60)
    np.testing.assert_allclose(*rows, atol=1e-9)
    assert np.abs(rows[0][-1] - rows[0][0]).max() > 0.1


@pytest.mark.parametrize("segments", [2, 6])
def test_many_agent_ant_moves_as_multi_agent_mujocos(segments, tmp_path):
    pytest.importorskip("jinja2")
    factory = pytest.importorskip("gymnasium_robotics.envs.multiagent_mujoco.many_segment_ant")
    path = tmp_path / "ant.xml"
    factory.gen_asset(segments, str(path))
    theirs = mujoco.MjModel.from_xml_path(str(path))
    theirs.opt.timestep = 0.005  # The published time step of the safe version.
    ours = compile_model(ManyAgentAnt(segments), SpeedLimit(1.0))
    assert (ours.nq, ours.nu) == (theirs.nq, theirs.nu)
    rows = _trajectory(ours, 4, 40), _trajectory(theirs, 4, 40)
    np.testing.assert_allclose(*rows, atol=1e-9)


def test_swimmers_move_as_multi_agent_mujocos(tmp_path):
    pytest.importorskip("jinja2")
    factory = pytest.importorskip("gymnasium_robotics.envs.multiagent_mujoco.many_segment_swimmer")
    path = tmp_path / "swimmer.xml"
    factory.gen_asset(2, str(path))
    theirs = mujoco.MjModel.from_xml_path(str(path))
    theirs.opt.timestep = 0.005
    ours = compile_model(ManyAgentSwimmer(2), SpeedLimit(1.0))
    np.testing.assert_allclose(_trajectory(ours, 4, 60), _trajectory(theirs, 4, 60), atol=1e-9)
    longer = compile_model(ManyAgentSwimmer(7), SpeedLimit(1.0))
    assert (longer.nq, longer.nu) == (10, 7)


def test_coupled_cheetahs_share_14_kg_and_a_rope():
    robot = CoupledHalfCheetah()
    model = compile_model(robot, SpeedLimit(1.0))
    assert mujoco.mj_getTotalmass(model) == pytest.approx(14.0)
    data = mujoco.MjData(model)
    data.qpos[robot.angle[SECOND + "rootx"]] = 1.5
    mujoco.mj_forward(model, data)
    assert data.ten_length[0] == pytest.approx(2.5)  # 1.5 ahead, 2 aside.
    # Beyond 3.5 m the rope pulls the one back and the other on.
    data.qpos[robot.angle[SECOND + "rootx"]] = 4.0
    mujoco.mj_forward(model, data)
    assert data.qacc[robot.speed["rootx"]] > 1.0 > -1.0 > data.qacc[robot.speed[SECOND + "rootx"]]


def _centre(x):
    """The documented centre line, with a straight entry."""
    pieces = [x < 0, x < 20, x < 60, x < 100]
    return np.select(pieces, [0.0, SLOPE * x, SLOPE * (40 - x), SLOPE * (x - 80)], 20 * SLOPE)


@pytest.mark.parametrize(("task", "half_width"), [("ant", 5.0), ("many_agent_ant", 4.5)])
def test_walls_stand_where_documented_without_gaps(task, half_width):
    model = MujocoVectorEnv(1, task=task).model
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    for x in np.linspace(-40.0, 150.0, 191) + 0.37:
        for sign in (1.0, -1.0):
            name, distance = physics.ray(model, data, [x, _centre(x), 1.2], [0.0, sign, 0.0])
            assert name.startswith("wall_upper" if sign > 0 else "wall_lower"), x
            # To the near face of a wall 2 cm thick.
            assert distance == pytest.approx(half_width - 0.01 * math.hypot(1, SLOPE), abs=0.01)


def test_walls_hold():
    env = MujocoVectorEnv(1, task="ant")
    env.reset(0)
    state = env.get_state()
    at = 1 + env.model.nq
    state["state"][0, 1:3] = [-10.0, 3.5]
    state["state"][0, at + 1] = 8.0  # Thrown at the upper wall.
    env.set_state(state)
    highest = -np.inf
    for _ in range(40):
        step = env.step(physics.stand(env))
        if step.ending is not None:
            break
        highest = max(highest, step.info["position"][0, 0, 1])
    assert 4.0 < highest < 5.0


def test_the_obstacle_keeps_the_documented_schedule():
    env = MujocoVectorEnv(1, task="half_cheetah", threshold=1e-6)
    env.reset(0)
    physics.place(env, obstacle=0.0, rootx=-500.0)  # Out of each other's way.
    speed_at = 1 + env.model.nq + int(env.model.joint("obstacle").dofadr[0])
    state = env.get_state()
    state["state"][0, speed_at] = 0.0
    env.set_state(state)
    assert env.hazard.positions(env._simulator.moment())[0] == 10.0
    places, speeds = [], []
    for _ in range(1000):
        env.step(physics.stand(env))
        moment = env._simulator.moment()
        if moment.time[0] == 0.0:
            break
        places.append(env.hazard.positions(moment)[0])
        speeds.append(env.hazard.speeds(moment)[0])

    def motion(t, state):
        return [state[1], (120.0 * (0.02 * math.sin(t / 3) ** 2 - 0.004) - 0.2 * state[1]) / 0.1]

    # The box itself weighs next to nothing beside the armature.
    times = 0.05 * np.arange(1, len(places) + 1)
    truth = solve_ivp(motion, (0, times[-1]), [10.0, 0.0], t_eval=times, rtol=1e-8, max_step=0.05).y
    np.testing.assert_allclose(places, truth[0], atol=0.3)
    settled = slice(200, 200 + 3 * 188)
    np.testing.assert_allclose(speeds[settled], truth[1][settled], atol=0.15)
    assert np.min(speeds[settled]) == pytest.approx(-2.1, abs=0.1)
    assert np.max(speeds[settled]) == pytest.approx(9.3, abs=0.1)
    # Over whole periods of 3 pi seconds: the mean force over the damping.
    assert np.mean(speeds[settled]) == pytest.approx(120.0 * (0.01 - 0.004) / 0.2, abs=0.05)
