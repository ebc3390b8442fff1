"""One strategy over one market: from a view to an evaluation, without files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from delever.data.references import Dataset
from delever.deleveraging.period import Period
from delever.engine.backtest import Backtest, backtest
from delever.engine.settings import Account
from delever.errors import ConfigError, InputError
from delever.research.evaluation import Evaluation, evaluate
from delever.research.strategy_checks import exposures, first_defined
from delever.study.account_table import for_run
from delever.study.strategy import Strategy
from delever.units import timeframe_delta
from delever.venues.costs import Costs
from delever.view import MarketView, Reading

__all__ = ["first_bar", "run_trial", "view"]


def view(
    data: Dataset,
    *,
    warmup: Dataset | None = None,
    series: dict[str, Dataset] | None = None,
) -> MarketView:
    """Make the causal view of a data set.

    Raises
    ------
    ConfigError
        If a data set is of the wrong kind or timeframe, or warm-up bars are not earlier.
    """
    for role, given in (("data", data), ("warmup", warmup)):
        if given is not None and given.reference.kind != "ohlcv":
            raise ConfigError(f"{role} must be of kind ohlcv; got {given.reference}")
    timeframe = data.reference.timeframe
    bars = data.frame
    if warmup is not None:
        if warmup.reference.timeframe != timeframe:
            raise ConfigError(
                f"warmup must have the timeframe of the data, {timeframe}; got {warmup.reference}"
            )
        earlier = warmup.frame.loc[
            pd.DatetimeIndex(warmup.frame.index) + timeframe_delta(timeframe) <= bars.index[0]
        ]
        if earlier.empty:
            raise ConfigError(
                f"warmup must hold bars before {bars.index[0]:%Y-%m-%d}; "
                f"{warmup.reference} begins {warmup.frame.index[0]:%Y-%m-%d}"
            )
        bars = pd.concat([earlier, bars])
    return MarketView(
        bars=bars,
        timeframe=timeframe,
        symbol=data.reference.symbol,
        readings={
            name: Reading(frame=source.frame, publication_lag=source.publication_lag)
            for name, source in (series or {}).items()
        },
        trading_start=data.frame.index[0],
        notes=_notes(data, warmup),
    )


def _notes(data: Dataset, warmup: Dataset | None) -> tuple[str, ...]:
    out = list(data.notes)
    holes = {str(data.reference): data.gaps}
    if warmup is not None:
        earlier = warmup.gaps
        holes[str(warmup.reference)] = earlier[earlier["start"] < data.frame.index[0]]
        out.append(f"indicators were warmed up on earlier bars of {warmup.reference}")
    for reference, found in holes.items():
        if len(found):
            missing = found["bars"]
            out.append(
                f"{len(missing)} gaps ({int(missing.sum())} missing bars, at most "
                f"{int(missing.max())} in a row) in {reference}; nothing was filled"
            )
    return tuple(out)


def first_bar(market: MarketView, target: pd.Series, *, start: pd.Timestamp | None) -> int:
    """Position of the first bar of a run.

    Raises
    ------
    InputError
        If no bar is left.
    """
    index = market.index
    tradable = 0 if market.trading_start is None else int(index.searchsorted(market.trading_start))
    if start is None:
        decided = first_defined(exposures(target))
        if decided == len(target):
            raise InputError(
                f"the strategy needs more history than there is: no decision in {len(index)} bars "
                f"({index[0]:%Y-%m-%d}..{index[-1]:%Y-%m-%d}); name earlier bars as warmup or "
                "shorten its windows"
            )
        begin = max(decided + 1, tradable)
    else:
        begin = max(int(index.searchsorted(start)), tradable)
    if begin >= len(index):
        raise InputError(
            "a run needs at least one bar; none opens at or after the start, "
            f"the data end with {index[-1]:%Y-%m-%d}"
        )
    return begin


def run_trial(
    market: MarketView,
    strategy: Strategy | pd.Series,
    *,
    name: str,
    benchmark: Strategy,
    params: dict[str, object] | None = None,
    costs: Costs | None = None,
    account: Account | None = None,
    benchmark_costs: Costs | None = None,
    costs_times: float = 1.0,
    initial_equity: float = 10_000.0,
    start: pd.Timestamp | None = None,
    end: pd.Timestamp | None = None,
    periods: Sequence[Period] = (),
) -> Evaluation:
    """Simulate a strategy and its benchmark over the same bars and measure both."""
    if end is not None:
        market = market.upto(end)
        if market.bars.empty:
            raise InputError(
                f"a run needs at least one bar; none closes by the end, {end:%Y-%m-%d}"
            )
        strategy = strategy.loc[market.index] if isinstance(strategy, pd.Series) else strategy
    target = strategy if isinstance(strategy, pd.Series) else strategy.target(_copy(market), params)
    begin = first_bar(market, target, start=start)
    bars = market.bars.iloc[begin:]

    def simulate(exposure: pd.Series, paid: Costs | None, held: Account | None) -> Backtest:
        decided = float(exposure.iloc[begin - 1]) if begin else np.nan
        return backtest(
            bars,
            exposure.iloc[begin:],
            timeframe=market.timeframe,
            costs=paid,
            initial_equity=initial_equity,
            initial_target=0.0 if np.isnan(decided) else decided,
            costs_times=costs_times,
            account=None if held is None else for_run(held, market.bars, begin),
        )

    return evaluate(
        name=name,
        backtest=simulate(target, costs, account),
        benchmark=simulate(benchmark.target(_copy(market)), benchmark_costs or costs, None),
        bars=bars,
        periods=periods,
    )


def _copy(market: MarketView) -> MarketView:
    """A view of its own for a strategy: what it writes there reaches nobody else."""
    return replace(
        market,
        bars=market.bars.copy(deep=True),
        readings={
            name: replace(reading, frame=reading.frame.copy(deep=True))
            for name, reading in market.readings.items()
        },
    )
