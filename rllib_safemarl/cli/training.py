"""Training through Tune: from checked experiments to checkpoints and a picture."""

from __future__ import annotations

import inspect
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rllib_safemarl.cli.console import fail, say
from rllib_safemarl.cli.documents import parse_mapping
from rllib_safemarl.cli.experiments import Experiment
from rllib_safemarl.cli.flags import TrainFlags
from rllib_safemarl.cli.ray_session import import_ray, node_resources, start_ray
from rllib_safemarl.errors import SafeMARLError, nearest_name

if TYPE_CHECKING:
    from ray.tune.experiment import Trial

KEPT_CHECKPOINTS = 3
"""How many are kept where neither file nor flag says how many, or how often one is saved."""


@dataclass(frozen=True)
class Outcome:
    """What became of an experiment.

    Attributes:
        trials: Tune's.
        labels: one per trial; empty for a single one.
        signal: what interrupted it, or None.
    """

    trials: list[Trial]
    labels: list[str]
    signal: int | None


def train_experiments(experiments: list[Experiment], flags: TrainFlags) -> None:
    """Check, start Ray, train one experiment after the other, and say what came out.

    Raises:
        SafeMARLError: something does not fit; nothing has been started then.
        SystemExit: a trial failed (1), or a signal ended the run (130 after Ctrl-C).
    """
    if flags.local_mode:
        say("note: Ray has no local mode any more; num_env_runners=0 and num_learners=0 stand for it")
    import_ray(flags.quiet)
    import ray

    from rllib_safemarl.cli.checking import check_experiment

    for experiment in experiments:
        points = check_experiment(experiment, build_env=not flags.ray_address)
        trials = len(points) * int(experiment.tune.get("num_samples", 1))
        env = experiment.config.get("env") or experiment.config.get("input_")
        say(
            f"checked {experiment.name}: {experiment.run} on {env}, "
            f"{trials} {'trial' if trials == 1 else 'trials'}"
        )
    resumable = [_check_resume(experiment) for experiment in experiments] if flags.resume else []
    if flags.resume and not any(resumable):
        folders = ", ".join(str(experiment.folder) for experiment in experiments)
        raise SafeMARLError(f"there is nothing to resume in {folders}: leave --resume out.")
    make_scheduler(flags)
    callbacks = _tracking_callbacks(flags)
    try:
        is_own = start_ray(flags)
        _check_resources(experiments, is_own)
        for index, experiment in enumerate(experiments):
            resume = bool(resumable) and resumable[index]
            _conclude(experiment, _run(experiment, flags, callbacks, resume), flags)
    finally:
        ray.shutdown()


def make_scheduler(flags: TrainFlags) -> Any:
    """Tune's scheduler by name.

    Raises:
        SafeMARLError: the name, or one of its arguments, is unknown.
    """
    from ray.tune.schedulers import SCHEDULER_IMPORT, create_scheduler

    name, arguments = flags.scheduler.lower(), parse_mapping(flags.scheduler_config, "--scheduler-config")
    if name not in SCHEDULER_IMPORT:
        raise SafeMARLError(
            f"there is no scheduler {flags.scheduler!r}.{nearest_name(name, SCHEDULER_IMPORT)} Tune's are: "
            f"{', '.join(SCHEDULER_IMPORT)}."
        )
    maker = SCHEDULER_IMPORT[name]
    known = inspect.signature(maker() if inspect.isfunction(maker) else maker).parameters
    for key in arguments:
        if key not in known:
            raise SafeMARLError(
                f"scheduler {flags.scheduler} has no argument {key!r}.{nearest_name(key, known)}"
            )
    try:
        return create_scheduler(name, **arguments)
    except Exception as error:
        raise SafeMARLError(f"--scheduler-config does not fit {flags.scheduler}: {error}") from error


