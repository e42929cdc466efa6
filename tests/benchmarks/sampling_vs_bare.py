"""Sampling against a plain loop of environment step, one forward pass and one sample of the same net.

Crossing with 4 agents, one shared policy on its own observation; per CPU-second.
Usage: python tests/benchmarks/sampling_vs_bare.py
"""

from __future__ import annotations

from harness import finish, in_turn, ratio, report, start_ray

COPIES, STEPS, HIDDENS = (8, 32), 200, [64, 64]


def _sides(copies: int) -> dict:
    import torch
    from torch import nn

    from rllib_safemarl.algorithms import IPPOConfig
    from rllib_safemarl.envs.registry import make_vector

    algo = (
        IPPOConfig()
        .environment("safemarl/crossing")
        .multi_agent(policies={"shared"}, policy_mapping_fn=lambda agent, episode, **kwargs: "shared")
        .env_runners(num_envs_per_env_runner=copies)
        .rl_module(model_config={"fcnet_hiddens": HIDDENS})
        .build_algo()
    )
    runner = algo.env_runner
    env = make_vector("safemarl/crossing", copies)
    net = nn.Sequential(nn.Linear(6, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))
    deviation = torch.ones(2)
    observation = env.reset(0)

    def bare() -> float:
        nonlocal observation
        with torch.inference_mode():
            for _ in range(STEPS):
                mean = net(torch.from_numpy(observation.values["robot"].reshape(-1, 6)))
                action = torch.normal(mean, deviation.expand_as(mean))
                observation = env.step({"robot": action.numpy().reshape(copies, 4, 2)}).observation
        return STEPS * copies

    def sampled() -> float:
        runner.sample(num_timesteps=STEPS * copies)
        runner.get_metrics()
        return STEPS * copies

    return {f"columns, {copies} copies": sampled, f"bare loop, {copies} copies": bare}


def main() -> None:
    """Measure and print."""
    start_ray()
    rates: dict = {}
    for copies in COPIES:
        rates |= in_turn(_sides(copies), repeats=9, warm_up=2)
    report("Sampling: crossing, 4 agents, shared policy", "env steps per CPU-second", rates)
    ratios = {n: ratio(rates, f"columns, {n} copies", f"bare loop, {n} copies") for n in COPIES}
    finish(ratio=ratios[max(COPIES)], **{f"ratio_{n}_copies": value for n, value in ratios.items()})


if __name__ == "__main__":
    main()
