"""One agent from a file in DSRL's layout: danger from costs, no geometry, no neighbours, no split."""

import gymnasium as gym
import numpy as np
import pytest

from rllib_safemarl.algorithms import DiffusionCBFConfig

h5py = pytest.importorskip("h5py")

STEPS, LIMIT = 30, 0.5
"""Of an episode; speed above which a step costs 1, as in DSRL's velocity tasks."""


class Sled(gym.Env):
    """Faster is better and above the limit it costs; the action is an acceleration."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, config=None):
        self.spec = gym.envs.registration.EnvSpec("Sled-v0", max_episode_steps=STEPS)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.speed = 0, self.np_random.uniform(0.0, 0.3)
        return self._seen(), {}

    def step(self, action):
        self.speed += 0.05 * float(np.clip(action[0], -1.0, 1.0))
        self.time += 1
        cost = float(self.speed > LIMIT)
        return self._seen(), self.speed, False, self.time == STEPS, {"cost": cost}

    def _seen(self):
        return np.array([self.speed, 1.0], np.float32)


def record(path, episodes=120):
    """A file of DSRL's layout from scratch: flat columns; every other episode speeds."""
    rng, env = np.random.default_rng(0), Sled()
    names = ("observations", "next_observations", "actions", "rewards", "costs", "terminals", "timeouts")
    columns = {name: [] for name in names}
    for episode in range(episodes):
        seen, _ = env.reset(seed=episode)
        wanted = rng.uniform(0.6, 0.9) if episode % 2 else rng.uniform(0.15, 0.3)
        for _ in range(STEPS):
            action = np.clip([4.0 * (wanted - seen[0]) + rng.normal(0.0, 0.3)], -1.0, 1.0)
            after, reward, terminated, truncated, info = env.step(action)
            row = (seen, after, action, reward, info["cost"], terminated, truncated)
            for name, value in zip(names, row, strict=True):
                columns[name].append(value)
            seen = after
    with h5py.File(path, "w") as file:
        for name, column in columns.items():
            file.create_dataset(name, data=np.array(column, np.float32))
    return np.sum(columns["costs"]) / episodes


def test_one_agent_learns_from_a_file_of_dsrl_to_keep_to_the_limit(ray_cluster, tmp_path):
    cost_of_data = record(tmp_path / "sled.hdf5")
    assert cost_of_data > 5.0
    algorithm = (
        DiffusionCBFConfig()
        .environment(Sled)
        .offline_data(input_=str(tmp_path / "sled.hdf5"), dataset_num_iters_per_learner=300)
        .training(
            kappa=0,
            alpha=0.5,
            barrier_batches=150,
            critic_batches=50,
            plan_batches=400,
            train_batch_size_per_learner=64,
            lr=3e-3,
            danger_horizon=2,
            plan_horizon=5,
            n_plans=2,
            denoiser="mlp",
            denoiser_settings={"width": 64, "layers": 2},
        )
        .rl_module(model_config={"fcnet_hiddens": [32]})
        .evaluation(
            evaluation_interval=2,
            evaluation_duration=16,
            evaluation_config={"num_envs_per_env_runner": 16, "explore": False},
        )
        .debugging(seed=0)
        .build_algo()
    )
    assert list(algorithm.team.policy_ids) == ["agent_0"]
    algorithm.train()
    results = algorithm.train()
    learned, found = results["learners"]["agent_0"], results["evaluation"]["env_runners"]
    algorithm.stop()
    assert learned["calibration"]["auroc_danger"] > 0.99
    # Of 120 episodes without a split 15 % are for calibration, half of which speed.
    assert learned["calibration"]["dangerous_episodes"] == 9
    assert found["num_episodes"] == 16
    assert found["episode_cost_mean"] < 0.2 * cost_of_data
    assert found["episode_team_return_mean"] > 0.1 * STEPS, "it does not just stand"
