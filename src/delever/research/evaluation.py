"""A backtest measured inside and outside deleveraging periods, beside its benchmark."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from delever.events.catalog import Period
from delever.sim.backtest import Backtest

__all__ = ["Evaluation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One strategy's run, its benchmark's, and every metric in every scope.

    Attributes
    ----------
    name : str
        Name of the study.
    backtest, benchmark : Backtest
        Over the same bars.
    bars : pandas.DataFrame, shape (n, 5)
        The bars of the run, without warm-up bars.
    periods : tuple of Period
        Those that overlap the run, in order of time.
    metrics : pandas.DataFrame
        Rows: metric names of the registry. Columns: ``whole``, ``inside``, ``outside`` and each
        period's id.
    benchmark_metrics : pandas.DataFrame
        The same for the benchmark.
    """

    name: str
    backtest: Backtest
    benchmark: Backtest
    bars: pd.DataFrame
    periods: tuple[Period, ...]
    metrics: pd.DataFrame
    benchmark_metrics: pd.DataFrame
