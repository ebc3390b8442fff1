"""Tables of a run of several positions, from the rows its loop left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Floats
from delever.engine.inverse import in_quote
from delever.engine.ledger import BOOK, FILL, LEDGER, LEG
from delever.engine.settings import Account
from delever.engine.simulate import tables_of
from delever.engine.steps import Ints
from delever.engine.trades import fills_frame, round_trips, trips_frame, words


class BookRows(NamedTuple):
    """What a loop over bars leaves."""

    book: Floats  # shape (n, 17): the columns of `BOOK`
    legs: Floats  # shape (n, legs, 13): the columns of `LEG`
    fills: Floats  # the columns of `FILL`
    whose: Ints  # position of each fill
    refused: tuple[int, int, float]  # bar, position, measure that no bracket allows; -1 for none
    turned_away: int  # orders that the free margin did not allow


class BookTables(NamedTuple):
    """Tables of a run, as `delever.engine.portfolio.PortfolioBacktest` holds them."""

    ledger: pd.DataFrame
    legs: dict[str, pd.DataFrame]
    fills: pd.DataFrame
    trades: pd.DataFrame


def tables(
    made: BookRows, names: Sequence[str], clock: pd.DatetimeIndex, begun: Mapping[str, int]
) -> BookTables:
    """Tables of a book; `begun` is the first bar of each position on the clock."""
    ledger = pd.DataFrame(made.book, index=clock, columns=list(BOOK))
    ledger["ambiguous"] = ledger["ambiguous"] > 0.0
    legs, trips = {}, []
    for place, name in enumerate(names):
        rows = made.legs[:, place].copy()
        rows[: begun[name], LEG.index("mark")] = np.nan  # no price was known yet
        legs[name] = pd.DataFrame(rows, index=clock, columns=list(LEG))
        trips.append(_trips(made.fills[made.whose == place], rows))
    by_step = np.lexsort((made.whose, made.fills[:, FILL.index("step")]))
    fills = fills_frame(made.fills[by_step], clock, columns=FILL).drop(columns="step")
    every = {name: np.concatenate([one[name] for one in trips]) for name in trips[0]}
    entered = np.argsort(every["entry_time"], kind="stable")
    trades = trips_frame({name: values[entered] for name, values in every.items()}, clock)
    whose = np.repeat(np.arange(len(names)), [len(one["entry_time"]) for one in trips])
    known = np.array(names, dtype=object)
    fills.insert(0, "symbol", words(known[made.whose[by_step]]))
    trades.insert(0, "symbol", words(known[whose[entered]]))
    return BookTables(ledger, legs, fills, trades)


def coin_tables(
    made: BookRows,
    name: str,
    clock: pd.DatetimeIndex,
    account: Account,
    *,
    coins: float,
    bought_at: float,
    begun: int,
) -> BookTables:
    """Tables of a wallet of so many coins and the inverse contract in it, in quote units.

    What the coins themselves gained is in ``price_pnl``.
    """
    leg = dict(zip(LEG, made.legs[:, 0].T, strict=True))
    book = dict(zip(BOOK, made.book.T, strict=True))
    marks = 1.0 / leg["mark"]
    rows = np.column_stack([leg[each] if each in leg else book[each] for each in LEDGER])
    told = in_quote(rows, made.fills, marks, coins=coins, bought_at=bought_at)
    plain = replace(account, detail=None)
    last = float(leg["mark"][-1])
    found = tables_of(told.ledger, told.fills, clock, last, plain, np.zeros(0, dtype=np.int64))
    own = found.ledger.assign(
        price_pnl=found.ledger["price_pnl"] + found.ledger["collateral"],
        gross_exposure=found.ledger["exposure"].abs(),
        mark=np.where(np.arange(len(clock)) < begun, np.nan, marks),
        initial_margin=book["initial_margin"] * marks,
        maintenance_margin=book["maintenance_margin"] * marks,
        margin_ratio=book["margin_ratio"],
    )
    fills, trades = (one.assign(symbol=name) for one in (found.fills, found.trades))
    return BookTables(own[list(BOOK)], {name: own[list(LEG)]}, _first(fills), _first(trades))


def _first(table: pd.DataFrame) -> pd.DataFrame:
    """The symbol in front."""
    return table[["symbol", *(name for name in table.columns if name != "symbol")]]


def _trips(own: Floats, rows: Floats) -> dict[str, npt.NDArray[Any]]:
    since = [
        float(np.nansum(rows[:, LEG.index(name)]) - own[:, FILL.index(name)].sum())
        for name in ("funding", "borrow")
    ]
    close = float(rows[-1, LEG.index("mark")])
    return round_trips(own, len(rows), last_close=close, columns=FILL, since=since)


def add_up(
    each: Mapping[str, BookTables], index: pd.DatetimeIndex, wallets: Mapping[str, float]
) -> BookTables:
    """Tables of accounts with a wallet each, as one."""
    rows = np.sum([one.ledger.to_numpy(dtype=np.float64) for one in each.values()], axis=0)
    ledger = pd.DataFrame(rows, index=index, columns=list(BOOK))
    equity = ledger["equity"].to_numpy()
    before = np.append(sum(wallets.values()), equity[:-1])
    legs: dict[str, pd.DataFrame] = {}
    turnover, asked, net, gross = (np.zeros(len(index)) for _ in range(4))
    for name, one in each.items():
        own = one.ledger["equity"].to_numpy()
        share = _share(np.append(wallets[name], own[:-1]), before)
        leg = one.legs[name].copy()
        value = np.nan_to_num(leg["exposure"].to_numpy()) * own
        leg["exposure"] = _share(value, equity)
        leg["turnover"] *= share
        turnover += leg["turnover"].to_numpy()
        asked += leg["target_exposure"].to_numpy() * share
        net, gross = net + value, gross + np.abs(value)
        legs[name] = leg
    ledger["turnover"], ledger["target_exposure"] = turnover, asked
    ledger["exposure"] = _share(net, equity)
    ledger["gross_exposure"] = _share(gross, equity)
    ledger["ambiguous"] = ledger["ambiguous"] > 0.0
    ledger["margin_ratio"] = np.max([one.ledger["margin_ratio"] for one in each.values()], axis=0)
    fills = pd.concat([one.fills for one in each.values()], ignore_index=True)
    trades = pd.concat([one.trades for one in each.values()], ignore_index=True)
    return BookTables(
        ledger,
        legs,
        fills.sort_values("time", kind="stable", ignore_index=True),
        trades.sort_values("entry_time", kind="stable", ignore_index=True),
    )


def _share(part: Floats, whole: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(part == 0.0, 0.0, np.where(whole > 0.0, part / whole, np.nan))
