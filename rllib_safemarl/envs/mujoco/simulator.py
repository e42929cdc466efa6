"""N copies of one model, stepped by one call into MuJoCo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.mujoco.assets import need_mujoco

if TYPE_CHECKING:
    import mujoco

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Moment:
    """N copies at one moment, as views of their states.

    Attributes:
        time: ``[N]`` seconds since the start of the episode.
        qpos: ``[N, nq]`` MuJoCo's positions: metres, radians, quaternions.
        qvel: ``[N, nv]`` velocities.
    """

    time: Array
    qpos: Array
    qvel: Array


@dataclass(frozen=True)
class Passage:
    """One control step of N copies.

    Attributes:
        after: where it ended.
        seconds: how long it took.
        points: the robot's points before and after it, ``[N, S, 2]`` each, metres.
        sensed: the sensors before and after it, ``[N, nsensordata]`` each.
    """

    after: Moment
    seconds: float
    points: tuple[Array, Array]
    sensed: tuple[Array, Array]


class Simulator:
    """N copies of one model.

    Each control step starts the solver cold, so that a copy's future depends on its state alone: not on the
    copies beside it, the number of threads, or what was simulated before. Where physics diverge, a copy keeps
    the state from before.

    Args:
        model: the compiled model.
        num_copies: N.
        frame_skip: physics steps per control step.
        threads: of ``mujoco.rollout``; 1 runs in the calling thread.

    Attributes:
        state: ``[N, 1 + nq + nv]`` time, positions and velocities.
        sensors: ``[N, nsensordata]`` as of the start of the last physics step.
    """

    def __init__(self, model: mujoco.MjModel, num_copies: int, frame_skip: int, threads: int = 1) -> None:
        mujoco = need_mujoco()
        self.model = model
        self.num_copies = num_copies
        self.frame_skip = frame_skip
        size = 1 + model.nq + model.nv
        if mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS) != size:
            raise ValueError("a model with activations or plugins has more state than is kept here")
        self.seconds = frame_skip * float(model.opt.timestep)
        self.state = np.zeros((num_copies, size))
        self.sensors = np.zeros((num_copies, model.nsensordata))
        pool = 0 if threads == 1 else threads
        self._rollout = mujoco.rollout.Rollout(nthread=pool)
        self._data = [mujoco.MjData(model) for _ in range(threads)]
        self._models = [model] * num_copies
        self._controls = np.zeros((num_copies, frame_skip, model.nu))
        self._states = np.zeros((num_copies, frame_skip, size))
        self._sensors = np.zeros((num_copies, frame_skip, model.nsensordata))
        self._what = int(mujoco.mjtState.mjSTATE_CTRL)

    def moment(self) -> Moment:
        """The present; views of ``state``, which the next step replaces and never changes."""
        nq = self.model.nq
        return Moment(self.state[:, 0], self.state[:, 1 : 1 + nq], self.state[:, 1 + nq :])

    def advance(self, control: Array) -> NDArray[np.bool_]:
        """Hold ``control [N, nu]`` for one control step; returns ``[N]`` copies whose physics diverged."""
        self._controls[:] = control[:, None]
        before = self.state
        self._rollout.rollout(
            self._models,
            self._data,
            control=self._controls,
            control_spec=self._what,
            skip_checks=True,
            nstep=self.frame_skip,
            initial_state=before,
            state=self._states,
            sensordata=self._sensors,
        )
        self.state = self._states[:, -1].copy()
        self.sensors = self._sensors[:, -1].copy()
        # A copy that diverges stops there, short of the time it should reach.
        reached = self.state[:, 0] - before[:, 0]
        diverged = ~(
            np.isfinite(self.state).all(1) & (reached > self.seconds - 0.5 * self.model.opt.timestep)
        )
        if diverged.any():
            self.state[diverged] = before[diverged]
            self.sensors[diverged] = 0.0
        return diverged

    def place(self, copies: NDArray[np.intp], qpos: Array, qvel: Array) -> None:
        """Start the given copies at time 0."""
        state = self.state.copy()
        state[copies] = np.concatenate([np.zeros((len(copies), 1)), qpos, qvel], 1)
        self.state = state
        self.sensors[copies] = 0.0

    def sense(self, copies: NDArray[np.intp]) -> None:
        """Read the sensors of the given copies where they stand."""
        mujoco, data = need_mujoco(), self._data[0]
        for copy in copies:
            mujoco.mj_resetData(self.model, data)
            mujoco.mj_setState(self.model, data, self.state[copy], mujoco.mjtState.mjSTATE_FULLPHYSICS)
            mujoco.mj_forward(self.model, data)
            self.sensors[copy] = data.sensordata

    def close(self) -> None:
        """End the threads."""
        self._rollout.close()
