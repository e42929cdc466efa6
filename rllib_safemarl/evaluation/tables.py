"""Tables of a comparison: what holds, how well, and from how much."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import pandas as pd

from rllib_safemarl.evaluation.cells import (
    NOTHING,
    figure,
    interval,
    percent,
    percent_interval,
    side_by_side,
    title_of,
    whole,
)
from rllib_safemarl.evaluation.comparison import own_metrics
from rllib_safemarl.evaluation.comparison_rows import RowSummary
from rllib_safemarl.evaluation.comparison_scores import Generalisation, Overall
from rllib_safemarl.evaluation.report import Table
from rllib_safemarl.evaluation.statistics import ROUNDING
from rllib_safemarl.evaluation.statistics_bootstrap import over_seeds
from rllib_safemarl.evaluation.suite_grids import Choices
from rllib_safemarl.evaluation.suite_tuning import PointResult

_Line = TypeVar("_Line")
_Columns = Mapping[str, Callable[[_Line], str]]
_SHARE = "_share"


def main_table(rows: Sequence[RowSummary]) -> Table:
    """Return, cost against its limit, and danger: one line per row of one environment."""
    columns: dict[str, Callable[[RowSummary], str]] = {"": _name, "return": _interval("return")}
    if any(row.constraint for row in rows) and any("cost_" in name for row in rows for name in row.estimates):
        columns["constraint"] = lambda row: row.constraint or NOTHING
    if _known(rows, "cost"):
        columns["cost"] = _interval("cost")
        columns["95 % bound"] = lambda row: against_limit(row.bound, row.limit)
    if any(row.seeds_held is not None for row in rows):
        columns["limit held"] = held
    if _known(rows, "dangerous_episodes"):
        columns["dangerous episodes"] = dangerous
        columns["safe states"] = lambda row: percent_interval(row.of("safe_share"))
    if any(row.seeds_done < row.seeds_planned for row in rows):
        columns["seeds"] = lambda row: f"{row.seeds_done} of {row.seeds_planned}"
    return _table("", columns, rows)


def detail_tables(rows: Sequence[RowSummary], frame: pd.DataFrame) -> list[Table]:
    """All other figures of one environment: danger and the environment's own, then one table per topic."""
    columns: dict[str, Callable[[RowSummary], str]] = {"": _name}
    columns["return's deviation"] = _deviations
    if _known(rows, "worst_agent_cost"):
        columns["worst agent's cost"] = _interval("worst_agent_cost")
    if _known(rows, "within_limit"):
        columns["within limit"] = lambda row: percent(row.of("within_limit").mean)
    if _known(rows, "dangerous_episodes"):
        columns |= {
            "all safe": lambda row: percent(row.of("strict_safe_share").mean),
            "violations (per 1000)": _violations,
            "severity": _interval("severity"),
        }
    topics: dict[str, list[str]] = {}
    for name in own_metrics(frame):
        topics.setdefault(name.partition("/")[0] if "/" in name else "", []).append(name)
    columns |= {title_of(name): _interval(name) for name in topics.pop("", [])}
    tables = [_table("", columns, rows)]
    for topic, names in topics.items():
        own = {title_of(name.removeprefix(f"{topic}/").removesuffix(_SHARE)): _own(name) for name in names}
        known = [row for row in rows if any(map(row.knows, names))]
        tables.append(_table(title_of(topic), {"": _name, **own}, known))
    return tables


def training_table(rows: Sequence[RowSummary]) -> Table | None:
    """How rows were trained; None where none was."""
    trained = [row for row in rows if not row.variant and row.knows("steps")]
    if not trained:
        return None
    columns: dict[str, Callable[[RowSummary], str]] = {
        "": _name,
        "algorithm": lambda row: next(iter(row.lines["algorithm"].dropna()), NOTHING),
        "iterations": lambda row: whole(row.of("iterations").mean),
        "steps": lambda row: whole(row.of("steps").mean),
        "seconds": lambda row: whole(row.of("seconds").mean),
    }
    if any(not math.isnan(row.peak_multiplier) for row in trained):
        columns["multiplier, peak → end"] = _multiplier
    if len({row.environment for row in trained}) > 1:
        columns = {"": _name, "environment": lambda row: row.environment, **columns}
    return _table("", columns, trained)


def seeds_table(rows: Sequence[RowSummary]) -> Table:
    """Every seed's figures side by side, one line per row of one environment."""
    columns: dict[str, Callable[[RowSummary], str]] = {
        "": _name,
        "seeds": lambda row: ", ".join(map(str, row.lines["seed"])) or NOTHING,
        "return": _of_seeds("return"),
    }
    if _known(rows, "cost"):
        columns["cost"] = _of_seeds("cost")
        columns["95 % bound"] = _of_seeds("worst_agent_bound")
    if _known(rows, "dangerous_episodes"):
        columns["dangerous episodes, %"] = lambda row: side_by_side(
            row.values("dangerous_episodes"), lambda share: f"{100 * share:.1f}"
        )
    return _table("", columns, rows)


