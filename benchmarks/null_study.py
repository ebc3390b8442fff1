"""How often does a signal study find something where there is nothing?

    python benchmarks/null_study.py [MARKETS]

Simulates markets of daily bars (GARCH with jumps) in which no level means anything, studies
breaks of levels on each of them, and counts how often the comparison over 30 bars rejects at 5 %.
The first 200 seeds are the promise: every rule must reject in 3 to 7 % of the markets on which it
broke often enough to be tested. A second table plants an effect, to show that the study can see.
Last, one study of each rule is timed. Ends with exit code 1 where a promise is broken.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import pandas as pd

from delever.research.null_markets import simulate_bars
from delever.research.signal.level_break import LevelRule
from delever.research.signal.level_rules import RULES
from delever.research.signal.study import StudyDesign, study_signal
from delever.view import MarketView

MARKETS = 200
BARS = 4_000
DRAWS = 1_000
PROMISE = (0.03, 0.07)
SECONDS = 10.0
AGAINST = ("all", "matched", "placebo")


def rules() -> dict[str, LevelRule]:
    return {
        "rolling_low": RULES["rolling_low"](),
        "round_number": RULES["round_number"](),
        "average (100 weeks)": RULES["average"](weeks=100),
    }


def p_values(seed: int, rule: str, drift: float = 0.0) -> dict[str, float]:
    """Of one market; with a drift, the 30 bars after each break gain it on top."""
    watched = rules()[rule]
    bars = simulate_bars(BARS, seed=seed)
    if drift:
        bars = with_effect(bars, watched, drift)
    signal = watched.on(MarketView(bars=bars, timeframe="1d"))
    design = StudyDesign(horizons=(30,), decides=30, draws=DRAWS, seed=seed)
    study = study_signal([signal], name=rule, design=design)
    return {against: float(study.comparisons["p_value"][30, against]) for against in AGAINST}


def with_effect(bars: pd.DataFrame, rule: LevelRule, drift: float) -> pd.DataFrame:
    """Raise prices by `drift` spread over the 30 bars after each break, break by break."""
    lifted = bars.copy()
    done = -1
    while True:
        event = rule.on(MarketView(bars=lifted, timeframe="1d")).event.to_numpy()
        ahead = np.flatnonzero(event[done + 1 :])
        if not len(ahead):
            return lifted
        row = done + 1 + int(ahead[0])
        ramp = np.clip(np.arange(len(bars)) - row, 0, 30) / 30
        factor = np.exp(drift * ramp)
        for name in ("high", "low", "close"):
            lifted[name] *= factor
        lifted["open"] *= np.append(1.0, factor[:-1])
        lifted["high"] = lifted[["open", "high", "low", "close"]].max(axis=1)
        lifted["low"] = lifted[["open", "high", "low", "close"]].min(axis=1)
        done = row + 30


def shares(markets: int, rule: str, drift: float = 0.0) -> tuple[int, dict[str, float]]:
    """Markets tested, and the share of them that each comparison rejects at 5 %."""
    with ProcessPoolExecutor(2) as workers:
        found = pd.DataFrame(
            workers.map(partial(p_values, rule=rule, drift=drift), range(markets), chunksize=5)
        ).dropna()
    return len(found), (found <= 0.05).mean().to_dict()


def main() -> int:
    markets = int(sys.argv[1]) if len(sys.argv) > 1 else MARKETS
    kept = True
    for title, drift, number in (
        ("no effect", 0.0, markets),
        ("10 % planted over the 30 bars after a break", 0.10, min(markets, 50)),
    ):
        print(f"{title}; {number} markets of {BARS} bars, {DRAWS} placebo levels")
        print(f"{'rule':22}{'tested':>8}" + "".join(f"{name:>10}" for name in AGAINST))
        for rule in rules():
            begun = time.perf_counter()
            tested, rejected = shares(number, rule, drift)
            spent = time.perf_counter() - begun
            figures = "".join(f"{rejected[name]:>10.1%}" for name in AGAINST)
            print(f"{rule:22}{tested:>8}{figures}   {spent:.0f} s", flush=True)
            kept &= bool(drift) or PROMISE[0] <= rejected["placebo"] <= PROMISE[1]
    print(f"one study, horizons 7, 30 and 90, {DRAWS} placebo levels, {BARS} bars")
    market = MarketView(bars=simulate_bars(BARS, seed=5).assign(volume=1.0), timeframe="1d")
    for name in sorted(set(RULES) - {"prices", "shutdown"}):
        begun = time.perf_counter()
        study_signal([RULES[name]().on(market)], name=name, design=StudyDesign(draws=DRAWS))
        spent = time.perf_counter() - begun
        print(f"{name:22}{spent:>8.1f} s", flush=True)
        kept &= spent < SECONDS
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
