"""Several markets with another future: what a look-ahead check shows a strategy of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from zlib import crc32

import numpy as np
import pandas as pd

from delever.arguments import Floats
from delever.engine.orders import EXPOSURE
from delever.panel import Markets
from delever.research.perturbation import Perturbation, perturb_future, published_later, window
from delever.view import MarketView

OF = ": "
"""Between a symbol and what of its frame a value is, beside the exposure."""

_LATER = 0.5
"""Deviation of the logarithm of a factor on the prices of a symbol that has not begun."""


def perturb_markets(
    markets: Markets,
    after: pd.Timestamp,
    change: Perturbation,
    *,
    seed: int = 0,
    least_lags: Mapping[str, pd.Timedelta] | None = None,
) -> Markets:
    """The same markets up to the row that opens at `after`, with another future of every symbol.

    Each symbol keeps the bars that had closed by then, whatever the others do.
    """
    if change == "published later":
        return _each(markets, lambda name, view: published_later(view, least_lags or {}))
    row = int(markets.index.get_indexer(pd.DatetimeIndex([after]))[0])
    known = markets.close_time[row]
    if change == "removed":
        return markets.upto(known)
    if change == "repeated":
        return markets

    def other(name: str, view: MarketView) -> MarketView:
        closed = int(view.close_time.searchsorted(known, side="right"))
        own = seed + crc32(name.encode()) % 2**31  # no two symbols take the same turns
        if not closed:
            factor = float(np.exp(np.random.default_rng((own, row)).normal(0.0, _LATER)))
            prices = [column for column in view.bars if column != "volume"]
            return replace(view, bars=view.bars.assign(**(view.bars[prices] * factor)))
        if closed == len(view.index):
            return view
        return perturb_future(view, view.index[closed - 1], change, seed=own)

    # What a lifetime says of the future stays as it is: an end that is known goes with `removed`.
    return _each(markets, other)


def markets_window(markets: Markets, first: pd.Timestamp, last: pd.Timestamp) -> Markets:
    """Some rows of markets, with what was known by their end."""
    row = int(markets.index.searchsorted(last, side="right")) - 1
    known = markets.upto(markets.close_time[row])
    kept = {name: view for name, view in known.views.items() if (view.index >= first).any()}
    views = {
        name: window(view, max(first, view.index[0]), view.index[-1]) for name, view in kept.items()
    }
    lifetimes = {name: each for name, each in known.lifetimes.items() if name in views}
    return replace(known, views=views, lifetimes=lifetimes)


def scaled_markets(markets: Markets, scale: Callable[[MarketView], MarketView]) -> Markets:
    """Every symbol on another price scale, the same one."""
    return _each(markets, lambda name, view: scale(view))


def answers(answer: pd.DataFrame, markets: Markets) -> dict[str, Floats]:
    """Numbers of an answer by symbol; NaN where a symbol has no bar yet or is listed no more.

    What is said of a symbol before anyone could know of it is no decision about it.
    """
    unknown = markets.panel().isna()
    found = {}
    for place, (symbol, *order) in enumerate(answer.columns.to_frame().to_numpy().tolist()):
        column = answer.iloc[:, place]
        before = unknown[symbol].to_numpy() if symbol in unknown else np.zeros(len(answer), bool)
        named = symbol if order in ([], [EXPOSURE]) else f"{symbol}{OF}{order[0]}"
        found[str(named)] = column.mask(before).to_numpy(dtype="float64", na_value=np.nan)
    return found


def moves(markets: Markets) -> Floats:
    """A price that moves as far as the symbol that moves furthest, row by row."""
    returns = markets.returns().fillna(0.0).to_numpy()
    furthest = np.abs(returns).max(axis=1, initial=0.0) if returns.size else np.zeros(0)
    return np.asarray(np.exp(np.cumsum(np.log1p(furthest))), dtype=np.float64)


def _each(markets: Markets, change: Callable[[str, MarketView], MarketView]) -> Markets:
    views = {name: change(name, view) for name, view in markets.views.items()}
    return replace(markets, views=views)
