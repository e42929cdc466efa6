"""Sweeps as tables and figures."""

import math

import numpy as np
import pandas as pd
import pytest

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.runs import Run
from rllib_safemarl.evaluation.sweeps import check_setting, in_order, ordered, places, sweep_frame

SCALES = [0.0, 1.0, 2.0], True, False


def run(settings, ret=1.0, cost=0.5, limit=1.0, seed=0, readings=20):
    """The last two of 20 readings are what it came to."""
    values = np.full(readings, -100.0)
    values[-2:] = ret - 1.0, ret + 1.0
    curve = pd.DataFrame({"team_return": values, "cost": cost, "limit": limit, "within_limit": 0.5})
    return Run(None, "sweep", "open", curve, settings=settings, seed=seed)


def sweep():
    """κ by limit, two seeds of each; the larger limit is not kept."""
    return sweep_frame(
        [
            run({"kappa": kappa, "cost_limit": limit, "lr": 0.1}, ret + seed, cost, limit, seed)
            for kappa, limit, ret, cost in ((math.inf, 1.0, 4.0, 0.5), (0, 1, 2.0, 0.5), (0, 2.0, 6.0, 3.0))
            for seed in (0, 1)
        ]
    )


def test_a_run_comes_to_the_mean_of_its_last_tenth():
    frame, settings = sweep()
    assert settings == ["kappa", "cost_limit"], "in these some differ"
    assert list(frame["return"]) == [4.0, 5.0, 2.0, 3.0, 6.0, 7.0]
    assert list(frame["seed"]) == [0, 1] * 3
    assert list(frame.columns) == ["kappa", "cost_limit", "seed", "return", "cost", "limit", "within_limit"]


def test_a_setting_that_is_called_as_a_figure_keeps_its_long_name():
    frame, settings = sweep_frame([run({"env_config.cost": k}) for k in (1, 2)])
    assert settings == ["env_config.cost"] and list(frame["cost"]) == [0.5, 0.5]


def test_runs_that_do_not_differ_are_refused():
    with pytest.raises(SafeMARLError, match="differ in no setting but their seeds"):
        sweep_frame([run({"kappa": 1}), run({"kappa": 1.0}, seed=1)])
    with pytest.raises(
        SafeMARLError, match=r"do not differ in 'kapa'. Did you mean 'kappa'\? They do in: kappa, lr."
    ):
        check_setting("kapa", ["kappa", "lr"])


def test_values_are_in_order_and_on_scales():
    assert ordered(pd.Series(["pid", math.inf, 2, "none", 0.5, 2.0], dtype=object)) == [
        0.5,
        2.0,
        math.inf,
        "none",
        "pid",
    ]
    assert places([0, 1, 2]) == SCALES
    assert places([0.001, 0.01, 0.1]) == ([0.001, 0.01, 0.1], True, True)
    for values in ([0, 1, math.inf], ["a", "b"], [1, 100], [1, 2, True]):
        assert places(values) == ([float(k) for k in range(len(values))], False, False)
    frame, settings = sweep()
    assert list(in_order(frame, settings)["return"]) == [2.0, 3.0, 6.0, 7.0, 4.0, 5.0]


def test_a_setting_is_drawn_with_a_line_for_every_choice_of_the_others():
    pytest.importorskip("matplotlib")
    from rllib_safemarl.evaluation.figures_sweeps import setting_figure

    figure = setting_figure(*sweep_arguments("kappa"), "title")
    returns, costs, within = figure.axes
    lines = [line for line in returns.lines if line.get_linestyle() == "-"]
    assert [list(line.get_ydata()) for line in lines] == [[2.5, 4.5], [6.5]]
    assert [tick.get_text() for tick in returns.get_xticklabels()] == ["0", "∞"]
    (limit,) = [line for line in costs.lines if line.get_linestyle() == "--"]
    assert list(limit.get_ydata()) == [2.0, 1.0], "the largest at each value"
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["cost_limit=1", "cost_limit=2", "limit"]
    assert (returns.get_xlabel(), within.get_title(loc="left")) == ("kappa", "Within the limit")


def sweep_arguments(setting):
    frame, settings = sweep()
    return frame, setting, settings


def test_parallel_coordinates_mark_what_is_within_its_limit():
    pytest.importorskip("matplotlib")
    from rllib_safemarl.evaluation.figures_sweeps import parallel_figure

    frame, settings = sweep()
    axes = parallel_figure(frame, settings).axes[0]
    names = [text.get_text() for text in axes.texts if text.get_fontweight() == "bold"]
    assert names == ["kappa", "cost_limit", "cost", "within limit", "return"]
    choices = [line for line in axes.lines if len(line.get_xdata()) == len(names)]
    assert len(choices) == 3, "seeds are averaged"
    dashed = [line for line in choices if line.get_linestyle() == "--"]
    # κ 0 and limit 2 at cost 3 and return 6.5, the ends of their axes.
    (broken,) = dashed
    np.testing.assert_allclose(broken.get_ydata(), [0.0, 1.0, 1.0, 0.5, 1.0])
    best = max(choices, key=lambda line: line.get_linewidth())
    np.testing.assert_allclose(best.get_ydata(), [1.0, 0.0, 0.0, 0.5, (4.5 - 2.5) / 4.0])
