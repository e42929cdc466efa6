"""β of a trained planner: evaluations of one checkpoint as a Tune sweep, and a picture of it.

How to run:     rllib train file tuned_configs/offline/diffusion_cbf_crossing.yaml --storage-path runs
                python examples/sweeps/beta.py runs/diffusion_cbf_crossing --storage-path runs
                (β is a setting of acting, so that nothing is trained again)
Picture again:  safemarl plot runs/sweep_beta --against beta
What to expect: the higher β, the fewer decisions have a plan that is safe enough, and the slower the robots.
"""

import argparse
from pathlib import Path

from ray import tune

import rllib_safemarl

NAME = "sweep_beta"
BETAS = [0.5, 0.8, 0.9, 0.95, 0.96]
"""No more than its data can tell: the 32 dangerous episodes of the calibration split tell up to 0.969."""


def evaluate(config: dict) -> None:
    """Run episodes of the checkpoint under one β, and report them as a training would."""
    from rllib_safemarl.cli.paths import newest_checkpoint
    from rllib_safemarl.evaluation.comparison_records import make_record
    from rllib_safemarl.evaluation.rollouts import evaluate_runner
    from rllib_safemarl.evaluation.trained import TrainedTeam

    rllib_safemarl.register()
    team = TrainedTeam.read(Path(newest_checkpoint(config["checkpoint"])))
    changes = {
        "beta": config["beta"],
        "seed": 1_000_000 + config["seed"],
        "explore": False,
        "env": team.config.env,
        "env_config": {**team.config.env_config, **config["env_config"]},
    }
    runner = team.runner(changes, config["episodes"])
    try:
        found = evaluate_runner(runner, config["episodes"])
    finally:
        runner.stop()
    figures = make_record(found, team.config.cost_limit, {}).figures()
    tune.report(
        {
            "env_runners": {
                "num_env_steps_sampled_lifetime": float(found.lengths.sum()),
                "episode_team_return_mean": figures["return"],
                "episode_cost_mean": figures["cost"],
                "episode_cost_max_agent": figures["worst_agent_cost"],
                "episode_within_limit_share": figures["within_limit"],
                "cost_limit": figures["limit"],
            },
            "dangerous_episodes": figures["dangerous_episodes"],
            "accepted_share": figures["planning/accepted_share"],
        }
    )


def sweep(checkpoint: str, episodes: int, seeds: int, agents: int, storage: Path) -> Path:
    """Evaluate under every β and seed, and return the experiment's folder."""
    rllib_safemarl.register()
    tune.run(
        evaluate,
        name=NAME,
        config={
            "checkpoint": str(Path(checkpoint).expanduser().resolve()),
            "env": "safemarl/crossing",
            "env_config": {"n_agents": agents},
            "episodes": episodes,
            "beta": tune.grid_search(BETAS),
            "seed": tune.grid_search(list(range(seeds))),
        },
        storage_path=str(storage.resolve()),
        verbose=1,
    )
    return storage / NAME


def draw(folder: Path) -> None:
    """Write the picture into the experiment's folder."""
    from rllib_safemarl.evaluation.figures import save_figure
    from rllib_safemarl.evaluation.figures_sweeps import setting_figure
    from rllib_safemarl.evaluation.runs import read_runs
    from rllib_safemarl.evaluation.sweeps import sweep_frame

    frame, settings = sweep_frame(read_runs([folder]))
    figure = setting_figure(frame, "beta", settings, "DIFFUSION_CBF on the crossing")
    print(save_figure(figure, folder / "beta.png"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("checkpoint", help="its folder, or that of a trial or experiment")
    parser.add_argument("--episodes", type=int, default=32)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--agents", type=int, default=4)
    parser.add_argument("--storage-path", type=Path, default=Path.home() / "ray_results")
    arguments = parser.parse_args()
    folder = sweep(
        arguments.checkpoint, arguments.episodes, arguments.seeds, arguments.agents, arguments.storage_path
    )
    draw(folder)
