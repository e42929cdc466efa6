"""Commands in processes of their own, as they start and stop Ray, which tests share in theirs, and here."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from click.testing import CliRunner, Result

RAY_FOLDER = tempfile.mkdtemp(prefix="ray")
"""Where Ray keeps its sockets, whose paths must be short; not where the cluster of other tests is noted."""
MAIN = "from rllib_safemarl.cli.{name} import main; main()"

TINY = """
{name}:
  run: SCAL_MAPPO_L
  env: safemarl/crossing
  stop: {{training_iteration: {iterations}}}
  config:
    seed: 1
    kappa: {kappa}
    cost_limit: 1.0
    num_envs_per_env_runner: 8
    train_batch_size: 480
    minibatch_size: 480
    num_epochs: 1
    lr: 1e-3
    env_config: {{n_agents: 2, time_limit: 30}}
    model_config: {{fcnet_hiddens: [8]}}
"""


def command(*arguments: str | Path, name: str = "rllib") -> list[str]:
    return [sys.executable, "-c", MAIN.format(name=name), *map(str, arguments)]


def environment() -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    return {**inherited, "OMP_NUM_THREADS": "1", "RAY_TMPDIR": RAY_FOLDER}


def leave_behind_a_cluster() -> None:
    """What a killed cluster leaves: a note of an address at which nobody answers any more."""
    note = Path(RAY_FOLDER, "ray", "ray_current_cluster")
    note.parent.mkdir(exist_ok=True)
    note.write_text("127.0.0.1:1")


def run(
    *arguments: str | Path, cwd: Path | None = None, name: str = "rllib"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments, name=name),
        capture_output=True,
        text=True,
        timeout=240,
        env=environment(),
        cwd=cwd,
    )


def run_here(*arguments: str | Path, name: str = "rllib") -> Result:
    """A command that starts no Ray, in this process, which has imported torch and RLlib already."""
    from rllib_safemarl.cli.rllib import main as rllib
    from rllib_safemarl.cli.safemarl import main as safemarl

    return CliRunner().invoke({"rllib": rllib, "safemarl": safemarl}[name], [*map(str, arguments)])
