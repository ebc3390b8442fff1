"""Perturbed markets: what a look-ahead check shows a strategy.

Bars up to a cut and the readings known by its close stay as they are. What comes after is removed,
or replaced by something that could have happened instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from delever.arguments import Floats
from delever.units import timeframe_delta
from delever.view import MarketView

Perturbation: TypeAlias = Literal[
    "repeated", "published later", "removed", "mirrored", "shuffled", "scrambled"
]

_NOISE = 0.5
"""Deviation of the logarithm of what scrambled prices and readings are multiplied by: every third
bar moves by more than a half, so that a rule that waits for a crash ahead sees one."""
_VOLUME_NOISE = 1.0
_WICK_NOISE = 0.1
_AHEAD = 250
"""Bars of another future; what lies further ahead is gone."""
_JUMP = 2.0
"""What an upturned future is further away by."""


def perturb_future(
    market: MarketView,
    after: pd.Timestamp,
    change: Perturbation,
    *,
    seed: int = 0,
    least_lags: Mapping[str, pd.Timedelta] | None = None,
) -> MarketView:
    """The same market up to the bar that opens at `after`, with another, shorter future."""
    if change == "repeated":
        return market
    if change == "published later":
        return published_later(market, least_lags or {})
    row = int(market.index.get_indexer(pd.DatetimeIndex([after]))[0])
    last = row if change == "removed" else row + _AHEAD
    if last < len(market.index) - 1:  # an answer on fewer bars takes less time
        market = market.upto(_known(market, last))
    if change == "removed":
        return market
    if change == "mirrored":
        return _mirrored(market, row)
    rng = np.random.default_rng((seed, row))
    if change == "shuffled":
        return _shuffled(market, row, rng)
    return _scrambled(market, row, rng)


def published_later(market: MarketView, least: Mapping[str, pd.Timedelta]) -> MarketView:
    """The market with its readings published no earlier than they can have been."""
    readings = {
        name: replace(was, publication_lag=max(was.publication_lag, least[name]))
        if name in least
        else was
        for name, was in market.readings.items()
    }
    return replace(market, readings=readings)


def window(market: MarketView, first: pd.Timestamp, last: pd.Timestamp) -> MarketView:
    """Some bars of a market, with what was known by their end."""
    row = int(market.index.searchsorted(last, side="right")) - 1
    known = market.upto(_known(market, row))
    # Coarser bars before the market would no longer lead up to what is left of it.
    return replace(known, bars=known.bars.loc[first:], earlier=None)


def _known(market: MarketView, row: int) -> pd.Timestamp:
    """When a bar is known: its close."""
    return market.index[row] + timeframe_delta(market.timeframe)


def _with_future(
    market: MarketView,
    row: int,
    bars: Callable[[Floats, Sequence[str]], Floats],
    reading: Callable[[Floats], Floats],
) -> MarketView:
    """The market with its bars after `row` replaced, and the readings known after it."""
    known = _known(market, row)
    readings = {}
    for name, was in market.readings.items():
        late = np.asarray(was.frame.index > known - was.publication_lag)
        values = was.frame.to_numpy(dtype="float64", copy=True)
        values[late] = reading(values[late])
        frame = pd.DataFrame(values, index=was.frame.index, columns=was.frame.columns)
        readings[name] = replace(was, frame=frame)
    values = market.bars.to_numpy(dtype="float64", copy=True)
    names = [str(name) for name in market.bars.columns]
    values[row + 1 :] = bars(values[row + 1 :], names)
    frame = pd.DataFrame(values, index=market.index, columns=market.bars.columns)
    return replace(market, bars=frame, readings=readings)


def price_columns(bars: pd.DataFrame) -> list[str]:
    """Columns of bars that hold prices: all but the volume."""
    return [name for name in map(str, bars.columns) if name != "volume"]


def _mirrored(market: MarketView, row: int) -> MarketView:
    """Prices become ``anchor ** 2 / price`` and jump twice as far; readings run backwards.

    The jump makes a fall of any rise and a rise of any fall, however small the next bar's was.
    """
    anchor, after = market.bars["close"].iloc[row : row + 2]
    scale = anchor**2 * (1 / _JUMP if after >= anchor else _JUMP)
    swap = {"high": "low", "low": "high"}

    def upended(future: Floats, names: Sequence[str]) -> Floats:
        turned = future.copy()
        for column, name in enumerate(names):
            if name != "volume":
                source = swap.get(name, name)
                taken = names.index(source) if source in names else column
                turned[:, column] = scale / future[:, taken]
        return turned

    return _with_future(market, row, upended, lambda values: values[::-1])


def _shuffled(market: MarketView, row: int, rng: np.random.Generator) -> MarketView:
    """The same bars in another order, and so the readings."""
    return _with_future(
        market,
        row,
        lambda future, _: future[rng.permutation(len(future))],
        lambda values: values[rng.permutation(len(values))],
    )


def _scrambled(market: MarketView, row: int, rng: np.random.Generator) -> MarketView:
    """Each bar's prices times one random factor, its volume and the readings times others.

    Wicks grow longer.
    """

    def noise(deviation: float, *shape: int) -> Floats:
        factors: Floats = np.exp(rng.normal(0.0, deviation, shape))
        return factors

    def mixed(future: Floats, names: Sequence[str]) -> Floats:
        count = len(future)
        prices, volumes = noise(_NOISE, count), noise(_VOLUME_NOISE, count)
        wicks = np.exp(np.abs(rng.normal(0.0, _WICK_NOISE, (2, count))))
        factors = {"volume": volumes, "high": prices * wicks[0], "low": prices / wicks[1]}
        found: Floats = future * np.column_stack([factors.get(name, prices) for name in names])
        return found

    return _with_future(market, row, mixed, lambda values: values * noise(_NOISE, *values.shape))
