"""All metrics of the package, and the values of metrics for a run and for parts of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delever.arguments import one_of
from delever.errors import InputError
from delever.stats import drawdowns, performance, returns, risk
from delever.stats.metric import EVERYWHERE, SCOPES, Metric, Scope, metric, metric_of
from delever.stats.sample import Sample, Sums

__all__ = [
    "EVERYWHERE",
    "METRICS",
    "REGISTRY",
    "SCOPES",
    "AsMetric",
    "Metric",
    "Sample",
    "Scope",
    "Sums",
    "compute",
    "compute_scopes",
    "find",
    "methods_table",
    "metric",
    "metric_of",
    "register",
]

AsMetric = Metric | Callable[..., float]
"""A function with `metric` above it, or its row."""

METRICS: tuple[Metric, ...] = tuple(
    metric_of(function)
    for function in (
        returns.bar_count,
        returns.elapsed_days,
        returns.total_return,
        returns.cagr,
        risk.volatility,
        risk.downside_deviation,
        performance.sharpe_ratio,
        performance.sortino_ratio,
        performance.calmar_ratio,
        drawdowns.max_drawdown,
        drawdowns.max_drawdown_length,
        drawdowns.time_to_recover,
        drawdowns.longest_drawdown,
        risk.value_at_risk,
        risk.expected_shortfall,
        risk.worst_bar,
        risk.best_bar,
        risk.skewness,
        risk.kurtosis,
        performance.mean_exposure,
        performance.time_in_market,
        performance.yearly_turnover,
        performance.closed_trades,
        performance.hit_rate,
        performance.profit_factor,
        performance.up_capture,
        performance.down_capture,
        performance.loss_avoided,
        performance.cost_of_protection,
    )
)
"""The metrics of the package, in the order in which they are shown."""


def register(further: Iterable[AsMetric] = ()) -> Mapping[str, Metric]:
    """Metrics by name, read-only: those of the package, then further ones.

    Parameters
    ----------
    further : iterable of Metric or of functions with `metric` above them
        A user's own, in the order in which they are to be shown. One of the package's may be
        among them and stays where it is.

    Raises
    ------
    InputError
        If one of them is no metric, or two metrics carry one name or one label.

    Examples
    --------
    >>> @metric(unit="fraction", better="higher", formula="median(r)")
    ... def median_bar(returns):
    ...     return float(np.median(returns))
    >>> list(register([median_bar]))[-1], "median_bar" in REGISTRY
    ('median_bar', False)
    """
    table: dict[str, Metric] = {}
    labels: dict[str, str] = {}
    for entry in (*METRICS, *map(metric_of, further)):
        if table.get(entry.name) is entry:
            continue
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


REGISTRY = register()
"""The metrics of the package by name, read-only, in the order in which they are shown."""


def find(name: str, registry: Mapping[str, Metric] = REGISTRY) -> Metric:
    """Metric of a name.

    Raises
    ------
    InputError
        If there is none; the message lists those there are.

    Examples
    --------
    >>> find("max_drawdown").unit
    'fraction'
    """
    one_of("metric", name, registry)
    return registry[name]


def compute(
    sample: Sample, metrics: Iterable[AsMetric] = METRICS, *, scope: Scope = "whole"
) -> pd.Series:
    """Values of metrics for a sample, by name and in their order; shape (metrics,).

    NaN where a metric is undefined, as it is outside its scopes.

    Parameters
    ----------
    sample : Sample
    metrics : iterable of Metric or of functions with `metric` above them
    scope : {"whole", "inside", "outside", "phase", "period"}
        What of a run the sample is.

    Raises
    ------
    InputError
        If something is no metric, or does not give a number.

    Examples
    --------
    >>> from delever.stats.performance import hit_rate, loss_avoided
    >>> days = pd.date_range("2021-01-01", periods=2, tz="UTC")
    >>> flat = pd.Series(0.0, index=days)
    >>> sample = Sample(
    ...     returns=pd.Series([-0.5, 0.1], index=days), benchmark=flat - 0.5, exposure=flat,
    ...     turnover=flat, trades=pd.DataFrame(columns=["exit_time", "net_pnl", "status"]),
    ...     timeframe="1d")
    >>> compute(sample, [REGISTRY["total_return"], hit_rate, loss_avoided]).round(6).to_dict()
    {'total_return': -0.45, 'hit_rate': nan, 'loss_avoided': nan}
    >>> compute(sample, [loss_avoided], scope="inside").round(6).to_dict()
    {'loss_avoided': 0.3}
    """
    chosen = [metric_of(item) for item in metrics]
    values = _values(sample, chosen, scope)
    index = pd.Index([each.name for each in chosen], name="metric", dtype=object)
    return pd.Series(values, index=index, dtype="float64", name="value")


_BY_NAME: Mapping[str, Scope] = MappingProxyType({scope: scope for scope in EVERYWHERE})


def compute_scopes(
    sample: Sample,
    bars: Mapping[str, NDArray[np.bool_]],
    metrics: Iterable[AsMetric] = METRICS,
    *,
    scopes: Mapping[str, Scope] = _BY_NAME,
) -> pd.DataFrame:
    """Values of metrics in each of several parts of a run; shape (metrics, parts).

    Parameters
    ----------
    sample, metrics
        As in `compute`; the sample is the whole run.
    bars : mapping of str to numpy.ndarray of bool, shape (n,)
        Which bars each part holds, by its name; the columns of the result, in this order.
    scopes : mapping of str to {"whole", "inside", "outside", "phase", "period"}
        What of a run each part is, a period where it is not named; by default what a name says.

    Raises
    ------
    InputError
        If a part is not one boolean per bar, something is no metric or does not give a number.

    Notes
    -----
    The bars of a part are joined in order into one path (see `Sample.within`) that begins with a
    wealth of 1: returns compound along it, drawdowns and times are measured on it, and a yearly
    figure takes their time for the only one there was. Two parts that split the bars compound to
    the whole. Without bars, no metric but a count is defined.
    """
    chosen = [metric_of(item) for item in metrics]
    columns = {
        name: _values(sample.within(own), chosen, scopes.get(name, "period"))
        for name, own in bars.items()
    }
    index = pd.Index([each.name for each in chosen], name="metric", dtype=object)
    return pd.DataFrame(columns, index=index, dtype="float64").rename_axis(columns="scope")


def _values(sample: Sample, metrics: Sequence[Metric], scope: Scope) -> list[float]:
    return [each.compute(sample) if scope in each.scopes else math.nan for each in metrics]


def methods_table() -> str:
    """The metrics of the package as the Markdown table of the page of methods."""
    lines = [
        "| metric | label | unit | better | scopes | formula | source |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for m in METRICS:
        scopes = "all" if m.scopes == EVERYWHERE else ", ".join(m.scopes)
        lines.append(
            f"| `{m.name}` | {m.label} | {m.unit} | {m.better or 'neither'} | {scopes} "
            f"| `{m.formula}` | {m.source} |"
        )
    return "\n".join(lines) + "\n"
