"""A cluster of two nodes on this machine, joined by ``--ray-address``; one of them is lost."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ray.cluster_utils import Cluster

from tests.cli.runs import RAY_FOLDER, TINY, command, environment, run

DATA = Path(__file__).parents[2] / "tuned_configs" / "offline" / "data" / "crossing.h5"

SECONDS = 600.0
"""So long what should come may take on a machine that is busy with other things."""
PATIENCE = {
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
}
"""Ray gives up on nodes and processes that start slowly; on a busy machine they do."""
RUNNERS = """    num_env_runners: 2
    num_cpus_per_env_runner: 1
    custom_resources_per_env_runner: {slot: 1}
    restart_failed_env_runners: true
    num_envs_per_env_runner: 4
"""
SUITE = """
title: On two nodes
base: two_learners.yaml
rows:
  online: {}
  offline:
    run: MABC
    without: [num_learners, custom_resources_per_learner, train_batch_size, minibatch_size, num_epochs]
    config:
      input_: DATA
      policies: [robot]
      env_config: {n_agents: 4}
      train_batch_size_per_learner: 48
      dataset_num_iters_per_learner: 10
seeds: 1
evaluation_episodes: 4
"""
LARGE = """    num_cpus_for_main_process: 3
    num_envs_per_env_runner: 8
  max_failures: 1
"""
LEARNERS = """    num_learners: 2
    custom_resources_per_learner: {slot: 1}
    num_envs_per_env_runner: 8
"""


class Nodes:
    """A head and those that join it, each with room for one process that asks for a slot."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.head = self.add(num_cpus=2, include_dashboard=False)

    def add(self, **settings: Any) -> Any:
        """One more node."""
        return self.cluster.add_node(resources={"slot": 1}, object_store_memory=80 << 20, **settings)

    def remove(self, node: Any) -> None:
        """As if its power had failed; once the head knows."""
        self.cluster.remove_node(node, allow_graceful=False)
        deadline = time.monotonic() + SECONDS
        while node.node_id in self.alive() and time.monotonic() < deadline:
            time.sleep(0.1)

    def alive(self) -> set[str]:
        """Nodes that the head takes for alive."""
        return {node["NodeID"] for node in self.cluster.global_state.node_table() if node["Alive"]}

    def of(self, name: str, alive: bool = True) -> list[str]:
        """Nodes of the actors, only the living ones or all, whose class has ``name`` in its own."""
        actors = self.cluster.global_state.actor_table(None).values()
        named = [actor for actor in actors if name in actor["ActorClassName"]]
        return [actor["Address"]["NodeID"] for actor in named if actor["State"] == "ALIVE" or not alive]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """The head alone."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"RAY_TMPDIR": RAY_FOLDER, **PATIENCE}.items():
            patch.setenv(name, value)
        nodes = Nodes()
        yield nodes
        nodes.cluster.shutdown()


def results_of(folder: Path) -> list[dict[str, Any]]:
    """Whole lines of all trials' results below ``folder``."""
    text = "".join(file.read_text() for file in folder.rglob("result.json"))
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def wait_for(what: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    """What ``what`` returns once that is true."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        if process.poll() is not None:
            break
        time.sleep(0.2)
    process.terminate()
    raise AssertionError(process.communicate()[0])


def steps(folder: Path) -> list[int]:
    return [result["env_runners"]["num_env_steps_sampled"] for result in results_of(folder)]


def start(nodes: Nodes, folder: Path, settings: str, *options: str) -> subprocess.Popen[str]:
    """A job without end on the cluster, whose results come into ``folder``."""
    text = TINY.format(name="spread", iterations=1_000_000, kappa=1)
    file = folder / "spread.yaml"
    file.write_text(text.replace("    num_envs_per_env_runner: 8\n", "") + settings)
    where = ("--storage-path", folder, "--ray-address", nodes.cluster.address)
    return subprocess.Popen(
        command("train", "file", file, *where, *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment(), "TUNE_GLOBAL_CHECKPOINT_S": "1"},
    )


@pytest.mark.learning
def test_trials_of_a_comparison_and_learners_of_a_trial_spread_over_nodes(nodes, tmp_path):
    text = TINY.format(name="two", iterations=2, kappa=1)
    (tmp_path / "two_learners.yaml").write_text(text.replace("    num_envs_per_env_runner: 8\n", LEARNERS))
    (tmp_path / "suite.yaml").write_text(SUITE.replace("DATA", str(DATA)))
    second = nodes.add(num_cpus=2)
    done = run("compare", "suite.yaml", "--ray-address", nodes.cluster.address, name="safemarl", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    both = {nodes.head.node_id, second.node_id}
    assert sorted(nodes.of("_WrappedExecutable", alive=False)) == sorted(both), "the learners of one trial"
    (online,), (offline,) = nodes.of("ScalMAPPOL", alive=False), nodes.of("MABC", alive=False)
    assert {online, offline} == both, "neither node has room for both"
    results = pd.read_csv(tmp_path / "results" / "suite" / "results.csv").set_index("row")
    assert (results["status"] == "done").all() and (results["iterations"] == 2).all()
    assert results.loc["online", "steps"] == 960 and (results["episodes"] == 4).all()
    assert not nodes.of(""), "nothing of the comparison is left on the nodes"
    nodes.remove(second)


def test_runners_spread_over_nodes_and_one_that_is_lost_with_its_node_comes_back_on_another(nodes, tmp_path):
    first, second = nodes.head, nodes.add(num_cpus=1)
    process = start(nodes, tmp_path, RUNNERS)
    try:
        wait_for(lambda: len(steps(tmp_path)) >= 2, process)
        assert set(nodes.of("EnvRunner")) == {first.node_id, second.node_id}
        assert nodes.of("ScalMAPPOL") == [first.node_id]
        assert set(steps(tmp_path)) == {480}, "both runners sampled from the first iteration on"

        nodes.remove(second)
        wait_for(lambda: steps(tmp_path)[-3:] == [240] * 3, process)
        third = nodes.add(num_cpus=1)
        wait_for(lambda: steps(tmp_path)[-3:] == [480] * 3, process)
        assert set(nodes.of("EnvRunner")) == {first.node_id, third.node_id}
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert process.returncode == 130, printed
    assert f"joined the cluster at {nodes.cluster.address}: 3 CPUs, 0 GPUs" in printed
    assert re.search(r"^last checkpoint: /\S+", printed, re.MULTILINE), printed
    assert not nodes.of(""), "nothing of the run is left on the nodes"
    nodes.remove(third)


def test_a_trial_that_is_lost_with_its_node_goes_on_from_its_checkpoint_on_another(nodes, tmp_path):
    second = nodes.add(num_cpus=3)
    process = start(nodes, tmp_path, LARGE, "--checkpoint-freq", "1")

    def iterations() -> list[int]:
        return [result["training_iteration"] for result in results_of(tmp_path)]

    try:
        wait_for(lambda: len(iterations()) >= 3, process)
        assert nodes.of("ScalMAPPOL") == [second.node_id], "the head has no room for it"
        nodes.remove(second)
        third = nodes.add(num_cpus=3)
        wait_for(lambda: nodes.of("ScalMAPPOL") == [third.node_id], process)
        before = len(iterations())
        wait_for(lambda: len(iterations()) >= before + 3, process)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert process.returncode == 130, printed
    assert {*iterations()} == {*range(1, max(iterations()) + 1)}, "nothing is left out"
    assert len(iterations()) - max(iterations()) <= 1, "at most what had not been saved yet is done again"
