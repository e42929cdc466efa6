"""The shared contract and the default job under other versions of Ray, each in an own virtual environment.

    python tests/supported_versions.py --ray 2.53.0 --ray 2.57.0 --ray 2.60.0
    python tests/supported_versions.py --ray 2.60.0 --python python3.13

prints one row of Markdown each, and exits with 1 if anything failed. Everything else is installed as
constraints.txt pins it, but for what Ray pins itself. Minutes per version; no part of the test suite.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

ROOT = Path(__file__).parents[1]
CONTRACT = (
    "tests/envs",
    "tests/algorithms",
    "tests/rollout",
    "tests/policies",
    "tests/offline",
    "tests/cli/test_training.py",
    "tests/cli/test_offline_job.py",
    "tests/test_imports.py",
)
PINNED_BY_RAY = r"(?m)^(ray|gymnasium|ormsgpack)==.*$"
TOOLS = ("pytest", "pytest-xdist", "hypothesis", "mpe2")
"""What the contract needs; oracles of other tests want newer packages than old versions of Ray do."""
JOB = ("train", "file", "tuned_configs/scal_mappo_l.yaml", "--stop", '{"training_iteration": 10}')


@dataclass(frozen=True)
class Outcome:
    """What became of one pair of versions.

    Attributes:
        ray, python: as they call themselves.
        contract: pytest's own summary, or why there is none.
        job: "trains", or the last line of its failure.
        passed: whether both went well.
    """

    ray: str
    python: str
    contract: str
    job: str
    passed: bool

    def row(self) -> str:
        """One row of the table."""
        return f"| {self.ray} | {self.python} | {self.contract} | {self.job} |"


def _run(command: list[str], **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def _last_line(text: str) -> str:
    lines = [line.strip(" =") for line in text.splitlines() if line.strip(" =")]
    return lines[-1] if lines else "nothing was printed"


def try_versions(ray: str, python: str, folder: Path) -> Outcome:
    """Install one version of Ray for one Python into ``folder``, and try both."""
    constraints = folder / "constraints.txt"
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    others = re.sub(PINNED_BY_RAY, "", pinned)
    constraints.write_text(f"{others}\nray=={ray}\n", encoding="utf-8")
    scripts = folder / "venv" / "bin"
    _, said = _run([python, "--version"])
    named = _last_line(said).removeprefix("Python ")
    for command in (
        [python, "-m", "venv", str(folder / "venv")],
        [str(scripts / "pip"), "install", "--quiet", "-c", str(constraints), "-e", ".[all]", *TOOLS],
    ):
        code, said = _run(command)
        if code:
            return Outcome(ray, named, f"cannot be installed: {_last_line(said)}", "–", False)
    failed_tests, said = _run([str(scripts / "python"), "-m", "pytest", "-q", *CONTRACT])
    contract = _last_line(said)
    failed_job, told = _run(
        [str(scripts / "rllib"), *JOB, "--storage-path", str(folder / "runs")],
        PATH=f"{scripts}{os.pathsep}{os.environ['PATH']}",
    )
    if failed_tests:
        click.echo(said, err=True)
    if failed_job:
        click.echo(told, err=True)
    job = _last_line(told) if failed_job else "trains"
    return Outcome(ray, named, contract, job, not failed_tests and not failed_job)


@click.command(help=__doc__)
@click.option("--ray", "versions", multiple=True, default=["2.53.0", "2.57.0", "2.60.0"], show_default=True)
@click.option("--python", "pythons", multiple=True, default=[sys.executable], help="Interpreters.")
def main(versions: tuple[str, ...], pythons: tuple[str, ...]) -> None:
    """Print the table."""
    click.echo("| Ray | Python | contract | default job |\n| :--- | :--- | :--- | :--- |")
    passed = True
    for python in pythons:
        for ray in versions:
            with tempfile.TemporaryDirectory() as folder:
                outcome = try_versions(ray, python, Path(folder))
            click.echo(outcome.row())
            passed = passed and outcome.passed
    raise SystemExit(0 if passed else 1)


if __name__ == "__main__":
    main()
