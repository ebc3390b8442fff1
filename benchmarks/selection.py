"""How often the best of many worthless trials is called skill: prints the tables of docs/sweeps.md.

    python benchmarks/selection.py [POPULATIONS] [normal | history | finalists]

Normal returns of 960 bars without any edge, correlated alike; exposures drawn at random on the
sample's returns, which are wild and depend on each other, themselves drawn in blocks of 30 days.
Seeds were fixed beforehand.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from delever.research.choosing import Parts, Tried
from delever.research.finalists import finalists, finalists_of, tested_from
from delever.stats.inference import deflated_sharpe_ratio
from delever.stats.risk import kurtosis, skewness
from delever.stats.selection import effective_trials
from delever.stats.superior import best_of_many

SAMPLE = Path(__file__).parents[1] / "data" / "sample" / "btc_usd_1d.csv"
BARS, BLOCKS, SEED, YEAR, BLOCK = 960, 16, 5, 365.0, 30.0
LONG, STAYS = 3_000, (5, 20, 60)
COUNTS = (10, 100, 1_000)
Floats = np.ndarray


def tried_of(returns: Floats, market: Floats) -> Tried:
    """What a sweep keeps of trials, of returns of shape (trials, bars)."""
    index = pd.date_range("2012-01-01", periods=len(market), tz="UTC", name="open_time")
    parts = Parts.of(index, "1d", 0, ())
    first, last = np.array(list(parts.rows.values())).T

    def sums(made: Floats) -> Floats:
        own = np.stack([made, made**2, np.log1p(np.maximum(made, -0.99)), 0.0 * made], axis=-1)
        zero = np.zeros_like(own[..., :1, :])
        since = np.concatenate([zero, own.cumsum(axis=-2)], axis=-2)
        return since[..., last, :] - since[..., first, :]

    return Tried(
        parts=parts,
        sums=np.concatenate(
            [sums(some) for some in np.array_split(returns, len(returns) // 50 + 1)]
        ),
        begins=np.zeros(len(returns), dtype=int),
        benchmark=sums(market),
        periods_per_year=YEAR,
    )


def measured(returns: Floats) -> tuple[float, ...]:
    """Effective trials, and whether each of a sweep's measures calls the best skill."""
    bars = returns.shape[1]
    blocks = np.add.reduceat(returns, np.linspace(0, bars, BLOCKS + 1).astype(int)[:-1], axis=1)
    ratios = returns.mean(axis=1) / returns.std(axis=1, ddof=1)
    best = returns[int(ratios.argmax())]
    effective = effective_trials(blocks, draws=1_000)
    tested = best_of_many(blocks, draws=999)
    shape = {"skew": skewness(best), "kurtosis": kurtosis(best)}
    carried = float(np.corrcoef(best[1:], best[:-1])[0, 1])
    variance = max(float(ratios.var(ddof=1)), 1.0 / (bars - 1))
    family = {"variance": variance, "n_trials": effective, **shape}
    old, new = (
        deflated_sharpe_ratio(float(ratios.max()), bars, **family, **form)
        for form in ({}, {"form": "2026", "autocorrelation": carried})
    )
    chosen = tested.p_values[int(ratios.argmax())]
    told = (tested.p_value <= 0.05, chosen <= 0.05, old > 0.95, new > 0.95)
    return effective, *map(float, told)


def normal(rng: np.random.Generator, trials: int, rho: float) -> tuple[Floats, Floats]:
    """Trials without an edge above 0, and a market that they have nothing to do with."""
    own = rng.standard_normal((trials, BARS))
    common = rng.standard_normal((1, BARS))
    returns = 0.03 * (math.sqrt(rho) * common + math.sqrt(1.0 - rho) * own)
    return returns, 0.03 * rng.standard_normal(BARS)


def history() -> Floats:
    return pd.read_csv(SAMPLE)["close"].pct_change().to_numpy()[1:]


def resampled(rng: np.random.Generator) -> Floats:
    past, chosen = history(), []
    while len(chosen) < LONG:
        start, length = rng.integers(len(past)), rng.geometric(1.0 / BLOCK)
        chosen.extend((start + np.arange(length)) % len(past))
    return past[chosen[:LONG]]


def swung(rng: np.random.Generator, trials: int, shared: float) -> tuple[Floats, Floats]:
    """Long (1) or short (-1) at random, in a share of spells as all others are; and a market."""
    market = resampled(rng)
    stay = 1.0 / rng.choice(STAYS, size=(trials, 1))
    sides = (rng.random((trials, LONG)) < stay).cumsum(axis=1) + rng.integers(2, size=(trials, 1))
    alike = (rng.random(LONG) < 1.0 / STAYS[1]).cumsum() % 2
    spell = (rng.random(LONG) < 0.05).cumsum()
    sides = np.where(rng.random(LONG)[spell] < shared, alike, sides % 2)
    return 2.0 * sides - 1.0, market


def wild(rng: np.random.Generator, trials: int, shared: float) -> tuple[Floats, Floats]:
    """Their returns: of mean 0, whatever the market did."""
    sides, market = swung(rng, trials, shared)
    return sides * market, market


def rates(
    name: str, populations: int, draw: Callable[[np.random.Generator], tuple[Floats, Floats]]
) -> None:
    """A row of a table: how often each measure calls the best skill."""
    table = np.array(
        [measured(draw(np.random.default_rng([SEED, number]))[0]) for number in range(populations)]
    )
    shares = " | ".join(f"{100 * share:.1f} %" for share in table[:, 1:].mean(axis=0))
    print(f"| {name} | {float(f'{np.median(table[:, 0]):.2g}'):,g} | {shares} |", flush=True)


HEAD = "effective, median | greatest p <= 5 % | best p <= 5 % | deflated > 0.95 | form of 2026 |"


def put_to_the_test(rng: np.random.Generator, shared: float) -> float:
    """p-value of the finalists of 40 long or short exposures against cash."""
    sides, market = swung(rng, 40, shared)
    returns = np.expm1(sides * np.log1p(market))  # whose log growth has mean 0
    tried = tried_of(returns, market)
    chosen, first = finalists_of(tried), tested_from(tried)
    found = finalists(tried, chosen, returns[chosen, first:].T, 0.0 * market[first:])
    assert found is not None
    return found.consistent


def main(arguments: Sequence[str]) -> None:
    populations = int(arguments[0]) if arguments else 1_000
    which = arguments[1:] or ["normal", "history", "finalists"]
    if "normal" in which:
        print(f"| trials | correlation | {HEAD}\n|---:|---:|---:|---:|---:|---:|---:|")
        for trials in COUNTS:
            for rho in (0.0, 0.8):
                name = f"{trials:,} | {rho:g}"
                rates(name, populations, lambda rng, n=trials, r=rho: normal(rng, n, r))
    if "history" in which:
        print(f"\n| trials | days in common | {HEAD}\n|---:|---:|---:|---:|---:|---:|---:|")
        for trials in COUNTS[:2]:
            for shared in (0.0, 0.8):
                name = f"{trials:,} | {100 * shared:.0f} %"
                rates(name, populations, lambda rng, n=trials, s=shared: wild(rng, n, s))
    if "finalists" in which:
        for shared in (0.0, 0.8):
            tests = [
                put_to_the_test(np.random.default_rng([SEED + 1, number]), shared)
                for number in range(populations)
            ]
            share = 100 * np.mean(np.array(tests) <= 0.05)
            print(f"finalists, {100 * shared:.0f} % of days in common: rejects {share:.1f} %")


if __name__ == "__main__":
    main(sys.argv[1:])
