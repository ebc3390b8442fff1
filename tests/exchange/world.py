"""What a pretended exchange knows: markets, their bars and readings, and its clock.

Everything is a function of a seed, or of a file, and nothing is filled: a row that is not in
`Market.times` does not exist at the venue.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pandas as pd

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
MONDAY = 4 * DAY
"""The first Monday after the epoch; where most venues let their weeks begin."""

Rows = tuple[np.ndarray, np.ndarray]
"""Stamps in ms, shape (n,), and values, shape (n, k)."""

_UNITS = {"m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}


def milliseconds(timeframe: str) -> int:
    """Length of a timeframe such as ``"4h"``."""
    return int(timeframe[:-1]) * _UNITS[timeframe[-1]]


def stamp(moment: str | int) -> int:
    """A moment, written in ISO or already in ms, as ms since the epoch."""
    if isinstance(moment, int):
        return moment
    when = pd.Timestamp(moment)
    when = when.tz_localize("UTC") if when.tz is None else when
    return int(when.as_unit("ns").value // 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One leverage bracket: up to `cap` of notional."""

    cap: float
    maintenance: float
    leverage: float


TIERS = (
    Tier(cap=2_000_000.0, maintenance=0.005, leverage=100.0),
    Tier(cap=10_000_000.0, maintenance=0.01, leverage=50.0),
    Tier(cap=50_000_000.0, maintenance=0.025, leverage=20.0),
    Tier(cap=200_000_000.0, maintenance=0.05, leverage=10.0),
)


