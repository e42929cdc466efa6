"""The default job learns what the README says it does. Minutes per seed: ``python -m pytest -m learning``."""

from pathlib import Path

import pytest

from rllib_safemarl.cli.checking import algorithm_class
from rllib_safemarl.cli.experiments import read_experiments
from rllib_safemarl.cli.flags import TrainFlags
from rllib_safemarl.evaluation.rollouts import evaluate_algorithm

FILE = Path(__file__).parents[2] / "tuned_configs" / "scal_mappo_l.yaml"
EPISODES = 200
UNCONSTRAINED_RETURN = 1.57
"""Of the same file without multiplier, mean of three seeds: examples/results/scal_mappo_l_crossing."""


def train(**changes):
    """Episodes after the default job, and the largest multiplier on the way."""
    (experiment,) = read_experiments(FILE, TrainFlags())
    config = algorithm_class(experiment.run).get_default_config()
    config.update_from_dict({**experiment.config, "evaluation_interval": 10**9, **changes})
    algorithm = config.build_algo()
    try:
        multipliers = [
            algorithm.train()["learners"]["__all_modules__"]["multiplier_mean"]
            for _ in range(int(experiment.stop["training_iteration"]))
        ]
        return evaluate_algorithm(algorithm, EPISODES), max(multipliers)
    finally:
        algorithm.stop()


@pytest.mark.learning
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_worst_robot_keeps_to_the_limit_and_all_arrive(ray_cluster, seed):
    episodes, multiplier = train(seed=seed)
    assert episodes.worst_agent_bound() <= 1.0
    assert episodes.team_return >= 0.8 * UNCONSTRAINED_RETURN
    assert episodes.metrics["goal_reached"].mean() >= 0.9
    assert multiplier > 0.0


@pytest.mark.learning
def test_without_multiplier_the_limit_is_broken(ray_cluster):
    episodes, multiplier = train(multiplier="none")
    assert episodes.cost >= 3.0
    assert multiplier == 0.0
