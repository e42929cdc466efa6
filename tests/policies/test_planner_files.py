"""Planners on disk: they act as in an evaluation, by their settings or by others, and damage is noticed."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import sys

import numpy as np
import pytest

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.policies import load_policy
from tests.policies.planners import COPIES, trained_team, write


def evaluated(trained, changes):
    """Columns of an evaluation as ``rllib evaluate`` runs it."""
    runner = trained.runner({"explore": False, "seed": 4, **changes}, 2 * COPIES)
    _, batches = runner.run_episodes(2 * COPIES, explore=False)
    runner.stop()
    return batches


def assert_acts_like(policy, batches):
    for batch in batches:
        for t in range(batch.steps):
            now = batch.observations[t]
            ours = policy.act_columns(now.values, now.alive, now.positions, now.edges)["robot"]
            np.testing.assert_array_equal(ours, np.clip(batch.groups["robot"].actions[t], -1, 1))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A planning team, and its folder."""
    trained, module = trained_team("DIFFUSION_CBF")
    return trained, write(trained, module, tmp_path_factory.mktemp("planner") / "policy")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"warm_start": 0.5, "n_plans": 2, "solver_steps": 3},
        {"solver": "ddpm", "solver_steps": 16, "ranking": "q", "beta": 0.5},
        {"projection": False, "filter_plans": False, "target_return": None, "guidance": "gradient"},
    ],
)
def test_actions_equal_those_of_the_evaluation(written, settings):
    trained, folder = written
    batches = evaluated(trained, settings)
    assert_acts_like(load_policy(folder, settings=settings), batches)
    changed = load_policy(folder)
    changed.change(settings)
    assert_acts_like(changed, batches)
    if settings.get("warm_start"):
        assert np.concatenate([b.groups["robot"].flags["planning/warm"] for b in batches]).any()
    if settings:
        now = batches[0].observations[2]
        other = load_policy(folder).act_columns(now.values, now.alive, now.positions, now.edges)["robot"]
        assert not np.array_equal(other, batches[0].groups["robot"].actions[2])


def test_planners_of_teams_round_trip(tmp_path):
    trained, module = trained_team("MADIFF", solver_steps=3)
    assert_acts_like(load_policy(write(trained, module, tmp_path / "policy")), evaluated(trained, {}))


def test_what_only_learning_needs_is_left_out_and_nothing_is_pickled(written):
    trained, folder = written
    with np.load(folder / "arrays.npz", allow_pickle=False) as archive:
        names = {name.removeprefix("networks/robot/") for name in archive.files}
        assert all(archive[name].dtype != object for name in archive.files)
    parts = {name.split(".")[0] for name in names}
    assert {"barrier", "q", "acting_denoiser", "inverse", "model", "reach_network", "scores"} <= parts
    assert not {"denoiser", "target_q", "value"} & parts
    everything = {name.removeprefix("planner.") for name in trained.weights["robot"]}
    learning = {name for name in everything if name.split(".")[0] in ("denoiser", "target_q", "value")}
    assert everything - learning <= names and learning


def test_loading_and_planning_need_no_ray(written):
    program = f"""
import sys
from rllib_safemarl import load_policy
policy = load_policy({str(written[1])!r}, settings={{"beta": 0.95}})
agents = policy.team.agents
around = dict(positions={{a: [0.0, i] for i, a in enumerate(agents)}}, neighbours={{a: [] for a in agents}})
actions = policy.act({{a: [0.1] * 6 for a in agents}}, **around)
assert len(actions) == 3 and all(a.shape == (2,) for a in actions.values())
assert not [m for m in sys.modules if m == "ray" or m.startswith("ray.")]
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_settings_that_do_not_fit_are_refused_in_one_line(written):
    folder = written[1]
    for settings, message in (
        ({"beta": 1.5}, r"beta=1.5 does not fit"),
        ({"solver_stepz": 1}, r"no setting 'solver_stepz'. Did you mean 'solver_steps'"),
        ({"plan_horizon": 8}, "plan_horizon cannot be changed of a planner that is trained"),
        ({"denoiser": "mlp"}, "denoiser cannot be changed of a planner that is trained"),
    ):
        with pytest.raises(SafeMARLError, match=message) as caught:
            load_policy(folder, settings=settings)
        assert "\n" not in str(caught.value)


def test_a_policy_seeded_anew_forgets_its_plans(written):
    trained, folder = written
    settings = {"warm_start": 0.5}
    policy, batches = load_policy(folder, settings=settings), evaluated(trained, settings)
    for _ in range(2):
        policy.seed(1)
        assert_acts_like(policy, batches[:1])


GONE = object()
WRONG = (GONE, None, -1, 0, 7, 1.5, "x", [], {}, [1, 2, 3], True)
"""What stands in the place of a value of a description."""


def _leaves(tree, path=()):
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    found = [leaf for key, value in items for leaf in _leaves(value, (*path, key))]
    return found or [path]


def _replaced(tree, path, value):
    tree = json.loads(json.dumps(tree))
    inner = tree
    for key in path[:-1]:
        inner = inner[key]
    if value is GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return tree


def _loads_or_refuses(folder, batches):
    """A description that still makes sense may load; then it acts."""
    try:
        policy = load_policy(folder)
    except SafeMARLError:
        return False
    now = batches[0].observations[0]
    policy.act_columns(now.values, now.alive, now.positions, now.edges)
    return True


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_damaged_descriptions_are_refused(written, tmp_path):
    trained, folder = written
    folder, batches = shutil.copytree(folder, tmp_path / "policy"), evaluated(trained, {})
    description = json.loads((folder / "policy.json").read_text())
    paths = [("networks", *path) for path in _leaves(description["networks"])]
    cases = random.Random(0).sample([(path, value) for path in paths for value in WRONG], 60)
    refused = 0
    for path, value in cases:
        (folder / "policy.json").write_text(json.dumps(_replaced(description, path, value)))
        refused += not _loads_or_refuses(folder, batches)
    assert refused > 20


def test_damaged_bytes_are_refused(written, tmp_path):
    trained, folder = written
    folder, batches = shutil.copytree(folder, tmp_path / "policy"), evaluated(trained, {})
    draw = random.Random(1)
    for name in ("policy.json", "arrays.npz"):
        whole = (folder / name).read_bytes()
        for _ in range(12):
            at, broken = draw.randrange(len(whole)), bytearray(whole)
            broken[at] ^= 1 << draw.randrange(8)
            (folder / name).write_bytes(draw.choice([bytes(broken), whole[:at]]))
            loaded = _loads_or_refuses(folder, batches)
            assert not loaded or name == "policy.json"
        (folder / name).write_bytes(whole)


def test_tensors_of_another_planner_are_refused(written, tmp_path):
    folder = shutil.copytree(written[1], tmp_path / "policy")
    with np.load(folder / "arrays.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    del arrays["networks/robot/plan_scales"]
    np.savez(folder / "arrays.npz", **arrays)
    description = json.loads((folder / "policy.json").read_text())
    description["arrays_sha256"] = hashlib.sha256((folder / "arrays.npz").read_bytes()).hexdigest()
    (folder / "policy.json").write_text(json.dumps(description))
    with pytest.raises(SafeMARLError, match=r"damaged.*plan_scales"):
        load_policy(folder)
