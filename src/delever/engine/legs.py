"""What an account of several positions is told: its legs, how they share margin, their targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

import numpy as np
import pandas as pd

from delever.arguments import Floats, counted
from delever.engine.arrays import bar_index, price_array
from delever.engine.book_market import Cut, LegInput, LegTarget, Shared, leaving, said_of
from delever.engine.joint_orders import by_symbol
from delever.engine.orders import Target, before_bars, exposure_of
from delever.engine.settings import Account, with_contract
from delever.engine.terms import costs_of
from delever.errors import InputError
from delever.frames import utc_index
from delever.units import timeframe_delta
from delever.venues.costs import Borrow, CostPart
from delever.venues.rules import AccountRule, Dated, Rulebook

T = TypeVar("T")
_NEARLY = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Leg:
    """One thing that an account can hold.

    Attributes
    ----------
    bars : pandas.DataFrame
        Columns open, high, low, close in quote units, indexed by open time in UTC; its own
        calendar, of the timeframe that all legs share.
    account : Account
        Contract, leverage, funding, mark, rules, detail and orders, as a run of one symbol takes
        them. How it shares collateral is `Margin`'s to say, not its `margin_mode`'s.
    costs : Costs or one of their parts, optional
        In place of those of the portfolio.
    ends : {"last"} or float or None
        What is left of a position when the bars end before the run does (the symbol was delisted):
        it is closed at its last bar's close, at the costs of any fill, or at this price, without
        costs. None refuses bars that end early.
    patience : pandas.Timedelta, optional
        How long after its last bar's close it is known that no other comes: the position is closed
        then, with the bar of the clock that closes, and so inside a hole of the bars that lasts as
        long. None: with the last bar, as if that were known at once.
    ended : pandas.Timestamp, optional
        UTC; with `patience`, when its end was said if that was sooner. A recovery is paid then.
    earlier : pandas.DataFrame, optional
        Bars before these, for costs that look back from the first ones.

    Raises
    ------
    InputError
        If `ends` is anything else.
    """

    bars: pd.DataFrame
    account: Account = field(default_factory=Account)
    costs: CostPart | None = None
    ends: Literal["last"] | float | None = "last"
    patience: pd.Timedelta | None = None
    ended: pd.Timestamp | None = None
    earlier: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        number = isinstance(self.ends, int | float) and not isinstance(self.ends, bool)
        if not (
            self.ends is None
            or self.ends == "last"
            or (number and 0.0 <= float(self.ends) < math.inf)
        ):
            raise InputError(
                f"ends must be 'last', a recovery price of 0 or more, or None; got {self.ends!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """How the legs of a portfolio share their collateral.

    Attributes
    ----------
    mode : {"separate", "isolated", "cross", "multi_asset"}
        *separate*: each leg has a wallet of its own, and targets are fractions of it. *isolated*:
        one wallet, and behind each perpetual its own margin. *cross*: one wallet, which stands
        behind all positions that need margin; spot that is held does not count. *multi_asset*: as
        cross, and spot that is held counts for a share of its value.
    weights : mapping of str to float, optional
        Shares of the initial equity in the wallets of *separate*; equal by default.
    rules : Rulebook, optional
        Of the venue of the account: what counts as collateral since when, and how positions that
        stand behind each other are liquidated. Without one they are liquidated all at once.
    counted : mapping of str to float, optional
        Share of the value of a spot leg that counts in *multi_asset*, by leg, from 0 to 1; in place
        of what the rules say of the asset that the leg is named after, "BTC" of "BTC/USDT".
    liquidation : {"venue", "whole"}
        As the rules say, or all positions at once.

    Raises
    ------
    InputError
        If a word is another, weights are given without wallets or do not sum to 1, or shares that
        count are none or are given without *multi_asset*.
    """

    mode: Literal["separate", "isolated", "cross", "multi_asset"] = "cross"
    weights: Mapping[str, float] | None = None
    rules: Rulebook | None = field(default=None, repr=False)
    counted: Mapping[str, float] | None = None
    liquidation: Literal["venue", "whole"] = "venue"

    def __post_init__(self) -> None:
        for name, words in _WORDS.items():
            if getattr(self, name) not in words:
                listed = ", ".join(map(repr, words))
                raise InputError(
                    f"margin: {name} must be one of {listed}; got {getattr(self, name)!r}"
                )
        if self.weights is not None:
            if self.mode != "separate":
                raise InputError(
                    f"margin: weights are shares of separate wallets; the mode is {self.mode!r}, "
                    "with one wallet; leave them out"
                )
            total = sum(self.weights.values())
            if not (abs(total - 1.0) < _NEARLY and min(self.weights.values()) >= 0.0):
                raise InputError(
                    f"margin: weights must be 0 or more and sum to 1; they sum to {total:g}"
                )
        if self.mode == "multi_asset":
            if self.rules is None and self.counted is None:
                raise InputError(
                    "margin: multi_asset must know what counts as collateral; give rules (a "
                    "venue's rulebook), or counted, the share of each spot leg's value"
                )
        elif self.counted is not None:
            raise InputError(f"margin: counted goes with multi_asset; the mode is {self.mode!r}")
        if not all(0.0 <= share <= 1.0 for share in (self.counted or {}).values()):
            raise InputError(
                f"margin: counted must be shares from 0 to 1; got {dict(self.counted or {})}"
            )

    @property
    def shared(self) -> bool:
        """Whether positions stand behind each other."""
        return self.mode in ("cross", "multi_asset")

    @property
    def in_steps(self) -> bool:
        """Whether the venue's rules may take such positions down one after the other."""
        if not self.shared or self.rules is None or self.liquidation == "whole":
            return False
        return any(each.rule.cut != "whole" for each in self.rules.accounts)


