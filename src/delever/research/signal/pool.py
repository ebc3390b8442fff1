"""Several markets on one calendar, on which each has its bars and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import pandas as pd

from delever.arguments import Flags, Floats, Rows
from delever.errors import InputError
from delever.research.signal.contrast import event_weights, known_volatility
from delever.research.signal.forward import excursions, forward_returns
from delever.research.signal.level_break import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledSignals:
    """Signals on the n bars that any of their markets has."""

    signals: tuple[Signal, ...]  # one per market
    # open times of all bars that some market has, from its first to its last on which the signal
    # could have come
    index: pd.DatetimeIndex
    # one per market: where in `index` those bars stand, and where in the market
    places: tuple[Rows, ...]
    rows: tuple[Rows, ...]
    event: Flags  # shape (n, symbols)
    volatility: Floats  # shape (n, symbols): per bar as known at its close; NaN without one

    def watching(self, signals: Sequence[Signal]) -> PooledSignals:
        """The same calendar with other signals on the same bars."""
        pool = replace(self, signals=tuple(signals))
        volatility = [known_volatility(signal.market.bars["close"]) for signal in signals]
        return replace(
            pool,
            event=pool.flags(lambda signal: signal.event.to_numpy(dtype=bool)),
            volatility=np.column_stack(
                [
                    pool.spread(column, known.to_numpy(dtype="float64"))
                    for column, known in enumerate(volatility)
                ]
            ),
        )

    def on(self, index: pd.DatetimeIndex) -> PooledSignals:
        """The same signals on a calendar that holds this one."""
        at = np.asarray(index.get_indexer(self.index), dtype=np.intp)
        wider = replace(self, index=index, places=tuple(at[places] for places in self.places))
        return wider.watching(self.signals)

    def spread(self, column: int, values: Floats) -> Floats:
        """Values of one market's bars on the common calendar, NaN where it has none."""
        out = np.full((len(self.index), *values.shape[1:]), np.nan)
        out[self.places[column]] = values[self.rows[column]]
        return out

    def flags(self, of: Callable[[Signal], Flags]) -> Flags:
        """Flags of the bars of each market on the common calendar, False where it has none."""
        out = np.zeros((len(self.index), len(self.signals)), dtype=bool)
        for column, signal in enumerate(self.signals):
            out[self.places[column], column] = of(signal)[self.rows[column]]
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardOutcomes:
    """What came after the n bars; NaN where a market's horizon is not complete."""

    horizon: int  # bars held
    there: (
        Flags  # shape (n, symbols), as all that follow: whether a return and volatility are known
    )
    event: Flags  # on the bars that are there
    volatility: Floats
    forward: Floats  # see `forward_returns`
    adverse: Floats  # see `excursions`
    favourable: Floats

    def weights(self) -> Floats:
        """Weights of the events that count."""
        return event_weights(self.event, self.horizon)


def pool_signals(signals: Sequence[Signal]) -> PooledSignals:
    """Bring signals of several markets to one calendar.

    Raises InputError if there is none, timeframes differ, a symbol repeats, or on no bar a signal
    could have come and volatility is known.
    """
    timeframes = {signal.market.timeframe for signal in signals}
    symbols = [signal.market.symbol for signal in signals]
    if len(timeframes) != 1 or len(set(symbols)) < len(symbols):
        raise InputError(
            "a study needs at least one market, all of one timeframe and of different symbols; "
            f"got {', '.join(symbols) or 'none'} of {', '.join(sorted(timeframes)) or 'none'}"
        )
    volatility = [known_volatility(signal.market.bars["close"]) for signal in signals]
    spans = [_span(signal, known) for signal, known in zip(signals, volatility, strict=True)]
    index = reduce(lambda one, other: one.union(other), spans)
    if not len(index):
        raise InputError(
            "a study needs bars on which the signal could have come and volatility is known; "
            f"there are none ({', '.join(filter(None, symbols)) or 'unnamed'}); take longer data "
            "or a shorter warm-up"
        )
    pool = PooledSignals(
        signals=(),
        index=index,
        places=tuple(_rows(index, span) for span in spans),
        rows=tuple(
            _rows(signal.market.index, span) for signal, span in zip(signals, spans, strict=True)
        ),
        event=np.zeros((0, 0), dtype=bool),
        volatility=np.zeros((0, 0)),
    )
    return pool.watching(signals)


def _rows(index: pd.DatetimeIndex, span: pd.DatetimeIndex) -> Rows:
    return np.asarray(index.get_indexer(span), dtype=np.intp)


def _span(signal: Signal, volatility: pd.Series) -> pd.DatetimeIndex:
    """Bars from the first to the last on which the signal could have come."""
    able = np.flatnonzero((signal.known & (volatility > 0)).to_numpy(dtype=bool))
    return signal.market.index[able[0] : able[-1] + 1] if len(able) else signal.market.index[:0]


def forward_outcomes(pool: PooledSignals, horizon: int) -> ForwardOutcomes:
    """Forward returns and excursions of every bar of the calendar.

    Raises InputError if on no market a horizon is complete.
    """
    markets = [signal.market.bars for signal in pool.signals]

    def spread(columns: Iterable[pd.Series]) -> Floats:
        values = (one.to_numpy(dtype="float64") for one in columns)
        return np.column_stack([pool.spread(column, own) for column, own in enumerate(values)])

    after = {"forward": spread(forward_returns(bars, [horizon])[horizon] for bars in markets)}
    met = [excursions(bars, horizon) for bars in markets]
    after |= {name: spread(table[name] for table in met) for name in ("adverse", "favourable")}
    there = np.isfinite(after["forward"]) & (pool.volatility > 0)
    if not there.any():
        raise InputError(f"no bar has {horizon} bars after it; take a shorter horizon")
    return ForwardOutcomes(
        horizon=horizon,
        there=there,
        event=pool.event & there,
        volatility=np.where(there, pool.volatility, np.nan),
        **after,
    )
