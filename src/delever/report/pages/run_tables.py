"""Tables of what a run did, of what made its result, and of what might have been."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from delever.deleveraging.period import Period
from delever.engine.backtest import Backtest
from delever.report.format import (
    day,
    money,
    number,
    percent,
    points,
    price,
    reported,
    speed,
    value,
    when,
    whole,
)
from delever.report.pages.metric_tables import SCOPE_LABELS, period_dates, period_labels
from delever.report.table import (
    Cell,
    Table,
    fraction_cell,
    money_cell,
    number_cell,
    numbers,
    points_cell,
    stretch,
    tabulate,
    texts,
    time_cell,
)
from delever.research.what_if import AS_RUN, is_neighbour, parse_counterfactual

_PARTS = {
    "price_pnl": "Price moves",
    "funding": "Funding",
    "fee": "Fees",
    "slippage": "Slippage",
    "borrow": "Borrow",
    "liquidation": "Liquidation",
    "collateral": "Collateral",
}
_MOST_TRADES = 500
_LEAST_SHOWN = pd.Timedelta(days=20)
_PARTS_IN_FULL = _PARTS | {
    "liquidation": "Liquidation: margin lost, or loss not borne",
    "collateral": "Collateral: what the coins held gained",
}

_EXCURSIONS = (
    numbers("Worst", "worst", fraction_cell, "Maximum adverse excursion (MAE)"),
    numbers("Best", "best", percent, "Maximum favourable excursion (MFE)"),
)
_EXCURSIONS_SAID = (
    " Worst and best: how far the price went against and with the position, from its average entry "
    "price, by the highs and lows of the bars before that of the exit, and the exit price; costs "
    "left out."
)
_LOST_SAID = " Liquidation: margin lost to the insurance fund, or loss it bore."


def drawdowns_table(drawdowns: pd.DataFrame) -> Table:
    """The deepest drawdowns of a run."""
    return tabulate(
        "drawdowns",
        drawdowns,
        (
            numbers("Depth", "depth", fraction_cell),
            texts("Peak", lambda row: when(row["start"])),
            texts("Trough", lambda row: when(row["trough"])),
            texts(
                "Recovered",
                lambda row: "not yet" if pd.isna(row["recovery"]) else when(row["recovery"]),
            ),
            numbers("Length, days", "length", partial(value, unit="days")),
        ),
        caption="Dates are the open of the bar at whose close the event stood, UTC; lengths are "
        "elapsed time.",
        empty="Equity never fell below an earlier peak.",
    )


def figures_table(periods: Sequence[Period]) -> Table:
    """What was reported about the periods, sources that disagree side by side."""
    return tabulate(
        "figures",
        [
            (period.title if place == 0 else "", figure)
            for period in periods
            for place, figure in enumerate(period.figures)
        ],
        (
            texts("Period", lambda row: row[0]),
            texts("Figure", lambda row: row[1].name),
            texts("Value", lambda row: reported(row[1].value, row[1].unit), numeric=True),
            texts("What it counts", lambda row: row[1].definition),
            texts(
                "Source",
                lambda row: (
                    row[1].source + ("" if row[1].as_of is None else f", as of {day(row[1].as_of)}")
                ),
                links=True,
            ),
        ),
        caption="As each source defines it; sources disagree and none of these numbers enters "
        "a metric.",
    )


def trades_table(trades: pd.DataFrame) -> Table:
    """The round trips of a run, with their `delever.research.excursions` as ``worst``, ``best``."""
    count = len(trades)
    margin = [part for part in ("funding", "liquidation") if part in trades]
    if "symbol" in trades:  # one column more: what came of nothing gives way
        margin = [part for part in margin if trades[part].any()]
    if count > _MOST_TRADES:
        largest = trades["net_pnl"].abs().nlargest(_MOST_TRADES).index
        trades = trades.loc[largest.sort_values()]
    return tabulate(
        "trades",
        trades,
        (
            texts("Entry", _entry),
            *([texts("Symbol", "symbol")] if "symbol" in trades else []),
            texts("Exit", lambda row: time_cell(row["exit_time"])),
            texts("Side", _side),
            numbers("Entry price", "entry_price", price),
            numbers("Exit price", "exit_price", price),
            numbers("Bars", "bars", whole),
            numbers("Return", "return", fraction_cell),
            *(_EXCURSIONS if "worst" in trades else ()),
            numbers("Net PnL", "net_pnl", money),
            numbers("Fees", "fee", money),
            numbers("Slippage", "slippage", money),
            *(numbers(_PARTS[part], part, money) for part in margin),
            texts("Status", _ended),
        ),
        sortable=True,
        limit=25,
        caption=(
            f"The {_MOST_TRADES:,} of {count:,} trades with the largest results. "
            if count > _MOST_TRADES
            else ""
        )
        + "Prices are averages over fills, slippage included; return is net PnL per equity "
        "at entry. A trade still open is valued at the last close."
        + (_EXCURSIONS_SAID if "worst" in trades else "")
        + (_LOST_SAID if "liquidation" in margin else ""),
        empty="The strategy never traded.",
    )


def _entry(trade: Mapping[str, Any]) -> Cell:
    """When a trade was entered, and the stretch of time around it."""
    entered, left = trade["entry_time"], trade["exit_time"]
    held = max((entered if pd.isna(left) else left) - entered, _LEAST_SHOWN)
    shown = stretch(entered - held / 2, entered + 1.5 * held)
    return time_cell(entered, zoom=shown, figure="fig-price")


def _side(trade: Mapping[str, Any]) -> Cell:
    return Cell(text="long" if trade["side"] > 0 else "short", order=float(trade["side"]))


def _ended(trade: Mapping[str, Any]) -> Cell:
    """Status of a trade, and in a margin account what closed it where no target did."""
    status, reason = str(trade["status"]), str(trade.get("exit_reason", ""))
    why = reason.replace("_", " ") if reason not in ("", "target", "liquidation") else ""
    return Cell(text=f"{status}, {why}" if why else status, order=status)


def attribution_table(backtest: Backtest, benchmark: Backtest, name: str) -> Table:
    """What made the change in equity."""
    runs = (backtest, benchmark)
    parts = {
        _PARTS_IN_FULL[str(part)]: [float(run.attribution.get(part, 0.0)) for run in runs]
        for part in backtest.attribution.index
    }
    amounts = {
        "Starting equity": [run.initial_equity for run in runs],
        **parts,
        "Final equity": [float(run.equity.iloc[-1]) for run in runs],
    }
    return tabulate(
        "attribution",
        amounts.items(),
        (
            texts("Quote currency", lambda row: row[0]),
            numbers("strategy", lambda row: row[1][0], money),
            numbers(name, lambda row: row[1][1], money),
        ),
        caption="Price moves are measured at the opens and closes of the data; fees and slippage "
        "are what trading took from them.",
    )


def parts_shown(table: pd.DataFrame) -> dict[str, str]:
    """Parts of an attribution that get a column, and what they are called."""
    names = {name: said for name, said in _PARTS.items() if name in table}
    seldom = [name for name in ("borrow", "liquidation") if name in names]
    return {name: said for name, said in names.items() if name not in seldom or table[name].any()}


def scopes_table(table: pd.DataFrame, periods: Sequence[Period]) -> Table:
    """What made the change in equity, inside and outside the periods and in each of them."""
    labels = period_labels(periods)
    about = {scope: Cell(text=label) for scope, label in SCOPE_LABELS.items()}
    for period in periods:
        about[period.id] = Cell(
            text=labels[period.id], title=f"{period.title}, {period_dates(period)}"
        )
    shown = parts_shown(table)
    zero = [said.lower() for name, said in _PARTS.items() if name in table and name not in shown]
    return tabulate(
        "parts-by-scope",
        table.rename_axis(index="scope"),
        (
            texts("Quote currency", lambda row: about[row["scope"]]),
            *(numbers(said, part, money) for part, said in shown.items()),
            numbers("Change of equity", "change", money_cell),
            texts("Equity before", _before, numeric=True),
            texts("Return", _return, numeric=True),
        ),
        caption="Each row adds up to its change of equity, and inside and outside to the whole. "
        "Bars that two periods share count in both."
        + (f" Nothing came of {' or '.join(zero)} beside fees and price moves." if zero else ""),
    )


def _before(row: Mapping[str, Any]) -> Cell:
    """Equity before a stretch of time; empty for what is no stretch."""
    amount = row["equity_before"]
    return Cell(text="") if math.isnan(amount) else number_cell(amount, money)


def _return(row: Mapping[str, Any]) -> Cell:
    before = row["equity_before"]
    if math.isnan(before):
        return Cell(text="")
    return fraction_cell(row["change"] / before if before > 0.0 else math.nan)


def what_if_table(
    outcomes: Mapping[str, pd.DataFrame],
    refused: Mapping[str, Mapping[str, str]],
    *,
    days: float,
) -> Table:
    """Returns, drawdown and liquidations of runs of so many days beside their counterfactuals."""
    rows = [
        {"run": run, "said": refused.get(run, {}).get(row["counterfactual"]), **row}
        for run, table in outcomes.items()
        for row in table.rename_axis("counterfactual").reset_index().to_dict("records")
    ]
    return tabulate(
        "what-if-table",
        rows,
        (
            *([texts("Run", _run)] if len(outcomes) > 1 else []),
            texts("Changed", _changed),
            numbers("Return", "total_return", fraction_cell),
            numbers("Points saved a period", "points_saved", points_cell),
            numbers(speed("Growth outside a year", days), "growth_outside", fraction_cell),
            numbers("Max drawdown", "max_drawdown", fraction_cell),
            numbers("Liquidations", "liquidations", whole),
            numbers("Final equity", "final_equity", money),
        ),
        caption="The same decisions on the same bars, run again with one thing changed; the "
        "strategy is not asked again: it may have decided otherwise. Only for a neighbouring "
        "parameter it is; until a longer window can decide, it does what the run did.",
    )


def _run(row: Mapping[str, Any]) -> str:
    return str(row["run"]) if row["counterfactual"] == AS_RUN else ""


def _changed(row: Mapping[str, Any]) -> Cell:
    name = row["counterfactual"]
    return Cell(text=name, note=row["said"] or _meaning(name))


def _meaning(name: str) -> str:
    if name == AS_RUN:
        return ""
    if is_neighbour(name):
        return "The strategy asked again, with one parameter a step of a tenth beside its own."
    change = parse_counterfactual(name)
    if change.funding_off:
        return "Nobody pays or receives funding."
    if change.leverage is not None:
        return (
            f"Margin at {change.leverage:g}x; where the largest exposure of the run lay beyond it, "
            "which only hindsight knows, all are scaled down."
        )
    if change.bars_later:
        return "Every decision filled that much later; flat before the first."
    return (
        f"Fees and slippage {change.costs_times:g} times as high; rebates, funding and the fee "
        "of a liquidation as they were."
    )


def engines_table(engines: pd.DataFrame) -> Table:
    """The figures of each engine."""
    return tabulate(
        "engines",
        engines,
        (
            texts("Engine", "index"),
            numbers("Total return", "total_return", percent),
            numbers("Sharpe ratio", "sharpe_ratio", lambda ratio: number(ratio, 4)),
            numbers("Max drawdown", "max_drawdown", percent),
            numbers("Apart", "apart", lambda share: f"{share:.0e}" if share else "0"),
        ),
        caption="Apart: the largest difference of equity from this engine's in any bar, of it.",
    )


def steps_table(steps: pd.DataFrame) -> Table:
    """What sets vectorbt apart, a step a row."""
    return tabulate(
        "steps",
        steps,
        (
            texts("What is changed", "index"),
            numbers("Points of return", "points", points),
            numbers("Sharpe ratio", "sharpe_ratio", lambda ratio: number(ratio, 4)),
            numbers("Max drawdown", "max_drawdown", lambda fall: f"{points(fall)} points"),
        ),
        caption="From vectorbt as it comes to this engine; they add up to the difference.",
    )
