"""Multi-agent datasets as RLlib's offline data: windows in a reproducible order, in memory or streamed."""
