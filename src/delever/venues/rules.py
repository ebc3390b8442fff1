"""Rules: what a venue charges and requires of a contract, and since when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, TypeVar

from delever.errors import DataError, InputError
from delever.venues.brackets import Bracket
from delever.venues.contract import PerpContract, kind_of
from delever.venues.margin_formulas import MarginFormula, MarginTable

EVERY_SYMBOL = "*"
"""Stands in a rulebook for every symbol it does not name."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """What a venue charges, as fractions of notional.

    Attributes
    ----------
    maker, taker, liquidation : float
        Of a resting order (a rebate if < 0), of a crossing one, and of a liquidated position on
        top of what its closing costs.
    """

    maker: float
    taker: float
    liquidation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated(Generic[T]):
    """A rule and the day it is known to be in force from.

    Attributes
    ----------
    valid_from, as_of : datetime.date
        UTC: first day of the rule, which holds until the next one of its kind; day of the source.
    rule : Fees, MarginTable, AccountRule or float
    source : str
    known_at : datetime.datetime or None
        UTC, of a table that a venue was seen to have: the moment it was seen; None of a rule that
        is dated by what was published about it.
    """

    valid_from: dt.date
    rule: T
    source: str
    as_of: dt.date
    known_at: dt.datetime | None = None

    @property
    def order(self) -> tuple[dt.date, dt.datetime, bool]:
        """Rises with time; of two rules that begin on one day the greater one holds."""
        begin = dt.datetime.combine(self.valid_from, dt.time(), dt.UTC)
        return self.valid_from, self.known_at or begin, self.known_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What holds for one symbol on one day at the venue of a rulebook.

    Attributes
    ----------
    valid_from : datetime.date
        First day of these rules; the day asked for where older rules were assumed backwards.
    formula, brackets
        How maintenance margin is computed, from brackets in rising order of caps.
    funding_hours : tuple of int
        Funding intervals the venue uses for the contract.
    notes : tuple of str
        What a reader of the result must know, such as rules used before their first day.
    """

    venue: str
    valid_from: dt.date
    contract: PerpContract
    formula: MarginFormula
    brackets: tuple[Bracket, ...]
    fees: Fees
    funding_hours: tuple[int, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A contract of a rulebook with its dated rules."""

    contract: PerpContract
    funding_hours: tuple[int, ...]
    fees: tuple[Dated[Fees], ...]
    margin: tuple[Dated[MarginTable], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRule:
    """How a venue liquidates an account whose positions stand behind each other.

    Attributes
    ----------
    cut : {"whole", "tier", "share"}
        Everything at once, and the margin balance is lost; or one position after the other until
        the margin balance is above the maintenance margin again, and what is left stays: down by
        so many brackets, or by a share of the position first and then whole.
    size : float
        How many brackets, or what share.
    above : float
        Notional up to which a position goes whole.
    first : {"largest_loss", "largest_margin"}
        Which position goes first: by its unrealised profit, or by its maintenance margin.
    """

    cut: Literal["whole", "tier", "share"] = "whole"
    size: float = 0.0
    above: float = 0.0
    first: Literal["largest_loss", "largest_margin"] = "largest_loss"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulebook:
    """A venue's rules by symbol and date.

    Attributes
    ----------
    venue, path, sha256 : str
        Such as ``"binanceusdm"``; name and hash of the file it was read from, with brackets seen
        later the hash of both files' bytes.
    assume_before : bool
        Whether the earliest rules may be used for days before them.
    valid_days : int or None
        For how long after the day of its source a rule is taken to hold without being named; None
        says nothing.
    listings : mapping of str to Listing
        By symbol.
    accounts : tuple of Dated of AccountRule
        How cross accounts are liquidated; empty where the venue's way is not known.
    collateral : mapping of str to tuple of Dated of float
        Share of the value of an asset that counts as margin, by asset.
    """

    venue: str
    path: str
    sha256: str
    assume_before: bool
    listings: Mapping[str, Listing]
    accounts: tuple[Dated[AccountRule], ...] = ()
    collateral: Mapping[str, tuple[Dated[float], ...]] = field(default_factory=dict)
    valid_days: int | None = None

    def at(self, date: dt.date, symbol: str) -> Rules:
        """Rules of a symbol on a day.

        Parameters
        ----------
        date : datetime.date or datetime.datetime
            A day in UTC; of a datetime, the day it falls on in UTC.
        symbol : str
            As ccxt writes it.

        Raises
        ------
        InputError
            If the rulebook does not list the symbol.
        DataError
            If the day is before the first rules and the rulebook does not let them be assumed.
        """
        day = _day(date)
        listing = self._listing(symbol)
        fees, early_fees = self._in_force(listing.fees, day, "fees", symbol)
        margin, early_margin = self._in_force(listing.margin, day, "brackets", symbol)
        contract = listing.contract
        if contract.symbol == EVERY_SYMBOL:
            contract = PerpContract(symbol=symbol, kind=kind_of(symbol))
        starts = [dated.valid_from for dated in (fees, margin) if dated.valid_from <= day]
        return Rules(
            venue=self.venue,
            valid_from=max(starts, default=day),
            contract=contract,
            formula=margin.rule.formula,
            brackets=margin.rule.brackets,
            fees=fees.rule,
            funding_hours=listing.funding_hours,
            notes=early_fees + early_margin,
        )

    def between(self, start: dt.date, end: dt.date, symbol: str) -> tuple[Rules, ...]:
        """Rules of a symbol over a span, one entry per change, in order of time.

        The first holds on `start`, each later one from its `valid_from`. What was used longer after
        the day of its source than the rulebook says it is valid is among the notes.

        Parameters
        ----------
        start, end, symbol
            As in `at`; first and last day.

        Raises
        ------
        InputError, DataError
            As `at`.
        """
        first, last = _day(start), _day(end)
        listing = self._listing(symbol)
        changes = {fees.valid_from for fees in listing.fees}
        changes |= {margin.valid_from for margin in listing.margin}
        days = [first, *sorted(day for day in changes if first < day <= last)]
        begun, *later = (self.at(day, symbol) for day in days)
        old = (*self._old(listing.fees, first, last, "fees", symbol),
               *self._old(listing.margin, first, last, "brackets", symbol))  # fmt: skip
        return replace(begun, notes=begun.notes + old), *later

    def _old(
        self, dated: Sequence[Dated[T]], first: dt.date, last: dt.date, what: str, symbol: str
    ) -> Iterator[str]:
        """Rules that a span uses longer after their source than they are said to be valid."""
        if self.valid_days is None:
            return
        ends = [each.valid_from - dt.timedelta(days=1) for each in dated[1:]]
        for each, end in zip(dated, [*ends, last], strict=True):
            used, until = max(each.valid_from, first), min(end, last)
            known = max(each.as_of, each.valid_from)
            if used <= until and (until - known).days > self.valid_days:
                yield (
                    f"{self.venue}: {what} of {symbol} known on {known} were used until {until}; "
                    f"after {self.valid_days} days the venue may have had others, which its "
                    "rulebook does not know"
                )

    def dated(
        self, rows: Sequence[Dated[T]], days: Sequence[dt.date], what: str
    ) -> tuple[list[T], tuple[str, ...]]:
        """Of a table of the whole venue, the rule on each day, and what a reader must know.

        Parameters
        ----------
        rows : sequence of Dated
            `accounts`, or an asset's row of `collateral`.
        days : sequence of datetime.date
        what : str
            For the message.

        Raises
        ------
        DataError
            If a day is before the first row and the rulebook does not let it be assumed.
        """
        found = [self._in_force(rows, day, what, "accounts") for day in days]
        notes = tuple(dict.fromkeys(note for _, said in found[:1] for note in said))
        return [entry.rule for entry, _ in found], notes

    def _listing(self, symbol: str) -> Listing:
        found = self.listings.get(symbol) or self.listings.get(EVERY_SYMBOL)
        if found is None:
            raise InputError(
                f"{self.path}: the symbol must be one of {', '.join(self.listings)}; got "
                f"{symbol!r}; add the contract with its fees and brackets, or use generic.toml"
            )
        return found

    def _in_force(
        self, dated: Sequence[Dated[T]], day: dt.date, what: str, symbol: str
    ) -> tuple[Dated[T], tuple[str, ...]]:
        for entry in reversed(dated):
            if entry.valid_from <= day:
                return entry, ()
        first = dated[0]
        if not self.assume_before:
            raise DataError(
                f"{self.path}: {what} missing for the date: {symbol} has none on {day} and its "
                f"first are of {first.valid_from}; start the run later, add a sourced row, or set "
                "assume_before = true"
            )
        note = f"{self.venue}: {what} of {symbol} from {first.valid_from} were used from {day} on"
        return first, (note,)


def first_day(known_at: dt.datetime) -> dt.date:
    """First day, in UTC, on which what became known at a moment with a zone was known all day.

    Examples
    --------
    >>> first_day(dt.datetime(2026, 11, 22, 8, 12, tzinfo=dt.UTC))
    datetime.date(2026, 11, 23)
    """
    moment = known_at.astimezone(dt.UTC)
    begun = moment.time() > dt.time()
    return moment.date() + dt.timedelta(days=int(begun))


def _day(date: dt.date) -> dt.date:
    if isinstance(date, dt.datetime):
        return (date.astimezone(dt.UTC) if date.tzinfo else date).date()
    return date
