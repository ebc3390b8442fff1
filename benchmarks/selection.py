"""How often the best of many worthless trials is called skill: prints the table of docs/sweeps.md.

    python benchmarks/selection.py [POPULATIONS]

Normal returns of 960 bars without any edge, correlated alike; the seed was fixed beforehand.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np

from delever.stats.inference import deflated_sharpe_ratio
from delever.stats.selection import chance_of_best, effective_trials

BARS, BLOCKS, SEED = 960, 16, 5
FAMILIES = tuple((trials, rho) for trials in (10, 100, 1_000) for rho in (0.0, 0.5, 0.8, 0.95))


def population(chance: np.random.Generator, trials: int, rho: float) -> tuple[float, ...]:
    """Effective trials, and whether each of the measures calls the best skill."""
    own = chance.standard_normal((trials, BARS), dtype=np.float32)
    common = chance.standard_normal((1, BARS), dtype=np.float32)
    returns = np.float32(math.sqrt(rho)) * common + np.float32(math.sqrt(1.0 - rho)) * own
    ratios = (returns.mean(axis=1) / returns.std(axis=1, ddof=1)).astype(float)
    effective = effective_trials(returns.reshape(trials, BLOCKS, -1).sum(axis=2), draws=1_000)
    best, across = float(ratios.max()), float(ratios.var(ddof=1))
    floored = max(across, 1.0 / (BARS - 1))
    deflated = [
        deflated_sharpe_ratio(best, BARS, variance=variance, n_trials=effective)
        for variance in (floored, across)
    ]
    small = chance_of_best(best, BARS, n_trials=effective) < 0.05
    return effective, float(small), *(float(each > 0.95) for each in deflated)


def main(arguments: Sequence[str]) -> None:
    populations = int(arguments[0]) if arguments else 1_000
    print(
        "| trials | correlation | effective, median | chance below 5 % | deflated above 0.95 "
        "| the same without the floor |\n|---:|---:|---:|---:|---:|---:|"
    )
    for trials, rho in FAMILIES:
        chance = np.random.default_rng([SEED, trials, round(100 * rho)])
        found = np.array([population(chance, trials, rho) for _ in range(populations)])
        shares = " | ".join(f"{100 * share:.1f} %" for share in found[:, 1:].mean(axis=0))
        print(
            f"| {trials:,} | {rho:g} | {float(f'{np.median(found[:, 0]):.2g}'):,g} | {shares} |",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
