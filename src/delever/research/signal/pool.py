"""Several markets on the bars they share, so that events of one date can count as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    """Signals on the n bars all their markets share."""

    signals: tuple[Signal, ...]  # one per market
    # open times of the shared bars, from the first to the last on which a signal could have come on
    # all markets
    index: pd.DatetimeIndex
    rows: tuple[Rows, ...]  # shape (n,) each: where those bars stand in each market
    event: Flags  # shape (n, symbols)
    volatility: Floats  # shape (n, symbols): per bar as known at its close


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardOutcomes:
    """What came after the first m shared bars: those whose horizon is complete on all markets."""

    horizon: int  # bars held
    event: Flags  # shape (m, symbols), as all that follow
    volatility: Floats
    forward: Floats  # see `forward_returns`
    adverse: Floats  # see `excursions`
    favourable: Floats

    def weights(self) -> Floats:
        """Weights of the distinct events."""
        return event_weights(self.event, self.horizon)


def pool_signals(signals: Sequence[Signal]) -> PooledSignals:
    """Bring signals of several markets to the bars they share.

    Raises InputError if there is none, timeframes differ, a symbol repeats, or no bar is shared.
    """
    timeframes = {signal.market.timeframe for signal in signals}
    symbols = [signal.market.symbol for signal in signals]
    if len(timeframes) != 1 or len(set(symbols)) < len(symbols):
        raise InputError(
            "a study needs at least one market, all of one timeframe and of different symbols; "
            f"got {', '.join(symbols) or 'none'} of {', '.join(sorted(timeframes)) or 'none'}"
        )
    volatility = [known_volatility(signal.market.bars["close"]) for signal in signals]
    shared = reduce(
        lambda one, other: one.intersection(other),
        [_span(signal, known) for signal, known in zip(signals, volatility, strict=True)],
    )
    if not len(shared):
        raise InputError(
            "a study needs bars on which the signal could have come on every market and "
            f"volatility is known; there are none ({', '.join(filter(None, symbols)) or 'unnamed'})"
            "; take longer data or a shorter warm-up"
        )
    rows = tuple(
        np.asarray(signal.market.index.get_indexer(shared), dtype=np.intp) for signal in signals
    )
    events = [signal.event.to_numpy(dtype=bool) for signal in signals]
    return PooledSignals(
        signals=tuple(signals),
        index=shared,
        rows=rows,
        event=np.column_stack([e[r] for e, r in zip(events, rows, strict=True)]),
        volatility=_side_by_side(volatility, rows),
    )


def _span(signal: Signal, volatility: pd.Series) -> pd.DatetimeIndex:
    """Bars from the first to the last on which the signal could have come."""
    able = np.flatnonzero((signal.known & (volatility > 0)).to_numpy(dtype=bool))
    return signal.market.index[able[0] : able[-1] + 1] if len(able) else signal.market.index[:0]


def forward_outcomes(pool: PooledSignals, horizon: int) -> ForwardOutcomes:
    """Forward returns and excursions of every shared bar whose horizon is complete.

    Raises InputError if there is no such bar.
    """
    tables = [
        excursions(bars, horizon).assign(forward=forward_returns(bars, [horizon])[horizon])
        for bars in (signal.market.bars for signal in pool.signals)
    ]
    after = {
        name: _side_by_side([table[name] for table in tables], pool.rows)
        for name in ("forward", "adverse", "favourable")
    }
    whole = int(np.isfinite(after["forward"]).all(axis=1).sum())
    if not whole:
        raise InputError(
            f"no bar has {horizon} bars after it on all markets; take a shorter horizon"
        )
    return ForwardOutcomes(
        horizon=horizon,
        event=pool.event[:whole],
        volatility=pool.volatility[:whole],
        **{name: values[:whole] for name, values in after.items()},
    )


def _side_by_side(columns: Sequence[pd.Series], rows: Sequence[Rows]) -> Floats:
    return np.column_stack(
        [
            column.to_numpy(dtype="float64")[place]
            for column, place in zip(columns, rows, strict=True)
        ]
    )
