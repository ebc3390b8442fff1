"""What ``import delever as dl`` offers in a notebook: the command line's words as functions."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from delever.data.references import Dataset
from delever.deleveraging.period import Period, load_catalog
from delever.errors import InputError
from delever.research.what_if import what_if
from delever.study import single_run as trial
from delever.study.provenance import describe_simulation, versions
from delever.study.run import Run, load_run, remarks, run_study
from delever.study.strategy import Strategy
from delever.study.workspace import Workspace
from delever.venues.costs import Costs
from delever.view import MarketView

__all__ = ["backtest", "load", "load_periods", "make_view", "run", "strategy"]


def load(reference: str, *, workspace: Path | str | None = None) -> Dataset:
    """Load a data set by reference.

    Parameters
    ----------
    reference : str
        ``venue/kind/SYMBOL/timeframe``, such as ``"sample/ohlcv/BTC/USD/1d"``.
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    Dataset
    """
    _require(reference, str, "a data set", 'its reference, such as "sample/ohlcv/BTC/USD/1d"')
    return Workspace.find(workspace).catalog.load(reference)


def strategy(name: str, *, workspace: Path | str | None = None) -> Strategy:
    """Load a strategy by name or path.

    Parameters
    ----------
    name : str
        Stem of a file in ``strategies/``, or a path from the workspace.
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    Strategy
    """
    _require(name, str, "a strategy", "its name or path as text")
    return Workspace.find(workspace).strategy(name)


def load_periods(*, workspace: Path | str | None = None) -> tuple[Period, ...]:
    """Load the workspace's catalogue of deleveraging periods.

    Parameters
    ----------
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    tuple of Period
    """
    return load_catalog(Workspace.find(workspace).root / "data" / "deleveraging.toml")


def make_view(
    data: Dataset | str,
    *,
    warmup: Dataset | str | None = None,
    series: Mapping[str, Dataset | str] | None = None,
    workspace: Path | str | None = None,
) -> MarketView:
    """Make the causal view of a data set.

    Parameters
    ----------
    data : Dataset or str
        Bars, loaded or by reference.
    warmup : Dataset or str, optional
        Earlier bars of the same timeframe, for indicators only.
    series : mapping of str to Dataset or str, optional
        What ``market.series(name)`` finds.
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    MarketView
    """

    def loaded(source: Dataset | str) -> Dataset:
        if isinstance(source, Dataset):
            return source
        return load(source, workspace=workspace)

    _require(series or {}, Mapping, "series", "a mapping of names to references or data sets")
    return trial.view(
        loaded(data),
        warmup=None if warmup is None else loaded(warmup),
        series={name: loaded(source) for name, source in (series or {}).items()},
    )


def run(
    path: Path | str,
    set: Mapping[str, Any] | None = None,
    *,
    fresh: bool = False,
    workspace: Path | str | None = None,
) -> Run:
    """Run a study file, or open a finished run's folder.

    Parameters
    ----------
    path : path
        A study file (``backtests/ma200w_break.toml``) or the folder of a finished run.
    set : mapping, optional
        Dotted keys of the study to values, such as ``{"params.weeks": 150}``.
    fresh : bool
        Run even where the result is there.
    workspace : path, optional
        By default the one at or above the current folder.

    Returns
    -------
    Run
    """
    place = Workspace.find(workspace)
    _require(path, (str, Path), "a study", "the path of its file, or of a finished run's folder")
    _require(set or {}, Mapping, "set", 'a mapping such as {"params.weeks": 150}')
    target = place.file(Path(path))
    if target.is_dir():
        if set or fresh:
            raise InputError(f"set and fresh need a study file; {target} is a finished run")
        return load_run(target)
    return run_study(target, workspace=place, overrides=set, fresh=fresh)


def backtest(
    market: MarketView,
    strategy: str | Strategy | pd.Series,
    *,
    name: str | None = None,
    costs: Costs = Costs(taker_fee=0.001, slippage=0.0005),
    costs_times: float = 1.0,
    initial_equity: float = 10_000.0,
    start: str | pd.Timestamp | None = None,
    end: str | pd.Timestamp | None = None,
    workspace: Path | str | None = None,
    **params: Any,
) -> Run:
    """Backtest a strategy on a view, beside buy and hold, in and out of deleveraging periods.

    Parameters
    ----------
    market : MarketView
        From `make_view`.
    strategy : str, Strategy or pandas.Series
        A name, a loaded strategy, or target exposures indexed like the bars.
    name : str, optional
        Name of the result; the strategy's unless given.
    costs : Costs
        By default those of a study: taker fee 0.1 %, slippage 0.05 %.
    costs_times : float
        How many times they are paid, by the benchmark as well; 2 is the usual stress.
    initial_equity : float
        In quote currency.
    start, end : str or pandas.Timestamp, optional
        UTC; by default from the first bar that a decision can be filled at to the last bar.
    workspace : path, optional
        Where strategies and periods are; by default at or above the current folder.
    **params
        Parameters of the strategy.

    Returns
    -------
    Run
        Not stored; `Run.tearsheet` writes its page.

    Raises
    ------
    InputError
        If an argument is not of its kind.
    """
    _require(market, MarketView, "market", "a view, as dl.make_view returns it")
    _require(
        strategy, (str, Strategy, pd.Series), "strategy", "a name, a loaded strategy or exposures"
    )
    _require(costs, Costs, "costs", "dl.Costs(taker_fee=0.001, slippage=0.0005) or the like")
    _require(initial_equity, numbers.Real, "initial_equity", "a number of quote currency")
    place = Workspace.find(workspace)
    benchmark = place.strategy("buy_and_hold")
    if isinstance(strategy, str):
        strategy = place.strategy(strategy)
    if isinstance(strategy, pd.Series):
        if params:
            raise InputError(f"target exposures take no parameters; got {', '.join(params)}")
        bound: dict[str, Any] = {}
        title = name or str(strategy.name or "exposures")
    else:
        bound = strategy.bind(params)
        title = name or strategy.name
    evaluation = trial.run_trial(
        market,
        strategy,
        name=title,
        benchmark=benchmark,
        params=bound,
        costs=costs,
        costs_times=costs_times,
        initial_equity=initial_equity,
        start=_utc(start, "start"),
        end=_utc(end, "end"),
        periods=load_periods(workspace=workspace),
    )
    first, last = evaluation.span
    found = what_if(evaluation.backtest)
    manifest = {
        "study": {"name": title, "costs_times": costs_times},
        "params": bound,
        "simulation": describe_simulation(evaluation),
        "span": {"start": f"{first:%Y-%m-%dT%H:%M:%SZ}", "end": f"{last:%Y-%m-%dT%H:%M:%SZ}"},
        "bars": len(evaluation.bars),
        "versions": versions(),
        "notes": remarks(evaluation, market, costs_times=costs_times),
        "refused_counterfactuals": dict(found.refused),
    }
    return Run(evaluation=evaluation, manifest=manifest, what_if=found)


def _require(value: object, kind: type | tuple[type, ...], name: str, what: str) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        shown = " ".join(repr(value).split())[:60]
        raise InputError(f"{name} must be {what}; got {shown} ({type(value).__name__})")


def _utc(time: str | pd.Timestamp | None, name: str) -> pd.Timestamp | None:
    if time is None:
        return None
    try:
        stamp = pd.Timestamp(time).as_unit("ns")
    except (ValueError, TypeError, AttributeError):
        stamp = None
    if stamp is None or pd.isna(stamp):
        raise InputError(f"{name} must be a date or a time such as 2021-05-19; got {time!r}")
    return stamp.tz_localize("UTC") if stamp.tz is None else stamp.tz_convert("UTC")
