"""Rules that say when a level breaks, and the same rules on levels that mean nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import MOST_SEED, whole_number
from delever.bars import close_times
from delever.errors import InputError
from delever.view import MarketView

__all__ = ["LevelRule", "Levels", "Side", "Signal", "placebo_factors"]

Flags = npt.NDArray[np.bool_]
Side: TypeAlias = Literal["below", "above"]
"""Where the price goes when it breaks a level."""

Levels: TypeAlias = Callable[[float], pd.Series]
"""From a factor to the level in force at each bar; 1 gives the level itself, 1.1 a placebo."""

_NEAREST, _FURTHEST = 0.01, 10.0
MOST_DRAWS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Events on one market, and where they come from."""

    market: MarketView  # the market; n bars
    event: pd.Series  # shape (n,): events as known at each bar's close
    # shape (n,): bars on which there could have been one; others are compared with nothing
    known: pd.Series
    # shape (n,): the level whose break makes an event, in quote units
    level: pd.Series | None = None
    # from a factor to the events, shape (n,), of the same rule on another level
    placebo: Callable[[float], Flags] | None = None
    side: Side = "below"  # where the price goes when it breaks the level

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
    """A level and when it counts as broken.

    Notes
    -----
    A break below: ``close[t] < level[t]`` after a close that was not below, ``close[t-1] >=
    level[t-1]`` (so an average that rises past the price is broken) or ``close[t-1] >= level[t]``
    (so a fall through one round number and then the next breaks both); and the next
    ``confirm - 1`` closes below ``level[t]``. The event is known at the last of them. A break
    above is the same upside down.
    """

    name: str  # what a report calls it
    # from a market to its `Levels`. Row t of a level may use everything known when bar t closes.
    levels: Callable[[MarketView], Levels]
    # closes of this coarser timeframe decide; None: those of the bars themselves
    timeframe: str | None = None
    side: Side = "below"  # where the price goes
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
        rows = market.close_time.searchsorted(close_times(seen.index, seen.timeframe))

        def events(factor: float) -> Flags:
            broken = _breaks(close, _values(levels(factor)), self.side, self.confirm)
            out = np.zeros(len(market.index), dtype=bool)
            out[rows[broken]] = True
            return out

        line = levels(1.0).shift(self.confirm - 1)
        level = line if seen is market else market.align(line, seen.timeframe)
        return Signal(
            market=market,
            event=pd.Series(events(1.0), index=market.index, name="event"),
            known=level.notna().rename("known"),
            level=level.rename("level"),
            placebo=events,
            side=self.side,
        )


def _breaks(
    close: npt.NDArray[np.float64], level: npt.NDArray[np.float64], side: Side, confirm: int
) -> Flags:
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


def _values(level: pd.Series) -> npt.NDArray[np.float64]:
    return level.to_numpy(dtype="float64")


def placebo_factors(draws: int, distance: float, seed: int) -> npt.NDArray[np.float64]:
    """What random nearby levels are to the level itself.

    Raises
    ------
    InputError
        If a parameter lies outside its range.

    References
    ----------
    Osler (2000), Support for resistance: technical analysis and intraday exchange rates, Federal
    Reserve Bank of New York Economic Policy Review 6(2), 53-68 (levels compared with arbitrary
    ones).
    """
    whole_number("draws", draws, 1, MOST_DRAWS)
    whole_number("seed", seed, 0, MOST_SEED)
    if not _NEAREST < distance <= _FURTHEST:
        raise InputError(
            f"distance must be above {_NEAREST} and at most {_FURTHEST}; got {distance!r}"
        )
    rng = np.random.default_rng(seed)
    return np.asarray(
        np.exp(rng.uniform(_NEAREST, distance, draws) * rng.choice([-1.0, 1.0], draws))
    )
