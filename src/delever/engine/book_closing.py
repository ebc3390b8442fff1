"""Rows of an account of several positions at the close of a bar, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from delever.engine.book_compiled import (
    CompiledBook,
    aside,
    collateral,
    kept,
    leg_of,
    lend_margin,
    order_of,
)
from delever.engine.compiled import inner
from delever.engine.kernel_events import margin_of, trigger_of


@inner()
def close_bar(book: CompiledBook, row: Any, legs: Any) -> None:
    """The rows of a bar: sums over positions, and what stands behind them."""
    size, state, shared = len(book.terms.spot), book.state, book.state.shared > 0.0
    equity = wallet = balance_ = state.cash
    initial = maintained = gross = net = asked = ratio = doubt = 0.0
    row.turnover = row.price_pnl = row.fee = row.slippage = 0.0
    row.liquidation = row.funding = row.borrow = 0.0
    for place in range(size):
        account, flows, spot = book.accounts[place], book.rows[place], book.terms.spot[place] > 0.0
        value = account.position * account.mark
        equity += value
        gross, net, asked = gross + abs(value), net + value, asked + account.asked
        balance_ += collateral(book, place, account.mark)
        doubt = max(doubt, flows.ambiguous)
        row.turnover += flows.turnover
        row.price_pnl += flows.price_pnl
        row.fee += flows.fee
        row.slippage += flows.slippage
        row.liquidation += flows.liquidation
        row.funding += flows.funding
        row.borrow += flows.borrow
        if not (spot and account.position > 0.0):
            wallet += account.position * account.entry
        if account.position != 0.0 and not spot:
            needs = kept(book, place, account.mark)[0]
            initial += abs(account.position) * account.entry / order_of(book, place).leverage
            maintained += needs
            if not shared:
                lend_margin(book, place)
                behind = margin_of(leg_of(book, place), 0.0)
                behind += account.position * (account.mark - account.entry)
                ratio = max(ratio, needs / behind if behind > 0.0 else np.inf)
    if shared and maintained > 0.0:
        ratio = maintained / balance_ if balance_ > 0.0 else np.inf
    unknown = np.nan if gross > 0.0 else 0.0
    row.equity, row.cash, row.ambiguous = equity, state.cash, max(doubt, state.ambiguous)
    row.exposure = net / equity if equity > 0.0 else unknown
    row.gross_exposure = gross / equity if equity > 0.0 else unknown
    row.target_exposure, row.wallet_balance = asked, wallet
    row.initial_margin, row.maintenance_margin, row.margin_ratio = initial, maintained, ratio
    for place in range(size):
        _close_leg(book, place, equity, balance_ - maintained, legs[place])


@inner()
def _close_leg(book: CompiledBook, place: int, equity: float, beyond: float, told: Any) -> None:
    """A position's row of a bar; `beyond` is the margin balance above what must be kept."""
    account, flows = book.accounts[place], book.rows[place]
    told.position, told.target_exposure, told.mark = account.position, account.asked, account.mark
    told.turnover, told.price_pnl, told.fee = flows.turnover, flows.price_pnl, flows.fee
    told.slippage, told.liquidation = flows.slippage, flows.liquidation
    told.funding, told.borrow = flows.funding, flows.borrow
    told.exposure, told.entry_price, told.liquidation_price = 0.0, np.nan, np.nan
    if account.position == 0.0:
        return
    value = account.position * account.mark
    told.exposure = value / equity if equity > 0.0 else np.nan
    told.entry_price = account.entry
    account.cash = book.state.cash
    account.aside = np.inf
    spot = book.terms.spot[place] > 0.0
    if not (spot and account.position > 0.0):
        if book.state.shared > 0.0:
            # What stands beside it is what all leave less what it leaves by itself.
            own = 0.0 if spot else kept(book, place, account.mark)[0]
            alone = book.state.cash + value - own
            account.aside = beyond - alone
        else:
            account.aside = aside(book, place)
    trigger = trigger_of(leg_of(book, place), 0.0)
    told.liquidation_price = trigger if trigger > 0.0 else np.nan
