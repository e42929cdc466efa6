"""Pictures of MuJoCo scenes from a camera that goes along."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rllib_safemarl.envs.mujoco.assets import need_mujoco
from rllib_safemarl.envs.mujoco.hazard import Hazard
from rllib_safemarl.envs.mujoco.obstacle import ClockObstacle
from rllib_safemarl.envs.mujoco.robot import Robot
from rllib_safemarl.envs.mujoco.simulator import Moment, Passage
from rllib_safemarl.errors import SafeMARLError

if TYPE_CHECKING:
    import mujoco

WIDTH, HEIGHT = 560, 360
"""Pixels."""
MOST_GEOMS = 500
RED = (0.9, 0.12, 0.14, 1.0)


class SceneRenderer:
    """Draws single copies offscreen.

    Args:
        model: the compiled model.
        robot: followed by the camera.
        hazard: drawn red while the robot is in danger.

    Raises:
        SafeMARLError: there is no OpenGL to draw with.
    """

    def __init__(self, model: mujoco.MjModel, robot: Robot, hazard: Hazard) -> None:
        self._mujoco = lib = need_mujoco()
        self._model, self._robot, self._hazard = model, robot, hazard
        _prepare(model)
        self._window = _open_window()
        self._data = lib.MjData(model)
        self._scene = lib.MjvScene(model, maxgeom=MOST_GEOMS)
        self._context = lib.MjrContext(model, lib.mjtFontScale.mjFONTSCALE_100.value)
        lib.mjr_setBuffer(lib.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._option, self._camera = lib.MjvOption(), lib.MjvCamera()
        self._place_camera()
        geom = lib.mjtObj.mjOBJ_GEOM
        self._marked = {lib.mj_name2id(model, geom, name) for name in hazard.marked}
        self._clock = isinstance(hazard, ClockObstacle)

    def _place_camera(self) -> None:
        """Beside what runs in a plane, above and behind what walks freely."""
        planar = not self._robot.floating and self._robot.root[0] == "rootx"
        self._camera.type = self._mujoco.mjtCamera.mjCAMERA_FREE.value
        self._camera.azimuth = 90.0 if planar else 75.0
        self._camera.elevation = -12.0 if planar else -38.0
        self._camera.distance = (
            5.0 + 1.8 * self._hazard.ahead if planar else 9.0 + 0.8 * self._robot.num_points
        )

    def __call__(self, state: NDArray[np.float64]) -> NDArray[np.uint8]:
        """A picture ``[H, W, 3]`` of one copy's ``[time | qpos | qvel]``."""
        lib, nq = self._mujoco, self._model.nq
        moment = Moment(state[:1], state[None, 1 : 1 + nq], state[None, 1 + nq :])
        points = self._robot.points(moment)
        self._data.time = float(state[0])
        self._data.qpos[:], self._data.qvel[:] = moment.qpos[0], moment.qvel[0]
        if self._clock:
            self._data.mocap_pos[0, 0] = ClockObstacle.positions(moment)[0]
        lib.mj_forward(self._model, self._data)
        middle = points[0].mean(0)
        self._camera.lookat[:] = [middle[0] + self._hazard.ahead, middle[1], 0.6]
        self._window.make_current()
        every = lib.mjtCatBit.mjCAT_ALL.value
        lib.mjv_updateScene(
            self._model, self._data, self._option, lib.MjvPerturb(), self._camera, every, self._scene
        )
        if self._in_danger(moment, points):
            self._paint()
        return self._read()

    def _in_danger(self, moment: Moment, points: NDArray[np.float64]) -> bool:
        """Whether the place costs; speed, which takes two moments to tell, is not drawn."""
        if not self._marked:
            return False
        nothing = np.zeros((1, self._model.nsensordata))
        passage = Passage(moment, 1.0, (points, points), (nothing, nothing))
        return bool((self._hazard.margins(self._robot, passage) < 0.0).any())

    def _paint(self) -> None:
        kind = int(self._mujoco.mjtObj.mjOBJ_GEOM)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.objtype == kind and geom.objid in self._marked:
                geom.rgba[:] = RED
                geom.emission = 0.7  # Red on the side away from the light, too.

    def _read(self) -> NDArray[np.uint8]:
        picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        frame = self._mujoco.MjrRect(0, 0, WIDTH, HEIGHT)
        self._mujoco.mjr_render(frame, self._scene, self._context)
        self._mujoco.mjr_readPixels(picture, None, frame, self._context)
        return np.flipud(picture).copy()

    def close(self) -> None:
        """Free what OpenGL holds."""
        self._window.make_current()
        self._context.free()
        self._window.free()


def _prepare(model: mujoco.MjModel) -> None:
    """What is drawn how: endless walls must not push the nearest thing in sight behind the camera."""
    model.vis.global_.offwidth, model.vis.global_.offheight = WIDTH, HEIGHT
    model.stat.extent = 6.0
    model.vis.headlight.ambient[:] = 0.35
    model.vis.headlight.diffuse[:] = 0.45
    model.mat_texuniform[:] = True
    model.mat_reflectance[:] = 0.08
    flat = int(need_mujoco().mjtTexture.mjTEXTURE_2D)
    for texture in np.flatnonzero(np.asarray(model.tex_type) == flat):
        # Softer than black and white.
        width, height, channels = (
            int(n[texture]) for n in (model.tex_width, model.tex_height, model.tex_nchannel)
        )
        at = int(model.tex_adr[texture])
        pixels = model.tex_data[at : at + width * height * channels]
        pixels[:] = 150 + pixels // 4
    for material in np.unique(model.geom_matid[model.geom_type == 0]):
        if material >= 0:
            model.mat_texrepeat[material] = 0.5  # Squares of a metre.


def _open_window() -> Any:
    """A current offscreen OpenGL context; without a display or a wish of the user's, EGL or OSMesa."""
    backends = [""]
    displayed = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform == "linux" and not os.environ.get("MUJOCO_GL") and not displayed:
        backends = ["egl", "osmesa"]
    reasons = []
    for backend in backends:
        try:
            source = import_module(f"mujoco.{backend}") if backend else need_mujoco()
            window = source.GLContext(WIDTH, HEIGHT)
            window.make_current()
            return window
        except Exception as error:  # Each backend fails in its own way: missing libraries, devices, symbols.
            reasons.append(f"{backend or 'MUJOCO_GL'}: {type(error).__name__}: {error}".splitlines()[0])
    raise SafeMARLError(
        "pictures of MuJoCo need OpenGL: install EGL or OSMesa, or set MUJOCO_GL to egl, osmesa or glfw "
        f"({'; '.join(reasons)})."
    )
