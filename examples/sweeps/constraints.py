"""κ, limit and multiplier of Scal-MAPPO-L on the crossing: a Tune sweep, and two pictures of it.

How to run:     python examples/sweeps/constraints.py --storage-path runs
                (18 trials a seed; a trial is about a minute on one core with the default iterations)
Pictures again: safemarl plot runs/sweep_constraints --against kappa
                safemarl plot runs/sweep_constraints --parallel
What to expect: costs come to rest at or below each limit with either multiplier; without sight (κ = 0) the
                lower limits cost the most return.
"""

import argparse
import math
from pathlib import Path

from ray import tune

import rllib_safemarl

NAME = "sweep_constraints"
KAPPAS = [0, 1, math.inf]
LIMITS = [0.5, 1.0, 2.0]
MULTIPLIERS = ["lagrangian", "pid"]


def sweep(iterations: int, seeds: int, storage: Path) -> Path:
    """Run every choice under every seed, and return the experiment's folder."""
    rllib_safemarl.register()
    tune.run(
        "SCAL_MAPPO_L",
        name=NAME,
        config={
            "env": "safemarl/crossing",
            "kappa": tune.grid_search(KAPPAS),
            "cost_limit": tune.grid_search(LIMITS),
            "multiplier": tune.grid_search(MULTIPLIERS),
            "seed": tune.grid_search(list(range(seeds))),
            "reward_scope": "own",
            "limit_margin": 0.4,
            "num_env_runners": 0,
            "num_envs_per_env_runner": 32,
            "train_batch_size": 3200,
            "minibatch_size": 800,
            "num_epochs": 5,
            "lr": 0.0015,
            "model_config": {"fcnet_hiddens": [64, 64], "fcnet_activation": "tanh"},
        },
        stop={"training_iteration": iterations},
        storage_path=str(storage.resolve()),
        raise_on_failed_trial=False,
        verbose=1,
    )
    return storage / NAME


def draw(folder: Path) -> None:
    """Write the pictures into the experiment's folder."""
    from rllib_safemarl.evaluation.figures import save_figure
    from rllib_safemarl.evaluation.figures_sweeps import parallel_figure, setting_figure
    from rllib_safemarl.evaluation.runs import read_runs
    from rllib_safemarl.evaluation.sweeps import sweep_frame

    frame, settings = sweep_frame(read_runs([folder]))
    title = "Scal-MAPPO-L on the crossing"
    print(save_figure(setting_figure(frame, "kappa", settings, title), folder / "kappa.png"))
    print(save_figure(parallel_figure(frame, settings, title), folder / "parallel.png"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--iterations", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--storage-path", type=Path, default=Path.home() / "ray_results")
    arguments = parser.parse_args()
    draw(sweep(arguments.iterations, arguments.seeds, arguments.storage_path))
