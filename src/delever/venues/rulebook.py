"""Reading rulebooks from ``data/venues``, strictly."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from delever.errors import ConfigError, InputError
from delever.toml_file import parse_toml
from delever.venues.contract import PerpContract
from delever.venues.costs import DEAREST_FEE
from delever.venues.margin_formulas import MarginTable, margin_table
from delever.venues.rules import AccountRule, Dated, Fees, Listing, Rulebook, first_day

T = TypeVar("T")


def load_rulebook(path: str | Path, *, seen: str | Path | None = None) -> Rulebook:
    """Read a rulebook from a TOML file.

    Parameters
    ----------
    path : str or pathlib.Path
        Such as ``data/venues/binanceusdm.toml``.
    seen : str or pathlib.Path, optional
        A file of brackets the venue was seen to have, each known from a moment on, such as
        ``data/venues/brackets/binanceusdm.toml``; they count from the first day on which they were
        known all day. Contracts that it lists and the rulebook does not take fees, funding
        intervals and formula of one that does. It may be missing, which is the same as empty.

    Raises
    ------
    ConfigError
        If the file is missing or no TOML, a key is unknown, missing or of the wrong type, a table
        of brackets is impossible, a published maintenance amount differs from the computed one,
        two rows begin on one day or were seen at one moment, or a contract has no fees or no
        brackets; the message names the file and the row.
    """
    where = Path(path)
    try:
        content = where.read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            f"{where}: the rulebook must be a file; there is none; correct the path or copy "
            "data/venues/generic.toml there"
        ) from None
    document = parse_toml(content, where)
    of_accounts: dict[str, Any] = {"accounts": [], "collateral": []}
    of_accounts |= {key: document.pop(key) for key in ("accounts", "collateral") if key in document}
    _keys(document, _TOP | ({"valid_days": int} if "valid_days" in document else {}), where,
          "the file")  # fmt: skip
    fees = [_fees(row, where, label) for label, row in _rows(document, "fees", _FEES, where)]
    margin = _margin(document, _MARGIN, where)
    later = Path(seen) if seen is not None else where
    more = later.read_bytes() if seen is not None and later.is_file() else b""
    sightings: list[_Named[MarginTable]] = []
    if further := parse_toml(more, later):
        parts: dict[str, type] = dict.fromkeys(_SIGHTINGS.intersection(further), list)
        _keys(further, parts or {"margin": list}, later, "the file")
        sightings = _margin(further, _SEEN, later) if "margin" in further else []
    listings: dict[str, Listing] = {}
    for label, row in _rows(document, "contracts", _CONTRACT, where):
        listing = _contract(row, fees, [*margin, *sightings], where, label)
        if listing.contract.symbol in listings:
            raise ConfigError(
                f"{where}: every contract must be listed once; {listing.contract.symbol!r} "
                "repeats; remove one of the two"
            )
        listings[listing.contract.symbol] = listing
    for label, row in _rows(further, "contracts", _LISTED, later) if further else ():
        listing = _seen_contract(row, listings, sightings, later, label)
        listings[listing.contract.symbol] = listing
    named = [symbol for symbols, _ in [*fees, *margin] for symbol in symbols]
    if unlisted := [symbol for symbol in named if symbol not in listings]:
        raise ConfigError(
            f"{where}: every symbol must be a listed contract; {unlisted[0]!r} is not; "
            "correct it or add the contract"
        )
    return Rulebook(
        venue=document["venue"],
        path=where.name,
        sha256=hashlib.sha256(content + more).hexdigest(),
        assume_before=document["assume_before"],
        valid_days=document.get("valid_days"),
        listings=listings,
        accounts=_accounts(of_accounts, where),
        collateral=_collateral(of_accounts, where),
    )


_TOP = {
    "venue": str,
    "title": str,
    "assume_before": bool,
    "contracts": list,
    "fees": list,
    "margin": list,
}
_DATED = {"symbols": list, "valid_from": dt.date, "source": str, "as_of": dt.date}
_FEES = _DATED | {"maker": float, "taker": float, "liquidation": float}
_TABLE = {"formula": str, "progressive": bool, "brackets": list}
_MARGIN = _DATED | _TABLE
_SEEN = {"symbols": list, "known_at": dt.datetime, "source": str, "as_of": dt.date} | _TABLE
_CONTRACT = {
    "symbol": str,
    "kind": str,
    "contract_size": float,
    "tick": float,
    "lot": float,
    "min_notional": float,
    "funding_hours": list,
    "source": str,
    "as_of": dt.date,
}
_SINCE = {"valid_from": dt.date, "source": str, "as_of": dt.date}
_ACCOUNTS = _SINCE | {"cut": str, "size": float, "above": float, "first": str}
_COLLATERAL = _SINCE | {"assets": list, "counted": float}
_SIGHTINGS = frozenset({"margin", "contracts"})
_LISTED = {name: kind for name, kind in _CONTRACT.items() if name != "funding_hours"} | {
    "like": str
}
_KINDS: Mapping[type, tuple[str, Callable[[Any], bool]]] = {
    str: ("a text that is not empty", lambda v: isinstance(v, str) and v != ""),
    bool: ("true or false", lambda v: isinstance(v, bool)),
    float: ("a number", lambda v: type(v) in (int, float) and v == v),
    int: ("a whole number of days, 1 or more", lambda v: type(v) is int and v >= 1),
    list: ("an array that is not empty", lambda v: isinstance(v, list) and v != []),
    dt.date: ("a date such as 2020-03-12", lambda v: type(v) is dt.date),
    dt.datetime: (
        "a moment with its zone such as 2020-03-12T08:00:00Z",
        lambda v: isinstance(v, dt.datetime) and v.tzinfo is not None,
    ),
}

_Named = tuple[tuple[str, ...], Dated[T]]


def _contract(
    row: Mapping[str, Any],
    fees: Sequence[_Named[Fees]],
    margin: Sequence[_Named[MarginTable]],
    where: Path,
    label: str,
) -> Listing:
    if not all(hours in (1, 2, 4, 8, 24) for hours in row["funding_hours"]):
        raise ConfigError(
            f"{where}: {label}: funding_hours must be among 1, 2, 4, 8 and 24; got "
            f"{row['funding_hours']}"
        )
    symbol = row["symbol"]
    try:
        contract = PerpContract(
            symbol=symbol,
            kind=row["kind"],
            contract_size=float(row["contract_size"]),
            tick=float(row["tick"]),
            lot=float(row["lot"]),
            min_notional=float(row["min_notional"]),
        )
    except InputError as error:
        raise ConfigError(f"{where}: {label}: {error}") from None
    return Listing(
        contract=contract,
        funding_hours=tuple(row["funding_hours"]),
        fees=_in_order(fees, symbol, "fees", where),
        margin=_in_order(margin, symbol, "brackets", where),
    )


def _seen_contract(
    row: Mapping[str, Any],
    listings: Mapping[str, Listing],
    sightings: Sequence[_Named[MarginTable]],
    where: Path,
    label: str,
) -> Listing:
    """A contract the venue was seen to list; of one that the rulebook has, its least order."""
    symbol, like = row["symbol"], listings.get(row["like"])
    if like is None:
        raise ConfigError(
            f"{where}: {label}: like must be a contract of the rulebook; got {row['like']!r}; "
            f"there are: {', '.join(listings)}"
        )
    there = listings.get(symbol)
    if there is not None:
        least = there.contract.min_notional or float(row["min_notional"])
        return replace(there, contract=replace(there.contract, min_notional=least))
    own = sorted((d for symbols, d in sightings if symbol in symbols), key=lambda d: d.order)
    if not own:
        raise ConfigError(f"{where}: {symbol} must have brackets; it has none; fetch them")
    row = {**row, "funding_hours": list(like.funding_hours)}
    fees = [((symbol,), each) for each in like.fees]
    margin = [((symbol,), each) for each in like.margin[:1]]
    made = _contract(row, fees, margin, where, label)
    return replace(made, margin=tuple(own))


def _fees(row: Mapping[str, Any], where: Path, label: str) -> _Named[Fees]:
    fees = Fees(
        maker=float(row["maker"]), taker=float(row["taker"]), liquidation=float(row["liquidation"])
    )
    most = DEAREST_FEE
    if not (abs(fees.maker) <= most and 0.0 <= fees.taker <= most and 0 <= fees.liquidation < 0.1):
        raise ConfigError(
            f"{where}: {label} must be fractions of notional, maker and taker at most {most:g}, "
            f"liquidation below 0.1; got maker {fees.maker:g}, taker {fees.taker:g}, liquidation "
            f"{fees.liquidation:g}; five basis points are 0.0005"
        )
    return _dated(row, fees)


def _margin(
    document: Mapping[str, Any], wanted: Mapping[str, type], where: Path
) -> list[_Named[MarginTable]]:
    found = []
    for label, row in _rows(document, "margin", wanted, where):
        try:
            table = margin_table(row["formula"], row["brackets"], progressive=row["progressive"])
        except InputError as error:
            raise ConfigError(f"{where}: {label}: {error}") from None
        found.append(_dated(row, table))
    return found


def _dated(row: Mapping[str, Any], rule: T) -> _Named[T]:
    known_at = row.get("known_at")
    dated = Dated(
        valid_from=row["valid_from"] if known_at is None else first_day(known_at),
        rule=rule,
        source=row["source"],
        as_of=row["as_of"],
        known_at=known_at,
    )
    return tuple(row["symbols"]), dated


def _accounts(document: Mapping[str, Any], where: Path) -> tuple[Dated[AccountRule], ...]:
    found = []
    for label, row in _rows(document, "accounts", _ACCOUNTS, where):
        rule = AccountRule(
            cut=row["cut"], size=float(row["size"]), above=float(row["above"]), first=row["first"]
        )
        sizes = {"whole": rule.size == 0.0, "tier": rule.size in (1.0, 2.0, 3.0),
                 "share": 0.0 < rule.size < 1.0}  # fmt: skip
        order = rule.first in ("largest_loss", "largest_margin")
        if not (sizes.get(rule.cut) and order and rule.above >= 0.0):
            raise ConfigError(
                f"{where}: {label} must cut 'whole' (size 0), by 'tier' (1 to 3 brackets) or by "
                f"'share' (a fraction), 'largest_loss' or 'largest_margin' first; got {rule.cut!r} "
                f"{rule.size:g} above {rule.above:g}, {rule.first!r} first; correct it"
            )
        found.append(((), _since(row, rule)))
    return _ordered(found, "accounts", where)


def _collateral(document: Mapping[str, Any], where: Path) -> dict[str, tuple[Dated[float], ...]]:
    found: list[_Named[float]] = []
    for label, row in _rows(document, "collateral", _COLLATERAL, where):
        counted = float(row["counted"])
        if not 0.0 <= counted <= 1.0:
            raise ConfigError(
                f"{where}: {label}: counted must be a share of the value from 0 to 1; got "
                f"{counted:g}; a haircut of five per cent is 0.95"
            )
        found.append((tuple(row["assets"]), _since(row, counted)))
    assets = dict.fromkeys(asset for named, _ in found for asset in named)
    return {
        asset: _ordered([one for one in found if asset in one[0]], f"collateral of {asset}", where)
        for asset in assets
    }


def _since(row: Mapping[str, Any], rule: T) -> Dated[T]:
    return Dated(valid_from=row["valid_from"], rule=rule, source=row["source"], as_of=row["as_of"])


def _in_order(
    named: Sequence[_Named[T]], symbol: str, what: str, where: Path
) -> tuple[Dated[T], ...]:
    own = [dated for symbols, dated in named if symbol in symbols]
    if not any(dated.known_at is None for dated in own):
        raise ConfigError(f"{where}: {symbol} must have {what}; it has none; add a dated row")
    return _ordered([((), dated) for dated in own], f"{what} of {symbol}", where)


def _ordered(named: Sequence[_Named[T]], what: str, where: Path) -> tuple[Dated[T], ...]:
    """Rules in order of time, refused where two begin on one day."""
    own = sorted((dated for _, dated in named), key=lambda dated: dated.order)
    for before, after in pairwise(own):
        if before.order == after.order:
            raise ConfigError(
                f"{where}: {what} must begin on different days; two begin on "
                f"{after.valid_from}; remove one of them"
            )
    return tuple(own)


def _rows(
    document: Mapping[str, Any], key: str, wanted: Mapping[str, type], where: Path
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, row in enumerate(document.get(key, ()), start=1):
        label = f"{'contract' if key == 'contracts' else key} number {number}"
        if not isinstance(row, dict):
            raise ConfigError(f"{where}: {label} must be a table; got {row!r}")
        if key == "contracts":
            row = {"min_notional": 0.0} | row
        _keys(row, wanted, where, label)
        yield label, row


def _keys(table: Mapping[str, Any], wanted: Mapping[str, type], where: Path, label: str) -> None:
    for key in table:
        if key not in wanted:
            raise ConfigError(
                f"{where}: {label} has the unknown key {key!r}; it must be one of "
                f"{', '.join(wanted)}; correct or remove it"
            )
    for key, kind in wanted.items():
        if key not in table:
            raise ConfigError(f"{where}: {label} must have {key}; it has none; add it")
        wording, fits = _KINDS[kind]
        if not fits(table[key]):
            raise ConfigError(
                f"{where}: {label}: {key} must be {wording}; got {table[key]!r}; correct it"
            )
