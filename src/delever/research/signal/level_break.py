"""Events on a market, and the rule that makes one of a level that breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from delever.arguments import Flags, Floats
from delever.bars import close_times
from delever.errors import InputError
from delever.view import MarketView

Side: TypeAlias = Literal["below", "above"]
"""Where the price goes when it breaks a level."""

Levels: TypeAlias = Callable[[float], pd.Series]
"""From a factor to the level in force at each bar; 1 gives the level itself, 1.1 a placebo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Events on one market of n bars, and where they come from."""

    market: MarketView
    event: pd.Series  # shape (n,): events as known at each bar's close
    known: pd.Series  # shape (n,): bars on which there could have been one
    level: pd.Series | None = None  # shape (n,): whose break makes an event, quote units
    # from a factor to the multiples of the level that the same rule breaks, shape (n,), quote
    # units; NaN on bars without a break
    placebo: Callable[[float], Floats] | None = None
    side: Side = "below"
    # from the same market at other prices to the signal on it; None: the events stay where they are
    again: Callable[[MarketView], Signal] | None = None

    def on(self, market: MarketView) -> Signal:
        """The same signal on the same bars at other prices."""
        return replace(self, market=market) if self.again is None else self.again(market)

    def __post_init__(self) -> None:
        for name in ("event", "known", "level"):
            series = getattr(self, name)
            if series is not None and not series.index.equals(self.market.index):
                raise InputError(
                    f"{name} of {self.market.symbol or 'the signal'} must have one row per bar of "
                    f"its market; got {len(series)} for {len(self.market.index)}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelRule:
    """A level and when it counts as broken, as docs/signal-studies.md says of a break below."""

    name: str  # what a report calls it
    # from a market to its `Levels`. Row t of a level may use everything known when bar t closes.
    levels: Callable[[MarketView], Levels]
    # closes of this coarser timeframe decide; None: those of the bars themselves
    timeframe: str | None = None
    side: Side = "below"
    confirm: int = 1  # closes beyond the level in a row, >= 1, the breaking one included

    def __post_init__(self) -> None:
        if self.confirm < 1:
            raise InputError(f"confirm of {self.name} must be at least 1; got {self.confirm}")

    def on(self, market: MarketView) -> Signal:
        """Watch the level on a market."""
        seen = market
        if self.timeframe not in (None, market.timeframe):
            coarse = str(self.timeframe)
            seen = MarketView(bars=market.resample(coarse), timeframe=coarse, symbol=market.symbol)
        levels, close = self.levels(seen), seen.bars["close"].to_numpy(dtype="float64")
        known = close_times(seen.index, seen.timeframe)
        rows = market.close_time.searchsorted(known)
        since = known > market.index[0]  # earlier bars of a coarser timeframe had closed before

        def broken(factor: float) -> Floats:
            level = levels(factor).to_numpy(dtype="float64")
            out = np.full(len(market.index), np.nan)
            breaks = _breaks(close, level, self.side, self.confirm) & since
            out[rows[breaks]] = level[np.flatnonzero(breaks) + 1 - self.confirm]
            return out

        line = levels(1.0).shift(self.confirm - 1)
        level = line if seen is market else market.align(line, seen.timeframe)
        return Signal(
            market=market,
            event=pd.Series(np.isfinite(broken(1.0)), index=market.index, name="event"),
            known=level.notna().rename("known"),
            level=level.rename("level"),
            placebo=broken,
            side=self.side,
            again=self.on,
        )


def _breaks(close: Floats, level: Floats, side: Side, confirm: int) -> Flags:
    sign = 1.0 if side == "below" else -1.0
    gap, before = sign * (close - level), sign * (close[:-1] - level[1:])
    broken = gap < 0
    broken[1:] &= (before >= 0) | (gap[:-1] >= 0)
    broken[:1] = False
    for later in range(1, confirm):
        stays = np.zeros(len(close), dtype=bool)
        stays[:-later] = sign * (close[later:] - level[:-later]) < 0
        broken &= stays
    out = np.zeros(len(close), dtype=bool)
    out[confirm - 1 :] = broken[: len(close) - confirm + 1]
    return out
