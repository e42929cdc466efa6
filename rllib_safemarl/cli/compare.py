"""`safemarl compare`: train and evaluate what a suite names, and lay it side by side."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rllib_safemarl.cli.console import fail, one_line_errors, say, say_first
from rllib_safemarl.cli.documents import load_yaml
from rllib_safemarl.cli.flags import TrainFlags
from rllib_safemarl.errors import SafeMARLError, nearest_name

if TYPE_CHECKING:
    from rllib_safemarl.cli.suite_folder import SuiteFolder, Work
    from rllib_safemarl.evaluation.comparison import EvaluationResult
    from rllib_safemarl.evaluation.suite_grids import Choices
    from rllib_safemarl.evaluation.suite_trials import SuiteEvaluation
    from rllib_safemarl.evaluation.suites import Suite


@click.command()
@click.argument("suite", metavar="SUITE", type=click.Path(path_type=Path))
@click.option("--budget", "-b", metavar="NAME", help="One of the suite's budgets, such as quick.")
@click.option(
    "--out",
    "-o",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where tables and trials go.  [default: results/SUITE, results/SUITE-BUDGET]",
)
@click.option("--tables-only", is_flag=True, help="Only write the tables again, from what there is.")
@click.option("--ray-address", help="Join this cluster instead of starting Ray here.")
@click.option("--ray-num-cpus", type=click.IntRange(min=1), help="CPUs that Ray may use.")
@click.option("--ray-runtime-env", metavar="JSON", help="What Ray takes along to the nodes.")
@click.option("--log-info", "-v", is_flag=True, help="Ray's own output, and tracebacks.")
@one_line_errors
def compare(suite: Path, budget: str | None, out: Path | None, tables_only: bool, **flags: Any) -> None:
    """Train every row of SUITE under every seed, evaluate it, and write tables, figures, a CSV and a page.

    SUITE is a file, or the name of one in tuned_configs/suites.

    The same command again goes on where it was stopped, and does again only what has changed.
    """
    say_first(f"reading {suite}")
    file = _find(suite)
    read, inputs = _read(file, budget)
    out = out or Path("results") / "-".join(filter(None, [read.name, read.budget]))
    from rllib_safemarl.cli.suite_folder import SuiteFolder

    signal, tuned = None, []
    with _Session(TrainFlags(**flags), only_looks=tables_only) as session:
        if read.tuning:
            tuning = SuiteFolder(out, read.tuning_episodes)
            signal = _do(read.tuning, tuning, f"{read.title}, tuning", inputs, session)
            tuned = [tuning.result(evaluation) for evaluation in read.tuning]
            read, inputs = _read(file, budget, _choose(tuned))
        folder = SuiteFolder(out, read.episodes)
        if signal is None:
            signal = _do(read.evaluations, folder, _in_words(read), inputs, session)
    from rllib_safemarl.cli.suite_pages import write_pages

    problems = write_pages(read, folder, _repeat(suite, budget), inputs, tuned)
    if signal is not None:
        say("stopped; the same command goes on from here")
        raise SystemExit(128 + signal)
    if problems:
        trials = {e.trial.folder for e in (*read.evaluations, *read.tuning)}
        fail(f"{problems} of {len(trials)} trials failed; the same command tries them again")


class _Session:
    """Ray for all that is to be done: started when it is first needed, since it forgets names when it ends.

    Args:
        flags: the command line's.
        only_looks: nothing is to be done.
    """

    def __init__(self, flags: TrainFlags, only_looks: bool) -> None:
        self.flags = flags
        self.only_looks = only_looks
        self._is_own: bool | None = None

    def __enter__(self) -> _Session:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_own is not None:
            import ray

            ray.shutdown()

    def start(self) -> bool:
        """Start Ray, unless it runs; return whether the cluster is ours."""
        from rllib_safemarl.cli.ray_session import start_ray

        if self._is_own is None:
            self._is_own = False
            self._is_own = start_ray(self.flags)
        return self._is_own


def _find(suite: Path) -> Path:
    """The file of a suite that may be given by name: below the working directory, or of the checkout."""
    if suite.suffix or suite.exists():
        return suite
    folders = [Path("tuned_configs/suites"), Path(__file__).parents[2] / "tuned_configs" / "suites"]
    known = {file.stem: file for folder in reversed(folders) for file in sorted(folder.glob("*.yaml"))}
    if str(suite) not in known:
        raise SafeMARLError(
            f"{suite} is no .yaml file, and there is no suite of this name.{nearest_name(str(suite), known)}"
        )
    return known[str(suite)]


def _read(path: Path, budget: str | None, choices: Choices | None = None) -> tuple[Suite, Path]:
    """The suite, and the folder that paths in its configs are relative to."""
    if path.suffix not in (".yaml", ".yml"):
        raise SafeMARLError(f"{path} is no .yaml file.")
    document, folders = load_yaml(path), [path.resolve().parent]
    from rllib_safemarl.evaluation.suites import read_suite

    def read_file(name: str) -> Any:
        file = path.parent / name
        folders.append(file.resolve().parent)
        return load_yaml(file)

    return read_suite(path.stem, document, read_file, budget, choices), folders[-1]


def _choose(tuned: Sequence[EvaluationResult]) -> Choices:
    """Choose points of grids, and say which."""
    from rllib_safemarl.evaluation.suite_tuning import choose, point_results

    choices = choose(point_results(tuned))
    for (row, environment), point in choices.items():
        say(f"{row} on {environment}, selected online: {point}")
    return choices


def _do(
    evaluations: Sequence[SuiteEvaluation],
    folder: SuiteFolder,
    title: str,
    inputs: Path,
    session: _Session,
) -> int | None:
    """Say what is left of some evaluations, and do it; return the signal that interrupted it."""
    from rllib_safemarl.cli.suite_folder import find_work

    work = find_work(folder, evaluations)
    say(f"{title}; {_plan(len(evaluations), work, folder.episodes)}")
    if not work.to_evaluate or session.only_looks:
        return None
    folder.create()
    return _run(evaluations, folder, work, inputs, session)


def _in_words(suite: Suite) -> str:
    """What is compared, in a line."""
    seeds = len(suite.seeds)
    where = f" on {len(suite.environments)} environments" if len(suite.environments) > 1 else ""
    where += f", {len(suite.unseen)} unseen" if suite.unseen else ""
    return f"{suite.title}: {len(suite.rows)} rows{where}, {seeds} {'seed' if seeds == 1 else 'seeds'}"


def _plan(total: int, work: Work, episodes: int) -> str:
    """What there is and what is to be done."""
    if not work.to_evaluate:
        return f"all {total} evaluations are done"
    train = f"{len(work.to_train)} {'trial' if len(work.to_train) == 1 else 'trials'} to train"
    left = len(work.to_evaluate)
    return f"{train}, {left} to evaluate on {episodes} episodes each, {total - left} done"


def _run(
    evaluations: Sequence[SuiteEvaluation], folder: SuiteFolder, work: Work, inputs: Path, session: _Session
) -> int | None:
    """Train and evaluate what is left; return the signal that interrupted it, if one did."""
    from rllib_safemarl.cli.ray_session import import_ray

    flags = session.flags
    import_ray(flags.quiet)
    import rllib_safemarl
    from rllib_safemarl.cli.suite_checks import check_evaluations
    from rllib_safemarl.cli.suite_evaluations import EvaluationTasks
    from rllib_safemarl.cli.suite_folder import about_now
    from rllib_safemarl.cli.suite_runs import make_experiments, train
    from rllib_safemarl.cli.training import check_resources
    from rllib_safemarl.evaluation.suite_trials import trial_names

    experiments = make_experiments(folder, work.to_train, inputs, flags)
    check_evaluations(work.to_evaluate, experiments, inputs, is_local=not flags.ray_address)
    check_resources(experiments, session.start())
    about = about_now(Path(rllib_safemarl.__file__).parent)
    tasks = EvaluationTasks(folder, work.to_evaluate, inputs, about)
    if experiments:
        signal = train(folder, experiments, trial_names(evaluations), flags, tasks)
        if signal is not None:
            return signal
    tasks.finish()
    return None


def _repeat(suite: Path, budget: str | None) -> str:
    """The command that repeats this one, with a path that means something elsewhere."""
    relative = os.path.relpath(suite)
    named = str(suite) if relative.startswith("..") else relative
    return shlex.join(["safemarl", "compare", named, *(["--budget", budget] if budget else [])])
