"""The learner against the pure forward, backward and optimiser time of the networks it trains.

Crossing with 4 agents, SCAL_MAPPO_L, a policy and two critics per agent. The pure side makes the same
number of passes over minibatches of the same sizes with the same networks and Adam, on a sum of outputs
instead of a loss; everything else (views, values, advantages, factor, shuffling, metrics) is overhead.
Usage: python tests/benchmarks/learner_overhead.py
"""

from __future__ import annotations

from harness import finish, in_turn, ratio, report, start_ray

COPIES, STEPS, EPOCHS, MINIBATCH, HIDDENS = 32, 100, 5, 800, [64, 64]


def main() -> None:
    """Measure and print."""
    start_ray()
    import torch

    from rllib_safemarl.algorithms import ScalMAPPOLConfig

    algo = (
        ScalMAPPOLConfig()
        .environment("safemarl/crossing")
        .env_runners(num_envs_per_env_runner=COPIES)
        .training(train_batch_size=COPIES * STEPS, num_epochs=EPOCHS, minibatch_size=MINIBATCH)
        .safety(cost_limit=1.0)
        .rl_module(model_config={"fcnet_hiddens": HIDDENS})
        .build_algo()
    )
    (batch,) = algo.env_runner.sample()
    learner = algo.learner_group._learner
    (stack,) = learner._stacks
    passes = EPOCHS * round(COPIES * STEPS / MINIBATCH)

    def learn() -> float:
        learner.update(batch=batch, timesteps={"num_env_steps_sampled_lifetime": 0})
        return 1.0

    def pure() -> float:
        size = learner._critic_views.layouts["robot"].size
        rows = torch.randn(MINIBATCH, size)
        for policy in learner._policies.values():
            optimizer = learner.get_optimizer(policy.group.policy)
            for _ in range(passes):
                optimizer.zero_grad(set_to_none=True)
                policy.inputs(rows).sum().backward()
                optimizer.step()
        stacked = torch.randn(8, MINIBATCH, size)
        optimizer = learner.get_optimizer("__all_modules__", "critics_0")
        for _ in range(passes):
            optimizer.zero_grad(set_to_none=True)
            stack.net(stacked).sum().backward()
            optimizer.step()
        return 1.0

    rates = in_turn({"learner": learn, "pure": pure}, repeats=7)
    milliseconds = {name: [1000.0 / rate for rate in values] for name, values in rates.items()}
    report("One update: 3 200 steps, 4 policies, 8 critics, 5 epochs", "CPU-milliseconds", milliseconds)
    finish(ratio=ratio(rates, "pure", "learner"))


if __name__ == "__main__":
    main()
