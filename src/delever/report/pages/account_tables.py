"""Tables of the account a run held, what its fills cost, and the rules it was held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from delever.engine.backtest import Backtest
from delever.report.format import money, percent, whole
from delever.report.page import Part, block
from delever.report.table import Cell, Table, tabulate, texts
from delever.venues.costs import Costs

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
    "trailing_stop": "Trailing stop, of the best price since entry",
    "limit_offset": "Entries rest below or above the open by",
    "rebalance_band": "Rebalanced beyond a drift of",
    "borrow_rate": "Borrow, a year",
}
_FRACTIONS = {"stop_loss", "take_profit", "trailing_stop", "limit_offset", "rebalance_band",
              "borrow_rate"}  # fmt: skip
_PARTS = {
    "fixed": "Slippage, fixed",
    "volatility_share": "Slippage, share of a bar's volatility",
    "impact": "Slippage, impact coefficient",
    "stress_multiplier": "Slippage in stress, times",
}


def account_parts(run: Backtest, manifest: Mapping[str, Any]) -> tuple[list[Part], Table]:
    """What the account was, as far as the manifest tells, and what its fills cost.

    The parts hold the costs as well, and are empty for an account without settings or rules.
    """
    study = manifest.get("study") or {}
    settings = study.get("account") or {}
    rules = ((manifest.get("simulation") or {}).get("backtest") or {}).get("rules") or []
    account, held_to = account_table(settings), rules_table(rules)
    costs = costs_table(
        run.costs,
        times=float(study.get("costs_times", 1.0)),
        slippage=settings.get("slippage") or {},
        rules=rules if study.get("costs") is None else [],
    )
    parts: list[Part] = []
    if account.rows or rules:
        parts += [block("", "", table, half=True) for table in (account, costs)]
        parts.append(block("", "Rules it was held to", held_to))
    return parts, costs


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
    return tabulate(
        "rules",
        rules,
        (
            texts("From", "from"),
            texts("Fees since", lambda held: _since(held["fees_since"])),
            *(
                texts(f"{fee.capitalize()} fee", partial(_fee, fee), numeric=True)
                for fee in ("taker", "maker", "liquidation")
            ),
            texts("Brackets since", lambda held: _since(held["brackets_since"])),
            texts("Brackets", lambda held: len(held["brackets"]), numeric=True),
            texts("The first", _first_bracket),
        ),
        caption="Until the next row holds. Assumed: the rulebook knows none as old, and its first "
        "ones were used. docs/venues.md says where the rules come from and what they leave out.",
    )


def _fee(name: str, held: Mapping[str, Any]) -> str:
    return percent(held[name], 3)


def _first_bracket(held: Mapping[str, Any]) -> str:
    cap, rate, most = held["brackets"][0]
    up_to = "any size" if cap is None else f"up to {money(cap)}"
    return f"{up_to}: margin {percent(rate, 2)}, at most {whole(most)}x"


def _since(date: str | None) -> Cell:
    return Cell(text="assumed", tone="loss") if date is None else Cell(text=date)


def _setting(name: str, value: Any) -> str:
    if name in _FRACTIONS:
        return percent(value, 2)
    return f"{value:g}x" if name in ("leverage", "exposure") else str(value)


def _pairs(id_: str, title: str, rows: Sequence[tuple[str, str]]) -> Table:
    return tabulate(
        id_, rows, (texts(title, lambda row: row[0]), texts("", lambda row: row[1], numeric=True))
    )
