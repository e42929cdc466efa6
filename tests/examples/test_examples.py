"""Every example is run, in small, and says what it says it would."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

from rllib_safemarl.policies import save_policy
from tests.examples.teams import crossing_policy

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(
    str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*.py") if "results" not in path.parts
)


def example(name):
    """An example as a module, as Python would run it."""
    spec = importlib.util.spec_from_file_location(Path(name).stem, EXAMPLES / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_example_tells_how_to_run_it_and_what_to_expect(script):
    text = (EXAMPLES / script).read_text(encoding="utf-8")
    assert "\nHow to run:     " in text and "\nWhat to expect: " in text
    assert f"python examples/{script}" in text
    assert f"({script})" in (EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_there_are_ten_of_them():
    assert len(SCRIPTS) >= 10


def costs_of(lines):
    return [float(re.search(r"cost (\S+) of", line).group(1)) for line in lines]


def test_own_environment(ray_cluster, capsys):
    script = example("own_environment.py")
    script.main(["--iterations", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 and np.isfinite(costs_of(lines)).all()
    # By hand: all push, the first brakes or not; the gap behind it is 3 m at first, give or take the draw.
    env = script.Convoy(carts=2, safe_gap=5.0)
    seen, _ = env.reset(seed=0)
    gap = float(seen["cart_1"][0])
    assert 2.0 <= gap <= 4.0
    push = {agent: np.ones(1, np.float32) for agent in env.agents}
    _, rewards, _, _, infos = env.step(push)
    assert rewards["cart_1"] == pytest.approx(1.6 * 0.2)
    assert [infos[agent]["cost"] for agent in ("cart_0", "cart_1")] == [0.0, 1.0]


def test_own_environment_keeps_to_the_contract():
    from pettingzoo.test import parallel_api_test

    parallel_api_test(example("own_environment.py").Convoy(), num_cycles=130)


def test_own_module(ray_cluster, capsys):
    example("own_module.py").main(["--iterations", "1"])
    first, line = capsys.readouterr().out.splitlines()
    assert first.startswith("AttentiveModule") and line.startswith("iteration 1: return")


@pytest.mark.parametrize("constrained", [False, True])
def test_from_ppo_script(ray_cluster, capsys, constrained):
    example("from_ppo_script.py").main(["--iterations", "1", *["--constrained"][: int(constrained)]])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("iteration 1: return")
    assert not constrained or np.isfinite(costs_of([line])).all()


def test_callbacks(ray_cluster, capsys):
    script = example("callbacks.py")
    script.main(["--iterations", "1", "--held", "1"])
    *_, line = capsys.readouterr().out.splitlines()
    assert float(re.search(r"longest danger (\S+) steps", line).group(1)) >= 0.0
    held, results = script.LimitHeld(2), [0.5, 1.5, float("nan"), 1.0, 0.0, 2.0]
    found = [held({"env_runners": {"episode_cost_max_agent": c, "cost_limit": 1.0}}) for c in results]
    assert found == [False, False, False, False, True, False]


def test_longest_danger_is_counted_within_runs():
    class Episode:
        def get_infos(self):
            return {"a": [{}, {"cost": 1.0}, {"cost": 1.0}, {"cost": 0.0}, {"cost": 1.0}], "b": [{}]}

    class Logger:
        def log_value(self, name, value, **how):
            self.found = name, value

    logger = Logger()
    example("callbacks.py").LongestDanger().on_episode_end(episode=Episode(), metrics_logger=logger)
    assert logger.found == ("longest_danger", 2)


def test_offline_from_logs(ray_cluster, capfd, tmp_path):
    pytest.importorskip("h5py")
    example("offline_from_logs.py").main(["--folder", str(tmp_path), "--runs", "8", "--iterations", "4"])
    out = capfd.readouterr().out
    assert "8 episodes" in out and "iteration 4: loss" in out
    near, far = (float(push) for push in re.findall(r"push ([+-]\S+)", out))
    # Who is 6 m away hurries, and who is 1.2 m away does not.
    assert near < far


def test_single_agent_dsrl(ray_cluster, capsys, tmp_path):
    h5py = pytest.importorskip("h5py")
    small = ["--recorded", "8", "--iterations", "1", "--batches", "10", "--episodes", "1"]
    example("single_agent_dsrl.py").main(["--folder", str(tmp_path), *small])
    *_, line = capsys.readouterr().out.splitlines()
    assert line.startswith("1 episodes of the policy: return")
    with h5py.File(tmp_path / "brake.hdf5") as file:
        assert file["timeouts"][:].sum() == 8 and set(np.unique(file["costs"])) == {0.0, 1.0}


def test_export_onnx(capsys, tmp_path):
    pytest.importorskip("onnxruntime")

    folder = save_policy(crossing_policy(1, n_agents=3)[1], tmp_path / "policy")
    settings = json.dumps({"n_agents": 3, "time_limit": 12})
    example("export_onnx.py").main([str(folder), "--out", str(tmp_path / "out"), "--env-config", settings])
    *files, line = capsys.readouterr().out.splitlines()
    assert [file.split(":")[0] for file in files] == ["arrays.npz", "policy.json", *ONNX]
    assert float(re.search(r"(\S+) from torch", line).group(1)) < 1e-5


ONNX = [f"policy_{i}.onnx" for i in range(3)]


def test_serve_policy_answers(tmp_path):

    env, policy = crossing_policy(0, n_agents=3)
    server = example("serve_policy.py").PolicyServer(str(save_policy(policy, tmp_path / "policy")))
    seen = {agent: env.reset(0).values["robot"][0, i] for i, agent in enumerate(env.possible_agents)}
    # As it comes and goes by HTTP.
    told = json.loads(json.dumps({"observations": {agent: row.tolist() for agent, row in seen.items()}}))
    actions = json.loads(json.dumps(server.answer(told)))
    for agent, action in policy.act(seen).items():
        np.testing.assert_allclose(actions[agent], action, rtol=1e-6)


def test_serve_policy_by_serve(ray_cluster, tmp_path):
    serve = pytest.importorskip("ray.serve", exc_type=ImportError)

    env, policy = crossing_policy(0, n_agents=3)
    folder = save_policy(policy, tmp_path / "policy")
    handle = serve.run(example("serve_policy.py").deploy(folder), name="safemarl", route_prefix=None)
    try:
        seen = {agent: env.reset(0).values["robot"][0, i] for i, agent in enumerate(env.possible_agents)}
        told = {"observations": {agent: row.tolist() for agent, row in seen.items()}}
        actions = handle.answer.remote(told).result(timeout_s=120)
    finally:
        serve.shutdown()
    assert set(actions) == set(env.possible_agents)


def test_sweep_of_constraints(ray_cluster, monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    from rllib_safemarl.algorithms import ALGORITHMS
    from rllib_safemarl.cli.checking import grid_points
    from tests.evaluation.tuned_runs import write_sweep

    script, asked = example("sweeps/constraints.py"), []
    monkeypatch.setattr(script.tune, "run", lambda trainable, **settings: asked.append((trainable, settings)))
    folder = script.sweep(1, 2, tmp_path)
    ((name, settings),) = asked
    points = list(grid_points(settings["config"]))
    assert len(points) == 3 * 3 * 2 * 2
    # One of its trials, here instead of in a process of its own, and the pictures of such a sweep.
    algorithm = ALGORITHMS[name].get_default_config().update_from_dict(points[0]).build_algo()
    assert np.isfinite(algorithm.train()["env_runners"]["episode_cost_mean"])
    algorithm.stop()
    write_sweep(folder, [{"kappa": kappa, "cost_limit": limit} for kappa in (0, 1) for limit in (0.5, 1.0)])
    script.draw(folder)
    assert {"kappa.png", "parallel.png"} <= {path.name for path in folder.iterdir()}


def test_sweep_of_beta(ray_cluster, monkeypatch, tmp_path):
    pytest.importorskip("h5py")
    from rllib_safemarl.data import read_dataset, write_dataset
    from tests.algorithms.diffusion_cbf.test_learning import SHIPPED, config

    few = write_dataset(read_dataset(SHIPPED).select(np.arange(0, 600, 20)), tmp_path / "few.h5")
    algorithm = config(str(few)).evaluation(evaluation_interval=0).build_algo()
    algorithm.train()
    checkpoint = algorithm.save_to_path(str(tmp_path / "checkpoint"))
    algorithm.stop()
    script, reported = example("sweeps/beta.py"), []
    assert all(0.0 < beta < 1.0 for beta in script.BETAS)
    # A trial's own function, here instead of in a process of its own.
    monkeypatch.setattr(script.tune, "report", reported.append)
    env_config = {"n_agents": 4, "time_limit": 5}
    for beta in (0.5, 0.99):
        chosen = {"beta": beta, "seed": 0, "episodes": 2, "env_config": env_config}
        script.evaluate({"checkpoint": checkpoint, **chosen})
    for found in reported:
        assert found["env_runners"]["num_env_steps_sampled_lifetime"] == 2 * 5
        assert 0.0 <= found["accepted_share"] <= 1.0 and 0.0 <= found["dangerous_episodes"] <= 1.0
    # Fewer plans are safe enough for more.
    assert reported[1]["accepted_share"] <= reported[0]["accepted_share"]


@pytest.mark.learning
def test_population_based_training(ray_cluster, tmp_path):
    script = example("sweeps/pbt.py")
    analysis = script.train(iterations=2, trials=2, interval=1, storage=tmp_path)
    assert len(analysis.trials) == 2
    for trial in analysis.trials:
        found = trial.last_result["env_runners"]
        above = max(0.0, found["episode_cost_max_agent"] - found["cost_limit"])
        assert trial.last_result["training_iteration"] == 2
        assert trial.last_result["safe_return"] == pytest.approx(
            found["episode_team_return_mean"] - 2.0 * above
        )
    # One of two took over from the other, with settings near those of the better one.
    assert (tmp_path / script.NAME / "pbt_global.txt").is_file()
