"""Several markets on the bars they share, so that events of one date can count as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.errors import InputError
from delever.research.signal.contrast import event_weights, known_volatility
from delever.research.signal.forward import excursions, forward_returns
from delever.research.signal.level_break import Signal

__all__ = ["ForwardOutcomes", "PooledSignals", "forward_outcomes", "placebo_breaks", "pool_signals"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledSignals:
    """Signals on the bars all their markets share."""

    signals: tuple[Signal, ...]  # one per market
    # shape (n,): open times of the shared bars, from the first to the last on which a signal could
    # have come on all markets
    index: pd.DatetimeIndex
    rows: tuple[npt.NDArray[np.intp], ...]  # shape (n,): where those bars stand in each market
    event: Flags  # shape (n, symbols): the events
    volatility: Floats  # shape (n, symbols): per bar as known at its close


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardOutcomes:
    """What came after each shared bar, as far as the horizon is complete on all markets."""

    horizon: int  # bars held
    # shape (m, symbols): as in `forward_returns` and `excursions`, for the first m shared bars
    forward: Floats
    adverse: Floats  # shape (m, symbols)
    favourable: Floats  # shape (m, symbols)


def pool_signals(signals: Sequence[Signal]) -> PooledSignals:
    """Bring signals of several markets to the bars they share.

    Raises
    ------
    InputError
        If there is none, timeframes differ, a symbol repeats, or no bar is shared.
    """
    timeframes = {signal.market.timeframe for signal in signals}
    symbols = [signal.market.symbol for signal in signals]
    if len(timeframes) != 1 or len(set(symbols)) < len(symbols):
        raise InputError(
            "a study needs at least one market, all of one timeframe and of different symbols; "
            f"got {', '.join(symbols) or 'none'} of {', '.join(sorted(timeframes)) or 'none'}"
        )
    volatility = [known_volatility(signal.market.bars["close"]) for signal in signals]
    shared: pd.DatetimeIndex | None = None
    for signal, known in zip(signals, volatility, strict=True):
        able = signal.market.index[(signal.known & (known > 0)).to_numpy(dtype=bool)]
        span = (
            able
            if not len(able)
            else signal.market.index[
                (signal.market.index >= able[0]) & (signal.market.index <= able[-1])
            ]
        )
        shared = span if shared is None else shared.intersection(span)
    assert shared is not None  # there is at least one signal
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


def forward_outcomes(pool: PooledSignals, horizon: int) -> ForwardOutcomes:
    """Forward returns and excursions of every shared bar whose horizon is complete.

    Raises
    ------
    InputError
        If there is no such bar.
    """
    forward, adverse, favourable = [], [], []
    for signal in pool.signals:
        bars = signal.market.bars
        swings = excursions(bars, horizon)
        forward.append(forward_returns(bars, [horizon])[horizon])
        adverse.append(swings["adverse"])
        favourable.append(swings["favourable"])
    returns = _side_by_side(forward, pool.rows)
    whole = int(np.isfinite(returns).all(axis=1).sum())
    if not whole:
        raise InputError(
            f"no bar has {horizon} bars after it on all markets; take a shorter horizon"
        )
    return ForwardOutcomes(
        horizon=horizon,
        forward=returns[:whole],
        adverse=_side_by_side(adverse, pool.rows)[:whole],
        favourable=_side_by_side(favourable, pool.rows)[:whole],
    )


def placebo_breaks(
    pool: PooledSignals, factors: Floats, aheads: Sequence[ForwardOutcomes]
) -> tuple[dict[int, Floats], pd.DataFrame]:
    """Run the signals' rules on placebo levels."""
    totals = {ahead.horizon: np.zeros(ahead.forward.shape) for ahead in aheads}
    rules = [signal.placebo for signal in pool.signals]
    found = []
    for factor in factors.tolist():
        event = np.column_stack(
            [
                rule(factor)[rows]
                for rule, rows in zip(rules, pool.rows, strict=True)
                if rule is not None
            ]
        )
        for ahead in aheads:
            weights = event_weights(event[: len(ahead.forward)], ahead.horizon)
            totals[ahead.horizon] += weights
            number = weights.sum()
            mean = (weights * ahead.forward).sum() / number if number else np.nan
            found.append((ahead.horizon, factor, round(number), mean))
    return totals, pd.DataFrame(found, columns=["horizon", "factor", "distinct", "mean"])


def _side_by_side(columns: Sequence[pd.Series], rows: Sequence[npt.NDArray[np.intp]]) -> Floats:
    return np.column_stack(
        [
            column.to_numpy(dtype="float64")[place]
            for column, place in zip(columns, rows, strict=True)
        ]
    )
