"""The loop over bars: a plain Python twin to read, and a compiled one to run.

Both take the same arrays and give the same rows within 1e-12. Events inside a bar, in order:

1. liquidation check at the open, on the position carried in (a gap);
2. the fill at the open, when a new target was asked for or the exposure drifted past the band;
3. liquidation check at the bar's adverse extreme;
4. mark to market at the close.
"""

from __future__ import annotations

from typing import TypeAlias

import numba
import numpy as np
import numpy.typing as npt

from delever.engine.spot_account import (
    FILL,
    LEDGER,
    REASONS,
    Account,
    Fill,
    liquidate_at_open,
    liquidate_inside,
    mark,
    rebalance,
)

__all__ = ["Floats", "run_jitted", "run_plain"]

Floats: TypeAlias = npt.NDArray[np.float64]


def run_plain(
    prices: Floats,
    targets: Floats,
    fee: float,
    slippage: float,
    band: float,
    state: tuple[float, float, float, float],
) -> tuple[Floats, Floats]:
    """Simulate an account over bars, event by event."""
    cash, position, requested, mark_price = state
    account = Account(
        cash=cash, position=position, target_exposure=requested, mark_price=mark_price
    )
    ledger = np.empty((len(prices), len(LEDGER)))
    fills: list[tuple[float, ...]] = []
    for bar, ((open_, high, low, close), target) in enumerate(
        zip(prices.tolist(), targets.tolist(), strict=True)
    ):
        account, carried = mark(account, open_)
        account, gapped = liquidate_at_open(account)
        account, traded = rebalance(account, target, fee=fee, slippage=slippage, band=band)
        account, lost, forced = liquidate_inside(account, high, low)
        account, held = mark(account, close)
        made = [fill for fill in (gapped, traded, forced) if fill is not None]
        equity = account.equity(close)
        ledger[bar] = (
            equity,
            account.cash,
            account.position,
            account.position * close / equity if account.position else 0.0,
            target,
            sum(
                abs(fill.quantity) * fill.price / fill.equity
                for fill in made
                if fill.reason == "target"
            ),
            carried + lost + held,
            sum(fill.fee for fill in made),
            sum(fill.slippage for fill in made),
            sum(fill.liquidation for fill in made),
        )
        fills.extend(_row(bar, fill) for fill in made)
    return ledger, np.array(fills, dtype=np.float64).reshape(-1, len(FILL))


def _row(bar: int, fill: Fill) -> tuple[float, ...]:
    return (
        bar,
        fill.quantity,
        fill.price,
        fill.fee,
        fill.slippage,
        fill.liquidation,
        fill.equity,
        fill.position,
        fill.exposure,
        REASONS.index(fill.reason),
    )


# numba's cache follows this file only: arithmetic or constants from another file could go stale in
# it, so everything the compiled loop needs is written here. Columns are those of LEDGER and FILL by
# number; the last of a fill is the reason, 0 for a target and 1 for a liquidation.


@numba.njit(cache=True)
def _position_at_target(
    target: float, cash: float, position: float, open_: float, fee: float, slippage: float
) -> float:
    rest = (1.0 - target) * position
    buys = target * cash - rest * (open_ * (1.0 + slippage)) > 0.0
    sells = target * cash - rest * (open_ * (1.0 - slippage)) < 0.0
    if buys == sells:
        return position
    side = 1.0 if buys else -1.0
    worth = cash / (open_ * (1.0 + side * slippage)) + position * (1.0 + side * fee)
    if worth <= 0.0:
        return 0.0
    return target * worth / (1.0 + side * target * fee)


