"""Deleveraging detected causally, by a plain drawdown or by how fast the price falls.

Row t of everything here holds only what was known when bar t closed, so it may be used as a
signal. Nothing was fitted to the catalogue of periods. The default is the plain one: what is more
involved is not clearly better (`benchmarks/detector.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from delever.arguments import Flags
from delever.bars import close_times
from delever.deleveraging.period import Period
from delever.errors import InputError
from delever.frames import utc_index
from delever.signals.clock import bars_in
from delever.signals.volatility import check_prices, fall_speed


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawdown:
    """On while the close stands far below the highest of the last days, on any timeframe.

    Raises InputError if a parameter lies outside its range.
    """

    days: float = 20  # whose highest close the fall is measured from, > 0
    fall: float = 0.20  # a deeper one turns the state on, and a shallower one off, in (0, 1)

    def __post_init__(self) -> None:
        if not 0 < self.days < 36_500:
            raise InputError(f"days of the drawdown must lie above 0; got {self.days:g}")
        if not 0 < self.fall < 1:
            raise InputError(f"fall of the drawdown must lie in (0, 1); got {self.fall:g}")

    def on(self, close: pd.Series) -> Flags:
        """State of each bar."""
        highest = close.rolling(pd.Timedelta(days=self.days), min_periods=1).max()
        on: Flags = (close < (1 - self.fall) * highest).to_numpy(dtype=bool)
        return on


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """How fast the price falls, by its own volatility, with hysteresis.

    Raises InputError if a parameter lies outside its range.
    """

    # bars over which a fall is measured, >= 1. A week of daily bars: long enough for a cascade of
    # several days, short enough to forget the last one.
    fall_bars: int = 7
    # bars of the volatility the fall is measured by, >= 2; they end where the fall's begin. A
    # quarter of daily bars.
    volatility_bars: int = 90
    # A fall of more than this many standard deviations turns the state on, > `exit`. In a driftless
    # Gaussian walk observed continuously, a fall from the highest point of the window exceeds z
    # deviations with probability ``2 * (1 - Phi(z))``: 0.27 % of the time for 3. Bitcoin's tails
    # are fatter.
    enter: float = 3.0
    # A fall of less than this many deviations is calm, > 0. The same walk is calm 68 % of the time
    # for 1.
    exit: float = 1.0
    calm_bars: int = 3  # so many calm bars in a row turn the state off, >= 1

    def __post_init__(self) -> None:
        for name, least in (("fall_bars", 1), ("volatility_bars", 2), ("calm_bars", 1)):
            value = getattr(self, name)
            if value < least:
                raise InputError(f"{name} of the detector must be at least {least}; got {value}")
        if not 0 < self.exit < self.enter < float("inf"):
            raise InputError(
                "exit and enter of the detector must satisfy 0 < exit < enter; "
                f"got exit {self.exit:g} and enter {self.enter:g}"
            )

    def in_days(self, timeframe: str) -> Detector:
        """The same on bars of this timeframe, its numbers of bars taken for days."""
        spans = ("fall_bars", "volatility_bars", "calm_bars")
        return replace(self, **{name: bars_in(getattr(self, name), timeframe) for name in spans})

    def on(self, close: pd.Series) -> Flags:
        """State of each bar: on below ``-enter``, off after `calm_bars` in a row above ``-exit``.

        A bar with an undefined speed changes nothing and is not calm.
        """
        speed = fall_speed(
            close, fall_bars=self.fall_bars, volatility_bars=self.volatility_bars
        ).to_numpy()
        state = np.zeros(len(speed), dtype=bool)
        on, calm = False, 0
        for bar, value in enumerate(speed):
            if value < -self.enter:
                on, calm = True, 0
            elif on:
                calm = calm + 1 if value > -self.exit else 0
                on = calm < self.calm_bars
            state[bar] = on
        return state


def detect(close: pd.Series, detector: Drawdown | Detector | None = None) -> pd.Series[bool]:
    """Whether the market was deleveraging, as known at each bar's close.

    By default while the close stands more than 20 % below its highest of 20 days.

    Raises InputError if a close is not a finite number above 0; SchemaError if the stamps carry no
    time zone.

    Notes
    -----
    State t depends on closes up to t alone, and on their ratios alone, so the unit of price is
    free.

    Examples
    --------
    >>> days = pd.date_range("2020-01-01", periods=6, tz="UTC")
    >>> close = pd.Series([100, 101, 100, 80, 79, 82.0], index=days)
    >>> detect(close).tolist()
    [False, False, False, True, True, False]
    """
    utc_index(close.index, "open_time", "closes")
    check_prices(close)
    return pd.Series(
        (detector or Drawdown()).on(close), index=close.index, name="deleveraging", dtype=bool
    )


def detected_periods(
    state: pd.Series[bool], close: pd.Series, timeframe: str
) -> tuple[Period, ...]:
    """Turn a detected state into periods that could have been acted upon.

    Raises InputError if `close` has another index than `state`; SchemaError if the stamps carry no
    time zone.
    """
    if not state.index.equals(close.index):
        raise InputError("state and close must have the same bars; align one to the other")
    opens = utc_index(state.index, "open_time", "state")
    closes = close_times(opens, timeframe)
    values = close.to_numpy(dtype="float64")
    last = len(opens) - 1
    found = []
    for first, after in _runs(state.to_numpy(dtype=bool)):
        end = min(after, last)
        if end == first:
            continue
        trough = first + 1 + int(np.argmin(values[first + 1 : end + 1]))
        found.append(
            Period(
                id=f"detected-{closes[first]:%Y-%m-%dT%H:%M}",
                title=f"Detected at {closes[first]:%Y-%m-%d %H:%M} UTC",
                start=closes[first],
                trough=opens[trough],
                end=closes[end],
                cause="Detected causally from closes.",
            )
        )
    return tuple(found)


def _runs(state: np.ndarray) -> list[tuple[int, int]]:
    """First row of each run of True, and the row after its last."""
    edges = np.diff(state.astype(np.int8), prepend=0, append=0)
    firsts, afters = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [(int(first), int(after)) for first, after in zip(firsts, afters, strict=True)]
