"""Safe multi-agent reinforcement learning on Ray RLlib."""
