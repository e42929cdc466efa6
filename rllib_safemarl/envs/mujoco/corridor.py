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
from rllib_safemarl.envs.mujoco.hazard import PALE, Hazard
from rllib_safemarl.envs.mujoco.robot import Robot
from rllib_safemarl.envs.mujoco.simulator import Moment, Passage

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
_SPAN, _RISE = np.diff(_X), np.diff(_CENTRE)
_ALONG = np.array([_SPAN, _RISE]) / (_SPAN**2 + _RISE**2)
_SINE = np.sin(np.arctan(_RISE / _SPAN))
_SIDES = np.array([1.0, -1.0])
"""The upper and the lower wall."""


def wall_distances(points: Array, half_width: float) -> Array:
    """Signed distance to the upper and the lower wall, negative beyond it.

    Args:
        points: ``[..., 2]`` metres.
        half_width: metres along y from the centre line to a wall.

    Returns:
        ``[..., 2]`` metres.
    """
    x, y = points[..., 0], points[..., 1]
    sides = half_width * _SIDES
    from_x = x[..., None, None] - _X[:-1]
    from_y = y[..., None, None] - (_CENTRE[:-1] + sides[:, None])
    along = np.minimum(np.maximum(from_x * _ALONG[0] + from_y * _ALONG[1], 0.0), 1.0)
    from_x = from_x - along * _SPAN
    from_y -= along * _RISE
    from_y *= from_y
    from_y += from_x * from_x
    nearest = np.sqrt(from_y.min(-1))
    offset = (y - np.interp(x, _X, _CENTRE))[..., None] * _SIDES
    return np.where(offset > half_width, -nearest, nearest)


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
        self._known: tuple[Array, Array] | None = None
        pieces = range(len(_X) - 1)
        self.marked = [f"wall_{side}_{i}" for side in ("upper", "lower") for i in pieces]

    def extend(self, spec: mujoco.MjSpec) -> None:
        """Walls that stand on the ground, and give way to nobody."""
        mujoco = need_mujoco()
        for side, sign in (("upper", 1.0), ("lower", -1.0)):
            for i, (x, y, width, rise) in enumerate(
                zip(_X, _CENTRE + sign * self.half_width, _SPAN, _RISE, strict=False)
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

    def _walls(self, points: Array) -> Array:
        """``[N, S, 2]`` margins to both walls; costs and observations ask for the same points in turn."""
        if self._known is None or self._known[0] is not points:
            self._known = points, wall_distances(points, self.half_width) - self.danger
        return self._known[1]

    def margins(self, robot: Robot, passage: Passage) -> Array:
        """Metres from every point to the nearer wall's danger."""
        return self._walls(passage.points[1]).min(-1)

    def shared(self, robot: Robot, moment: Moment, points: Array) -> Array:
        """Of the first point: margins to both walls, direction here and after the fold, way to the fold."""
        x = points[:, 0, 0]
        piece = np.clip(np.searchsorted(_X, x, side="right") - 1, 0, len(_SINE) - 1)
        following = np.minimum(piece + 1, len(_SINE) - 1)
        to_fold = np.minimum(_X[piece + 1] - x, 20.0)
        walls = self._walls(points)[:, 0]
        return np.stack([walls[:, 0], walls[:, 1], _SINE[piece], _SINE[following], to_fold], -1)

    def own(self, robot: Robot, moment: Moment, points: Array) -> Array | None:
        """Margins of every point to both walls; with one point, all see them anyway."""
        if robot.num_points == 1:
            return None
        return self._walls(points)
