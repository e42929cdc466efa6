"""From disk to the learner against the learner alone, and behaviour cloning against RLlib's own.

Generated: 4 agents, 12 observations each, one policy per agent. The learner alone takes the same steps on
batches that lie ready. In memory is an HDF5 file, streamed a folder of Parquet shards through Ray Data. For
RLlib, which knows one agent only, both sides learn from the same rows of one agent. The share is of windows
per second of the clock: what is prepared while the learner learns costs it nothing as long as a core is
idle; per CPU-second of this process, which counts what prepares as well, is printed beside it.
Usage: python tests/benchmarks/offline_pipeline.py
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from harness import finish, ratio, report, start_ray
from offline_columns import EPISODE_STEPS, one_agent, random_dataset, write_for_rllib

from rllib_safemarl.data import read_dataset, write_dataset

ROWS, BATCH, HIDDENS = 400_000, 1024, [64, 64]
SHORT, SHORT_REPEATS = 50, 41
"""Batches of a round of what is in memory: rounds as short as noise of other programs asks for."""
LONG, LONG_REPEATS = 200, 9
"""Batches of a round of what is streamed: more than a pool of windows."""
SETTLING = 1 + (1 << 17) // BATCH
"""Batches before such a round: Ray Data starts, and what it reads ahead of the first batch is used up."""

Rates = dict[str, list[float]]
Side = tuple[Callable[[], Any], Callable[[], float]]
"""What is done before a round, not measured, and the round."""


def measure(sides: Mapping[str, Side], repeats: int) -> tuple[Rates, Rates]:
    """Units per second of the clock and per CPU-second of this process, A B B A …, after one warm-up."""
    clock: Rates = {name: [] for name in sides}
    cpu: Rates = {name: [] for name in sides}
    for repeat in range(-1, repeats):
        # Neither side always comes after the other.
        for name, (before, work) in list(sides.items())[:: 1 if repeat % 2 else -1]:
            before()
            started = time.perf_counter(), time.process_time()
            units = work()
            if repeat >= 0:
                clock[name].append(units / (time.perf_counter() - started[0]))
                cpu[name].append(units / (time.process_time() - started[1]))
    return clock, cpu


def _nothing() -> None:
    """Before a round that needs no preparation."""


def _show(title: str, unit: str, rates: tuple[Rates, Rates]) -> None:
    report(title, f"{unit} per second", rates[0])
    report(title, f"{unit} per CPU-second of this process", rates[1])


def _cloning(path: Path, **offline: Any) -> Any:
    from rllib_safemarl.algorithms import MABCConfig

    return (
        MABCConfig()
        .offline_data(input_=str(path), dataset_num_iters_per_learner=LONG, **offline)
        .training(train_batch_size_per_learner=BATCH, kappa=0)
        .rl_module(model_config={"fcnet_hiddens": HIDDENS})
        .debugging(seed=0)
        .build_algo()
    )


def _stock(path: Path) -> Any:
    import gymnasium as gym
    import numpy as np
    from offline_columns import ACTIONS, OBSERVATIONS
    from ray.rllib.algorithms.bc import BCConfig

    return (
        BCConfig()
        .environment(
            observation_space=gym.spaces.Box(-np.inf, np.inf, (OBSERVATIONS,), np.float32),
            action_space=gym.spaces.Box(-1.0, 1.0, (ACTIONS,), np.float32),
        )
        # Its two actors would hold both CPUs, and reading, which needs one more, would never begin.
        .offline_data(
            input_=[str(path)],
            dataset_num_iters_per_learner=LONG,
            map_batches_kwargs={"concurrency": 1},
        )
        .training(train_batch_size_per_learner=BATCH, lr=1e-3)
        .rl_module(model_config={"fcnet_hiddens": HIDDENS})
        .build_algo()
    )


def _update(algo: Any, batches: int) -> float:
    """One portion to the learner, as ``training_step()`` hands it."""
    (portion,) = algo.offline_data.sample(batches)
    algo.learner_group._learner.update(batch=portion, timesteps={"num_env_steps_sampled_lifetime": 0})
    return batches * BATCH


def _alone(path: Path) -> Any:
    """An algorithm whose learner finds its batches ready."""
    algo = _cloning(path)
    learner = algo.learner_group._learner
    (portion,) = algo.offline_data.sample(LONG)
    stream = learner._open(portion)
    batches = list(stream.take(portion.position, portion.count))
    stream.close()
    learner._open = lambda portion: SimpleNamespace(take=lambda position, count: iter(batches[:count]))
    return algo


def _train(algo: Any) -> float:
    """Rows learned from in one ``train()``."""
    results = algo.train()["learners"]["__all_modules__"]
    steps = results["num_env_steps_trained_lifetime"]
    before, algo.rows_before = getattr(algo, "rows_before", 0), steps
    return float(steps - before)


def main() -> None:
    """Measure and print."""
    start_ray()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dataset(random_dataset(ROWS // EPISODE_STEPS), folder / "rows.h5")
        ratios = {**in_memory(folder), **streamed(folder), **against_rllib(folder)}
    print(f"\nload of the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs\n")
    finish(**ratios)


def in_memory(folder: Path) -> dict[str, float]:
    """The learner's share of its own rate where the dataset is in memory."""
    alone, piped = _alone(folder / "rows.h5"), _cloning(folder / "rows.h5")
    sides = {
        "learner alone": (_nothing, lambda: _update(alone, SHORT)),
        "HDF5 in memory": (_nothing, lambda: _update(piped, SHORT)),
    }
    rates = measure(sides, SHORT_REPEATS)
    _show("4 agents, from memory to the learner", "windows", rates)
    _stop(alone, piped)
    over, under = reversed(sides)
    return {
        "share_of_learner_rate": ratio(rates[0], over, under),
        "share_per_cpu_second": ratio(rates[1], over, under),
    }


