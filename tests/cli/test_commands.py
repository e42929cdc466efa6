"""The commands without training: help, first lines, errors."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from rllib_safemarl import __version__
from rllib_safemarl.cli.rllib import main as rllib
from rllib_safemarl.cli.safemarl import main as safemarl
from tests.cli.runs import run_here

QUICK = """
import sys
from click.testing import CliRunner
from rllib_safemarl.cli.rllib import main
for arguments in ({arguments}):
    print(CliRunner().invoke(main, arguments).output)
heavy = {{"ray", "torch", "pandas", "matplotlib"}} & set(sys.modules)
assert not heavy, heavy
"""


def test_help_and_bad_files_need_neither_ray_nor_torch():
    arguments = (
        "['--help'], ['train', '--help'], ['train', 'file', '--help'], ['evaluate', '--help'],"
        "['train', 'file', 'none.yaml'], ['evaluate', 'nowhere']"
    )
    done = subprocess.run(
        [sys.executable, "-c", QUICK.format(arguments=arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "--checkpoint-at-end" in done.stdout
    assert "there is no file none.yaml" in done.stdout


@pytest.mark.parametrize("command", [rllib, safemarl])
def test_versions(command):
    assert __version__ in CliRunner().invoke(command, ["--version"]).output


def test_every_flag_of_ray_2_40_is_there():
    flags = """--stop -s --env -e --checkpoint-freq --checkpoint-at-end --no-checkpoint-at-end
        --keep-checkpoints-num --checkpoint-score-attr --log-info -v --log-debug -vv --framework --trace
        --no-trace --wandb-key --wandb-project --wandb-run-name --local-mode --ray-address --ray-ui
        --ray-num-cpus --ray-num-gpus --ray-num-nodes --ray-object-store-memory --resume --scheduler
        --scheduler-config""".split()
    train = rllib.commands["train"]
    of_train = "--algo --run -a -r --config -c --experiment-name -n --num-samples --storage-path --restore"
    for command, names in ((train.commands["file"], flags), (train, [*flags, *of_train.split()])):
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        assert set(names) <= known


def test_the_first_line_names_version_and_file(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("x: {run: A, stopp: 1}")
    done = run_here("train", "file", file)
    lines = done.output.splitlines()
    assert lines[0] == f"rllib_safemarl {__version__}: reading {file}"
    assert lines[1].startswith("error: experiment 'x' has no key 'stopp'. Did you mean 'stop'?")
    assert len(lines) == 2
    assert done.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "name an algorithm by --run"),
        (["train", "-v", "file", "x.yaml"], "flags stand after the subcommand"),
        (["train", "--run", "A", "--env", "e", "--config", "3"], "--config '3' must be a mapping"),
        (["train", "--run", "A"], "names no environment"),
        (["train", "--run", "A", "--env", "e", "--trace"], "--trace"),
        (["evaluate", "nowhere"], "there is no checkpoint folder"),
        (["evaluate", "x", "--episodes", "1", "--steps", "1"], "exclude each other"),
    ],
)
def test_misuse_is_said(arguments, message):
    done = run_here(*arguments)
    assert message in done.output
    assert done.exit_code in (1, 2)


def test_tracebacks_come_with_v(tmp_path):
    for flag, shown in (([], False), (["-v"], True)):
        done = run_here("train", "file", tmp_path / "none.yaml", *flag)
        assert ("Traceback" in done.output) is shown
        assert "error: there is no file" in done.output
