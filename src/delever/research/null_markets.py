"""Simulated markets without any memory of price levels, to measure false positives on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.errors import InputError
from delever.units import timeframe_delta


@dataclass(frozen=True, slots=True, kw_only=True)
class GarchJumps:
    """Parameters of the simulated log return of a bar.

    Raises InputError if a parameter lies outside its range.

    Notes
    -----
    The defaults resemble daily bitcoin: 3 % a day, volatility that halves its distance to the
    mean in about 35 days, and three jumps a year of some 8 %.
    GARCH: Bollerslev (1986), doi:10.1016/0304-4076(86)90063-1.
    """

    # unconditional standard deviation of the part without jumps, per bar, > 0
    volatility: float = 0.03
    # weights >= 0 of the last squared shock and the last variance; their sum < 1
    news: float = 0.08
    memory: float = 0.90
    jump_rate: float = 0.008  # probability of a jump per bar, in [0, 1]
    jump_size: float = 0.08  # standard deviation of a jump's log size, >= 0

    def __post_init__(self) -> None:
        if not (self.news >= 0 and self.memory >= 0 and self.news + self.memory < 1):
            raise InputError(
                "news and memory must be >= 0 and add up to less than 1; "
                f"got {self.news:g} and {self.memory:g}"
            )
        if not (self.volatility > 0 and 0 <= self.jump_rate <= 1 and self.jump_size >= 0):
            raise InputError(
                "volatility must be > 0, jump_rate in [0, 1] and jump_size >= 0; got "
                f"{self.volatility:g}, {self.jump_rate:g} and {self.jump_size:g}"
            )


def simulate_bars(
    bars: int,
    *,
    seed: int,
    process: GarchJumps | None = None,
    timeframe: str = "1d",
    start: str = "2010-01-04",
    price: float = 1_000.0,
) -> pd.DataFrame:
    """Bars of a market in which no level means anything.

    Notes
    -----
    ``r = -v / 2 + sqrt(v) z + jump``, ``v' = w + news * v z ** 2 + memory * v`` with
    ``w = volatility ** 2 (1 - news - memory)``: the price is a martingale but for the jumps'
    convexity, and the distribution of what comes depends on volatility alone, never on where
    the price stands. Given its open, close and variance, a bar's high and its low are each drawn
    as the extreme of a Brownian bridge, ``log(high / open) = (r + sqrt(r ** 2 - 2 v log u)) / 2``,
    but independently of each other.
    """
    if bars < 1:
        raise InputError(f"bars must be at least 1; got {bars}")
    chosen = process or GarchJumps()
    rng = np.random.default_rng(seed)
    shocks = rng.standard_normal(bars)
    jumps = (rng.random(bars) < chosen.jump_rate) * rng.normal(0.0, chosen.jump_size, bars)
    variance = _garch(shocks, chosen)
    returns = -variance / 2 + np.sqrt(variance) * shocks + jumps
    closes = math.log(price) + np.cumsum(returns)
    opens = closes - returns
    room = [-2 * variance * np.log(rng.random(bars)) for _ in range(2)]
    highs = opens + (returns + np.sqrt(returns**2 + room[0])) / 2
    lows = opens + (returns - np.sqrt(returns**2 + room[1])) / 2
    index = pd.date_range(
        pd.Timestamp(start, tz="UTC"), periods=bars, freq=timeframe_delta(timeframe), unit="ns"
    )
    columns = {"open": opens, "high": highs, "low": lows, "close": closes}
    frame = pd.DataFrame(
        {name: np.exp(values) for name, values in columns.items()}, index=index.rename("open_time")
    )
    return frame.assign(volume=np.nan)


def _garch(shocks: npt.NDArray[np.float64], process: GarchJumps) -> npt.NDArray[np.float64]:
    """Variance of each bar, from the unconditional one on."""
    level = process.volatility**2
    constant = level * (1 - process.news - process.memory)
    out = np.empty(len(shocks))
    now = level
    for row, shock in enumerate(shocks.tolist()):
        out[row] = now
        now = constant + now * (process.news * shock * shock + process.memory)
    return out