def _tracking_callbacks(flags: TrainFlags) -> list[Any]:
    if not flags.wandb_project:
        return []
    try:
        import wandb  # noqa: F401
    except ImportError:
        raise SafeMARLError("--wandb-project needs Weights & Biases: pip install wandb.") from None
    from ray.air.integrations.wandb import WandbLoggerCallback

    named = {"name": flags.wandb_run_name} if flags.wandb_run_name else {}
    return [WandbLoggerCallback(project=flags.wandb_project, api_key=flags.wandb_key, **named)]


def _check_resume(experiment: Experiment) -> bool:
    """Whether the experiment has been started before."""
    folder = experiment.folder
    return folder is None or any(folder.glob("experiment_state-*.json"))


def _check_resources(experiments: list[Experiment], is_own: bool) -> None:
    from rllib_safemarl.cli.checking import grid_points, shortage

    for experiment in experiments:
        shortages = (shortage(experiment.run, p, node_resources()) for p in grid_points(experiment.config))
        lacking = next(filter(None, shortages), None)
        if lacking and is_own:
            raise SafeMARLError(lacking)
        if lacking:
            say(f"note: {lacking[:-1]}, or wait until nodes join it.")


def _run(experiment: Experiment, flags: TrainFlags, callbacks: list[Any], resume: bool) -> Outcome:
    """Run one experiment to its end."""
    from ray import tune
    from ray.tune.experiment import Experiment as TuneExperiment

    from rllib_safemarl.cli.interruption import Interruption
    from rllib_safemarl.cli.live_view import LiveView

    view = LiveView(experiment.tune.get("time_budget_s"))
    checkpoints = dict(experiment.checkpoints)
    every_minute = "checkpoint_frequency" not in checkpoints
    if every_minute:
        checkpoints.setdefault("num_to_keep", KEPT_CHECKPOINTS)
    interruption = Interruption(every_minute)
    if resume:
        say("resuming: trials go on with the settings and the stop criteria they were started with")
    elif not experiment.stop and not experiment.tune.get("time_budget_s"):
        say("note: there is no stop criterion; training goes on until Ctrl-C")
    say(f"results go to {experiment.folder or experiment.storage_path}; starting the training process")
    resume_type = tune.ResumeConfig.ResumeType.RESUME
    try:
        trials = tune.run_experiments(
            TuneExperiment(
                experiment.name,
                experiment.run,
                config=experiment.config,
                stop=experiment.stop,
                storage_path=experiment.storage_path,
                restore=experiment.restore,
                checkpoint_config=checkpoints,
                **experiment.tune,
            ),
            scheduler=make_scheduler(flags),
            verbose=0 if flags.quiet else 1,
            resume_config=tune.ResumeConfig(unfinished=resume_type, errored=resume_type) if resume else None,
            raise_on_failed_trial=False,
            callbacks=[interruption, view, *callbacks],
        )
    finally:
        interruption.restore_handlers()
    for trial in trials:
        view.print_last(trial)
    if resume and not view.started:
        say("note: every trial had finished; to train on, leave --resume out and --restore a checkpoint")
    return Outcome(trials, [view.label(trial) for trial in trials], interruption.received)


def _conclude(experiment: Experiment, outcome: Outcome, flags: TrainFlags) -> None:
    """Say what came out of an experiment, and end the command if it did not end well."""
    from rllib_safemarl.cli.summary import draw, summarise

    failed = summarise(outcome.trials, outcome.labels, not flags.quiet)
    if experiment.folder is not None:
        draw(experiment.name, experiment.folder, outcome.trials, outcome.labels)
    if outcome.signal is not None:
        arguments = [argument for argument in sys.argv[1:] if argument != "--resume"]
        say(f"stopped; go on with: rllib {shlex.join([*arguments, '--resume'])}")
        raise SystemExit(128 + outcome.signal)
    if failed:
        fail(
            f"{failed} of {len(outcome.trials)} trials failed"
            if len(outcome.trials) > 1
            else "training failed"
        )
