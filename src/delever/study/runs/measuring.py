"""What was run elsewhere, measured like a run: a vectorbt portfolio, or returns alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from delever.arguments import counted, shown
from delever.deleveraging.period import Period, chosen_periods
from delever.engine.ledger import Backtest
from delever.engine.vectorbt_portfolio import (
    FilledAt,
    column_of,
    from_portfolio,
    from_returns,
    is_portfolio,
)
from delever.errors import InputError
from delever.frames import utc_index
from delever.research.evaluation import Evaluation, evaluate, windowed
from delever.research.what_if import WhatIf, no_paths
from delever.stats.metrics import AsMetric
from delever.study.inputs.market import check_step, utc
from delever.study.kept.provenance import outcome
from delever.study.ledger.trials import Ledger, trial_of
from delever.study.runs.answering import answer_over
from delever.study.runs.backtesting import backtest
from delever.study.runs.remarks import remarks
from delever.study.runs.run import Run
from delever.study.runs.simulation import run_target
from delever.study.settings.config import DEFAULT_COSTS
from delever.study.workspaces.workspace import Workspace
from delever.units import timeframe_delta, timeframe_of
from delever.venues.costs import Costs
from delever.view import MarketView

_EQUITY = 10_000.0
_MOST_VOLATILE = 5.0
"""Yearly volatility above which returns are taken for percent unless they are really meant."""
_DOUBTFUL, _DOUBTFUL_TIMES = 1.5, 20.0
"""Yearly volatility, and times that of the benchmark, from which they may be percent."""
_FEWEST_MOVES, _IN_STEP, _CLEARLY = 30, 0.6, 0.3
"""Bars with a return, the rank correlation of sizes with a bar beside their own, and by how much
it exceeds that with their own, from which returns are taken to be of that bar."""


def measure(
    given: Any,
    *,
    market: MarketView | None = None,
    benchmark: pd.Series | None = None,
    timeframe: str | None = None,
    stamped: Literal["open", "close"] | None = None,
    periods: Sequence[Period] | None = None,
    start: str | pd.Timestamp | None = None,
    end: str | pd.Timestamp | None = None,
    costs: Costs | None = None,
    name: str | None = None,
    metrics: Sequence[AsMetric] = (),
    really: bool = False,
    workspace: Workspace | Path | str | None = None,
) -> Run:
    """Measure what was run elsewhere, in and out of deleveraging periods, beside a benchmark.

    Parameters
    ----------
    given : vectorbt.Portfolio, pandas.Series or pair of pandas.Series
        A portfolio of one column; simple returns of each bar as fractions (0.05, never 5); or
        entries and exits, which are run on `market` as `delever.backtest` runs them.
    market : MarketView, optional
        The bars it was made on, from `delever.market`; its benchmark is to hold them. A portfolio
        may do without: its own closes are then the bars.
    benchmark : pandas.Series, optional
        Returns to compare with instead, of the same bars; needed for returns without a market.
    timeframe : str, optional
        Of the bars, such as ``"1d"``; by default that of `market`, or the most frequent step.
    stamped : {"open", "close"}, optional
        Whether an index stands at the opens or the closes of its bars. Needed, but for a portfolio
        with its market, whose closes tell.
    periods : sequence of Period, optional
        Deleveraging periods; by default the workspace's catalogue.
    start, end : str or pandas.Timestamp, optional
        UTC; measures the bars between them alone.
    costs : Costs, optional
        Of the benchmark that holds a market; by default those of the portfolio's own orders, of
        returns a taker fee of 0.1 % and slippage of 0.05 %.
    name : str, optional
        Of the result; by default the name of the series, or ``portfolio``.
    metrics : sequence of functions with `delever.metric` above them
        Further metrics.
    really : bool
        Whether returns as wild as percent are meant as fractions, and returns that move with
        another bar of the market than they are said to be of are of that bar all the same.
    workspace : path, optional
        Where the periods are, and whose ledger counts it as a trial on `market`.

    Returns
    -------
    Run
        Without counterfactuals and tests of luck, which need the rule itself. It says whether
        orders were filled at the close of their own bar. Of returns alone, metrics of exposure,
        turnover and trades are NaN.

    Raises
    ------
    InputError
        If it is none of these, has several columns, other bars than the market, a return that is
        missing or no fraction, or no benchmark; if it is not said how its index is stamped, or said
        otherwise than the market's own moves tell.

    Examples
    --------
    >>> import delever as dl
    >>> market = dl.market("sample/ohlcv/BTC/USD/1d", start="2013-01-01", end="2015-01-01")
    >>> half = 0.5 * market.bars["close"].pct_change().loc["2013":]
    >>> found = dl.measure(half, market=market, stamped="open", name="half of it, each day")
    >>> found.name, bool(found.metrics.loc["trades"].isna().all())
    ('half of it, each day', True)
    """
    of_portfolio = is_portfolio(given)
    _check(given, costs, of_portfolio=of_portfolio)
    if isinstance(given, tuple):
        if market is None:
            raise InputError("entries and exits need the market they are run on; give market")
        told: dict[str, Any] = {"start": start, "end": end, "periods": periods, "costs": costs}
        told |= {"name": name, "metrics": metrics, "really": really, "workspace": workspace}
        return backtest(market, given, **told)
    place = Workspace.find(workspace, or_shipped=True)
    values = column_of(given) if of_portfolio else _fractions(given, really=really)
    length = _timeframe(values, market, timeframe)
    if of_portfolio and market is not None:
        stamped = stamped or "open"  # its closes are held against the market's
    values = _opened(values, length, stamped)
    if benchmark is not None:
        benchmark = _opened(_fractions(benchmark, really=really), length, stamped)
    seen, begin = _bars(values, market, benchmark, length, of_portfolio=of_portfolio)
    bars = seen.bars.iloc[begin:]
    _check_in_step(values, None if of_portfolio or really else market, stamped)
    filled = None
    if of_portfolio:
        done, filled = from_portfolio(given, bars, timeframe=length)
    else:
        done = from_returns(values, timeframe=length, initial_equity=_EQUITY)
    paid = costs or (done.costs if of_portfolio else DEFAULT_COSTS)
    called = name or str(
        getattr(given, "name", None) or ("portfolio" if of_portfolio else "returns")
    )
    evaluation = evaluate(
        name=called,
        backtest=done,
        benchmark=_held(seen, begin, done, benchmark, paid),
        bars=bars,
        periods=chosen_periods(periods, place.periods),
        metrics=(*place.extensions.metrics, *metrics),
    )
    evaluation = _between(evaluation, start, end)
    n_trials = 1
    if market is not None and not place.shipped:
        ledger = Ledger.of(place, seen.bars, seen.symbol or "a market at hand")
        trial = trial_of(done.returns, params={}, costs=paid, account=None, market=seen, start=None)
        n_trials = ledger.record([trial], by="measured", study=called, until=bars.index[-1])
    doubts = [] if of_portfolio or really else _percent(evaluation)
    return _run(evaluation, seen, filled, n_trials, benchmark, market is None, doubts)


def _check(given: object, costs: object, *, of_portfolio: bool) -> None:
    if not isinstance(costs, Costs | None):
        raise InputError(f"costs must be a delever.Costs; got {shown(costs)}")
    if not (of_portfolio or isinstance(given, pd.Series | tuple)):
        raise InputError(
            "what is measured must be a vectorbt Portfolio, a Series of returns, or a pair of "
            f"entries and exits; got {shown(given)}"
        )


def _run(
    evaluation: Evaluation,
    seen: MarketView,
    filled: FilledAt | None,
    n_trials: int,
    benchmark: pd.Series | None,
    made: bool,
    doubts: list[str],
) -> Run:
    found = WhatIf(initial_equity=evaluation.backtest.initial_equity, paths=no_paths())
    said = remarks(evaluation, seen, n_trials=n_trials)
    warned = _filled(filled, made=made) if filled is not None else [
        "returns alone: what was held, traded and paid is not known, so metrics of exposure, "
        "turnover and trades are n/a"
    ]  # fmt: skip
    if made:
        warned.append(
            "prices are closes alone, each bar opened at the close before"
            if filled is not None
            else "no market was given: prices on this page are the wealth of the benchmark"
        )
    manifest = {
        "study": {"name": evaluation.name, "costs_times": 1.0},
        "params": {},
        "strategy": {"name": evaluation.name},
        "benchmark": {
            "name": "buy and hold" if benchmark is None else str(benchmark.name or "benchmark")
        },
        **said,
        "notes": [*doubts, *warned, *said["notes"]],
        **outcome(evaluation, found),
    }
    return Run(
        evaluation=evaluation,
        manifest=manifest,
        what_if=found,
        asked=cache(partial(answer_over, evaluation)),
    )


def _percent(evaluation: Evaluation) -> list[str]:
    """Whether returns are so wild that they may be percent."""
    own, held = (
        float(table["whole"]["volatility"])
        for table in (evaluation.metrics, evaluation.benchmark_metrics)
    )
    if not (own >= _DOUBTFUL or own > _DOUBTFUL_TIMES * held):
        return []
    return [
        f"returns may be percent: as fractions they vary by {100 * own:,.0f} per cent a year, the "
        f"benchmark by {100 * held:,.0f}; five per cent are 0.05: divide percent by 100; where so "
        "much is meant, say so: really=True"
    ]


def _filled(filled: FilledAt, *, made: bool) -> list[str]:
    """What a portfolio's orders say of when they were decided, and at what prices."""
    out = [f"kept by vectorbt, without funding, margin or liquidation: {filled}"]
    if filled.close:
        out.append(
            f"look-ahead: {counted(filled.close, 'order')} had the close of the bar for a price, "
            "vectorbt's default; a signal of that bar is known only then, and filled at the next "
            "open at the earliest: shift the signals by a bar and fill at the opens"
        )
    if filled.untraded and not made:
        out.insert(
            0,
            f"prices that never traded: {counted(filled.untraded, 'order')} had one outside low "
            f"and high of the bar, slippage aside; the first {filled.untraded_first}; no venue "
            "fills there, and a price of a later bar is look-ahead: fill at the opens",
        )
    return out


