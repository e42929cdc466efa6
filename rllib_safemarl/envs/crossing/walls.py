"""The walls of the ``doorway`` layout: vertical lines without thickness, each with a door per row of tiles.

A robot is a disc. Its centre can be within a radius of a wall only inside a door, in the *slit* that is left
between the door's edges less a radius on either side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.crossing.layouts import TILE_SPACING

Array = NDArray[np.float64]

DOOR_HALF_WIDTH = 0.25
"""Half the width of the gap in a wall, metres: one robot at a time passes safely."""


def nearest_doors(positions: Array, tiles: tuple[int, int]) -> Array:
    """The door ``[..., 2]`` nearest to each of ``positions [..., 2]``, on the nearest wall, metres."""
    place = np.rint(positions / TILE_SPACING)
    return TILE_SPACING * np.clip(place, 0.0, np.array(tiles) - 1.0)


def stop_at_walls(
    before: Array, moved: Array, velocities: Array, radius: float, tiles: tuple[int, int]
) -> None:
    """Hold back robots that ran into a wall or a door's edge in this step, and stop that motion.

    Args:
        before: ``[N, A, 2]`` positions before the step, metres.
        moved: ``[N, A, 2]`` positions after it as if there were no walls; corrected in place.
        velocities: ``[N, A, 2]`` metres per second; the stopped components become 0.
        radius: of a robot, metres.
        tiles: columns and rows of tiles.
    """
    doors = nearest_doors(before, tiles)
    side = np.where(before[..., 0] < doors[..., 0], -1.0, 1.0)
    met = np.nonzero(
        (side * (moved[..., 0] - doors[..., 0]) < radius) | (np.abs(before[..., 0] - doors[..., 0]) < radius)
    )
    if not len(met[0]):
        return
    door, side = doors[met], side[met]
    (x, y), (to_x, to_y) = (before[met] - door).T, (moved[met] - door).T
    slit = DOOR_HALF_WIDTH - radius
    inside = (side * x < radius) & (np.abs(y) <= slit + 1e-9)
    # Where the path first comes within a radius of the wall, if the robot was not there before.
    share = np.clip((side * x - radius) / np.maximum(side * (x - to_x), 1e-12), 0.0, 1.0)
    entering = ~inside & (side * to_x < radius)
    blocked = entering & (np.abs(y + share * (to_y - y)) > slit)
    squeezed = (inside | (entering & ~blocked)) & (np.abs(to_y) > slit)
    corrected = moved[met]
    corrected[:, 0] = np.where(blocked, door[:, 0] + side * radius, corrected[:, 0])
    corrected[:, 1] = np.where(squeezed, door[:, 1] + np.clip(to_y, -slit, slit), corrected[:, 1])
    moved[met] = corrected
    stopped = np.stack([blocked, squeezed], -1)
    velocities[met] = np.where(stopped, 0.0, velocities[met])
