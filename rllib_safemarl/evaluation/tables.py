"""A comparison as a page of Markdown: what holds, how well, and from how much."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rllib_safemarl.evaluation.comparison import DONE, FAILED, over_seeds_frame, own_metrics
from rllib_safemarl.evaluation.statistics import FEW_SEEDS

NOTHING = "–"
_Cell = Callable[[Mapping[str, Any]], str]


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
        budget: the suite's, or empty.
        picture: the file with the learning curves, or empty.
    """

    title: str
    command: str
    date: str
    version: str
    seeds: Sequence[int]
    episodes: int
    unseen: Sequence[str] = ()
    budget: str = ""
    picture: str = ""


def markdown_page(page: Page, results: pd.DataFrame) -> str:
    """The whole page.

    Args:
        page: what stands around the tables.
        results: one line per evaluation, see :func:`rllib_safemarl.evaluation.comparison.results_frame`.
    """
    parts = [f"# {page.title}", _made_by(page)]
    parts += [f"**{problem}**" for problem in _incomplete(results)]
    environments = list(dict.fromkeys(results["environment"]))
    several = len(environments) > 1
    for environment in environments:
        here = results[results["environment"] == environment]
        unseen = ", unseen in training" if environment.split(", trained in ")[0] in page.unseen else ""
        parts += [f"## {environment}{unseen}"] if several else []
        parts.append(summary_table(here))
    parts.append(_reading(results))
    if page.picture:
        parts.append(f"![Return and cost while training]({page.picture})")
    if len(page.seeds) < FEW_SEEDS:
        parts += ["## Every seed", seeds_table(results, several)]
    return "\n\n".join(parts) + "\n"


def summary_table(results: pd.DataFrame) -> str:
    """One line per row, mean ± half-width of the 95 % interval over seeds.

    Args:
        results: of one environment.
    """
    lines = over_seeds_frame(results)
    columns: dict[str, _Cell] = {
        "": row_name,
        "return": _with_interval("return"),
    }
    if _several_constraints(results):
        columns["constraint"] = lambda line: str(line["constraint"])
    if results["cost"].notna().any():
        columns["cost"] = _with_interval("cost")
    if results["limit_held"].notna().any():
        columns |= {
            "limit": _plain("limit"),
            "worst agent's cost": _with_interval("worst_agent_cost"),
            "95 % bound": _plain("worst_agent_bound_max"),
            "limit held": _held,
        }
    if results["dangerous_episodes"].notna().any():
        columns |= {
            "dangerous episodes": _dangerous,
            "safe states": _with_interval("safe_share", _percent),
            "violations per episode": _with_interval("violations"),
            "severity": _with_interval("severity"),
        }
    columns |= {_title(name): _with_interval(name) for name in own_metrics(results)}
    if results["peak_multiplier"].notna().any():
        columns["multiplier, peak → end"] = _multiplier
    columns["seeds"] = lambda line: (
        f"{line['seeds_done']}"
        + (f" of {line['seeds_planned']}" if line["seeds_done"] < line["seeds_planned"] else "")
    )
    return _table(columns, lines)


def _several_constraints(results: pd.DataFrame) -> bool:
    return any(str(name).startswith("cost_") for name in results)


def row_name(line: Mapping[str, Any]) -> str:
    """A row, with its variant where it is one."""
    return f"{line['row']}, {line['variant']}" if line["variant"] else str(line["row"])


def headline(line: Mapping[str, Any]) -> str:
    """A row over its seeds in a few words.

    Args:
        line: of :func:`rllib_safemarl.evaluation.comparison.over_seeds_frame`.
    """
    if not line["seeds_done"]:
        return f"0 of {line['seeds_planned']} seeds done"
    text = f"return {_with_interval('return')(line)}"
    if not pd.isna(line.get("cost", math.nan)):
        text += f", cost {_with_interval('cost')(line)}"
    if not pd.isna(line.get("dangerous_episodes", math.nan)):
        text += f", dangerous episodes {_percent(line['dangerous_episodes'])}"
    if not pd.isna(line["seeds_held"]):
        text += f", limit {figure(line['limit'])} held by {_held(line)} seeds"
    return text


def seeds_table(results: pd.DataFrame, with_environment: bool) -> str:
    """One line per evaluation."""
    columns: dict[str, _Cell] = {"": row_name}
    if with_environment:
        columns["environment"] = lambda line: str(line["environment"])
    columns |= {"seed": lambda line: str(line["seed"]), "return": _plain("return")}
    if results["cost"].notna().any():
        columns["cost"] = _plain("cost")
    if results["limit_held"].notna().any():
        columns |= {
            "limit": _plain("limit"),
            "worst agent's cost": _plain("worst_agent_cost"),
            "95 % bound": _plain("worst_agent_bound"),
            "limit held": _yes_or_no,
        }
    if results["dangerous_episodes"].notna().any():
        columns |= {
            "dangerous episodes": lambda line: _percent(line["dangerous_episodes"]),
            "safe states": lambda line: _percent(line["safe_share"]),
        }
    columns |= {_title(name): _plain(name) for name in own_metrics(results)}
    columns |= {"steps": _count("steps"), "seconds": _count("seconds")}
    if (results["status"] != DONE).any():
        columns["status"] = lambda line: str(line["status"])
    return _table(columns, results)


