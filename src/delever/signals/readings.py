"""The readings that features need beside the bars, and how late each must be declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from delever.errors import InputError
from delever.view import MarketView

__all__ = ["INPUTS", "Input", "check_lag"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A reading that features need.

    Attributes
    ----------
    name : str
        Its name in `MarketView.readings`.
    columns : tuple of str
        Columns needed; empty where the reading has only one, of any name.
    holds : str
        What the columns hold, with unit and sign.
    lag : pandas.Timedelta
        The least publication lag that can be honest: a shorter one would show a row before it
        was published. How long a row takes beyond that is for the data set to declare.
    """

    name: str
    columns: tuple[str, ...] = ()
    holds: str
    lag: pd.Timedelta


def _input(name: str, lag: str, holds: str, *columns: str) -> Input:
    return Input(name=name, columns=columns, holds=holds, lag=pd.Timedelta(lag))


INPUTS: Mapping[str, Input] = {
    item.name: item
    for item in (
        _input("funding", "0h", "fraction per interval, > 0: longs pay; stamped when paid"),
        _input("open_interest", "1min", "positions open, quote units"),
        _input(
            "liquidations",
            "1min",
            "forced liquidations per interval, quote units, >= 0",
            "long_liq_usd",
            "short_liq_usd",
        ),
        _input("long_short_ratio", "1min", "long accounts per short one, > 0"),
        _input("fear_greed", "1min", "0 (fear) to 100 (greed), published after its day begins"),
        _input("dvol", "1min", "implied volatility of a year, percentage points"),
        _input("vix", "20h", "implied volatility of shares, points, by session", "close"),
        _input("etf_flows", "1D", "net flow of a session, < 0: money left", "total_usd_m"),
        _input("igv", "20h", "price of a fund of software shares, by session", "close"),
        _input("qqq", "20h", "price of a fund of the Nasdaq-100, by session", "close"),
        _input("gold", "20h", "price of gold or of a fund of it, by session", "close"),
        _input("difficulty", "1D", "of mining, by day", "difficulty"),
        _input("subsidy", "1D", "new coins per block, by the day it changed"),
        _input(
            "efficiency",
            "1D",
            "J per 1e12 hashes of the best machine on sale, and of the best before it",
            "newest",
            "previous",
        ),
        _input("realised_price", "1min", "average price at which coins last moved, quote units"),
    )
}
"""Every reading that a feature may need, by name."""


def check_lag(market: MarketView, needed: Input) -> None:
    """Refuse a reading that is missing or declared as known too early.

    Parameters
    ----------
    market : MarketView
        The market.
    needed : Input
        The reading.

    Raises
    ------
    InputError
        Naming the reading, and the least lag that is honest.
    """
    if needed.name not in market.readings:
        raise InputError(
            f"the series {needed.name!r} ({needed.holds}) is required; the market has "
            f"{', '.join(market.readings) or 'none'}; name it in the [series] table of the study"
        )
    reading = market.readings[needed.name]
    if reading.publication_lag < needed.lag:
        raise InputError(
            f"the series {needed.name!r} must be declared with a publication lag of at least "
            f"{needed.lag}; got {reading.publication_lag}: its rows would be seen before they were "
            "published; add the data set again with --publication-lag"
        )
