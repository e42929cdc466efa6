"""Columns of ragged episodes: views, selection, moments, and what is refused."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rllib_safemarl.data import (
    ActionSchema,
    NormaliserStatistics,
    Schema,
    concatenate,
    make_dataset,
    single_kind,
)
from rllib_safemarl.errors import SafeMARLError
from tests.data.builders import BOX, mixed, one_agent, same, team


def counting(lengths):
    """One agent whose observation counts moments and whose reward counts rows."""
    offsets = np.cumsum([0, *lengths])
    moments = np.arange(sum(lengths) + len(lengths))
    is_last = np.zeros(len(moments), bool)
    is_last[offsets[1:] + np.arange(len(lengths))] = True
    rows = {
        "observations": moments[~is_last][:, None, None],
        "actions": np.zeros((offsets[-1], 1, 1)),
        "rewards": np.arange(offsets[-1])[:, None],
        "terminals": np.zeros((offsets[-1], 1)),
        "timeouts": np.isin(np.arange(offsets[-1]), offsets[1:] - 1),
    }
    schema = single_kind(("a",), 1, ActionSchema.box([-1], [1]))
    return make_dataset(schema, rows, offsets, {"final/observations": moments[is_last][:, None, None]})


ragged = st.lists(st.integers(1, 7), min_size=1, max_size=8)


@given(ragged)
@settings(max_examples=40, deadline=None)
def test_moments_of_ragged_episodes_follow_one_another(lengths):
    data = counting(lengths)
    assert (data.points("observations").ravel() == np.arange(sum(lengths) + len(lengths))).all()
    assert (data.next("observations") == data["observations"] + 1).all()
    for e, episode in enumerate(data):
        assert episode.num_rows == lengths[e] == data.lengths[e]
        start = data.point_offsets[e]
        assert (episode.points("observations").ravel() == start + np.arange(lengths[e] + 1)).all()


@given(ragged, st.data())
@settings(max_examples=40, deadline=None)
def test_selection_in_any_order_is_the_concatenation_of_episodes(lengths, draw):
    data = counting(lengths)
    chosen = draw.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=6))
    assert same(data.select(chosen), concatenate([data.episode(e) for e in chosen]))


def test_a_mask_selects_and_negative_episodes_count_from_the_end():
    data = counting([2, 3, 1])
    assert data.select([False, True, False])["rewards"].ravel().tolist() == [2, 3, 4]
    assert data.episode(-1)["rewards"].ravel().tolist() == [5]
    with pytest.raises(IndexError):
        data.episode(3)


def test_agents_that_ended_do_not_act_next():
    data = team()
    assert data.next("active")[0].tolist() == [True, True, False]
    terminals = np.zeros((8, 3), bool)
    terminals[2, :2] = True
    ended = make_dataset(
        data.schema,
        {**data.rows, "terminals": terminals},
        data.offsets,
        {name: column for name, column in data.episodes.items() if name != "final/active"},
    )
    assert ended["final/active"][0].tolist() == [False, False, False]
    assert ended["final/active"][1].all()


def test_kinds_have_columns_of_their_own():
    data = mixed()
    assert data["observations/car"].shape == (5, 2, 4)
    assert data["actions/drone"].dtype == np.int64
    assert data.next("observations/drone").shape == (5, 1, 2)
    with pytest.raises(SafeMARLError, match=r"no column 'observations/cra'. Did you mean 'observations/car'"):
        data["observations/cra"]


def test_the_hash_sees_every_number_and_not_the_split():
    data = one_agent()
    changed = data["rewards"].copy()
    changed[3] += 1e-6
    other = make_dataset(data.schema, {**data.rows, "rewards": changed}, data.offsets, data.episodes)
    assert not same(data, other)
    split = make_dataset(data.schema, data.rows, data.offsets, {**data.episodes, "split": [0, 1, 2]})
    assert same(data, split)
    assert split.split("calibration").num_rows == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rewards": np.zeros((8, 2))}, r"rewards has shape \(8, 2\).*must be \(8, 3\)"),
        ({"rewards": np.zeros((7, 3))}, r"rewards has shape \(7, 3\)"),
        ({"rewards": np.array([["x"] * 3] * 8)}, "rewards holds <U1, not numbers"),
        ({"positions": np.zeros((8, 3))}, "positions has shape"),
        ({"positions": np.zeros((8, 3, 4))}, "final/positions has shape"),
        ({"terminals": np.full((8, 3), 2)}, r"terminals\[0\] is 2, but must be flags"),
        ({"observation": np.zeros((8, 3))}, "no column 'observation'"),
        ({"signals/x": np.zeros((8, 2))}, "signals/x has shape"),
    ],
)
def test_shapes_are_checked(change, message):
    data = team()
    with pytest.raises(SafeMARLError, match=message):
        make_dataset(data.schema, {**data.rows, **change}, data.offsets, data.episodes)


def test_schemas_are_checked():
    with pytest.raises(SafeMARLError, match="hold each of its 2 agents once"):
        Schema(("a", "b"), single_kind(("a",), 1, BOX).kinds)
    with pytest.raises(SafeMARLError, match="costs of a dataset need distinct names"):
        single_kind(("a",), 1, BOX, cost_names=("c", "c"))
    with pytest.raises(SafeMARLError, match="cannot be joined"):
        concatenate([one_agent(), team()])


def test_statistics_of_parts_merge_to_those_of_the_whole_without_absent_agents():
    data = team((5, 2, 6), seed=3)
    parts = [NormaliserStatistics.of(episode) for episode in data]
    merged = NormaliserStatistics.from_json(parts[0].merge(parts[1]).merge(parts[2]).to_json())
    present = data["rewards"][data["active"]].astype(np.float64)
    assert merged["rewards"].count == len(present) == data["active"].sum()
    np.testing.assert_allclose(merged["rewards"].mean, present.mean(), rtol=1e-12)
    np.testing.assert_allclose(merged["rewards"].std, present.std(), rtol=1e-12)
    seen = data["observations"][data["active"]].astype(np.float64)
    np.testing.assert_allclose(merged["observations/agent"].mean, seen.mean(0), rtol=1e-9)
    np.testing.assert_allclose(merged["observations/agent"].std, seen.std(0), rtol=1e-9)
    assert (merged["observations/agent"].high == seen.max(0)).all()


def test_spaces_come_back_from_actions():
    for action in (
        ActionSchema.box([-1, -1], [1, 2]),
        ActionSchema.discrete(5),
        ActionSchema.multi_discrete([2, 3]),
    ):
        assert ActionSchema.of_space(action.space) == action


def test_data_loads_neither_ray_nor_torch():
    code = (
        "import sys, rllib_safemarl.data as d; [getattr(d, name) for name in d.__all__];"
        "sys.exit(bool({'ray', 'torch', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
