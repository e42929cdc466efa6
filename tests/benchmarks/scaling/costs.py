"""Measures the costs of the model, each in CPU-seconds of the process that pays it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ray import cloudpickle
from ray.rllib.core import COMPONENT_RL_MODULE
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME, WEIGHTS_SEQ_NO

from tests.benchmarks.scaling.jobs import StandIn, job, keep_runners, set_runners
from tests.benchmarks.scaling.model import Costs

REPEATS = 5
RUNNER_STEPS = (10, 50, 100, 200)
"""Steps per copy of requests to an env runner."""
LEARNER_STEPS = (50, 200)
"""Steps per copy of updates, of each learner's share."""
STAND_INS = ((10, (2, 10, 30, 100, 300, 1000)), (100, (2, 10, 30, 100)))
"""Steps per copy of a share, and how many runners send one."""


@dataclass(frozen=True)
class DriverRow:
    """The driver's iteration without its update.

    Attributes:
        runners: that answered.
        bytes: of all shares.
        seconds: of the driver's CPU.
    """

    runners: int
    bytes: int
    seconds: float


def cpu_seconds(work: Callable[[], Any], repeats: int = REPEATS) -> float:
    """Median CPU-seconds of this process, after one warm-up."""
    taken = []
    for _ in range(repeats + 1):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return statistics.median(taken[1:])


def line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Intercept and slope, at least 0, of the line with the smallest relative errors."""
    return tuple(plane([[1.0, each] for each in x], y))


def plane(rows: Sequence[Sequence[float]], y: Sequence[float]) -> list[float]:
    """Coefficients, at least 0, with the smallest squared relative errors."""
    from scipy.optimize import nnls

    weight = 1.0 / np.asarray(y, float)
    scaled = np.asarray(rows, float) * weight[:, None]
    size = np.abs(scaled).max(0)
    return (nnls(scaled / size, np.ones(len(y)))[0] / size).tolist()


def shipped_bytes(value: Any) -> int:
    """Bytes of a value as it travels: its pickle, and the arrays beside it."""
    buffers: list[Any] = []
    head = cloudpickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return len(head) + sum(buffer.raw().nbytes for buffer in buffers)


def runner_costs() -> dict[str, float]:
    """An env runner's, in this process: weights in, sampling, and packing the share."""
    algo = job(RUNNER_STEPS[0]).build_algo()
    runner, weights = algo.env_runner, algo.weights()
    copies, sizes, seconds = runner.env.num_copies, [], []
    for steps in RUNNER_STEPS:

        def answer(steps: int = steps) -> int:
            runner.set_state({name: weights[name] for name in (COMPONENT_RL_MODULE, WEIGHTS_SEQ_NO)})
            (batch,) = runner.sample(num_timesteps=steps * copies)
            return shipped_bytes((batch, runner.get_metrics()))

        seconds.append(cpu_seconds(answer))
        sizes.append(answer())
    algo.stop()
    env_steps = [steps * copies for steps in RUNNER_STEPS]
    (request, step), (share_bytes, step_bytes) = line(env_steps, seconds), line(env_steps, sizes)
    weight_bytes = shipped_bytes(weights[COMPONENT_RL_MODULE])
    return {
        "step": step,
        "request": request,
        "step_bytes": step_bytes,
        "share_bytes": share_bytes,
        "weight_bytes": weight_bytes,
    }


def driver_rows(repeats: int = 3) -> list[DriverRow]:
    """Whole iterations of the driver but for the update, while two actors answer for all env runners."""
    config = job(STAND_INS[0][0], runners=2).env_runners(env_runner_cls=StandIn)
    # Two answer under two names: RLlib must not take the others for lost.
    algo = config.fault_tolerance(restart_failed_env_runners=False).build_algo()
    algo.train()
    algo.learner_group.update = lambda **_: []
    manager, rows = algo.env_runner_group._worker_manager, []
    actors = list(manager._actors.values())
    for steps, numbers in STAND_INS:
        set_runners(algo, copy_steps=steps, kept=None)
        algo.train()
        share = _share_bytes(algo)
        for runners in numbers:
            keep_runners(algo, runners)
            manager.add_actors([actors[i % 2] for i in range(runners - manager.num_actors())])
            rows.append(DriverRow(runners, share * runners, cpu_seconds(algo.train, repeats)))
        keep_runners(algo, 2)
    algo.stop()
    return rows


