"""Leverage brackets as Bybit, OKX and Gate word them; faults of rows strike them as others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tests.exchange.wire import Desk, Page, Query, Request, Route, plain
from tests.exchange.world import Market


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row as it goes over the wire; a number that is missing is null."""

    number: int
    low: float
    cap: float
    rate: float
    leverage: float
    amount: float


def rows(market: Market, desk: Desk) -> list[Row]:
    """A market's brackets; the amounts are what makes maintenance margin continuous."""
    table = np.array([(tier.cap, tier.maintenance, tier.leverage) for tier in market.tiers])
    lows = np.concatenate([[0.0], table[:-1, 0]])
    amounts = np.round(np.cumsum(lows * np.diff(table[:, 1], prepend=table[0, 1])), 6)
    numbers = np.arange(1, len(table) + 1)
    # Stamped with their numbers, they are served like rows of events.
    stamped = replace(market, bankruptcies=np.column_stack([numbers, lows, table, amounts]))
    page: Page = desk.page(Query(series="bankruptcies", market=stamped, limit=1000))
    return [
        Row(number=number, low=low, cap=cap, rate=rate, leverage=leverage, amount=amount)
        for number, (low, cap, rate, leverage, amount) in zip(
            page.times.tolist(), page.values.tolist(), strict=True
        )
    ]


def bybit(market: Market, name: str, desk: Desk) -> list[dict[str, object]]:
    """The lowest row carries no deduction."""
    return [
        {
            "id": row.number,
            "symbol": name,
            "riskLimitValue": plain(row.cap),
            "maintenanceMargin": plain(row.rate),
            "initialMargin": plain(1 / row.leverage),
            "isLowestRisk": int(row.number == 1),
            "maxLeverage": f"{row.leverage:.2f}" if row.leverage == row.leverage else None,
            "mmDeduction": "" if row.number == 1 else plain(row.amount),
        }
        for row in rows(market, desk)
    ]


def okx(market: Market, family: str | None, desk: Desk) -> list[object]:
    """Sizes in contracts; each row begins a contract after the one before it."""
    return [
        {
            "baseMaxLoan": "",
            "imr": plain(1 / row.leverage),
            "instFamily": family,
            "instId": "",
            "maxLever": plain(row.leverage),
            "maxSz": plain(row.cap),
            "minSz": plain(row.low + 1 if row.low else row.low),
            "mmr": plain(row.rate),
            "optMgnFactor": "0",
            "quoteMaxLoan": "",
            "tier": str(row.number),
            "uly": family,
        }
        for row in rows(market, desk)
    ]


def _gate(request: Request, desk: Desk) -> object:
    settle = request.params["settle"].upper()
    name = request.params.get("contract")
    market = desk.market(
        name, lambda each: f"{each.base}_{each.quote}" if each.settle == settle else None
    )
    return [
        {
            "contract": name,
            "tier": row.number,
            "risk_limit": plain(row.cap),
            "initial_rate": plain(1 / row.leverage),
            "maintenance_rate": plain(row.rate),
            "leverage_max": plain(row.leverage),
            "deduction": plain(row.amount),
        }
        for row in rows(market, desk)
    ]


GATE = {"/api/v4/futures/{settle}/risk_limit_tiers": Route(handler=_gate)}
"""The route of Gate's brackets."""
