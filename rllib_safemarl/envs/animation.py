"""Frames of an episode as an animated picture. Needs the ``plot`` extra."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.errors import SafeMARLError

Picture = NDArray[np.uint8]


def write_animation(
    frames: Sequence[Picture], path: str | os.PathLike[str], frames_per_second: float = 10.0
) -> None:
    """Write pictures of equal size as an animated GIF that starts over at its end.

    Raises:
        SafeMARLError: there are none, or the ``plot`` extra is missing.
    """
    need_plot("PIL")
    from PIL import Image

    if not len(frames):
        raise SafeMARLError("there are no frames to write.")
    # One palette for all frames: colours do not flicker. Each colour counts once, however rare it is.
    places = np.array([1 << 16, 1 << 8, 1], np.uint32)
    packed = np.unique(np.concatenate([np.unique(frame[::2, ::2] @ places) for frame in frames]))
    colours = (packed[:, None] // places % 256).astype(np.uint8)
    palette = Image.fromarray(colours[None]).quantize(255)
    images = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    target = Path(path)
    handle, temporary = tempfile.mkstemp(suffix=".gif", dir=target.parent)
    os.close(handle)
    try:
        duration = round(1000.0 / frames_per_second)
        images[0].save(
            temporary,
            "GIF",
            save_all=True,
            append_images=images[1:],
            loop=0,
            duration=duration,
            optimize=True,
        )
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def need_plot(package: str) -> None:
    """Say how to get what pictures need, where it is missing."""
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise SafeMARLError(f"pictures need {package}; install it by: pip install 'rllib_safemarl[plot]'.")
