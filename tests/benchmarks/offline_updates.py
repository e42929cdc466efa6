"""Updates per second of every offline baseline beside the pure time of its networks on ready tensors.

Shipped data, four crossing robots of one policy. The pure side runs the same networks as often on inputs of
the same shapes: forward and backward on a sum of outputs, and the optimisers; windows, views, sampled
actions, targets, losses, slow copies, multipliers and metrics are overhead.
Usage: python tests/benchmarks/offline_updates.py [PRESET …]
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness import finish, in_turn, learner_of, ratio, report

DATA = Path(__file__).parents[2] / "tuned_configs" / "offline" / "data" / "crossing.h5"
WINDOWS, HIDDENS, UPDATES = 256, [128, 128], 20


def build(name: str) -> tuple[Any, Any]:
    """A learner without Ray, and its data."""
    import torch

    from rllib_safemarl.algorithms import ALGORITHMS

    torch.set_num_threads(1)
    config = (
        ALGORITHMS[name]
        .get_default_config()
        .update_from_dict(
            {
                "input_": str(DATA),
                "policies": ["robot"],
                "kappa": 1,
                "max_neighbours": 3,
                "cost_limit": 1.0,
                "train_batch_size_per_learner": WINDOWS,
                "model_config": {"fcnet_hiddens": HIDDENS},
                "seed": 0,
            }
        )
    )
    return learner_of(config)


def learning(learner: Any, data: Any) -> Callable[[], float]:
    """The learner's own updates."""

    def work() -> float:
        (portion,) = data.sample(UPDATES)
        learner.update(batch=portion, timesteps={"num_env_steps_sampled_lifetime": 0})
        return float(UPDATES)

    return work


def pure_actor_critic(learner: Any, data: Any) -> Callable[[], float]:
    """The networks of the actor-critic core alone."""
    import torch

    from rllib_safemarl.algorithms.offline_actor_critic.learner import CRITICS

    config = learner.config
    ((policy, agent),) = learner.agents.items()
    critics, rows = agent.critics, WINDOWS * len(agent.group.agents)
    features = critics.q[0].twins[0].layout.own_size
    views = torch.randn(rows, learner.viewers[0].layouts["robot"].size)
    x, action = torch.randn(rows, features), torch.rand(rows, agent.layout.encoded)
    several = 2 * config.cql_samples
    wide, sampled = x.expand(several, -1, -1), action.expand(several, -1, -1)
    optimisers = learner.get_optimizer(policy, CRITICS), learner.get_optimizer(policy)

    def values() -> torch.Tensor:
        with torch.no_grad():
            agent.target.inputs(views)
            critics.targets(x, action)
        total = torch.stack([q(x, action).sum() for q in critics.q]).sum()
        if config.conservatism == "cql":
            agent.policy.inputs(views)
            total = total + critics.q[0](wide, sampled).sum()
        if critics.behaviour is not None:
            total = total + critics.behaviour.loss(x, action, learner.generator).sum()
            with torch.no_grad():
                critics.behaviour(wide, sampled)
                critics.behaviour(x, action)
                agent.policy.inputs(views)
            total = total + torch.stack([q(wide, sampled).sum() for q in critics.q[1:]]).sum()
        return total

    def actor() -> torch.Tensor:
        chosen = agent.policy.inputs(views)[:, : agent.layout.size]
        if config.constraint != "cup":
            return critics.reward(x, chosen).sum() + critics.costs(x, chosen).sum()
        with torch.no_grad():
            for actions in (action, chosen):
                critics.reward(x, actions), critics.costs(x, actions)
        return chosen.sum()

    def work() -> float:
        for update in range(UPDATES):
            optimisers[0].zero_grad(set_to_none=True)
            values().backward()
            optimisers[0].step()
            if update % config.actor_delay == 0:
                optimisers[1].zero_grad(set_to_none=True)
                actor().backward()
                optimisers[1].step()
        return float(UPDATES)

    return work


def pure_fisor(learner: Any, data: Any) -> Callable[[], float]:
    """The networks of FISOR alone."""
    import torch

    ((policy, sampler),) = learner._samplers.items()
    rows, size = WINDOWS * len(learner.groups[0].agents), sampler.action.encoded
    x, action = torch.randn(rows, sampler.layout.width), torch.rand(rows, size)
    window, steps = torch.cat([action, x], -1)[:, None], torch.ones(rows, dtype=torch.long)
    optimizer = learner.get_optimizer(policy)

    def work() -> float:
        for _ in range(UPDATES):
            optimizer.zero_grad(set_to_none=True)
            with torch.no_grad():
                sampler.v_h(x), sampler.v(x)
                sampler.target_q_h(x, action), sampler.target_q(x, action)
            outputs = (
                sampler.q_h(x, action),
                sampler.q(x, action),
                sampler.v_h(x),
                sampler.v(x),
                sampler.denoiser(window, steps),
            )
            torch.stack([output.sum() for output in outputs]).sum().backward()
            optimizer.step()
        return float(UPDATES)

    return work


def main() -> None:
    """Measure and print."""
    from rllib_safemarl.algorithms.offline_actor_critic.presets import OFFLINE_PRESETS

    ratios = {}
    for name in sys.argv[1:] or OFFLINE_PRESETS:
        pure = pure_fisor if name == "FISOR" else pure_actor_critic
        sides = {"learner": learning(*build(name)), "networks": pure(*build(name))}
        rates = in_turn(sides)
        report(f"{name}: {WINDOWS} windows of four robots", "updates per CPU-second", rates)
        ratios[name] = ratio(rates, "networks", "learner")
    print(f"\nload of the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs\n")
    finish(**ratios)


if __name__ == "__main__":
    main()
