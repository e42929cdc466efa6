"""The picture of a training."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from rllib_safemarl.evaluation.figures import save_figure, training_figure


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
