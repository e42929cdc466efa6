"""From a checkpoint to a machine that has neither Ray nor torch: a policy's folder, and ONNX graphs in it.

How to run:     rllib train file tuned_configs/scal_mappo_l.yaml
                python examples/export_onnx.py ~/ray_results/scal_mappo_l_crossing --out policy
                (on the command line alone: safemarl export CHECKPOINT --out policy --onnx)
What to expect: the files that the machine needs, and an episode that ONNX Runtime drove; its actions are
                those of torch up to rounding.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from rllib_safemarl import load_policy, make_vector
from rllib_safemarl.policies import save_policy


def export(checkpoint: Path, out: Path) -> Path:
    """Write the policy's folder, ONNX graphs included; needs the extra ``export``."""
    from rllib_safemarl.cli.paths import newest_checkpoint

    is_policy = (checkpoint / "policy.json").is_file()
    policy = load_policy(checkpoint if is_policy else newest_checkpoint(str(checkpoint)))
    return save_policy(policy, out, onnx=True)


def drive(policy: Any, other: Any, env: Any, seed: int) -> tuple[float, float, float]:
    """An episode by ``policy``: return and cost, means over robots, and how far ``other``'s actions are."""
    agents, (kind,) = policy.team.agents, policy.team.kinds
    observation, totals, apart = env.reset(seed), np.zeros(2), 0.0
    while True:
        told = {
            "observations": dict(zip(agents, observation.values[kind.name][0], strict=True)),
            "positions": dict(zip(agents, observation.positions[0], strict=True)),
            "neighbours": {
                agent: [agents[j] for j in row if j >= 0]
                for agent, row in zip(agents, observation.edges[0], strict=True)
            },
        }
        actions, others = policy.act(**told), other.act(**told)
        apart = max(apart, *(float(np.abs(actions[agent] - others[agent]).max()) for agent in agents))
        step = env.step({kind.name: np.stack([actions[agent] for agent in agents])[None]})
        totals += step.reward.mean(), step.cost.sum(-1).mean()
        observation = step.observation
        if step.ending is not None:
            return float(totals[0]), float(totals[1]), apart


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="its folder, or that of a trial, experiment or policy")
    parser.add_argument("--out", type=Path, default=Path("policy"))
    parser.add_argument("--env-config", type=json.loads, default={}, help="JSON")
    given = parser.parse_args(arguments)
    folder = export(given.checkpoint, given.out)
    for file in sorted(folder.iterdir()):
        print(f"{file.name}: {file.stat().st_size / 1024:.0f} KiB")
    env = make_vector("safemarl/crossing", 1, **given.env_config)
    onnx, torch = load_policy(folder, runtime="onnx"), load_policy(folder)
    returned, cost, apart = drive(onnx, torch, env, seed=0)
    print(f"ONNX Runtime: return {returned:.2f}, cost {cost:.2f}; {apart:.0e} from torch's actions")


if __name__ == "__main__":
    main()
