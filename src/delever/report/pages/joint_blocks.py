"""What a tear-sheet says of several symbols: their parts, periods, margin and how they moved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from delever.engine.terms import costs_of
from delever.report.figures import Chart
from delever.report.figures.panels import symbols_figure
from delever.report.format import NOT_AVAILABLE, day, money, number, percent, whole
from delever.report.page import Block, Part, block
from delever.report.pages.run_tables import parts_shown
from delever.report.table import (
    Cell,
    Table,
    fraction_cell,
    money_cell,
    numbers,
    points_cell,
    stretch,
    tabulate,
    texts,
    time_cell,
)
from delever.research.evaluation import Evaluation
from delever.research.portfolio_parts import (
    coin_periods,
    correlations,
    margin_path,
    portfolio_of,
    protection_by_symbol,
    saved_by_symbol,
    symbol_attribution,
)
from delever.venues.costs import Costs, VenueFees
from delever.venues.slippage import Slippage

_NEAREST = 5


def joint_frames(evaluation: Evaluation) -> dict[str, pd.DataFrame]:
    """Tables of a run of several symbols, by name; none for a run of one."""
    run = portfolio_of(evaluation)
    path = margin_path(evaluation)
    if run is None or path is None:
        return {}
    return {
        "symbols": symbol_attribution(run),
        "saved_by_symbol": saved_by_symbol(evaluation),
        "protection_by_symbol": protection_by_symbol(evaluation),
        "correlations": correlations(evaluation).reset_index(),
        "margin": path,
        "coin_periods": coin_periods(evaluation),
        "legs": pd.concat(dict(run.legs), names=["symbol"]).reset_index(),
    }


def joint_charts(evaluation: Evaluation) -> dict[str, Chart]:
    """Figures of a run of several symbols, in place of those of one."""
    run = portfolio_of(evaluation)
    if run is None or evaluation.closes is None:
        return {}
    exposures = pd.DataFrame({name: leg["exposure"] for name, leg in run.legs.items()})
    closes = evaluation.closes[[*run.legs]]
    drawn = symbols_figure(closes, exposures, evaluation.periods, timeframe=run.timeframe)
    return {"price": drawn}


def joint_blocks(
    evaluation: Evaluation, found: Mapping[str, pd.DataFrame], benchmark: str
) -> Iterator[Block]:
    """Sections that only a run of several symbols has."""
    run = portfolio_of(evaluation)
    if run is None:
        return
    yield block("symbols", "Symbol by symbol", _symbols_table(found["symbols"]), link="Symbols")
    yield block(
        "symbol-periods",
        "What each symbol did in each period",
        _saved_table(found["saved_by_symbol"], benchmark),
        link="Symbols in periods",
    )
    yield block(
        "symbol-protection",
        "How each symbol protected",
        _protection_table(found["protection_by_symbol"], benchmark),
        link="Symbols protect",
    )
    yield block(
        "together",
        "Together, inside periods and outside",
        _correlation_table(found["correlations"]),
        link="Correlation",
        half=True,
    )
    yield block("", "Periods, coin by coin", _coin_table(found["coin_periods"]), half=True)


def nearest_block(evaluation: Evaluation) -> Block:
    """The closes nearest to a liquidation; empty, and left out, where nothing needed margin."""
    path = margin_path(evaluation)
    shown = path is not None and path["margin_ratio"].notna().any()
    table = _nearest_table(path) if path is not None and shown else None
    return block("nearest", "Nearest to liquidation", table, link="Nearest")


def _symbols_table(table: pd.DataFrame) -> Table:
    shown = parts_shown(table)
    whole_row = table.sum().to_frame().T.assign(symbol="all")
    rows = pd.concat([table.reset_index(), whole_row], ignore_index=True)
    return tabulate(
        "symbols-table",
        rows,
        (
            texts("Symbol", "symbol"),
            *(numbers(said, part, money) for part, said in shown.items()),
            numbers("Change of equity", "change", money_cell),
        ),
        sortable=True,
        caption="Quote currency, over the whole run. Each row adds up to its change, and the "
        "symbols to that of the account.",
    )


def _saved_table(table: pd.DataFrame, benchmark: str) -> Table:
    return tabulate(
        "symbol-periods-table",
        table,
        (
            texts("Period", lambda row: Cell(text=row["title"], order=day(row["start"]))),
            texts("Symbol", "symbol"),
            numbers("Its return", "symbol_return", fraction_cell),
            numbers("strategy", "contribution", fraction_cell, title="of equity before the period"),
            numbers(benchmark, "benchmark_contribution", fraction_cell),
            numbers("Points saved", "points_saved", points_cell),
        ),
        sortable=True,
        limit=30,
        caption="Contributions: what a position did to the equity, over the equity before the "
        f"period, of the strategy and of {benchmark}. Those of a period add up to its return, and "
        "points saved to those of the account.",
        empty="No deleveraging period of the catalogue lies in this run.",
    )


def _protection_table(table: pd.DataFrame, benchmark: str) -> Table:
    return tabulate(
        "symbol-protection-table",
        table,
        (
            texts("Symbol", "symbol"),
            numbers("Periods", "periods", whole),
            numbers("Helped", "helped", whole),
            numbers("Hurt", "hurt", whole),
            numbers("Points saved a period", "points_saved", points_cell),
            numbers("Growth outside, a year", "relative_growth", fraction_cell),
            numbers("Payouts / premium", "payout_ratio", number),
            numbers("Down capture", "down_capture", percent),
        ),
        sortable=True,
        limit=30,
        caption="The account of the insurance, for all symbols and for each as if nothing else had "
        f"been held: its position against that of {benchmark} in it, cash where that has none.",
    )


def _correlation_table(table: pd.DataFrame) -> Table:
    return tabulate(
        "correlation-table",
        table,
        (
            texts("Positions", lambda row: f"{row['symbol']}, {row['other']}"),
            numbers("Inside", "inside", number),
            numbers("Outside", "outside", number),
            numbers("Whole run", "whole", number),
        ),
        sortable=True,
        limit=20,
        caption="Correlation of what the two positions earned, bar by bar, of the equity before, "
        f"where both were held; {NOT_AVAILABLE} for fewer than 20 bars.",
        empty="No two symbols.",
    )


def _coin_table(table: pd.DataFrame) -> Table:
    return tabulate(
        "coin-periods-table",
        table.rename_axis(index="symbol"),
        (
            texts("Prices of", "symbol"),
            numbers("Periods", "periods", whole),
            numbers("Time inside", "share", percent),
            numbers("of it with all", "with_all", percent),
            numbers("Deepest", "deepest", fraction_cell),
        ),
        caption="Deleveraging as a causal detector saw it, on the index of all symbols in equal "
        "parts and on each symbol; the third column is the share of a symbol's time inside that "
        "lies inside a period of all.",
    )


def _nearest_table(path: pd.DataFrame) -> Table:
    """The closes at which the account was nearest to a liquidation, one a day."""
    daily = path.dropna(subset=["room"]).sort_values("room", kind="stable")
    days = pd.DatetimeIndex(daily.index).normalize()
    rows = daily[~days.duplicated()].head(_NEAREST).rename_axis("time").reset_index()
    return tabulate(
        "nearest-table",
        rows,
        (
            texts("Bar", _bar),
            *([texts("Leg", "nearest")] if (path["nearest"] != "").any() else []),
            numbers("Room", "room", percent),
            numbers("Margin ratio of the account", "margin_ratio", percent),
        ),
        caption="At closes, one a day: how far the price had to move for a liquidation, other "
        "positions standing still.",
        empty="No price of one leg alone would have liquidated it.",
    )


def _bar(row: Mapping[str, Any]) -> Cell:
    room = pd.Timedelta(days=10)
    return time_cell(row["time"], zoom=stretch(row["time"] - room, row["time"] + room))


_MODES = {
    "cross": "One wallet stands behind all positions that need margin; coins that are held stand "
    "aside.",
    "multi_asset": "One wallet stands behind all positions that need margin, and coins that are "
    "held count for a share of their value.",
    "isolated": "One wallet, and behind each perpetual a margin of its own.",
    "separate": "A wallet of its own for each leg; exposures are of that wallet.",
}


def legs_parts(evaluation: Evaluation) -> list[Part]:
    """What each leg is, and how they share margin; nothing for a run of one symbol or read back."""
    run = portfolio_of(evaluation)
    if run is None or run.request is None:
        return []
    rows = [
        {
            "symbol": name,
            "contract": getattr(leg.account.contract, "symbol", leg.account.contract) or "spot",
            "leverage": f"{leg.account.leverage:g}x" if leg.account.contract else "",
            "funding": "yes" if leg.account.funding is not None else "",
            **_paid(costs_of(leg.costs, leg.account)),
            "ends": "" if leg.ends == "last" else money(float(leg.ends)),
        }
        for name, leg in run.request["legs"].items()
    ]
    recovers = any(row["ends"] for row in rows)
    table = tabulate(
        "legs-table",
        rows,
        (
            texts("Leg", "symbol"),
            texts("What it is", "contract"),
            texts("Leverage", "leverage", numeric=True),
            texts("Funding", "funding"),
            texts("Taker fee", "taker", numeric=True),
            texts("Slippage", "slippage", numeric=True),
            *([texts("Recovery", "ends", numeric=True)] if recovers else []),
        ),
        sortable=True,
        limit=25,
        caption=f"Margin: {run.margin.mode}. {_MODES.get(run.margin.mode, '')}",
    )
    return [table]


def _paid(costs: Costs) -> dict[str, str]:
    """Taker fee and slippage of a leg: in percent, and in words what rules and models say."""
    said = {"taker": costs.taker_fee, "slippage": costs.slippage}
    words = {"taker": (VenueFees, "by the rules"), "slippage": (Slippage, "a model")}
    paid = {}
    for name, (kind, word) in words.items():
        more = [word] if any(isinstance(part, kind) for part in costs.parts) else []
        fixed = [percent(said[name], 3)] if said[name] or not more else []
        paid[name] = " and ".join([*fixed, *more])
    return paid
