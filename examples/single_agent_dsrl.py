"""One agent, and a file in DSRL's layout: what the datasets of safe offline learning look like.

How to run:     python examples/single_agent_dsrl.py --folder dsrl
                (for a published dataset: input_=["CarCircle"], which is downloaded, or the path of its file)
What to expect: dsrl/brake.hdf5 with the flat columns of DSRL, which `safemarl data info dsrl/brake.hdf5`
                reads as it is; a line per iteration of FISOR; and episodes of the learnt policy in the
                environment itself, without Ray.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray


class Brake(gym.Env):
    """A car before a wall at 10 m: paid for the way it makes, and each step too near to the wall costs 1."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    time_limit = 50

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[NDArray, dict]:
        super().reset(seed=seed)
        self._place, self._speed, self._steps = float(self.np_random.uniform(0.0, 3.0)), 0.0, 0
        return self._observe(), {}

    def _observe(self) -> NDArray:
        return np.array([10.0 - self._place, self._speed], np.float32)

    def step(self, action: NDArray) -> tuple[NDArray, float, bool, bool, dict[str, Any]]:
        self._speed = max(0.0, self._speed + 0.3 * float(np.clip(action[0], -1.0, 1.0)))
        moved = 0.1 * self._speed
        self._place += moved
        self._steps += 1
        return (
            self._observe(),
            moved,
            False,
            self._steps >= self.time_limit,
            {"cost": float(self._place > 9.0)},
        )


def write_dsrl(path: Path, episodes: int) -> None:
    """Episodes of drivers, careful to reckless, as flat columns: a row per step, whoever drove."""
    import h5py

    env, random = Brake(), np.random.default_rng(0)
    names = ("observations", "next_observations", "actions", "rewards", "costs", "terminals", "timeouts")
    columns: dict[str, list] = {name: [] for name in names}
    for episode in range(episodes):
        seen, over, stop = env.reset(seed=episode)[0], False, random.uniform(0.0, 3.0)
        while not over:
            wanted = np.sqrt(2.0 * 2.5 * max(seen[0] - stop, 0.0))
            action = np.clip([3.0 * (wanted - seen[1]) + random.normal(0.0, 0.2)], -1.0, 1.0).astype(
                np.float32
            )
            after, reward, ended, over, info = env.step(action)
            row = (seen, after, action, reward, info["cost"], ended, over)
            for name, value in zip(names, row, strict=True):
                columns[name].append(value)
            seen = after
    with h5py.File(path, "w") as file:
        for name, rows in columns.items():
            kind = bool if name in ("terminals", "timeouts") else np.float32
            file.create_dataset(name, data=np.array(rows, kind))


def learn(dataset: Path, iterations: int, batches: int, folder: Path) -> Path:
    """Learn which states are feasible, and act within them; return the checkpoint."""
    from rllib_safemarl.algorithms import FISORConfig

    config = (
        FISORConfig()
        .offline_data(input_=[str(dataset.resolve())], dataset_num_iters_per_learner=batches)
        .training(train_batch_size_per_learner=128, lr=1e-3, kappa=0)
        .rl_module(model_config={"fcnet_hiddens": [64, 64]})
        .safety(cost_limit=1.0)
        .debugging(seed=0)
    )
    algorithm = config.build_algo()
    for iteration in range(1, iterations + 1):
        learnt = algorithm.train()["learners"]["__all_modules__"]
        print(f"iteration {iteration}: loss {learnt['total_loss']:.3f}")
    checkpoint = algorithm.save_to_path(str((folder / "checkpoint").resolve()))
    algorithm.stop()
    return Path(checkpoint)


def run_episodes(checkpoint: Path, episodes: int) -> tuple[float, float]:
    """Mean return and cost of the policy, acting by itself."""
    from rllib_safemarl import load_policy

    policy, env, totals = load_policy(checkpoint), Brake(), np.zeros(2)
    for episode in range(episodes):
        seen, over = env.reset(seed=1000 + episode)[0], False
        policy.restart()
        while not over:
            seen, reward, _, over, info = env.step(policy.act({"agent": seen})["agent"])
            totals += reward, info["cost"]
    return float(totals[0] / episodes), float(totals[1] / episodes)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("dsrl"))
    parser.add_argument("--recorded", type=int, default=60, help="episodes of the dataset")
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--batches", type=int, default=100, help="of an iteration")
    parser.add_argument("--episodes", type=int, default=20, help="to try the policy in")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    dataset = given.folder / "brake.hdf5"
    write_dsrl(dataset, given.recorded)
    checkpoint = learn(dataset, given.iterations, given.batches, given.folder)
    way, cost = run_episodes(checkpoint, given.episodes)
    print(f"{given.episodes} episodes of the policy: return {way:.2f}, cost {cost:.2f} of 1.00")


if __name__ == "__main__":
    main()
