"""Other costs for the same rows, and one body cut into agents."""

import numpy as np
import pytest

from rllib_safemarl.data import ActionSchema, concatenate, make_dataset, single_kind
from rllib_safemarl.data.factored import BODIES, factor
from rllib_safemarl.data.relabel import Threshold, relabel_costs
from rllib_safemarl.errors import SafeMARLError
from tests.data.builders import mixed, one_agent, team


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("observations[1] > 0.5", lambda d: d["observations"][..., 1] > 0.5),
        ("observations[1] < -.5", lambda d: d["observations"][..., 1] < -0.5),
        ("speed = abs(observations[0]) > 1e-1", lambda d: np.abs(d["observations"][..., 0]) > 0.1),
        ("norm(positions[0:2])>1", lambda d: np.hypot(d["positions"][..., 0], d["positions"][..., 1]) > 1),
        ("abs(next_observations[2]) > 1", lambda d: np.abs(d.next("observations")[..., 2]) > 1),
        ("margins < 0", lambda d: d["margins"] < 0),
        ("signals/log_prob > 0", lambda d: d["signals/log_prob"] > 0),
    ],
)
def test_rules(rule, expected):
    data = team((4, 5), agents=2)
    made = relabel_costs(data, [Threshold.parse(rule)])
    assert 0 < made["costs"].sum() < made["costs"].size
    assert (made["costs"][..., 0] == (expected(data) & data["active"])).all()
    assert made.schema.cost_names == (rule.split(" = ")[0] if "=" in rule else "cost",)
    assert "relabelled" in made.provenance.notes[-1]
    assert made.provenance.cost_limits == {}


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("observations", "cannot be read"),
        ("norm(observations[1]) > 2", "cannot be read"),
        ("observations[1] > x", "cannot be read"),
        ("observations > 1", "one number of observations per row"),
        ("observations[3] > 1", r"needs observations\[3\]"),
        ("observation[1] > 1", "no column 'observation'. Did you mean"),
    ],
)
def test_rules_that_do_not_fit(rule, message):
    with pytest.raises(SafeMARLError, match=message):
        relabel_costs(team(), [Threshold.parse(rule)])


def test_functions_and_several_costs():
    data = mixed()
    made = relabel_costs(data, lambda d: np.abs(d["rewards"]))
    np.testing.assert_array_equal(made["costs"][..., 0], np.abs(data["rewards"]))
    two = relabel_costs(data, lambda d: np.ones((5, 3, 2)), ["a", "b"])
    assert two.schema.cost_names == ("a", "b")
    for wrong, message in ((np.ones((5, 2)), "have shape"), (-np.ones((5, 3)), "at least 0")):
        with pytest.raises(SafeMARLError, match=message):
            relabel_costs(data, lambda d, wrong=wrong: wrong)
    both = relabel_costs(
        team(), [Threshold.parse("margins < 0"), Threshold.parse("far = observations[0] > 0")]
    )
    assert both.schema.cost_names == ("cost", "far")


def body_data(body, rows=4):
    """Observation k holds k in every row, action k too."""
    size, acts = BODIES[body].size, len(BODIES[body].joints)
    schema = single_kind(
        ("agent",), size, ActionSchema.box(-np.arange(acts) - 1, np.arange(acts) + 1), cost_names=("cost",)
    )
    columns = {
        "observations": np.broadcast_to(np.arange(size), (rows, 1, size)),
        "actions": np.broadcast_to(np.arange(acts), (rows, 1, acts)),
        "rewards": np.arange(rows)[:, None],
        "costs": np.ones((rows, 1, 1)),
        "terminals": np.zeros((rows, 1)),
        "timeouts": np.arange(rows) == rows - 1,
    }
    return make_dataset(
        schema, columns, [0, rows], {"final/observations": np.arange(size)[None, None] + 100.0}
    )


