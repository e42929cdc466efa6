"""Checkpoints say which version of this package wrote them, and no other version reads them by mistake."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

import pyarrow.fs

from rllib_safemarl import __version__
from rllib_safemarl.errors import SafeMARLError

FORMAT = 2
"""Raised whenever the state of an algorithm, learner or env runner changes its layout."""

_FORMAT_KEY = "rllib_safemarl_checkpoint_format"
_VERSION_KEY = "rllib_safemarl_version"


def version_metadata() -> dict[str, Any]:
    """What a checkpoint's metadata says of this package."""
    return {_FORMAT_KEY: FORMAT, _VERSION_KEY: __version__}


def check_version(path: str | PurePath, metadata_file: str, filesystem: Any = None) -> None:
    """Refuse a checkpoint that this version cannot read, before anything of it is.

    Args:
        path: the checkpoint's folder, also as a URI.
        metadata_file: name of the file with :func:`version_metadata`.
        filesystem: pyarrow's, if the path is one of its.

    Raises:
        SafeMARLError: another format wrote it, or another package.
    """
    place = path if isinstance(path, str) else path.as_posix()
    if filesystem is None:
        filesystem, place = pyarrow.fs.FileSystem.from_uri(place)
    file = f"{place.rstrip('/')}/{metadata_file}"
    if filesystem.get_file_info(file).type != pyarrow.fs.FileType.File:
        raise SafeMARLError(f"{path} is no checkpoint: it has no {metadata_file}.")
    with filesystem.open_input_stream(file) as stream:
        metadata = json.loads(stream.read())
    if _FORMAT_KEY not in metadata:
        raise SafeMARLError(f"the checkpoint {path} was not written by an algorithm of rllib_safemarl.")
    if metadata[_FORMAT_KEY] != FORMAT:
        writer = metadata.get(_VERSION_KEY, "another version")
        mend = "train anew" if writer == __version__ else f"install rllib_safemarl {writer}, or train anew"
        raise SafeMARLError(
            f"the checkpoint {path} was written by rllib_safemarl {writer} in format "
            f"{metadata[_FORMAT_KEY]}, and {__version__} reads format {FORMAT}; {mend}."
        )