@cache
def _parts(symbol: str) -> tuple[str, str, str | None, str]:
    """Base, quote, currency of settlement, and kind; rows ask for them one by one."""
    pair, _, settle = symbol.partition(":")
    base, quote = pair.split("/")
    if not settle:
        return base, quote, None, "spot"
    return base, quote, settle, "linear" if settle == quote else "inverse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One market as it truly is.

    Attributes
    ----------
    symbol : str
        Unified: ``BTC/USDT`` is spot, ``BTC/USDT:USDT`` a linear and ``BTC/USD:BTC`` an inverse
        perpetual.
    step : int
        Length of the finest bar, ms.
    times, bars : numpy.ndarray
        Open times in ms and open, high, low, close, volume of every bar that exists.
    funding_times, funding_rates : numpy.ndarray
        Exact settlement stamps in ms, and fractions per interval.
    funding_hours : int
        Interval of the funding.
    delisted : int or None
        When trading stopped, ms; the market is then listed as closed.
    bankruptcies : numpy.ndarray, shape (n, 2)
        Stamp in ms and amount of each settled bankruptcy.
    """

    symbol: str
    step: int
    times: np.ndarray
    bars: np.ndarray
    funding_times: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    funding_rates: np.ndarray = field(default_factory=lambda: np.empty(0))
    funding_hours: int = 8
    delisted: int | None = None
    bankruptcies: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    tiers: tuple[Tier, ...] = TIERS
    _cache: dict[tuple[str, int, int], Rows] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if len(self.times) == 0 or (np.diff(self.times) <= 0).any():
            raise ValueError(f"{self.symbol}: stamps must be there and strictly increasing")
        if self.bars.shape != (len(self.times), 5):
            raise ValueError(f"{self.symbol}: bars must be (n, 5); got {self.bars.shape}")

    @property
    def base(self) -> str:
        return _parts(self.symbol)[0]

    @property
    def quote(self) -> str:
        return _parts(self.symbol)[1]

    @property
    def settle(self) -> str | None:
        return _parts(self.symbol)[2]

    @property
    def kind(self) -> str:
        """``spot``, ``linear`` or ``inverse``."""
        return _parts(self.symbol)[3]

    @property
    def end(self) -> int:
        """When the last bar closes."""
        return int(self.times[-1]) + self.step

    def rows(self, price: str, step: int, anchor: int = MONDAY) -> Rows:
        """Every whole bar of a price at a timeframe.

        Parameters
        ----------
        price : str
            ``last``, ``mark``, ``index`` or ``premium``.
        step : int
            Bar length in ms, a multiple of the finest.
        anchor : int
            A stamp at which a bar opens; matters for weeks alone.
        """
        key = (price, step, anchor % step)
        if key not in self._cache:
            if step == self.step:
                self._cache[key] = self._finest(price)
            else:
                self._cache[key] = aggregate(*self.rows(price, self.step, anchor), step, anchor)
        return self._cache[key]

    def partial(self, price: str, step: int, anchor: int, opened: int, now: int) -> np.ndarray:
        """The bar that opened at `opened`, as it stands at `now`, before its close."""
        times, values = self.rows(price, self.step, anchor)
        inside = slice(np.searchsorted(times, opened), np.searchsorted(times, now, "right"))
        part_times, part = times[inside], values[inside].copy()
        age = now - int(part_times[-1])
        if age < self.step:
            first, volume = part[-1, 0], part[-1, 4]
            close = np.round(first + (part[-1, 3] - first) * age / self.step, 8)
            volume = np.round(volume * age / self.step, 8)
            part[-1] = (first, max(first, close), min(first, close), close, volume)
        _, bars = aggregate(part_times, part, step, anchor)
        return np.asarray(bars[-1])

    def _finest(self, price: str) -> Rows:
        if price == "last":
            return self.times, self.bars
        swing = np.sin(self.times * (2 * np.pi / (37 * DAY)))[:, None]
        nil = np.zeros((len(self.times), 1))
        if price == "premium":
            levels = np.round(4e-4 * np.sin((self.times[:, None] + [0, self.step]) / (3 * DAY)), 8)
            opened, closed = levels[:, :1], levels[:, 1:]
            high = np.maximum(opened, closed) + 1e-5
            low = np.minimum(opened, closed) - 1e-5
            return self.times, np.round(np.hstack([opened, high, low, closed, nil]), 8)
        size = {"mark": 2e-4, "index": 5e-4}[price]
        return self.times, np.hstack([np.round(self.bars[:, :4] * (1 + size * swing), 2), nil])

    def open_interest(self, times: np.ndarray) -> np.ndarray:
        """Amount in base units and notional, shape (n, 2), at any stamps."""
        amount = np.round(80_000 * (1 + 0.2 * np.sin(times / (29 * DAY)) + 0.01 * noise(times)), 3)
        at = np.clip(np.searchsorted(self.times, times), 0, len(self.times) - 1)
        return np.column_stack([amount, np.round(amount * self.bars[at, 0], 4)])

    def liquidated(self, times: np.ndarray) -> np.ndarray:
        """Notional of long and of short positions that were liquidated, shape (n, 2)."""
        size = np.maximum(0.0, noise(times + 1) - 0.2) * 2e6
        share = 0.5 + 0.5 * noise(times + 2)
        return np.round(np.column_stack([size * share, size * (1 - share)]), 2)

    def long_share(self, times: np.ndarray) -> np.ndarray:
        """Share of accounts that are long, 0 to 1, shape (n, 1)."""
        return np.round(0.5 + 0.1 * np.sin(times / (11 * DAY)) + 0.02 * noise(times), 4)[:, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Markets that every pretended venue may list, and the time it is there.

    Attributes
    ----------
    markets : tuple of Market
    now : int
        The venues' clock, ms; None means a second after the last bar has closed.
    """

    markets: tuple[Market, ...]
    now: int | None = None

    def __post_init__(self) -> None:
        if not self.markets:
            raise ValueError("a world needs at least one market")

    @property
    def clock(self) -> int:
        return max(market.end for market in self.markets) + 1_000 if self.now is None else self.now

    def market(self, symbol: str) -> Market:
        return next(market for market in self.markets if market.symbol == symbol)


def noise(times: np.ndarray) -> np.ndarray:
    """Numbers in -1..1 that are a fixed function of each stamp."""
    bits = np.asarray(times, np.int64).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bits ^= bits >> np.uint64(29)
    bits *= np.uint64(0xBF58476D1CE4E5B9)
    return (bits >> np.uint64(11)).astype(float) / 2.0**52 - 1.0


