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
START_DISTANCE = 0.8
"""Least distance between nominal starts, and between nominal goals, in every layout, metres."""
JITTER = 0.15
"""Starts and goals are drawn uniformly within ± this of their nominal places, in x and in y, metres."""
LEAST_START_DISTANCE = START_DISTANCE - 2.0 * math.sqrt(2.0) * JITTER
"""No two robots ever start closer than this, centre to centre, metres."""


@dataclass(frozen=True)
class Layout:
    """Nominal places of n robots.

    Attributes:
        starts: ``[A, 2]`` metres.
        goals: ``[A, 2]`` metres.
        centres: ``[A, 2]`` the point that a robot's path leads through: tile, door or ring centre.
        tiles: columns and rows of tiles; a ring is one tile.
        walls: whether a vertical wall stands in every column of tiles, with a door in every row.
        turn: whether every episode turns the scene by a random angle about the (single) centre.
    """

    starts: Array
    goals: Array
    centres: Array
    tiles: tuple[int, int] = (1, 1)
    walls: bool = False
    turn: bool = False


def make_layout(name: str, num_robots: int) -> Layout:
    """The nominal places of ``num_robots`` robots in the named layout."""
    if name == "ring":
        return _ring(num_robots)
    spots = _OPEN if name == "open" else _DOORWAY
    tile, place = np.divmod(np.arange(num_robots), TILE_ROBOTS)
    num_tiles = math.ceil(num_robots / TILE_ROBOTS)
    columns = math.ceil(math.sqrt(num_tiles))
    centres = TILE_SPACING * np.stack([tile % columns, tile // columns], -1).astype(float)
    mirrored = spots * np.array([-1.0, 1.0]) if name == "doorway" else -spots
    return Layout(
        centres + spots[place],
        centres + mirrored[place],
        centres,
        (columns, math.ceil(num_tiles / columns)),
        walls=name == "doorway",
    )


_OPEN = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]])
"""Four robots swap places through the tile's centre; the first two are each other's opposite."""

_DOORWAY = np.array([[-1.0, -0.4], [1.0, -0.4], [-1.0, 0.4], [1.0, 0.4]])
"""Two robots on either side of a wall, who swap sides through its door."""


def _ring(num_robots: int) -> Layout:
    radius = max(1.0, START_DISTANCE / (2.0 * math.sin(math.pi / num_robots)))
    angle = 2.0 * math.pi * np.arange(num_robots) / num_robots
    starts = radius * np.stack([np.cos(angle), np.sin(angle)], -1)
    return Layout(starts, -starts, np.zeros_like(starts), turn=True)
