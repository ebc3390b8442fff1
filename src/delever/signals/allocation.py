"""Portfolio rules: from a signal per symbol to exposures that stand beside each other."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Ge, Gt

from delever.panel import Markets
from delever.units import floor_to, periods_per_year


def equal(markets: Markets, signals: pd.DataFrame) -> pd.DataFrame:
    """Each signal times an equal share: one over the number of members known at the time.

    Parameters
    ----------
    markets : Markets
        The symbols.
    signals : pandas.DataFrame, shape (n, symbols)
        Signed fractions of a symbol's share, on the rows of the markets.

    Returns
    -------
    pandas.DataFrame
        Signed notional / equity; NaN where the signal is, 0 for what is no member.
    """
    members = markets.members
    share = 1.0 / members.sum(axis=1).where(lambda count: count > 0)
    return _weighted(signals, members.astype(float).mul(share, axis=0), members)


def inverse_volatility(
    markets: Markets,
    signals: pd.DataFrame,
    *,
    days: Annotated[int, Ge(2)] = 30,
    every: str = "1w",
) -> pd.DataFrame:
    """Each signal times a share that falls with the symbol's volatility; shares sum to 1.

    Parameters
    ----------
    markets, signals
        As `equal`.
    days : int
        Days of returns behind a volatility; a member without them has no share.
    every : str
        Shares are measured at the closes of this timeframe, and when a member comes or goes.

    Returns
    -------
    pandas.DataFrame
        As `equal`.
    """
    members = markets.members
    inverse = 1.0 / _volatility(markets, days).where(lambda spread: spread > 0)
    inverse = inverse.where(members)
    shares = inverse.div(inverse.sum(axis=1).where(lambda total: total > 0), axis=0)
    return _weighted(signals, _kept(markets, shares.fillna(0.0), members, every), members)


def volatility_target(
    markets: Markets,
    signals: pd.DataFrame,
    *,
    target: Annotated[float, Gt(0)] = 0.4,
    days: Annotated[int, Ge(2)] = 60,
    most: Annotated[float, Gt(0)] = 1.0,
    every: str = "1w",
) -> pd.DataFrame:
    """Equal shares, all scaled so that a book like it would have had a volatility.

    Parameters
    ----------
    markets, signals
        As `equal`.
    target : float
        Volatility a year of 365 days, fraction, of the equity.
    days : int
        Days of returns behind the estimate; the exposures held then are put on those returns, so
        that correlation counts. NaN until there are so many.
    most : float
        Largest sum of absolute exposures.
    every : str
        The scale is measured at the closes of this timeframe, and when a member comes or goes.

    Returns
    -------
    pandas.DataFrame
        As `equal`.
    """
    asked, members = equal(markets, signals), markets.members
    rows = max(2, round(days * periods_per_year(markets.timeframe) / 365.0))
    moves = markets.returns().fillna(0.0).to_numpy()
    held, measured = asked.fillna(0.0).to_numpy(), _measured(markets, members, every)
    scale = np.full(len(held), np.nan)
    for row in np.flatnonzero(measured):
        if row + 1 < rows:
            continue
        spread = float(np.std(moves[row + 1 - rows : row + 1] @ held[row], ddof=1))
        together = float(np.abs(held[row]).sum())
        wanted = target / (spread * np.sqrt(periods_per_year(markets.timeframe))) if spread else 0.0
        scale[row] = min(wanted, most / together) if together > 0 else 0.0
    factor = pd.Series(scale, index=markets.index).ffill()
    scaled = asked.mul(factor, axis=0)
    gross = scaled.abs().sum(axis=1)
    return scaled.mul((most / gross.where(gross > most)).fillna(1.0), axis=0)


def capped(
    markets: Markets,
    signals: pd.DataFrame,
    *,
    each: Annotated[float, Gt(0)] = 0.25,
    total: Annotated[float, Gt(0)] = 1.0,
) -> pd.DataFrame:
    """Signals as exposures, none beyond a cap, all scaled down where together they exceed another.

    Parameters
    ----------
    markets, signals
        As `equal`; here a signal is signed notional / equity.
    each : float
        Largest absolute exposure of a symbol.
    total : float
        Largest sum of absolute exposures.

    Returns
    -------
    pandas.DataFrame
        As `equal`.
    """
    members = markets.members
    clipped = signals.clip(-each, each).mask(~members & signals.notna(), 0.0)
    gross = clipped.abs().sum(axis=1)
    return clipped.mul((total / gross.where(gross > total)).fillna(1.0), axis=0)


RULES = (equal, inverse_volatility, volatility_target, capped)
"""Rules by their own names."""


def _weighted(signals: pd.DataFrame, shares: pd.DataFrame, members: pd.DataFrame) -> pd.DataFrame:
    """Signals times shares; 0 for what is no member, NaN where there is no signal yet."""
    return (signals * shares).mask(~members & signals.notna(), 0.0)


def _volatility(markets: Markets, days: int) -> pd.DataFrame:
    """Deviation of the log returns of each symbol's own bars over some days, of a bar."""
    rows = max(2, round(days * periods_per_year(markets.timeframe) / 365.0))
    return markets.each(lambda view: np.log(view.bars["close"]).diff().rolling(rows).std())


def _measured(markets: Markets, members: pd.DataFrame, every: str) -> np.ndarray:
    """Rows whose close ends a bar of a timeframe, or at which the members change."""
    closes = markets.close_time
    ends = floor_to(closes, every) == closes
    changed = (members != members.shift(fill_value=False)).any(axis=1).to_numpy()
    return np.asarray(ends | changed)


def _kept(
    markets: Markets, shares: pd.DataFrame, members: pd.DataFrame, every: str
) -> pd.DataFrame:
    """Shares as they were last measured."""
    return shares.where(pd.Series(_measured(markets, members, every), shares.index), axis=0).ffill()