_WORDS = {
    "mode": ("separate", "isolated", "cross", "multi_asset"),
    "liquidation": ("venue", "whole"),
}


def every_contract_once(legs: Mapping[str, Leg], how: Margin) -> None:
    """Refuse a contract under two names; of separate wallets, on one venue."""
    seen: dict[tuple[str, str], str] = {}
    for name, leg in legs.items():
        contract, rules = leg.account.contract, leg.account.rules
        if contract is None:
            continue
        symbol = contract if isinstance(contract, str) else contract.symbol
        # One wallet is on one venue; wallets of their own may be on several.
        venue = str(getattr(rules, "venue", rules)) if how.mode == "separate" else ""
        if (venue, symbol) in seen:
            raise InputError(
                f"legs must hold every symbol once; {symbol} is held by {seen[venue, symbol]} and "
                f"{name}; add their targets up"
            )
        seen[venue, symbol] = name


def read_leg(name: str, leg: Leg, how: Margin, costs: CostPart | None, timeframe: str) -> LegInput:
    """Check a leg, and settle its account and costs.

    Raises InputError if its bars are not usable, or their timeframe or its collateral is another.
    """
    with said_of(name):
        index = bar_index(leg.bars)
        prices = price_array(leg.bars, index)
        account = with_contract(leg.account, index[0].date())
        paid = costs_of(leg.costs if leg.costs is not None else costs, account)
    length = timeframe_delta(timeframe)
    if len(index) > 1 and (np.diff(index.asi8) < length.value).any():
        raise InputError(
            f"{name}: all legs must have bars of one timeframe, {timeframe}; its own are "
            f"{pd.Timedelta(int(np.diff(index.asi8).min()))} apart; resample them"
        )
    if account.inverse and how.mode != "separate":
        raise InputError(
            f"{name}: legs of one wallet must have one collateral, quote units; this one is "
            "settled in its coin; give it a wallet of its own, with margin 'separate'"
        )
    if account.inverse and not isinstance(leg.ends, str | None):
        raise InputError(
            f"{name}: a contract settled in its coin ends at its last close; got ends {leg.ends:g}"
        )
    if account.contract is not None and any(isinstance(part, Borrow) for part in paid.parts):
        paid = replace(paid, parts=tuple(p for p in paid.parts if not isinstance(p, Borrow)))
    mode: Literal["isolated", "cross"] = "isolated"
    if how.shared:
        mode = "cross"
    elif how.mode == "separate":
        mode = account.margin_mode
    told = replace(account, margin_mode=mode)
    return LegInput(
        index, prices, leg.bars, told, paid, leg.ends, leg.patience, leg.ended, leg.earlier
    )


def union(indexes: list[pd.DatetimeIndex]) -> pd.DatetimeIndex:
    """Open times of all bars."""
    clock = indexes[0]
    for index in indexes[1:]:
        clock = clock if index.equals(clock) else clock.union(index)
    return clock


