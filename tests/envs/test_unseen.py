"""Trained policies in environments of other agents: who plays whom, what they see, and what is refused."""

import math

import pytest

from rllib_safemarl.envs.crossing import CrossingVectorEnv
from rllib_safemarl.envs.pettingzoo import ParallelVectorEnv
from rllib_safemarl.envs.team import describe_team, make_views
from rllib_safemarl.envs.unseen import unseen_team
from rllib_safemarl.errors import SafeMARLError
from tests.envs.third_party import HarvestEnv


def team(agents, mapping=None, **settings):
    return describe_team(CrossingVectorEnv(1, n_agents=agents, **settings), mapping)


def shared(agent, *_):
    return "robot"


def slots(team, kappa=1, most=8):
    return make_views(team, kappa, most).slots


@pytest.mark.parametrize("agents", [2, 4, 8])
@pytest.mark.parametrize("graph", ["moving", "static"])
def test_views_are_those_of_the_trained_team(agents, graph):
    trained, here = team(4, shared), team(agents, shared, graph=graph, layout="ring")
    assert slots(trained) == 3
    played = unseen_team(here, trained, 1, 8)
    assert slots(played) == 3 and len(played.agents) == agents
    views = [make_views(t, 1, 8).layouts["robot"] for t in (trained, played)]
    assert views[0] == views[1]


def test_policies_of_agents_that_are_left_out_do_not_matter():
    assert unseen_team(team(2), team(4), 1, 8).policy_ids == ("robot_0", "robot_1")


def test_above_sixteen_agents_policies_are_shared_and_stay_so_below():
    assert unseen_team(team(3), team(17), 1, 8).policy_ids == ("robot",) * 3


def test_agents_without_a_trained_policy_are_refused():
    with pytest.raises(
        SafeMARLError, match=r"agent 'robot_4' would act by policy 'robot_4'.*shared policies"
    ):
        unseen_team(team(5), team(4), 1, 8)


def test_a_global_view_of_more_agents_is_refused():
    with pytest.raises(SafeMARLError, match=r"3 where they were trained and 4 here"):
        unseen_team(team(5, shared), team(4, shared), math.inf, 8)
    assert slots(unseen_team(team(3, shared), team(4, shared), math.inf, 8), math.inf) == 3


def test_other_observations_and_actions_are_refused():
    others = describe_team(ParallelVectorEnv(lambda copy: HarvestEnv(), 1), None)
    with pytest.raises(SafeMARLError, match=r"agent 'scout' would act by policy 'scout'"):
        unseen_team(others, team(4), 0, 8)
    harvest = describe_team(ParallelVectorEnv(lambda copy: HarvestEnv(), 1), shared)
    with pytest.raises(SafeMARLError, match=r"agent 'scout' observes 5 numbers here.* trained on 6"):
        unseen_team(harvest, team(4, shared), 0, 8)
