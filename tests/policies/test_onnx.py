"""ONNX graphs of policies: every activation, distribution and scaling gives what torch gives."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces

from rllib_safemarl.envs.team import Team
from rllib_safemarl.envs.vector import Kind
from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.distributions import (
    Categorical,
    Deterministic,
    DiagonalGaussian,
    MultiCategorical,
)
from rllib_safemarl.nn.mlp import PolicyMLP
from rllib_safemarl.nn.stacked import ACTIVATIONS
from rllib_safemarl.policies import TeamPolicy, load_policy, save_policy
from rllib_safemarl.policies.acting_team import PolicySettings
from rllib_safemarl.policies.kinds import MLPPolicy

UNEVEN = spaces.Box(np.array([-1.0, 0.0], np.float32), np.array([3.0, 0.5], np.float32))
FREE = spaces.Box(-np.inf, np.inf, (2,))


def _team(space, network, distribution, normalize=True, clip=False):
    """Three agents of one policy."""
    kind = Kind("kind_0", (0, 1, 2), spaces.Box(-1, 1, (4,)), space)
    team = Team(("x", "y", "z"), (kind,), (), None, None, 0, ("p", "p", "p"))
    settings = PolicySettings(0.0, 8, normalize, clip)
    return TeamPolicy(team, {"p": MLPPolicy(network, distribution)}, settings)


def _network(outputs, activation="tanh", log_std=False):
    sizes = [(4, 16), (16, outputs)]
    return PolicyMLP(
        tuple(torch.randn(size) for size in sizes),
        tuple(torch.randn(size[1]) for size in sizes),
        (activation, "linear"),
        torch.randn(outputs) if log_std else None,
    )


def _both(policy, folder):
    """Actions ``[50, 3, ...]`` by torch and by ONNX Runtime."""
    save_policy(policy, folder, onnx=True)
    values = {"kind_0": np.random.default_rng(0).normal(size=(50, 3, 4)).astype(np.float32)}
    alive = np.ones((50, 3), bool)
    teams = load_policy(folder), load_policy(folder, runtime="onnx")
    return [team.act_columns(values, alive)["kind_0"] for team in teams]


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_activations(activation, tmp_path):
    by_torch, by_onnx = _both(_team(FREE, _network(2, activation), Deterministic()), tmp_path / "p")
    np.testing.assert_allclose(by_onnx, by_torch, rtol=1e-4, atol=1e-5)
    assert by_onnx.dtype == by_torch.dtype


@pytest.mark.parametrize(
    ("space", "outputs", "distribution"),
    [
        (UNEVEN, 4, DiagonalGaussian()),
        (spaces.Discrete(5, start=-2), 5, Categorical()),
        (spaces.MultiDiscrete([2, 3], start=[0, 7]), 5, MultiCategorical((2, 3))),
    ],
)
def test_distributions(space, outputs, distribution, tmp_path):
    by_torch, by_onnx = _both(_team(space, _network(outputs), distribution), tmp_path / "p")
    np.testing.assert_allclose(by_onnx, by_torch, rtol=1e-4, atol=1e-5)
    assert by_onnx.dtype == by_torch.dtype and by_onnx.shape == by_torch.shape
    assert all(space.contains(action) for action in by_onnx.reshape(150, *by_onnx.shape[2:]))


@pytest.mark.parametrize(("normalize", "clip"), [(True, False), (False, True), (False, False)])
def test_scalings(normalize, clip, tmp_path):
    policy = _team(UNEVEN, _network(2, log_std=True), DiagonalGaussian(), normalize, clip)
    by_torch, by_onnx = _both(policy, tmp_path / "p")
    np.testing.assert_allclose(by_onnx, by_torch, rtol=1e-4, atol=1e-5)
    within = (by_onnx >= UNEVEN.low).all() and (by_onnx <= UNEVEN.high).all()
    assert within == (normalize or clip)


def test_a_full_disk_leaves_the_old_folder(tmp_path, monkeypatch):
    policy = _team(FREE, _network(2), Deterministic())
    folder = save_policy(policy, tmp_path / "p")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    original = Path.write_bytes

    def fail(path, content):
        original(path, content[:50])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space left"):
        save_policy(_team(FREE, _network(2), Deterministic()), folder, onnx=True)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert list(tmp_path.iterdir()) == [folder]


def test_without_the_extra_it_is_said_and_nothing_is_written(tmp_path, monkeypatch):
    policy = _team(FREE, _network(2), Deterministic())
    save_policy(policy, tmp_path / "p", onnx=True)
    for name in ("onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SafeMARLError, match=r"ONNX needs onnx: pip install 'rllib_safemarl\[export\]'"):
        save_policy(policy, tmp_path / "q", onnx=True)
    assert not (tmp_path / "q").exists()
    with pytest.raises(SafeMARLError, match="needs ONNX Runtime: pip install onnxruntime"):
        load_policy(tmp_path / "p", runtime="onnx")
