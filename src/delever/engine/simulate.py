"""A run: from settings to arrays, and from the loop's rows to tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from delever.arguments import Floats, counted
from delever.engine.delivered import undelivered
from delever.engine.inverse import COIN_FILL, COIN_LEDGER, in_quote
from delever.engine.ledger import FILL, LEDGER, SPOT_FILL, SPOT_LEDGER
from delever.engine.orders import laid_out, not_sent
from delever.engine.settings import STATE, Account, Orders, Resolution, orders_of
from delever.engine.steps import (
    DUST,
    FillTerms,
    Ints,
    MarginRule,
    MarketArrays,
    TermArrays,
    columns,
    walk,
)
from delever.engine.terms import check_terms, terms
from delever.engine.trades import fills_frame, trades_frame
from delever.errors import InputError
from delever.venues.brackets import check_leverage
from delever.venues.costs import Costs
from delever.venues.rules import Rules


class Tables(NamedTuple):
    """Tables of a run, as `delever.engine.backtest.Backtest` holds them."""

    ledger: pd.DataFrame
    fills: pd.DataFrame
    trades: pd.DataFrame
    bounds: pd.DataFrame | None = None
    ambiguous_bars: int = 0
    fidelity: tuple[str, ...] = ()


def simulate(
    bars: pd.DataFrame,
    index: pd.DatetimeIndex,
    prices: Floats,
    targets: Floats,
    said: pd.DataFrame | None,
    settings: Account | None,
    *,
    timeframe: str,
    costs: Costs,
    initial_equity: float,
    band: float,
    engine: str,
    earlier: pd.DataFrame | None,
    tables: bool = True,
) -> Tables:
    """Simulate an account; without settings its tables have the columns of a spot run.

    Without tables, the ledger holds the equity alone.

    Raises InputError if a position is larger, or its leverage higher, than a bracket allows;
    DataError if rules, funding, detail or mark do not cover the run.
    """
    account = settings or Account()
    held, rules, ruled = terms(bars, index, account, costs, timeframe=timeframe, earlier=earlier)
    check_terms(held.paid, targets, index)
    path = walk(index, prices, account, timeframe=timeframe)
    opened = float(path.market.marks[0, 0])
    # An inverse account holds coins, and u = 1 / price of them are one unit of quote.
    wealth = initial_equity * opened if account.inverse else initial_equity
    asked = 0.0 - targets if account.inverse else targets
    from delever.engine.kernel import run_account  # numba takes long to import

    def run(market: MarketArrays, resolution: Resolution) -> tuple[Floats, Floats]:
        orders = orders_of(account, band=band, resolution=resolution)
        told = laid_out(said, asked, orders)
        state = start_state(wealth, opened)
        ledger, fills, refused, excess = run_account(
            market, asked, held, orders, state, told, engine=engine
        )
        if refused >= 0:
            leverage = Orders(*told.orders[min(refused + 1, len(told.orders) - 1)]).leverage
            _refuse(index[refused], excess, leverage, rules[int(held.rule[refused])])
        return ledger, fills

    rows, fills = run(path.market, "run")
    closes = path.market.marks[path.market.first[1:] - 1, 3]
    bounds = None
    if account.bounds:
        bounds = _bounds(index, prices, account, timeframe, rows[:, 0], run)
    kept = _kept(rows, closes, held, said, asked, account)
    if account.inverse:
        bounds = None if bounds is None else bounds.mul(1.0 / closes, axis=0)
        rows, fills = in_quote(rows, fills, 1.0 / closes, coins=wealth, bought_at=1.0 / opened)
    if not tables:
        equity = pd.DataFrame({"equity": rows[:, LEDGER.index("equity")]}, index=index)
        return Tables(ledger=equity, fills=pd.DataFrame(), trades=pd.DataFrame())
    leaning = _leaning(fills, held, bars, earlier)
    if settings is None:
        made = _spot_tables(rows, fills, index, float(closes[-1]))
        return made._replace(fidelity=leaning)
    made = tables_of(rows, fills, index, float(closes[-1]), account, path.opens)
    made = made._replace(ledger=made.ledger.assign(**kept))
    lacking = undelivered(account.traded, made.ledger, made.fills, prices[:, 0], initial_equity)
    unsent = not_sent(said, targets, prices[:, 0])
    notes = (*path.notes, *leaning, *lacking, *unsent, *_settings_said(account, wealth, opened))
    told = (*notes, f"ambiguous bars: {made.ambiguous_bars}", *ruled)
    return made._replace(bounds=bounds, fidelity=told)


def _kept(
    rows: Floats,
    closes: Floats,
    held: TermArrays,
    said: pd.DataFrame | None,
    asked: Floats,
    account: Account,
) -> dict[str, Floats]:
    """Columns of the ledger of a margin account: what it must keep, and how near it is to that."""
    if account.traded is None:
        return {}
    orders = laid_out(said, asked, orders_of(account)).orders[-len(rows) :]
    leverage = orders[:, Orders._fields.index("leverage")]
    cross = account.margin_mode == "cross"
    needs, ratio = _margin_at_closes(rows, closes, held, leverage, cross=cross)
    unit = 1.0 / closes if account.inverse else 1.0
    return {"maintenance_margin": needs * unit, "margin_ratio": ratio}


def _margin_at_closes(
    rows: Floats, marks: Floats, held: TermArrays, leverage: Floats, *, cross: bool
) -> tuple[Floats, Floats]:
    """Maintenance margin at the mark of each close, and its ratio to the margin balance.

    In the units of the loop. The balance is what stands behind the position with its profit: where
    none of it is left, the ratio is infinite; 0 while flat.
    """
    told = dict(zip(LEDGER, rows.T, strict=False))
    size, wallet = np.abs(told["position"]), told["wallet_balance"]
    at_entry = size * np.nan_to_num(told["entry_price"])
    how = columns(MarginRule, held.how[held.rule])
    measure = np.where(how["bracket_by"] == 1.0, at_entry, size)
    steps = held.brackets.shape[1]
    fits = measure[:, None] <= held.brackets[held.rule, :, 0]
    chosen = np.where(fits.any(axis=1), fits.argmax(axis=1), steps - 1)
    needs = np.full(len(rows), -np.inf)
    for step in range(steps):
        rate, amount = held.brackets[held.rule, step, 1:3].T
        on_entry, closing = how["on_entry"] > 0.0, how["closing_fee"]
        grows = np.where(on_entry, closing, closing + rate)
        found = grows * (size * marks) + np.where(on_entry, rate * at_entry - amount, -amount)
        asked = (how["bracket_by"] == 0.0) | (chosen == step)
        needs = np.where(asked, np.maximum(needs, found), needs)
    own = at_entry / leverage
    behind = np.where(cross | (own >= wallet * (1.0 - DUST)), wallet, own)
    balance = behind + np.where(size > 0.0, told["position"] * marks, 0.0)
    balance -= np.sign(told["position"]) * at_entry
    needs = np.where(size > 0.0, needs, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(balance > 0.0, needs / balance, np.inf)
    return needs, np.where(size > 0.0, ratio, 0.0)


def _settings_said(account: Account, wealth: float, opened: float) -> Iterator[str]:
    """What a reader must know of how the account was meant."""
    if account.inverse:
        yield (
            f"settled in coins: {wealth:.8g} were bought at {1.0 / opened:,.8g}; amounts are in "
            "quote units at the mark of each close"
        )
    if account.trailing_stop is not None:
        yield f"trailing stop: {account.trailing_stop:g} of the best price since entry, by closes"


def _spot_tables(rows: Floats, fills: Floats, index: pd.DatetimeIndex, last_close: float) -> Tables:
    rows, fills = rows[:, : len(SPOT_LEDGER)], fills[:, : len(SPOT_FILL)]
    return Tables(
        ledger=pd.DataFrame(rows, index=index, columns=list(SPOT_LEDGER)),
        fills=fills_frame(fills, index),
        trades=trades_frame(fills, index, last_close=last_close),
    )


def tables_of(
    rows: Floats,
    fills: Floats,
    index: pd.DatetimeIndex,
    last_close: float,
    account: Account,
    opens: Ints,
) -> Tables:
    """Tables from rows that are in quote units."""
    names = COIN_FILL if account.inverse else FILL
    ledger = pd.DataFrame(
        rows, index=index, columns=list(COIN_LEDGER if account.inverse else LEDGER)
    )
    ledger["ambiguous"] = ledger["ambiguous"] > 0.0
    made = fills_frame(fills, index, columns=names)
    carried = [name for name in ("funding", "borrow", "price_pnl") if name in names]
    trades = trades_frame(
        fills,
        index,
        last_close=last_close,
        columns=names,
        # Each fill carries what came before it.
        since=[float(ledger[name].sum() - made[name].sum()) for name in carried],
    )
    step = made.pop("step").astype(np.int64)
    if account.inverse:
        made = made.drop(columns="price_pnl").assign(
            price=1.0 / made["price"], notional=made["quantity"].abs()
        )
        entries = ["entry_price", "exit_price"]
        trades[entries] = 1.0 / trades[entries]
    if account.detail is not None:
        made["detail_time"] = pd.DatetimeIndex(opens[step], tz="UTC").as_unit("ns")
    return Tables(
        ledger=ledger, fills=made, trades=trades, ambiguous_bars=int(ledger["ambiguous"].sum())
    )


def start_state(equity: float, mark_price: float) -> Floats:
    """State of a flat account before its first bar: the numbers of `STATE`."""
    begun = {"cash": equity, "mark": mark_price, "limit": math.nan}
    return np.array([begun.get(name, 0.0) for name in STATE])


def _bounds(
    index: pd.DatetimeIndex,
    prices: Floats,
    account: Account,
    timeframe: str,
    equity: Floats,
    run: Callable[[MarketArrays, Resolution], tuple[Floats, Floats]],
) -> pd.DataFrame:
    every = [equity]
    resolutions: tuple[Resolution, Resolution] = ("worst", "best")
    for resolution in resolutions:
        path = walk(index, prices, account, timeframe=timeframe, resolution=resolution)
        every.append(run(path.market, resolution)[0][:, 0])
    # An ambiguity resolved against the account may still have spared it what came later.
    return pd.DataFrame({"worst": np.min(every, axis=0), "best": np.max(every, axis=0)}, index)


def _leaning(
    fills: Floats, held: TermArrays, bars: pd.DataFrame, earlier: pd.DataFrame | None
) -> tuple[str, ...]:
    """How many fills had their impact from a bar before the one that nothing was traded in."""
    if not columns(FillTerms, held.paid)["impact"].any():
        return ()
    volume = bars["volume"].to_numpy(dtype=np.float64)
    before = math.nan if earlier is None else float(earlier["volume"].iloc[-1])
    empty = ~(np.append(before, volume[:-1]) > 0.0)
    leaning = int(empty[fills[:, FILL.index("bar")].astype(np.int64)].sum())
    if not leaning:
        return ()
    return (
        f"impact: nothing was traded in the bar before {counted(leaning, 'fill')} of {len(fills):,}"
        "; the last volume above 0 stood for it",
    )


def _refuse(opened: pd.Timestamp, measure: float, leverage: float, rules: Rules) -> None:
    try:
        check_leverage(leverage, measure, rules.brackets)
    except InputError as error:
        raise InputError(f"the bar of {opened:%Y-%m-%d %H:%M}: {error}") from None