def decided_targets(
    targets: pd.DataFrame, legs: Mapping[str, LegInput], clock: pd.DatetimeIndex
) -> dict[str, LegTarget]:
    """What is asked of each leg.

    Raises InputError if columns or rows are others, or a target or an order is not usable.
    """
    if repeated := targets.columns[targets.columns.duplicated()].tolist():
        raise InputError(
            f"target_exposure must have every symbol once; {repeated[0]!r} is a column twice; add "
            "them up or drop one"
        )
    each = by_symbol(targets)
    if set(each) != set(legs):
        raise InputError(
            f"target_exposure must have one column per leg: {', '.join(legs)}; got "
            f"{', '.join(each)}"
        )
    rows = utc_index(targets.index, "open_time", "target_exposure")
    before = int(len(rows) > len(clock) and rows[0] < clock[0])
    if not rows[before:].equals(clock):
        raise InputError(
            "target_exposure must have one row per open time of any leg's bars, and at most one "
            f"before them; got {counted(len(rows), 'row')} for {counted(len(clock), 'time')}; "
            "reindex it to them"
        )
    return {name: _asked(name, each[name], leg, rows) for name, leg in legs.items()}


def _asked(name: str, target: Target, leg: LegInput, rows: pd.DatetimeIndex) -> LegTarget:
    with said_of(name):
        values = exposure_of(target).to_numpy(dtype=np.float64) * leg.account.exposure
    place = rows.get_indexer(leg.index)
    known = ~np.isnan(values)
    late = place[~known[place] & np.logical_or.accumulate(known)[place]]
    if len(late):
        raise InputError(
            f"{name}: target_exposure may be NaN only before its first value (warm-up) and where "
            f"the leg has no bar; the bar of {rows[late[0]]:%Y-%m-%d %H:%M} is NaN; decide a "
            "number there"
        )
    row = np.maximum.accumulate(np.where(known, np.arange(len(values)), -1))
    held = np.where(row >= 0, values[row], 0.0)
    most = leg.account.leverage
    beyond = np.flatnonzero(~(np.abs(held) <= most))
    if len(beyond):
        raise InputError(
            f"{name}: target_exposure must lie in [{-most:g}, {most:g}], its leverage; the bar of "
            f"{rows[beyond[0]]:%Y-%m-%d %H:%M} asks for {held[beyond[0]]:g}; scale it, or set a "
            "higher leverage"
        )
    said = None
    if isinstance(target, pd.DataFrame):
        # The decision in force at each of the leg's opens, and at its last close.
        last = np.append(np.append(-1, row)[place], row[-1])
        decided = target.reset_index(drop=True).reindex(last)
        with said_of(name):
            said = before_bars(decided.iloc[1:].set_axis(leg.index), decided.iloc[0], leg.account)
    return LegTarget(float(held[-1]), np.append(0.0, held)[place], said)


def within_margins(
    decided: Mapping[str, LegTarget],
    legs: Mapping[str, LegInput],
    how: Margin,
    shared: Shared,
    clock: pd.DatetimeIndex,
    timeframe: str,
) -> tuple[dict[str, LegTarget], int]:
    """Targets whose margins one wallet can hold together, and at how many bars some had to wait.

    A leg without a bar keeps what it holds: increases of the others have what is left.

    Raises InputError where no leg waits and the sum of |target| / leverage is above 1; of spot that
    is held, of what does not count as collateral; of a ladder, of its last rung.
    """
    if how.mode == "separate":
        return dict(decided), 0
    needs = np.full((len(clock), len(legs)), np.nan)
    for column, (name, leg) in enumerate(legs.items()):
        asked = decided[name].furthest()
        need = np.abs(asked) / decided[name].leverage(leg.account.leverage)
        if leg.account.contract is None:
            need = np.where(asked > 0.0, asked * (1.0 - shared.counted[name]), need)
        left = leaving(name, leg, clock, timeframe)[0] + 1
        needs[left[(left > 0) & (left < len(clock))], column] = 0.0
        needs[clock.get_indexer(leg.index), column] = need
    held = pd.DataFrame(needs).ffill().fillna(0.0).to_numpy()
    beyond = np.flatnonzero(held.sum(axis=1) > 1.0 + _NEARLY)
    if not len(beyond):
        return dict(decided), 0
    allowed, waited = _rationed(needs, held, int(beyond[0]), clock)
    made = {
        name: decided[name].times(allowed[clock.get_indexer(leg.index), column])
        for column, (name, leg) in enumerate(legs.items())
    }
    return made, waited


