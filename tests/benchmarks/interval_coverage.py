"""How often intervals over 3, 5 and 10 seeds hold the truth, on synthetic runs of three shapes.

Usage: python tests/benchmarks/interval_coverage.py [--draws 1000], some minutes on one core
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from harness import finish
from scipy import stats

from rllib_safemarl.evaluation.statistics import STUDENT, Estimate, t_interval, wilson_interval
from rllib_safemarl.evaluation.statistics_bootstrap import (
    TRIM,
    bootstrap_interval,
    over_seeds,
    redraw,
)

SEEDS = (3, 5, 10)
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
SHAPES: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.normal(1.0, 2.0, shape),
    "skewed (exponential)": lambda rng, shape: rng.exponential(1.0, shape),
    "a quarter of the seeds fail": lambda rng, shape: (
        np.where(rng.random(shape) < 0.25, -3.0, 1.0) + rng.normal(0.0, 0.3, shape)
    ),
}


def plain_bootstrap(runs: np.ndarray) -> Estimate:
    """Percentiles as they are, not widened for few runs."""
    (drawn,) = redraw([len(runs)])
    low, high = np.percentile(stats.trim_mean(runs[drawn], TRIM, axis=1), [2.5, 97.5])
    return Estimate(float("nan"), low, high, len(runs))


def coverage(draw: Draw, shape: tuple[int, ...], method: Callable, draws: int, truth: float) -> float:
    """Share of the draws whose interval holds the truth."""
    rng = np.random.default_rng(0)
    intervals = (method(draw(rng, shape)) for _ in range(draws))
    return float(np.mean([estimate.low <= truth <= estimate.high for estimate in intervals]))


def main(draws: int) -> None:
    """Print one table, and as the last line the coverage of what tables use, by seeds, for normal runs."""
    print("Coverage of 95 % intervals over seeds; in bold the one that tables and figures show\n")
    print("| runs | seeds | Student, of means | bootstrap, plain | bootstrap, widened | widened, 3 tasks |")
    print("|---|---:|---:|---:|---:|---:|")
    used: dict[str, float] = {}
    for name, draw in SHAPES.items():
        many = draw(np.random.default_rng(1), (2_000_000,))
        mean, middle = float(many.mean()), float(stats.trim_mean(many, TRIM))
        for seeds in SEEDS:
            cells = [
                coverage(draw, (seeds,), t_interval, draws, mean),
                coverage(draw, (seeds,), plain_bootstrap, draws, middle),
                coverage(draw, (seeds,), lambda x: bootstrap_interval([x]), draws, middle),
                coverage(draw, (3, seeds), bootstrap_interval, draws // 4, middle),
            ]
            taken = 0 if over_seeds(range(seeds)).method == STUDENT else 2
            texts = [f"**{cell:.3f}**" if k == taken else f"{cell:.3f}" for k, cell in enumerate(cells)]
            print(f"| {name} | {seeds} | {' | '.join(texts)} |", flush=True)
            if name == "normal":
                used[f"seeds_{seeds}"] = cells[taken]
    print("\nWilson's interval of a rate, 100 episodes\n")
    print("| rate | coverage |\n|---:|---:|")
    for rate in (0.01, 0.1, 0.5):
        counts = np.random.default_rng(0).binomial(100, rate, draws)
        held = [e.low <= rate <= e.high for e in (wilson_interval(int(c), 100) for c in counts)]
        print(f"| {rate:g} | {np.mean(held):.3f} |")
    finish(**used)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    main(parser.parse_args().draws)
