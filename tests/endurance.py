"""What long runs meet, for as long as asked: kills at random times, many restores, fuzzing.

    python -m tests.endurance kills --minutes 60
    python -m tests.endurance restores --cycles 200
    python -m tests.endurance fuzz --minutes 10

each prints a table in Markdown, and ends with exit code 1 at the first thing that went wrong. No part of the
test suite, which holds the same faults once each. Linux only.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import click

from tests.cli.runs import command, environment

JOB = """
endurance:
  run: SCAL_MAPPO_L
  env: safemarl/crossing
  stop: {training_iteration: 1000000}
  config:
    seed: 1
    cost_limit: 1.0
    num_env_runners: 2
    num_cpus_per_env_runner: 0.5
    num_envs_per_env_runner: 8
    restart_failed_env_runners: true
    train_batch_size: 960
    minibatch_size: 480
    num_epochs: 1
    lr: 1e-3
    env_config: {n_agents: 4, time_limit: 30}
    model_config: {fcnet_hiddens: [16]}
"""
EVERY = 10
"""Iterations between checkpoints."""
OPTIONS = ("--checkpoint-freq", str(EVERY), "--ray-num-cpus", "2")
MARK = "SAFEMARL_ENDURANCE"
ROW = re.compile(r"^ +([\d,]+) +[\d,]+ ")
PATIENCE = 180.0
"""Seconds after which a run that does not go on counts as hanging."""


class Run:
    """One life of the command, and what it printed.

    Args:
        folder: of the job and its results.
        resume: whether it goes on with an earlier life.
    """

    def __init__(self, folder: Path, resume: bool) -> None:
        arguments = ["train", "file", str(folder / "job.yaml"), "--storage-path", str(folder)]
        self.mark = str(folder)
        self._printed = (folder / "printed.txt").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            command(*arguments, *OPTIONS, *(["--resume"] if resume else [])),
            stdout=self._printed,
            stderr=subprocess.STDOUT,
            env={**environment(), MARK: self.mark},
            start_new_session=True,
        )

    def iterations(self) -> list[int]:
        """Of the rows that this life printed."""
        self._printed.flush()
        text = Path(self._printed.name).read_text(encoding="utf-8")
        rows = (ROW.match(line) for line in text.splitlines())
        return [int(row.group(1).replace(",", "")) for row in rows if row]

    def wait_for(self, iteration: int) -> float:
        """Seconds until a row of this iteration or a later one is there.

        Raises:
            SystemExit: it ended before, or hangs.
        """
        started = time.monotonic()
        while not any(reached >= iteration for reached in self.iterations()):
            if self.process.poll() is not None:
                self.fail(f"ended with {self.process.returncode} before iteration {iteration}")
            if time.monotonic() - started > PATIENCE:
                self.fail(f"hangs before iteration {iteration}")
            time.sleep(0.5)
        return time.monotonic() - started

    def wait_for_end(self) -> None:
        """Wait until the command and all its processes are gone.

        Raises:
            SystemExit: they are not.
        """
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.fail("does not end")
        deadline = time.monotonic() + PATIENCE
        while self.processes():
            if time.monotonic() > deadline:
                self.fail(f"left processes behind: {self.processes()}")
            time.sleep(0.5)

    def processes(self, name: str = "") -> list[int]:
        """Living processes of this life whose title begins with ``name``."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.mark}".encode() not in (folder / "environ").read_bytes():
                    continue
                if (folder / "cmdline").read_bytes().startswith(name.encode()):
                    found.append(int(folder.name))
            except OSError:
                continue  # it has just ended
        return found

    def fail(self, what: str) -> None:
        """End with what was printed.

        Raises:
            SystemExit: always.
        """
        text = Path(self._printed.name).read_text(encoding="utf-8")
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        raise SystemExit(f"{text[-4000:]}\nthe run {what}")


def _kill(pids: list[int], signals: int = signal.SIGKILL) -> None:
    for pid in pids:
        os.kill(pid, signals)


def _newest_checkpoint(iterations: int) -> int:
    """Iteration of the newest checkpoint that must be whole; the last one may have been killed in its own."""
    return (iterations - 1) - (iterations - 1) % EVERY


def _strike(run: Run, fault: str, chance: random.Random) -> bool:
    """Do what the fault says; whether the command ends of it."""
    runners = run.processes("ray::ColumnarEnvRunner")
    if fault == "an env runner is killed":
        _kill([chance.choice(runners)] if runners else [])
    elif fault == "all env runners are killed":
        _kill(runners)
    elif fault == "the training process is killed":
        _kill(run.processes("ray::ScalMAPPOL"))
        return True
    elif fault == "the command is killed":
        _kill([run.process.pid])
        return True
    else:
        _kill([run.process.pid], signal.SIGINT)
        return True
    return False


