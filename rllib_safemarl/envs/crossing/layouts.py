"""Where robots start, where they want to go, and what stands between."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LAYOUTS = ("open", "doorway", "ring")
TILE_ROBOTS = 4
"""Robots that meet in one tile of the ``open`` and ``doorway`` layouts."""
TILE_SPACING = 2.8
"""Distance between the centres of neighbouring tiles, metres."""
JITTER = 0.15
"""Starts and goals are drawn uniformly within ± this of their nominal places, metres."""
DOOR_HALF_WIDTH = 0.25
"""Half the width of the gap in a wall, metres: one robot at a time passes safely."""


@dataclass(frozen=True)
class Layout:
    """Nominal places of n robots.

    Attributes:
        starts: ``[A, 2]`` metres.
        goals: ``[A, 2]`` metres.
        centres: ``[A, 2]`` the point that a robot's path leads through: tile, door or ring centre.
        walls: whether a vertical wall with a door stands at every tile's centre.
        turn: whether every episode turns the scene by a random angle about the (single) centre.
    """

    starts: Array
    goals: Array
    centres: Array
    walls: bool = False
    turn: bool = False


def make_layout(name: str, num_robots: int) -> Layout:
    """The nominal places of ``num_robots`` robots in the named layout."""
    if name == "ring":
        return _ring(num_robots)
    spots = _OPEN if name == "open" else _DOORWAY
    tile, place = np.divmod(np.arange(num_robots), TILE_ROBOTS)
    columns = math.ceil(math.sqrt(math.ceil(num_robots / TILE_ROBOTS)))
    centres = TILE_SPACING * np.stack([tile % columns, tile // columns], -1).astype(float)
    starts = centres + spots[place]
    mirrored = spots * np.array([-1.0, 1.0]) if name == "doorway" else -spots
    return Layout(starts, centres + mirrored[place], centres, walls=name == "doorway")


_OPEN = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]])
"""Four robots swap places through the tile's centre; the first two are each other's opposite."""

_DOORWAY = np.array([[-1.0, -0.4], [1.0, -0.4], [-1.0, 0.4], [1.0, 0.4]])
"""Two robots on either side of a wall, who swap sides through its door."""


def _ring(num_robots: int) -> Layout:
    radius = max(1.0, 0.45 * num_robots / (2.0 * math.pi))
    angle = 2.0 * math.pi * np.arange(num_robots) / num_robots
    starts = radius * np.stack([np.cos(angle), np.sin(angle)], -1)
    return Layout(starts, -starts, np.zeros_like(starts), turn=True)
