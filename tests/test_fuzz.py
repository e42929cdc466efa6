"""Every reader of files, on what a bad disk or a stranger made of them: it reads, or refuses in one line.

``FUZZ_EXAMPLES=20000 python -m pytest tests/test_fuzz.py`` tries other changes than the fixed few, and more.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import itertools
import json
import os
import pickle
import shutil
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
import torch
import yaml
from gymnasium import spaces
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rllib_safemarl.cli.documents import load_yaml
from rllib_safemarl.cli.experiments import read_experiments
from rllib_safemarl.cli.flags import TrainFlags
from rllib_safemarl.data import read_dataset, write_dataset
from rllib_safemarl.data.rllib_compression import decompress
from rllib_safemarl.envs.team import Team
from rllib_safemarl.envs.vector import AgentGraph, Kind
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.evaluation.comparison_records import EvaluationRecord, load_record, save_record
from rllib_safemarl.evaluation.recording_reader import read_recipe
from rllib_safemarl.evaluation.suites import read_suite
from rllib_safemarl.functional.distributions import Categorical, DiagonalGaussian
from rllib_safemarl.nn.lstm import LSTMNetwork
from rllib_safemarl.nn.mlp import PolicyMLP
from rllib_safemarl.policies import TeamPolicy, load_policy, save_policy
from rllib_safemarl.policies.acting_team import PolicySettings
from rllib_safemarl.policies.kinds import MLPPolicy
from rllib_safemarl.policies.lstm_actor import LSTMPolicy
from tests.data.builders import mixed, one_agent, team

ROOT = Path(__file__).parents[1]
MORE = int(os.environ.get("FUZZ_EXAMPLES", "0"))
fuzz = settings(
    max_examples=MORE or 15,
    derandomize=not MORE,
    deadline=None,
    database=None,
    # Errors are made small by hand: that takes minutes with files.
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@contextlib.contextmanager
def read_or_refused():
    """No other error than ours, and that in one line."""
    try:
        yield
    except SafeMARLError as error:
        assert "\n" not in str(error)


# Changes.

ODD = [None, True, -1, 0, 7, 10**5, 2**63, 1.5, 1e308, float("nan"), "", "x", "../../x", [], {}, [1, 2], [[]]]
ANYTHING = st.sampled_from(ODD)


@st.composite
def changed_bytes(draw, whole: bytes):
    """Cut off, overwritten, or with a piece put in or taken out."""
    if draw(st.booleans()):
        return whole[: draw(st.integers(0, len(whole)))]
    start = draw(st.integers(0, len(whole)))
    end = min(len(whole), start + draw(st.integers(0, 40)))
    return whole[:start] + draw(st.binary(max_size=40)) + whole[end:]


def _places(tree, path=()):
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, value in items for place in _places(value, (*path, key)))]


@st.composite
def changed_tree(draw, tree):
    """With one or two values replaced or taken out, at any depth."""
    for _ in range(draw(st.integers(1, 2))):
        tree = json.loads(json.dumps(tree))
        path = draw(st.sampled_from(_places(tree)))
        if not path:
            return draw(ANYTHING)
        inner = tree
        for key in path[:-1]:
            inner = inner[key]
        if draw(st.booleans()):
            inner[path[-1]] = draw(ANYTHING)
        else:
            del inner[path[-1]]
    return tree


# Policies.


def _policies():
    def layers(*sizes, log_std=0):
        pairs = list(itertools.pairwise(sizes))
        names = ("tanh",) * (len(pairs) - 1) + ("linear",)
        free = torch.zeros(log_std) if log_std else None
        return PolicyMLP(
            tuple(torch.randn(p) for p in pairs), tuple(torch.randn(p[1]) for p in pairs), names, free
        )

    kinds = (
        Kind("a", (0, 2), spaces.Box(-1, 1, (3,)), spaces.Box(-1, 1, (2,))),
        Kind("b", (1,), spaces.Dict({"x": spaces.Discrete(3)}), spaces.Discrete(4, start=1)),
    )
    team_ = Team(("p", "q", "r"), kinds, ("cost",), 9, AgentGraph(degree=2), 2, ("one", "two", "one"))
    views = 3 + 2 * (3 + 2 + 2 + 2)
    lstm = torch.nn.LSTM(5, 4, batch_first=True).requires_grad_(False)
    plain = {
        "one": MLPPolicy(layers(views, 5, 2, log_std=2), DiagonalGaussian()),
        "two": MLPPolicy(layers(views, 4), Categorical()),
    }
    recurrent = LSTMPolicy(LSTMNetwork(layers(views, 5), lstm, layers(4, 4)), Categorical())
    given_ = PolicySettings(1.0, 2, True, False)
    return TeamPolicy(team_, plain, given_), TeamPolicy(team_, {**plain, "two": recurrent}, given_)


@pytest.fixture(scope="module", params=["plain", "recurrent"])
def policy(request, tmp_path_factory):
    plain, recurrent = _policies()
    folder = tmp_path_factory.mktemp("policies") / request.param
    if request.param == "plain":
        return save_policy(plain, folder, onnx=True)
    return save_policy(recurrent, folder)


def _described(folder, **sums):
    """Write the checksums of what was changed on purpose, as a stranger would."""
    path = folder / "policy.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **sums}))


@given(st.data())
@fuzz
def test_policies_of_other_descriptions(policy, data):
    path, whole = policy / "policy.json", (policy / "policy.json").read_bytes()
    try:
        path.write_text(json.dumps(data.draw(changed_tree(json.loads(whole)))))
        with read_or_refused():
            load_policy(policy)
        with read_or_refused():
            load_policy(policy, runtime="onnx")
        path.write_bytes(data.draw(changed_bytes(whole)))
        with read_or_refused():
            load_policy(policy)
    finally:
        path.write_bytes(whole)


@given(st.data())
@fuzz
def test_policies_of_other_arrays_and_graphs(policy, data):
    changes = {"arrays.npz": ("arrays_sha256", "torch"), "policy_1.onnx": ("onnx_sha256", "onnx")}
    for name, (key, runtime) in changes.items():
        if not (policy / name).exists():
            continue
        described, whole = (policy / "policy.json").read_bytes(), (policy / name).read_bytes()
        changed = data.draw(changed_bytes(whole))
        checksum = hashlib.sha256(changed).hexdigest()
        try:
            (policy / name).write_bytes(changed)
            sums = json.loads(described)[key]
            _described(policy, **{key: {**sums, name: checksum} if isinstance(sums, dict) else checksum})
            with read_or_refused():
                load_policy(policy, runtime=runtime)
        finally:
            (policy / name).write_bytes(whole)
            (policy / "policy.json").write_bytes(described)


# Datasets.


@pytest.fixture(scope="module", params=["one.h5", "team.h5", "mixed.parquet"])
def dataset(request, tmp_path_factory):
    made = {"one": one_agent, "team": team, "mixed": mixed}[request.param.split(".")[0]]()
    if request.param.endswith(".h5"):
        pytest.importorskip("h5py")
    return write_dataset(made, tmp_path_factory.mktemp("data") / request.param)


@given(st.data())
@fuzz
def test_dataset_files(dataset, data):
    changed = dataset.with_name(f"changed{dataset.suffix}")
    changed.write_bytes(data.draw(changed_bytes(dataset.read_bytes())))
    with read_or_refused():
        read_dataset(changed, verify_hash=True)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_dataset(team((5, 3, 2)), tmp_path_factory.mktemp("shards") / "data", shard_bytes=200)


@given(st.data())
@fuzz
def test_folders_of_shards(shards, data):
    path = shards / "dataset.json"
    whole = path.read_bytes()
    try:
        path.write_text(json.dumps(data.draw(changed_tree(json.loads(whole)))))
        with read_or_refused():
            read_dataset(shards, verify_hash=data.draw(st.booleans()))
        path.write_bytes(data.draw(changed_bytes(whole)))
        with read_or_refused():
            read_dataset(shards)
    finally:
        path.write_bytes(whole)


def test_a_folder_of_shards_names_no_file_outside(shards, tmp_path):
    folder = shutil.copytree(shards, tmp_path / "data")
    described = json.loads((folder / "dataset.json").read_text())
    shutil.copy(folder / described["shards"][0]["file"], tmp_path / "other.parquet")
    for name in ("../other.parquet", str(tmp_path / "other.parquet")):
        described["shards"][0]["file"] = name
        (folder / "dataset.json").write_text(json.dumps(described))
        with pytest.raises(SafeMARLError, match=r"dataset.json is damaged.*other.parquet' lies elsewhere"):
            read_dataset(folder)


@given(st.data())
@fuzz
def test_columns_that_rllib_compressed(data):
    whole = pickle.dumps(np.arange(6, dtype=np.float32))
    packed = base64.b64encode(lz4.frame.compress(data.draw(changed_bytes(whole))))
    with read_or_refused():
        decompress(packed, "column")
    with read_or_refused():
        decompress(data.draw(changed_bytes(packed)), "column")


# Records of evaluations.


@given(st.data())
@fuzz
def test_records_of_evaluations(tmp_path_factory, data):
    rng = np.random.default_rng(0)
    parts = rng.random((6, 2)), rng.random((6, 2, 1)), rng.random(6), {"goal": rng.random(6)}
    record = EvaluationRecord(*parts, {"clean": np.ones(6)}, ("crash",), (1.0,), {"seed": 3})
    path = save_record(record, tmp_path_factory.mktemp("records") / "record.npz")
    path.write_bytes(data.draw(changed_bytes(path.read_bytes())))
    again = load_record(path)
    assert again is None or isinstance(again, EvaluationRecord)


# Files that people write.

YAMLS = {
    "config": "scal_mappo_l.yaml",
    "suite": "suites/scal_mappo_l_crossing.yaml",
    "recipe": "offline/data/crossing.yaml",
}


def _read(kind, path):
    if kind == "config":
        read_experiments(path, TrainFlags())
    elif kind == "suite":
        read_suite("s", load_yaml(path), lambda name: load_yaml(ROOT / "tuned_configs" / "suites" / name))
    else:
        read_recipe(load_yaml(path), path.parent, str(path))


@pytest.mark.parametrize("kind", YAMLS)
@given(st.data())
@fuzz
def test_yaml(tmp_path_factory, kind, data):
    whole = (ROOT / "tuned_configs" / YAMLS[kind]).read_bytes()
    path = tmp_path_factory.mktemp("yaml") / "file.yaml"
    path.write_text(yaml.safe_dump(data.draw(changed_tree(yaml.safe_load(whole)))))
    with read_or_refused():
        _read(kind, path)
    path.write_bytes(data.draw(changed_bytes(whole)))
    with read_or_refused():
        _read(kind, path)
