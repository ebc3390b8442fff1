"""The one table of metrics, and its values for a run and for parts of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delever.errors import InputError
from delever.stats.metric_table import METRICS
from delever.stats.sample import Metric, Sample

__all__ = [
    "REGISTRY",
    "Metric",
    "Sample",
    "compute",
    "compute_scopes",
    "methods_table",
    "metric",
    "register",
]


def register(metrics: Iterable[Metric]) -> Mapping[str, Metric]:
    """Make a read-only table of metrics by name.

    Parameters
    ----------
    metrics : iterable of Metric
        In the order in which they are to be shown.

    Returns
    -------
    mapping of str to Metric

    Raises
    ------
    InputError
        If two metrics carry one name, or one label.
    """
    table: dict[str, Metric] = {}
    labels: dict[str, str] = {}
    for entry in metrics:
        if entry.name in table:
            raise InputError(
                f"every metric needs a name of its own; {entry.name!r} is taken by "
                f"{table[entry.name].label!r}; rename the second one"
            )
        if entry.label in labels:
            raise InputError(
                f"every metric needs a label of its own; {entry.label!r} is that of "
                f"{labels[entry.label]!r} and of {entry.name!r}; change the second one"
            )
        table[entry.name] = entry
        labels[entry.label] = entry.name
    return MappingProxyType(table)


REGISTRY = register(METRICS)
"""Every metric by name, read-only, in the order in which they are shown."""


def metric(name: str) -> Metric:
    """Look a metric up by name.

    Parameters
    ----------
    name : str
        Such as ``"max_drawdown"``.

    Returns
    -------
    Metric

    Raises
    ------
    InputError
        If there is no such metric; the message lists those there are.

    Examples
    --------
    >>> metric("max_drawdown").unit
    'fraction'
    """
    try:
        return REGISTRY[name]
    except KeyError:
        raise InputError(f"metric must be one of {', '.join(REGISTRY)}; got {name!r}") from None


def compute(sample: Sample, names: Iterable[str] | None = None) -> pd.Series:
    """Values of the metrics for a sample.

    Parameters
    ----------
    sample : Sample
        Bars and trades.
    names : iterable of str, optional
        Which metrics, in this order; all of them when left out.

    Returns
    -------
    pandas.Series of float, shape (metrics,)
        Indexed by metric name; NaN where a metric is undefined.

    Raises
    ------
    InputError
        If a name is unknown.

    Examples
    --------
    >>> days = pd.date_range("2021-01-01", periods=2, tz="UTC")
    >>> flat = pd.Series(0.0, index=days)
    >>> sample = Sample(
    ...     returns=pd.Series([-0.5, 0.1], index=days), benchmark=None, exposure=flat,
    ...     turnover=flat, trades=pd.DataFrame(columns=["exit_time", "net_pnl", "status"]),
    ...     periods_per_year=365.0)
    >>> compute(sample, ["total_return", "max_drawdown", "hit_rate"]).round(6).to_dict()
    {'total_return': -0.45, 'max_drawdown': -0.5, 'hit_rate': nan}
    """
    chosen = [metric(name) for name in (REGISTRY if names is None else names)]
    values = [entry.compute(sample) for entry in chosen]
    index = pd.Index([entry.name for entry in chosen], name="metric", dtype=object)
    return pd.Series(values, index=index, dtype="float64", name="value")


def compute_scopes(
    sample: Sample, scopes: Mapping[str, NDArray[np.bool_]], names: Iterable[str] | None = None
) -> pd.DataFrame:
    """Values of the metrics in each of several scopes.

    Parameters
    ----------
    sample : Sample
        The whole run.
    scopes : mapping of str to numpy.ndarray of bool, shape (n,)
        Which bars each scope holds, such as the whole, the bars inside deleveraging periods,
        those outside, and those of a single period.
    names : iterable of str, optional
        Which metrics; all of them when left out.

    Returns
    -------
    pandas.DataFrame of float, shape (metrics, scopes)
        Rows in the order of the metrics, columns in the order of `scopes`.

    Raises
    ------
    InputError
        If a scope is not one boolean per bar, or a name is unknown.

    Notes
    -----
    The bars of a scope are joined in order into one path that begins with a wealth of 1: returns
    compound along it, drawdowns and times are measured on it, and a yearly figure takes its
    bars for the only ones there were. Two scopes that split the bars compound to the whole. A
    trade belongs to the scope of the bar it ended on (see `Sample.within`). A scope without
    bars has no metric but its counts.
    """
    chosen = list(REGISTRY if names is None else names)
    columns = {name: compute(sample.within(bars), chosen) for name, bars in scopes.items()}
    index = pd.Index(chosen, name="metric", dtype=object)
    return pd.DataFrame(columns, index=index, dtype="float64").rename_axis(columns="scope")


def methods_table() -> str:
    """The registry as the Markdown table of the page of methods.

    Returns
    -------
    str
        A line for each metric, with a heading, ending in a line break.
    """
    heading = ("metric", "label", "unit", "better", "formula", "source")
    rows = [
        (f"`{m.name}`", m.label, m.unit, m.better or "neither", f"`{m.formula}`", m.source)
        for m in REGISTRY.values()
    ]
    lines = [heading, ("---",) * len(heading), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