def _fractions(values: pd.Series, *, really: bool) -> pd.Series:
    """Simple returns as fractions, without the first where that has none."""
    if not isinstance(values, pd.Series):
        raise InputError(f"benchmark must be a Series of returns; got {shown(values)}")
    if values.dtype.kind not in "iuf":
        raise InputError(f"returns must be numbers, simple and as fractions; got {values.dtype}")
    found = values.astype("float64")
    if len(found) and np.isnan(found.iloc[0]):
        found = found.iloc[1:]  # a price before the first one is not there
    if len(found) < 2:
        raise InputError(f"returns must be of 2 bars or more; got {len(found)}")
    wrong = np.flatnonzero(~np.isfinite(found.to_numpy()))
    if len(wrong):
        raise InputError(
            f"returns must be there for every bar; that of {found.index[wrong[0]]} is "
            f"{found.iloc[wrong[0]]:g}; fill or drop it, saying which"
        )
    least = float(found.min())
    if least < -1.0:
        raise InputError(
            f"returns must be fractions of -1 or more; got {least:g} at {found.idxmin()}; five per "
            "cent are 0.05: divide percent by 100"
        )
    if not really and isinstance(found.index, pd.DatetimeIndex):
        bars = pd.Timedelta(days=365).value / max(_step(found.index), 1)
        yearly = float(found.std()) * np.sqrt(bars)
        if yearly > _MOST_VOLATILE:
            raise InputError(
                f"returns are fractions, and these vary by {100 * yearly:,.0f} per cent a year; "
                "five per cent are 0.05: divide percent by 100; where so much is meant, say so: "
                "really=True"
            )
    return found


