"""Folders that list their files, so that half of one is not taken for the whole."""

from __future__ import annotations

import json
from pathlib import Path

from rllib_safemarl.data.atomic import write_text

LIST = "files.json"


def list_files(folder: Path) -> None:
    """Write the list of a folder's files and their sizes; the last thing that is written into it."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != LIST)
    sizes = {file.relative_to(folder).as_posix(): file.stat().st_size for file in files}
    write_text(folder / LIST, json.dumps(sizes, indent=1))


def is_whole(folder: Path) -> bool | None:
    """Whether all files are there that a folder lists; ``None`` where it has no list."""
    try:
        sizes = json.loads((folder / LIST).read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except FileNotFoundError:
        return False if (folder / LIST).exists() else None
    except (OSError, ValueError, AttributeError):
        return False
