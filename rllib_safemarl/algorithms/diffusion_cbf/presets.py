"""Named points in the space of DIFFUSION_CBF's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rllib_safemarl.algorithms.diffusion_cbf.settings import DIFFUSION_CBF_SETTINGS

PAPER: Mapping[str, Any] = {
    "future_margin_coef": 0.0,
    "beta": 0.95,
    "danger_penalty": 1.0,
    "prediction": "epsilon",
    "noise_bias": 1.0,
    "action_weight": 1.0,
    "drop_together": 0.25,
    "drop_each": 0.0,
    "clip_plans": 5.0,
    "n_plans": 4,
    "solver": "ddpm",
    "solver_steps": DIFFUSION_CBF_SETTINGS["diffusion_steps"].default,
    "diffusion_steps": DIFFUSION_CBF_SETTINGS["diffusion_steps"].default,
    "start_noise": 1.0,
    "warm_start": 0.0,
    "ranking": "q",
    "guidance": "condition",
    "guidance_weight": 1.2,
    "filter_plans": True,
    "projection": False,
}
"""What the paper writes, or leaves open in a way that one can only read so."""
STRONG: Mapping[str, Any] = {name: DIFFUSION_CBF_SETTINGS[name].default for name in PAPER}
"""Ours: the defaults of everything that :data:`PAPER` sets."""
