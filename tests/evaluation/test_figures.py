"""The picture of a training."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from rllib_safemarl.evaluation.figures import comparison_figure, save_figure, training_figure


def curve(limit=1.0, cost=(3.0, 1.0, 0.5)):
    return pd.DataFrame(
        {
            "steps": [100, 200, 300],
            "team_return": [np.nan, 1.0, 2.0],
            "cost": cost,
            "worst_cost": [4.0, 2.0, 1.0],
            "limit": limit,
        }
    )


def test_a_single_trial_shows_mean_worst_agent_and_limit():
    returns, costs = training_figure({"": curve()}, "title").axes
    assert [line.get_label() for line in costs.lines] == ["mean over agents", "worst agent", "limit"]
    np.testing.assert_array_equal(returns.lines[0].get_ydata(), [np.nan, 1.0, 2.0])
    np.testing.assert_array_equal(costs.lines[0].get_xdata(), [100, 200, 300])
    np.testing.assert_array_equal(costs.lines[0].get_ydata(), [3.0, 1.0, 0.5])
    assert list(costs.lines[2].get_ydata()) == [1.0, 1.0]
    assert costs.lines[2].get_linestyle() == "--"
    assert costs.get_ylabel().replace("\n", " ") == "undiscounted cost per episode and agent"
    assert "return per episode" in returns.get_ylabel()
    assert returns.get_xlabel() == costs.get_xlabel() == "environment steps"


def test_several_trials_share_a_legend_and_each_limit_is_drawn_once():
    figure = training_figure({"a": curve(1.0), "b": curve(2.0), "c": curve(2.0)})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c"]
    dashed = [line.get_ydata()[0] for line in figure.axes[1].lines if line.get_linestyle() == "--"]
    assert dashed == [1.0, 2.0]
    colours = [[line.get_color() for line in axes.lines[:3]] for axes in figure.axes]
    assert colours[0] == colours[1]
    assert len(set(colours[0])) == 3


def test_without_costs_there_is_one_panel():
    figure = training_figure({"": curve(np.nan, (np.nan,) * 3)})
    assert len(figure.axes) == 1


def test_an_unlimited_cost_has_no_line():
    axes = training_figure({"": curve(np.inf)}).axes[1]
    assert all(line.get_linestyle() != "--" for line in axes.lines)


def test_a_png_is_written_and_nothing_else(tmp_path):
    path = save_figure(training_figure({"": curve()}), tmp_path / "training.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [path]


def seeds(*costs):
    return [curve(cost=cost).assign(iteration=[1, 2, 3]) for cost in costs]


def test_a_comparison_draws_means_every_seed_and_intervals():
    rows = {"a": seeds((3, 1, 1), (5, 3, 1), (4, 2, 1)), "b": seeds((0, 0, 0))}
    figure = comparison_figure({"open": rows}, "title")
    returns, costs = figure.axes
    thick = [line for line in costs.lines if line.get_linewidth() == 2.0]
    assert [line.get_label() for line in thick] == ["a", "b"]
    np.testing.assert_array_equal(thick[0].get_ydata(), [4.0, 2.0, 1.0])
    assert len([line for line in costs.lines if line.get_linewidth() == 0.7]) == 3
    assert len(costs.collections) == 1, "one seed has no interval"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "a",
        "b",
        "limit",
        "single seeds",
        "95 % interval of the mean",
    ]
    assert costs.get_yscale() == "linear" and costs.get_ylim()[0] == 0.0
    assert costs.get_ylim()[1] < 6.0, "the axes keep to the curves, not to the intervals"
    assert returns.get_title(loc="left") == "Return"


def test_costs_that_dwarf_the_limit_leave_it_readable():
    costs = comparison_figure({"open": {"a": seeds((90, 20, 0.5))}}).axes[1]
    assert costs.get_yscale() == "symlog"
    assert {0.0, 1.0, 2.0, 10.0, 50.0} <= set(costs.get_yticks())
    height = costs.transAxes.inverted().transform(costs.transData.transform((100, 1.0)))[1]
    assert 0.1 < height < 0.5


def test_environments_stand_below_each_other_and_rows_keep_their_colours():
    figure = comparison_figure(
        {"x": {"a": seeds((1, 1, 1))}, "y": {"b": seeds((1, 1, 1)), "a": seeds((1, 1, 1))}}
    )
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Return on x", "Cost on x", "Return on y", "Cost on y"]
    colours = [{line.get_label(): line.get_color() for line in axes.lines} for axes in figure.axes]
    assert colours[0]["a"] == colours[2]["a"] != colours[2]["b"]


def test_a_comparison_without_costs_has_one_panel():
    free = [curve(np.nan, (np.nan,) * 3).assign(iteration=[1, 2, 3])]
    assert len(comparison_figure({"x": {"a": free}}).axes) == 1
