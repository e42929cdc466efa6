"""The page of a comparison: what stands on it, in which order, and how it is to be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from rllib_safemarl.evaluation.comparison import DONE, FAILED
from rllib_safemarl.evaluation.comparison_rows import RowSummary
from rllib_safemarl.evaluation.comparison_scores import (
    generalisations,
    is_elsewhere,
    over_environments,
)
from rllib_safemarl.evaluation.published import PublishedTable, published_blocks
from rllib_safemarl.evaluation.report import ALERT, COMMAND, Block, Heading, Paragraph, Picture, Report
from rllib_safemarl.evaluation.statistics import BOOTSTRAP, FEW_SEEDS, STUDENT
from rllib_safemarl.evaluation.suite_trials import evaluation_name
from rllib_safemarl.evaluation.suite_tuning import PointResult, choose
from rllib_safemarl.evaluation.tables import (
    detail_tables,
    generalisation_table,
    main_table,
    overall_table,
    seeds_table,
    training_table,
    tuning_table,
)

QUICK = "quick"
"""The budget that only shows that the machinery works."""


@dataclass(frozen=True)
class Page:
    """What stands around the tables.

    Attributes:
        title: the suite's.
        command: repeats it.
        date: when it was made.
        version: of the package, with the commit where there is one.
        seeds: of the trials.
        episodes: of each evaluation.
        unseen: names of environments that were not trained in.
        controllers: names of rows that need no training.
        budget: the suite's, or empty.
        pictures: figures that were drawn, below the results.
        published: tables that others printed, below all of ours.
    """

    title: str
    command: str
    date: str
    version: str
    seeds: Sequence[int]
    episodes: int
    unseen: Sequence[str] = ()
    controllers: Sequence[str] = ()
    budget: str = ""
    pictures: Sequence[Picture] = ()
    published: Sequence[PublishedTable] = ()


def comparison_report(
    page: Page, results: pd.DataFrame, rows: Sequence[RowSummary], points: Sequence[PointResult] = ()
) -> Report:
    """The whole page.

    Args:
        page: what stands around the tables.
        results: one line per evaluation, see :func:`rllib_safemarl.evaluation.comparison.results_frame`.
        rows: the same over seeds, see :func:`rllib_safemarl.evaluation.comparison_rows.summarise_rows`.
        points: of grids, among which settings were chosen.
    """
    blocks = [
        *_made_by(page),
        *(Paragraph(problem, ALERT) for problem in (*_incomplete(results), *_lacking(points))),
        *_results(page, rows),
        Paragraph(_reading(rows)),
        *page.pictures,
        *_overall(page, rows),
        *_generalisation(page, rows),
        *_tuning(points),
        *_details(page, rows, results),
        *_training(page, rows),
        *_every_seed(rows),
        *published_blocks(page.published),
    ]
    return Report(page.title, blocks)


def _made_by(page: Page) -> Iterator[Block]:
    if page.budget == QUICK:
        yield Paragraph("quick: not evidence. This budget only shows that the machinery works.", ALERT)
    yield Paragraph(page.command, COMMAND)
    seeds = f"{len(page.seeds)} {'seed' if len(page.seeds) == 1 else 'seeds'}"
    budget = f"Budget {page.budget}. " if page.budget else ""
    yield Paragraph(
        f"{budget}{page.date}, {page.version}; {seeds} "
        f"({', '.join(map(str, page.seeds))}), {page.episodes} evaluation episodes of each, deterministic "
        "unless a variant says otherwise, and from starts not trained on; datasets are taken whole."
    )


def _incomplete(results: pd.DataFrame) -> list[str]:
    """What the tables lack, by name."""
    failed = results[results["status"] == FAILED]
    unfinished = int((~results["status"].isin([DONE, FAILED])).sum())
    lines = []
    for _, trial in failed.iterrows():
        row = f"{trial['row']}, {trial['variant']}" if trial["variant"] else trial["row"]
        lines.append(f"Failed: {row} on {trial['environment']}, seed {trial['seed']}: {trial['problem']}")
    if unfinished:
        lines.append(
            f"Unfinished: {unfinished} of {len(results)} evaluations; the same command goes on with them."
        )
    return lines


def _lacking(points: Sequence[PointResult]) -> Iterator[str]:
    """What the choice of settings lacks."""
    for point in points:
        for result in point.results:
            if result.status == FAILED:
                name = evaluation_name(result.evaluation)
                yield f"Failed: {name} on {point.environment}: {result.problem}"
    if unsettled := sum(not point.is_settled for point in points):
        yield f"Unfinished: {unsettled} of {len(points)} points of grids; the same command goes on with them."


def _by_environment(rows: Sequence[RowSummary]) -> dict[str, list[RowSummary]]:
    found: dict[str, list[RowSummary]] = {}
    for row in rows:
        found.setdefault(row.environment, []).append(row)
    return found


def _results(page: Page, rows: Sequence[RowSummary]) -> Iterator[Block]:
    by_environment = _by_environment(rows)
    for environment, here in by_environment.items():
        if len(by_environment) > 1:
            unseen = ", unseen in training" if is_elsewhere(environment, page.unseen) else ""
            yield Heading(f"{environment}{unseen}")
        yield main_table(here)


def _overall(page: Page, rows: Sequence[RowSummary]) -> Iterator[Block]:
    found = over_environments(rows, page.controllers, page.unseen)
    if len(found) < 2 or len(found[0].scores) < 2:
        return
    yield Heading("Over all environments")
    yield overall_table(found)
    yield Paragraph(
        f"Over the {len(found[0].scores)} environments trained in. Return: interquartile mean over all runs, "
        "in each environment 0 for the least and 1 for the greatest of any of these rows there; in brackets "
        "the 95 % interval of a bootstrap that redraws seeds within their environment. The chance that a run "
        f"of {found[0].row} has the greater return than one of another row is the mean over environments."
    )


def _generalisation(page: Page, rows: Sequence[RowSummary]) -> Iterator[Block]:
    found = generalisations(rows, page.controllers, page.unseen)
    if not found:
        return
    yield Heading("Generalisation")
    yield generalisation_table(found)
    yield Paragraph(
        "Returns of the same checkpoints on a scale from 0, random actions, to 1, the best of the other "
        "controllers in that environment. Ratio: what is left of it in unseen environments, the mean over "
        "them. How safe they are there stands in their tables above."
    )


def _tuning(points: Sequence[PointResult]) -> Iterator[Block]:
    if not points:
        return
    yield Heading("Tuning, selected online")
    yield tuning_table(points, choose(points))
    yield Paragraph(
        "Every point of a row's grid was trained, and evaluated in episodes on reserved validation seeds, "
        "used for nothing else. Selected: of the points whose worst agent keeps to the limit in every seed, "
        "by the 95 % bound, the one with the greatest return. Seeds of the tests above were not used."
    )


def _details(page: Page, rows: Sequence[RowSummary], results: pd.DataFrame) -> Iterator[Block]:
    by_environment = _by_environment(rows)
    yield Heading("Details")
    for environment, here in by_environment.items():
        frame = results[results["environment"] == environment]
        for table in detail_tables(here, frame):
            names = [environment] if len(by_environment) > 1 else []
            names += [table.title] if table.title else []
            if names:
                yield Heading(": ".join(names), 3)
            yield table
    text = "Return's deviation: standard deviation over seeds, in brackets over episodes."
    if any(row.knows("within_limit") for row in rows):
        text += " Within limit: episodes in which every agent's cost kept to every limit."
    if any(row.knows("violations") for row in rows):
        text += (
            " All safe: steps in which no agent was in danger. A violation begins where an agent comes into "
            "danger and none was; per episode, and in brackets per 1000 agent steps. Severity: how deep in "
            "danger, over dangerous steps."
        )
    yield Paragraph(text)


def _training(page: Page, rows: Sequence[RowSummary]) -> Iterator[Block]:
    table = training_table([row for row in rows if not is_elsewhere(row.environment, page.unseen)])
    if table is not None:
        yield Heading("Training")
        yield table
        has_multiplier = any("multiplier" in column for column in table.columns)
        peak = "; of multipliers the highest peak of any seed" if has_multiplier else ""
        yield Paragraph(f"Averages over seeds{peak}.")


def _every_seed(rows: Sequence[RowSummary]) -> Iterator[Block]:
    if not any(row.seeds_done < FEW_SEEDS for row in rows if row.seeds_planned > 1):
        return
    yield Heading("Every seed")
    by_environment = _by_environment(rows)
    for environment, here in by_environment.items():
        if len(by_environment) > 1:
            yield Heading(environment, 3)
        yield seeds_table(here)


def _reading(rows: Sequence[RowSummary]) -> str:
    """How the columns are to be read."""
    methods = {e.method for row in rows for name, e in row.estimates.items() if e.count > 1}
    parts = []
    if STUDENT in methods:
        parts.append(
            "Below five seeds, ± is the half-width of Student's 95 % interval of the mean over seeds."
        )
    if BOOTSTRAP in methods:
        parts.append(
            "From five seeds on, averages over them are interquartile means, with 95 % intervals of the "
            "bootstrap in brackets."
        )
    parts.append("Return: undiscounted, per episode, mean over agents.")
    if any(row.knows("cost") for row in rows):
        several = any(name.startswith("cost_") for row in rows for name in row.estimates)
        parts.append(
            "Cost: undiscounted, per episode and agent"
            f"{', of the constraint tightest in a row' if several else ''}. 95 % bound: one-sided upper "
            "bound of the worst agent's mean cost over evaluation episodes, the largest of all seeds, "
            "against the limit; the limit is held by the seeds in which it is not above it."
        )
    if any(row.knows("dangerous_episodes") for row in rows):
        parts.append(
            "An agent is in danger while its margin is negative or, without margins, in steps that cost. "
            "Dangerous episodes: those with any danger at all; where seeds do not differ, in brackets "
            "Wilson's 95 % interval over the episodes of all. Safe states: share of steps and agents without "
            "danger."
        )
    return " ".join(parts)
