"""Figures: what is drawn, where, and in which words."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from rllib_safemarl.data import ActionSchema, Provenance
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.comparison import results_frame
from rllib_safemarl.evaluation.comparison_rows import summarise_rows
from rllib_safemarl.evaluation.comparison_scores import over_environments
from rllib_safemarl.evaluation.figures import Panel, save_figure
from rllib_safemarl.evaluation.figures_curves import PANELS, RETURN, comparison_figure, training_figure
from rllib_safemarl.evaluation.figures_outcomes import outcomes_figure
from rllib_safemarl.evaluation.figures_profiles import profiles_figure
from rllib_safemarl.evaluation.figures_results import BROKEN, HELD, results_figure
from rllib_safemarl.evaluation.figures_signals import of_behaviour, signals_figure
from tests.evaluation.test_comparison_rows import dangerous
from tests.evaluation.test_comparison_scores import result, rows
from tests.offline.datasets import numbered

METRICS = dict.fromkeys(
    ("limit_held", "constraint", "limit", "worst_agent_bound", "peak_multiplier", "dangerous_episodes"),
    np.nan,
) | {"episodes": 4}


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


@pytest.mark.parametrize(("name", "begins"), [("training.png", b"\x89PNG"), ("training.pdf", b"%PDF")])
def test_a_file_is_written_after_its_ending_and_nothing_else(tmp_path, name, begins):
    path = save_figure(training_figure({"": curve()}), tmp_path / name)
    content = path.read_bytes()
    assert content.startswith(begins)
    assert list(tmp_path.iterdir()) == [path]
    assert save_figure(training_figure({"": curve()}), path).read_bytes() == content, "no date in it"


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


def test_learners_from_data_count_what_they_learned_from_and_have_no_gaps():
    gaps = (3.0, np.nan, 1.0)
    learned = [curve(cost=gaps).assign(iteration=[1, 2, 3], loss=0.5) for _ in range(2)]
    costs = comparison_figure({"open": {"a": learned}}).axes[1]
    assert costs.get_xlabel() == "steps learned from"
    np.testing.assert_array_equal(costs.lines[0].get_xdata(), [100, 300])
    both = comparison_figure({"open": {"a": learned, "b": seeds((1, 1, 1))}}).axes[0]
    assert both.get_xlabel() == "steps sampled, or learned from"


def test_a_metric_that_only_some_rows_have_is_drawn_of_these():
    known = curve().assign(iteration=[1, 2, 3], mean_speed=[5.0, 6.0, 7.0])
    rows = {"a": [known], "b": [curve().assign(iteration=[1, 2, 3])]}
    panels = [RETURN, Panel("mean_speed", "mean speed", "m/s")]
    _, speed = comparison_figure({"open": rows}, panels=panels).axes
    assert speed.get_ylabel() == "m/s" and len(speed.lines) == 1
    np.testing.assert_array_equal(speed.lines[0].get_ydata(), [5.0, 6.0, 7.0])


def test_a_comparison_without_costs_has_one_panel():
    free = [curve(np.nan, (np.nan,) * 3).assign(iteration=[1, 2, 3])]
    assert len(comparison_figure({"x": {"a": free}}).axes) == 1


def test_four_panels_of_one_environment_stand_in_pairs():
    more = [c.assign(within_limit=[0.2, 0.8, 1.0], multiplier=[0.0, 2.0, 1.0]) for c in seeds((3, 2, 1))]
    figure = comparison_figure({"open": {"a": more}}, panels=PANELS)
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()]
    assert titles == ["Return", "Cost", "Within the limit", "Multiplier"]
    within = figure.axes[2]
    np.testing.assert_array_equal(within.lines[0].get_ydata(), [0.2, 0.8, 1.0])
    assert within.get_ylim() == (-0.02, 1.02)
    # What nobody reports is not drawn.
    three = comparison_figure({"open": {"a": [more[0].drop(columns="within_limit")]}}, panels=PANELS)
    assert [axes.get_visible() for axes in three.axes] == [True, True, True, False]


def test_from_five_seeds_on_bands_are_whole_and_seeds_not_drawn():
    rows = {"a": seeds(*((3.0 + s, 1.0, 1.0) for s in range(5)))}
    figure = comparison_figure({"open": rows})
    costs = figure.axes[1]
    assert [line.get_linewidth() for line in costs.lines] == [2.0, 1.4], "the average and the limit"
    assert "95 % interval of the interquartile mean" in [t.get_text() for t in figure.legends[0].get_texts()]


def test_costs_far_beyond_the_limit_have_numbers_that_stand_apart():
    found = rows(
        *(result("ours", seed, 1.0, cost=0.5) for seed in range(3)),
        *(result("bad", seed, 2.0, cost=cost) for seed, cost in enumerate((550.0, 590.0, 750.0))),
    )
    figure = results_figure(found, "title")
    costs = figure.axes[1]
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in costs.get_xticklabels()]
    assert len(boxes) >= 4
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    # Costs begin at 0: little room is left of it, however far they reach.
    assert costs.transAxes.inverted().transform(costs.transData.transform((0.0, 0.0)))[0] < 0.1


def test_results_show_every_row_its_seeds_its_interval_and_the_limit():
    found = rows(
        *(result("ours", seed, ret, cost=1.0) for seed, ret in enumerate((1.0, 2.0, 3.0))),
        *(result("bad", seed, 2.0, cost=cost) for seed, cost in enumerate((1.0, 1.0, 3.0))),
    )
    returns, costs = results_figure(found, "title").axes
    assert [label.get_text() for label in returns.get_yticklabels()] == ["ours", "bad"]
    interval, of_seeds, mean = returns.lines[:3]
    assert list(of_seeds.get_xdata()) == [1.0, 2.0, 3.0] and list(mean.get_xdata()) == [2.0]
    estimate = found[0].of("return")
    assert list(interval.get_xdata()) == [estimate.low, estimate.high]
    assert mean.get_color() == HELD and returns.lines[-1].get_color() == BROKEN
    limit = [line for line in costs.lines if line.get_linestyle() == "--"]
    assert [line.get_xdata()[0] for line in limit] == [2.0]
    assert costs.get_title(loc="left") == "Worst agent's cost"


def test_danger_without_spread_shows_what_its_episodes_tell():
    (axes,) = [
        axes
        for axes in results_figure(summarise_rows(results_frame([dangerous(0, 0.0)]))).axes
        if axes.get_title(loc="left") == "Dangerous episodes"
    ]
    # Wilson's interval of 0 in 100: z² / (n + z²).
    assert axes.lines[0].get_xdata()[1] == pytest.approx(0.037, abs=1e-3)


def test_a_row_that_is_far_off_is_an_arrow_and_a_number():
    many = [result(f"row {k}", 0, 1.0 + 0.01 * k) for k in range(7)]
    returns = results_figure(rows(*many, result("awful", 0, -50.0))).axes[0]
    assert returns.get_xlim()[0] > 0.9
    (arrow,) = [line for line in returns.lines if line.get_marker() == "<"]
    assert list(arrow.get_ydata()) == [7]
    assert [text.get_text() for text in returns.texts] == ["-50.00"]
    spread = results_figure(rows(*(result(f"row {k}", 0, float(k)) for k in range(8)))).axes[0]
    assert not [line for line in spread.lines if line.get_marker() == "<"]


def test_a_legend_stays_within_a_narrow_figure():
    rows = {name: [curve()] for name in ("DIFFUSION_CBF", "INDEPENDENT_Q_CQL", "TD3BC_PID", "MADDPG_CQL")}
    rows = {name: [c.assign(iteration=[1, 2, 3]) for c in seeds] for name, seeds in rows.items()}
    figure = comparison_figure({"open": rows}, panels=[RETURN])
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0.0 and box.x1 <= figure.bbox.width


def test_outcomes_are_bars_of_shares_with_their_numbers():
    lines = [
        {"environment": "open", "row": row, "variant": "", "seed": s, "status": "done", **METRICS, **shares}
        for row, shares in (("a", {"crash": 0.75, "slow": 0.25}), ("b", {"crash": 0.05, "slow": 0.95}))
        for s in (0, 1)
    ]
    frame = pd.DataFrame(lines)
    (axes,) = outcomes_figure(summarise_rows(frame), ["crash", "slow", "missing"]).axes
    widths = [[bar.get_width() for bar in bars] for bars in axes.containers]
    np.testing.assert_allclose(widths, [[0.75, 0.05], [0.25, 0.95], [0.0, 0.0]])
    lefts = [[bar.get_x() for bar in bars] for bars in axes.containers[:2]]
    np.testing.assert_allclose(lefts, [[0.0, 0.0], [0.75, 0.05]])
    assert [text.get_text() for text in axes.texts] == ["75%", "25%", "95%"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_signals_spread_by_the_action_taken():
    dataset = numbered([40, 60])
    rows = {**dataset.rows, "signals/gap": np.repeat(np.arange(100.0)[:, None], 2, 1)}
    numbers = (np.arange(100) % 3 == 1).astype(np.int64)[:, None].repeat(2, 1)
    kind = replace(dataset.schema.kinds[0], action=ActionSchema.discrete(2))
    schema = replace(dataset.schema, kinds=(kind,))
    choices = replace(dataset, schema=schema, rows={**rows, "actions/robot": numbers})
    (axes,) = signals_figure(choices, ["gap"], ["wait", "go"]).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["wait", "go"]
    medians = sorted(line.get_ydata()[0] for line in axes.lines if line.get_color() == "black")
    taken = [np.arange(100.0)[numbers[:, 0] == choice] for choice in (0, 1)]
    for of_action in taken:
        assert np.median(of_action) in medians
    labelled = replace(
        choices,
        episodes={**choices.episodes, "behaviour": np.array([1, 0])},
        provenance=Provenance(behaviours=("x", "y")),
    )
    part = of_behaviour(labelled, "y")
    np.testing.assert_array_equal(part["signals/gap"][:, 0], np.arange(40.0))
    with pytest.raises(SafeMARLError, match="no behaviour 'z'"):
        of_behaviour(labelled, "z")
    # Of an action that is a number, parts of its range: steps / 100 from 0 to 0.59.
    (axes,) = signals_figure(replace(dataset, rows=rows), ["gap"]).axes
    assert axes.get_xticklabels()[0].get_text() == "0 to 0.12"
    with pytest.raises(SafeMARLError, match="no signal 'gop'; one number per agent are: gap"):
        signals_figure(choices, ["gop"])


def test_profiles_and_chances():
    overall = over_environments(
        rows(
            *(result("ours", s, 2.0 + s, place) for s in range(3) for place in ("a", "b")),
            *(result("other", s, 1.0 + s, place, cost=3.0) for s in range(3) for place in ("a", "b")),
        ),
        (),
        (),
    )
    returns, costs, chances = profiles_figure(overall).axes
    ours, other = (dict(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in returns.lines)
    # From 0 to 1 the returns 1, 2, 3, 4: ours lie at 1/3, 2/3 and 1.
    assert (ours[0.0], ours[0.5], other[0.5]) == (1.0, pytest.approx(2 / 3), pytest.approx(1 / 3))
    ours, other = (line.get_ydata() for line in costs.lines[:2])
    thresholds = costs.lines[0].get_xdata()
    # A cost of 0.5 and of 3 under a limit of 2.
    np.testing.assert_array_equal(ours, thresholds >= 0.25)
    np.testing.assert_array_equal(other, thresholds >= 1.5)
    assert len(returns.collections) == 2, "six runs of two environments have an interval"
    (mean,) = [line for line in chances.lines if line.get_marker() == "o"]
    assert mean.get_xdata()[0] == pytest.approx((3 + 2.5 + 1.5) / 9)
