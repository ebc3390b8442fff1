"""How often do intervals hold the truth, and how often do tests find what is not there?

    python benchmarks/interval_coverage.py [REPLICATIONS] [bars | families | periods]

Three kinds of null: markets of GARCH with Student-t shocks and jumps; the sample's daily returns,
drawn anew in blocks of 30 days; and the sample's own history, on which an exposure path is drawn at
random. On each of them every interval and test of `delever.stats` whose truth is known, and the
sign-flip test and its interval on payouts of random exposure paths; last, the latter on values of
other shapes. The seeds are the numbers of the replications, from 0 on.

An interval at 90 % should hold the truth in 87 to 93 % of the replications, and a test at 5 %
reject in 3 to 7 %. A wider interval or a test that rejects less is conservative: marked `+`. One
that keeps less than its promise by more than two binomial standard errors is marked `!`.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.research.differences import MEASURES
from delever.research.null_markets import GarchJumps, simulate_bars
from delever.stats.bootstrap import (
    Estimate,
    growth,
    growth_difference,
    sharpe,
    sharpe_difference,
)
from delever.stats.families import against, best_set, pairwise
from delever.stats.inference import probabilistic_sharpe_ratio
from delever.stats.performance import sharpe_ratio
from delever.stats.risk import kurtosis, skewness
from delever.stats.sign_flip import sign_flip

Floats = npt.NDArray[np.float64]
Judged = dict[str, tuple[float, float]]
"""By name: 1 where the interval missed the truth, 1 where the test rejected it; NaN where none."""

REPLICATIONS = 400
BARS = (250, 1_000, 5_000)
PERIODS = (6, 12, 20)
YEAR = 365.0
SAMPLE = Path(__file__).parents[1] / "data" / "sample" / "btc_usd_1d.csv"
PROCESS = GarchJumps(tails=5.0)
MARKET_BLOCK = 30.0
STAYS = (5, 20, 60)
WINDOW = 60


@cache
def history() -> Floats:
    return pd.read_csv(SAMPLE)["close"].pct_change().to_numpy()[1:]


@cache
def garch_moments() -> tuple[float, float, float]:
    """Mean, deviation and mean log of simple returns, from 2,000,000 bars."""
    rng = np.random.default_rng(2**31)
    returns = np.concatenate([garch(5_000, rng) for _ in range(400)])
    return float(returns.mean()), float(returns.std()), float(np.log1p(returns).mean())


def garch(bars: int, rng: np.random.Generator) -> Floats:
    seed = int(rng.integers(2**31))
    closes = simulate_bars(bars + 201, seed=seed, process=PROCESS)["close"].to_numpy()[200:]
    return np.diff(closes) / closes[:-1]


def resampled(bars: int, rng: np.random.Generator) -> Floats:
    chosen: list[int] = []
    while len(chosen) < bars:
        start, length = rng.integers(len(history())), rng.geometric(1.0 / MARKET_BLOCK)
        chosen.extend((start + np.arange(length)) % len(history()))
    return history()[chosen[:bars]]


def window(bars: int, rng: np.random.Generator) -> Floats:
    start = rng.integers(len(history()) - bars + 1)
    return history()[start : start + bars]


MARKETS: dict[str, Callable[[int, np.random.Generator], Floats]] = {
    "GARCH-t with jumps": garch,
    "resampled history": resampled,
    "random exposure": window,
}


def moments(kind: str) -> tuple[float, float, float]:
    if kind == "GARCH-t with jumps":
        return garch_moments()
    returns = history()
    return float(returns.mean()), float(returns.std()), float(np.log1p(returns).mean())


def exposure(bars: int, rng: np.random.Generator, low: float, high: float) -> Floats:
    """A path that leaves where it stands with the same probability on each bar."""
    stay = rng.choice(STAYS)
    switches = np.cumsum(rng.random(bars) < 1.0 / stay) + rng.integers(2)
    return np.where(switches % 2 == 0, low, high)


def of_bars(seed: int, kind: str, bars: int) -> Judged:
    rng = np.random.default_rng([seed, bars, list(MARKETS).index(kind)])
    market = MARKETS[kind](bars, rng)
    mean, deviation, log_mean = moments(kind)
    ratio, root = mean / deviation, math.sqrt(YEAR)
    one, two = (exposure(bars, rng, 0.0, 1.0) * market for _ in range(2))
    out = {}
    if kind == "random exposure":
        swung = exposure(bars, rng, -0.5, 0.5) * market
        truth = float((np.log1p(0.5 * market) + np.log1p(-0.5 * market)).mean()) / 2.0
        singles = swung, 0.0, truth
    else:
        singles = market, ratio * root, log_mean
        # Half the time in the market: half the mean, and the variance that this leaves.
        half = 0.5 * mean / math.sqrt(0.5 * deviation**2 + 0.25 * mean**2)
        out["Sharpe ratio less the market's"] = judged(
            sharpe_difference(one, market, YEAR, seed=seed), (half - ratio) * root
        )
        out["growth less the market's"] = judged(
            growth_difference(one, market, YEAR, seed=seed), -0.5 * log_mean * YEAR
        )
    for form in ("2012", "2026"):
        out[f"PSR of {form}, one-sided"] = doubted(singles[0], singles[1] / root, form)
    out["Sharpe ratio"] = judged(sharpe(singles[0], YEAR, seed=seed), singles[1])
    out["growth"] = judged(growth(singles[0], YEAR, seed=seed), singles[2] * YEAR)
    out["Sharpe ratio less another's"] = judged(sharpe_difference(one, two, YEAR, seed=seed), 0.0)
    out["growth less another's"] = judged(growth_difference(one, two, YEAR, seed=seed), 0.0)
    return out


def judged(found: Estimate, truth: float) -> tuple[float, float]:
    if math.isnan(found.low):
        return math.nan, math.nan
    missed = not found.low <= truth <= found.high
    return float(missed), float(found.p_value <= 0.05) if truth == 0.0 else math.nan


def of_families(seed: int, kind: str, bars: int) -> Judged:
    """Four exposure paths against a fifth, all drawn alike: whatever a family finds is false."""
    rng = np.random.default_rng([seed, bars, 5, list(MARKETS).index(kind)])
    market = MARKETS[kind](bars, rng)
    paths = np.stack([exposure(bars, rng, 0.0, 1.0) * market for _ in range(5)], axis=1)
    out = {}
    for measure in MEASURES:
        found = against(paths[:, :4], paths[:, 4], YEAR, measure=measure, seed=seed)
        for method in ("p_stepdown", "p_holm"):
            name = f"{measure}: any of four, {method.removeprefix('p_')}"
            out[name] = math.nan, float(found[method].min() <= 0.05)
        pairs = pairwise(paths, YEAR, measure=measure, seed=seed)
        out[f"{measure}: any of ten pairs, holm"] = math.nan, float(pairs["p_holm"].min() <= 0.05)
    out["all five in the set of the best"] = (
        float(best_set(paths, seed=seed).min() <= 0.1),
        math.nan,
    )
    return out


def doubted(returns: Floats, truth: float, form: str) -> tuple[float, float]:
    """Whether the probability of a Sharpe ratio above the true one is 95 % or more."""
    found = probabilistic_sharpe_ratio(
        sharpe_ratio(returns, 1.0),
        len(returns),
        threshold=truth,
        skew=skewness(returns),
        kurtosis=kurtosis(returns),
        form=form,
        autocorrelation=0.0
        if form == "2012"
        else float(np.corrcoef(returns[1:], returns[:-1])[0, 1]),
    )
    return math.nan, float(found >= 0.95)


def of_periods(seed: int, kind: str, periods: int) -> Judged:
    """Payouts of an exposure path drawn at random, one per window of a market."""
    rng = np.random.default_rng([seed, periods, 7, list(MARKETS).index(kind)])
    market = MARKETS[kind](2 * periods * WINDOW, rng)
    held = exposure(len(market), rng, 0.0, 1.0)
    logs = np.log1p(market).reshape(periods, 2 * WINDOW)[:, :WINDOW]
    payouts = ((held.reshape(periods, 2 * WINDOW)[:, :WINDOW] - 1.0) * logs).sum(axis=1)
    # Half the time in the market: half of what the market does is missed.
    each = logs.sum(axis=1).mean() if kind == "random exposure" else moments(kind)[2] * WINDOW
    return {"payout of random exposure": flipped(payouts, -0.5 * each, seed)}


def of_shapes(seed: int, periods: int) -> Judged:
    """Values of mean zero, of a few shapes."""
    rng = np.random.default_rng([seed, periods, 9])
    size = periods
    zero = rng.random(size) < 0.5
    drawn = {
        "normal": rng.standard_normal(size),
        "Student's t, 3 degrees": rng.standard_t(3, size),
        "Laplace, half of them zero": np.where(zero, 0.0, rng.laplace(size=size)),
        "normal, three in four zero": np.where(rng.random(size) < 0.75, 0.0, rng.normal(size=size)),
        "exponential (skew 2)": rng.exponential(size=size) - 1.0,
        "lognormal (skew 6)": rng.lognormal(0.0, 1.0, size) - math.exp(0.5),
        "one in five pays four times a premium": np.where(rng.random(size) < 0.2, 4.0, -1.0)
        + 0.1 * rng.standard_normal(size),
    }
    return {name: flipped(values, 0.0, seed) for name, values in drawn.items()}


def flipped(values: Floats, truth: float, seed: int) -> tuple[float, float]:
    found = sign_flip(values, mean=truth, seed=seed)
    missed = math.nan if math.isnan(found.low) else float(not found.low <= truth <= found.high)
    return missed, float(found.p_value <= 0.05)


def marked(share: float, low: float, high: float, count: int, *, more_is_safe: bool) -> str:
    """A share in percent with its mark."""
    if math.isnan(share):
        return "-"
    room = 2.0 * math.sqrt(share * (1.0 - share) / count)
    bad = share < low - room if more_is_safe else share > high + room
    safe = share > high if more_is_safe else share < low
    return f"{share:.1%}" + ("!" if bad else "+" if safe else "")


def table(title: str, found: dict[str, list[Judged]]) -> bool:
    """Print a row per interval or test and a column per size; whether all kept their promise."""
    print(f"\n{title}\n\n| |" + "".join(f" {size} |" for size in found))
    print("|---|" + "---:|" * len(found))
    kept = True
    for name in next(iter(found.values()))[0]:
        cells = []
        for rows in found.values():
            both = np.array([row[name] for row in rows])
            count = int((~np.isnan(both[:, 1])).sum()) or len(both)
            with np.errstate(invalid="ignore"):
                missed, rejected = (
                    float(column[~np.isnan(column)].mean())
                    if not np.isnan(column).all()
                    else math.nan
                    for column in both.T
                )
            held = marked(1.0 - missed, 0.87, 0.93, count, more_is_safe=True)
            size = marked(rejected, 0.03, 0.07, count, more_is_safe=False)
            cells.append(f"{held} / {size}")
            kept &= "!" not in cells[-1]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    return kept


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else REPLICATIONS
    parts = sys.argv[2:] or ["bars", "families", "periods"]
    begun = time.perf_counter()
    garch_moments()
    kept = True
    print(f"coverage at 90 % / rejections at 5 %, {count} replications")
    with ProcessPoolExecutor(2) as workers:

        def of(function: Callable[[int], Judged]) -> list[Judged]:
            return list(workers.map(function, range(count), chunksize=10))

        for kind in MARKETS if "bars" in parts else ():
            found = {f"{n:,} bars": of(partial(of_bars, kind=kind, bars=n)) for n in BARS}
            kept &= table(kind, found)
        for kind in MARKETS if "families" in parts else ():
            found = {f"{n:,} bars": of(partial(of_families, kind=kind, bars=n)) for n in BARS}
            kept &= table(f"families: {kind}", found)
        for kind in MARKETS if "periods" in parts else ():
            found = {f"{n} periods": of(partial(of_periods, kind=kind, periods=n)) for n in PERIODS}
            kept &= table(f"sign-flip: {kind}", found)
        if "periods" in parts:
            shapes = {f"{n} values": of(partial(of_shapes, periods=n)) for n in PERIODS}
            table("sign-flip: other shapes", shapes)
    print(f"\n{time.perf_counter() - begun:.0f} s")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
