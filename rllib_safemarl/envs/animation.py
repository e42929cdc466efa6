"""Pictures on disk: one, or frames of an episode as an animation. Needs the ``plot`` extra."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
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
    with _appearing(path) as temporary:
        images[0].save(
            temporary,
            "GIF",
            save_all=True,
            append_images=images[1:],
            loop=0,
            duration=round(1000.0 / frames_per_second),
            optimize=True,
        )


def write_picture(picture: Picture, path: str | os.PathLike[str]) -> None:
    """Write a picture as PNG.

    Raises:
        SafeMARLError: the ``plot`` extra is missing.
    """
    need_plot("PIL")
    from PIL import Image

    with _appearing(path) as temporary:
        Image.fromarray(picture).save(temporary, "PNG", optimize=True)


@contextlib.contextmanager
def _appearing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file that takes the place of ``path`` once it is written."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.part")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def need_plot(package: str) -> None:
    """Say how to get what pictures need, where it is missing."""
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise SafeMARLError(f"pictures need {package}; install it by: pip install 'rllib_safemarl[plot]'.")
