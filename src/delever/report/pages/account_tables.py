"""Tables of the account a run held, what its fills cost, and the rules it was held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from delever.report.format import money, number, percent
from delever.report.table import Cell, Column, Table
from delever.venues.costs import Costs

__all__ = ["account_table", "costs_table", "rules_table"]

_SETTINGS = {
    "contract": "Contract",
    "rules": "Rules of",
    "leverage": "Leverage setting",
    "exposure": "Exposures times",
    "margin_mode": "Margin",
    "funding": "Funding",
    "mark": "Mark price",
    "detail": "Finer bars inside the bars",
    "stop_loss": "Stop-loss, of the entry price",
    "take_profit": "Take-profit, of the entry price",
    "trailing_stop": "Trailing stop, of the entry price",
    "limit_offset": "Entries rest below or above the open by",
    "borrow_rate": "Borrow, a year",
}
_FRACTIONS = {"stop_loss", "take_profit", "trailing_stop", "limit_offset", "borrow_rate"}
_PARTS = {
    "fixed": "Slippage, fixed",
    "volatility_share": "Slippage, share of a bar's volatility",
    "impact": "Slippage, impact coefficient",
    "stress_multiplier": "Slippage in stress, times",
}


def account_table(account: Mapping[str, Any]) -> Table:
    """What the account was set to."""
    given = {name: account.get(name) for name in _SETTINGS}
    return _pairs(
        "account",
        "The account",
        [
            (_SETTINGS[name], _setting(name, value))
            for name, value in given.items()
            if value is not None and (name, value) != ("borrow_rate", 0.0)
        ],
    )


def costs_table(
    costs: Costs, *, times: float, slippage: Mapping[str, Any], rules: Sequence[Mapping[str, Any]]
) -> Table:
    """What a fill costs."""
    rows: list[tuple[str, str]] = []
    if times != 1.0:
        rows.append(("Stress, in these fees and slippage", f"x{times:g}"))
    if rules:
        stressed = "" if times == 1.0 else f"x{times:g}, "
        rows.append(("Fees", f"{stressed}by the rules, below"))
    else:
        rows += [
            ("Taker fee", percent(costs.taker_fee, 3)),
            ("Maker fee", percent(costs.maker_fee, 3)),
            ("Orders pay the fee of a", costs.liquidity),
        ]
    if slippage:
        for name, said in _PARTS.items():
            neutral, factor = (1.0, 1.0) if name == "stress_multiplier" else (0.0, times)
            if slippage.get(name, neutral) != neutral:
                own = slippage[name] * factor
                rows.append((said, percent(own, 3) if name == "fixed" else f"{own:g}"))
    else:
        rows.append(("Slippage", percent(costs.slippage, 3)))
    return _pairs("costs", "Costs of a fill, of its notional", rows)


def rules_table(rules: Sequence[Mapping[str, Any]]) -> Table:
    """Fees and brackets a run was held to, by date."""
    rows = []
    for held in rules:
        cap, rate, most = held["brackets"][0]
        count = len(held["brackets"])
        up_to = "any size" if cap is None else f"up to {money(cap)}"
        rows.append(
            (
                Cell(text=held["from"]),
                _since(held["fees_since"]),
                *(Cell(text=percent(held[fee], 3)) for fee in ("taker", "maker", "liquidation")),
                _since(held["brackets_since"]),
                Cell(text=str(count)),
                Cell(text=f"{up_to}: {percent(rate, 2)} kept, at most {number(most, 0)}x"),
            )
        )
    return Table(
        id="rules",
        columns=(
            Column(label="From", numeric=False),
            Column(label="Fees since", numeric=False),
            Column(label="Taker fee"),
            Column(label="Maker fee"),
            Column(label="Liquidation fee"),
            Column(label="Brackets since", numeric=False),
            Column(label="Brackets"),
            Column(label="The first", numeric=False),
        ),
        rows=tuple(rows),
        caption="Until the next row holds. Assumed: the rulebook knows none as old, and its first "
        "ones were used. docs/venues.md says where the rules come from and what they leave out.",
    )


def _since(date: str | None) -> Cell:
    return Cell(text="assumed", tone="loss") if date is None else Cell(text=date)


def _setting(name: str, value: Any) -> str:
    if name in _FRACTIONS:
        return percent(value, 2)
    return f"{value:g}x" if name in ("leverage", "exposure") else str(value)


def _pairs(id_: str, title: str, rows: Sequence[tuple[str, str]]) -> Table:
    return Table(
        id=id_,
        columns=(Column(label=title, numeric=False), Column(label="")),
        rows=tuple((Cell(text=label), Cell(text=text)) for label, text in rows),
    )
