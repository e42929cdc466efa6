"""What a comparison writes: a CSV, a page as Markdown, HTML and LaTeX, figures, and marl-eval's JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rllib_safemarl.cli.console import say
from rllib_safemarl.cli.paths import resolve
from rllib_safemarl.cli.suite_folder import SuiteFolder, write_text
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.comparison import FAILED, EvaluationResult, results_frame
from rllib_safemarl.evaluation.comparison_rows import RowSummary, summarise_rows
from rllib_safemarl.evaluation.marl_eval import marl_eval_tree
from rllib_safemarl.evaluation.page import Page, comparison_report
from rllib_safemarl.evaluation.report import Picture
from rllib_safemarl.evaluation.report_html import html
from rllib_safemarl.evaluation.report_latex import latex
from rllib_safemarl.evaluation.report_markdown import markdown
from rllib_safemarl.evaluation.runs import RESULTS_FILE
from rllib_safemarl.evaluation.suite_tuning import point_results
from rllib_safemarl.evaluation.suites import Suite
from rllib_safemarl.evaluation.tables import headline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARL_EVAL = "marl_eval.json"
CURVES, FIGURES, PROFILES, OUTCOMES, BY_ACTION = "curves", "results", "profiles", "outcomes", "signals"
"""Names of figures, without their endings."""


def write_pages(
    suite: Suite,
    folder: SuiteFolder,
    command: str,
    inputs: Path,
    tuned: Sequence[EvaluationResult] = (),
) -> int:
    """Write everything from what there is; return how many trials failed.

    Args:
        suite: what was compared.
        folder: where its trials lie.
        command: repeats the comparison.
        inputs: relative paths of datasets are looked for here.
        tuned: results of points of grids.

    Raises:
        SafeMARLError: there is no such folder.
    """
    if not folder.path.is_dir():
        raise SafeMARLError(f"there is nothing in {folder.path} to write tables from.")
    results = [folder.result(evaluation) for evaluation in suite.evaluations]
    frame = results_frame(results)
    rows = summarise_rows(frame)
    page = _page(suite, command, results, _draw(suite, folder, inputs, results, rows))
    report = comparison_report(page, frame, rows, point_results(tuned))
    csv = write_text(frame.to_csv(index=False, lineterminator="\n"), folder.path / RESULTS_FILE)
    table = write_text(markdown(report), folder.path / f"{suite.name}.md")
    shown = write_text(html(report, folder.path), folder.path / f"{suite.name}.html")
    write_text(latex(report, suite.name), folder.path / f"{suite.name}.tex")
    tree = json.dumps(marl_eval_tree(results, suite.seeds), indent=1, allow_nan=False)
    write_text(tree + "\n", folder.path / MARL_EVAL)
    _say_rows(rows)
    say(f"table: {table}, and as .tex")
    say(f"results: {csv}, and for marl-eval {MARL_EVAL}")
    if page.pictures:
        say(f"pictures: {', '.join(picture.name for picture in page.pictures)}, as .png and .pdf")
    say(f"page: {shown}")
    failed = (result for result in (*results, *tuned) if result.status == FAILED)
    return len({result.evaluation.trial.folder for result in failed})


def _page(
    suite: Suite, command: str, results: Sequence[EvaluationResult], pictures: Sequence[Picture]
) -> Page:
    made = sorted({(r.record.about["date"], _version(r.record.about)) for r in results if r.record})
    return Page(
        title=suite.title,
        command=command,
        date=" and ".join(dict.fromkeys(date for date, _ in made)) or "nothing evaluated yet",
        version=" and ".join(dict.fromkeys(version for _, version in made)) or "no version",
        seeds=suite.seeds,
        episodes=suite.episodes,
        unseen=suite.unseen,
        controllers=suite.controllers,
        budget=suite.budget,
        pictures=pictures,
        published=suite.published,
    )


def _version(about: Any) -> str:
    commit = f" ({about['commit']})" if about["commit"] else ""
    return f"rllib_safemarl {about['version']}{commit}"


def _draw(
    suite: Suite,
    folder: SuiteFolder,
    inputs: Path,
    results: Sequence[EvaluationResult],
    rows: Sequence[RowSummary],
) -> list[Picture]:
    """Draw what there is to draw, in the order of the page."""
    try:
        from rllib_safemarl.evaluation.figures import SUFFIXES, save_figure
    except ImportError:
        say('for pictures: pip install "rllib_safemarl[plot]"')
        return []
    pictures = []
    for picture, drawn in (*_figures(suite, results, rows), *_asked_for(suite, inputs, rows)):
        for suffix in SUFFIXES:
            save_figure(drawn, folder.path / f"{picture.name}{suffix}")
        pictures.append(picture)
    return pictures


def _figures(
    suite: Suite, results: Sequence[EvaluationResult], rows: Sequence[RowSummary]
) -> list[tuple[Picture, Figure]]:
    from rllib_safemarl.evaluation.comparison_scores import over_environments
    from rllib_safemarl.evaluation.figures_curves import comparison_figure
    from rllib_safemarl.evaluation.figures_profiles import profiles_figure
    from rllib_safemarl.evaluation.figures_results import results_figure
    from rllib_safemarl.evaluation.statistics_bootstrap import enough

    found = []
    if any(row.seeds_done for row in rows):
        caption = "Return, cost of the worst agent and dangerous episodes of every row"
        found.append((Picture(FIGURES, caption), results_figure(rows, suite.title)))
    if curves := _curves(results):
        caption = "Return and cost while training"
        found.append((Picture(CURVES, caption), comparison_figure(curves, suite.title, _panels(suite))))
    overall = over_environments(rows, suite.controllers, suite.unseen)
    if len(overall) > 1 and all(enough([len(task) for task in each.scores]) for each in overall):
        caption = (
            "Which share of the runs reaches a return and keeps to a cost, and how often the first row wins"
        )
        found.append((Picture(PROFILES, caption), profiles_figure(overall, suite.title)))
    return found


def _asked_for(suite: Suite, inputs: Path, rows: Sequence[RowSummary]) -> Iterator[tuple[Picture, Figure]]:
    """What the suite draws beside the usual."""
    outcomes, signals = suite.figures.outcomes, suite.figures.signals
    if any(row.knows(name) for row in rows for name in outcomes):
        from rllib_safemarl.evaluation.figures_outcomes import outcomes_figure

        yield Picture(OUTCOMES, "How episodes ended"), outcomes_figure(rows, outcomes, suite.title)
    data = next((trial.data for trial in suite.trials if signals and trial.row == signals.row), None)
    if signals is not None and data is not None:
        from rllib_safemarl.data import read_dataset
        from rllib_safemarl.evaluation.figures_signals import of_behaviour, signals_figure

        dataset = read_dataset(resolve(data, inputs))
        if signals.behaviour:
            dataset = of_behaviour(dataset, signals.behaviour)
        name = signals.behaviour or signals.row
        caption = f"{name}: how signals of a step spread by the action taken"
        title = f"{name}: signals by action"
        yield Picture(BY_ACTION, caption), signals_figure(dataset, signals.signals, signals.actions, title)


def _panels(suite: Suite) -> list[Any]:
    """Return, cost, and what the suite asks for."""
    from rllib_safemarl.evaluation.figures import Panel
    from rllib_safemarl.evaluation.figures_curves import COST, RETURN

    own = suite.figures.curves.items()
    return [RETURN, COST, *(Panel(name, name.replace("_", " "), quantity) for name, quantity in own)]


def _curves(results: Sequence[EvaluationResult]) -> dict[str, dict[str, list[Any]]]:
    """Environment → row → learning curves of its seeds."""
    curves: dict[str, dict[str, list[Any]]] = {}
    for result in results:
        # Learners from data may be evaluated afterwards only.
        is_curve = len(result.curve) > 1 and result.curve["team_return"].notna().any()
        if is_curve and result.evaluation.is_own:
            by_row = curves.setdefault(result.evaluation.environment, {})
            by_row.setdefault(result.evaluation.row, []).append(result.curve)
    return curves


def _say_rows(rows: Sequence[RowSummary]) -> None:
    """One line per row, for the terminal."""
    several = len({row.environment for row in rows}) > 1
    for row in rows:
        where = f" on {row.environment}" if several else ""
        say(f"{row.name}{where}: {headline(row)}")
