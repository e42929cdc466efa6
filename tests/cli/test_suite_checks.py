"""What a suite asks for is checked before anything is trained."""

import pytest

import rllib_safemarl.algorithms  # noqa: F401  (registers every name)
from rllib_safemarl.cli.suite_checks import check_evaluations
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.suites import read_suite

BASE = {
    "run": "SCAL_MAPPO_L",
    "env": "safemarl/crossing",
    "stop": {"training_iteration": 1},
    "config": {"cost_limit": 1.0, "env_config": {"n_agents": 3}},
}


def check(folder, row, **document):
    suite = read_suite("demo", {"base": BASE, "rows": {"x": row}, **document})
    check_evaluations(suite.evaluations, [], folder, is_local=True)


@pytest.mark.parametrize(
    ("row", "document", "message"),
    [
        (
            {},
            {"unseen": {"five": {"env_config": {"n_agents": 5}}}},
            "row 'x' in five: agent 'robot_3' would act by policy 'robot_3'",
        ),
        (
            {"config": {"policies": ["all"], "kappa": float("inf")}},
            {"unseen": {"five": {"env_config": {"n_agents": 5}}}},
            "row 'x' in five: policies of kappa=inf see every other agent",
        ),
        (
            {},
            {"unseen": {"odd": {"env_config": {"layout": "rng"}}}},
            "in odd: safemarl/crossing: layout='rng'",
        ),
        ({}, {"unseen": {"odd": {"env": "safemarl/crosing"}}}, "in odd: there is no environment"),
        ({"variants": {"b": {"betta": 1}}}, {}, "row 'x, b': ScalMAPPOLConfig has no setting 'betta'"),
        ({"variants": {"b": {"max_neighbours": 1}}}, {}, "row 'x, b': max_neighbours=1 cannot be evaluated"),
        ({"data": "none.h5"}, {}, "row 'x': data: there is no 'none.h5'"),
        ({"run": "PPO"}, {}, "row 'x': PPO is none of our algorithms"),
        ({}, {"controllers": ["yeilding"]}, "row 'yeilding': "),
    ],
)
def test_what_does_not_fit_is_said(row, document, message, tmp_path):
    with pytest.raises(SafeMARLError) as error:
        check(tmp_path, row, **document)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_what_fits_passes(tmp_path):
    (tmp_path / "some.h5").touch()
    unseen = {"five": {"env_config": {"n_agents": 5}}, "ring": {"env_config": {"layout": "ring"}}}
    check(
        tmp_path, {"config": {"policies": ["all"]}, "variants": {"sampled": {"explore": True}}}, unseen=unseen
    )
    check(tmp_path, {"data": "some.h5"})
