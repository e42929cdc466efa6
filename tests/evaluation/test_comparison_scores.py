"""Rows over all environments and in unseen ones, against numbers worked out by hand."""

import numpy as np
import pytest

from rllib_safemarl.evaluation.comparison import EvaluationResult, results_frame
from rllib_safemarl.evaluation.comparison_rows import summarise_rows
from rllib_safemarl.evaluation.comparison_scores import generalisations, over_environments
from rllib_safemarl.evaluation.suite_trials import SuiteEvaluation
from tests.evaluation.test_comparison import curve, record, trial

CONTROLLERS = ("random", "good", "poor")


def result(row, seed, ret, environment="open", unseen="", cost=0.5, variant=""):
    """One evaluation where a row was trained or, in its stead, in an unseen environment."""
    controller = row in CONTROLLERS
    of = trial(row, seed, environment, **({"run": None, "controller": row} if controller else {})).trial
    evaluation = SuiteEvaluation(of, unseen or environment, "env", {}, variant)
    found = record([[[cost]]] * 2, [[ret]] * 2, limits=(2.0,))
    return EvaluationResult(evaluation, found, curve([] if controller else [0.0, 0.1]))


def rows(*results):
    return summarise_rows(results_frame(list(results)))


def references(environment="open", unseen="", low=0.0, high=10.0):
    return [
        result("random", 0, low, environment, unseen),
        result("good", 0, high, environment, unseen),
        result("poor", 0, low - 5.0, environment, unseen),
    ]


def test_what_is_left_of_returns_elsewhere():
    found = generalisations(
        rows(
            *(result("ours", seed, ret) for seed, ret in ((0, 8.0), (1, 6.0))),
            *(result("ours", seed, ret, unseen="ring") for seed, ret in ((0, 14.0), (1, 13.0))),
            *(result("ours", seed, ret, unseen="eight") for seed, ret in ((0, 2.0), (1, 6.0))),
            *references(),
            *references(unseen="ring", low=10.0, high=20.0),
            *references(unseen="eight"),
        ),
        CONTROLLERS,
        ("ring", "eight"),
    )
    (ours,) = found
    assert (ours.name, ours.trained_in) == ("ours", "open")
    # From 0 to 10 and from 10 to 20: 0.8 and 0.6 here; 0.4 and 0.3 in the ring, 0.2 and 0.6 among eight.
    assert ours.trained.mean == pytest.approx(0.7)
    assert {name: e.mean for name, e in ours.unseen.items()} == pytest.approx({"ring": 0.35, "eight": 0.4})
    # Seed 0: (0.4 + 0.2) / 2 / 0.8; seed 1: (0.3 + 0.6) / 2 / 0.6.
    assert ours.ratio.mean == pytest.approx((0.375 + 0.75) / 2)


def test_several_environments_have_their_own_scales():
    found = generalisations(
        rows(
            *(result("ours", 0, 5.0, where) for where in ("a", "b")),
            *(result("ours", 0, 5.0, where, f"ring, trained in {where}") for where in ("a", "b")),
            *references("a"),
            *references("b", high=20.0),
            *references("a", "ring, trained in a", high=5.0),
            *references("b", "ring, trained in b", high=5.0),
        ),
        CONTROLLERS,
        ("ring",),
    )
    assert [(each.trained_in, each.trained.mean, each.ratio.mean) for each in found] == [
        ("a", 0.5, 2.0),
        ("b", 0.25, 4.0),
    ]
    assert list(found[0].unseen) == ["ring"]


def test_without_random_actions_or_a_better_controller_there_is_no_scale():
    here, there = result("ours", 0, 5.0), result("ours", 0, 5.0, unseen="ring")
    assert generalisations(rows(here, there), CONTROLLERS, ("ring",)) == []
    only = [result("random", 0, 0.0), result("random", 0, 0.0, unseen="ring")]
    assert generalisations(rows(here, there, *only), CONTROLLERS, ("ring",)) == []


def test_rows_over_all_environments():
    found = over_environments(
        rows(
            *(result("ours", s, ret, "a") for s, ret in enumerate((4.0, 3.0, 2.0))),
            *(result("other", s, ret, "a", cost=3.0) for s, ret in enumerate((0.0, 3.0, 1.0))),
            *(result("ours", s, 100.0, "b") for s in range(3)),
            *(result("other", s, 300.0, "b") for s in range(3)),
            result("ours", 0, 1e6, "a", variant="calm"),
            result("good", 0, 1e6, "a"),
            result("ours", 0, 1e6, "a", unseen="ring"),
        ),
        CONTROLLERS,
        ("ring",),
    )
    ours, other = found
    np.testing.assert_allclose(ours.scores, [[1.0, 0.75, 0.5], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(other.scores, [[0.0, 0.75, 0.25], [1.0, 1.0, 1.0]])
    # Of 0, 0, 0, 0.5, 0.75 and 1 the middle four.
    assert ours.score.mean == pytest.approx(1.25 / 4) and ours.score.low < ours.score.mean
    # In a 8 of 9 pairs (one of them a tie counted half), in b none.
    wins = (3 + (1 + 0.5 + 1) + (1 + 0 + 1)) / 9
    assert other.improvement.mean == pytest.approx((wins + 0.0) / 2)
    assert (ours.seeds_held, other.seeds_held, ours.runs) == (6, 3, 6)
    np.testing.assert_allclose(other.costs, [[1.5] * 3, [0.25] * 3])


def test_one_environment_of_few_seeds_has_no_interval():
    ours, other = over_environments(
        rows(*(result(row, s, float(s)) for row in ("ours", "other") for s in range(3))), CONTROLLERS, ()
    )
    assert np.isnan(ours.score.low) and np.isnan(other.improvement.low)
    assert other.improvement.mean == 0.5
