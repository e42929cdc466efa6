"""Learning from a fixed dataset of several agents."""
