from __future__ import annotations

import numpy as np
import pytest

from rllib_safemarl.envs.costs import check_cost_names, read_cost, reported_cost_names
from rllib_safemarl.errors import SafeMARLError

WHERE = "step 3 of an episode (copy 0)"


def test_names_are_those_of_the_first_agent_that_reports():
    assert reported_cost_names({"a": {}, "b": {"cost": 0.0}}) == ("cost",)
    assert reported_cost_names({"a": {"cost": {"heat": 1.0, "noise": 0.0}}}) == ("heat", "noise")
    assert reported_cost_names({"a": {}, "b": None}) == ()


def test_costs_are_read_in_the_order_of_the_names():
    assert read_cost({"cost": {"noise": 2, "heat": np.float32(0.5)}}, ("heat", "noise"), "a", WHERE) == [
        0.5,
        2.0,
    ]
    assert read_cost({"cost": True}, ("cost",), "a", WHERE) == [1.0]
    assert read_cost({"cost": 0.0}, ("heat",), "a", WHERE) == [0.0]
    assert read_cost({}, (), "a", WHERE) == []
    assert read_cost(None, (), "a", WHERE) == []


@pytest.mark.parametrize(
    ("info", "names", "message"),
    [
        ({}, ("cost",), "agent 'a' reports no cost in step 3 of an episode (copy 0); put infos['a']['cost']"),
        (None, ("cost",), "agent 'a' reports no cost in step 3"),
        ({"cost": -0.5}, ("cost",), "agent 'a' reports cost = -0.5 in step 3"),
        ({"cost": float("nan")}, ("cost",), "reports cost = nan in step 3"),
        ({"cost": np.inf}, ("cost",), "reports cost = inf in step 3"),
        ({"cost": None}, ("cost",), "reports cost = None in step 3"),
        ({"cost": "low"}, ("cost",), "costs must be finite numbers of at least 0"),
        ({"cost": {"heat": 1.0, "noise": -1}}, ("heat", "noise"), "reports cost 'noise' = -1 in step 3"),
        ({"cost": {"heat": 1.0}}, ("heat", "noise"), "reports no cost 'noise' in step 3"),
        (
            {"cost": {"heat": 1.0, "niose": 1.0}},
            ("heat", "noise"),
            "'niose' in step 3 of an episode (copy 0), which is not among ['heat', 'noise']. "
            "Did you mean 'noise'?",
        ),
        ({"cost": 1.0}, ("heat", "noise"), "reports one cost, 1.0, in step 3"),
        ({"cost": 1.0}, (), "reports a cost in step 3 of an episode (copy 0), but nobody did in the first"),
    ],
)
def test_every_breach_of_the_contract_names_agent_and_step(info, names, message):
    with pytest.raises(SafeMARLError) as error:
        read_cost(info, names, "a", WHERE)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_declared_names_must_be_distinct_strings():
    assert check_cost_names(["heat", "noise"]) == ("heat", "noise")
    assert check_cost_names(()) == ()
    for names in ("heat", ["heat", "heat"], [1], 3):
        with pytest.raises(SafeMARLError, match="list of distinct names"):
            check_cost_names(names)
