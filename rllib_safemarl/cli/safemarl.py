"""The `safemarl` command: what RLlib has no command for."""

from __future__ import annotations

import click

from rllib_safemarl import __version__
from rllib_safemarl.cli.lazy import LazyGroup

COMMANDS: dict[str, str] = {
    "compare": "rllib_safemarl.cli.compare:compare",
    "data": "rllib_safemarl.cli.data:data",
    "decay": "rllib_safemarl.cli.decay:decay",
    "doctor": "rllib_safemarl.cli.doctor:doctor",
    "export": "rllib_safemarl.cli.export:export",
    "plot": "rllib_safemarl.cli.plot:plot",
    "record": "rllib_safemarl.cli.record:record",
    "render": "rllib_safemarl.cli.render:render",
}
"""Subcommand → ``module:command``; one line adds one."""


@click.group(cls=LazyGroup, lazy=COMMANDS)
@click.version_option(__version__, prog_name="safemarl", message="%(prog)s %(version)s")
def main() -> None:
    """Safe multi-agent reinforcement learning on Ray RLlib."""
