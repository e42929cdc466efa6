"""Learning and planning on a GPU against the CPU beside it, by the clock on the wall.

CPU sides use all cores. Batches and episodes of the tuned jobs; where a size is given, it is what grows.
Usage: python tests/benchmarks/gpu.py     (needs a GPU)
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))

from diffusion_acting import config_of, policy_of, views
from harness import finish, in_turn, learner_of, ratio, report, start_ray

UPDATES, STEPS = 20, 16
"""Of a round."""
CPU, FULL, HALF = "CPU", "GPU", "GPU, bfloat16"


def planning_learner(gpus: int, mixed: bool, **changes: Any) -> Callable[[], float]:
    """Updates of DIFFUSION_CBF's plan stage."""
    from rllib_safemarl.algorithms import DiffusionCBFConfig

    config = config_of(
        DiffusionCBFConfig,
        barrier_batches=1,
        critic_batches=1,
        dataset_num_iters_per_learner=UPDATES,
        num_gpus_per_learner=gpus,
        mixed_precision=mixed,
        **changes,
    )
    return offline_updates(config)


def offline_updates(config: Any) -> Callable[[], float]:
    """Updates of a learner without Ray."""
    import torch

    learner, data = learner_of(config)

    def work() -> float:
        (portion,) = data.sample(UPDATES)
        learner.update(batch=portion, timesteps={"num_env_steps_sampled_lifetime": 0})
        torch.cuda.synchronize()
        return float(UPDATES)

    return work


def constrained_learner(agents: int, gpus: int) -> Callable[[], float]:
    """SCAL_MAPPO_L's learner on one batch of so many agents with policies of their own."""
    import torch

    from rllib_safemarl.algorithms import ScalMAPPOLConfig

    algo = (
        ScalMAPPOLConfig()
        .environment("safemarl/crossing", env_config={"n_agents": agents})
        .env_runners(num_envs_per_env_runner=64)
        .training(train_batch_size=64 * 50, minibatch_size=800, num_epochs=5)
        .safety(cost_limit=1.0)
        .learners(num_gpus_per_learner=gpus)
        .rl_module(model_config={"fcnet_hiddens": [64, 64]})
        .build_algo()
    )
    (batch,) = algo.env_runner.sample()
    learner = algo.learner_group._learner

    def work() -> float:
        learner.update(batch=batch, timesteps={"num_env_steps_sampled_lifetime": 0})
        torch.cuda.synchronize()
        return 64.0 * 50.0

    return work


def planning(gpu: bool, robots: int, **changes: Any) -> Callable[[], float]:
    """Decisions of the tuned planner for so many robots at once."""

    from rllib_safemarl.algorithms import DiffusionCBFConfig

    policy = policy_of(config_of(DiffusionCBFConfig, **changes))
    seen = views(policy, robots)[:, 0]
    if gpu:
        policy.planner.to("cuda")
        seen = seen.to("cuda")

    def work() -> float:
        for _ in range(STEPS):
            policy.decide(seen).actions.cpu()
        return float(STEPS * robots)

    return work


def main() -> None:
    """Measure and print."""
    import torch

    start_ray()
    if not torch.cuda.is_available():
        raise SystemExit("There is no GPU here.")
    torch.set_num_threads(os.cpu_count() or 1)
    print(f"{torch.cuda.get_device_name(0)}, {os.cpu_count()} CPU cores, torch {torch.__version__}")
    found = {}

    def measure(key: str, title: str, unit: str, sides: dict[str, Callable[[], float]]) -> None:
        rates = in_turn(sides, repeats=3, clock=time.perf_counter)
        report(title, unit, rates)
        found.update(
            {f"{key}_{name.split()[-1].lower()}": ratio(rates, name, CPU) for name in sides if name != CPU}
        )

    for width, denoiser in ((None, "as tuned"), (1024, "MLP of width 1024")):
        changes: dict[str, Any] = {}
        if width:
            changes = {"denoiser": "mlp", "denoiser_settings": {"width": width, "layers": 3}}
        sides = {
            CPU: planning_learner(0, False, **changes),
            FULL: planning_learner(1, False, **changes),
            HALF: planning_learner(1, True, **changes),
        }
        key = f"plans_{width or 'tuned'}"
        measure(key, f"DIFFUSION_CBF's plan stage, {denoiser}", "updates per second", sides)
    for robots in (4, 128, 2048):
        sides = {CPU: planning(False, robots), FULL: planning(True, robots)}
        measure(f"acting_{robots}", f"Planning for {robots} robots at once", "actions per second", sides)
    for agents in (4, 64):
        sides = {CPU: constrained_learner(agents, 0), FULL: constrained_learner(agents, 1)}
        measure(f"agents_{agents}", f"SCAL_MAPPO_L's learner, {agents} policies", "steps per second", sides)
    finish(**found)


if __name__ == "__main__":
    main()
