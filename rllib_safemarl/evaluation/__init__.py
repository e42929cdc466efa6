"""Rollouts, statistics, tables and figures of trained policies."""
