"""A backtest of an account that holds several positions: exposures by symbol in, one equity out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd

from delever.arguments import Floats, checked, counted
from delever.engine.arrays import check_amounts
from delever.engine.book_market import (
    BookPath,
    LegInput,
    LegTarget,
    Shared,
    check_size,
    lay_out,
)
from delever.engine.book_tables import BookRows, BookTables, add_up, coin_tables, tables
from delever.engine.delivered import undelivered
from delever.engine.ledger import BOOK, LEG, Backtest
from delever.engine.legs import (
    Leg,
    Margin,
    decided_targets,
    every_contract_once,
    read_leg,
    shared_by,
    union,
    within_margins,
)
from delever.engine.orders import not_sent
from delever.engine.settings import Resolution
from delever.engine.terms import costs_of
from delever.errors import InputError
from delever.venues.costs import CostPart

__all__ = ["Leg", "Margin", "PortfolioBacktest", "portfolio_backtest"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PortfolioBacktest(Backtest):
    """What a run of exposures by symbol came to.

    It is a `Backtest` whose ``ledger`` has one row per bar of the clock (the union of the legs'
    open times): ``equity``, ``cash``, ``wallet_balance`` and the margins in quote units at the
    close; ``exposure`` (net) and ``gross_exposure``; ``margin_ratio``, maintenance margin / margin
    balance, of the position nearest to its liquidation where each has its own; and over the bar
    ``turnover``, ``price_pnl``, ``fee``, ``slippage``, ``liquidation``, ``funding`` and ``borrow``,
    which are the sums of the same columns over ``legs``. ``fills`` and ``trades`` have the column
    ``symbol`` in front.
    """

    # by symbol, one row per bar of the clock: ``position`` (signed base units), ``exposure`` (of
    # the portfolio's equity), ``target_exposure`` (in force), ``mark``, ``entry_price``,
    # ``liquidation_price`` (with the other positions standing still), and the flows of the ledger
    legs: Mapping[str, pd.DataFrame] = field(repr=False)
    margin: Margin = field(default_factory=Margin)
    # decided at the last bar's close, not filled, by symbol
    pending_targets: Mapping[str, float] = field(default_factory=dict, repr=False)

    def window(self, start: pd.Timestamp, end: pd.Timestamp) -> PortfolioBacktest:
        """Restrict the run to the bars that open at or after `start` and close by `end`.

        Raises InputError if no bar lies inside.
        """
        cut = Backtest.window(self, start, end)
        assert isinstance(cut, PortfolioBacktest)
        index = cut.ledger.index
        legs = {name: leg.loc[index[0] : index[-1]] for name, leg in self.legs.items()}
        return replace(cut, legs=legs)


@checked
def portfolio_backtest(
    legs: Mapping[str, Leg],
    target_exposure: pd.DataFrame,
    *,
    timeframe: str,
    margin: Margin | None = None,
    costs: CostPart | None = None,
    initial_equity: float = 10_000.0,
    rebalance_band: float | None = None,
    engine: Literal["numba", "python"] = "numba",
) -> PortfolioBacktest:
    """Simulate one account that holds several positions.

    Raises InputError if legs and targets do not go together, a target lies beyond the leverage, or
    a bracket does not allow a position; DataError if rules, funding, detail or mark do not cover
    a leg's bars.

    Parameters
    ----------
    legs : mapping of str to Leg
        By symbol.
    target_exposure : pandas.DataFrame, shape (n, legs)
        One column per leg, in any order, on the union of the open times of all bars; decided at
        each close; one row more in front is decided before the first bar and filled at its open.
        Signed notional / equity of the whole portfolio, of the leg's wallet when they
        are separate. NaN before a column's first value means flat; NaN where a leg has no bar is
        no decision. Where decisions name orders, columns are pairs of a leg and ``"exposure"`` or
        an order (`delever.engine.orders`), as ``pandas.concat`` makes them of a frame per leg.
    timeframe : str
        Of all bars.
    margin : Margin, optional
        How the legs share collateral; cross by default.
    costs : Costs or one of their parts, optional
        Of legs without costs of their own. When left out, the fees of each leg's rules, by date.
    initial_equity : float
        Quote units, from 1e-6 to 1e15.
    rebalance_band : float, optional
        Trade a leg also when its exposure at the open is further than this from its target.
    engine : {"numba", "python"}
        The compiled loop, or the same lines as Python runs them, slowly.

    Notes
    -----
    The rules are those of ``docs/portfolio.md``. The target of row t is filled at the leg's next
    open; all targets that are filled at one open are sized against one equity, costs of all of
    them included. A leg whose bar is missing keeps its last known mark and trades nothing.

    Examples
    --------
    >>> days = pd.date_range("2021-01-01", periods=3, tz="UTC")
    >>> price = pd.Series([100.0, 110.0, 121.0], index=days)
    >>> bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], price))
    >>> legs = {"A": Leg(bars=bars), "B": Leg(bars=bars / 2.0)}
    >>> targets = pd.DataFrame({"A": 0.5, "B": 0.5}, index=days)
    >>> run = portfolio_backtest(legs, targets, timeframe="1d", initial_equity=1000.0)
    >>> run.equity.tolist(), run.legs["B"]["position"].tolist()
    ([1000.0, 1000.0, 1100.0], [0.0, 9.090909090909092, 9.090909090909092])
    """
    how = margin or Margin()
    _check(legs, how, initial_equity, rebalance_band)
    names = sorted(legs)
    read = {name: read_leg(name, legs[name], how, costs, timeframe) for name in names}
    clock = union([leg.index for leg in read.values()])
    decided = decided_targets(target_exposure, read, clock)
    shared, said = shared_by(how, read, clock)
    decided, waited = within_margins(decided, read, how, shared, clock, timeframe)
    wallets = _wallets(names, how, float(initial_equity))
    apart = how.mode == "separate"
    groups = [[name] for name in names] if apart else [names]
    band = math.inf if rebalance_band is None else float(rebalance_band)
    books = [
        _Book({name: read[name] for name in group}, decided, clock, timeframe, band, shared, engine)
        for group in groups
    ]
    cash = [wallets[group[0]] if apart else float(initial_equity) for group in groups]
    whole, notes, small, turned_away = _run(books, groups, cash, read, clock, wallets)
    bounds = None
    if any(leg.account.bounds for leg in read.values()):
        bounds = _bounds(whole.ledger["equity"], books, cash)
    remarks = _remarks(read, whole, clock, turned_away, waited)
    request = {
        "legs": legs,
        "target_exposure": target_exposure,
        "timeframe": timeframe,
        "margin": how,
        "costs": costs,
        "initial_equity": initial_equity,
        "rebalance_band": rebalance_band,
        "engine": engine,
    }
    return PortfolioBacktest(
        timeframe=timeframe,
        initial_equity=float(initial_equity),
        costs=costs_of(costs, read[names[0]].account),
        ledger=whole.ledger,
        fills=whole.fills,
        trades=whole.trades,
        pending_target=sum(each.pending for each in decided.values()),
        fidelity=(*notes, *said, *small, *_unsent(read, decided), *remarks),
        bounds=bounds,
        ambiguous_bars=int(whole.ledger["ambiguous"].sum()),
        request=request,
        legs=whole.legs,
        margin=how,
        pending_targets={name: each.pending for name, each in decided.items()},
    )


def _run(
    books: Sequence[_Book],
    groups: Sequence[list[str]],
    cash: Sequence[float],
    read: Mapping[str, LegInput],
    clock: pd.DatetimeIndex,
    wallets: Mapping[str, float],
) -> tuple[BookTables, list[str], list[str], int]:
    """What the books come to together, and what is said of their paths and of small orders."""
    paths = [book.path("run") for book in books]
    rows = [book.run(path, own) for book, path, own in zip(books, paths, cash, strict=True)]
    made = {
        group[0]: book.tables(each, path, own)
        for group, each, book, path, own in zip(groups, rows, books, paths, cash, strict=True)
    }
    whole = add_up(made, clock, wallets) if len(made) > 1 else made[groups[0][0]]
    small = [
        f"{name}: {note}"
        for group, one, own in zip(groups, made.values(), cash, strict=True)
        for name in group
        for note in _undelivered(name, read[name], one, own)
    ]
    notes = [note for path in paths for note in path.notes]
    return whole, notes, small, sum(each.turned_away for each in rows)


def _check(legs: object, how: object, initial_equity: float, rebalance_band: float | None) -> None:
    if not isinstance(legs, Mapping) or not legs:
        raise InputError(f"legs must be a mapping of symbol to Leg; got {legs!r}")
    for name, leg in legs.items():
        if not isinstance(name, str) or not isinstance(leg, Leg):
            raise InputError(f"legs must be a mapping of symbol to Leg; got {name!r}: {leg!r}")
    if not isinstance(how, Margin):
        raise InputError(f"margin must be a Margin, or None; got {how!r}")
    check_amounts(initial_equity, rebalance_band)
    if how.weights is not None and set(how.weights) != set(legs):
        raise InputError(
            f"margin: weights must name the legs {', '.join(sorted(legs))}; they name "
            f"{', '.join(sorted(how.weights))}"
        )
    every_contract_once(legs, how)


def _wallets(names: list[str], how: Margin, initial: float) -> dict[str, float]:
    shares = how.weights or dict.fromkeys(names, 1.0 / len(names))
    return {name: float(shares[name]) * initial for name in names}


@dataclass(frozen=True, slots=True)
class _Book:
    """The legs of one wallet, and what is asked of them."""

    legs: Mapping[str, LegInput]
    asked: Mapping[str, LegTarget]
    clock: pd.DatetimeIndex
    timeframe: str
    band: float
    shared: Shared
    engine: str

    @property
    def begun(self) -> dict[str, int]:
        """First bar of each leg on the clock."""
        return {name: int(self.clock.searchsorted(leg.index[0])) for name, leg in self.legs.items()}

    def path(self, resolution: Resolution) -> BookPath:
        """The steps of a run, by one way to resolve what bars hide."""
        return lay_out(
            self.legs,
            self.asked,
            self.clock,
            timeframe=self.timeframe,
            band=self.band,
            resolution=resolution,
            shared=self.shared,
        )

    def coins(self, path: BookPath) -> float:
        """Coins that the wallet holds for each quote unit of its own; 1 where it holds those."""
        inverse = any(leg.account.inverse for leg in self.legs.values())  # then it is alone
        return float(path.market.marks[0, 0]) if inverse else 1.0

    def tables(self, made: BookRows, path: BookPath, cash: float) -> BookTables:
        """Tables of a run, in quote units."""
        for name, leg in self.legs.items():
            if leg.account.inverse:
                bought = self.coins(path)
                return coin_tables(
                    *(made, name, self.clock, leg.account),
                    coins=cash * bought, bought_at=1.0 / bought, begun=self.begun[name],
                )  # fmt: skip
        return tables(made, list(self.legs), self.clock, self.begun)

    def equity(self, made: BookRows) -> Floats:
        """Equity at each close, in quote units."""
        inverse = any(leg.account.inverse for leg in self.legs.values())
        worth = 1.0 / made.legs[:, 0, LEG.index("mark")] if inverse else 1.0
        return np.asarray(made.book[:, BOOK.index("equity")] * worth)

    def run(self, path: BookPath, cash: float) -> BookRows:
        """Rows of a run, of an inverse contract in coins.

        Raises InputError if a bracket does not allow a position.
        """
        from delever.engine.book_kernel import run_book  # numba takes long to import

        cash *= self.coins(path)
        made = run_book(
            path.market, path.terms, cash=cash, shared=self.shared.cross, engine=self.engine
        )
        bar, place, measure = made.refused
        if bar >= 0:
            name = list(self.legs)[place]
            leg = self.legs[name]
            check_size(path, (name, place), leg.index, self.clock[bar],
                       leg.account.leverage, measure)  # fmt: skip
        return made


def _bounds(equity: pd.Series, books: list[_Book], cash: list[float]) -> pd.DataFrame:
    """Lowest and highest equity over the ways to resolve what bars hide."""
    every = [equity.to_numpy()]
    resolutions: tuple[Resolution, Resolution] = ("worst", "best")
    for resolution in resolutions:
        rows = [book.run(book.path(resolution), own) for book, own in zip(books, cash, strict=True)]
        each = [book.equity(made) for book, made in zip(books, rows, strict=True)]
        every.append(np.sum(each, axis=0))
    return pd.DataFrame(
        {"worst": np.min(every, axis=0), "best": np.max(every, axis=0)}, equity.index
    )


def _unsent(legs: Mapping[str, LegInput], decided: Mapping[str, LegTarget]) -> Iterator[str]:
    """Entries of each leg that no venue takes."""
    for name, leg in legs.items():
        for note in not_sent(decided[name].said, decided[name].asked, leg.prices[:, 0]):
            yield f"{name}: {note}"


def _undelivered(
    name: str, leg: LegInput, made: BookTables, initial_equity: float
) -> tuple[str, ...]:
    """Decisions of a leg that came to nothing, or less, for want of size."""
    if leg.account.traded is None:
        return ()
    own = made.legs[name].assign(equity=made.ledger["equity"])
    opened = pd.Series(leg.prices[:, 0], leg.index).reindex(own.index)
    opens = np.asarray(opened, dtype=np.float64)
    fills = made.fills[made.fills["symbol"] == name]
    return undelivered(leg.account.traded, own, fills, opens, initial_equity)


def _remarks(
    legs: Mapping[str, LegInput],
    made: BookTables,
    clock: pd.DatetimeIndex,
    turned_away: int,
    waited: int,
) -> tuple[str, ...]:
    notes = []
    for name, leg in legs.items():
        if leg.index[-1] == clock[-1]:
            continue
        last = leg.index[-1]
        held = made.fills[(made.fills["symbol"] == name) & (made.fills["reason"] == "delisted")]
        what = "nothing was held"
        if made.legs[name]["position"].iloc[-1] != 0.0:
            what = "the position stands at its last known mark"
        elif len(held):
            # A recovery is paid without costs at the price stated; any other end at the last close.
            price, bar = float(held["price"].iloc[-1]), held["time"].iloc[-1]
            how = f"a recovery of {leg.ends:g}" if price == leg.ends else "its last close"
            what = f"the position was closed at {how} with the bar of {bar:%Y-%m-%d %H:%M}"
        notes.append(f"{name}: its bars end on {last:%Y-%m-%d %H:%M}, before the run does; {what}")
    for name, leg in legs.items():
        if leg.account.inverse:
            notes.append(
                f"{name}: its wallet holds coins, bought at the first mark; amounts are in quote "
                "units at the mark of each close"
            )
    missing = {
        name: int(((clock >= leg.index[0]) & (clock <= leg.index[-1])).sum()) - len(leg.index)
        for name, leg in legs.items()
    }
    if any(missing.values()):
        said = ", ".join(f"{name} {gone:,}" for name, gone in missing.items() if gone)
        notes.append(
            f"bars that a leg lacks ({said}): it kept its last known mark there and traded nothing"
        )
    if waited:
        notes.append(
            f"increases waited, whole or in part, at {counted(waited, 'open')}: a leg without a "
            "bar still held what they needed"
        )
    if turned_away:
        notes.append(f"{counted(turned_away, 'order')} not made, for want of free margin")
    return tuple(notes)
