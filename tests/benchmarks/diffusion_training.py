"""The plan stage of DIFFUSION_CBF's learner against the pure time of its networks on tensors that lie ready.

The job is ``tuned_configs/offline/diffusion_cbf_crossing.yaml``. The pure side runs the same networks on
inputs of the same shapes, forward and backward on a sum of outputs; windows, views, ranks, noise, losses,
clipping and averaged weights are overhead. It is measured with and without the optimiser.
Usage: python tests/benchmarks/diffusion_training.py
"""

from __future__ import annotations

import os
from typing import Any

from diffusion_acting import config_of
from harness import finish, in_turn, ratio, report, start_ray

BATCHES = 20
"""Of a round."""


def in_plan_stage() -> Any:
    """A built algorithm, whose learner's next batches are all of the plan stage."""
    from rllib_safemarl.algorithms import DiffusionCBFConfig

    config = config_of(
        DiffusionCBFConfig,
        barrier_batches=1,
        critic_batches=1,
        dataset_num_iters_per_learner=BATCHES,
        evaluation_interval=0,
    )
    algo = config.build_algo()
    update(algo)
    return algo


def update(algo: Any) -> float:
    """One portion to the learner, as ``training_step()`` hands it."""
    (portion,) = algo.offline_data.sample(BATCHES)
    algo.learner_group._learner.update(batch=portion, timesteps={"num_env_steps_sampled_lifetime": 0})
    return float(BATCHES * algo.config.train_batch_size_per_learner)


def pure(algo: Any, optimise: bool) -> Any:
    """Forward and backward of the plan stage's networks, so many times."""
    import torch

    from rllib_safemarl.algorithms.diffusion_cbf.losses import INVERSE_STEPS

    learner = algo.learner_group._learner
    ((policy, planner),) = learner._planners.items()
    windows = algo.config.train_batch_size_per_learner
    rows, own = windows * len(learner.groups[0].agents), planner.layout.sets.own_size
    x = torch.randn(rows, *planner.window_shape)
    mask = torch.ones(rows, planner.layout.slots, dtype=torch.bool)
    steps, y = torch.randint(1, planner.schedule.num_steps, (rows,)), torch.rand(rows, 2)
    dropped, actions = torch.zeros(rows, 2, dtype=torch.bool), torch.rand(rows, planner.action.encoded)
    before, after = x[:, :INVERSE_STEPS, :own], x[:, 1 : INVERSE_STEPS + 1, :own]
    optimizer = learner.get_optimizer(policy)

    def work() -> float:
        for _ in range(BATCHES):
            optimizer.zero_grad(set_to_none=True)
            outputs = (
                planner.denoiser(x, steps, y, dropped, mask.float()),
                planner.inverse(before, after),
                planner.model(x[:, 0], actions, mask),
                planner.reach(x[:, 0], mask),
            )
            torch.stack([output.sum() for output in outputs]).sum().backward()
            if optimise:
                optimizer.step()
        return float(BATCHES * windows)

    return work


def main() -> None:
    """Measure and print."""
    start_ray()
    algo, other = in_plan_stage(), in_plan_stage()
    sides = {
        "learner": lambda: update(algo),
        "forward, backward": pure(other, False),
        "forward, backward, optimiser": pure(other, True),
    }
    rates = in_turn(sides, repeats=9)
    report("DIFFUSION_CBF's plan stage, crossing with 4 robots", "windows per CPU-second", rates)
    print(f"\nload of the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs\n")
    learner, bare, optimised = sides
    finish(ratio=ratio(rates, bare, learner), ratio_with_optimiser=ratio(rates, optimised, learner))
    for each in (algo, other):
        each.stop()


if __name__ == "__main__":
    main()
