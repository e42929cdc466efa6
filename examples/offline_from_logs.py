"""Learning from your own logs: a CSV table becomes a dataset, and that a policy, without a simulator.

How to run:     python examples/offline_from_logs.py --folder logs
What to expect: logs/log.csv, as a data logger of three carts might have written it; logs/log.h5, which
                `safemarl data info logs/log.h5` describes; a line per iteration of MABC_SAFE, which imitates
                the episodes alone that kept to the limit; and how much the policy brakes near to and far from
                the cart ahead.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

COLUMNS = {
    "episode": "run",
    "step": "t",
    "agent": "cart",
    "observations": "[gap, speed]",
    "actions": "push",
    "reward": "metres",
    "costs": "{too_near: near}",
}
"""What a dataset needs → the table's columns."""


def write_log(path: Path, runs: int) -> None:
    """Carts behind one another; in every second run the drivers brake too late."""
    random, rows = np.random.default_rng(0), []
    for run in range(runs):
        careful = run % 2 == 0
        place, speed = -4.0 * np.arange(3) + random.uniform(-1.0, 1.0, 3), np.full(3, 1.5)
        for t in range(40):
            gap = np.concatenate([[10.0], place[:-1] - place[1:]])
            wanted = np.clip((gap - (1.5 if careful else 0.5)) * 0.8, 0.0, 2.0)
            push = np.clip(2.0 * (wanted - speed) + random.normal(0.0, 0.1, 3), -1.0, 1.0)
            if t % 20 > 14:
                push[0] = -1.0
            for cart in range(3):
                row = (run, t, f"cart_{cart}", gap[cart], speed[cart], push[cart], 0.1 * speed[cart])
                rows.append((*row, float(gap[cart] < 1.0)))
            speed = np.clip(speed + 0.3 * push, 0.0, 2.0)
            place = place + 0.1 * speed
    names = ["run", "t", "cart", "gap", "speed", "push", "metres", "near"]
    pd.DataFrame(rows, columns=names).to_csv(path, index=False)


def convert(table: Path, dataset: Path) -> None:
    """The same as on the command line: ``safemarl data convert log.csv log.h5 --columns "{…}"``."""
    mapping = "{" + ", ".join(f"{key}: {value}" for key, value in COLUMNS.items()) + "}"
    program = "from rllib_safemarl.cli.safemarl import main; main()"
    arguments = ["data", "convert", str(table), str(dataset), "--columns", mapping]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True)


def learn(dataset: Path, iterations: int, folder: Path) -> Path:
    """Clone the safe episodes, and return the checkpoint."""
    from rllib_safemarl.algorithms import MABCSafeConfig

    config = (
        MABCSafeConfig()
        .offline_data(input_=[str(dataset.resolve())], dataset_num_iters_per_learner=50)
        .multi_agent(policies={"cart"})
        .training(train_batch_size_per_learner=64, lr=2e-3, kappa=0)
        .rl_module(model_config={"fcnet_hiddens": [32, 32], "fcnet_activation": "tanh"})
        .safety(cost_limit=0.5)  # per run and cart
        .debugging(seed=0)
    )
    algorithm = config.build_algo()
    for iteration in range(1, iterations + 1):
        learnt = algorithm.train()["learners"]["__all_modules__"]
        print(f"iteration {iteration}: loss {learnt['total_loss']:.3f}")
    checkpoint = algorithm.save_to_path(str((folder / "checkpoint").resolve()))
    algorithm.stop()
    return Path(checkpoint)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("logs"))
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--iterations", type=int, default=20)
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    table, dataset = given.folder / "log.csv", given.folder / "log.h5"
    write_log(table, given.runs)
    convert(table, dataset)
    checkpoint = learn(dataset, given.iterations, given.folder)

    from rllib_safemarl import load_policy

    policy = load_policy(checkpoint)
    for gap in (1.2, 6.0):
        pushes = policy.act({f"cart_{i}": np.array([gap, 1.5], np.float32) for i in range(3)})
        print(f"{gap} m behind the next, at 1.5 m/s: push {float(pushes['cart_1'][0]):+.2f}")


if __name__ == "__main__":
    main()
