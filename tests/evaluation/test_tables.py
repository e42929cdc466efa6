"""Tables and the page of a comparison, read as text."""

from dataclasses import replace
from itertools import dropwhile, takewhile

import numpy as np
import pytest

from rllib_safemarl.evaluation.cells import figure, interval, percent_interval, side_by_side
from rllib_safemarl.evaluation.comparison import EvaluationResult, results_frame
from rllib_safemarl.evaluation.comparison_records import load_record, save_record
from rllib_safemarl.evaluation.comparison_rows import summarise_rows
from rllib_safemarl.evaluation.page import Page, comparison_report
from rllib_safemarl.evaluation.published import read_published
from rllib_safemarl.evaluation.report import Picture
from rllib_safemarl.evaluation.report_markdown import markdown
from rllib_safemarl.evaluation.statistics import BOOTSTRAP, Estimate
from rllib_safemarl.evaluation.tables import headline
from tests.evaluation.test_comparison import curve, record, trial
from tests.evaluation.test_comparison_rows import dangerous

PAGE = Page(
    title="A title",
    command="safemarl compare demo.yaml",
    date="2030-01-02",
    version="rllib_safemarl 9 (abc)",
    seeds=(0, 1),
    episodes=2,
    pictures=[Picture("curves", "Return and cost while training")],
)
MAIN = "|  | return | "


def page(results, **changes):
    frame = results_frame(results)
    return markdown(comparison_report(replace(PAGE, **changes), frame, summarise_rows(frame)))


def done(row, seed, cost, ret=1.0, environment="open", **more):
    metrics = {"goal_reached": np.array([1.0, 1.0])}
    return EvaluationResult(
        trial(row, seed, environment, **more),
        record([[[cost]]] * 2, [[ret]] * 2, metrics=metrics),
        curve([0.0, cost]),
    )


def table(text, heads):
    """Row → column → cell of the first table whose heading begins like this."""
    lines = dropwhile(lambda line: not line.startswith(heads), text.splitlines())
    of_table = takewhile(lambda line: line.startswith("|"), lines)
    titles, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in of_table)
    return {row[0]: dict(zip(titles, row, strict=True)) for row in rows}


def test_a_row_of_the_main_table_says_what_holds():
    rows = [done("ours", 0, 0.5, 1.0), done("ours", 1, 0.7, 3.0), done("bad", 0, 2), done("bad", 1, 0.5)]
    main = table(page(rows), MAIN)
    # Two values d apart: half-width 12.706 · d / 2.
    assert main["ours"] == {
        "": "ours",
        "return": "2.00 ± 12.71",
        "cost": "0.60 ± 1.27",
        "95 % bound": "0.70 ≤ 1.00",
        "limit held": "2 of 2",
    }
    assert (main["bad"]["95 % bound"], main["bad"]["limit held"]) == ("2.00 > 1.00", "1 of 2")


def test_other_figures_stand_in_tables_of_their_own(tmp_path):
    found = done("ours", 0, 0.5)
    found.record.metrics["planning/infeasible_share"] = np.array([0.25, 0.75])
    path = save_record(found.record, tmp_path / "record.npz")
    text = page([replace(found, record=load_record(path)), done("ours", 1, 0.5, 3.0), done("cloned", 0, 0.5)])
    details = table(text, "|  | return's deviation |")
    assert details["ours"]["goal reached"] == "1.00 ± 0.00"
    assert details["ours"]["return's deviation"] == "1.41 (0.00)", "√2 over seeds, none over episodes"
    assert details["ours"]["within limit"] == "100.0 %"
    assert "### planning\n" in text
    planning = table(text, "|  | infeasible |")
    assert planning == {"ours": {"": "ours", "infeasible": "50.0 %"}}, "only rows of which it is known"
    training = table(text, "|  | algorithm |")
    assert training["ours"]["multiplier, peak → end"] == "0.50 → 0.50"


def test_below_five_seeds_every_seed_is_shown():
    text = page([done("ours", seed, 0.5, 1.0 + seed) for seed in (0, 1)])
    assert "## Every seed" in text
    seeds = table(text, "|  | seeds |")["ours"]
    assert (seeds["seeds"], seeds["return"], seeds["95 % bound"]) == ("0, 1", "1.00, 2.00", "0.50, 0.50")
    many = page([done("ours", seed, 0.5, 1.0 + seed) for seed in range(5)], seeds=range(5))
    assert "## Every seed" not in many and "interquartile means" in many and "Student" not in many
    assert table(many, MAIN)["ours"]["return"].startswith("3.00 [")


