"""Markets without any memory of price levels, to measure false positives on.

They are simulated from nothing but a process, or drawn again from the bars of a real one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from delever.arguments import Floats
from delever.errors import InputError
from delever.units import timeframe_delta

Kind = Literal["random signs", "blocks", "garch"]
"""How a real market is drawn again to see what a run owes to luck."""

KINDS: tuple[Kind, ...] = get_args(Kind)

NullKind = Literal[
    "garch", "random signs", "drifting signs", "heston", "reversed blocks", "long blocks"
]
"""How a real market is drawn again to see how often a study finds what is not there."""

NULL_KINDS: tuple[NullKind, ...] = get_args(NullKind)

BLOCK_DAYS = 20
"""Mean length of a block."""

LONG_BLOCK_DAYS = 250

DRIFT, CYCLE_DAYS = 0.001, 1_461
"""Of "drifting signs": the most that a day drifts, and the days from one high of it to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GarchJumps:
    """Parameters of the simulated log return of a bar.

    Raises InputError if a parameter lies outside its range.

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
    tails: float = math.inf  # degrees of freedom of Student's t shocks, > 2; normal by default

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
        if not self.tails > 2:
            raise InputError(f"tails must be above 2 degrees of freedom; got {self.tails:g}")


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

    ``r = -v / 2 + sqrt(v) z + jump``, ``v' = w + news * v z ** 2 + memory * v`` with
    ``w = volatility ** 2 (1 - news - memory)``: the price is a martingale but for the jumps'
    convexity, and the distribution of what comes depends on volatility alone, never on where
    the price stands. Given its open, close and variance, a bar's high and its low are each drawn
    as the extreme of a Brownian bridge, ``log(high / open) = (r + sqrt(r ** 2 - 2 v log u)) / 2``,
    but independently of each other.
    """
    if bars < 1:
        raise InputError(f"bars must be at least 1; got {bars}")
    moves = _simulated(np.random.default_rng(seed), bars, process or GarchJumps())
    index = pd.date_range(
        pd.Timestamp(start, tz="UTC"), periods=bars, freq=timeframe_delta(timeframe), unit="ns"
    )
    return _frame(moves, math.log(price), index.rename("open_time")).assign(volume=np.nan)


def resampled_bars(
    bars: pd.DataFrame,
    timeframe: str,
    kind: Kind | NullKind,
    rng: np.random.Generator,
    *,
    begin: int = 0,
) -> pd.DataFrame:
    """Bars of another market with the index, drift and volatility of a real one.

    Bars before `begin`, the run's first, only warm indicators up and are drawn from themselves;
    volume is left where it is. The first three kinds are those of docs/methods.md; of the others:

    drifting signs
        Random signs, and on top a drift that rises and falls slowly: a sine of 0.1 % a day and four
        years, from a random place of its cycle on.
    heston
        Volatility that reverts to its mean within months and rises when the price falls, with the
        mean and standard deviation of the run. Heston (1993), doi:10.1093/rfs/6.2.327.
    reversed blocks
        Blocks of 20 days in random order, the bars of each from the last to the first.
    long blocks
        As blocks, of 250 days on average.

    Raises InputError if a price is not a finite number above 0, or there are fewer than three bars
    from `begin` on.
    """
    prices = bars[["open", "high", "low", "close"]].to_numpy(dtype=np.float64)
    if len(prices) - begin < 3 or not (np.isfinite(prices).all() and (prices > 0).all()):
        raise InputError(
            "a market drawn again must have three bars or more, with finite prices above 0"
        )
    log = np.log(prices)
    before = np.append(log[0, 0], log[:-1, 3])
    moves = log - before[:, None]
    if kind in {"garch", "heston"}:
        drawn = _alike(rng, moves, timeframe, begin, kind)
    else:
        parts = [part for part in (moves[:begin], moves[begin:]) if len(part)]
        length = max(
            1.0, (LONG_BLOCK_DAYS if kind == "long blocks" else BLOCK_DAYS) / _days(timeframe)
        )
        drawn = np.concatenate([_DRAWN[kind](rng, part, length) for part in parts])
    if kind == "drifting signs":
        turns = (np.arange(len(drawn)) * _days(timeframe) / CYCLE_DAYS + rng.random()) * 2 * math.pi
        drift = DRIFT * _days(timeframe) * np.sin(turns)
        # The close moves, and what must stay beyond it with it.
        drawn += np.column_stack([0 * drift, np.maximum(drift, 0), np.minimum(drift, 0), drift])
    made = _frame(drawn, log[0, 0], pd.DatetimeIndex(bars.index))
    if "volume" in bars:
        made["volume"] = bars["volume"].to_numpy()
    return made


def _signed(rng: np.random.Generator, moves: Floats, _: float) -> Floats:
    """Bars turned about the mean return at random."""
    twice = 2.0 * float(moves[:, 3].mean())
    turned = -moves[:, [0, 2, 1, 3]]
    # The close moves by twice the mean, and what must stay beyond it with it.
    turned += np.array([0.0, max(twice, 0.0), min(twice, 0.0), twice])
    return np.where(rng.random(len(moves))[:, None] < 0.5, turned, moves)


def _blocks(rng: np.random.Generator, moves: Floats, length: float) -> Floats:
    """Bars in blocks of geometric length, going on at the first bar after the last."""
    size = len(moves)
    begins = rng.random(size) < 1.0 / length
    begins[0] = True
    at = np.flatnonzero(begins)
    first = rng.integers(0, size, len(at))
    which = np.cumsum(begins) - 1
    rows = (first[which] + np.arange(size) - at[which]) % size
    drawn: Floats = moves[rows]
    return drawn


