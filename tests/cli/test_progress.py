"""The live table, apart from Tune."""

import math

import click
import pytest

from rllib_safemarl.cli.formats import count, duration, number
from rllib_safemarl.cli.progress import Table, TimeLeft, TrialProgress


def result(iteration, *, steps=None, seconds=None, cost=2.0, limit=1.0, **runner):
    figures = {
        "num_env_steps_sampled": 100,
        "num_env_steps_sampled_lifetime": 100 * iteration if steps is None else steps,
        "episode_team_return_mean": 0.5 * iteration,
        "episode_cost_mean": cost,
        "episode_cost_max_agent": cost + 1,
        **runner,
    }
    return {
        "training_iteration": iteration,
        "time_this_iter_s": 2.0,
        "time_total_s": 2.0 * iteration if seconds is None else seconds,
        "env_runners": figures,
        "learners": {"__all_modules__": {"multiplier_mean": 0.25}},
        "config": {"cost_limit": limit},
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.421, "0.42"), (-118.4, "-118"), (0, "0.00"), (0.0061, "0.006"), (2e-5, "2e-05"), (3.2e7, "3.20e+07")],
)
def test_numbers(value, text):
    assert number(value) == text


def test_what_is_missing_is_a_dash():
    assert [number(math.nan), count(None), duration(math.inf)] == ["–", "–", "–"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min"), (-3, "0 s")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_the_first_iteration_tells_the_time_left():
    left = TimeLeft({"training_iteration": 10})
    assert left.update(result(1), now=100.0) == pytest.approx(18.0)


def test_time_left_follows_the_rate_and_the_nearest_criterion():
    left = TimeLeft({"training_iteration": 100, "env_runners/num_env_steps_sampled_lifetime": 1000})
    left.update(result(1), now=100.0)
    # 100 steps a second from here on: 200 steps at 101 s; 800 are left at (200 - 0) / (101 - 98) steps/s.
    assert left.update(result(2), now=101.0) == pytest.approx(800 / (200 / 3))


def test_time_left_is_unknown_without_a_counter_and_after_a_restore():
    assert math.isnan(TimeLeft({"env_runners/episode_team_return_mean": 3}).update(result(1), now=1.0))
    restored = TimeLeft({"training_iteration": 30})
    assert math.isnan(restored.update(result(20), now=10.0))
    assert restored.update(result(21), now=12.0) == pytest.approx(18.0)


def test_a_time_budget_counts_from_the_first_iterations_start():
    assert TimeLeft({}, budget=60.0).update(result(1), now=100.0) == pytest.approx(58.0)


def test_a_row_shows_every_figure():
    progress = TrialProgress(TimeLeft({"training_iteration": 10}))
    progress.update(result(1), now=0.0)
    header, row = progress.row(Table(), "", now=0.0)
    assert header.split() == (
        "iteration steps steps/s return cost / limit worst agent multiplier time left".split()
    )
    assert click.unstyle(row).split() == "1 100 50 0.50 2.00 / 1.00 3.00 0.25 18 s".split()


def test_steps_per_second_are_those_since_the_last_row():
    progress, table = TrialProgress(TimeLeft({})), Table()
    progress.update(result(1), now=0.0)
    progress.row(table, "", now=0.0)
    progress.update(result(2), now=1.0)
    progress.update(result(3, steps=700, seconds=8.0), now=2.0)
    (row,) = progress.row(table, "", now=2.0)
    assert row.split()[:3] == ["3", "700", "100"]


def test_rows_come_every_two_seconds_and_never_twice():
    progress, table = TrialProgress(TimeLeft({})), Table()
    printed = []
    for iteration in range(1, 12):
        now = 0.5 * iteration
        progress.update(result(iteration), now)
        if progress.is_due(now, running=1):
            progress.row(table, "", now)
            printed.append(iteration)
    assert printed == [1, 5, 9]
    assert len(progress.row(table, "", 6.0)) == 1, "the last iteration is still to be printed"
    assert progress.row(table, "", 9.0) == []


def test_trials_share_the_rows():
    progress = TrialProgress(TimeLeft({}))
    progress.update(result(1), 0.0)
    progress.row(Table(), "", 0.0)
    assert not progress.is_due(7.0, running=4)
    assert progress.is_due(8.0, running=4)


def test_a_cost_above_its_limit_is_red_and_one_within_it_green():
    for cost, colour in ((1.5, "\x1b[31m"), (1.0, "\x1b[32m")):
        progress = TrialProgress(TimeLeft({}))
        progress.update(result(1, cost=cost), 0.0)
        assert colour in progress.row(Table(), "", 0.0)[-1]


def test_without_costs_there_are_no_columns_for_them():
    stock = result(1, limit=None)
    for key in ("episode_cost_mean", "episode_cost_max_agent"):
        del stock["env_runners"][key]
    progress = TrialProgress(TimeLeft({}))
    progress.update(stock, 0.0)
    header, row = progress.row(Table(), "", 0.0)
    assert header.split() == "iteration steps steps/s return time left".split()
    assert len(row) <= len(header)


def test_an_iteration_without_samples_stands_still():
    progress = TrialProgress(TimeLeft({}))
    progress.update(result(1), 0.0)
    assert not progress.stands_still
    progress.update(result(2, steps=100), 1.0)
    assert progress.stands_still
