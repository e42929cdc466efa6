"""Learners without Ray, and a game that is small enough to be solved exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from rllib_safemarl.data import ActionSchema, KindSchema, Schema, make_dataset, write_dataset
from rllib_safemarl.offline.offline_data import MultiAgentOfflineData


@dataclass
class Lab:
    """A learner and its data, in this process and without Ray.

    Attributes:
        config: of the algorithm.
        learner: built.
        data: where the portions come from.
    """

    config: object
    learner: object
    data: MultiAgentOfflineData

    def train(self, batches=None):
        """Learn from so many batches, those of an iteration where not given; the learner's figures."""
        count = batches or self.config.dataset_num_iters_per_learner
        (portion,) = self.data.sample(count)
        position = (portion.position.epoch * 1000 + portion.position.batch) * portion.order.batch_size
        return self.learner.update(
            batch=portion, timesteps={"num_env_steps_sampled_lifetime": position + count}
        )


def lab(config) -> Lab:
    """Build the learner of a config."""
    config.validate()
    torch.manual_seed(0)
    learner = config.get_default_learner_class()(config=config, module_spec=config.get_multi_rl_module_spec())
    learner.build()
    return Lab(config, learner, MultiAgentOfflineData(config))


STATES, CHOICES, GAMMA = 3, 2, 0.6


class Game:
    """Two agents, three states, two choices each; both see the state.

    Attributes:
        counts: ``[S, 2, 2]`` how often each joint choice stands in the data.
        rewards: ``[2, S, 2, 2]`` of each agent.
        after: ``[S, 2, 2]`` the next state.
    """

    def __init__(self, seed=0):
        g = np.random.default_rng(seed)
        shape = (STATES, CHOICES, CHOICES)
        self.counts = g.integers(1, 6, shape)
        self.rewards = g.normal(size=(2, *shape)).round(1)
        self.after = g.integers(0, STATES, shape)

    def write(self, path) -> str:
        """The data: every transition an episode of one step, cut by its time limit."""
        s, a, b = (np.repeat(index.ravel(), self.counts.ravel()) for index in np.indices(self.counts.shape))
        one_hot, rows = np.eye(STATES), len(s)
        seen, upcoming = (one_hot[x][:, None].repeat(2, 1) for x in (s, self.after[s, a, b]))
        columns = {
            "observations": seen,
            "actions": np.stack([a, b], 1),
            "rewards": np.stack([self.rewards[0, s, a, b], self.rewards[1, s, a, b]], 1),
            "costs": np.zeros((rows, 2, 1)),
            "terminals": np.zeros((rows, 2), bool),
            "timeouts": np.ones(rows, bool),
        }
        kind = KindSchema("player", (0, 1), STATES, ActionSchema.discrete(CHOICES))
        schema = Schema(("a", "b"), (kind,), ("danger",), time_limit=1)
        last = {"final/observations": upcoming}
        write_dataset(make_dataset(schema, columns, np.arange(rows + 1), last), path)
        return str(path)

    @property
    def rows(self) -> int:
        """Transitions in the data."""
        return int(self.counts.sum())

    def independent_q(self) -> np.ndarray:
        """``[2, S, 2]``: the fixed point ``Q_i(s, a_i) = E_D[r_i + γ max Q_i(s', ·) | s, a_i]``."""
        q = np.zeros((2, STATES, CHOICES))
        for _ in range(200):
            target = self.rewards + GAMMA * q.max(-1)[:, self.after]
            q = np.stack([(target[i] * self.counts).sum(2 - i) / self.counts.sum(2 - i) for i in range(2)])
        return q

    def q_of(self, policies: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        """``[S, 2, 2]``: Q^π of a reward ``[S, 2, 2]`` under independent policies ``[2, S, 2]``."""
        joint = policies[0][:, :, None] * policies[1][:, None, :]
        q = np.zeros_like(rewards)
        for _ in range(200):
            q = rewards + GAMMA * (joint * q).sum((1, 2))[self.after]
        return q
