"""The live table: rows, throttling and the time that is left, apart from Tune."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from rllib_safemarl.cli.formats import NOTHING, count, duration, number
from rllib_safemarl.evaluation.curves import Reading, lookup, read_result

COUNTERS = frozenset(
    {
        "training_iteration",
        "timesteps_total",
        "time_total_s",
        "num_env_steps_sampled_lifetime",
        "num_agent_steps_sampled_lifetime",
        "num_episodes_lifetime",
        "iterations_since_restore",
        "time_since_restore",
    }
)
"""Stopping criteria that grow steadily; from others no time can be told."""
SECONDS_BETWEEN_ROWS = 2.0
ROWS_BETWEEN_HEADERS = 30
_WINDOW = 20


@dataclass
class TimeLeft:
    """Seconds until the first stopping criterion is met, from the rates of the last iterations.

    Attributes:
        stop: metric → value.
        budget: seconds for the whole experiment, or None.
    """

    stop: Mapping[str, float]
    budget: float | None = None
    _seen: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)
    _started: float | None = None

    def update(self, result: Mapping[str, Any], now: float) -> float:
        """Take in a result at time ``now`` and return the seconds left, NaN if they cannot be told."""
        iteration_seconds = lookup(result, "time_this_iter_s", 0.0)
        if self._started is None:
            self._started = now - iteration_seconds
        left = [] if self.budget is None else [self._started + self.budget - now]
        for name, target in self.stop.items():
            value = lookup(result, name, None)
            if name.rsplit("/", 1)[-1] not in COUNTERS or not isinstance(value, (int, float)):
                continue
            seen = self._seen.setdefault(name, deque(maxlen=_WINDOW))
            if not seen and result.get("training_iteration") == 1:
                seen.append((now - iteration_seconds, 0.0))
            seen.append((now, float(value)))
            (first_time, first), (last_time, last) = seen[0], seen[-1]
            if last > first and last_time > first_time:
                left.append((target - last) * (last_time - first_time) / (last - first))
        return max(0.0, min(left)) if left else math.nan


@dataclass(frozen=True)
class Column:
    """A column of the table: its heading, which is as wide as its cells."""

    heading: str

    def cell(self, text: str) -> str:
        """Text, right-aligned."""
        return text.rjust(len(self.heading))


_ITERATION, _STEPS, _RATE = Column("iteration"), Column("      steps"), Column("steps/s")
_RETURN, _COST, _WORST = Column(" return"), Column("  cost / limit"), Column("worst agent")
_MULTIPLIER, _LEFT, _LOSS = Column("multiplier"), Column("   time left"), Column("   loss")


class Table:
    """Rows of one experiment.

    Args:
        label_width: characters of the trials' labels; 0 for a single trial.
    """

    def __init__(self, label_width: int = 0) -> None:
        self._label_width = label_width
        self._rows = 0
        self._with_cost: bool | None = None
        self._offline = False

    def rows(self, label: str, reading: Reading, rate: float, seconds_left: float) -> list[str]:
        """Lines to print for one reading: its row, now and then with the header before it.

        Args:
            label: of the trial.
            reading: its figures.
            rate: environment steps per second.
            seconds_left: until the trial stops.
        """
        with_cost = not (math.isnan(reading.cost) and math.isnan(reading.limit))
        # A cost shows up with the first episode that ended, perhaps rows after the table has begun.
        is_new_shape = self._with_cost is None or (with_cost and not self._with_cost)
        self._with_cost = with_cost or bool(self._with_cost)
        self._offline = not math.isnan(reading.loss)
        lines = []
        if is_new_shape or self._rows % ROWS_BETWEEN_HEADERS == 0:
            headings = [column.heading for column in self._columns]
            lines.append("  ".join([*self._labelled("trial"), *headings]))
        self._rows += 1
        cells = {
            _ITERATION: count(reading.iteration),
            _STEPS: count(reading.steps),
            _RATE: count(rate),
            _RETURN: number(reading.team_return),
            _COST: f"{number(reading.cost)} / {number(reading.limit)}",
            _WORST: number(reading.worst_cost),
            _MULTIPLIER: number(reading.multiplier),
            _LOSS: number(reading.loss),
            _LEFT: duration(seconds_left) if not math.isnan(seconds_left) else NOTHING,
        }
        row = [column.cell(cells[column]) for column in self._columns]
        if self._with_cost and reading.holds is not None:
            place = self._columns.index(_COST)
            row[place] = click.style(row[place], fg="green" if reading.holds else "red")
        line = "  ".join([*self._labelled(label), *row])
        lines.append(f"{line}  ({reading.constraint})" if reading.constraint else line)
        return lines

    @property
    def _columns(self) -> list[Column]:
        costs = [_COST, _WORST] if self._with_cost else []
        learnt = [_LOSS] if self._offline else []
        multiplier = [_MULTIPLIER] if self._with_cost and not self._offline else []
        return [_ITERATION, _STEPS, _RATE, *learnt, _RETURN, *costs, *multiplier, _LEFT]

    def _labelled(self, label: str) -> list[str]:
        return [label.ljust(self._label_width)] if self._label_width else []


@dataclass
class TrialProgress:
    """What has been printed of one trial.

    Attributes:
        time_left: its estimate.
        stands_still: whether the newest iteration added no step.
    """

    time_left: TimeLeft
    latest: Reading | None = None
    printed: Reading | None = None
    stands_still: bool = False
    _printed_at: float = -math.inf
    _seconds_left: float = math.nan
    _first_rate: float = math.nan

    def update(self, result: Mapping[str, Any], now: float) -> None:
        """Take in a result."""
        if self.latest is None:
            steps = lookup(result, "env_runners/num_env_steps_sampled", math.nan)
            seconds = lookup(result, "time_this_iter_s", math.nan)
            self._first_rate = steps / seconds if seconds else math.nan
        before, self.latest = self.latest, read_result(result)
        self.stands_still = self.latest.steps == (0 if before is None else before.steps)
        self._seconds_left = self.time_left.update(result, now)

    def is_due(self, now: float, running: int) -> bool:
        """Whether a row should be printed: about one every two seconds over all trials."""
        return self.printed is None or now - self._printed_at >= SECONDS_BETWEEN_ROWS * max(1, running)

    def row(self, table: Table, label: str, now: float) -> list[str]:
        """Lines of the newest reading, which then counts as printed; none if it already does."""
        latest, before = self.latest, self.printed
        if latest is None or latest is before:
            return []
        rate = self._first_rate
        if before is not None and latest.seconds > before.seconds:
            rate = (latest.steps - before.steps) / (latest.seconds - before.seconds)
        self.printed, self._printed_at = latest, now
        return table.rows(label, latest, rate, self._seconds_left)
