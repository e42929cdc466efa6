"""Sampling against a plain loop of environment step, one forward pass and one sample of the same net.

One shared policy on its own observation: crossing with 4 agents, or HalfCheetah 2x3; per CPU-second.
Usage: python tests/benchmarks/sampling_vs_bare.py [crossing | half_cheetah]
"""

from __future__ import annotations

import sys
from typing import Any

from harness import finish, in_turn, ratio, report, start_ray

COPIES, HIDDENS = (8, 32), [64, 64]
WHERE: dict[str, tuple[str, dict[str, Any], int]] = {
    "crossing": ("safemarl/crossing", {}, 200),
    "half_cheetah": ("safemarl/mujoco", {"task": "half_cheetah", "partition": "2x3"}, 100),
}
"""Name → environment, its settings, steps of every copy in a measurement."""


def _sides(copies: int, name: str, settings: dict[str, Any], steps: int) -> dict:
    import torch
    from torch import nn

    from rllib_safemarl.algorithms import IPPOConfig
    from rllib_safemarl.envs.registry import make_vector

    algo = (
        IPPOConfig()
        .environment(name, env_config=settings)
        .multi_agent(policies={"shared"}, policy_mapping_fn=lambda agent, episode, **kwargs: "shared")
        .env_runners(num_envs_per_env_runner=copies)
        .rl_module(model_config={"fcnet_hiddens": HIDDENS})
        .build_algo()
    )
    runner = algo.env_runner
    env = make_vector(name, copies, **settings)
    (kind,) = env.kinds
    seen, (acts,) = kind.observation_size, kind.action_space.shape
    net = nn.Sequential(nn.Linear(seen, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, acts))
    deviation = torch.ones(acts)
    observation = env.reset(0)

    def bare() -> float:
        nonlocal observation
        with torch.inference_mode():
            for _ in range(steps):
                mean = net(torch.from_numpy(observation.values[kind.name].reshape(-1, seen)))
                action = torch.normal(mean, deviation.expand_as(mean))
                actions = action.numpy().reshape(copies, len(kind.agents), acts)
                observation = env.step({kind.name: actions}).observation
        return steps * copies

    def sampled() -> float:
        runner.sample(num_timesteps=steps * copies)
        runner.get_metrics()
        return steps * copies

    return {f"columns, {copies} copies": sampled, f"bare loop, {copies} copies": bare}


def main() -> None:
    """Measure and print."""
    start_ray()
    where = sys.argv[1] if len(sys.argv) > 1 else "crossing"
    rates: dict = {}
    for copies in COPIES:
        rates |= in_turn(_sides(copies, *WHERE[where]), repeats=9, warm_up=2)
    report(f"Sampling: {where}, shared policy", "env steps per CPU-second", rates)
    ratios = {n: ratio(rates, f"columns, {n} copies", f"bare loop, {n} copies") for n in COPIES}
    finish(ratio=ratios[max(COPIES)], **{f"ratio_{n}_copies": value for n, value in ratios.items()})


if __name__ == "__main__":
    main()
