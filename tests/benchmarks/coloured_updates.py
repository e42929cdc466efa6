"""Updates of a policy per agent: one after another against class by class in a coloured order.

Robots on a static chain, each with a policy and critics of its own that see its two neighbours (κ = 1), so
that the chain has two classes. Both sides learn the same batch. Measured is the update of the policies, which
the order concerns, and the learner's whole update. Usage:
python tests/benchmarks/coloured_updates.py [--quick]   (8 and 64 robots alone, in less than three minutes)
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from harness import finish, in_turn, ratio, report, start_ray

SIZES, QUICK = (8, 64, 256, 512), (8, 64)
COPIES, STEPS, EPOCHS, MINIBATCH, HIDDENS = 8, 32, 5, 128, [64, 64]


def _learner(agents: int, coloured: bool) -> tuple[Any, Any]:
    """An algorithm and its first batch."""
    from rllib_safemarl.algorithms import ScalMAPPOLConfig

    algo = (
        ScalMAPPOLConfig()
        .environment("safemarl/crossing", env_config={"n_agents": agents}, agent_graph="chain")
        .multi_agent(policies=[f"robot_{i}" for i in range(agents)])
        .env_runners(num_envs_per_env_runner=COPIES)
        .training(train_batch_size=COPIES * STEPS, num_epochs=EPOCHS, minibatch_size=MINIBATCH)
        .training(kappa=1, coloured=coloured)
        .safety(cost_limit=1.0)
        .rl_module(model_config={"fcnet_hiddens": HIDDENS})
        .debugging(seed=0)
        .build_algo()
    )
    (batch,) = algo.env_runner.sample()
    return algo, batch


def _side(agents: int, coloured: bool) -> tuple[Callable[[], float], list[float], Any]:
    """Work that returns 1, the CPU-seconds its policies' updates took, and the learner."""
    algo, batch = _learner(agents, coloured)
    learner, seconds = algo.learner_group._learner, []
    plain = learner._update_policies

    def timed(*args: Any) -> None:
        started = time.process_time()
        plain(*args)
        seconds.append(time.process_time() - started)

    learner._update_policies = timed

    def learn() -> float:
        learner.update(batch=batch, timesteps={"num_env_steps_sampled_lifetime": 0})
        return 1.0

    return learn, seconds, learner


def main() -> None:
    """Measure and print."""
    start_ray()
    ratios: dict[str, float] = {}
    for agents in QUICK if "--quick" in sys.argv else SIZES:
        sides = {name: _side(agents, name == "coloured") for name in ("sequential", "coloured")}
        repeats = 5 if agents < 256 else 3
        whole = in_turn({name: side[0] for name, side in sides.items()}, repeats)
        policies = {name: [1.0 / s for s in side[1][-repeats:]] for name, side in sides.items()}
        rounds = {name: len(side[2]._order._rounds) for name, side in sides.items()}
        for what, rates in (("policies", policies), ("whole update", whole)):
            title = f"{agents} agents, {what}: rounds {rounds['sequential']} and {rounds['coloured']}"
            report(title, "CPU-seconds", {name: [1.0 / r for r in v] for name, v in rates.items()})
        ratios[f"speed_up_{agents}"] = ratio(policies, "coloured", "sequential")
        ratios[f"whole_{agents}"] = ratio(whole, "coloured", "sequential")
    finish(**ratios)


if __name__ == "__main__":
    main()
