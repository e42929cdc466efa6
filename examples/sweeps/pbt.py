"""Population-based training of the multiplier's settings, by Tune's own scheduler.

How to run:     python examples/sweeps/pbt.py --storage-path runs
                (4 trials side by side as far as there are CPUs; a trial is about a minute on one core with
                the default iterations)
Pictures again: safemarl plot runs/pbt_multiplier
What to expect: every few iterations the worst trials take over weights, optimisers and multipliers of the
                best and go on with changed settings. Trials above their limit are worth less the further they
                are above it, so that the best one is a safe one.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from ray import tune
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.tune.schedulers import PopulationBasedTraining

import rllib_safemarl

NAME = "pbt_multiplier"
PENALTY = 2.0
"""How much return a unit of the worst agent's cost above its limit is worth, in comparisons of trials."""


class SafeReturn(RLlibCallback):
    """Adds ``safe_return`` to every result: the return, less what is above the limit."""

    def on_train_result(self, *, result: dict[str, Any], **kwargs: Any) -> None:
        found = result["env_runners"]
        above = max(0.0, found["episode_cost_max_agent"] - found["cost_limit"])
        value = found["episode_team_return_mean"] - PENALTY * above
        # Before the first episode has ended there is nothing to compare by.
        result["safe_return"] = value if math.isfinite(value) else -1e9


def make_scheduler(interval: int) -> PopulationBasedTraining:
    """Explore around the settings of the best, every ``interval`` iterations."""
    return PopulationBasedTraining(
        time_attr="training_iteration",
        metric="safe_return",
        mode="max",
        perturbation_interval=interval,
        hyperparam_mutations={
            "multiplier_lr": tune.loguniform(0.005, 0.5),
            "limit_margin": tune.uniform(0.0, 0.6),
        },
        synch=True,
    )


def train(iterations: int, trials: int, interval: int, storage: Path) -> tune.ExperimentAnalysis:
    """Train a population, and return Tune's analysis of it."""
    rllib_safemarl.register()
    return tune.run(
        "SCAL_MAPPO_L",
        name=NAME,
        config={
            "env": "safemarl/crossing",
            "cost_limit": 1.0,
            "multiplier_lr": tune.loguniform(0.005, 0.5),
            "limit_margin": tune.uniform(0.0, 0.6),
            "callbacks": SafeReturn,
            "reward_scope": "own",
            "num_env_runners": 0,
            "num_envs_per_env_runner": 32,
            "train_batch_size": 3200,
            "minibatch_size": 800,
            "num_epochs": 5,
            "lr": 0.0015,
            "model_config": {"fcnet_hiddens": [64, 64], "fcnet_activation": "tanh"},
        },
        num_samples=trials,
        scheduler=make_scheduler(interval),
        stop={"training_iteration": iterations},
        storage_path=str(storage.resolve()),
        verbose=1,
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--iterations", type=int, default=150)
    parser.add_argument("--interval", type=int, default=15, help="iterations between takeovers")
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--storage-path", type=Path, default=Path.home() / "ray_results")
    given = parser.parse_args(arguments)
    analysis = train(given.iterations, given.trials, given.interval, given.storage_path)
    best = analysis.get_best_trial("safe_return", "max")
    for trial in analysis.trials:
        settings = {name: round(trial.config[name], 3) for name in ("multiplier_lr", "limit_margin")}
        mark = ", the best" if trial is best else ""
        print(f"{trial.trial_id}: safe_return {trial.last_result['safe_return']:.2f} with {settings}{mark}")


if __name__ == "__main__":
    main()
