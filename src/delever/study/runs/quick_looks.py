"""Two quick looks: many exposures ranked at once, and how far a Sharpe ratio can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from delever.arguments import counted, shown
from delever.errors import InputError
from delever.report.format import of_years
from delever.stats.bootstrap import growth, sharpe
from delever.stats.inference import minimum_track_record, probabilistic_sharpe_ratio
from delever.stats.performance import sharpe_ratio
from delever.stats.returns import daily_returns
from delever.stats.risk import kurtosis, skewness
from delever.study.inputs.implausible import market_notes
from delever.study.kept.result import Result, plain
from delever.study.ledger.trials import Ledger, trial_of
from delever.study.runs.run import Run
from delever.study.settings.config import DEFAULT_COSTS
from delever.study.workspaces.workspace import Workspace
from delever.units import DAYS_PER_YEAR
from delever.venues.costs import Costs
from delever.view import MarketView

if TYPE_CHECKING:
    from delever.study.runs.screening import Engines


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Screen(Result):
    """Many exposures, ranked fast and roughly.

    Attributes
    ----------
    frame : pandas.DataFrame
        A row per column of the exposures: ``total_return``, ``sharpe_ratio``, ``max_drawdown``.
    notes : tuple of str
        What a reader must know of the market's data.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def headline(self) -> str:
        """The highest Sharpe ratio and whose it is."""
        ratios = self.frame["sharpe_ratio"].dropna()
        if ratios.empty:
            return f"None of {counted(len(self.frame), 'exposure')} has a Sharpe ratio."
        return (
            f"Of {counted(len(self.frame), 'exposure')} {ratios.idxmax()} has the highest Sharpe "
            f"ratio, {ratios.max():.2f}; a screen ranks, a backtest decides."
        )

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Every exposure, the highest Sharpe ratio first."""
        return {"exposures": self.frame.sort_values("sharpe_ratio", ascending=False)}


def screen(
    given: MarketView | Run | Path | str,
    exposures: pd.DataFrame | None = None,
    *,
    set: Mapping[str, Any] | None = None,
    costs: Costs | None = None,
    really: bool = False,
    workspace: Workspace | Path | str | None = None,
) -> Screen | Engines:
    """Look quickly through vectorbt: rank many exposures, or see how it differs on one spot run.

    Parameters
    ----------
    given : MarketView, path or Run
        A market, with exposures to rank on it; a spot study, or a run from `delever.backtest`, to
        be run by this engine, by vectorbt and in exact decimals.
    exposures : pandas.DataFrame, shape (n, columns)
        On a market: a column per candidate, fractions of equity in [0, 1], indexed like the bars.
    set : mapping, optional
        Of a study file: dotted keys to values, such as ``{"params.weeks": 150}``.
    costs : Costs, optional
        On a market; by default those of a study: taker fee 0.1 %, slippage 0.05 %.
    really : bool
        As `delever.backtest` takes it.
    workspace : path, optional
        Whose ledger counts each column, or the study, as a trial (`delever.trials`); by default the
        one at or above the current folder.

    Returns
    -------
    Screen or Engines
        Of exposures their ranking; of a run the figures of each engine, and the steps from vectorbt
        as it comes to this engine.

    Raises
    ------
    InputError
        If an exposure is negative or above 1, NaN after its first value, or on other bars; if a run
        has an account or cost models, or was read back.
    ConfigError, StrategyError, DataError
        Of a study: what stands in the way of its run.

    Notes
    -----
    Spot only, without funding, margin or liquidation. Where every target is 0 or 1 it agrees with
    `delever.backtest`; a target between them is sized before its costs here and after them there.
    Exact decimals take some 20 microseconds a bar.

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
    from delever.study.runs.screening import by_engines, screen_study

    if isinstance(given, Run):
        return by_engines(given.name, given.evaluation.backtest, given.notes)
    if isinstance(given, str | Path):
        place = Workspace.find(workspace)
        told = {**(set or {}), **({"really": True} if really else {})}
        return screen_study(place.file(Path(given)), told, workspace=place)
    if not isinstance(given, MarketView):
        raise InputError(
            "a screen needs a market, as dl.market returns it, a study file or a run; got "
            f"{shown(given)}"
        )
    market = given
    if not isinstance(exposures, pd.DataFrame):
        raise InputError(f"exposures must be a DataFrame, a column each; got {shown(exposures)}")
    words = [name for name in exposures if not pd.api.types.is_numeric_dtype(exposures[name])]
    if words:
        raise InputError(f"exposures must be numbers; the column {words[0]} holds others")
    if costs is not None and not really:
        costs.check_meant()
    place, paid = Workspace.find(workspace, or_shipped=True), costs or DEFAULT_COSTS
    table = ranked(market.bars, exposures, timeframe=market.timeframe, costs=paid)
    if not place.shipped and len(table):
        made = [
            trial_of(column, params={}, costs=paid, account=None, market=market, start=None)
            for _, column in exposures.items()
        ]
        ledger = Ledger.of(place, market.bars, market.symbol or "a market at hand")
        ledger.record(made, by="notebook", study="screen", until=market.index[-1])
    return Screen(frame=table, notes=tuple(market_notes(market)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Uncertainty(Result):
    """How far a Sharpe ratio and a growth rate can be trusted.

    Attributes
    ----------
    table : pandas.DataFrame, shape (k, 2)
        By name: ``value`` and ``meaning``.
    confidence : float
        Of the intervals.
    years : float
        That the returns last; of less than one, a yearly figure is a speed, not a forecast.
    """

    table: pd.DataFrame
    confidence: float
    years: float

    @property
    def headline(self) -> str:
        """The Sharpe ratio, its interval, and the test of a true one of 0."""
        found = self.table["value"]
        lasts = of_years(DAYS_PER_YEAR * self.years)
        return (
            f"Sharpe ratio {found['sharpe_ratio']:.2f} a year{lasts} "
            f"({self.confidence:.0%} interval "
            f"{found['sharpe_low']:.2f} to {found['sharpe_high']:.2f}); a true one of 0 would show "
            f"one as far from 0 with probability {found['sharpe_p_value']:.2g}."
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
    confidence: float = 0.9,
    draws: int = 2_000,
    seed: int = 0,
) -> Uncertainty:
    """Say how far the Sharpe ratio and the growth of returns can be trusted.

    Parameters
    ----------
    returns : pandas.Series, shape (n,), or Run
        Returns of each bar, fractions; of a run those of its strategy, compounded to days where its
        bars are shorter.
    periods_per_year : float, optional
        Bars over elapsed years. By default those of the run, and of a series by its stamps, which
        are the opens of bars as long as their most frequent step; 365 where its index has none.
    confidence : float
        Of the intervals and of the minimum track record, in (0.5, 1).
    draws : int
        Resamples of the bootstrap, from 100 to 100,000.
    seed : int
        Of the bootstrap.

    Raises
    ------
    InputError
        If there are too few returns for an interval, they are all equal, or one is not finite.

    Notes
    -----
    Intervals and the p-value are those of a studentised stationary bootstrap, see
    `delever.stats.bootstrap`. The probabilistic Sharpe ratio stands there in both published forms,
    of 2012 and of 2026, and the minimum track record as published in 2012; see
    `delever.stats.inference`.

    Examples
    --------
    >>> import numpy as np
    >>> import delever as dl
    >>> made = pd.Series(np.random.default_rng(1).normal(0.001, 0.02, 500))
    >>> dl.uncertainty(made).table.index.tolist()[:4]
    ['sharpe_ratio', 'sharpe_low', 'sharpe_high', 'sharpe_p_value']
    """
    if isinstance(returns, Run):
        done = returns.evaluation.backtest
        values = daily_returns(done.returns)
        yearly = len(values) / returns.evaluation.years
    elif isinstance(returns, pd.Series):
        values = _without_holes(returns)
        yearly = len(values) / _years(values)
    else:
        raise InputError(f"returns must be a Series of fractions or a Run; got {shown(returns)}")
    yearly = yearly if periods_per_year is None else float(periods_per_year)
    found = sharpe(values, yearly, confidence=confidence, draws=draws, seed=seed)
    grown = growth(values, yearly, confidence=confidence, draws=draws, seed=seed)
    if found.reason:
        raise InputError(f"the Sharpe ratio of these {len(values):,} bars has none: {found.reason}")
    ratio, bars = sharpe_ratio(values, 1.0), len(values)
    skew, tails, alike = skewness(values), kurtosis(values), float(values.autocorr(1))
    above = "probability that the true Sharpe ratio is above 0, in the form of"
    rows = {
        "sharpe_ratio": (found.value, "per year"),
        "sharpe_low": (found.low, f"lower end of its {confidence:.0%} interval"),
        "sharpe_high": (found.high, "upper end"),
        "sharpe_p_value": (found.p_value, "two-sided, of a true Sharpe ratio of 0"),
        "standard_error": (found.standard_error, "of the Sharpe ratio"),
        "block": (found.block, "mean length of the blocks drawn, in bars"),
        "probabilistic_sharpe_ratio_2012": (
            probabilistic_sharpe_ratio(ratio, bars, skew=skew, kurtosis=tails),
            f"{above} 2012: independent returns, variance at the estimate",
        ),
        "probabilistic_sharpe_ratio_2026": (
            probabilistic_sharpe_ratio(
                ratio, bars, skew=skew, kurtosis=tails, form="2026", autocorrelation=alike
            ),
            f"{above} 2026: autocorrelation {alike:.2f}, variance at 0",
        ),
        "minimum_track_record": (
            minimum_track_record(ratio, confidence=confidence, skew=skew, kurtosis=tails),
            f"bars needed to tell it from 0 with {confidence:.0%} confidence; there are {bars:,}",
        ),
        "growth": (grown.value, "mean log growth per year"),
        "growth_low": (grown.low, f"lower end of its {confidence:.0%} interval"),
        "growth_high": (grown.high, "upper end"),
    }
    return Uncertainty(
        table=pd.DataFrame.from_dict(rows, orient="index", columns=["value", "meaning"]),
        confidence=confidence,
        years=bars / yearly,
    )


def _without_holes(returns: pd.Series) -> pd.Series:
    """Returns after those that come before a first one. Raises InputError if one is no number."""
    values = returns.loc[returns.first_valid_index() :]
    wrong = values.index[~np.isfinite(values.to_numpy(dtype=np.float64))]
    if len(wrong):
        raise InputError(
            f"returns must be there for every bar; that of {wrong[0]} is {values[wrong[0]]:g}; "
            "fill or drop it, saying which"
        )
    return values


def _years(values: pd.Series) -> float:
    """Years that returns last, by their stamps; without, as many days as there are."""
    index = values.index
    if not isinstance(index, pd.DatetimeIndex) or len(index) < 2:
        return max(len(index), 1) / DAYS_PER_YEAR
    steps = index[1:] - index[:-1]
    lasted = index[-1] - index[0] + steps.value_counts().index[0]
    if steps.min() <= pd.Timedelta(0):
        raise InputError("returns must be increasing in time, without repeats; sort them")
    return float(lasted / pd.Timedelta(days=DAYS_PER_YEAR))
