"""Steps of our vectorised MuJoCo environments against bare ``mj_step`` of the same models.

    python tests/benchmarks/mujoco_stepping.py [TASK_PARTITION ...]

Both sides simulate 32 copies in episodes of 100 steps under the same random controls; bare means setting the
controls and calling ``mj_step`` for the frame skip, without observation, reward or cost. Where
gymnasium-robotics has the body, its own environment (no walls, no costs) is a third side. Last, two threads
against one, by the clock, which only an idle machine answers.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import mujoco
import numpy as np
from harness import finish, in_turn, ratio, report

from rllib_safemarl.envs.mujoco import MujocoVectorEnv

COPIES = 32
EPISODE = 100
STEPS = {"half_cheetah": 100, "coupled_half_cheetah": 100}
"""Steps of all copies in a measurement; elsewhere 25."""
TASKS = (
    ("half_cheetah", "2x3"),
    ("half_cheetah", "6x1"),
    ("coupled_half_cheetah", "12x1"),
    ("ant", "4x2"),
    ("many_agent_ant", "6x1"),
)
PEERS = {
    ("half_cheetah", "2x3"): "HalfCheetah",
    ("half_cheetah", "6x1"): "HalfCheetah",
    ("ant", "4x2"): "Ant",
}
THREADED = (("half_cheetah", "2x3"), ("ant", "4x2"), ("many_agent_ant", "6x1"))


def ours(task: str, partition: str, threads: int = 1) -> Callable[[], float]:
    """Random actions in all copies."""
    env = MujocoVectorEnv(COPIES, task=task, partition=partition, time_limit=EPISODE, threads=threads)
    env.reset(0)
    rng = np.random.default_rng(0)
    shapes = {kind.name: (COPIES, len(kind.agents), *kind.action_space.shape) for kind in env.kinds}
    actions = [{k: rng.uniform(-1, 1, shape) for k, shape in shapes.items()} for _ in range(50)]

    def work() -> float:
        steps = STEPS.get(task, 25)
        for t in range(steps):
            env.step(actions[t % 50])
        return steps * COPIES

    return work


def bare(task: str, partition: str) -> Callable[[], float]:
    """The same model and starts, nothing but physics."""
    env = MujocoVectorEnv(COPIES, task=task, partition=partition)
    env.reset(0)
    model, skip, nq = env.model, env.robot.frame_skip, env.model.nq
    starts = env.get_state()["state"]
    copies = [mujoco.MjData(model) for _ in range(COPIES)]
    controls = np.random.default_rng(0).uniform(-1, 1, (50, COPIES, model.nu))
    if env.hazard.control(np.zeros(1)) is not None:
        controls[..., -1] = 0.004
    clock = {"t": 0}

    def work() -> float:
        steps = STEPS.get(task, 25)
        for t in range(steps):
            if clock["t"] % EPISODE == 0:
                for data, start in zip(copies, starts, strict=True):
                    mujoco.mj_resetData(model, data)
                    data.qpos[:], data.qvel[:] = start[1 : 1 + nq], start[1 + nq :]
            clock["t"] += 1
            for n, data in enumerate(copies):
                data.ctrl[:] = controls[t % 50, n]
                mujoco.mj_step(model, data, skip)
        return steps * COPIES

    return work


def peer(name: str, partition: str) -> Callable[[], float] | None:
    """One copy of gymnasium-robotics' environment, or ``None`` where it does not run."""
    try:
        from gymnasium_robotics import mamujoco_v1

        env = mamujoco_v1.parallel_env(scenario=name, agent_conf=partition, agent_obsk=0)
        env.reset(seed=0)
    except Exception as error:
        print(f"gymnasium-robotics {name} {partition} does not run: {type(error).__name__}: {error}")
        return None
    rng = np.random.default_rng(0)
    actions = [
        {agent: rng.uniform(-1, 1, env.action_space(agent).shape) for agent in env.possible_agents}
        for _ in range(50)
    ]

    def work() -> float:
        steps = 10 * STEPS.get(name, 25)
        for t in range(steps):
            _, _, terminated, truncated, _ = env.step(actions[t % 50])
            if any(terminated.values()) or any(truncated.values()) or t % EPISODE == EPISODE - 1:
                env.reset()
        return steps

    return work


def threads_ratio(task: str, partition: str, repeats: int = 5) -> float:
    """Rate by the clock of two threads over one."""
    sides = {threads: ours(task, partition, threads) for threads in (1, 2)}
    rates: dict[int, list[float]] = {1: [], 2: []}
    for repeat in range(-1, repeats):
        for threads, work in sides.items():
            started = time.perf_counter()
            units = work()
            if repeat >= 0:
                rates[threads].append(units / (time.perf_counter() - started))
    return statistics.median(two / one for one, two in zip(rates[1], rates[2], strict=True))


def main() -> None:
    """All tasks, or those named."""
    wanted = set(sys.argv[1:])
    ratios: dict[str, float] = {}
    for task, partition in TASKS:
        name = f"{task}_{partition}"
        if wanted and name not in wanted:
            continue
        sides = {"ours": ours(task, partition), "bare mj_step": bare(task, partition)}
        other = peer(PEERS[task, partition], partition) if (task, partition) in PEERS else None
        if other is not None:
            sides["gymnasium-robotics"] = other
        rates = in_turn(sides)
        report(f"{task} {partition}", "env steps per CPU-second", rates)
        ratios[name] = ratio(rates, "ours", "bare mj_step")
        if other is not None:
            ratios[f"{name}_vs_gymnasium_robotics"] = ratio(rates, "ours", "gymnasium-robotics")
    for task, partition in THREADED:
        if not wanted or f"{task}_{partition}" in wanted:
            ratios[f"{task}_{partition}_two_threads"] = threads_ratio(task, partition)
    finish(**ratios)


if __name__ == "__main__":
    main()
