"""The one exception that users meet, and the helper that suggests a near name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SafeMARLError(ValueError):
    """Bad input, said in one line that names the thing and the mend.

    Args:
        message: lines become one, as what others' libraries said may be among them.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(" ".join(line.strip() for line in str(message).splitlines()))


def nearest_name(name: str, names: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest of ``names``, or an empty string."""
    match = difflib.get_close_matches(str(name), sorted(map(str, names)), n=1, cutoff=0.6)
    return f" Did you mean {match[0]!r}?" if match else ""
