"""Lines for a person: what is said, and how errors and Ctrl-C end a command."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import click

from rllib_safemarl import __version__
from rllib_safemarl.errors import SafeMARLError

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def say(line: str = "") -> None:
    """Print a line at once."""
    click.echo(line)


def say_first(line: str) -> None:
    """Print the first line of a command, with the version."""
    say(f"rllib_safemarl {__version__}: {line}")


def say_error(message: str) -> None:
    """Print an error's line, and go on."""
    click.secho(f"error: {message}", fg="red", err=True)


def fail(message: str, status: int = 1) -> NoReturn:
    """End the command with a one-line error."""
    say_error(message)
    raise SystemExit(status)


def one_line_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a :class:`SafeMARLError` into one line, with a traceback under ``-v``; Ctrl-C into status 130."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except SafeMARLError as error:
            if kwargs.get("log_info") or kwargs.get("log_debug"):
                traceback.print_exc(file=sys.stderr)
            fail(str(error))
        except KeyboardInterrupt:
            say("\nstopped")
            raise SystemExit(INTERRUPTED) from None

    return run
