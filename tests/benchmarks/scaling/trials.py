"""Whole iterations on this machine: of the job itself, and of env runners that sleep, against the model."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from rllib_safemarl.rollout.remote_sampling import RemoteSampling
from tests.benchmarks.scaling.jobs import SLEEPING, Adjustable, job, keep_runners, set_runners
from tests.benchmarks.scaling.model import ROUND_TRIPS

REPEATS = 5
STEP_SECONDS = 0.002
"""Sleep of a copy per step."""
COPY_STEPS = 25
"""Steps of a copy in a share that does not shrink, and of one runner's in a batch that they share."""
SHARED_STEPS = 96
RUNNERS = (1, 2, 4, 6)
LATENCIES = (0.0, 0.1)
"""Seconds of an injected round trip."""
JOB_STEPS = 200
PLACES = ((0, 0), (1, 0), (2, 0), (0, 1), (0, 2))
"""Env runners and learners of the job as it is; 0 is the driver itself."""


@dataclass(frozen=True)
class Trial:
    """Iterations of one kind.

    Attributes:
        runners: remote env runners.
        learners: remote learners.
        steps: env steps of an iteration.
        seconds: of the clock, median.
        least: seconds of the shortest.
        most: seconds of the longest.
        driver: CPU-seconds of the driver, median.
        stretch: seconds of the clock per CPU-second of the update, median; more than 1 where others compute.
        latency: injected seconds of a round trip.
        batch: what shares the steps: ``growing`` with the runners, or ``fixed``.
        overlapped: whether runners did not wait for updates.
    """

    runners: int
    learners: int
    steps: int
    seconds: float
    least: float
    most: float
    driver: float
    stretch: float
    latency: float = 0.0
    batch: str = "growing"
    overlapped: bool = False


def _iterate(algo: Any, repeats: int = REPEATS, **about: Any) -> Trial:
    """Some iterations, after one to warm up."""
    taken, driver, steps = [], [], 0
    updates = _time_updates(algo)
    for _ in range(repeats + 1):
        started = time.perf_counter(), time.process_time()
        results = algo.train()
        taken.append(time.perf_counter() - started[0])
        driver.append(time.process_time() - started[1])
        steps = int(results["env_runners"]["num_env_steps_sampled"])
    taken, driver = taken[1:], driver[1:]
    return Trial(
        about.pop("runners"),
        about.pop("learners", 0),
        steps,
        statistics.median(taken),
        min(taken),
        max(taken),
        statistics.median(driver),
        statistics.median(wall / cpu for wall, cpu in updates[1:]),
        **about,
    )


def _time_updates(algo: Any) -> list[tuple[float, float]]:
    """Seconds of the clock and of this process's CPU that each update to come takes."""
    group, taken = algo.learner_group, []
    plain = type(group).update

    def update(**arguments: Any) -> Any:
        started = time.perf_counter(), time.process_time()
        results = plain(group, **arguments)
        taken.append((time.perf_counter() - started[0], time.process_time() - started[1]))
        return results

    group.update = update
    return taken


def as_it_is(say: Callable[[str], None]) -> list[Trial]:
    """The job over env runners and learners of this machine, 3,200 env steps an iteration."""
    trials = []
    for runners, learners in PLACES:
        say(f"the job as it is: {runners} env runners, {learners} learners")
        algo = job(JOB_STEPS // max(1, runners), runners, learners).build_algo()
        trials.append(_iterate(algo, runners=runners, learners=learners))
        algo.stop()
    return trials


def sleeping(say: Callable[[str], None]) -> list[Trial]:
    """Env runners that sleep."""
    config = job(COPY_STEPS, max(RUNNERS)).environment(SLEEPING, env_config={"step_seconds": STEP_SECONDS})
    config.env_runners(env_runner_cls=Adjustable).fault_tolerance(restart_failed_env_runners=False)
    say("sleeping env runners")
    algo, trials = config.build_algo(), []
    for runners in sorted(RUNNERS, reverse=True):
        keep_runners(algo, runners)
        for batch, copy_steps in (("growing", COPY_STEPS), ("fixed", SHARED_STEPS // runners)):
            for latency in LATENCIES:
                if batch == "fixed" and latency:
                    continue
                say(f"{runners} of them, {batch} batch, {latency} s")
                set_runners(algo, copy_steps=copy_steps, delay=ROUND_TRIPS * latency)
                trials.append(_iterate(algo, runners=runners, batch=batch, latency=latency))
        if runners > 1:
            trials.append(_overlapped(algo, runners))
    algo.stop()
    return sorted(trials, key=lambda trial: (trial.overlapped, trial.batch, trial.latency, trial.runners))


def _overlapped(algo: Any, runners: int) -> Trial:
    """The same with one update of age allowed."""
    plain = algo._sampling
    config = algo.config.copy(copy_frozen=False)
    algo._sampling = RemoteSampling(
        algo.env_runner_group, config.env_runners(num_env_runners=runners, max_sample_age=1)
    )
    set_runners(algo, copy_steps=COPY_STEPS, delay=0.0)
    trial = _iterate(algo, runners=runners, overlapped=True)
    algo._sampling.forget()
    algo._sampling = plain
    return trial


def as_rows(trials: list[Trial]) -> list[dict[str, Any]]:
    """To be kept as JSON."""
    return [asdict(trial) for trial in trials]
