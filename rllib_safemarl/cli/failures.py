"""Why a trial failed, in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rllib_safemarl.errors import SafeMARLError

_OURS = re.compile(r"^(?:[\w.]+\.)?SafeMARLError: (?P<message>.+)$", re.MULTILINE)
_ANY = re.compile(
    r"^(?P<message>(?:[A-Za-z_][\w.]*)(?:Error|Exception|Interrupt|Warning)\b.*)$", re.MULTILINE
)
_NO_RUNNER = ("in get_spaces", "IndexError")
"""RLlib swallows why remote env runners fail, and then finds that none told it the spaces."""
_DEATHS = ("RayActorError", "ActorDiedError", "ActorUnavailableError", "WorkerCrashedError")
"""Exceptions of Ray's for processes that ended without an exception of their own."""
_LENGTH = 400


def one_line(error: BaseException | None, text: str = "") -> str:
    """Find what really went wrong inside Ray's exceptions.

    Args:
        error: the exception Ray reports.
        text: a traceback, where there is no exception, or where its cause is only written there.

    Returns:
        Our own message where one is in the chain, else the innermost exception's last line.
    """
    chain = list(_causes(error))
    # Ray's exceptions hold what they stand for in ``cause``, and may be instances of its class, too.
    originals = [c for c in chain if not hasattr(c, "cause") and not type(c).__module__.startswith("ray.")]
    ours = [original for original in originals if isinstance(original, SafeMARLError)]
    if ours:
        return _short(str(ours[0]))
    texts = [*(str(cause) for cause in reversed(chain)), text]
    written = [message for written in texts for message in _OURS.findall(written)]
    if written:
        return _short(written[-1])
    if any(all(part in text for part in _NO_RUNNER) for text in texts):
        return "no env runner could be started; with --set num_env_runners=0 the reason is said"
    if originals:
        return _short(f"{type(originals[-1]).__name__}: {originals[-1]}")
    written = [message for written in texts for message in _ANY.findall(written)]
    last = written[-1] if written else type(chain[-1]).__name__ if chain else ""
    if last.split(":")[0].split(".")[-1] in _DEATHS:
        return "a process of the run died, killed or out of memory; --resume goes on from the last checkpoint"
    return _short(written[-1] if written else text) or "unknown reason"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and what it was caused by, outermost first."""
    seen: list[Any] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = getattr(error, "cause", None) or error.__cause__


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LENGTH else f"{line[: _LENGTH - 1]}…"
