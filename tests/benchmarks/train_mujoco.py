"""Whole ``train()`` on HalfCheetah 2x3: against stock RLlib PPO, and against what SafePO's MAPPO-L reached.

    python tests/benchmarks/train_mujoco.py

First the same work by both: two policies, 8 copies, batches of 4000, no constraint. Then SafePO's work by
MAPPO_L (three layers of 128, five epochs of one full batch of 4000 from 8 copies, a critic of the cost), set
against Gymnasium's bare HalfCheetah in the same run: SafePO made 562 steps per CPU-second where bare steps
were 21 657, which is its share; ours is divided by it. Its layer norms are left out.
"""

from __future__ import annotations

import statistics

from harness import finish, in_turn, ratio, report, start_ray

COPIES, BATCH = 8, 4000
SAFEPO_SHARE = 562 / 21_657
"""Steps of SafePO's MAPPO-L per step of the bare simulator, per CPU-second each, one torch thread."""
BARE_STEPS = 2000


def _on_cheetah(config, task: str, hiddens: list[int], activation: str, epochs: int, minibatch: int):
    return (
        config.environment("safemarl/mujoco", env_config={"task": task, "partition": "2x3"})
        .multi_agent(
            policies={"agent_0", "agent_1"}, policy_mapping_fn=lambda agent, episode, **kwargs: agent
        )
        .env_runners(num_env_runners=0, num_envs_per_env_runner=COPIES)
        .training(train_batch_size=BATCH, num_epochs=epochs, minibatch_size=minibatch, lr=3e-4)
        .rl_module(model_config={"fcnet_hiddens": hiddens, "fcnet_activation": activation})
        .debugging(seed=0)
    )


def _steps(algo) -> float:
    before = algo.metrics.peek(("env_runners", "num_env_steps_sampled_lifetime"), default=0)
    return algo.train()["env_runners"]["num_env_steps_sampled_lifetime"] - before


def _bare():
    import gymnasium
    import numpy as np

    env = gymnasium.make("HalfCheetah-v5")
    env.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1, 1, (50, 6))

    def work() -> float:
        for t in range(BARE_STEPS):
            if any(env.step(actions[t % 50])[2:4]):
                env.reset()
        return BARE_STEPS

    return work


def main() -> None:
    """Measure and print."""
    start_ray()
    from ray.rllib.algorithms.ppo import PPOConfig

    from rllib_safemarl.algorithms import IPPOConfig, MAPPOLConfig

    same = ("half_cheetah", [64, 64], "tanh", 10, 500)
    ours, stock = (_on_cheetah(config, *same).build_algo() for config in (IPPOConfig(), PPOConfig()))
    rates = in_turn({"IPPO": lambda: _steps(ours), "stock RLlib PPO": lambda: _steps(stock)})
    report("train(): HalfCheetah 2x3, 8 copies, no constraint", "env steps per CPU-second", rates)
    stock_ratio = ratio(rates, "IPPO", "stock RLlib PPO")

    config = _on_cheetah(MAPPOLConfig(), "half_cheetah_velocity", [128, 128, 128], "elu", 5, BATCH).safety(
        cost_limit=25.0
    )
    constrained = config.build_algo()
    rates = in_turn({"MAPPO_L": lambda: _steps(constrained), "bare HalfCheetah-v5": _bare()})
    report("train(): SafePO's MAPPO-L work", "env steps per CPU-second", rates)
    share = statistics.median(
        a / b for a, b in zip(rates["MAPPO_L"], rates["bare HalfCheetah-v5"], strict=True)
    )
    finish(ratio=stock_ratio, ratio_safepo=share / SAFEPO_SHARE)


if __name__ == "__main__":
    main()
