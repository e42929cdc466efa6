"""Downloads of published data sets: atomic, with a checksum."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path
from typing import IO, Any

from rllib_safemarl.data.atomic import atomic_path, write_text
from rllib_safemarl.errors import SafeMARLError

_SHA256 = re.compile(r"[0-9a-f]{64}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects and keeps their headers: the file's host names its checksum there."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Take note of the headers of a redirect."""
        self.headers.update({key.lower(): value for key, value in headers.items()})
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(url: str, path: Path, sha256: str | None = None, timeout: float = 30.0) -> Path:
    """Download a file; it appears whole, with the right checksum, or not at all.

    The checksum is the caller's, or else the one that Hugging Face states in its headers (``X-Linked-ETag``
    of large files); it is written beside the file as ``<file>.sha256``.

    Args:
        url: of the file.
        path: where to put it.
        sha256: what the file must have, if known.
        timeout: seconds without an answer.

    Raises:
        SafeMARLError: no connection, no such file, too little space, or another checksum.
    """
    redirects = _Redirects()
    try:
        with (
            urllib.request.build_opener(redirects).open(url, timeout=timeout) as answer,
            atomic_path(path) as draft,
        ):
            _check_space(answer.headers, path)
            digest, size = hashlib.sha256(), 0
            with draft.open("wb") as file:
                while piece := answer.read(1 << 20):
                    file.write(piece)
                    digest.update(piece)
                    size += len(piece)
            headers = {**{key.lower(): value for key, value in answer.headers.items()}, **redirects.headers}
            _check(url, digest.hexdigest(), size, headers, answer.headers.get("Content-Length"), sha256)
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise SafeMARLError(
            f"{url} cannot be downloaded ({reason}); without a connection, put the file at {path} "
            "yourself, or name the folder that holds it by DSRL_DATASET_DIR."
        ) from error
    write_text(path.with_name(f"{path.name}.sha256"), f"{digest.hexdigest()}  {path.name}\n")
    return path


def _check_space(headers: Message, path: Path) -> None:
    needed = int(headers.get("Content-Length") or 0)
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise SafeMARLError(
            f"{path} needs {needed / 1e9:.1f} GB and {os.fspath(path.parent)} has {free / 1e9:.1f} GB left."
        )


def _check(
    url: str, found: str, size: int, headers: dict[str, str], length: str | None, sha256: str | None
) -> None:
    if length is not None and int(length) != size:
        raise SafeMARLError(f"{url} broke off after {size} of {length} bytes; try again.")
    stated = headers.get("x-linked-etag", "").strip('W/"').lower()
    expected = sha256 or (stated if _SHA256.fullmatch(stated) else None)
    if expected is not None and found != expected:
        raise SafeMARLError(f"{url} has the SHA-256 {found}, not {expected}; it was not kept. Try again.")