def test_half_a_cheetah_sees_and_moves_its_own_leg():
    data = factor(body_data("HalfCheetah"), "HalfCheetah", "2x3")
    assert data.schema.agents == ("bthigh+bshin+bfoot", "fthigh+fshin+ffoot")
    trunk = [0, 1, 8, 9, 10]
    assert data["observations"][0, 0].tolist() == [2, 3, 4, 11, 12, 13, *trunk]
    assert data["observations"][0, 1].tolist() == [5, 6, 7, 14, 15, 16, *trunk]
    assert data["actions"][0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert data["final/observations"][0, 1, 0] == 105
    assert data["rewards"].tolist() == [[t, t] for t in range(4)]
    assert (data["costs"] == 1).all()
    assert data["team_state"][0].tolist() == list(range(17))
    assert data.provenance.label == "factored"
    assert concatenate([data, data]).provenance.label == "factored"
    assert data.schema.kinds[0].action.high == (4, 5, 6)


def test_reach_adds_neighbouring_joints_in_order_of_distance():
    data = factor(body_data("HalfCheetah"), "HalfCheetah", "6x1", reach=1)
    # The back thigh touches its shin and, across the trunk, the front thigh.
    back_thigh = (
        data["observations/part_0"][0, 0] if len(data.schema.kinds) > 1 else data["observations"][0, 0]
    )
    assert back_thigh.tolist() == [2, 3, 5, 11, 12, 14, 0, 1, 8, 9, 10]
    assert np.array(data.schema.hops)[0].tolist() == [0, 1, 2, 1, 2, 3]


def test_parts_of_different_sight_are_kinds():
    data = factor(body_data("Hopper"), "Hopper", "3x1", reach=1)
    # The middle joint touches two others, the ends one.
    assert [(kind.agents, kind.observation_size) for kind in data.schema.kinds] == [((0, 2), 9), ((1,), 11)]


@pytest.mark.parametrize("body", BODIES)
def test_partitions_agree_with_those_of_multi_agent_mujoco(body):
    parts_of = pytest.importorskip("gymnasium_robotics.envs.multiagent_mujoco.obsk").get_parts_and_edges
    size = BODIES[body].size
    for partition in BODIES[body].partitions:
        parts, edges, _ = parts_of(body, partition)
        data = factor(body_data(body), body, partition)
        for i, part in enumerate(parts):
            kind = next(kind for kind in data.schema.kinds if i in kind.agents)
            at = kind.agents.index(i)
            # Node numbers count from the end of joint positions, and of joint velocities: the same from the
            # end of the observation, and from the end of its first part.
            velocities = [size + node.qvel_ids for node in part]
            angles = [size - _velocities(body) + node.qpos_ids for node in part]
            seen = data[f"observations/{kind.name}"][0, at].astype(int).tolist()
            assert sorted(seen[: 2 * len(part)]) == sorted(angles + velocities)
            moved = data[f"actions/{kind.name}"][0, at].astype(int).tolist()
            assert sorted(moved) == sorted(node.act_ids for node in part)
        touching = {
            (i, j)
            for edge in edges
            for i, a in enumerate(parts)
            for j, b in enumerate(parts)
            if i != j and set(a) & edge.nodes and set(b) & edge.nodes
        }
        assert {tuple(pair) for pair in np.argwhere(np.array(data.schema.hops) == 1).tolist()} == touching


def _velocities(body):
    """Numbers of joint velocities in the observation: all of the model's."""
    return {"HalfCheetah": 9, "Walker2d": 9, "Hopper": 6, "Swimmer": 5, "Ant": 14}[body]


def test_what_cannot_be_factored():
    with pytest.raises(SafeMARLError, match=r"no body 'HalfCheeta'.*Did you mean 'HalfCheetah'"):
        factor(one_agent(), "HalfCheeta", "2x3")
    with pytest.raises(SafeMARLError, match="no partition '3x2'; it has 2x3, 6x1"):
        factor(body_data("HalfCheetah"), "HalfCheetah", "3x2")
    with pytest.raises(SafeMARLError, match="needs one agent with 27 observations and 8 real actions"):
        factor(one_agent(), "Ant", "2x4")
