"""Small datasets whose every number tells where it belongs."""

from __future__ import annotations

import numpy as np

from rllib_safemarl.data import ActionSchema, Dataset, KindSchema, Schema, make_dataset

AGENTS = ("a", "b")


def numbered(lengths, cost_of_episode=lambda e: 0.0, **episodes) -> Dataset:
    """Two agents; observation (episode, step, agent), action = step / 100, reward = step."""
    lengths = np.asarray(lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    episode = np.repeat(np.arange(len(lengths)), lengths)
    step = np.arange(offsets[-1]) - offsets[episode]
    kind = KindSchema("robot", (0, 1), 3, ActionSchema.box([-1.0], [1.0]))
    schema = Schema(AGENTS, (kind,), ("danger",))

    def seen(episode, step):
        both = np.stack([episode, step, 0 * step], -1)[:, None].repeat(2, 1)
        both[:, 1, 2] = 1
        return both.astype(np.float32)

    rows = {
        "observations": seen(episode, step),
        "actions": np.repeat(step[:, None, None] / 100.0, 2, 1),
        "rewards": np.repeat(step[:, None], 2, 1).astype(float),
        "costs": np.array([cost_of_episode(e) for e in episode], float)[:, None, None].repeat(2, 1),
        "terminals": np.zeros((offsets[-1], 2), bool),
        "timeouts": np.isin(np.arange(offsets[-1]), offsets[1:] - 1),
    }
    last = {"final/observations": seen(np.arange(len(lengths)), lengths), **episodes}
    return make_dataset(schema, rows, offsets, last)
