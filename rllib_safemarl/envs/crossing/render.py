"""Pictures of the crossing: a scene, the paths of an episode. Needs the ``plot`` extra."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.animation import need_plot
from rllib_safemarl.envs.crossing.danger import pair_margins
from rllib_safemarl.envs.crossing.layouts import TILE_SPACING
from rllib_safemarl.envs.crossing.neighbour_search import NeighbourSearch
from rllib_safemarl.envs.crossing.walls import DOOR_HALF_WIDTH
from rllib_safemarl.envs.drawn_futures import draw_futures, draw_scale
from rllib_safemarl.envs.futures import Futures

if TYPE_CHECKING:
    from rllib_safemarl.envs.crossing.env import CrossingVectorEnv

Picture = NDArray[np.uint8]
Array = NDArray[np.float64]

TRAIL_STEPS = 15
"""Steps of the past that a scene shows."""
BORDER = 0.45
"""Free space around starts and goals, metres."""
PIXELS = 520
"""Longer side of a picture."""
_DPI = 100
_GROUND, _WALL, _DANGER, _INK = "#fbfaf7", "#3b3f46", "#e5262b", "#5b6068"
_COLOURS = ("#2f6fde", "#e8871e", "#2a9d5c", "#9b51c9", "#12a5b5", "#c2448d", "#8a6d3b", "#6b7a12")


def draw_scene(
    env: CrossingVectorEnv,
    copy: int = 0,
    trail: Array | None = None,
    futures: Futures | None = None,
    scale: float = 1.0,
) -> Picture:
    """One copy as it stands: robots, their goals as rings, walls, and danger in red.

    Args:
        env: the environment.
        copy: which of its copies.
        trail: ``[K, A, 2]`` recent positions, oldest first, drawn as fading lines.
        futures: what the robots plan, drawn as lines coloured by h̃.
        scale: of the picture; 1 is ``PIXELS`` on its longer side.

    Returns:
        ``[H, W, 3]``.
    """
    scene = _Scene(env, scale)
    positions, colours = env.positions[copy], _colours(env.num_agents)
    if trail is not None and len(trail) > 1:
        scene.fading_paths(trail, colours)
    scene.rings(env.goals[copy], env.config.goal_radius, colours)
    scene.danger(positions, env.velocities[copy])
    scene.robots(positions, env.velocities[copy], colours)
    if futures is not None:
        draw_futures(scene.axes, futures, 0.35 * env.config.radius * scene.points_per_metre)
        draw_scale(scene.axes)
    scene.note(f"{env._steps[copy] * env.config.step_seconds:.1f} s")
    return scene.picture()


def draw_paths(
    env: CrossingVectorEnv, positions: Array, goals: Array, margin: Array | None = None
) -> Picture:
    """The paths of a whole episode, from dots to rings.

    Args:
        env: the environment.
        positions: ``[T, A, 2]``.
        goals: ``[A, 2]``.
        margin: ``[T, A]`` margins, to mark places of danger; ``None`` marks none.

    Returns:
        ``[H, W, 3]``.
    """
    scene = _Scene(env)
    colours = _colours(env.num_agents)
    scene.rings(goals, env.config.goal_radius, colours)
    for i, colour in enumerate(colours):
        x, y = positions[:, i].T
        scene.axes.plot(x, y, color=colour, linewidth=1.8, zorder=2, solid_capstyle="round")
    x, y = positions[0].T
    scene.axes.scatter(x, y, s=34, c=colours, edgecolors="white", linewidths=0.8, zorder=4)
    if margin is not None:
        x, y = positions[margin < 0].T
        scene.axes.scatter(x, y, s=9, c=_DANGER, linewidths=0, zorder=3)
        scene.note(f"{100.0 * np.mean(margin < 0):.0f} % of steps in danger")
    return scene.picture()


class _Scene:
    """A figure in metres with the ground and the walls of a layout."""

    def __init__(self, env: CrossingVectorEnv, scale: float = 1.0) -> None:
        need_plot("matplotlib")
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._env = env
        self._low, self._high = _extent(env)
        size = self._high - self._low
        figure = Figure(figsize=PIXELS / _DPI * size / size.max(), dpi=scale * _DPI, facecolor=_GROUND)
        self._canvas = FigureCanvasAgg(figure)
        self.points_per_metre = 72.0 / _DPI * PIXELS / size.max()
        self.axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self.axes.set(xlim=(self._low[0], self._high[0]), ylim=(self._low[1], self._high[1]))
        self.axes.set_axis_off()
        if env.layout.walls:
            self._walls()

    def _walls(self) -> None:
        columns, rows = self._env.layout.tiles
        doors = TILE_SPACING * np.arange(rows)
        edges = np.sort([self._low[1], *(doors - DOOR_HALF_WIDTH), *(doors + DOOR_HALF_WIDTH), self._high[1]])
        for x in TILE_SPACING * np.arange(columns):
            for low, high in edges.reshape(-1, 2):
                self.axes.plot([x, x], [low, high], color=_WALL, linewidth=4, solid_capstyle="butt", zorder=3)

    def _discs(self, centres: Array, radius: float, **style: Any) -> None:
        from matplotlib.collections import EllipseCollection

        size = np.full(len(centres), 2.0 * radius)
        discs = EllipseCollection(
            size, size, 0.0 * size, units="xy", offsets=centres, offset_transform=self.axes.transData, **style
        )
        self.axes.add_collection(discs)

    def _lines(self, begin: Array, end: Array, **style: Any) -> None:
        from matplotlib.collections import LineCollection

        self.axes.add_collection(LineCollection(list(np.stack([begin, end], 1)), **style))

    def rings(self, centres: Array, radius: float, colours: Sequence[Any]) -> None:
        """Goals."""
        self._discs(centres, radius, facecolors="none", edgecolors=colours, linewidths=1.6, zorder=2.5)

    def robots(self, positions: Array, velocities: Array, colours: Sequence[Any]) -> None:
        """Discs, with a line from the centre where they are heading."""
        radius = self._env.config.radius
        self._discs(positions, radius, facecolors=colours, edgecolors="white", linewidths=0.8, zorder=5)
        heading = positions + radius * velocities / self._env.config.top_speed
        width = 0.25 * radius * self.points_per_metre
        self._lines(positions, heading, colors="white", linewidths=width, zorder=6, capstyle="round")

    def fading_paths(self, trail: Array, colours: Sequence[Any]) -> None:
        """Recent paths, the older the fainter."""
        from matplotlib.colors import to_rgb

        width = 0.7 * self._env.config.radius * self.points_per_metre
        ground, full = np.array(to_rgb(_GROUND)), np.array([to_rgb(colour) for colour in colours])
        # Opaque mixtures: transparent pieces would show where they overlap.
        for begin, end, share in zip(trail, trail[1:], np.linspace(0.08, 0.5, len(trail) - 1), strict=False):
            faint = share * full + (1.0 - share) * ground
            self._lines(begin, end, colors=faint, linewidths=width, zorder=2, capstyle="round")

    def danger(self, positions: Array, velocities: Array) -> None:
        """A halo around robots in danger, and a line between those that are so together."""
        config, robots = self._env.config, len(positions)
        pairs = NeighbourSearch(1, robots, self._env._reach)(positions[None])
        margin = pair_margins(pairs, velocities, config.radius, config.acceleration, config.clearance)
        bad = pairs.near[margin < 0.0]
        if not len(bad):
            return
        first, second = pairs.candidates.first[bad], pairs.candidates.second[bad]
        halo = positions[np.union1d(first, second)]
        self._discs(halo, 1.8 * config.radius, facecolors=_DANGER, alpha=0.3, linewidths=0, zorder=3)
        self._lines(positions[first], positions[second], colors=_DANGER, linewidths=1.2, zorder=4)

    def note(self, text: str) -> None:
        """A word in the corner."""
        self.axes.text(0.015, 0.015, text, transform=self.axes.transAxes, color=_INK, fontsize=10, zorder=7)

    def picture(self) -> Picture:
        """The drawn figure."""
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()


def _extent(env: CrossingVectorEnv) -> tuple[Array, Array]:
    """Lower and upper corner of what a picture shows."""
    # Robots keep aside of a door in a space as high as in the open.
    aside = env.layout.centres + np.array([[[0.0, 0.75]], [[0.0, -0.75]]])
    places = np.concatenate([env.layout.starts, env.layout.goals, *aside])
    if env.layout.turn:
        radius = np.linalg.norm(places, axis=1).max()
        places = radius * np.array([[-1.0, -1.0], [1.0, 1.0]])
    return places.min(0) - BORDER, places.max(0) + BORDER


def _colours(count: int) -> list[Any]:
    """One colour per robot: a few hand-picked ones, or as many hues as needed."""
    if count <= len(_COLOURS):
        return list(_COLOURS[:count])
    from matplotlib.colors import hsv_to_rgb

    # Neighbours in number get hues far apart.
    hue = np.arange(count) * 0.618034 % 1.0
    light = np.where(np.arange(count) % 2, 0.85, 0.68)
    return list(hsv_to_rgb(np.stack([hue, np.full(count, 0.72), light], -1)))
