"""Geometry of many lanes at once: straight ones, sine-shaped ones and arcs, as highway-env has them.

A point has lane coordinates: ``s``, metres along the centre line, and ``r``, metres to its right (y points
down the page in highway-env). Formulas are those of ``highway_env.road.lane``, over arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.errors import SafeMARLError

Array = NDArray[np.float64]
Index = NDArray[np.intp]

OVERHANG = 5.0
"""A lane reaches so far beyond its ends for what is on it, metres: a vehicle's length."""


def wrap(angle: Array) -> Array:
    """Angles in [-π, π)."""
    return np.mod(angle + np.pi, 2.0 * np.pi) - np.pi


class Lanes:
    """L lanes.

    Args:
        lanes: highway-env's.

    Attributes:
        length: ``[L]`` metres.
        width: ``[L]`` metres.
    """

    def __init__(self, lanes: Sequence[Any]) -> None:
        kinds = [_kind(lane) for lane in lanes]
        self.length = np.array([float(lane.length) for lane in lanes])
        self.width = np.array([float(lane.width) for lane in lanes])
        self._arcs = np.flatnonzero([kind == "arc" for kind in kinds])
        self._lines = np.flatnonzero([kind != "arc" for kind in kinds])
        self._is_arc = np.array([kind == "arc" for kind in kinds])
        zero = np.zeros(2)
        self._start = np.array([zero if _arc(lane) else lane.start for lane in lanes], float)
        self._along = np.array([zero if _arc(lane) else lane.direction for lane in lanes], float)
        self._heading = np.array([0.0 if _arc(lane) else lane.heading for lane in lanes])
        self._sine = np.array(
            [
                (lane.amplitude, lane.pulsation, lane.phase) if kind == "sine" else (0.0, 0.0, 0.0)
                for kind, lane in zip(kinds, lanes, strict=True)
            ]
        )
        self._centre = np.array([lane.center if _arc(lane) else zero for lane in lanes], float)
        self._radius = np.array([float(lane.radius) if _arc(lane) else 1.0 for lane in lanes])
        self._phase = np.array([float(lane.start_phase) if _arc(lane) else 0.0 for lane in lanes])
        self._turn = np.array([float(lane.direction) if _arc(lane) else 0.0 for lane in lanes])
        self._curved = self._lines[self._sine[self._lines, 0] != 0.0]

    def __len__(self) -> int:
        return len(self.length)

    # All points on all lanes.

    def coordinates(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Lane coordinates ``s`` and ``r``, ``[L, P]`` each, of points ``[P]``."""
        s, r = np.empty((len(self), len(x))), np.empty((len(self), len(x)))
        lines, arcs = self._lines, self._arcs
        if len(lines):
            s[lines], r[lines] = self._on_lines(lines[:, None], x, y, bool(len(self._curved)))
        if len(arcs):
            s[arcs], r[arcs] = self._on_arcs(arcs[:, None], x, y)
        return s, r

    def headings(self, s: Array) -> Array:
        """Headings ``[L, P]`` of the lanes at ``s [L, P]``, radians."""
        heading = np.empty_like(s)
        lines, arcs, curved = self._lines, self._arcs, self._curved
        if len(lines):
            heading[lines] = self._heading[lines, None]
        if len(curved):
            heading[curved] += self._slope(curved[:, None], s[curved])
        if len(arcs):
            heading[arcs] = self._arc_heading(arcs[:, None], s[arcs])
        return heading

    # Each point on a lane of its own.

    def local(self, lane: Index, x: Array, y: Array) -> tuple[Array, Array]:
        """Lane coordinates of points, each on its lane; arrays of one shape."""
        if not len(self._arcs):
            return self._on_lines(lane, x, y, bool(len(self._curved)))
        arc = self._is_arc[lane]
        s_line, r_line = self._on_lines(lane, x, y, bool(len(self._curved)))
        s_arc, r_arc = self._on_arcs(lane, x, y)
        return np.where(arc, s_arc, s_line), np.where(arc, r_arc, r_line)

    def heading_at(self, lane: Index, s: Array) -> Array:
        """Headings of lanes at ``s``, elementwise, radians."""
        heading = self._heading[lane]
        if len(self._curved):
            heading = heading + self._slope(lane, s)
        if len(self._arcs):
            heading = np.where(self._is_arc[lane], self._arc_heading(lane, s), heading)
        return heading

    def position(self, lane: Index, s: Array, r: Array | float = 0.0) -> tuple[Array, Array]:
        """Points at lane coordinates, elementwise: ``x`` and ``y``, metres."""
        along = self._along[lane]
        amplitude, pulsation, phase = np.moveaxis(self._sine[lane], -1, 0)
        aside = r + amplitude * np.sin(pulsation * s + phase)
        x = self._start[lane, 0] + s * along[..., 0] - aside * along[..., 1]
        y = self._start[lane, 1] + s * along[..., 1] + aside * along[..., 0]
        if not len(self._arcs):
            return x, y
        arc, turn = self._is_arc[lane], self._turn[lane]
        angle = turn * s / self._radius[lane] + self._phase[lane]
        radius = self._radius[lane] - r * turn
        return (
            np.where(arc, self._centre[lane, 0] + radius * np.cos(angle), x),
            np.where(arc, self._centre[lane, 1] + radius * np.sin(angle), y),
        )

    def holds(self, s: Array, r: Array, margin: float = 0.0) -> NDArray[np.bool_]:
        """Whether ``[L, P]`` points with these lane coordinates are on the lanes, ``margin`` metres aside."""
        within = np.abs(r) <= (0.5 * self.width + margin)[:, None]
        within &= s >= -OVERHANG
        within &= s < (self.length + OVERHANG)[:, None]
        return within

    def nearest(self, s: Array, r: Array, heading: Array) -> Index:
        """``[P]`` nearest lanes of points with lane coordinates ``[L, P]`` and ``heading [P]``.

        A radian of heading counts as much as a metre; of equally near lanes the first is taken.
        """
        away = np.abs(r) + np.maximum(s - self.length[:, None], 0.0) + np.maximum(0.0 - s, 0.0)
        away += np.abs(wrap(heading - self.headings(s)))
        return away.argmin(0)

    # Formulas.

    def _on_lines(self, lane: Index, x: Array, y: Array, curved: bool) -> tuple[Array, Array]:
        dx, dy = x - self._start[lane, 0], y - self._start[lane, 1]
        along, across = self._along[lane, 0], self._along[lane, 1]
        s = dx * along + dy * across
        r = dy * along - dx * across
        if curved:
            amplitude, pulsation, phase = np.moveaxis(self._sine[lane], -1, 0)
            r = r - amplitude * np.sin(pulsation * s + phase)
        return s, r

    def _on_arcs(self, lane: Index, x: Array, y: Array) -> tuple[Array, Array]:
        dx, dy = x - self._centre[lane, 0], y - self._centre[lane, 1]
        turn, radius = self._turn[lane], self._radius[lane]
        angle = wrap(np.arctan2(dy, dx) - self._phase[lane])
        return turn * angle * radius, turn * (radius - np.sqrt(dx * dx + dy * dy))

    def _slope(self, lane: Index, s: Array) -> Array:
        amplitude, pulsation, phase = np.moveaxis(self._sine[lane], -1, 0)
        return np.arctan(amplitude * pulsation * np.cos(pulsation * s + phase))

    def _arc_heading(self, lane: Index, s: Array) -> Array:
        return self._turn[lane] * s / self._radius[lane] + self._phase[lane] + np.pi / 2 * self._turn[lane]


def _arc(lane: Any) -> bool:
    return _kind(lane) == "arc"


def _kind(lane: Any) -> str:
    """``line``, ``sine`` or ``arc``."""
    known = {"StraightLane": "line", "SineLane": "sine", "CircularLane": "arc"}
    name = type(lane).__name__
    if name not in known:
        raise SafeMARLError(f"safemarl/driving has no formulas for highway-env's {name}.")
    return known[name]