@numba.njit(cache=True)
def _fill_at_open(
    fills: Floats,
    count: int,
    bar: int,
    target: float,
    cash: float,
    position: float,
    open_: float,
    fee: float,
    slippage: float,
) -> tuple[int, float, float]:
    wanted = _position_at_target(target, cash, position, open_, fee, slippage)
    quantity = wanted - position
    if quantity == 0.0:
        return count, cash, position
    price = open_ * (1.0 + slippage) if quantity > 0.0 else open_ * (1.0 - slippage)
    paid = abs(quantity) * price * fee
    left = cash - quantity * price - paid
    after = left + wanted * price
    ruined = after <= 0.0
    row = fills[count]
    row[0] = bar
    row[1] = quantity
    row[2] = price
    row[3] = paid
    row[4] = abs(quantity) * open_ * slippage
    row[5] = -after if ruined else 0.0
    row[6] = cash + position * open_
    row[7] = 0.0 if ruined else wanted
    row[8] = 0.0 if ruined else wanted * price / after
    row[9] = 1.0 if ruined else 0.0
    if ruined:
        return count + 1, 0.0, 0.0
    return count + 1, left, wanted


@numba.njit(cache=True)
def _force(
    fills: Floats, count: int, bar: int, position: float, price: float, loss: float, equity: float
) -> None:
    row = fills[count]
    row[:] = 0.0
    row[0] = bar
    row[1] = -position
    row[2] = price
    row[5] = loss
    row[6] = equity
    row[9] = 1.0


@numba.njit(cache=True)
def _loop(
    prices: Floats,
    targets: Floats,
    fee: float,
    slippage: float,
    band: float,
    state: tuple[float, float, float, float],
    ledger: Floats,
    fills: Floats,
) -> int:
    cash, position, requested, last = state
    count = 0
    for bar in range(len(prices)):
        open_, high, low, close = prices[bar, 0], prices[bar, 1], prices[bar, 2], prices[bar, 3]
        target = targets[bar]
        first = count
        pnl = position * (open_ - last)
        equity = cash + position * open_
        if position != 0.0 and equity <= 0.0:
            _force(fills, count, bar, position, open_, -equity, equity)
            count += 1
            cash = position = 0.0
        elif equity > 0.0 and (
            target != requested or abs(position * open_ / equity - target) > band
        ):
            count, cash, position = _fill_at_open(
                fills, count, bar, target, cash, position, open_, fee, slippage
            )
        requested = target
        adverse = low if position > 0.0 else high
        if position != 0.0 and cash + position * adverse <= 0.0:
            price, loss = -cash / position, 0.0
            lost = position * (price - open_)
            equity = cash + position * open_
            if lost > 0.0:  # the costs of the fill at the open had taken the equity
                price, loss, lost = open_, -equity, 0.0
            pnl += lost
            _force(fills, count, bar, position, price, loss, equity)
            count += 1
            cash = position = 0.0
        pnl += position * (close - open_)
        last = close
        equity = cash + position * close
        row = ledger[bar]
        row[0] = equity
        row[1] = cash
        row[2] = position
        row[3] = position * close / equity if position != 0.0 else 0.0
        row[4] = target
        row[5:] = 0.0
        row[6] = pnl
        for fill in range(first, count):
            if fills[fill, 9] == 0.0:
                row[5] += abs(fills[fill, 1]) * fills[fill, 2] / fills[fill, 6]
            row[7] += fills[fill, 3]
            row[8] += fills[fill, 4]
            row[9] += fills[fill, 5]
    return count


def run_jitted(
    prices: Floats,
    targets: Floats,
    fee: float,
    slippage: float,
    band: float,
    state: tuple[float, float, float, float],
) -> tuple[Floats, Floats]:
    """Simulate an account over bars, compiled."""
    ledger = np.empty((len(prices), len(LEDGER)))
    fills = np.empty((2 * len(prices), len(FILL)))
    count = _loop(
        np.ascontiguousarray(prices, dtype=np.float64),
        np.ascontiguousarray(targets, dtype=np.float64),
        float(fee),
        float(slippage),
        float(band),
        (float(state[0]), float(state[1]), float(state[2]), float(state[3])),
        ledger,
        fills,
    )
    return ledger, fills[:count].copy()