def _share_bytes(algo: Any) -> int:
    (share, _) = algo.env_runner_group.foreach_env_runner(lambda runner: runner.kept, local_env_runner=False)
    return shipped_bytes(share)


def driver_costs(rows: Sequence[DriverRow]) -> dict[str, float]:
    """Per iteration, runner, pair of runners and byte, from what iterations took."""
    factors = [[1.0, row.runners, row.runners**2, row.bytes] for row in rows]
    fixed, call, pair, byte = plane(factors, [row.seconds for row in rows])
    return {"iteration": fixed, "call": call, "pair": pair, "byte": byte}


def local_learner_costs() -> dict[str, float]:
    """Of an update in the driver."""
    algo = job(LEARNER_STEPS[0]).build_algo()
    steps, seconds = [], []
    for batch in _batches(algo, 1):
        steps.append(batch.env_steps())
        seconds.append(cpu_seconds(lambda batch=batch: _update(algo, batch)))
    algo.stop()
    update, update_step = line(steps, seconds)
    return {"update": update, "update_step": update_step}


def remote_learner_costs(learners: int) -> dict[str, float]:
    """Of an update by so many processes, with what they sum among themselves and what the driver hands on."""
    algo = job(LEARNER_STEPS[0], learners=learners).env_runners(num_envs_per_env_runner=16 * learners)
    algo = algo.build_algo()
    algo.learner_group.foreach_learner(_count_reductions)
    steps, sizes, there, here, sums = [], [], [], [], []
    for batch in _batches(algo, learners):
        steps.append(batch.env_steps() / learners)
        sizes.append(shipped_bytes(batch))
        before = _learner_figures(algo)
        here.append(cpu_seconds(lambda batch=batch: _update(algo, batch)))
        there.append((_learner_figures(algo) - before) / (REPEATS + 1))
    algo.stop()
    seconds, messages, summed = np.array(there).T
    (update, update_step), (fixed, shard_byte) = line(steps, seconds), line(sizes, here)
    costs = {"update": update + fixed, "update_step": update_step, "shard_byte": shard_byte}
    if learners == 1:
        return costs
    reductions, reductions_step = line(steps, messages)
    sums = float((summed / messages).mean())
    return {**costs, "reductions": reductions, "reductions_step": reductions_step, "message_bytes": sums}


def _batches(algo: Any, learners: int) -> list[Any]:
    copies = algo.env_runner.env.num_copies
    return [algo.env_runner.sample(num_timesteps=steps * copies)[0] for steps in LEARNER_STEPS]


def _update(algo: Any, batch: Any) -> None:
    algo.learner_group.update(training_data=algo._shard(batch), timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: 0})


def _learner_figures(algo: Any) -> np.ndarray:
    """CPU-seconds, all-reduces and their bytes so far, means over learners."""
    answers = algo.learner_group.foreach_learner(_figures)
    return np.mean([answer.get() for answer in answers], 0)


def _figures(learner: Any) -> list[float]:
    return [time.process_time(), *learner.counted]


def _count_reductions(learner: Any) -> None:
    """Have a learner count its all-reduces and their bytes."""
    import torch.distributed as dist

    plain, learner.counted = dist.all_reduce, [0, 0]

    def counted(tensor: Any, *args: Any, **kwargs: Any) -> Any:
        learner.counted[0] += 1
        learner.counted[1] += tensor.numel() * tensor.element_size()
        return plain(tensor, *args, **kwargs)

    dist.all_reduce = counted


def measure(say: Callable[[str], None]) -> dict[str, Any]:
    """All costs with 0, 1 and 2 learners, and the driver's iterations that theirs come from."""
    say("env runner")
    costs = runner_costs()
    say("driver")
    rows = driver_rows()
    costs |= driver_costs(rows)
    say("learners")
    by_learners = {0: local_learner_costs(), 1: remote_learner_costs(1), 2: remote_learner_costs(2)}
    return {
        "costs": {str(k): asdict(Costs(**costs, **mine)) for k, mine in by_learners.items()},
        "driver": [asdict(row) for row in rows],
    }
