"""The tables of the pages."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from delever.events.catalog import Period
from delever.report.format import day, money, number, price, when
from delever.report.table import (
    Cell,
    Column,
    Group,
    Table,
    fraction_cell,
    mark_best,
    metric_cell,
    number_cell,
    reading,
)
from delever.research.evaluation import SCOPES, Evaluation
from delever.sim.backtest import Backtest
from delever.stats.drawdowns import deepest_drawdowns
from delever.stats.registry import Metric, metric

__all__ = [
    "HEADLINE",
    "SCOPE_LABELS",
    "attribution_table",
    "drawdowns_table",
    "metric_name",
    "metrics_table",
    "period_labels",
    "periods_table",
    "shown_metrics",
    "trades_table",
]

SCOPE_LABELS = {"whole": "Whole run", "inside": "Inside periods", "outside": "Outside periods"}
"""What the scopes are called on a page."""

_PARTS = {
    "price_pnl": "Price moves",
    "fee": "Fees",
    "slippage": "Slippage",
    "liquidation": "Loss beyond equity, not borne",
}
_TRADES_SHOWN = 25

HEADLINE = (
    "total_return",
    "cagr",
    "max_drawdown",
    "loss_avoided",
    "cost_of_protection",
    "volatility",
    "sharpe_ratio",
    "sortino_ratio",
    "calmar_ratio",
    "exposure",
    "turnover",
    "trades",
)
"""The metrics that are shown first."""


def metrics_table(evaluation: Evaluation, benchmark: str) -> Table:
    """Every metric in the three scopes, beside the benchmark's.

    Parameters
    ----------
    evaluation : Evaluation
        The run.
    benchmark : str
        What the benchmark is called.

    Returns
    -------
    Table
        The better of the two is marked.
    """
    rows = []
    for spec in shown_metrics(evaluation.metrics):
        row = [metric_name(spec)]
        for scope in SCOPES:
            values = (evaluation.metrics, evaluation.benchmark_metrics)
            pair = [metric_cell(reading(frame, spec.name, scope), spec) for frame in values]
            row.extend(mark_best(pair, spec.better))
        rows.append(tuple(row))
    return Table(
        id="metrics",
        columns=(
            Column(label="", numeric=False),
            *(Column(label=label) for _ in SCOPES for label in ("strategy", benchmark)),
        ),
        groups=(
            Group(label="", width=1),
            *(Group(label=SCOPE_LABELS[scope], width=2) for scope in SCOPES),
        ),
        rows=tuple(rows),
        limit=len(HEADLINE),
        caption="The better of the two is set off. The bars of a scope are joined into one path, "
        "so yearly figures take them for the only bars there were.",
    )


def shown_metrics(metrics: pd.DataFrame) -> list[Metric]:
    """Metrics of a frame in the order of a page: the headline ones first.

    Parameters
    ----------
    metrics : pandas.DataFrame
        Indexed by metric name.

    Returns
    -------
    list of Metric

    Raises
    ------
    InputError
        If a name is not in the registry.
    """
    first = [name for name in HEADLINE if name in metrics.index]
    return [metric(name) for name in [*first, *metrics.index.difference(first, sort=False)]]


def metric_name(spec: Metric) -> Cell:
    """Name of a metric, with its unit where the number does not show it."""
    unit = {"bars": ", bars", "days": ", days", "per_year": ", per year"}.get(spec.unit, "")
    return Cell(text=f"{spec.label}{unit}", title=spec.formula)


def period_labels(periods: Sequence[Period]) -> dict[str, str]:
    """A short name for each period: its first month, and its first day where months repeat.

    Parameters
    ----------
    periods : sequence of Period
        With unique ids.

    Returns
    -------
    dict of str to str
        By id.
    """
    months = [f"{period.start:%b %Y}" for period in periods]
    return {
        period.id: month if months.count(month) == 1 else f"{period.start:%d %b %Y}"
        for period, month in zip(periods, months, strict=True)
    }


def periods_table(evaluation: Evaluation, benchmark: str) -> Table:
    """What each deleveraging period did to the strategy and to the benchmark.

    Parameters
    ----------
    evaluation : Evaluation
        The run.
    benchmark : str
        What the benchmark is called.

    Returns
    -------
    Table
        In order of time; each row has a button that shows the stretch in the figure.
    """
    own, other = evaluation.metrics, evaluation.benchmark_metrics
    rows = []
    for period in evaluation.periods:
        part = " The run covers it only in part." if period in evaluation.cut_periods else ""
        room = max((period.end - period.start) * 0.6, pd.Timedelta(days=10))
        about = Cell(
            text=period.title,
            order=f"{period.start:%Y-%m-%d %H:%M}",
            note=f"{day(period.start)} to {_last_day(period)}. {period.cause}{part}".strip(),
            zoom=(f"{period.start - room:%Y-%m-%d %H:%M}", f"{period.end + room:%Y-%m-%d %H:%M}"),
        )
        shown = (
            (own, "total_return"),
            (other, "total_return"),
            (own, "loss_avoided"),
            (own, "max_drawdown"),
            (other, "max_drawdown"),
        )
        values = [fraction_cell(reading(frame, name, period.id)) for frame, name in shown]
        exposure = metric_cell(reading(own, "exposure", period.id), metric("exposure"))
        rows.append((about, *values, exposure))
    return Table(
        id="periods",
        columns=(
            Column(label="Period", numeric=False),
            Column(label="strategy"),
            Column(label=benchmark),
            Column(label="loss avoided", title=metric("loss_avoided").formula),
            Column(label="strategy"),
            Column(label=benchmark),
            Column(label="exposure", title=metric("exposure").formula),
        ),
        groups=(
            Group(label="", width=1),
            Group(label="Return", width=3),
            Group(label="Max drawdown", width=2),
            Group(label="Mean", width=1),
        ),
        rows=tuple(rows),
    )


def drawdowns_table(backtest: Backtest) -> Table:
    """The deepest drawdowns of a run.

    Parameters
    ----------
    backtest : Backtest
        The run.

    Returns
    -------
    Table
        Deepest first; at most ten.
    """
    rows = tuple(
        (
            fraction_cell(float(row["depth"])),
            Cell(text=when(row["start"])),
            Cell(text=when(row["trough"])),
            Cell(text="not yet" if pd.isna(row["recovery"]) else when(row["recovery"])),
            number_cell(float(row["length"]), lambda bars: number(bars, 0)),
        )
        for _, row in deepest_drawdowns(backtest.returns, 10).iterrows()
    )
    return Table(
        id="drawdowns",
        columns=(
            Column(label="Depth"),
            Column(label="Peak", numeric=False),
            Column(label="Trough", numeric=False),
            Column(label="Recovered", numeric=False),
            Column(label=f"Length, bars of {backtest.timeframe}"),
        ),
        rows=rows,
        caption="Dates are the open of the bar at whose close the event stood, UTC.",
    )


def trades_table(backtest: Backtest) -> Table:
    """Every round trip of a run.

    Parameters
    ----------
    backtest : Backtest
        The run.

    Returns
    -------
    Table
        Sortable; the first rows are shown until all are asked for.
    """
    rows = tuple(_trade(trade) for _, trade in backtest.trades.iterrows())
    texts = {"Entry", "Exit", "Side", "Status"}
    labels = (
        *("Entry", "Exit", "Side", "Entry price", "Exit price", "Bars"),
        *("Return", "Net PnL", "Fees", "Slippage", "Status"),
    )
    return Table(
        id="trades",
        columns=tuple(Column(label=label, numeric=label not in texts) for label in labels),
        rows=rows,
        sortable=True,
        limit=_TRADES_SHOWN,
        caption="Prices are averages over fills, slippage included; return is net PnL per equity "
        "at entry. A trade still open is valued at the last close.",
    )


def attribution_table(backtest: Backtest, benchmark: Backtest, name: str) -> Table:
    """What made the change in equity.

    Parameters
    ----------
    backtest, benchmark : Backtest
        Over the same bars.
    name : str
        What the benchmark is called.

    Returns
    -------
    Table
        The parts, from the starting to the final equity.
    """
    runs = (backtest, benchmark)
    rows = [("Starting equity", [run.initial_equity for run in runs])]
    for part in backtest.attribution.index:
        label = _PARTS.get(str(part), str(part).replace("_", " ").capitalize())
        rows.append((label, [float(run.attribution[part]) for run in runs]))
    rows.append(("Final equity", [float(run.equity.iloc[-1]) for run in runs]))
    return Table(
        id="attribution",
        columns=(
            Column(label="Quote currency", numeric=False),
            Column(label="strategy"),
            Column(label=name),
        ),
        rows=tuple(
            (Cell(text=label), *(number_cell(amount, money) for amount in amounts))
            for label, amounts in rows
        ),
        caption="Price moves are measured at the opens and closes of the data; fees and slippage "
        "are what trading took from them.",
    )


def _last_day(period: Period) -> str:
    return day(period.end - pd.Timedelta(1, unit="ns"))


def _trade(trade: pd.Series) -> tuple[Cell, ...]:
    left = trade["exit_time"]
    return (
        Cell(text=when(trade["entry_time"]), order=f"{trade['entry_time']:%Y-%m-%d %H:%M}"),
        Cell(text=when(left), order=None if pd.isna(left) else f"{left:%Y-%m-%d %H:%M}"),
        Cell(text="long" if trade["side"] > 0 else "short", order=float(trade["side"])),
        number_cell(float(trade["entry_price"]), price),
        number_cell(float(trade["exit_price"]), price),
        number_cell(float(trade["bars"]), lambda bars: number(bars, 0)),
        fraction_cell(float(trade["return"])),
        number_cell(float(trade["net_pnl"]), money),
        number_cell(float(trade["fee"]), money),
        number_cell(float(trade["slippage"]), money),
        Cell(text=str(trade["status"]), order=str(trade["status"])),
    )
