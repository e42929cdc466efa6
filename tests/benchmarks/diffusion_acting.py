"""Actions per second of the tuned DIFFUSION_CBF for one agent, against the published MADiff configuration.

Both are built from our own parts: the networks of ``tuned_configs/offline/diffusion_cbf_crossing.yaml``,
and of MADIFF with ``preset="published"`` (U-Net of width 128, windows of 24 moments, four robots, ω = 1.2).
Weights are random, which costs the same. Ours is measured twice: where nothing has to be projected, and
where every action has and none can be made to keep the condition, which costs most. In closed loop it is few
(``planning/projected_share`` of examples/results/diffusion_cbf_crossing); both are weighed by the largest
share there. Of MADiff's 200 DDPM steps a few passes of its U-Net alone
are timed and multiplied, without sampler, conditions or inverse dynamics; 15 steps of DDIM are whole
actions.
Usage: python tests/benchmarks/diffusion_acting.py
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from harness import finish, in_turn, ratio, report, start_ray

JOB = Path(__file__).parents[2] / "tuned_configs" / "offline" / "diffusion_cbf_crossing.yaml"
ACTIONS, PASSES, STEPS = 100, 2, 200
"""Of a round: our actions, passes of the U-Net; steps of a published action."""
PROJECTED = 0.081
"""Share of projected actions in the ring, the largest of the table's environments."""


def policy_of(config: Any) -> Any:
    """A planning policy with the networks of a config, weights random."""
    import torch

    torch.manual_seed(0)
    module = config.get_multi_rl_module_spec(inference_only=True).build()
    (name,) = module.keys()
    return module[name].policy


def config_of(cls: type, **changes: Any) -> Any:
    """The tuned job's config as one of another class, as far as it has a meaning there."""
    import yaml

    (job,) = yaml.safe_load(JOB.read_text()).values()
    settings = {**job["config"], "input_": str(JOB.parent / job["config"]["input_"]), **changes}
    return cls().update_from_dict(settings)


def views(policy: Any, count: int = ACTIONS) -> Any:
    """What one robot sees, ``[count, 1, V]``, with every slot taken."""
    import torch

    layout = policy.planner.layout
    seen = torch.randn(count, 1, layout.width)
    _, slots = layout.sets.split(seen)
    slots[..., layout.present] = 1.0
    return layout.sets.join(seen[..., : layout.sets.own_size], slots)


def ours(offset: float) -> Any:
    """The tuned configuration, whose barrier is lowered by ``offset``."""
    import torch

    from rllib_safemarl.algorithms import DiffusionCBFConfig

    policy = policy_of(config_of(DiffusionCBFConfig))
    policy.planner.scores[0] = offset
    policy.planner.rate.fill_(0.5)
    for parameter in policy.planner.acting_denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    seen = views(policy)

    def act() -> float:
        with torch.inference_mode():
            for view in seen:
                policy.act(view)
        return len(seen)

    act()
    for view in seen[:10]:
        policy.planner.settings["projection"] = False
        wanted = policy.act(view)
        policy.planner.settings["projection"] = True
        changed = not torch.equal(policy.act(view), wanted)
        assert changed == (offset > 0.0), "not the case that is to be measured"
    return act


def published() -> dict[str, Any]:
    """MADiff's U-Net alone, and whole actions by DDIM."""
    import torch

    from rllib_safemarl.algorithms import MADiffConfig

    explicit = {"denoiser": "paper_scale", "denoiser_settings": {}, "n_plans": 1}
    config = config_of(MADiffConfig, preset="published", **explicit)
    assert config.plan_horizon == 23, "the job's own goes before the published one"
    policy = policy_of(config)
    planner = policy.planner
    planner.team_size.fill_(4)
    policy.planner.settings |= {"solver": "ddim", "solver_steps": 15}
    seen = views(policy, 1)[0]
    # Twice the team: with and without condition.
    windows = torch.randn(2, *planner.window_shape)
    told = planner.told(torch.zeros(2, 2), torch.ones(2, planner.layout.slots))
    size = sum(p.numel() for p in planner.acting_denoiser.parameters()) / 1e6
    print(f"MADiff's U-Net: {size:.1f} M parameters, windows {tuple(planner.window_shape)}")

    def passes() -> float:
        with torch.inference_mode():
            for _ in range(PASSES):
                planner.acting_denoiser(windows, torch.full((2,), 100), told[0], None, told[1])
        return PASSES / STEPS

    def ddim() -> float:
        with torch.inference_mode():
            policy.act(seen)
        return 1.0

    return {"MADiff, 200 DDPM steps, U-Net alone": passes, "MADiff, 15 DDIM steps": ddim}


def main() -> None:
    """Measure and print."""
    start_ray()
    free, projected = "ours, nothing to project", "ours, every action projected"
    sides = {free: ours(-0.99), projected: ours(0.99), **published()}
    rates = in_turn(sides)
    medians = report("Acting, one agent, one core", "actions per CPU-second", rates)
    print(f"\nload of the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs\n")
    ddpm, ddim = list(sides)[2:]
    seconds = (1.0 - PROJECTED) / medians[free] + PROJECTED / medians[projected]
    print(f"\nours, {PROJECTED:.0%} of the actions projected: {1.0 / seconds:.0f} actions per CPU-second\n")
    finish(
        actions_per_s=1.0 / seconds,
        actions_per_s_all_projected=medians[projected],
        vs_madiff_ddpm200=ratio(rates, projected, ddpm),
        vs_madiff_ddim15=ratio(rates, projected, ddim),
    )


if __name__ == "__main__":
    main()
