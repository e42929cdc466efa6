"""Plans over a scene, coloured by the barrier. Needs the ``plot`` extra."""

from __future__ import annotations

from typing import Any

import numpy as np

from rllib_safemarl.envs.futures import Futures

SHOWN = 0.4
"""h̃ from which on colours do not change; h lies within ±1."""
_COLOURS = ((0.0, "#a50026"), (0.499, "#fdae61"), (0.501, "#7fc4de"), (1.0, "#08458a"))
"""From the least h̃ shown to the most, with a break at 0, where a plan stops being accepted."""
_INK = "#5b6068"
_SCALE = np.array([1.35, 0.07])
"""Width and height of the colours' scale, inches."""


def draw_futures(axes: Any, futures: Futures, width: float) -> None:
    """Draw plans into matplotlib axes in the environment's own frame.

    Args:
        axes: of the scene.
        futures: positions of two numbers.
        width: of the line of a plan that is followed, points; others are thinner.
    """
    from matplotlib.collections import LineCollection

    colours = _colour_map()
    plans = np.arange(futures.positions.shape[1])
    followed = plans == futures.chosen[:, None]
    for mine, size, order in ((~followed, 0.4 * width, 4.2), (followed, width, 4.4)):
        positions, barrier = futures.positions[mine], futures.barrier[mine]
        pieces = np.stack([positions[:, :-1], positions[:, 1:]], 2).reshape(-1, 2, 2)
        values = (0.5 * (barrier[:, :-1] + barrier[:, 1:])).ravel()
        known = np.isfinite(pieces).all((1, 2))
        shade = colours(0.5 + 0.5 * np.clip(values[known] / SHOWN, -1.0, 1.0))
        lines = LineCollection(
            list(pieces[known]), colors=shade, linewidths=size, zorder=order, capstyle="round"
        )
        axes.add_collection(lines)


def draw_scale(axes: Any) -> None:
    """What the colours mean, in the lower right corner."""
    from matplotlib.patheffects import withStroke

    width, height = axes.figure.get_size_inches()
    size = _SCALE / np.array([width, height])
    low = 1.0 - size[0] - 0.12 / width, 0.2 / height
    inset = axes.inset_axes((*low, *size), zorder=7)
    inset.imshow(np.linspace(0.0, 1.0, 256)[None], cmap=_colour_map(), aspect="auto", extent=(-1, 1, 0, 1))
    inset.set_xticks([-1, 0, 1], [f"−{SHOWN:g}", "0", f"{SHOWN:g}"], fontsize=7, color=_INK)
    inset.set_yticks([])
    inset.tick_params(length=2, pad=1, color=_INK)
    inset.set_title("h − δ(β) along plans", fontsize=7, color=_INK, pad=2)
    for spine in inset.spines.values():
        spine.set_visible(False)
    outline = [withStroke(linewidth=2.0, foreground=axes.figure.get_facecolor())]
    for text in (inset.title, *inset.get_xticklabels()):
        text.set_path_effects(outline)


def _colour_map() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("barrier", list(_COLOURS))