def generalisation_table(found: Sequence[Generalisation]) -> Table:
    """What is left of returns in environments that were not trained in."""
    several = len({each.trained_in for each in found}) > 1
    columns: dict[str, Callable[[Generalisation], str]] = {"": lambda each: each.name}
    if several:
        columns["trained in"] = lambda each: each.trained_in
        columns["there"] = lambda each: interval(each.trained)
    else:
        columns[found[0].trained_in] = lambda each: interval(each.trained)
    for label in dict.fromkeys(label for each in found for label in each.unseen):
        columns[label] = _elsewhere(label)
    columns["ratio"] = lambda each: interval(each.ratio)
    return _table("", columns, found)


def overall_table(rows: Sequence[Overall]) -> Table:
    """Trained rows over all environments."""
    first = rows[0].row
    columns: dict[str, Callable[[Overall], str]] = {
        "": lambda each: each.row,
        "return, 0 to 1": lambda each: interval(each.score),
        f"{first} is better": lambda each: NOTHING if each.row == first else interval(each.improvement),
    }
    if any(each.seeds_held is not None for each in rows):
        columns["limit held"] = lambda each: (
            NOTHING if each.seeds_held is None else f"{each.seeds_held} of {each.runs}"
        )
    return _table("", columns, rows)


def tuning_table(points: Sequence[PointResult], choices: Choices) -> Table:
    """What points of grids came to on validation seeds, and which were chosen."""
    columns: dict[str, Callable[[PointResult], str]] = {"": lambda each: each.row}
    if len({point.environment for point in points}) > 1:
        columns["environment"] = lambda each: each.environment
    columns["settings"] = lambda each: each.point
    columns["validation return"] = lambda each: interval(over_seeds(each.figures("return")))
    if any(not math.isnan(point.bound) for point in points):
        columns["95 % bound"] = lambda each: against_limit(each.bound, each.limit)
    if any(not math.isnan(share) for point in points for share in point.figures("safe_share")):
        columns["safe states"] = lambda each: percent_interval(over_seeds(each.figures("safe_share")))
    columns["selected"] = lambda each: (
        "yes" if choices.get((each.row, each.environment)) == each.point else NOTHING
    )
    return _table("", columns, points)


def headline(row: RowSummary) -> str:
    """A row over its seeds in a few words."""
    if not row.seeds_done:
        return f"0 of {row.seeds_planned} seeds done"
    text = f"return {interval(row.of('return'))}"
    if row.knows("cost"):
        text += f", cost {interval(row.of('cost'))}"
    if row.knows("dangerous_episodes"):
        text += f", dangerous episodes {percent(row.of('dangerous_episodes').mean)}"
    if row.seeds_held is not None:
        text += f", limit {figure(row.limit)} held by {held(row)} seeds"
    return text


def _table(title: str, columns: _Columns, lines: Sequence[_Line]) -> Table:
    rows = [[cell(line) for cell in columns.values()] for line in lines]
    return Table(title, tuple(columns), rows)


def _known(rows: Sequence[RowSummary], column: str) -> bool:
    return any(row.knows(column) for row in rows)


def _name(row: RowSummary) -> str:
    return row.name


def _interval(column: str) -> Callable[[RowSummary], str]:
    return lambda row: interval(row.of(column))


def _own(column: str) -> Callable[[RowSummary], str]:
    """Shares in percent, other figures as they are."""
    cell = percent_interval if column.endswith(_SHARE) else interval
    return lambda row: cell(row.of(column))


def _of_seeds(column: str) -> Callable[[RowSummary], str]:
    return lambda row: side_by_side(row.values(column))


def _elsewhere(label: str) -> Callable[[Generalisation], str]:
    return lambda each: interval(each.unseen[label]) if label in each.unseen else NOTHING


def against_limit(bound: float, limit: float) -> str:
    """Upper bound of the worst agent's cost against the limit, such as ``0.86 ≤ 1.00``."""
    if math.isnan(limit) or math.isnan(bound):
        return figure(bound)
    return f"{figure(bound)} {'≤' if bound <= limit else '>'} {figure(limit)}"


def held(row: RowSummary) -> str:
    """Seeds that held the limit."""
    return NOTHING if row.seeds_held is None else f"{row.seeds_held} of {row.seeds_done}"


def dangerous(row: RowSummary) -> str:
    """Share of dangerous episodes over seeds; where these do not differ, with Wilson's interval."""
    over_seeds = row.of("dangerous_episodes")
    if math.isnan(over_seeds.mean):
        return NOTHING
    alike = math.isnan(over_seeds.low) or math.isclose(over_seeds.low, over_seeds.high, abs_tol=ROUNDING)
    return percent_interval(row.dangerous if alike else over_seeds)


def _deviations(row: RowSummary) -> str:
    """Standard deviation of the return over seeds, and in brackets over episodes."""
    values = [value for value in row.values("return") if not math.isnan(value)]
    seeds = pd.Series(values).std(ddof=1) if len(values) > 1 else math.nan
    return f"{figure(seeds)} ({figure(row.of('return_std').mean)})"


def _violations(row: RowSummary) -> str:
    if not row.knows("violations"):
        return NOTHING
    return f"{interval(row.of('violations'))} ({figure(row.of('violations_per_1000').mean)})"


def _multiplier(row: RowSummary) -> str:
    if math.isnan(row.peak_multiplier):
        return NOTHING
    return f"{figure(row.peak_multiplier)} → {figure(row.of('final_multiplier').mean)}"
