"""`safemarl doctor`: what is installed, what the machine has, whether training runs, and what to mend."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import click

from rllib_safemarl.cli import doctor_checks as checks
from rllib_safemarl.cli.console import one_line_errors, say, say_first
from rllib_safemarl.cli.doctor_checks import NOTE, OK, WRONG, Finding
from rllib_safemarl.errors import SafeMARLError

SECONDS = 2.0
"""Of training."""
Check = Callable[[], Iterator[Finding]]


@click.command()
@click.option("--train/--no-train", default=True, show_default=True, help="Start Ray and train.")
@one_line_errors
def doctor(train: bool) -> None:
    """Look at versions, extras, machine and Ray, train for two seconds, and say what to mend.

    Every line is "ok", "note" (only those who need it miss it) or "wrong"; the exit status is 1 where
    something is wrong.
    """
    say_first("looking at this installation")
    core = [*said(checks.python), *said(checks.packages)]
    found = [*core, *said(checks.extras), *said(checks.machine)]
    if any(finding.level == WRONG for finding in core):
        say(f"{NOTE.ljust(5)}  Ray, torch and training were not tried: mend the packages first")
    else:
        from rllib_safemarl.cli.ray_session import keep_quiet

        keep_quiet()
        for check in (checks.gpu, checks.ray_address, *([training] if train else [])):
            found += said(check)
    wrong = sum(finding.level == WRONG for finding in found)
    say("nothing is wrong" if not wrong else f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong")
    raise SystemExit(1 if wrong else 0)


def said(check: Check) -> Iterator[Finding]:
    """A check's findings, said as they come; one that fails is a finding, too."""
    from rllib_safemarl.cli.failures import one_line

    try:
        for finding in check():
            say(str(finding))
            yield finding
    except Exception as error:
        name = check.__name__.replace("_", " ")
        mend = "pip install -c constraints.txt -e . in a new virtual environment"
        finding = (
            Finding(WRONG, str(error).rstrip("."))
            if isinstance(error, SafeMARLError)
            else Finding(WRONG, f"{name} failed, {one_line(error)}", mend)
        )
        say(str(finding))
        yield finding


def training() -> Iterator[Finding]:
    """Ray's start, and SCAL_MAPPO_L on the crossing for two seconds."""
    from rllib_safemarl.cli.flags import TrainFlags
    from rllib_safemarl.cli.ray_session import import_ray, start_ray

    import_ray(quiet=True)
    import ray

    joined = ray.is_initialized()
    if not joined:
        start_ray(TrainFlags())
    try:
        yield _train()
    finally:
        if not joined:
            ray.shutdown()


def _train() -> Finding:
    from rllib_safemarl.algorithms import ScalMAPPOLConfig

    config = ScalMAPPOLConfig().environment("safemarl/crossing").safety(cost_limit=1.0)
    config.env_runners(num_envs_per_env_runner=8).debugging(seed=0)
    algorithm = config.training(train_batch_size=800, minibatch_size=400, num_epochs=2).build_algo()
    try:
        start, iterations, results = time.monotonic(), 0, {}
        while time.monotonic() - start < SECONDS:
            results, iterations = algorithm.train(), iterations + 1
        spent = time.monotonic() - start
    finally:
        algorithm.stop()
    loss = results["learners"]["__all_modules__"]["multiplier_mean"]
    if not math.isfinite(loss):
        return Finding(WRONG, f"training gave a multiplier of {loss}", "report it, with these lines")
    rate = iterations * 800 / spent
    return Finding(OK, f"training: {iterations} iterations of SCAL_MAPPO_L, {rate:,.0f} steps/s")
