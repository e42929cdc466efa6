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
    for cause in chain:
        if isinstance(cause, SafeMARLError) and not hasattr(cause, "traceback_str"):
            return str(cause)
    for written in (*(str(cause) for cause in chain), text):
        ours = _OURS.findall(written)
        if ours:
            return ours[-1].strip()
    for written in (*(str(cause) for cause in reversed(chain)), text):
        lines = [match.group("message") for match in _ANY.finditer(written)]
        if lines:
            return _short(lines[-1])
    if chain:
        return _short(f"{type(chain[-1]).__name__}: {chain[-1]}")
    return _short(text) or "unknown reason"


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
