"""Accounts that were kept elsewhere: a vectorbt portfolio or plain returns as a backtest, and back.

A portfolio is read from its orders alone, and its value must follow from them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import Floats, counted
from delever.bars import elapsed_years
from delever.engine.ledger import SPOT_FILL, SPOT_LEDGER, Backtest
from delever.engine.trades import fills_frame, trades_frame
from delever.errors import InputError
from delever.stats.returns import bar_returns
from delever.units import timeframe_delta
from delever.venues.costs import Costs

_CLOSE = 1e-9
_ALIKE = 1e-7
_MOST_SLIPPAGE = 0.02
"""A fraction that fills at the open or close may be worse by; beyond it they are other prices."""


class FilledAt(NamedTuple):
    """How many orders were filled at the open, the close, or neither of their own bars."""

    open: int
    close: int
    neither: int
    slippage: float  # what fills were worse than that price by, fraction; NaN where they differ
    untraded: int = 0  # of a price outside low and high of their bar, slippage aside
    untraded_first: str = ""  # the first of those, in words

    def __str__(self) -> str:
        orders = self.open + self.close + self.neither
        if not orders:
            return "no order was filled"
        places = (
            (self.open, "the open of its bar"),
            (self.close, "the close of its bar"),
            (self.neither, "another price"),
        )
        said = [f"{amount:,} at {where}" for amount, where in places if amount]
        worse = ""
        if self.slippage > _CLOSE:
            which = "; those at the open or close are" if self.neither else ","
            worse = f"{which} each worse by {self.slippage:.4g} of it"
        return f"{counted(orders, 'order')}, {', '.join(said)}{worse}"


def is_portfolio(given: object) -> bool:
    """Whether something is a portfolio of vectorbt, which need not be imported for that."""
    return any(
        kind.__name__ == "Portfolio" and kind.__module__.startswith("vectorbt.")
        for kind in type(given).__mro__
    )


def from_portfolio(
    portfolio: Any, bars: pd.DataFrame, *, timeframe: str
) -> tuple[Backtest, FilledAt]:
    """The account of a portfolio of one column over its bars.

    Raises InputError if it has several columns, stands on other bars, or its value does not follow
    from its orders.
    """
    close = column_of(portfolio)
    index = pd.DatetimeIndex(bars.index)
    closes = bars["close"].to_numpy(dtype=np.float64)
    off = ~np.isclose(close.to_numpy(dtype=np.float64), closes, rtol=_ALIKE, atol=0.0)
    if off.any():
        row = int(np.flatnonzero(off)[0])
        raise InputError(
            f"the closes of a portfolio must be those of the market; in the bar of "
            f"{index[row]:%Y-%m-%d %H:%M} they are {close.iloc[row]:g} and {closes[row]:g}"
        )
    cash = float(np.ravel(portfolio.init_cash)[0])
    orders = portfolio.orders.values
    orders = orders[np.argsort(orders["idx"], kind="stable")]
    bar, price = orders["idx"].astype(np.int64), orders["price"].astype(np.float64)
    side = np.where(orders["side"] == 0, 1.0, -1.0)
    quantity, fee = side * orders["size"], orders["fees"].astype(np.float64)
    reference, filled = _references(bars, bar, price, side)
    held = np.cumsum(quantity)
    held[np.abs(held) <= _CLOSE * np.maximum(np.abs(quantity), np.abs(held - quantity))] = 0.0
    left = cash - np.cumsum(quantity * price + fee)
    before, had = np.append(0.0, held[:-1]), np.append(cash, left[:-1])
    worth = had + before * reference
    rows = {
        "bar": bar.astype(np.float64),
        "quantity": quantity,
        "price": price,
        "fee": fee,
        "slippage": np.abs(quantity) * side * (price - reference),
        "equity": worth,
        "position": held,
        "exposure": held * price / (left + held * price),
    }
    nothing = np.zeros(len(orders))
    fills = np.column_stack([rows.get(name, nothing) for name in SPOT_FILL])
    ledger = _ledger(fills, index, closes, cash, np.append(cash, left))
    _check_value(portfolio, ledger["equity"], cash)
    done = Backtest(
        timeframe=timeframe,
        initial_equity=cash,
        costs=_costs(quantity * price, fee, filled),
        ledger=ledger,
        fills=fills_frame(fills, index),
        trades=trades_frame(fills, index, last_close=float(closes[-1])),
    )
    return done, filled


def column_of(portfolio: Any) -> pd.Series:
    """Closes of a portfolio. Raises InputError if it has several columns or shares cash."""
    close = portfolio.close
    if isinstance(close, pd.DataFrame) and close.shape[1] == 1:
        return close.iloc[:, 0]
    if not isinstance(close, pd.Series):
        names = ", ".join(map(str, list(close)[:3]))
        raise InputError(
            f"a portfolio must have one column; got {close.shape[1]:,} ({names}, ...); take one, "
            "as portfolio[name]"
        )
    return close


def _references(
    bars: pd.DataFrame, bar: npt.NDArray[np.int64], price: Floats, side: npt.NDArray[np.float64]
) -> tuple[Floats, FilledAt]:
    """The price that each order was meant for: the open or close of its bar, else its own."""
    opens, closes = (bars[name].to_numpy(dtype=np.float64)[bar] for name in ("open", "close"))
    worse = {name: side * (price / each - 1.0) for name, each in
             (("open", opens), ("close", closes))}  # fmt: skip
    slips = {name: _shared(each) for name, each in worse.items()}
    at = {name: np.abs(each - slips[name]) <= _CLOSE for name, each in worse.items()}
    first = "open" if at["open"].sum() >= at["close"].sum() else "close"
    at["close" if first == "open" else "open"] &= ~at[first]
    reference = np.where(at["open"], opens, np.where(at["close"], closes, price))
    there = [slips[name] for name in at if at[name].any()]
    slippage = there[0] if len(there) == 1 else np.nan
    untraded = _untraded(bars, bar, reference / (1.0 + side * np.nan_to_num(slippage)), reference)
    first_off = int(np.argmax(untraded)) if untraded.any() else None
    return reference, FilledAt(
        open=int(at["open"].sum()),
        close=int(at["close"].sum()),
        neither=int((~at["open"] & ~at["close"]).sum()),
        slippage=slippage,
        untraded=int(untraded.sum()),
        untraded_first=""
        if first_off is None
        else _place(bars.iloc[bar[first_off]], price[first_off]),
    )


def _shared(worse: Floats) -> float:
    """The fraction that most orders are worse by, 0 where they share none or it is too much."""
    usual = float(np.median(worse)) if len(worse) else 0.0
    alike = 2 * int((np.abs(worse - usual) <= _CLOSE).sum()) > len(worse)
    return usual if alike and 0.0 <= usual < _MOST_SLIPPAGE else 0.0


def _untraded(
    bars: pd.DataFrame, bar: npt.NDArray[np.int64], *meant: Floats
) -> npt.NDArray[np.bool_]:
    """Which orders' prices lie outside low and high of their bar, with and without slippage."""
    low, high = (bars[name].to_numpy(dtype=np.float64)[bar] for name in ("low", "high"))
    traded = [(low * (1 - _CLOSE) <= each) & (each <= high * (1 + _CLOSE)) for each in meant]
    return ~(traded[0] | traded[1])


