"""Two quick looks: many exposures ranked at once, and how far a Sharpe ratio can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from delever.arguments import shown, whole_number
from delever.errors import InputError
from delever.stats.inference import (
    block_length,
    minimum_track_record,
    probabilistic_sharpe_ratio,
    sharpe_standard_error,
    stationary_bootstrap,
)
from delever.stats.performance import sharpe_ratio
from delever.stats.risk import kurtosis, skewness
from delever.study.backtesting import DEFAULT_COSTS
from delever.study.result import Result, plain
from delever.study.run import Run
from delever.units import DAYS_PER_YEAR
from delever.units import periods_per_year as bars_per_year
from delever.venues.costs import Costs
from delever.view import MarketView


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Screen(Result):
    """Many exposures, ranked fast and roughly.

    Attributes
    ----------
    frame : pandas.DataFrame
        A row per column of the exposures: ``total_return``, ``sharpe_ratio``, ``max_drawdown``.
    """

    frame: pd.DataFrame

    @property
    def headline(self) -> str:
        """The highest Sharpe ratio and whose it is."""
        ratios = self.frame["sharpe_ratio"].dropna()
        if ratios.empty:
            return f"None of {len(self.frame):,} exposures has a Sharpe ratio."
        return (
            f"Of {len(self.frame):,} exposures {ratios.idxmax()} has the highest Sharpe ratio, "
            f"{ratios.max():.2f}; a screen ranks, a backtest decides."
        )

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Every exposure, the highest Sharpe ratio first."""
        return {"exposures": self.frame.sort_values("sharpe_ratio", ascending=False)}


def screen(market: MarketView, exposures: pd.DataFrame, *, costs: Costs | None = None) -> Screen:
    """Rank many target exposures on one market, through vectorbt.

    Parameters
    ----------
    market : MarketView
        From `delever.market`.
    exposures : pandas.DataFrame, shape (n, columns)
        A column per candidate: fractions of equity in [0, 1], indexed like the bars.
    costs : Costs, optional
        By default those of a study: taker fee 0.1 %, slippage 0.05 %.

    Returns
    -------
    Screen

    Raises
    ------
    InputError
        If an exposure is negative or above 1, NaN after its first value, or on other bars.

    Notes
    -----
    Spot only, without funding, margin or liquidation. Where every target is 0 or 1 it agrees with
    `delever.backtest`; a target between them is sized before its costs here and after them there.

    Examples
    --------
    >>> import delever as dl
    >>> market = dl.market("sample/ohlcv/BTC/USD/1d", start="2013-01-01", end="2014-01-01")
    >>> close = market.bars["close"]
    >>> held = {n: (close > close.rolling(n).mean()).astype(float) for n in (20, 50)}
    >>> dl.screen(market, pd.DataFrame(held)).frame.index.tolist()
    [20, 50]
    """
    from delever.engine.screen import screen as ranked

    if not isinstance(market, MarketView):
        raise InputError(f"market must be a view, as dl.market returns it; got {shown(market)}")
    if not isinstance(exposures, pd.DataFrame):
        raise InputError(f"exposures must be a DataFrame, a column each; got {shown(exposures)}")
    table = ranked(market.bars, exposures, timeframe=market.timeframe, costs=costs or DEFAULT_COSTS)
    return Screen(frame=table)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Uncertainty(Result):
    """How far a Sharpe ratio can be trusted.

    Attributes
    ----------
    table : pandas.DataFrame, shape (k, 2)
        By name: ``value`` and ``meaning``.
    """

    table: pd.DataFrame

    @property
    def headline(self) -> str:
        """The Sharpe ratio, its interval, and the probability that the true one is above 0."""
        found = self.table["value"]
        return (
            f"Sharpe ratio {found['sharpe_ratio']:.2f} a year, standard error "
            f"{found['standard_error']:.2f}; the true one is above 0 with probability "
            f"{found['probabilistic_sharpe_ratio']:.1%}."
        )

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Every number with its meaning."""
        return {"uncertainty": self.table}

    def to_dict(self) -> dict[str, Any]:
        """Every number by name."""
        return {"headline": self.headline, **plain(self.table["value"])}


def uncertainty(
    returns: pd.Series | Run,
    *,
    periods_per_year: float | None = None,
    confidence: float = 0.95,
    draws: int = 2_000,
    seed: int = 0,
) -> Uncertainty:
    """Say how far the Sharpe ratio and the mean of returns can be trusted.

    Parameters
    ----------
    returns : pandas.Series, shape (n,), or Run
        Returns of each bar, fractions; of a run those of its strategy.
    periods_per_year : float, optional
        Bars in a year; by default the run's, and 365 for a series.
    confidence : float
        Of the interval and of the minimum track record, in (0.5, 1).
    draws : int
        Resamples of the bootstrap, from 1 to 1,000,000.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Uncertainty

    Raises
    ------
    InputError
        If there are fewer than ten returns, they are all equal, or one is not finite.

    Notes
    -----
    The standard error is Lo's, the probabilistic Sharpe ratio and the minimum track record are
    those of Bailey and Lopez de Prado, and the interval of the mean is that of a stationary
    bootstrap with blocks of Politis and White's length; see `delever.stats.inference`.

    Examples
    --------
    >>> import numpy as np
    >>> import delever as dl
    >>> made = pd.Series(np.random.default_rng(1).normal(0.001, 0.02, 500))
    >>> sorted(dl.uncertainty(made).table.index)[:3]
    ['mean_high', 'mean_low', 'minimum_track_record']
    """
    whole_number("draws", draws, 1, 1_000_000)
    if isinstance(returns, Run):
        done = returns.evaluation.backtest
        yearly, values = bars_per_year(done.timeframe), done.returns
    elif isinstance(returns, pd.Series):
        yearly, values = float(DAYS_PER_YEAR), returns.dropna()
    else:
        raise InputError(f"returns must be a Series of fractions or a Run; got {shown(returns)}")
    yearly = yearly if periods_per_year is None else float(periods_per_year)
    ratio, root = sharpe_ratio(values, 1.0), yearly**0.5
    moments = {"skew": skewness(values), "kurtosis": kurtosis(values)}
    drawn = stationary_bootstrap(values, length=block_length(values), draws=draws, seed=seed)
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    bars = len(values)
    record = minimum_track_record(ratio, confidence=confidence, **moments)
    rows = {
        "sharpe_ratio": (ratio * root, "per year"),
        "standard_error": (sharpe_standard_error(ratio, bars) * root, "of it, per year"),
        "probabilistic_sharpe_ratio": (
            probabilistic_sharpe_ratio(ratio, bars, **moments),
            "probability that the true Sharpe ratio is above 0",
        ),
        "minimum_track_record": (
            record,
            f"bars needed to tell it from 0 with {confidence:.0%} confidence; there are {bars:,}",
        ),
        "mean_low": (
            low * yearly,
            f"lower end of the {confidence:.0%} interval of the mean return",
        ),
        "mean_high": (high * yearly, "upper end, both per year"),
    }
    return Uncertainty(
        table=pd.DataFrame.from_dict(rows, orient="index", columns=["value", "meaning"])
    )
