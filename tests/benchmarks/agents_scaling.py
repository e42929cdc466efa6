"""Cost per agent and step: 512 agents in 8 copies against 8 agents in 512 copies, κ = 1.

Sampling and learning apart; crossing with a moving graph, one policy shared by all agents on both sides.
Usage: python tests/benchmarks/agents_scaling.py
"""

from __future__ import annotations

from harness import finish, in_turn, ratio, report, start_ray

SIZES, STEPS, MINIBATCH, HIDDENS = ((512, 8), (8, 512)), 16, 8192, [64, 64]


def _sides(agents: int, copies: int) -> tuple:
    from rllib_safemarl.algorithms import ScalMAPPOLConfig

    algo = (
        ScalMAPPOLConfig()
        .environment("safemarl/crossing", env_config={"n_agents": agents, "time_limit": 64})
        .multi_agent(policies={"shared"}, policy_mapping_fn=lambda agent, episode, **kwargs: "shared")
        .env_runners(num_envs_per_env_runner=copies)
        .training(train_batch_size=copies * STEPS, num_epochs=1, minibatch_size=MINIBATCH, kappa=1)
        .safety(cost_limit=1.0)
        .rl_module(model_config={"fcnet_hiddens": HIDDENS})
        .build_algo()
    )
    (batch,) = algo.env_runner.sample()
    learner = algo.learner_group._learner

    def sample() -> float:
        algo.env_runner.sample()
        return agents * copies * STEPS

    def learn() -> float:
        learner.update(batch=batch, timesteps={"num_env_steps_sampled_lifetime": 0})
        return agents * copies * STEPS

    return sample, learn


def main() -> None:
    """Measure and print."""
    start_ray()
    names = [f"{agents} agents x {copies} copies" for agents, copies in SIZES]
    sides = [_sides(*size) for size in SIZES]
    growth = {}
    for k, what in enumerate(("sampling", "learning")):
        rates = in_turn({name: side[k] for name, side in zip(names, sides, strict=True)})
        report(f"{what.capitalize()}, κ = 1", "agent steps per CPU-second", rates)
        growth[what] = ratio(rates, names[1], names[0])
    finish(growth=max(growth.values()), **{f"growth_{what}": value for what, value in growth.items()})


if __name__ == "__main__":
    main()