def _place(bar: pd.Series, price: float) -> str:
    return (
        f"{price:g} in the bar of {bar.name:%Y-%m-%d %H:%M}, which traded from {bar['low']:g} to "
        f"{bar['high']:g}"
    )


def _ledger(
    fills: Floats, index: pd.DatetimeIndex, closes: Floats, cash: float, paid: Floats
) -> pd.DataFrame:
    """Bars of an account from its fills; `paid` is the cash before the first and after each."""
    named = dict(zip(SPOT_FILL, fills.T, strict=True))
    bar = named["bar"].astype(np.int64)
    seen = np.searchsorted(bar, np.arange(len(index)), side="right")
    position = np.append(0.0, named["position"])[seen]
    equity = paid[seen] + position * closes

    def per_bar(values: Floats) -> Floats:
        return np.bincount(bar, weights=values, minlength=len(index)).astype(np.float64)

    with np.errstate(divide="ignore", invalid="ignore"):
        traded = np.where(
            named["equity"] > 0.0, np.abs(named["quantity"]) * named["price"] / named["equity"], 0.0
        )
        exposure = np.where(equity > 0.0, position * closes / equity, 0.0)
    fee, slippage = per_bar(named["fee"]), per_bar(named["slippage"])
    columns = {
        "equity": equity,
        "cash": paid[seen],
        "position": position,
        "exposure": exposure,
        "target_exposure": np.append(0.0, named["exposure"])[seen],
        "turnover": per_bar(traded),
        "price_pnl": np.diff(equity, prepend=cash) + fee + slippage,
        "fee": fee,
        "slippage": slippage,
        "liquidation": np.zeros(len(index)),
    }
    return pd.DataFrame(columns, index=index, columns=list(SPOT_LEDGER))