FAULTS = (
    "an env runner is killed",
    "all env runners are killed",
    "the training process is killed",
    "the command is killed",
    "Ctrl-C",
)


@click.group(help=__doc__)
def main() -> None:
    """Choose what to endure."""


@main.command()
@click.option("--minutes", default=60.0, show_default=True)
@click.option("--seed", default=0, show_default=True)
def kills(minutes: float, seed: int) -> None:
    """Train under kills at random times; every completed iteration but those since a checkpoint must stay."""
    chance = random.Random(seed)
    times: dict[str, list[float]] = defaultdict(list)
    lost: dict[str, list[int]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "job.yaml").write_text(JOB, encoding="utf-8")
        run, deadline = Run(folder, resume=False), time.monotonic() + 60.0 * minutes
        run.wait_for(1)
        while time.monotonic() < deadline:
            time.sleep(chance.uniform(5.0, 30.0))
            fault, before = chance.choice(FAULTS), run.iterations()[-1]
            if _strike(run, fault, chance):
                run.wait_for_end()
                before = run.iterations()[-1]
                run = Run(folder, resume=True)
                times[fault].append(run.wait_for(1))
                lost[fault].append(before + 1 - run.iterations()[0])
                if run.iterations()[0] <= _newest_checkpoint(before):
                    run.fail(f"began at {run.iterations()[0]} after {before}, checkpoints every {EVERY}")
            else:
                times[fault].append(run.wait_for(before + 3))
                lost[fault].append(0)
        reached = run.iterations()[-1]
        _kill([run.process.pid], signal.SIGINT)
        run.wait_for_end()
        shown = subprocess.run(
            command("evaluate", folder / "endurance", "--episodes", "16"),
            env=environment(),
            capture_output=True,
            text=True,
        )
        if shown.returncode:
            raise SystemExit(f"the last checkpoint cannot be evaluated: {shown.stdout}{shown.stderr}")
    click.echo(f"{minutes:g} minutes, {reached} iterations, checkpoints every {EVERY}\n")
    click.echo("| fault | times | most iterations done again | longest until it went on, s |")
    click.echo("| :--- | ---: | ---: | ---: |")
    for fault in FAULTS:
        if times[fault]:
            click.echo(f"| {fault} | {len(times[fault])} | {max(lost[fault])} | {max(times[fault]):.0f} |")


@main.command()
@click.option("--cycles", default=200, show_default=True)
def restores(cycles: int) -> None:
    """Save, restore into a new algorithm, train; the end must equal that of one uninterrupted run."""
    import ray

    from tests.algorithms.helpers import assert_equal, learner_state, tiny_config

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    started, config = time.monotonic(), tiny_config()
    whole = config.copy(copy_frozen=False).build_algo()
    algo = config.copy(copy_frozen=False).build_algo()
    with tempfile.TemporaryDirectory() as name:
        for cycle in range(cycles):
            whole.train()
            algo.train()
            algo.save_to_path(str(Path(name, str(cycle % 2))))
            algo.stop()
            algo = config.copy(copy_frozen=False).build_algo()
            algo.restore_from_path(str(Path(name, str(cycle % 2))))
            assert_equal(learner_state(whole), learner_state(algo))
    click.echo(f"{cycles} cycles in {time.monotonic() - started:.0f} s; every one equal bit for bit")


@main.command()
@click.option("--minutes", default=10.0, show_default=True)
@click.option("--examples", default=300, show_default=True, help="Of every test in a round.")
def fuzz(minutes: float, examples: int) -> None:
    """Try every reader of files with damaged and invented ones, again and again."""
    rounds, deadline = 0, time.monotonic() + 60.0 * minutes
    while time.monotonic() < deadline:
        pytest = [sys.executable, "-m", "pytest", "-q", "-n", "0", "tests/test_fuzz.py"]
        done = subprocess.run(
            [*pytest, f"--hypothesis-seed={rounds}"],
            env={**os.environ, "FUZZ_EXAMPLES": str(examples)},
            stdout=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            raise SystemExit(done.stdout)
        rounds += 1
    click.echo(f"{rounds} rounds of {examples} examples of every fuzz test: no error but our own")


if __name__ == "__main__":
    main()
