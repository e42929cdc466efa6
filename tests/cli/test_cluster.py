"""A cluster of several nodes on this machine, joined by ``--ray-address``; one of them is lost."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from tests.cli.runs import RAY_FOLDER, TINY, command, environment

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


class Nodes:
    """Nodes of one cluster: a head, which has room for a trial and one env runner, and those that join."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.add(num_cpus=2, include_dashboard=False)

    def add(self, **settings: Any) -> Any:
        """One more node."""
        return self.cluster.add_node(resources={"slot": 1}, object_store_memory=80 << 20, **settings)

    def of(self, name: str) -> list[str]:
        """Nodes of the living actors whose class has ``name`` in its own."""
        actors = self.cluster.global_state.actor_table(None).values()
        alive = [actor for actor in actors if actor["State"] == "ALIVE" and name in actor["ActorClassName"]]
        return [actor["Address"]["NodeID"] for actor in alive]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """A head and one more node."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"RAY_TMPDIR": RAY_FOLDER, **PATIENCE}.items():
            patch.setenv(name, value)
        nodes = Nodes()
        nodes.second = nodes.add(num_cpus=1)
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


def start(nodes: Nodes, folder: Path) -> subprocess.Popen[str]:
    """A job without end on the cluster, whose results come into ``folder``."""
    text = TINY.format(name="spread", iterations=1_000_000, kappa=1)
    file = folder / "spread.yaml"
    file.write_text(text.replace("    num_envs_per_env_runner: 8\n", RUNNERS))
    return subprocess.Popen(
        command("train", "file", file, "--storage-path", folder, "--ray-address", nodes.cluster.address),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment(), "TUNE_GLOBAL_CHECKPOINT_S": "1"},
    )


def test_runners_spread_over_nodes_and_one_that_is_lost_with_its_node_comes_back_on_another(nodes, tmp_path):
    process = start(nodes, tmp_path)
    try:
        wait_for(lambda: len(steps(tmp_path)) >= 2, process)
        second = nodes.second.node_id
        head = nodes.cluster.head_node.node_id
        assert set(nodes.of("EnvRunner")) == {head, second}
        assert nodes.of("ScalMAPPOL") == [head]
        assert set(steps(tmp_path)) == {480}, "both runners sampled from the first iteration on"

        nodes.cluster.remove_node(nodes.second, allow_graceful=False)
        wait_for(lambda: steps(tmp_path)[-3:] == [240] * 3, process)
        nodes.second = nodes.add(num_cpus=1)
        wait_for(lambda: steps(tmp_path)[-3:] == [480] * 3, process)
        assert set(nodes.of("EnvRunner")) == {head, nodes.second.node_id}
        assert nodes.second.node_id != second
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert process.returncode == 130, printed
    assert f"joined the cluster at {nodes.cluster.address}: 3 CPUs, 0 GPUs" in printed
    assert re.search(r"^last checkpoint: /\S+", printed, re.MULTILINE), printed
    assert not nodes.of(""), "nothing of the run is left on the nodes"
