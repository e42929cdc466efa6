"""Callbacks: a safety metric of your own, and a training that ends when the limit is held.

How to run:     python examples/callbacks.py --iterations 150
What to expect: a line per iteration with the longest time that a robot stayed in danger, which no built-in
                metric tells; and an end as soon as every robot's cost stayed within its limit for some
                iterations in a row.
"""

from __future__ import annotations

import argparse
from itertools import groupby
from typing import Any

from ray.rllib.callbacks.callbacks import RLlibCallback

from rllib_safemarl.algorithms import ScalMAPPOLConfig


class LongestDanger(RLlibCallback):
    """Logs ``longest_danger``: the most steps in a row for which any agent of an episode was in danger."""

    def on_episode_end(self, *, episode: Any, metrics_logger: Any, **kwargs: Any) -> None:
        longest = 0
        for infos in episode.get_infos().values():
            endangered = [bool(info) and info["cost"] > 0.0 for info in infos]
            runs = [sum(1 for _ in run) for danger, run in groupby(endangered) if danger]
            longest = max(longest, *runs, 0)
        metrics_logger.log_value("longest_danger", longest, reduce="mean", window=100)


class LimitHeld:
    """Tells, from one result after another, whether the limit has been held for long enough.

    As a stopper of Tune: ``tune.run(..., stop=LimitHeld(5))`` wraps it by ``lambda trial, result: …``.

    Args:
        iterations: in a row.
    """

    def __init__(self, iterations: int) -> None:
        self._wanted, self._held = iterations, 0

    def __call__(self, result: dict[str, Any]) -> bool:
        found = result["env_runners"]
        # NaN, before an episode has ended, is no success.
        within = found["episode_cost_max_agent"] <= found["cost_limit"]
        self._held = self._held + 1 if within else 0
        return self._held >= self._wanted


def make_config() -> ScalMAPPOLConfig:
    """The default job, with the callback."""
    return (
        ScalMAPPOLConfig()
        .environment("safemarl/crossing")
        .multi_agent(policies={"robot"})
        .env_runners(num_env_runners=0, num_envs_per_env_runner=32)
        .training(train_batch_size=3200, minibatch_size=800, num_epochs=5, lr=1.5e-3, kappa=1)
        .rl_module(model_config={"fcnet_hiddens": [64, 64], "fcnet_activation": "tanh"})
        .safety(cost_limit=1.0, limit_margin=0.4)
        .callbacks(LongestDanger)
        .debugging(seed=0)
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--iterations", type=int, default=150, help="at most")
    parser.add_argument("--held", type=int, default=5, help="iterations in a row within the limit")
    given = parser.parse_args(arguments)
    algorithm, held = make_config().build_algo(), LimitHeld(given.held)
    for iteration in range(1, given.iterations + 1):
        result = algorithm.train()
        found = result["env_runners"]
        print(
            f"iteration {iteration}: return {found['episode_team_return_mean']:.2f}, worst robot's cost "
            f"{found['episode_cost_max_agent']:.2f} of {found['cost_limit']:.2f}, longest danger "
            f"{found.get('longest_danger', float('nan')):.1f} steps"
        )
        if held(result):
            print(f"the limit was held for {given.held} iterations: done")
            break
    algorithm.stop()


if __name__ == "__main__":
    main()
