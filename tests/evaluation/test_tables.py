"""The page of a comparison, read as text."""

from dataclasses import replace

import numpy as np
import pytest

from rllib_safemarl.evaluation.comparison import EvaluationResult, over_seeds_frame, results_frame
from rllib_safemarl.evaluation.comparison_records import load_record, save_record
from rllib_safemarl.evaluation.tables import Page, figure, headline, markdown_page
from tests.evaluation.test_comparison import curve, dangerous, record, trial

PAGE = Page(
    title="A title",
    command="safemarl compare demo.yaml",
    date="2030-01-02",
    version="rllib_safemarl 9 (abc)",
    seeds=(0, 1),
    episodes=2,
    picture="curves.png",
)


def done(row, seed, cost, ret=1.0, environment="open", **more):
    metrics = {"goal_reached": np.array([1.0, 1.0])}
    return EvaluationResult(
        trial(row, seed, environment, **more),
        record([[[cost]]] * 2, [[ret]] * 2, metrics=metrics),
        curve([0.0, cost]),
    )


def cells(text, start):
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_what_planners_note_of_their_decisions_stands_in_results_and_in_the_summary(tmp_path):
    found = done("ours", 0, 0.5)
    found.record.metrics["planning/infeasible_share"] = np.array([0.25, 0.75])
    path = save_record(found.record, tmp_path / "record.npz")
    frame = results_frame([replace(found, record=load_record(path)), done("cloned", 0, 0.5)])
    assert frame.set_index("row")["planning/infeasible_share"]["ours"] == 0.5
    text, _ = markdown_page(PAGE, frame).split("## Every seed")
    at = cells(text, "|  | return | cost ").index("planning: infeasible share")
    assert cells(text, "| ours |")[at] == "0.50" and cells(text, "| cloned |")[at] == "–"


def test_a_row_of_the_summary_says_what_holds():
    frame = results_frame(
        [done("ours", 0, 0.5, 1.0), done("ours", 1, 0.7, 3.0), done("bad", 0, 2), done("bad", 1, 0.5)]
    )
    text = markdown_page(PAGE, frame)
    heads = cells(text, "|  | return | cost ")
    ours = dict(zip(heads, cells(text, "| ours | 2.00"), strict=True))
    # Two values d apart: half-width 12.706 · d / 2.
    assert ours["return"] == "2.00 ± 12.71"
    assert ours["cost"] == "0.60 ± 1.27"
    assert (ours["limit"], ours["95 % bound"], ours["limit held"]) == ("1.00", "0.70", "2 of 2")
    assert (ours["goal reached"], ours["multiplier, peak → end"], ours["seeds"]) == (
        "1.00 ± 0.00",
        "0.70 → 0.60",
        "2",
    )
    bad = dict(zip(heads, cells(text, "| bad | 1.00 ±"), strict=True))
    assert (bad["95 % bound"], bad["limit held"]) == ("2.00", "1 of 2")


def test_below_five_seeds_every_seed_is_shown():
    frame = results_frame([done("ours", seed, 0.5) for seed in (0, 1)])
    text = markdown_page(PAGE, frame)
    assert "## Every seed" in text
    assert cells(text, "| ours | 1 |")[:4] == ["ours", "1", "1.00", "0.50"]
    many = Page(**{**vars(PAGE), "seeds": range(5)})
    assert "## Every seed" not in markdown_page(many, frame)


def test_the_page_says_where_it_comes_from():
    text = markdown_page(PAGE, results_frame([done("ours", 0, 0.5)]))
    assert text.startswith("# A title\n\n`safemarl compare demo.yaml`\n")
    assert "2030-01-02, rllib_safemarl 9 (abc); 2 seeds (0, 1), 2 evaluation episodes" in text
    assert "![Return and cost while training](curves.png)" in text
    assert "Failed" not in text and "Unfinished" not in text
    assert "Budget `quick`." in markdown_page(
        Page(**{**vars(PAGE), "budget": "quick"}), results_frame([done("o", 0, 1)])
    )


def test_what_is_missing_is_named():
    results = [
        done("ours", 0, 0.5),
        EvaluationResult(trial(seed=1), problem="out of | memory"),
        EvaluationResult(trial("new")),
    ]
    text = markdown_page(PAGE, results_frame(results))
    assert "**Failed: ours on open, seed 1: out of | memory**" in text
    assert "**Unfinished: 1 of 3 evaluations" in text
    assert cells(text, "| ours | 1.00")[-1] == "1 of 2"
    assert cells(text, "| new | –")[-1] == "0 of 1"
    assert cells(text, "| ours | 1 | –")[-1] == "failed"


def test_environments_have_a_table_each():
    frame = results_frame([done("ours", 0, 0.5), done("ours", 0, 3.0, environment="ring")])
    text = markdown_page(PAGE, frame)
    assert text.index("## open") < text.index("| ours | 1.00 | 0.50") < text.index("## ring")
    assert "| ours | ring | 0 |" in text


def test_without_costs_there_are_no_columns_of_them():
    free = EvaluationResult(trial(), record(np.zeros((2, 1, 0)), [[1], [2]], limits=(), names=()))
    text = markdown_page(Page(**{**vars(PAGE), "picture": ""}), results_frame([free]))
    assert "cost" not in text.lower()


def test_of_several_constraints_the_one_shown_is_named():
    both = EvaluationResult(trial(), record([[[0.5, 9.0]]] * 2, limits=(1.0, 10.0), names=("a", "b")))
    text = markdown_page(PAGE, results_frame([both]))
    assert cells(text, "| ours | 0.00")[:5] == ["ours", "0.00", "b", "9.00", "10.00"]
    assert "of the constraint tightest in a row" in text
    assert "constraint" not in markdown_page(PAGE, results_frame([done("ours", 0, 1)]))


def test_the_headline_of_a_row():
    frame = over_seeds_frame(
        results_frame([done("ours", 0, 0.5), done("ours", 1, 2.5), EvaluationResult(trial("new"))])
    )
    ours, new = (headline(line) for _, line in frame.iterrows())
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


def test_danger_stands_with_its_intervals_and_unseen_environments_are_named():
    results = [dangerous(0, 0.1), dangerous(1, 0.2), dangerous(0, 0.0, environment="ring")]
    text = markdown_page(Page(**{**vars(PAGE), "unseen": ("ring",)}), results_frame(results))
    assert "| 15.0 % ± 63.5 % [10.7, 20.6] |" in text
    assert "| 0.0 % [0.0, 3.7] |" in text
    assert "## open\n" in text and "## ring, unseen in training\n" in text
