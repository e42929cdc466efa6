"""Torch modules; nothing here knows Ray."""
