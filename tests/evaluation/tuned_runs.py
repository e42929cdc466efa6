"""Folders as Tune and comparisons leave them, with results made up here."""

import json

import numpy as np


def curve(best, peak, limit=1.0, iterations=40, seed=0, noise=0.05):
    """Returns that rise to ``best`` and costs that fall from ``peak`` towards the limit."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0.0, 1.0, iterations)
    returns = best * (1.0 - 2.0 * np.exp(-6.0 * t)) + noise * rng.normal(size=iterations)
    costs = 0.8 * limit + 6.0 * peak * t * np.exp(-5.0 * t) + noise * rng.normal(size=iterations)
    costs = np.maximum(0.0, costs)
    multipliers = np.maximum(0.0, np.cumsum(costs - limit) / iterations)
    return returns, costs, multipliers


def results(returns, costs, multipliers, limit=1.0):
    """Tune's results, one per iteration; no episode has ended in the first."""
    lines = []
    for k, (ret, cost, multiplier) in enumerate(zip(returns, costs, multipliers, strict=True)):
        runners = {
            "num_env_steps_sampled_lifetime": 3200.0 * (k + 1),
            "episode_team_return_mean": ret if k else float("nan"),
            "episode_cost_mean": cost if k else float("nan"),
            "episode_cost_max_agent": 1.2 * cost if k else float("nan"),
            "episode_within_limit_share": float(np.exp(-cost / max(limit, 1e-9))) if k else float("nan"),
            "cost_limit": limit,
        }
        learners = {"__all_modules__": {"multiplier_mean": float(multiplier)}}
        times = {"training_iteration": k + 1, "time_total_s": 2.0 * (k + 1)}
        lines.append({**times, "env_runners": runners, "learners": learners})
    return lines


def write_tuned(folder, settings, lines):
    """A trial of Tune's."""
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps(settings))
    (folder / "result.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def write_sweep(folder, choices, seeds=3, iterations=40):
    """A trial for every choice of settings and every seed."""
    for k, choice in enumerate(choices):
        for seed in range(seeds):
            limit = choice.get("cost_limit", 1.0)
            kappa = choice.get("kappa", 1)
            best = 1.0 + 0.3 * min(kappa, 3) - 0.1 / max(limit, 0.1)
            drawn = curve(best, 4.0, limit, iterations, 10 * k + seed)
            settings = {"env": "safemarl/crossing", "seed": seed, "cost_limit": limit, "lr": 1e-3, **choice}
            write_tuned(folder / f"trial_{k}_{seed}", settings, results(*drawn, limit))
    return folder