def _check_value(portfolio: Any, equity: pd.Series, cash: float) -> None:
    value = np.ravel(np.asarray(portfolio.value(), dtype=np.float64))
    off = ~np.isclose(value, equity, rtol=_ALIKE, atol=_ALIKE * cash)
    if off.any():
        row = int(np.flatnonzero(off)[0])
        raise InputError(
            "the value of a portfolio must follow from its orders; in the bar of "
            f"{equity.index[row]:%Y-%m-%d %H:%M} it says {value[row]:,.2f}, and its orders leave "
            f"{equity.iloc[row]:,.2f}; measure its returns instead: portfolio.returns()"
        )
    if (equity < 0.0).any():
        first = equity.index[int(np.flatnonzero(equity < 0.0)[0])]
        raise InputError(
            f"the value of a portfolio must stay at 0 or above; it falls below in the bar of "
            f"{first:%Y-%m-%d %H:%M}: vectorbt liquidates no short, and returns end there"
        )


def _costs(notional: Floats, fee: Floats, filled: FilledAt) -> Costs:
    """What its orders paid, as far as one number says it."""
    rate = float(np.median(fee / np.abs(notional))) if len(fee) else 0.0
    slippage = 0.0 if np.isnan(filled.slippage) else filled.slippage
    return Costs(taker_fee=max(rate, 0.0), slippage=max(slippage, 0.0))


def from_returns(returns: pd.Series, *, timeframe: str, initial_equity: float) -> Backtest:
    """Returns alone as an account, of which what it held, traded and paid is NaN or empty."""
    index = pd.DatetimeIndex(returns.index)
    equity = initial_equity * np.cumprod(1.0 + returns.to_numpy(dtype=np.float64))
    columns = dict.fromkeys(SPOT_LEDGER, np.full(len(index), np.nan)) | {
        "equity": equity,
        "price_pnl": np.diff(equity, prepend=initial_equity),
        **dict.fromkeys(("fee", "slippage", "liquidation"), np.zeros(len(index))),
    }
    none = np.empty((0, len(SPOT_FILL)))
    return Backtest(
        timeframe=timeframe,
        initial_equity=initial_equity,
        costs=Costs(),
        ledger=pd.DataFrame(columns, index=index),
        fills=fills_frame(none, index),
        trades=trades_frame(none, index, last_close=1.0),
    )


def to_portfolio(done: Backtest, close: pd.Series) -> Any:
    """A run's fills as the orders of a portfolio of vectorbt.

    Raises InputError if equity does not follow from fills and closes: funding, borrowed coins, a
    mark of its own, coins as margin, or a loss beyond equity.
    """
    import vectorbt as vbt
    from vectorbt.base.array_wrapper import ArrayWrapper
    from vectorbt.portfolio.enums import order_dt

    fills, index = done.fills, pd.DatetimeIndex(done.ledger.index)
    orders = np.zeros(len(fills), dtype=order_dt)
    orders["id"] = np.arange(len(fills))
    orders["idx"] = index.get_indexer(pd.DatetimeIndex(fills["time"]))
    orders["size"], orders["side"] = fills["quantity"].abs(), fills["quantity"] < 0.0
    orders["price"], orders["fees"] = fills["price"], fills["fee"]
    paid = (fills["quantity"] * fills["price"] + fills["fee"]).to_numpy(dtype=np.float64)
    left = np.append(done.initial_equity, done.initial_equity - paid.cumsum())
    held = np.append(0.0, fills["quantity"].to_numpy(dtype=np.float64).cumsum())
    seen = np.searchsorted(orders["idx"], np.arange(len(index)), side="right")
    value = left[seen] + held[seen] * close.to_numpy(dtype=np.float64)
    off = ~np.isclose(value, done.equity, rtol=_CLOSE, atol=_CLOSE * done.initial_equity)
    if off.any():
        raise InputError(
            "a vectorbt portfolio keeps fills and closes alone, and from the bar of "
            f"{index[int(np.flatnonzero(off)[0])]:%Y-%m-%d %H:%M} on this run's equity holds more "
            "(funding, borrow, a mark of its own, coins, or a loss beyond equity); take its "
            'returns: to_vectorbt("returns")'
        )
    wrapper = ArrayWrapper(index, [close.name or "close"], 1, freq=timeframe_delta(done.timeframe))
    return vbt.Portfolio(
        wrapper,
        close.rename(None),
        orders,
        np.empty(0, dtype=vbt.portfolio.enums.log_dt),
        done.initial_equity,
        cash_sharing=False,
    )


def to_accessor(done: Backtest) -> Any:
    """The returns of a run behind vectorbt's accessor, with a year as long as it lasted in bars."""
    import vectorbt  # noqa: F401  # which adds the accessor

    index = pd.DatetimeIndex(done.ledger.index)
    step = timeframe_delta(done.timeframe)
    year = step * (len(index) / elapsed_years(index, done.timeframe))  # bars of a year
    values = pd.Series(bar_returns(done.equity, done.initial_equity), index, name="return")
    return values.vbt.returns(freq=step, year_freq=year)
