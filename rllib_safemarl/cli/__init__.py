"""The `rllib` and `safemarl` commands; Ray and torch are imported only inside commands."""
