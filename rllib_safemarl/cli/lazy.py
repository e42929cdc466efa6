"""A command group whose subcommands are imported when they are needed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that knows subcommands as ``name → "module:command"``.

    Modules of commands import Ray and torch inside their functions, so that ``--help`` stays quick.

    Args:
        lazy: subcommands by name.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all subcommands."""
        return sorted({*super().list_commands(ctx), *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, command = self._lazy[cmd_name].split(":")
        return getattr(import_module(module), command)