def _timeframe(values: pd.Series, market: MarketView | None, said: str | None) -> str:
    """Timeframe that is said, that of the market, or that of the most frequent step."""
    if market is not None and not isinstance(market, MarketView):
        raise InputError(f"market must be a view, as dl.market returns it; got {shown(market)}")
    if market is not None:
        if said not in (None, market.timeframe):
            raise InputError(
                f"timeframe must be that of the market, {market.timeframe}; got {said}"
            )
        return market.timeframe
    if said is not None:
        index = utc_index(values.index, "open_time", "returns")
        check_step(index.sort_values(), said, "what is measured")
        return said
    return timeframe_of(_step(utc_index(values.index, "open_time", "returns")))


def _step(index: pd.DatetimeIndex) -> int:
    """The most frequent step of an index, nanoseconds; 0 where there is none."""
    steps = np.abs(np.diff(index.as_unit("ns").asi8))
    sizes, counts = np.unique(steps, return_counts=True)
    return int(sizes[counts.argmax()]) if len(sizes) else 0


def _opened(values: pd.Series, timeframe: str, stamped: str | None) -> pd.Series:
    """Values by the opens of their bars, UTC."""
    if stamped not in ("open", "close"):
        raise InputError(
            "stamped must say whether the index stands at the opens or the closes of its bars: "
            f'"open" or "close"; got {shown(stamped)}; a date alone is the open of its day'
        )
    index = utc_index(values.index, "open_time", "returns")
    if stamped == "close":
        index = index - timeframe_delta(timeframe)
    if not (index.is_monotonic_increasing and index.is_unique):
        raise InputError("returns must be increasing in time, without repeats; sort them")
    return values.set_axis(index.rename("open_time"))


