"""A folded corridor between walls.

Its centre line is straight up to x = 0, climbs at 30° to x = 20 m, falls to x = 60 m, climbs to x = 100 m and
is straight again. Walls stand ``half_width`` above and below it, along y, without gaps.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.mujoco.assets import need_mujoco
from rllib_safemarl.envs.mujoco.hazard import PALE, Hazard, Passage
from rllib_safemarl.envs.mujoco.robot import Robot
from rllib_safemarl.envs.mujoco.simulator import Moment

if TYPE_CHECKING:
    import mujoco

Array = NDArray[np.float64]

SLOPE = math.tan(math.radians(30.0))
FOLDS = np.array([0.0, 20.0, 60.0, 100.0])
"""Where the corridor changes direction, metres."""
DANGER = 1.8
"""Nearer to a wall costs, metres."""
ENDS = (-100.0, 1100.0)
THICKNESS = 0.02
HEIGHT = 1.4

_X = np.array([ENDS[0], *FOLDS, ENDS[1]])
_CENTRE = SLOPE * np.array([0.0, 0.0, 20.0, -20.0, 20.0, 20.0])
_SINE = np.sin(np.arctan(np.diff(_CENTRE) / np.diff(_X)))


def centre_line(x: Array) -> Array:
    """Where the centre line is, y in metres."""
    return np.interp(x, _X, _CENTRE)


def wall_distances(points: Array, half_width: float) -> Array:
    """Signed distance to the upper and the lower wall, negative beyond it.

    Args:
        points: ``[..., 2]`` metres.
        half_width: metres along y from the centre line to a wall.

    Returns:
        ``[..., 2]`` metres.
    """
    x, y = points[..., 0, None], points[..., 1, None]
    span, rise = np.diff(_X), np.diff(_CENTRE)
    distances = []
    for side in (1.0, -1.0):
        from_x, from_y = x - _X[:-1], y - (_CENTRE[:-1] + side * half_width)
        along = np.clip((from_x * span + from_y * rise) / (span**2 + rise**2), 0.0, 1.0)
        squared = (from_x - along * span) ** 2 + (from_y - along * rise) ** 2
        beyond = side * (y[..., 0] - centre_line(x[..., 0])) > half_width
        distances.append(np.where(beyond, -1.0, 1.0) * np.sqrt(squared.min(-1)))
    return np.stack(distances, -1)


class Corridor(Hazard):
    """Too near to a wall, or beyond it.

    Args:
        half_width: metres along y from the centre line to a wall.
        danger: nearer costs, metres.
    """

    cost_name = "corridor"
    ahead = 2.0
    # Margins to the upper and the lower wall, direction here and behind the next fold, metres to that fold.
    shared_scales = (0.5, 0.5, 1.0, 1.0, 0.05)

    def __init__(self, half_width: float, danger: float = DANGER, falls_cost: bool = True) -> None:
        self.half_width = half_width
        self.danger = danger
        self.falls_cost = falls_cost
        self.own_scales = (0.5, 0.5)
        pieces = range(len(_X) - 1)
        self.marked = [f"wall_{side}_{i}" for side in ("upper", "lower") for i in pieces]

    def extend(self, spec: mujoco.MjSpec) -> None:
        """Walls that stand on the ground, and give way to nobody."""
        mujoco = need_mujoco()
        for side, sign in (("upper", 1.0), ("lower", -1.0)):
            for i, (x, y, width, rise) in enumerate(
                zip(_X, _CENTRE + sign * self.half_width, np.diff(_X), np.diff(_CENTRE), strict=False)
            ):
                yaw = math.atan2(rise, width)
                # A body of its own: what lies far away then leaves MuJoCo's search for contacts early.
                body = spec.worldbody.add_body(
                    name=f"wall_{side}_{i}",
                    pos=[x + 0.5 * width, y + 0.5 * rise, 0.5 * HEIGHT],
                    quat=[math.cos(0.5 * yaw), 0.0, 0.0, math.sin(0.5 * yaw)],
                )
                body.add_geom(
                    name=f"wall_{side}_{i}",
                    type=mujoco.mjtGeom.mjGEOM_BOX,
                    size=[0.5 * math.hypot(width, rise), 0.5 * THICKNESS, 0.5 * HEIGHT],
                    conaffinity=1,
                    condim=3,
                    rgba=PALE,
                )

    def margins(self, robot: Robot, passage: Passage) -> Array:
        """Metres from every point to the nearer wall's danger."""
        return wall_distances(passage.points, self.half_width).min(-1) - self.danger

    def shared(self, robot: Robot, moment: Moment, points: Array) -> Array:
        """Of the first point: margins to both walls, direction here and after the fold, way to the fold."""
        head = points[:, 0]
        x = head[:, 0]
        piece = np.clip(np.searchsorted(_X, x, side="right") - 1, 0, len(_SINE) - 1)
        following = np.minimum(piece + 1, len(_SINE) - 1)
        to_fold = np.minimum(_X[piece + 1] - x, 20.0)
        walls = wall_distances(head, self.half_width) - self.danger
        return np.stack([walls[:, 0], walls[:, 1], _SINE[piece], _SINE[following], to_fold], -1)

    def own(self, robot: Robot, moment: Moment, points: Array) -> Array | None:
        """Margins of every point to both walls; with one point, all see them anyway."""
        if robot.num_points == 1:
            return None
        return wall_distances(points, self.half_width) - self.danger
