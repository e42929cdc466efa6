"""Environments on Gymnasium and PettingZoo; nothing here knows Ray."""
