"""`safemarl/mujoco`: one body, moved by several agents, that must keep out of danger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.mujoco.config import MujocoConfig
from rllib_safemarl.envs.mujoco.legacy import replay
from rllib_safemarl.envs.mujoco.models import ContactForces, compile_model
from rllib_safemarl.envs.mujoco.observing import JointObserver, own_points
from rllib_safemarl.envs.mujoco.partitions import agent_hops
from rllib_safemarl.envs.mujoco.simulator import Moment, Passage, Simulator
from rllib_safemarl.envs.mujoco.starts import Starts
from rllib_safemarl.envs.mujoco.tasks import TASKS
from rllib_safemarl.envs.vector import AgentGraph, Ending, Float, Kind, Observation, Step, VectorEnv
from rllib_safemarl.errors import SafeMARLError

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]


class MujocoVectorEnv(VectorEnv):
    """N copies of a task of Safe multi-agent MuJoCo.

    An agent acts on its joints' motors by numbers in ``[-1, 1]``, clipped there, of the motor's range.
    All get the same reward, that of the body; the cost is 1 in a step that ends in danger.

    Attributes:
        config: the settings.
        model: the compiled MuJoCo model.
        robot: the body.
        hazard: the danger.
        parts: joints of every agent.
        step_seconds: duration of a step, seconds.
    """

    def __init__(self, num_copies: int = 1, **settings: Any) -> None:
        self.config = config = MujocoConfig.from_dict(settings)
        task, label = TASKS[config.task], config.partition or ""
        self.num_copies = num_copies
        self.time_limit: int = config.time_limit
        self.robot, self.hazard = task.robot(label), task.hazard(config.threshold or task.threshold(label))
        published = replay(config.task, label, self.robot) if config.legacy else None
        if published is not None:
            self.hazard = published.hazard
        self.model = compile_model(self.robot, self.hazard)
        self.step_seconds = float(self.model.opt.timestep) * self.robot.frame_skip
        self.parts = published.parts if published else self.robot.parts(config.task, label)
        self.possible_agents = tuple(f"agent_{i}" for i in range(len(self.parts)))
        self.cost_names = (self.hazard.cost_name,)
        self._graph = AgentGraph(agent_hops(self.parts, self.robot.edges, config.graph))
        sizes = (int(self.model.nq), int(self.model.nv))
        if published is None:
            self._observer: Any = JointObserver(
                self.robot, self.hazard, self.parts, self.possible_agents, sizes
            )
        else:
            self._observer = published.observer(self.possible_agents)
            self._observer.measure(Moment(np.zeros(1), np.zeros((1, sizes[0])), np.zeros((1, sizes[1]))))
        self.kinds: tuple[Kind, ...] = self._observer.kinds
        self._blame = self._blamed_points()
        own = own_points(self.robot, self.parts)
        self._shares = own / own.sum(1, keepdims=True)
        self._motors = self._motor_order()
        self._control_scale = np.asarray(self.model.actuator_ctrlrange)[:, 1].copy()
        self._contacts = ContactForces(self.model) if self.robot.reward.contact else None
        self._simulator = Simulator(self.model, num_copies, self.robot.frame_skip, config.threads)
        self._starts = Starts(self.model, self.robot)
        self._seed = 0
        self._steps = np.zeros(num_copies, np.int64)
        self._episodes = np.zeros(num_copies, np.int64)
        self._least_margins = np.full(num_copies, np.inf)
        self._all_active = np.ones((num_copies, self.num_agents), bool)
        self._placed: tuple[Array, Array] | None = None
        self._renderer: Any = None

    def _blamed_points(self) -> Bool:
        """``[A, S]`` the points in danger of which an agent is told."""
        blame = own_points(self.robot, self.parts)
        if self.config.cost == "team":
            return np.ones_like(blame)
        if self.robot.num_points == 1:
            raise SafeMARLError(
                f"safemarl/mujoco: {self.config.task} has no parts to blame apart; leave cost: team."
            )
        return blame

    def _motor_order(self) -> dict[str, NDArray[np.intp]]:
        """Kind → ``[A_kind, D]`` which motor each action moves."""
        motor_of = {int(joint): i for i, joint in enumerate(self.model.actuator_trnid[:, 0])}
        of_joint = {name: motor_of[self.model.joint(name).id] for part in self.parts for name in part}
        return {
            kind.name: np.array([[of_joint[joint] for joint in self.parts[i]] for i in kind.agents])
            for kind in self.kinds
        }

    def graph(self) -> AgentGraph:
        """Static, see ``MujocoConfig.graph``."""
        return self._graph

    @property
    def seconds(self) -> float:
        """Duration of a step."""
        return self._simulator.seconds

    # Episodes.

    def reset(self, seed: int) -> Observation:
        """Start every copy's first episode."""
        self._seed = int(seed)
        self._episodes[:] = 0
        self._start(np.arange(self.num_copies))
        return self._observe()

    def _start(self, copies: NDArray[np.intp]) -> None:
        qpos, qvel = self._starts(self._seed, copies, self._episodes[copies])
        self._simulator.place(copies, qpos, qvel)
        if self.robot.senses_start:
            self._simulator.sense(copies)
        self._steps[copies] = 0
        self._episodes[copies] += 1
        self._least_margins[copies] = np.inf

    def step(self, actions: Mapping[str, NDArray]) -> Step:
        """Hold the controls for one step of the environment."""
        sensed, points = self._simulator.sensors, self._points()
        wanted, control = self._controls(actions)
        diverged = self._simulator.advance(control)
        after = self._simulator.moment()
        both = points, self._points()
        passage = Passage(after, self.seconds, both, (sensed, self._simulator.sensors))
        reward, fallen = self._reward(passage, wanted), self._fallen(after)
        if diverged.any():
            reward, fallen = np.where(diverged, 0.0, reward), fallen | diverged
        margin = self._margins(passage)
        self._steps += 1
        truncated = (self._steps >= self.time_limit) & ~fallen
        observation = Observation(self._observer(after, both[1]))
        info = {"margin": margin, "position": self._positions(both[1])}
        cost = self._cost(margin, fallen)
        ended, ending = fallen | truncated, None
        if ended.any():
            copies = np.flatnonzero(ended)
            ending = self._end(copies, observation, fallen)
            self._start(copies)
            observation = self._observe()
        return Step(
            observation=observation,
            reward=self._of_all(reward, np.float32),
            cost=cost[..., None],
            terminated=self._of_all(fallen, bool),
            truncated=truncated,
            active=self._all_active,
            ending=ending,
            info=info,
        )

    def _points(self) -> Array:
        """``[N, S, 2]`` the robot's points as the copies stand; looked up once for each state."""
        state = self._simulator.state
        if self._placed is None or self._placed[0] is not state:
            self._placed = state, self.robot.points(self._simulator.moment())
        return self._placed[1]

    def _of_all(self, team: NDArray, kind: type) -> NDArray:
        """A team's ``[N]`` as every agent's ``[N, A]``."""
        each: NDArray = np.empty((self.num_copies, self.num_agents), kind)
        each[:] = team[:, None]
        return each

    def _controls(self, actions: Mapping[str, NDArray]) -> tuple[Array, Array]:
        """What the reward charges, and what the motors get ``[N, nu]``."""
        wanted = np.zeros((self.num_copies, self.model.nu))
        for kind, motors in self._motors.items():
            wanted[:, motors] = actions[kind]
        if not np.isfinite(wanted).all():
            raise SafeMARLError("safemarl/mujoco: an action is not a finite number; has the policy diverged?")
        control = np.minimum(np.maximum(wanted, -1.0), 1.0) * self._control_scale
        charged = wanted * self._control_scale if self.config.legacy else control.copy()
        own = self.hazard.control(self._simulator.moment().time)
        if own is not None:
            control[:, -1] = own
        return charged, control

    def _reward(self, passage: Passage, charged: Array) -> Array:
        """``[N]`` the body's."""
        weights = self.robot.reward
        speed = self.robot.forward_speed(passage)
        reward = weights.forward * speed + weights.alive - weights.control * (charged**2).sum(1)
        if self._contacts is not None:
            forces = self._contacts(passage.sensed[1])
            if np.isfinite(weights.contact_clip):
                forces = np.clip(forces, -weights.contact_clip, weights.contact_clip)
            reward -= np.minimum(weights.contact * (forces**2).sum((1, 2)), weights.contact_most)
        return reward

    def _fallen(self, moment: Moment) -> Bool:
        healthy = self.robot.healthy(moment)
        return np.zeros(self.num_copies, bool) if healthy is None else ~healthy

    def _margins(self, passage: Passage) -> Float:
        """``[N, A]`` the least of the points that count for an agent."""
        margins = self.hazard.margins(self.robot, passage)
        if self.config.cost == "team":
            least = self._of_all(margins.min(1), np.float64)
        else:
            least = np.where(self._blame, margins[:, None], np.inf).min(2)
        np.minimum(self._least_margins, least.min(1), out=self._least_margins)
        return least.astype(np.float32)

    def _cost(self, margin: Float, fallen: Bool) -> Float:
        danger = margin < 0.0
        if self.hazard.falls_cost:
            danger = danger | fallen[:, None]
        return danger.astype(np.float32)

    def _positions(self, points: Array) -> Float:
        """``[N, A, 2]`` mean of every agent's points, metres."""
        if points.shape[1] == 1:
            positions = np.empty((self.num_copies, self.num_agents, 2), np.float32)
            positions[:] = points
            return positions
        return (self._shares @ points).astype(np.float32)

    def _observe(self) -> Observation:
        return Observation(self._observer(self._simulator.moment(), self._points()))

    def _end(self, copies: NDArray[np.intp], last: Observation, fallen: Bool) -> Ending:
        metrics = {
            "distance": self._points()[copies, 0, 0].astype(np.float32),
            "fallen": fallen[copies].astype(np.float32),
            "least_margin": self._least_margins[copies].astype(np.float32),
        }
        values = {name: value[copies] for name, value in last.values.items()}
        return Ending(copies, Observation(values), metrics)

    # State and pictures.

    def get_state(self) -> dict[str, Any]:
        """Time, positions and velocities of every copy, clocks and the seed."""
        arrays = {name: np.copy(getattr(self, name)) for name in _STATE}
        simulated = {"state": self._simulator.state.copy(), "sensors": self._simulator.sensors.copy()}
        return {**arrays, **simulated, "_seed": self._seed}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where :meth:`get_state` was taken."""
        for name in _STATE:
            setattr(self, name, np.array(state[name]))
        self._simulator.state = np.array(state["state"])
        self._simulator.sensors = np.array(state["sensors"])
        self._seed = int(state["_seed"])

    def render(self, copy: int = 0) -> NDArray[np.uint8]:
        """An RGB picture of one copy from a camera that goes along; red is in danger."""
        from rllib_safemarl.envs.mujoco.render import SceneRenderer

        if self._renderer is None:
            self._renderer = SceneRenderer(self.model, self.robot, self.hazard)
        return self._renderer(self._simulator.state[copy])

    def close(self) -> None:
        """End the simulation's threads and free what pictures needed."""
        self._simulator.close()
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


_STATE = ("_steps", "_episodes", "_least_margins")