def _rationed(
    needs: Floats, held: Floats, first: int, clock: pd.DatetimeIndex
) -> tuple[Floats, int]:
    """Shares of targets that can be had beside what waits, and the bars with less than all.

    Raises InputError where nothing waits.
    """
    allowed, waited = np.ones_like(needs), 0
    stands = held[first - 1] if first else np.zeros(needs.shape[1])
    for row in range(first, len(needs)):
        waits = np.isnan(needs[row])
        wanted = np.where(waits, stands, needs[row])
        if (total := wanted.sum()) > 1.0 + _NEARLY:
            if not (waits & (stands > 0.0)).any():
                raise InputError(
                    "target_exposure must not need more margin than there is equity: the sum of "
                    "|target| / leverage over the legs (of spot, of what is no collateral; of a "
                    "ladder, of its last rung) must be at most 1; at "
                    f"{clock[row]:%Y-%m-%d %H:%M} it is {total:g}; lower the "
                    "targets, or set higher leverages"
                )
            kept = np.minimum(wanted, stands)
            more = float((wanted - kept).sum())
            share = max(0.0, 1.0 - float(kept.sum())) / more if more > 0.0 else 0.0
            had = kept + (wanted - kept) * share
            allowed[row] = np.divide(had, wanted, out=np.ones_like(had), where=wanted > 0.0)
            wanted, waited = had, waited + 1
        stands = wanted
    return allowed, waited


def shared_by(
    how: Margin, legs: Mapping[str, LegInput], clock: pd.DatetimeIndex
) -> tuple[Shared, tuple[str, ...]]:
    """What counts as collateral and how the legs are liquidated, by date; and what to know of it.

    Raises DataError if the rules do not reach back to the first bar; InputError if what counts is
    no leg, or none of spot.
    """
    spot = [name for name, leg in legs.items() if leg.account.contract is None]
    if wrong := [name for name in how.counted or {} if name not in spot]:
        raise InputError(
            f"margin: counted must name legs of spot ({', '.join(spot) or 'none here'}); got "
            f"{wrong[0]}; a contract's gain counts by itself; leave it out"
        )
    counted: dict[str, Floats] = {}
    notes: list[str] = []
    for name, leg in legs.items():
        counted[name] = np.zeros(len(leg.index))
        if how.mode != "multi_asset" or leg.account.contract is not None:
            continue
        asset = name.partition("/")[0]
        if how.counted is not None:
            counted[name] += how.counted.get(name, 0.0)
        elif how.rules is not None and asset in how.rules.collateral:
            rows = how.rules.collateral[asset]
            shares, said = _by_date(how.rules, rows, leg.index, f"the collateral share of {asset}")
            counted[name], notes = np.array(shares), [*notes, *said]
        else:
            notes.append(f"{name}: the rules know no share of {asset} that counts as collateral")
    cuts = np.zeros((len(clock), len(Cut._fields)))
    if how.shared and how.rules is not None and how.liquidation == "venue":
        if how.rules.accounts:
            found, said = _by_date(how.rules, how.rules.accounts, clock, "liquidation rules")
            cuts, notes = np.array([_numbers(rule) for rule in found]), [*notes, *said]
        else:
            notes.append(
                f"{how.rules.venue}: how a cross account is liquidated is not known; all positions "
                "at once"
            )
    return Shared(how.shared, counted, cuts), tuple(notes)


def _by_date(
    rules: Rulebook, rows: Sequence[Dated[T]], index: pd.DatetimeIndex, what: str
) -> tuple[list[T], tuple[str, ...]]:
    """The rule of each bar."""
    days, place = np.unique(index.floor("D").asi8, return_inverse=True)
    dates = [pd.Timestamp(int(day), tz="UTC").date() for day in days]
    found, notes = rules.dated(rows, dates, what)
    return [found[row] for row in place.tolist()], notes


def _numbers(rule: AccountRule) -> Cut:
    kinds = ("whole", "tier", "share")
    by_margin = float(rule.first == "largest_margin")
    return Cut(float(kinds.index(rule.cut)), rule.size, rule.above, by_margin)
