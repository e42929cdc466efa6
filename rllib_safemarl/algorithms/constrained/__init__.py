"""Constrained policy optimisation: one core, and presets as points in it."""
