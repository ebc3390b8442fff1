"""What a backtest came to: its tables, and what may be asked of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from delever.bars import close_times
from delever.engine.settings import Account
from delever.errors import InputError
from delever.stats.returns import bar_returns
from delever.venues.costs import Costs

PAID = ("fee", "slippage", "liquidation")
FLOWS = ("turnover", "price_pnl", *PAID, "funding", "borrow")
"""What adds up over bars and positions."""

SPOT_LEDGER = (
    *("equity", "cash", "position", "exposure", "target_exposure", "turnover", "price_pnl"),
    *PAID,
)
"""Columns of the ledger of a run without account settings, one row per bar."""

LEDGER = (
    *SPOT_LEDGER,
    *("funding", "borrow", "ambiguous", "wallet_balance", "entry_price", "liquidation_price"),
)
"""Columns of every other ledger."""

SPOT_FILL = (
    "bar",
    "quantity",
    "price",
    "fee",
    "slippage",
    "liquidation",
    "equity",
    "position",
    "exposure",
    "reason",
)
"""Columns of the fills of a run without account settings, one row per fill."""

FILL = (*SPOT_FILL, "funding", "borrow", "step")
"""Columns of all other fills; ``funding`` and ``borrow`` came since the fill before."""

REASONS = ("target", "liquidation", "stop_loss", "take_profit", "trailing_stop", "limit",
           "delisted", "time_stop")  # fmt: skip
"""What makes a fill; the column ``reason`` holds the place of one in here."""

BOOK = (
    "equity",
    "cash",
    "exposure",
    "gross_exposure",
    "target_exposure",
    *FLOWS,
    "ambiguous",
    "wallet_balance",
    "initial_margin",
    "maintenance_margin",
    "margin_ratio",
)
"""Columns of the ledger of an account of several positions, one row per bar of its clock."""

LEG = (
    "position",
    "exposure",
    "target_exposure",
    *FLOWS,
    "mark",
    "entry_price",
    "liquidation_price",
)
"""Columns of each of its positions."""

ATTRIBUTION = ("price_pnl", "fee", "slippage", "liquidation")
"""Columns of the ledger that explain the change in equity, in quote units; those of a margin
account are followed by ``funding`` and ``borrow``, and those of an inverse contract by
``collateral``."""

_SIGN = {
    "price_pnl": 1.0,
    "fee": -1.0,
    "slippage": -1.0,
    "liquidation": 1.0,
    "funding": 1.0,
    "borrow": -1.0,
    "collateral": 1.0,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Backtest:
    """What a run of exposures over bars came to."""

    timeframe: str  # of the bars
    initial_equity: float  # quote units before the first bar
    costs: Costs  # what fills paid
    # shape (n, 10): one row per bar, indexed by ``open_time``. At the close: ``equity``, ``cash``
    # (both quote units), ``position`` (signed base units), ``exposure``. At the open:
    # ``target_exposure`` (in force from then on), ``turnover`` (notional traded / equity before,
    # forced closes aside). Over the bar, quote units: ``price_pnl``, ``fee``, ``slippage`` (both
    # costs, > 0 when paid) and ``liquidation`` (>= 0, the loss beyond equity that the account did
    # not bear). ``equity[t] - equity[t-1] = price_pnl - fee - slippage + liquidation``.
    ledger: pd.DataFrame
    # shape (m, 11): one row per fill: ``time`` (open time of its bar), ``quantity`` (signed),
    # ``price`` (slippage included), ``notional``, ``fee``, ``slippage``, ``liquidation``,
    # ``equity`` (before it), ``position`` and ``exposure`` (after it), ``reason`` ("target" or
    # "liquidation")
    fills: pd.DataFrame = field(repr=False)
    # shape (k, 15): one row per round trip, from flat to flat or to a flip: ``entry_time``,
    # ``exit_time`` (NaT while open), ``side`` (+1, -1), ``quantity`` (the most held),
    # ``entry_price`` and ``exit_price`` (averages over fills, slippage included; NaN while nothing
    # was closed), ``gross_pnl`` (before slippage; open trades at the last close), ``fee``,
    # ``slippage``, ``liquidation``, ``net_pnl`` (= gross_pnl - fee - slippage + liquidation),
    # ``return`` (net_pnl / equity at entry), ``bars`` (held in), ``status`` ("closed", "open",
    # "liquidated"), ``carried_in`` (entered before the first bar; see `window`)
    trades: pd.DataFrame = field(repr=False)
    pending_target: float = 0.0  # decided at the last bar's close, not filled
    # the margin account of the run; None for a plain spot account. With one, the ledger also has
    # ``funding`` (received, quote units; < 0 paid), ``borrow`` (paid), ``ambiguous`` (whether the
    # bar hid an order of events), ``wallet_balance``, ``entry_price`` and ``liquidation_price`` (at
    # the close; NaN when flat, or when no price liquidates), with a contract at last
    # ``maintenance_margin`` (quote units at the mark) and ``margin_ratio`` (of it to the margin
    # balance of the position: 1 is liquidated; 0 when flat); ``liquidation`` is below 0 for margin
    # the insurance fund took; fills have ``funding`` and ``borrow`` (since the fill before), and
    # ``detail_time`` where finer bars were walked; trades have ``funding``, ``borrow`` and
    # ``exit_reason``, and their ``net_pnl`` includes the two. Of an inverse contract, positions are
    # signed quote units, ``cash`` is the coins held and ``equity = cash - position``; all amounts
    # are in quote units at ``mark_price``, the mark of the close, and ``collateral`` is what the
    # coins of the close before gained.
    account: Account | None = field(default=None, repr=False)
    # what a run of a margin account knew and did not know
    fidelity: tuple[str, ...] = field(default=(), repr=False)
    ambiguous_bars: int = 0  # bars that hid an order of events that mattered
    # columns ``worst`` and ``best``: equity at each close, whatever the bars hid
    bounds: pd.DataFrame | None = field(default=None, repr=False)
    # the arguments of `backtest`; None for a window or a run read back
    request: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def equity(self) -> pd.Series:
        """Equity at each close, quote units, shape (n,)."""
        return self.ledger["equity"]

    @property
    def returns(self) -> pd.Series:
        """Return of each bar, fractions, shape (n,).

        The first is measured from the initial equity. A ruined account earns 0, so returns still
        compound to the equity.
        """
        values = bar_returns(self.equity, self.initial_equity)
        return pd.Series(values, index=self.ledger.index, name="return")

    @property
    def known(self) -> bool:
        """Whether it is known what was held; of returns alone it is not."""
        return not self.ledger["exposure"].isna().all()

    @property
    def parts(self) -> pd.DataFrame:
        """What made the change in equity over each bar, quote units.

        Shape (n, 4), of a margin account (n, 6), of an inverse contract (n, 7): columns of the
        ledger, see `ATTRIBUTION`, signed as equity felt them. A row sums to the equity at its close
        less that at the close before.
        """
        return signed_parts(self.ledger)

    @property
    def attribution(self) -> pd.Series:
        """What made the change in equity, quote units: the sums of `parts`.

        Sums to the last equity less the initial one.
        """
        return self.parts.sum().rename("attribution")

    def window(self, start: pd.Timestamp, end: pd.Timestamp) -> Backtest:
        """Restrict the run to the bars that open at or after `start` and close by `end`.

        Raises InputError if no bar lies inside.
        """
        index = pd.DatetimeIndex(self.ledger.index)
        inside = (index >= start) & (close_times(index, self.timeframe) <= end)
        rows = np.flatnonzero(inside)
        if not len(rows):
            raise InputError(
                f"window: at least one whole bar must lie between {start} and {end}; "
                f"the run has bars from {index[0]} to {index[-1]}; widen the window"
            )
        first, last = int(rows[0]), int(rows[-1])
        opened, closed = index[first], index[last]
        trades = self.trades
        if not trades.empty:
            left = trades["exit_time"]
            # A forced close inside a bar carries that bar's open time, and was held in it.
            stayed = trades["status"] == "liquidated"
            if "exit_reason" in trades:
                stayed |= ~trades["exit_reason"].isin(["target", ""])
            gone = (left < opened) | ((left == opened) & ~stayed)
            trades = trades[(trades["entry_time"] <= closed) & ~gone].reset_index(drop=True)
            trades["carried_in"] = trades["entry_time"] < opened
        times = self.fills["time"]
        equity, asked = self.ledger["equity"], self.ledger["target_exposure"]
        return replace(
            self,
            initial_equity=float(equity.iloc[first - 1]) if first else self.initial_equity,
            ledger=self.ledger.iloc[first : last + 1],
            fills=self.fills[(times >= opened) & (times <= closed)].reset_index(drop=True),
            trades=trades,
            pending_target=(
                float(asked.iloc[last + 1]) if last + 1 < len(index) else self.pending_target
            ),
            ambiguous_bars=(
                int(self.ledger["ambiguous"].iloc[first : last + 1].sum())
                if "ambiguous" in self.ledger
                else 0
            ),
            bounds=None if self.bounds is None else self.bounds.iloc[first : last + 1],
            request=None,
        )

    def _repr_html_(self) -> str:
        index = self.ledger.index
        final = float(self.ledger["equity"].iloc[-1])
        rows = {
            "bars": f"{len(index)} x {self.timeframe}, {index[0]:%Y-%m-%d} to {index[-1]:%Y-%m-%d}",
            "equity": f"{self.initial_equity:,.2f} to {final:,.2f}",
            "total return": f"{final / self.initial_equity - 1.0:.2%}",
            "fills, trades": f"{len(self.fills)}, {len(self.trades)}",
            **{name: f"{value:,.2f}" for name, value in self.attribution.items()},
        }
        body = "".join(f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in rows.items())
        return f"<table><caption>Backtest</caption>{body}</table>"


def signed_parts(flows: pd.DataFrame) -> pd.DataFrame:
    """Columns of a ledger, or of a leg of one, that change the equity, signed as it felt them."""
    return pd.DataFrame({name: sign * flows[name] for name, sign in _SIGN.items() if name in flows})
