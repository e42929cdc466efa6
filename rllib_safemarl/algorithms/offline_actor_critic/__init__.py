"""Actors and critics learnt from data alone: the offline baselines as points of one core."""
