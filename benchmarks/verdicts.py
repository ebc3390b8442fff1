"""What the first sentence of a run says of planted rules, on simulated markets.

    python -m benchmarks.verdicts [MARKETS]

Each market is GARCH with Student-t shocks and jumps, ten years of days; periods are drawn by rule.
Four rules meet it: one that leaves a day before each period and returns on its last day, its mirror
that is in only then, a constant half, and one that switches at random. Seeds were fixed before the
first run. Redrawn periods are asked on 99 markets, the timing test on 999 shifts.
"""

from __future__ import annotations

import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd

from delever.deleveraging.drawn import drawn_periods
from delever.engine.backtest import backtest
from delever.research.answer import answer
from delever.research.evaluation import evaluate
from delever.research.luck import timing_test
from delever.research.null_markets import simulate_bars
from delever.research.redrawn import Redrawing, redrawn_test
from delever.stats.intervals import wilson_interval
from delever.venues.costs import Costs
from delever.view import MarketView

BARS = 3_650
COSTS = Costs(taker_fee=0.001, slippage=0.0005)
EXPECTED = {
    "leaves a day before": "protective",
    "in only inside": "harmful",
    "constant half": "mechanical",
    "at random": "luck",
}


def exposures(market: pd.DataFrame, seed: int) -> dict[str, pd.Series]:
    """Target exposures of the four rules, decided at each close."""
    day = pd.Timedelta(days=1)
    outside = pd.Series(1.0, index=market.index)
    for period in drawn_periods(market["close"], "1d"):
        # Decided a day before the last close that is still outside.
        gone = (market.index >= period.start - 2 * day) & (market.index < period.end - day)
        outside[gone] = 0.0
    switches = np.random.default_rng([seed, 1]).random(BARS) < 1 / 60
    half = pd.Series(np.resize([0.5, 0.5 + 1e-9], BARS), index=market.index)
    return {
        "leaves a day before": outside,
        "in only inside": 1.0 - outside,
        "constant half": half,
        "at random": pd.Series((np.cumsum(switches) % 2).astype(float), index=market.index),
    }


def verdicts(seed: int) -> dict[str, str]:
    """The verdict on each rule, on one market."""
    bars = simulate_bars(BARS, seed=seed)
    market = MarketView(bars=bars, timeframe="1d")
    always = pd.Series(1.0, index=bars.index)
    held = backtest(bars, always, timeframe="1d", costs=COSTS, initial_target=1.0)
    periods = drawn_periods(bars["close"], "1d")
    found = {}
    for name, target in exposures(bars, seed).items():
        first = float(target.iloc[0])
        run = backtest(bars, target, timeframe="1d", costs=COSTS, initial_target=first)
        evaluation = evaluate(name=name, backtest=run, benchmark=held, bars=bars, periods=periods)
        redrawing = Redrawing(
            market=market,
            rule=lambda seen, target=target: target,
            benchmark_rule=lambda seen: always,
            backtest=run,
            benchmark=held,
        )
        said = answer(
            evaluation,
            bars["close"],
            "1d",
            timing=timing_test(run, held, periods, shifts=999),
            redrawn=redrawn_test(redrawing, markets=99),
            draws=100,
        )
        found[name] = said.verdict
    return found


def main() -> None:
    """Print how often each verdict was given to each rule."""
    markets = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with ProcessPoolExecutor() as pool:
        every = list(pool.map(verdicts, range(markets)))
    for name, expected in EXPECTED.items():
        said = Counter(one[name] for one in every)
        print(f"{name}: {expected} in {said[expected]} of {markets}; {dict(said)}")
    wrong = sum(one["at random"] == "protective" for one in every)
    low, high = wilson_interval(wrong, markets)
    print(f"luck called skill in {wrong} of {markets}: 95 % interval {low:.1%} to {high:.1%}")


if __name__ == "__main__":
    main()
