"""Training through Tune: from checked experiments to checkpoints and a picture."""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
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
        check_resources(experiments, is_own)
        for index, experiment in enumerate(experiments):
            resume = bool(resumable) and resumable[index]
            _conclude(experiment, run_in_tune([experiment], flags, callbacks, resume), flags)
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


def check_resources(experiments: Iterable[Experiment], is_own: bool) -> None:
    """Compare what trials ask for with what the cluster has.

    Args:
        experiments: checked ones.
        is_own: whether the cluster is ours, to which no node will be added.

    Raises:
        SafeMARLError: a trial asks for more than there will be; Tune would wait in silence.
    """
    from rllib_safemarl.cli.checking import grid_points, shortage

    for experiment in experiments:
        shortages = (shortage(experiment.run, p, node_resources()) for p in grid_points(experiment.config))
        lacking = next(filter(None, shortages), None)
        if lacking and is_own:
            raise SafeMARLError(lacking)
        if lacking:
            say(f"note: {lacking[:-1]}, or wait until nodes join it.")


def run_in_tune(
    experiments: list[Experiment],
    flags: TrainFlags,
    callbacks: Sequence[Any] = (),
    resume: bool = False,
    names: Mapping[str, str] | None = None,
) -> Outcome:
    """Run experiments to their ends, side by side as far as the cluster goes.

    Args:
        experiments: checked ones; Ray has been started.
        flags: the command line's.
        callbacks: further ones for Tune.
        resume: go on with what Tune has noted of the (single) experiment.
        names: experiment → what its trial is called in the live view.
    """
    from ray import tune

    from rllib_safemarl.algorithms import register
    from rllib_safemarl.cli.interruption import Interruption
    from rllib_safemarl.cli.live_view import LiveView
    from rllib_safemarl.cli.resumption import WrittenCheckpoints

    # In a process that had a session of Ray before, names are lost with it.
    register()
    view = LiveView(experiments[0].tune.get("time_budget_s"), names)
    interruption = Interruption(any("checkpoint_frequency" not in e.checkpoints for e in experiments))
    _say_start(experiments, resume)
    resume_type = tune.ResumeConfig.ResumeType.RESUME
    try:
        trials = tune.run_experiments(
            [_tune_experiment(experiment) for experiment in experiments],
            scheduler=make_scheduler(flags),
            verbose=0 if flags.quiet else 1,
            resume_config=tune.ResumeConfig(unfinished=resume_type, errored=resume_type) if resume else None,
            raise_on_failed_trial=False,
            callbacks=[interruption, view, *([WrittenCheckpoints()] if resume else []), *callbacks],
        )
    except ValueError:
        # Stopped before Tune had written what it reads at its end.
        if interruption.received is None:
            raise
        trials = []
    finally:
        interruption.end()
    for trial in trials:
        view.print_last(trial)
    if resume and not view.started:
        say("note: every trial had finished; to train on, leave --resume out and --restore a checkpoint")
    return Outcome(trials, [view.label(trial) for trial in trials], interruption.received)


def _say_start(experiments: list[Experiment], resume: bool) -> None:
    if resume:
        say("resuming: trials go on with the settings and the stop criteria they were started with")
    elif not all(e.stop or e.tune.get("time_budget_s") for e in experiments):
        say("note: there is no stop criterion; training goes on until Ctrl-C")
    first = experiments[0]
    folder = first.folder if len(experiments) == 1 else first.storage_path
    say(f"results go to {folder or first.storage_path}; starting the training process")


def _tune_experiment(experiment: Experiment) -> Any:
    """What Tune calls an experiment, with our defaults for checkpoints."""
    from ray.tune.experiment import Experiment as TuneExperiment

    checkpoints = dict(experiment.checkpoints)
    if "checkpoint_frequency" not in checkpoints:
        checkpoints.setdefault("num_to_keep", KEPT_CHECKPOINTS)
    return TuneExperiment(
        experiment.name,
        experiment.run,
        config=experiment.config,
        stop=experiment.stop,
        storage_path=experiment.storage_path,
        restore=experiment.restore,
        checkpoint_config=checkpoints,
        **experiment.tune,
    )


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