def test_the_page_says_where_it_comes_from():
    text = page([done("ours", 0, 0.5)])
    assert text.startswith("# A title\n\n`safemarl compare demo.yaml`\n")
    assert "2030-01-02, rllib_safemarl 9 (abc); 2 seeds (0, 1), 2 evaluation episodes" in text
    assert "![Return and cost while training](curves.png)" in text
    assert "Failed" not in text and "Unfinished" not in text and "not evidence" not in text
    quick = page([done("o", 0, 1)], budget="quick")
    assert "**quick: not evidence." in quick and "Budget quick." in quick


def test_what_is_missing_is_named():
    text = page(
        [
            done("ours", 0, 0.5),
            EvaluationResult(trial(seed=1), problem="out of | memory"),
            EvaluationResult(trial("new")),
        ]
    )
    assert "**Failed: ours on open, seed 1: out of | memory**" in text
    assert "**Unfinished: 1 of 3 evaluations" in text
    main = table(text, MAIN)
    assert main["ours"]["seeds"] == "1 of 2"
    assert (main["new"]["return"], main["new"]["seeds"]) == ("–", "0 of 1")


def test_what_others_printed_stands_below_and_says_so():
    table = {
        "title": "Table I",
        "source": "A (2024), Table I",
        "columns": ["", "reward"],
        "rows": {"x": [850]},
    }
    text = page([done("ours", 0, 0.5)], published=read_published([table], "suite"))
    ours, theirs = text.split("## As published")
    assert "850" not in ours
    assert "not measured here" in theirs and "Printed in A (2024), Table I." in theirs
    assert "|  | reward |\n| :--- | ---: |\n| x | 850 |" in theirs


def test_environments_have_a_table_each():
    text = page([done("ours", 0, 0.5), done("ours", 0, 3.0, environment="ring")], unseen=("ring",))
    first, second = text.split("## ring, unseen in training\n")
    assert "## open\n" in first
    assert table(first, MAIN)["ours"]["cost"] == "0.50" and table(second, MAIN)["ours"]["cost"] == "3.00"


def test_without_costs_there_are_no_columns_of_them():
    free = EvaluationResult(trial(), record(np.zeros((2, 1, 0)), [[1], [2]], limits=(), names=()))
    assert "cost" not in page([free], pictures=()).lower()


def test_of_several_constraints_the_one_shown_is_named():
    both = EvaluationResult(trial(), record([[[0.5, 9.0]]] * 2, limits=(1.0, 10.0), names=("a", "b")))
    text = page([both])
    shown = table(text, MAIN)["ours"]
    assert (shown["constraint"], shown["cost"], shown["95 % bound"]) == ("b", "9.00", "9.00 ≤ 10.00")
    assert "of the constraint tightest in a row" in text
    assert table(text, "|  | return's deviation |")["ours"]["cost a"] == "0.50"
    assert "constraint" not in page([done("ours", 0, 1)])


def test_the_headline_of_a_row():
    rows = summarise_rows(
        results_frame([done("ours", 0, 0.5), done("ours", 1, 2.5), EvaluationResult(trial("new"))])
    )
    ours, new = map(headline, rows)
    assert ours == "return 1.00 ± 0.00, cost 1.50 ± 12.71, limit 1.00 held by 1 of 2 seeds"
    assert new == "0 of 1 seeds done"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.4249, "0.42"),
        (-118.4, "-118"),
        (0.0312, "0.031"),
        (0, "0.00"),
        (np.nan, "–"),
        (None, "–"),
        (np.inf, "∞"),
        (12_345_678, "1.2e+07"),
    ],
)
def test_numbers_have_about_three_digits(value, text):
    assert figure(value) == text


def test_intervals_as_cells():
    assert interval(Estimate(1.0, 0.5, 1.5, 3)) == "1.00 ± 0.50"
    assert interval(Estimate(1.0, 0.5, 1.25, 9, BOOTSTRAP)) == "1.00 [0.50, 1.25]"
    assert percent_interval(Estimate(0.125, 0.1, 0.2, 9, BOOTSTRAP)) == "12.5 [10.0, 20.0] %"
    assert (interval(Estimate(1.0, np.nan, np.nan, 1)), percent_interval(Estimate(np.nan, 0, 0, 0))) == (
        "1.00",
        "–",
    )
    assert side_by_side([1.5, np.nan]) == "1.50, –" and side_by_side([]) == "–"


def test_danger_has_its_interval_over_seeds_or_over_episodes():
    main = table(page([dangerous(0, 0.1), dangerous(1, 0.2)]), MAIN)
    assert main["ours"]["dangerous episodes"] == "15.0 ± 63.5 %"
    alike = table(page([dangerous(0, 0.0)]), MAIN)
    assert alike["ours"]["dangerous episodes"] == "0.0 [0.0, 3.7] %", "Wilson's, of 0 in 100"
    both = table(page([dangerous(0, 0.1), dangerous(1, 0.1)]), MAIN)
    assert both["ours"]["dangerous episodes"] == "10.0 [6.6, 14.9] %", "Wilson's, of 20 in 200"
