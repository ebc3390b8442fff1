"""Perturbed markets: what a look-ahead check shows a strategy.

Bars up to a cut and the readings known by its close stay as they are. What comes after is removed,
or replaced by something that could have happened instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from delever.view import MarketView

Perturbation: TypeAlias = Literal[
    "repeated", "published later", "removed", "mirrored", "shuffled", "scrambled"
]

_NOISE = 0.25


def perturb_future(
    market: MarketView,
    after: pd.Timestamp,
    change: Perturbation,
    *,
    seed: int = 0,
    least_lags: Mapping[str, pd.Timedelta] | None = None,
) -> MarketView:
    """The same market up to the bar that opens at `after`, with another future."""
    if change == "published later":
        return published_later(market, least_lags or {})
    row = int(market.index.get_indexer(pd.DatetimeIndex([after]))[0])
    if change == "removed":
        return market.upto(market.close_time[row])
    if change == "mirrored":
        return _mirrored(market, row)
    rng = np.random.default_rng((seed, row))
    if change == "shuffled":
        return _shuffled(market, row, rng)
    return _scrambled(market, row, rng) if change == "scrambled" else market


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
    known = market.upto(market.close_time[row])
    return replace(known, bars=known.bars.loc[first:])


def _with_future(
    market: MarketView, row: int, bars: pd.DataFrame, reading: Callable[[pd.DataFrame], Any]
) -> MarketView:
    """The market with its bars after `row` replaced, and the readings known after it."""
    known = market.close_time[row]
    readings = {}
    for name, was in market.readings.items():
        late = was.known_at > known
        frame = was.frame.astype("float64")
        frame.loc[late] = reading(frame.loc[late])
        readings[name] = replace(was, frame=frame)
    past = market.bars.iloc[: row + 1]
    return replace(market, bars=pd.concat([past, bars]), readings=readings)


def price_columns(bars: pd.DataFrame) -> list[str]:
    """Columns of bars that hold prices: all but the volume."""
    return [name for name in map(str, bars.columns) if name != "volume"]


def _mirrored(market: MarketView, row: int) -> MarketView:
    """Prices become ``anchor ** 2 / price``; readings run backwards."""
    future = market.bars.iloc[row + 1 :]
    anchor = float(market.bars["close"].iloc[row])
    swapped = future.rename(columns={"high": "low", "low": "high"})[list(future.columns)]
    prices = price_columns(future)
    upended = swapped.assign(**(anchor**2 / swapped[prices]))
    return _with_future(market, row, upended, lambda frame: frame.to_numpy()[::-1])


def _shuffled(market: MarketView, row: int, rng: np.random.Generator) -> MarketView:
    """The same bars in another order, and so the readings."""
    future = market.bars.iloc[row + 1 :]
    mixed = future.iloc[rng.permutation(len(future))].set_axis(future.index, axis=0)
    return _with_future(
        market, row, mixed, lambda frame: frame.to_numpy()[rng.permutation(len(frame))]
    )


def _scrambled(market: MarketView, row: int, rng: np.random.Generator) -> MarketView:
    """Each bar's prices times one random factor, its volume and the readings times others."""
    future = market.bars.iloc[row + 1 :].astype("float64")
    prices = price_columns(future)
    future[prices] = future[prices].mul(np.exp(rng.normal(0.0, _NOISE, len(future))), axis=0)
    if "volume" in future:
        future["volume"] *= np.exp(rng.normal(0.0, _NOISE, len(future)))
    return _with_future(
        market, row, future, lambda frame: frame * np.exp(rng.normal(0.0, _NOISE, frame.shape))
    )
