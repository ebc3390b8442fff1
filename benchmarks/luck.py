"""How often do the tests against luck find skill where there is none, and where there is some?

    python benchmarks/luck.py [MARKETS] [WORKERS]

Size: on 400 markets of each of three kinds both tests must reject at 5 % in at most 7 %. The kinds
are GARCH with Student's t shocks and jumps; real returns of the sample, redrawn in blocks; and the
real history itself, with a random exposure path. Power: on 100 GARCH markets with exposures that
leave a day before each drawn period, that are in only during them, that are a constant half, and
that are random. To be affordable each test draws 39 times, where a run draws 1,000 shifts and 400
markets: with 39, a p-value of exactly 5 % can be had. Redrawn runs that are all in or all out are
computed from closes and opens at once; on each market's own history they are held against the
engine's. Seeds were fixed before the first run. Ends with exit code 1 where a promise is broken.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numba import njit

from delever.deleveraging.drawn import drawn_inside, drawn_periods
from delever.deleveraging.membership import membership
from delever.engine.backtest import Backtest, backtest
from delever.research.luck import timing_test
from delever.research.null_markets import GarchJumps, resampled_bars, simulate_bars
from delever.research.redrawn import DrawnMarket, Redrawing, Rule, redrawn_test
from delever.venues.costs import Costs
from delever.view import MarketView

ROOT = Path(__file__).parents[1]
MARKETS, PLANTED = 400, 100
BARS, BEGIN = 2_000, 200
DRAWS = 39
SEED = 20_261_129
LEVEL = 0.05
MOST = 0.07
COSTS = Costs(taker_fee=0.001, slippage=0.0005)
PROCESS = GarchJumps(tails=5.0)
NULLS = (
    ("garch", "support breach"),
    ("blocks", "support breach"),
    ("real history", "random path"),
)
# Where exposures follow the very prices that periods are drawn on, the timing test has no null: its
# rate there shows what hindsight alone does. So it is also put to random exposures there.


class Found(NamedTuple):
    """P-values of one market, and whether both tests say better than most draws."""

    timing: float
    redrawn: float
    better: bool


@cache
def sample() -> pd.DataFrame:
    """The last bars of the embedded sample."""
    frame = pd.read_csv(ROOT / "data/sample/btc_usd_1d.csv", index_col=0, parse_dates=True)
    return frame.iloc[-BARS:]


def market_of(kind: str, number: int) -> MarketView:
    if kind == "garch":
        bars = simulate_bars(BARS, seed=SEED + number, process=PROCESS)
    elif kind == "blocks":
        bars = resampled_bars(sample(), "1d", "blocks", np.random.default_rng([SEED, 1, number]))
    else:
        bars = sample()
    return MarketView(bars=bars, timeframe="1d")


def random_path(index: pd.DatetimeIndex, number: int) -> pd.Series:
    """In the market for 90 days on average, then out for 30, and so on."""
    chance = np.random.default_rng([SEED, 2, number])
    lengths = chance.geometric(np.tile([1 / 90, 1 / 30], len(index)))
    state = np.tile([1.0, 0.0], len(index))
    return pd.Series(np.repeat(state, lengths)[: len(index)], index=index)


@njit
def latched(close: np.ndarray, level: np.ndarray) -> np.ndarray:
    out, broken = np.ones(len(close)), np.nan
    for row in range(len(close)):
        if np.isnan(broken) and close[row] < level[row]:
            broken = level[row]
        elif close[row] > broken:
            broken = np.nan
        out[row] = 1.0 if np.isnan(broken) else 0.0
    return out


def support(market: MarketView) -> pd.Series:
    """Out from a close below the lowest of 26 weeks to one above the level that broke."""
    close = market.bars["close"]
    level = close.rolling(182).min().shift().to_numpy()
    out = latched(close.to_numpy(), level)
    return pd.Series(out, index=market.index).where(~np.isnan(level))


def held(market: MarketView) -> pd.Series:
    return pd.Series(1.0, index=market.index)


def fixed(target: pd.Series) -> Rule:
    """Exposures that keep their dates."""
    return lambda market: target


class AllOrNothing(Redrawing):
    """Runs that are fully in or fully out, without the engine."""

    __slots__ = ()

    def on(self, market: MarketView) -> DrawnMarket:
        inside, periods = drawn_inside(
            market.bars["close"], market.timeframe, since=market.index[BEGIN]
        )
        if not periods:
            return DrawnMarket(np.nan, 0)
        prices = np.log(market.bars[["open", "close"]].to_numpy())
        own, benchmark = (
            log_returns(prices, rule(market).to_numpy()) for rule in (self.rule, held)
        )
        found = DrawnMarket(float((own - benchmark)[inside[BEGIN:]].sum()) / periods, periods)
        if market is self.market:
            engine = super().on(market)
            assert np.isclose(found.payout, engine.payout, rtol=0.0, atol=1e-9), (found, engine)
        return found


def log_returns(prices: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Of each bar of a run, from logs of open and close; a fill pays fee and slippage."""
    opens, closes = prices[BEGIN:].T
    before = prices[BEGIN - 1 : -1, 1]
    now = target[BEGIN - 1 : -1] == 1.0
    ago = np.append(False, now[:-1])
    buy = np.log((1.0 + COSTS.slippage) * (1.0 + COSTS.fee))
    sell = np.log((1.0 - COSTS.slippage) * (1.0 - COSTS.fee))
    stayed = np.where(ago, closes - before, 0.0)
    return np.where(
        now, np.where(ago, stayed, closes - opens - buy), np.where(ago, opens - before + sell, 0.0)
    )


