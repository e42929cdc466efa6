"""Whole ``train()`` against stock RLlib PPO: same task, nets, batch, epochs and minibatches.

Crossing with 4 agents, one shared policy, 8 copies, no constraint on either side; per CPU-second.
Usage: python tests/benchmarks/train_vs_stock.py
"""

from __future__ import annotations

from harness import finish, in_turn, ratio, report, start_ray

BATCH, COPIES, EPOCHS, MINIBATCH, HIDDENS = 4000, 8, 5, 1000, [64, 64]


def _configure(config):
    return (
        config.environment("safemarl/crossing")
        .multi_agent(policies={"shared"}, policy_mapping_fn=lambda agent, episode, **kwargs: "shared")
        .env_runners(num_env_runners=0, num_envs_per_env_runner=COPIES)
        .training(train_batch_size=BATCH, num_epochs=EPOCHS, minibatch_size=MINIBATCH, lr=3e-4)
        .rl_module(model_config={"fcnet_hiddens": HIDDENS})
        .debugging(seed=0)
    )


def main() -> None:
    """Measure and print."""
    start_ray()
    from ray.rllib.algorithms.ppo import PPOConfig

    from rllib_safemarl.algorithms import IPPOConfig

    ours = _configure(IPPOConfig()).build_algo()
    stock = _configure(PPOConfig()).build_algo()

    def steps(algo) -> float:
        before = algo.metrics.peek(("env_runners", "num_env_steps_sampled_lifetime"), default=0)
        results = algo.train()
        return results["env_runners"]["num_env_steps_sampled_lifetime"] - before

    rates = in_turn({"rllib_safemarl IPPO": lambda: steps(ours), "stock RLlib PPO": lambda: steps(stock)})
    report("train(): crossing, 4 agents, 8 copies, shared policy", "env steps per CPU-second", rates)
    finish(ratio=ratio(rates, "rllib_safemarl IPPO", "stock RLlib PPO"))


if __name__ == "__main__":
    main()
