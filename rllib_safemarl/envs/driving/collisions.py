"""Who touches whom: highway-env's test of rectangles by separating axes, over arrays."""

from __future__ import annotations

import numpy as np

from rllib_safemarl.envs.driving.fleet import LENGTH, OBSTACLE, WIDTH, Fleet
from rllib_safemarl.envs.driving.lanes import Array, Index

_CORNERS = np.array([[-0.5, -0.5], [-0.5, 0.5], [0.5, 0.5], [0.5, -0.5]])


def collide(fleet: Fleet, seconds: float) -> None:
    """Mark vehicles that touch anything as crashed, and push apart those that will in this frame."""
    copy, first, second = _near(fleet, seconds)
    if not len(copy):
        return
    touching, will, push = _test(fleet, copy, first, second, seconds)
    vehicles = fleet.shape[1]
    moves = second < vehicles
    hit = np.flatnonzero(touching)
    fleet.crashed[copy[hit], first[hit]] = True
    hit = np.flatnonzero(touching & moves)
    fleet.crashed[copy[hit], second[hit]] = True
    share = np.where(moves, 0.5, 1.0)
    # Pairs in the order in which highway-env meets them: of several pushes the last stays.
    who = np.stack([first, second], 1)[will].ravel()
    where = np.stack([copy, copy], 1)[will].ravel()
    pushes = (share[:, None] * push)[will]
    pushes = np.stack([pushes, -pushes], 1).reshape(-1, 2)
    own = np.flatnonzero(who < vehicles)
    where, who, pushes = where[own], who[own], pushes[own]
    fleet.push_x[where, who], fleet.push_y[where, who] = pushes.T
    fleet.pushed[where, who] = True


def _near(fleet: Fleet, seconds: float) -> tuple[Index, Index, Index]:
    """Copy, first and second of pairs to look at closely; obstacles are numbered after vehicles."""
    copies, vehicles = fleet.shape
    obstacles = fleet.network.obstacles
    x, y = fleet.x, fleet.y
    if len(obstacles):
        ox, oy = np.broadcast_to(obstacles.T[:, None], (2, copies, len(obstacles)))
        x, y = np.concatenate([x, ox], 1), np.concatenate([y, oy], 1)
    dx, dy = x[:, None] - fleet.x[..., None], y[:, None] - fleet.y[..., None]
    diagonal = np.full(fleet.everything, np.hypot(LENGTH, WIDTH))
    diagonal[vehicles:] = np.hypot(OBSTACLE, OBSTACLE)
    reach = 0.5 * (diagonal[0] + diagonal) + (fleet.speed * seconds)[..., None]
    near = np.sqrt(dx * dx + dy * dy) <= reach
    near &= np.triu(np.ones((vehicles, fleet.everything), bool), 1)
    near &= fleet.present[..., None]
    copy, first, second = np.nonzero(near)
    return copy, first, second


def _test(
    fleet: Fleet, copy: Index, first: Index, second: Index, seconds: float
) -> tuple[np.ndarray, np.ndarray, Array]:
    """Whether M pairs touch, whether they will in this frame, and vectors ``[M, 2]`` to part them."""
    a, moved_a = _rectangle(fleet, copy, first, seconds)
    b, moved_b = _rectangle(fleet, copy, second, seconds)
    edges = np.concatenate([np.roll(polygon, -1, 1) - polygon for polygon in (a, b)], 1)
    normals = np.stack([-edges[..., 1], edges[..., 0]], -1)
    normals = normals / np.sqrt((normals * normals).sum(-1, keepdims=True))
    # [M, axes, corners]
    on_a = (normals[:, :, None] * a[:, None]).sum(-1)
    on_b = (normals[:, :, None] * b[:, None]).sum(-1)
    low_a, high_a, low_b, high_b = on_a.min(2), on_a.max(2), on_b.min(2), on_b.max(2)
    touching = np.all(_apart(low_a, high_a, low_b, high_b) <= 0.0, axis=1)
    moves = (normals * (moved_a - moved_b)[:, None]).sum(-1)
    low_a, high_a = low_a + np.minimum(moves, 0.0), high_a + np.maximum(moves, 0.0)
    apart = _apart(low_a, high_a, low_b, high_b)
    will = np.all(apart <= 0.0, axis=1)
    every = np.arange(len(copy))
    axis = np.abs(apart).argmin(1)
    normal = normals[every, axis]
    outward = ((a.mean(1) - b.mean(1)) * normal).sum(-1) > 0.0
    sign = np.where(outward, 1.0, -1.0)
    return touching, will, (sign * np.abs(apart[every, axis]))[:, None] * normal


def _rectangle(fleet: Fleet, copy: Index, who: Index, seconds: float) -> tuple[Array, Array]:
    """Corners ``[M, 4, 2]``, and by how much they move in a frame ``[M, 2]``."""
    vehicles = fleet.shape[1]
    moves = who < vehicles
    slot = np.where(moves, who, 0)
    cos = np.where(moves, fleet.cos[copy, slot], 1.0)
    sin = np.where(moves, fleet.sin[copy, slot], 0.0)
    x, y, speed = fleet.x[copy, slot], fleet.y[copy, slot], np.where(moves, fleet.speed[copy, slot], 0.0)
    if not moves.all():
        place = fleet.network.obstacles[np.where(moves, 0, who - vehicles)]
        x, y = np.where(moves, x, place[:, 0]), np.where(moves, y, place[:, 1])
    long = _CORNERS[:, 0] * np.where(moves, LENGTH, OBSTACLE)[:, None]
    wide = _CORNERS[:, 1] * np.where(moves, WIDTH, OBSTACLE)[:, None]
    corners_x = x[:, None] + long * cos[:, None] - wide * sin[:, None]
    corners_y = y[:, None] + long * sin[:, None] + wide * cos[:, None]
    return np.stack([corners_x, corners_y], -1), (seconds * speed)[:, None] * np.stack([cos, sin], -1)


def _apart(low_a: Array, high_a: Array, low_b: Array, high_b: Array) -> Array:
    """Signed gap between intervals; negative where they overlap."""
    return np.where(low_a < low_b, low_b - high_a, low_a - high_b)