def run_of(market: MarketView, rule: Rule) -> Backtest:
    target = rule(market)
    return backtest(
        market.bars.iloc[BEGIN:],
        target.iloc[BEGIN:],
        timeframe="1d",
        costs=COSTS,
        initial_target=float(target.iloc[BEGIN - 1]),
        earlier=market.bars.iloc[:BEGIN],
    )


def tested(market: MarketView, rule: Rule, number: int) -> Found:
    run, benchmark = run_of(market, rule), run_of(market, held)
    periods = drawn_periods(market.bars["close"], "1d", since=market.index[BEGIN])
    timing = timing_test(run, benchmark, periods, shifts=DRAWS, seed=number)
    simple = np.isin(rule(market).to_numpy()[BEGIN:], (0.0, 1.0)).all()
    redrawing = (AllOrNothing if simple else Redrawing)(
        market=market, rule=rule, benchmark_rule=held, backtest=run, benchmark=benchmark
    )
    redrawn = redrawn_test(redrawing, markets=DRAWS, seed=SEED + number)
    better = min(timing.share_worse, redrawn.share_worse) > 0.5
    return Found(timing.p_value, redrawn.p_value, better)


def null_case(number: int, kind: str, name: str) -> Found:
    market = market_of(kind, number)
    path = fixed(random_path(market.index, number))
    return tested(market, support if name == "support breach" else path, number)


def timing_case(number: int, kind: str) -> float:
    market = market_of(kind, number)
    run = run_of(market, fixed(random_path(market.index, number)))
    periods = drawn_periods(market.bars["close"], "1d", since=market.index[BEGIN])
    return timing_test(run, run_of(market, held), periods, shifts=DRAWS, seed=number).p_value


def planted_case(number: int, name: str) -> Found:
    market = market_of("garch", 10_000 + number)
    index = market.index
    periods = drawn_periods(market.bars["close"], "1d", since=index[BEGIN])
    inside = membership(index, "1d", periods).to_numpy()
    during = np.append(inside[1:], False)  # decided at the close before the period's first bar
    leaves = during | np.append(during[1:], False)
    targets = {
        "leaves a day before": 1.0 - leaves,
        "is in only during": during.astype(float),
        "constant half": np.full(len(index), 0.5),
        "random path": random_path(index, 10_000 + number).to_numpy(),
    }
    return tested(market, fixed(pd.Series(targets[name], index=index)), number)


def rates(title: str, name: str, cases: Callable[[int], Found], number: int) -> list[float]:
    """Print how often each test rejects, and give the rates."""
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    begun = time.perf_counter()
    with ProcessPoolExecutor(workers) as pool:
        table = pd.DataFrame(list(pool.map(cases, range(number), chunksize=5))).dropna()
    rejects = table[["timing", "redrawn"]] <= LEVEL + 1e-12
    better = rejects.all(axis=1) & table["better"]
    shares = [*rejects.mean().tolist(), float(better.mean())]
    line = "".join(f"{share:>13.1%}" for share in shares)
    spent = time.perf_counter() - begun
    print(f"{title:14}{name:22}{len(table):>8}{line}   {spent:.0f} s", flush=True)
    return shares


def main() -> int:
    markets = int(sys.argv[1]) if len(sys.argv) > 1 else MARKETS
    kept = True
    print(f"{BARS} daily bars, {DRAWS} shifts and {DRAWS} redrawn markets; share rejected at 5 %")
    for kind in ("garch", "blocks"):
        with ProcessPoolExecutor() as pool:
            found = pd.Series(
                pool.map(partial(timing_case, kind=kind), range(markets), chunksize=5)
            )
        share = float((found.dropna() <= LEVEL + 1e-12).mean())
        print(f"{kind:14}{'random path':22}{found.count():>8}{share:>13.1%}", flush=True)
        kept &= share <= MOST
    heads = ("timing", "redrawn", "both, better")
    print(f"{'market':14}{'exposure':22}{'tested':>8}" + "".join(f"{each:>13}" for each in heads))
    for kind, name in NULLS:
        timing, redrawn, _ = rates(kind, name, partial(null_case, kind=kind, name=name), markets)
        kept &= redrawn <= MOST and (name != "random path" or timing <= MOST)
    for name in ("leaves a day before", "is in only during", "constant half", "random path"):
        rates("planted", name, partial(planted_case, name=name), min(markets, PLANTED))
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