def _made_by(page: Page) -> str:
    seeds = f"{len(page.seeds)} {'seed' if len(page.seeds) == 1 else 'seeds'}"
    budget = f"Budget `{page.budget}`. " if page.budget else ""
    return (
        f"`{page.command}`\n\n{budget}{page.date}, {page.version}; {seeds} "
        f"({', '.join(map(str, page.seeds))}), {page.episodes} evaluation episodes of each, deterministic "
        "unless a variant says otherwise, and from starts not trained on; datasets are taken whole."
    )


def _incomplete(results: pd.DataFrame) -> list[str]:
    """What the tables lack, by name."""
    failed = results[results["status"] == FAILED]
    unfinished = int((~results["status"].isin([DONE, FAILED])).sum())
    lines = [f"Failed: {_name(trial)}: {trial['problem']}" for _, trial in failed.iterrows()]
    if unfinished:
        lines.append(
            f"Unfinished: {unfinished} of {len(results)} evaluations; the same command goes on with them."
        )
    return lines


def _name(trial: Mapping[str, Any]) -> str:
    return f"{row_name(trial)} on {trial['environment']}, seed {trial['seed']}"


def _reading(results: pd.DataFrame) -> str:
    """How the columns are to be read."""
    few = results["seed"].nunique() < FEW_SEEDS
    text = (
        "± is the half-width of Student's 95 % interval over seeds"
        f"{', every one of which stands below' if few else ''}. Return: undiscounted, per episode, mean over "
        "agents."
    )
    if results["cost"].notna().any():
        text += (
            " Cost: undiscounted, per episode and agent"
            f"{', of the constraint tightest in a row' if _several_constraints(results) else ''}."
        )
    if results["limit_held"].notna().any():
        text += (
            " 95 % bound: one-sided upper bound of the worst agent's mean cost over evaluation episodes, the "
            "largest of all seeds; the limit is held by the seeds in which it is not above the limit."
        )
    if results["dangerous_episodes"].notna().any():
        text += (
            " An agent is in danger while its margin is negative or, without margins, in steps that cost. "
            "Dangerous episodes: those with any danger at all; in brackets Wilson's 95 % interval over the "
            "episodes of all seeds. Safe states: share of steps and agents without danger. A violation "
            "begins where an agent comes into danger and none was. Severity: how deep, over dangerous steps."
        )
    return text


def _table(columns: Mapping[str, _Cell], lines: pd.DataFrame) -> str:
    """Markdown, text left and numbers right."""
    rows = [[cell(line) for cell in columns.values()] for _, line in lines.iterrows()]
    alignment = [":---" if index == 0 else "---:" for index in range(len(columns))]
    cells = [list(columns), alignment, *rows]
    escaped = [[text.replace("|", "\\|") for text in row] for row in cells]
    return "\n".join(f"| {' | '.join(row)} |" for row in escaped)


def _with_interval(name: str, text: Callable[[Any], str] | None = None) -> _Cell:
    text = text or figure

    def cell(line: Mapping[str, Any]) -> str:
        half = line.get(f"{name}_half", math.nan)
        mean = text(line.get(name, math.nan))
        return mean if math.isnan(half) else f"{mean} ± {text(half)}"

    return cell


def _plain(name: str) -> _Cell:
    return lambda line: figure(line.get(name, math.nan))


def _count(name: str) -> _Cell:
    return lambda line: NOTHING if pd.isna(line[name]) else f"{line[name]:,.0f}"


def _held(line: Mapping[str, Any]) -> str:
    held, done = line["seeds_held"], line["seeds_done"]
    return NOTHING if math.isnan(held) else f"{held:.0f} of {done}"


def _yes_or_no(line: Mapping[str, Any]) -> str:
    return NOTHING if pd.isna(line["limit_held"]) else ("yes" if line["limit_held"] else "no")


def _multiplier(line: Mapping[str, Any]) -> str:
    peak = line["peak_multiplier_max"]
    return NOTHING if pd.isna(peak) else f"{figure(peak)} → {figure(line['final_multiplier'])}"


def _dangerous(line: Mapping[str, Any]) -> str:
    """Mean ± half-width over seeds [Wilson's interval over episodes]."""
    text = _with_interval("dangerous_episodes", _percent)(line)
    if text == NOTHING:
        return text
    return f"{text} [{100 * line['dangerous_low']:.1f}, {100 * line['dangerous_high']:.1f}]"


def _title(name: str) -> str:
    """Of a column: ``planning: infeasible share``."""
    return name.replace("_", " ").replace("/", ": ")


def _percent(value: Any) -> str:
    return NOTHING if pd.isna(value) else f"{100 * value:.1f} %"


def figure(value: Any) -> str:
    """A number with about three digits, such as ``0.42``, ``-118`` or ``1.2e+07``."""
    if value is None or pd.isna(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    size = abs(value)
    if size >= 1e6 or 0 < size < 0.001:
        return f"{value:.1e}"
    return f"{value:.0f}" if size >= 100 else f"{value:.2f}" if size >= 0.095 or size == 0 else f"{value:.3f}"