def _reversed_blocks(rng: np.random.Generator, moves: Floats, length: float) -> Floats:
    """Bars in blocks of one length, the blocks shuffled and each turned end to end."""
    size = len(moves)
    blocks = np.array_split(np.arange(size), max(1, round(size / length)))
    rows = np.concatenate([blocks[place][::-1] for place in rng.permutation(len(blocks))])
    drawn: Floats = moves[rows]
    return drawn


_DRAWN = {
    "random signs": _signed,
    "drifting signs": _signed,
    "blocks": _blocks,
    "long blocks": _blocks,
    "reversed blocks": _reversed_blocks,
}


def _alike(
    rng: np.random.Generator, moves: Floats, timeframe: str, begin: int, kind: str
) -> Floats:
    """Simulated bars with the mean and standard deviation of the run's."""
    run = moves[begin:, 3]
    deviation, drift = float(run.std()), float(run.mean())
    if kind == "heston":
        made = _heston(rng, len(moves), deviation, drift, _days(timeframe))
    else:
        process = process_like(deviation, _days(timeframe))
        made = _simulated(rng, len(moves), process, drift=drift)
    ends = moves[:, [0, 3]]
    if (moves[:, 1] == ends.max(axis=1)).all() and (moves[:, 2] == ends.min(axis=1)).all():
        made[:, 1], made[:, 2] = np.maximum(made[:, 3], 0.0), np.minimum(made[:, 3], 0.0)
    return made


def process_like(deviation: float, days: float) -> GarchJumps:
    """The default process of days, for bars of so many days with such a deviation."""
    daily = GarchJumps()
    jumps = daily.jump_rate * daily.jump_size**2
    scale = deviation / math.sqrt(days * (daily.volatility**2 + jumps))
    lasting = (daily.news + daily.memory) ** days
    news = min(daily.news * math.sqrt(days), lasting / 2)
    return GarchJumps(
        volatility=max(daily.volatility * math.sqrt(days) * scale, 1e-12),
        news=news,
        memory=lasting - news,
        jump_rate=min(daily.jump_rate * days, 1.0),
        jump_size=daily.jump_size * scale,
        tails=5.0,
    )


def _days(timeframe: str) -> float:
    return timeframe_delta(timeframe) / pd.Timedelta(days=1)


def _simulated(
    rng: np.random.Generator, bars: int, process: GarchJumps, drift: float | None = None
) -> Floats:
    """Logs of open, high, low and close over the close before, shape (bars, 4).

    With a drift, it is the mean log return; without, the price is a martingale.
    """
    if math.isinf(process.tails):
        shocks = rng.standard_normal(bars)
    else:
        shocks = rng.standard_t(process.tails, bars) * math.sqrt(1.0 - 2.0 / process.tails)
    jumps = (rng.random(bars) < process.jump_rate) * rng.normal(0.0, process.jump_size, bars)
    variance = _garch(shocks, process)
    returns = (-variance / 2 if drift is None else drift) + np.sqrt(variance) * shocks + jumps
    return _with_extremes(rng, returns, variance)


def _heston(
    rng: np.random.Generator, bars: int, deviation: float, drift: float, days: float
) -> Floats:
    """A bar's variance reverts by a fiftieth of its distance a day, shocked against the return."""
    level, back = deviation**2, min(0.5, days / 50)
    spread, against = math.sqrt(1.5 * back * level), -0.5
    shocks = rng.standard_normal((bars, 2))
    news = against * shocks[:, 0] + math.sqrt(1 - against**2) * shocks[:, 1]
    variance, now = np.empty(bars), level
    for row, shock in enumerate(news.tolist()):
        variance[row] = now = max(now, 0.0)
        now += back * (level - now) + spread * math.sqrt(now) * shock
    variance = np.maximum(variance, level / 100)
    return _with_extremes(rng, drift + np.sqrt(variance) * shocks[:, 0], variance)


def _with_extremes(rng: np.random.Generator, returns: Floats, variance: Floats) -> Floats:
    """Logs of open, high, low and close, the extremes those of a Brownian bridge."""
    room = [-2 * variance * np.log(rng.random(len(returns))) for _ in range(2)]
    highs = (returns + np.sqrt(returns**2 + room[0])) / 2
    lows = (returns - np.sqrt(returns**2 + room[1])) / 2
    return np.column_stack([np.zeros(len(returns)), highs, lows, returns])


def _frame(moves: Floats, start: float, index: pd.DatetimeIndex) -> pd.DataFrame:
    """Bars from their logs over the close before, and the log of the price they start from."""
    closes = start + np.cumsum(moves[:, 3])
    prices = np.exp(np.append(start, closes[:-1])[:, None] + moves)
    prices[:, 3] = np.exp(closes)
    # The last digit of a logarithm must not leave an end outside its bar.
    prices[:, 1] = prices.max(axis=1)
    prices[:, 2] = prices.min(axis=1)
    return pd.DataFrame(prices, index=index, columns=["open", "high", "low", "close"])


def _garch(shocks: Floats, process: GarchJumps) -> Floats:
    """Variance of each bar, from the unconditional one on."""
    level = process.volatility**2
    constant = level * (1 - process.news - process.memory)
    out = np.empty(len(shocks))
    now = level
    for row, shock in enumerate(shocks.tolist()):
        out[row] = now
        now = constant + now * (process.news * shock * shock + process.memory)
    return out
