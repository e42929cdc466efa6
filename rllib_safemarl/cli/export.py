"""`safemarl export`: the policies of a checkpoint as a folder that acts without Ray."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from rllib_safemarl.cli.console import one_line_errors, say, say_first
from rllib_safemarl.cli.documents import set_dotted
from rllib_safemarl.cli.trained import local_checkpoint
from rllib_safemarl.errors import SafeMARLError


@click.command()
@click.argument("checkpoint", metavar="CHECKPOINT")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--onnx", is_flag=True, help="ONNX graphs as well, of feed-forward policies.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="How planners are to act, such as beta=0.99 or n_plans=16; repeatable.",
)
@one_line_errors
def export(checkpoint: str, out: Path, onnx: bool, assignments: tuple[str, ...]) -> None:
    """Write the policies of CHECKPOINT as JSON and NumPy arrays, to be acted by without Ray.

    CHECKPOINT is a checkpoint's folder, that of a trial or experiment (its newest), or a policy folder.
    """
    say_first(f"exporting {checkpoint}")
    from rllib_safemarl.policies.files import DESCRIPTION, load_policy, save_policy

    given = Path(checkpoint).expanduser()
    folder = given if (given / DESCRIPTION).is_file() else local_checkpoint(checkpoint)
    if str(folder) != checkpoint:
        say(f"checkpoint: {folder}")
    _check_free(out)
    settings: dict[str, Any] = {}
    set_dotted(settings, assignments)
    policy = load_policy(folder, settings=settings)
    save_policy(policy, out, onnx)
    size = sum(file.stat().st_size for file in out.iterdir())
    for name, network in policy.policies.items():
        agents = ", ".join(str(policy.team.agents[i]) for i in _agents(policy, name)[:4])
        more = "" if len(_agents(policy, name)) <= 4 else ", …"
        say(f"policy {name}: {type(network).__name__} of {agents}{more}")
    how = ", runtime='onnx'" if onnx else ""
    say(f"{out}: {size / 1024:.0f} KiB; load_policy({str(out)!r}{how}).act(observations)")


def _agents(policy: Any, name: str) -> list[int]:
    return [int(i) for group in policy.groups if group.policy == name for i in group.agents]


def _check_free(out: Path) -> None:
    """Refuse to replace a folder that holds anything but a policy."""
    from rllib_safemarl.policies.files import ARRAYS, DESCRIPTION

    if not out.exists():
        return
    if not out.is_dir():
        raise SafeMARLError(f"--out {out} is a file; name a folder.")
    ours = re.compile(rf"{re.escape(DESCRIPTION)}|{re.escape(ARRAYS)}|policy_\d+\.onnx")
    others = sorted(file.name for file in out.iterdir() if not ours.fullmatch(file.name))
    if others:
        raise SafeMARLError(f"--out {out} holds {others[0]!r}, and would be replaced; name a new folder.")
