"""Small recipes for tests of recordings."""

from __future__ import annotations

from pathlib import Path

from rllib_safemarl.evaluation.recording_episodes import EpisodeRecorder
from rllib_safemarl.evaluation.recording_reader import read_recipe

SHIPPED = Path(__file__).parents[2] / "tuned_configs" / "offline" / "data"
TINY = {"n_agents": 4, "time_limit": 12}
TOY = "tests.evaluation.recording_toy:make"
BEHAVIOURS = {
    "careful": {"scripted": "yielding", "share": 2},
    "noisy": {"scripted": "straight", "noise": [0.1, 0.5]},
    "mixed": {"scripted": {"yielding": 0.5, "straight": 0.5}},
    "trained": {"policy": "policies/limit_2", "explore": True},
    "random": {"scripted": "random"},
}


def recipe(behaviours=None, env="safemarl/crossing", env_config=None, **rest):
    config = TINY if env_config is None and env == "safemarl/crossing" else env_config
    document = {"env": env, "env_config": config, "behaviours": behaviours or BEHAVIOURS, **rest}
    return read_recipe(document, SHIPPED, "recipe")


def recorded(*arguments, **settings):
    return EpisodeRecorder(recipe(*arguments, **settings))
