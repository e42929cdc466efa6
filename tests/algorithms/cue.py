"""A task for which the past has to be remembered."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces
from ray.tune.registry import register_env

from rllib_safemarl.envs.vector import Ending, Kind, Observation, Step, VectorEnv


class CueVectorEnv(VectorEnv):
    """Every agent is shown a cue of -1 or 1 in its first step only, and is asked for it in its last one.

    Right answers earn 1, wrong ones -1; without a memory 0 is the best mean. What is shown is the cue or 0,
    and 1 in the last step.

    Args:
        num_copies: N.
        delay: steps from the cue to the question.
        uneven: copy n takes ``n % 3`` steps more in all its episodes.
        leaves: the last agent takes no part in the second half of the episodes.
    """

    def __init__(self, num_copies: int, delay: int = 4, uneven: bool = False, leaves: bool = False):
        self.num_copies, self.cost_names = num_copies, ()
        self.possible_agents = ("left", "right")
        box = spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.kinds = (Kind("agent", (0, 1), box, spaces.Discrete(2)),)
        self._lengths = delay + 1 + (np.arange(num_copies) % 3 if uneven else np.zeros(num_copies, int))
        self.time_limit = int(self._lengths.max())
        self._leaves = leaves

    def reset(self, seed: int) -> Observation:
        self._random = np.random.default_rng(seed)
        self._t = np.zeros(self.num_copies, int)
        self._cue = self._draw()
        return self._observe()

    def _draw(self) -> np.ndarray:
        return self._random.choice([-1.0, 1.0], (self.num_copies, 2))

    def active(self) -> np.ndarray:
        gone = self._leaves & (2 * self._t >= self._lengths)
        return np.stack([np.ones_like(gone), ~gone], 1)

    def _observe(self) -> Observation:
        shown = np.where(self._t[:, None] == 0, self._cue, 0.0)
        asked = np.broadcast_to((self._t == self._lengths - 1)[:, None], shown.shape)
        return Observation({"agent": np.stack([shown, asked], -1).astype(np.float32)})

    def step(self, actions) -> Step:
        over = self._t == self._lengths - 1
        right = (2 * np.asarray(actions["agent"]) - 1) == self._cue
        reward = np.where(over[:, None], np.where(right, 1.0, -1.0), 0.0) * self.active()
        self._t += 1
        final = self._observe().values["agent"][over]
        self._t[over] = 0
        self._cue = np.where(over[:, None], self._draw(), self._cue)
        return Step(
            observation=self._observe(),
            reward=reward.astype(np.float32),
            cost=np.zeros((*reward.shape, 0), np.float32),
            terminated=np.zeros(reward.shape, bool),
            truncated=over,
            active=self.active(),
            ending=Ending(np.flatnonzero(over), Observation({"agent": final})) if over.any() else None,
        )

    def get_state(self) -> dict:
        return {"t": self._t.copy(), "cue": self._cue.copy(), "random": self._random.bit_generator.state}

    def set_state(self, state) -> None:
        self._t, self._cue = state["t"].copy(), state["cue"].copy()
        self._random = np.random.default_rng()
        self._random.bit_generator.state = state["random"]


class _Made:
    def __init__(self, settings):
        self._settings = dict(settings)

    def make_vector(self, num_copies: int) -> VectorEnv:
        return CueVectorEnv(num_copies, **self._settings)


register_env("toy/cue", _Made)
