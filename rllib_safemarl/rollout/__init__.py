"""Sampling in columns under RLlib: the EnvRunner, its batches, environment adapters, callbacks."""
