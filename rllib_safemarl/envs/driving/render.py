"""Pictures of driving. Needs the ``plot`` extra.

Agents are coloured and numbered, traffic is grey, who has crashed is red. Before each agent lies the room
that the rule of danger asks of it; a line leads to whoever is behind its margin where that is small.
Dotted lines join neighbours in the agent graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.animation import need_plot
from rllib_safemarl.envs.driving.fleet import LENGTH, OBSTACLE, WIDTH
from rllib_safemarl.envs.driving.lanes import Array
from rllib_safemarl.envs.driving.scene import nearest_edges, road_distances

if TYPE_CHECKING:
    from rllib_safemarl.envs.driving.env import DrivingVectorEnv

Picture = NDArray[np.uint8]

TRAIL_STEPS = 15
"""Steps of the past that a scene shows."""
NARROW = 10.0
"""Margins below this get a line to whoever is behind them, metres."""
CAPTION = 34
"""Height of the line of text below a scene, pixels."""
_DPI = 100
_GROUND, _ROAD, _EDGE, _LINE = "#f4f2ec", "#d9d7d1", "#8d9097", "#fbfaf7"
_TRAFFIC, _DANGER, _SAFE, _INK = "#7b8089", "#e5262b", "#2a9d5c", "#4b5058"
_COLOURS = ("#2f6fde", "#e8871e", "#12a5b5", "#9b51c9", "#6b7a12", "#c2448d", "#8a6d3b", "#3b4f6b")


@dataclass(frozen=True)
class View:
    """What a picture shows.

    Attributes:
        centre: ``[2]`` metres.
        half: half of width and height, metres.
        pixels: of the width.
    """

    centre: Array
    half: Array
    pixels: int


def draw_scene(
    env: DrivingVectorEnv, copy: int = 0, trail: Sequence[Array] = (), scale: float = 1.0
) -> Picture:
    """One copy as it stands.

    Args:
        env: the environment.
        copy: which of its copies.
        trail: recent positions ``[A, 2]``, oldest first, NaN for agents that had left.
        scale: of the picture.

    Returns:
        ``[H, W, 3]``.
    """
    canvas = _Canvas(env, copy, scale)
    canvas.road()
    canvas.trails(trail)
    canvas.graph()
    canvas.headway()
    canvas.vehicles()
    canvas.caption()
    return canvas.picture()


def view_of(env: DrivingVectorEnv, copy: int) -> View:
    """All of the road, or along a motorway the part where agents are."""
    view = env.scenario.view
    if view is None:
        points = np.concatenate([_centre_line(env, lane) for lane in range(len(env.network.lanes))])
        low, high = points.min(0) - 8.0, points.max(0) + 8.0
        return View(0.5 * (low + high), 0.5 * (high - low), 620)
    half = np.array(view)
    if half[0] == half[1]:
        return View(np.zeros(2), half, 560)
    there = env.active()[copy]
    agents = env.fleet.x[copy, : env.num_agents]
    middle = float(agents[there].mean()) if there.any() else 0.0
    heights = np.concatenate([_centre_line(env, lane)[:, 1] for lane in range(len(env.network.lanes))])
    return View(np.array([middle, 0.5 * (heights.min() + heights.max())]), half, 900)


class _Canvas:
    """A figure in metres, y downwards as in highway-env, with a line of text below."""

    def __init__(self, env: DrivingVectorEnv, copy: int, scale: float) -> None:
        need_plot("matplotlib")
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._env, self._copy = env, copy
        view = self._view = view_of(env, copy)
        height = view.pixels * view.half[1] / view.half[0]
        size = view.pixels / _DPI, (height + CAPTION) / _DPI
        figure = Figure(figsize=size, dpi=scale * _DPI, facecolor=_GROUND)
        self._canvas = FigureCanvasAgg(figure)
        share = CAPTION / (height + CAPTION)
        self._text = figure.add_axes((0.0, 0.0, 1.0, share))
        self._text.set(xlim=(0.0, 1.0), ylim=(0.0, 1.0))
        self._text.set_axis_off()
        self._axes = figure.add_axes((0.0, share, 1.0, 1.0 - share))
        low, high = view.centre - view.half, view.centre + view.half
        self._axes.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]))
        self._axes.set_axis_off()
        self._points = 72.0 / _DPI * view.pixels / (2.0 * view.half[0])
        self._colours = _COLOURS[: env.num_agents]

    def road(self) -> None:
        """Lanes, their edges where no other lane lies, and lines between lanes side by side."""
        from matplotlib.collections import LineCollection, PolyCollection

        env, network = self._env, self._env.network
        edges, surfaces, lines = [], [], []
        for lane in range(len(network.lanes)):
            half = 0.5 * float(network.lanes.width[lane])
            left, right = _centre_line(env, lane, -half), _centre_line(env, lane, half)
            edges += [left, right]
            surfaces.append(np.concatenate([left, right[::-1]]))
            if network.number[lane] < network.count[network.road_of[lane]] - 1:
                lines.append(right)
        axes = self._axes
        axes.add_collection(LineCollection(edges, colors=_EDGE, linewidths=2.2, zorder=1))
        axes.add_collection(
            PolyCollection(surfaces, facecolors=_ROAD, edgecolors=_ROAD, linewidths=0.6, zorder=1.5)
        )
        dashes = (0, (4.0, 4.0))
        axes.add_collection(
            LineCollection(lines, colors=_LINE, linewidths=1.2, linestyles=[dashes], zorder=1.7)
        )
        self._boxes(network.obstacles, np.zeros(len(network.obstacles)), (OBSTACLE, OBSTACLE), [_INK], 2.0)

    def trails(self, trail: Sequence[Array]) -> None:
        """Recent paths, the older the fainter."""
        from matplotlib.collections import LineCollection
        from matplotlib.colors import to_rgb

        if len(trail) < 2:
            return
        road, full = np.array(to_rgb(_ROAD)), np.array([to_rgb(colour) for colour in self._colours])
        pieces = np.stack([np.stack(trail[:-1]), np.stack(trail[1:])], 2)
        known = np.isfinite(pieces).all((2, 3))
        share = np.linspace(0.05, 0.5, len(pieces))[:, None, None]
        colours = share * full + (1.0 - share) * road
        width = 0.35 * WIDTH * self._points
        lines = LineCollection(
            list(pieces[known]), colors=colours[known], linewidths=width, zorder=2.2, capstyle="round"
        )
        self._axes.add_collection(lines)

    def graph(self) -> None:
        """Dotted lines between neighbours."""
        from matplotlib.collections import LineCollection

        env, fleet = self._env, self._env.fleet
        edges = nearest_edges(road_distances(fleet), env.config.sense_radius, env.graph().degree)[self._copy]
        place = self._places()
        joined = [place[[i, j]] for i, row in enumerate(edges) for j in row[row >= 0]]
        dotted = LineCollection(joined, colors=_INK, linewidths=0.9, linestyles=[(0, (1.0, 2.5))], zorder=2.4)
        self._axes.add_collection(dotted)

    def headway(self) -> None:
        """The room that each agent needs ahead, and lines to those who leave it too little."""
        from matplotlib.collections import LineCollection

        env, copy, danger = self._env, self._copy, self._env.moment.danger
        bands, colours, links, shades = [], [], [], []
        place, everything = self._places(), self._everything()
        for agent in np.flatnonzero(env.active()[copy]):
            closing = max(float(danger.closing[copy, agent]), 0.0)
            needs = float(env.config.clearance or 0.0) + closing**2 / (2.0 * float(env.config.braking or 1.0))
            unsafe = danger.margin[copy, agent] < 0.0
            bands.append(self._path(int(agent), 0.5 * LENGTH, 0.5 * LENGTH + needs))
            colours.append(_DANGER if unsafe else _SAFE)
            other = int(danger.most_endangering[copy, agent])
            if other >= 0 and danger.margin[copy, agent] < NARROW:
                links.append(np.stack([place[agent], everything[other]]))
                shades.append(_DANGER if unsafe else "#e0a100")
        width = 1.1 * WIDTH * self._points
        band = LineCollection(
            bands, colors=colours, linewidths=width, alpha=0.45, zorder=2.6, capstyle="butt"
        )
        self._axes.add_collection(band)
        self._axes.add_collection(LineCollection(links, colors=shades, linewidths=1.6, zorder=2.8))

    def vehicles(self) -> None:
        """All vehicles, with their windscreens in front; agents have numbers."""
        from matplotlib.patheffects import withStroke

        fleet, copy = self._env.fleet, self._copy
        present = np.flatnonzero(fleet.present[copy])
        place, heading = self._everything()[present], fleet.heading[copy, present]
        crashed = fleet.crashed[copy, present]
        agents = present < self._env.num_agents
        colours = [
            _DANGER if hit and not mine else self._colours[slot] if mine else _TRAFFIC
            for slot, hit, mine in zip(present, crashed, agents, strict=True)
        ]
        edges = [_DANGER if hit else "white" for hit in crashed]
        self._boxes(place, heading, (LENGTH, WIDTH), colours, 3.0, edges)
        ahead = np.stack([np.cos(heading), np.sin(heading)], -1)
        self._boxes(place + 0.2 * LENGTH * ahead, heading, (0.6, 0.75 * WIDTH), ["#00000070"], 3.2, ["none"])
        size = float(np.clip(2.6 * self._points, 6.0, 10.0))
        style: dict[str, Any] = {"color": "white", "fontsize": size, "weight": "bold"}
        middle: dict[str, Any] = {"ha": "center", "va": "center_baseline", "clip_on": True, "zorder": 3.4}
        for slot, (x, y), way in zip(present[agents], place[agents], ahead[agents], strict=True):
            left, top = x - 0.12 * LENGTH * way[0], y - 0.12 * LENGTH * way[1]
            # Numbers may be larger than vehicles: their rims keep them readable on the road.
            rim = [withStroke(linewidth=1.5, foreground=self._colours[slot])]
            self._axes.text(left, top, str(slot), path_effects=rim, **style, **middle)

    def caption(self) -> None:
        """Time, and for each agent its speed and margin, or with many its margin alone."""
        env, copy = self._env, self._copy
        seconds = env.steps[copy] * env.config.step_seconds
        self._text.text(0.01, 0.5, f"{seconds:4.1f} s", color=_INK, fontsize=8.5, va="center")
        columns = max(env.num_agents, 3)
        active, margin = env.active()[copy], env.moment.danger.margin[copy]
        for agent, colour in enumerate(self._colours):
            speed = env.fleet.speed[copy, agent]
            words = f"{speed:.0f} m/s, {margin[agent]:+.0f} m" if active[agent] else "arrived"
            if env.num_agents > 4 and active[agent]:
                words = f"{margin[agent]:+.0f} m"
            tint = _DANGER if active[agent] and margin[agent] < 0.0 else colour
            x = 0.1 + 0.9 * agent / columns
            self._text.text(x, 0.5, f"{agent}: {words}", color=tint, fontsize=8.0, va="center")

    def picture(self) -> Picture:
        """The drawn figure."""
        self._canvas.draw()
        return np.asarray(self._canvas.buffer_rgba())[..., :3].copy()

    def _places(self) -> Array:
        return self._everything()[: self._env.num_agents]

    def _everything(self) -> Array:
        """``[V + O, 2]`` vehicles and obstacles."""
        fleet = self._env.fleet
        place = np.stack([fleet.x[self._copy], fleet.y[self._copy]], -1)
        return np.concatenate([place, self._env.network.obstacles])

    def _path(self, agent: int, begin: float, end: float) -> Array:
        """``[K, 2]`` points of an agent's path between two distances from its centre, metres."""
        paths, lanes = self._env.moment.paths, self._env.network.lanes
        lane, offset = (column[self._copy, agent] for column in paths.ahead)
        way = np.linspace(begin, end, max(2, int(end - begin) + 1))
        known = int((lane >= 0).sum())
        last = np.maximum((offset[:known] <= way[:, None]).sum(1) - 1, 0)
        return np.stack(lanes.position(lane[last], way - offset[last]), -1)

    def _boxes(
        self,
        centres: Array,
        headings: Array,
        size: tuple[float, float],
        colours: Sequence[Any],
        order: float,
        edges: Sequence[Any] = ("white",),
    ) -> None:
        from matplotlib.collections import PolyCollection

        long, wide = size
        corners = np.array([[-long, -wide], [-long, wide], [long, wide], [long, -wide]]) / 2.0
        cos, sin = np.cos(headings), np.sin(headings)
        turn = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2).reshape(-1, 2, 2)
        polygons = centres[:, None] + corners @ turn
        style: dict[str, Any] = {"facecolors": list(colours), "edgecolors": list(edges), "linewidths": 0.8}
        self._axes.add_collection(PolyCollection(list(polygons), zorder=order, **style))


def _centre_line(env: DrivingVectorEnv, lane: int, aside: float = 0.0) -> Array:
    """``[K, 2]`` points of a line along a lane, ``aside`` metres to its right."""
    lanes = env.network.lanes
    s = np.linspace(0.0, lanes.length[lane], max(2, int(min(lanes.length[lane], 800.0) // 1.5)))
    return np.stack(lanes.position(np.full(len(s), lane), s, aside), -1)