def _bars(
    values: pd.Series,
    market: MarketView | None,
    benchmark: pd.Series | None,
    timeframe: str,
    *,
    of_portfolio: bool,
) -> tuple[MarketView, int]:
    """The market it was made on, up to its last bar, and the row of its first."""
    index = pd.DatetimeIndex(values.index)
    if market is not None:
        begin = int(market.index.searchsorted(index[0]))
        last = int(market.index.searchsorted(index[-1], side="right"))
        own = market.index[begin:last]
        if not own.equals(index):
            off = own.symmetric_difference(index)[0]
            where = "the market" if off in own else "what is measured"
            raise InputError(
                f"what is measured must stand on the bars of the market, all between its first and "
                f"its last; {off:%Y-%m-%d %H:%M} is in {where} alone; reindex it, or give its own "
                "market"
            )
        return replace(market, bars=market.bars.iloc[:last]), begin
    if of_portfolio:
        close = values
    elif benchmark is None:
        raise InputError("returns need something to be compared with; give market or benchmark")
    else:
        _same_bars(benchmark, index)
        close = 100.0 * (1.0 + benchmark).cumprod()
    close = close.astype("float64")
    opens = close.shift(fill_value=close.iloc[0] if of_portfolio else 100.0)
    frame = pd.DataFrame({"open": opens, "close": close}, index=index)
    frame = frame.assign(high=frame.max(axis=1), low=frame.min(axis=1), volume=np.nan)
    frame = frame[["open", "high", "low", "close", "volume"]]
    return MarketView(bars=frame, timeframe=timeframe), 0


def _check_in_step(returns: pd.Series, market: MarketView | None, stamped: str | None) -> None:
    """Raise InputError if returns are as large as those of the bar beside the one they are of."""
    sizes = returns[returns != 0.0].abs()
    if market is None or len(sizes) < _FEWEST_MOVES:
        return
    moves = market.bars["close"].pct_change(fill_method=None).abs()
    own, before, after = (
        float(sizes.rank().corr(moves.shift(by).reindex(sizes.index).rank())) for by in (0, 1, -1)
    )
    for beside, said, other in ((after, "after", "open"), (before, "before", "close")):
        if beside > _IN_STEP and beside > own + _CLEARLY:
            mend = "shift them by a bar" if stamped == other else f"say stamped={other!r}"
            raise InputError(
                f"returns must be of the bars they are stamped at; stamped={stamped!r}, they move "
                f"with the bar {said} their own (rank correlation of sizes {beside:.2f}, with "
                f"their own {own:.2f}); {mend}; where it is meant, say so: really=True"
            )


def _same_bars(benchmark: pd.Series, index: pd.DatetimeIndex) -> None:
    if not pd.DatetimeIndex(benchmark.index).equals(index):
        raise InputError(
            f"the benchmark must have the bars of what is measured ({len(index):,} from "
            f"{index[0]:%Y-%m-%d %H:%M}); got {counted(len(benchmark), 'other')}; reindex it"
        )


def _held(
    seen: MarketView, begin: int, done: Backtest, benchmark: pd.Series | None, costs: Costs
) -> Backtest:
    """The benchmark: the market held, or returns that were given."""
    if benchmark is None:
        ones = pd.Series(1.0, index=seen.index)
        return run_target(seen, ones, begin=begin, costs=costs, initial_equity=done.initial_equity)
    _same_bars(benchmark, pd.DatetimeIndex(done.ledger.index))
    return from_returns(benchmark, timeframe=done.timeframe, initial_equity=done.initial_equity)


def _between(
    evaluation: Evaluation, start: str | pd.Timestamp | None, end: str | pd.Timestamp | None
) -> Evaluation:
    first, last = evaluation.span
    first = first if start is None else max(utc(start, "start"), first)
    last = last if end is None else min(utc(end, "end"), last)
    return windowed(evaluation, first, last)
