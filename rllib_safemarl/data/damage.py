"""Files that bad disks, cut-off copies or strangers made, in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from rllib_safemarl.errors import SafeMARLError


@contextlib.contextmanager
def damage_said(where: Any) -> Iterator[None]:
    """Say what goes wrong in reading a file as one line that names it: damage can go wrong in any way.

    Args:
        where: the file.

    Raises:
        SafeMARLError: instead of any error but one of ours.
    """
    try:
        yield
    except SafeMARLError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())
        raise SafeMARLError(
            f"{where} cannot be read, perhaps it is damaged ({type(error).__name__}: {said}); copy it again."
        ) from error