def volatility_index(times: np.ndarray, step: int) -> np.ndarray:
    """Open, high, low, close of an implied-volatility index in points, shape (n, 4)."""
    edges = np.round(55 + 15 * np.sin((times[:, None] + [0, step]) / (17 * DAY)), 2)
    return np.column_stack([edges[:, 0], edges.max(1) + 0.5, edges.min(1) - 0.5, edges[:, 1]])


def aggregate(times: np.ndarray, values: np.ndarray, step: int, anchor: int) -> Rows:
    """Bars of a coarser timeframe, one for every window that holds at least one bar."""
    window = (times - anchor) // step
    first = np.flatnonzero(np.diff(window, prepend=window[0] - 1))
    last = np.append(first[1:], len(times)) - 1
    out = np.column_stack(
        [
            values[first, 0],
            np.maximum.reduceat(values[:, 1], first),
            np.minimum.reduceat(values[:, 2], first),
            values[last, 3],
            np.round(np.add.reduceat(values[:, 4], first), 8),
        ]
    )
    return window[first] * step + anchor, out


def generate(
    symbol: str = "BTC/USDT:USDT",
    *,
    start: str | int = "2022-01-01",
    rows: int = 10_000,
    timeframe: str = "1m",
    seed: int = 7,
    price: float = 30_000.0,
    funding_hours: int = 8,
    absent: Iterable[tuple[str | int, str | int]] = (),
    delisted: str | int | None = None,
) -> Market:
    """Draw a market.

    Parameters
    ----------
    symbol : str
    start : str or int
        First open time.
    rows : int
        Bars from the first to the last, absent ones included.
    timeframe : str
        Of the finest bars.
    seed : int
        The same seed draws the same market.
    price : float
        First open.
    funding_hours : int
        1, 4 or 8; spot markets have none.
    absent : iterable of pairs
        Spans ``[from, to)`` in which the venue was down and no bar exists.
    delisted : str or int, optional
        Trading stops here; later rows do not exist.
    """
    rng = np.random.default_rng(seed)
    step = milliseconds(timeframe)
    times = stamp(start) + step * np.arange(rows, dtype=np.int64)
    edges = np.empty(rows + 1)
    edges[0] = 0.0
    np.cumsum(rng.normal(0.0, 3e-6 * step**0.5, rows), out=edges[1:])
    edges = np.round(price * np.exp(edges), 2)
    wick = np.abs(rng.normal(0.0, 2e-6 * step**0.5, (2, rows)))
    bars = np.empty((rows, 5))
    bars[:, 0], bars[:, 3] = edges[:-1], edges[1:]
    bars[:, 1] = np.round(np.maximum(edges[:-1], edges[1:]) * (1 + wick[0]), 2)
    bars[:, 2] = np.round(np.minimum(edges[:-1], edges[1:]) * (1 - wick[1]), 2)
    bars[:, 4] = np.round(rng.gamma(2.0, 20.0, rows), 3)
    until = int(times[-1]) if delisted is None else stamp(delisted) - 1
    keep = times <= until
    for since, to in absent:
        keep &= (times < stamp(since)) | (times >= stamp(to))
    settled = np.empty(0, np.int64)
    if ":" in symbol:
        every = funding_hours * HOUR
        settled = np.arange(-(-int(times[0]) // every) * every, until + 1, every, dtype=np.int64)
    days = np.arange(-(-int(times[0]) // DAY) * DAY, until + 1, DAY, dtype=np.int64)
    fell = days[rng.random(len(days)) < 0.3] + 28_800_041
    return Market(
        symbol=symbol,
        step=step,
        times=times[keep],
        bars=bars[keep],
        funding_times=settled,
        funding_rates=np.round(rng.normal(1e-4, 2e-4, len(settled)), 8),
        funding_hours=funding_hours,
        delisted=None if delisted is None else stamp(delisted),
        bankruptcies=np.column_stack([fell, np.round(rng.gamma(1.0, 5.0, len(fell)), 8)]),
    )
