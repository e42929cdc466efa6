"""Algorithms; importing this package registers all of them with Ray."""