def streamed(folder: Path) -> dict[str, float]:
    """The same where the dataset is read by Ray Data again and again."""
    shards = write_dataset(read_dataset(folder / "rows.h5"), folder / "shards", shard_bytes=16 << 20)
    alone, piped = _alone(folder / "rows.h5"), _cloning(shards, in_memory_bytes=0)
    sides = {
        # Ray Data's threads in this process run on while nothing is taken from them.
        "learner alone": (lambda: _close(piped), lambda: _update(alone, LONG)),
        "Parquet, streamed": (lambda: _update(piped, SETTLING), lambda: _update(piped, LONG)),
    }
    rates = measure(sides, LONG_REPEATS)
    _show("4 agents, from disk to the learner", "windows", rates)
    _stop(alone, piped)
    return {"share_streamed": ratio(rates[0], *reversed(sides))}


def against_rllib(folder: Path) -> dict[str, float]:
    """Ours and RLlib's ``train()`` on the rows of one agent."""
    rows = one_agent(read_dataset(folder / "rows.h5"))
    ours = _cloning(write_dataset(rows, folder / "one.h5"))
    stock = _stock(write_for_rllib(rows, folder / "rllib"))
    sides = {"MABC": (_nothing, lambda: _train(ours)), "RLlib's BC": (_nothing, lambda: _train(stock))}
    rates = measure(sides, LONG_REPEATS)
    _show("train() on the rows of one agent", "rows", rates)
    _stop(ours, stock)
    return {"vs_rllib_bc": ratio(rates[0], *sides), "vs_rllib_bc_cpu": ratio(rates[1], *sides)}


def _close(algo: Any) -> None:
    """Stop what reads ahead; the next update starts it again."""
    stream = algo.learner_group._learner._stream
    if stream is not None:
        stream.close()


def _stop(*algos: Any) -> None:
    for algo in algos:
        algo.stop()


if __name__ == "__main__":
    main()
