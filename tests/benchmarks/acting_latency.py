"""Actions of a team from its policy folder, by torch and by ONNX Runtime, against calling its RLModules.

SCAL_MAPPO_L on the crossing, four robots with networks of their own, one moment at a time. The folder's sides
begin with dicts of observations, as a robot has them; that of the RLModules begins with finished views, and
is what one writes without policy files: a forward pass, the mode, clipping. Weights are random, which costs
the same.
Usage: python tests/benchmarks/acting_latency.py
"""

from __future__ import annotations

import tempfile
from typing import Any

from harness import finish, in_turn, ratio, report, start_ray

MOMENTS = 300


def rl_modules(algo: Any, views: Any) -> Any:
    """One call of each robot's module per moment."""
    import numpy as np
    import torch
    from ray.rllib.core.columns import Columns

    modules = [algo.env_runner.module[name] for name in algo.team.policy_ids]

    def act() -> float:
        with torch.inference_mode():
            for _ in range(MOMENTS):
                for i, module in enumerate(modules):
                    out = module.forward_inference({Columns.OBS: torch.from_numpy(views[:, i])})
                    inputs = out[Columns.ACTION_DIST_INPUTS]
                    action = module.get_inference_action_dist_cls().from_logits(inputs).to_deterministic()
                    np.clip(action.sample().numpy()[0], -1.0, 1.0)
        return MOMENTS

    return act


def folder(policy: Any, seen: dict[str, Any]) -> Any:
    """One call of ``act`` per moment."""

    def act() -> float:
        for _ in range(MOMENTS):
            policy.act(**seen)
        return MOMENTS

    return act


def main() -> None:
    """Measure and print."""
    start_ray()
    from rllib_safemarl.algorithms import ScalMAPPOLConfig
    from rllib_safemarl.envs.registry import make_vector
    from rllib_safemarl.policies import load_policy, save_policy

    config = ScalMAPPOLConfig().environment("safemarl/crossing").safety(cost_limit=1.0)
    algo = config.build_algo()
    now = make_vector("safemarl/crossing", 1).reset(0)
    names = algo.team.agents
    seen = {
        "observations": dict(zip(names, now.values["robot"][0], strict=True)),
        "positions": dict(zip(names, now.positions[0], strict=True)),
        "neighbours": {
            name: [names[j] for j in row if j >= 0] for name, row in zip(names, now.edges[0], strict=True)
        },
    }
    policy = algo.team_policy()
    views = policy._views(now.values, now.values["robot"][..., 0] < 9e9, now.positions, now.edges)["robot"]
    with tempfile.TemporaryDirectory() as path:
        save_policy(policy, path + "/policy", onnx=True)
        sides = {
            "folder, torch": folder(load_policy(path + "/policy"), seen),
            "folder, ONNX Runtime": folder(load_policy(path + "/policy", runtime="onnx"), seen),
            "RLModules": rl_modules(algo, views),
        }
    rates = in_turn(sides, repeats=9)
    report("Acting, four robots, one moment at a time", "moments per CPU-second", rates)
    finish(
        torch_vs_rl_modules=ratio(rates, "folder, torch", "RLModules"),
        onnx_vs_rl_modules=ratio(rates, "folder, ONNX Runtime", "RLModules"),
        onnx_vs_torch=ratio(rates, "folder, ONNX Runtime", "folder, torch"),
    )
    algo.stop()


if __name__ == "__main__":
    main()
