"""Leverage brackets: those a venue has now, asked for without a key, and those in a saved file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pandas as pd

from delever.data.exchange.client import Client
from delever.data.exchange.quirks import AMOUNT_KEYS, NUMBER_KEYS, saved_brackets
from delever.data.files import content, name_of
from delever.errors import InputError, SchemaError, VenueError

Cells = tuple[tuple[float, ...], ...]
"""Rows of cap, maintenance margin rate, maximum leverage, and the published amount if any."""

_ASKS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Brackets:
    """One contract's table, as it was at one moment."""

    venue: str  # ccxt's id
    symbol: str  # as ccxt writes it; in a file that was saved it may be the venue's own spelling
    known_at: pd.Timestamp  # UTC; the table was known from then on
    as_of: pd.Timestamp  # UTC, at or before `known_at`: the day the table is of
    # cap, rate, leverage and, where the venue publishes it, amount, in rising order of caps
    cells: Cells
    # whether caps are sizes (base units of a linear contract) instead of notionals in the
    # settlement currency
    by_size: bool
    source: str  # who says so
    # the contract as the venue lists it, where it says: the keys of a rulebook's ``contracts`` that
    # are facts of the venue (kind, contract_size, tick, lot, min_notional)
    contract: Mapping[str, str | float] | None = None


def contract_facts(market: Mapping[str, Any]) -> dict[str, str | float]:
    """What ccxt's market says of a contract; lots in units of a position, 0 for what is not said.

    Raises SchemaError if its kind, its size or a step is not said, or is no number above 0.

    Examples
    --------
    >>> contract_facts({"linear": True, "contractSize": 0.01, "limits": {"cost": {"min": 5}},
    ...                 "precision": {"price": 0.1, "amount": 1}})["lot"]
    0.01
    """
    linear = market.get("linear")
    if linear is None:
        raise SchemaError(f"the market of {market.get('symbol')} says no linear or inverse")
    steps = market.get("precision") or {}
    size, tick, amount = (
        _number(value, f"the market of {market.get('symbol')} has {what}")
        for what, value in (
            ("contractSize", market.get("contractSize")),
            ("precision.price", steps.get("price")),
            ("precision.amount", steps.get("amount")),
        )
    )
    if not min(size, tick, amount) > 0:
        raise SchemaError(
            f"the market of {market.get('symbol')} must have steps above 0; got contractSize "
            f"{size:f}, price {tick:f} and amount {amount:f}"
        )
    least = ((market.get("limits") or {}).get("cost") or {}).get("min")
    return {
        "kind": "linear" if linear else "inverse",
        "contract_size": float(size),
        "tick": float(tick),
        "lot": float(size * amount),
        # Of an inverse contract it is said in quote units, and a rulebook counts it in coins.
        "min_notional": float(_number(least, "limits.cost.min")) if linear and least else 0.0,
    }


def fetch_brackets(client: Client, symbol: str) -> Brackets:
    """Ask a venue for the brackets it has now.

    Raises InputError if the venue lists no such contract; VenueError if it gives brackets only to a
    key, or none, or in a unit that is not known here, or its answer cannot be read three times
    over.
    """
    import ccxt

    market = client.market(symbol)
    if not market.get("contract"):
        raise InputError(
            f"brackets belong to contracts; {symbol} at {client.name} is {market.get('type')}; "
            "name a perpetual such as BTC/USDT:USDT"
        )
    way = client.venue.brackets
    if way is None:
        raise _unasked(client, symbol)
    unit = Decimal(str(market["contractSize"])) if way.by_size else Decimal(1)
    trouble = ""
    for _ in range(_ASKS):
        with client.exchange() as exchange:
            if way.ask is not None:
                tiers = way.ask(exchange, market)
            else:
                tiers = exchange.fetch_market_leverage_tiers(market["symbol"], dict(way.params))
        try:
            cells = cells_of(tiers, unit=unit)
        except SchemaError as error:
            trouble = str(error)
            continue
        now = pd.Timestamp(client.now(), unit="ms", tz="UTC").floor("s").as_unit("ns")
        return Brackets(
            venue=client.name,
            symbol=symbol,
            known_at=now,
            as_of=now,
            cells=cells,
            by_size=way.by_size,
            contract=contract_facts(market),
            source=f"{way.answer} of {client.name} through ccxt {ccxt.__version__}",
        )
    raise VenueError(
        f"the brackets of {symbol} at {client.name} must be a whole table; asked {_ASKS} times, "
        f"{trouble}; nothing was stored; try again later"
    )


def _unasked(client: Client, symbol: str) -> VenueError:
    """Why a venue's brackets cannot be fetched, and what can be done instead."""
    import ccxt

    mend = (
        "save its table and run: delever data import-brackets "
        f"{client.name} FILE --as-of YYYY-MM-DD"
    )
    with client.exchange() as exchange:
        has = exchange.has
        if not (has.get("fetchLeverageTiers") or has.get("fetchMarketLeverageTiers")):
            return VenueError(f"{client.name} publishes no leverage brackets through ccxt; {mend}")
        try:
            exchange.fetch_market_leverage_tiers(symbol)
        except ccxt.AuthenticationError:
            return VenueError(
                f"{client.name} gives its leverage brackets to holders of a key alone, and delever "
                f"uses none; {mend}"
            )
    return VenueError(
        f"in which unit {client.name} counts its leverage brackets is not known here; {mend}, with "
        "caps as notionals"
    )


def cells_of(tiers: Sequence[Any], *, unit: Decimal = Decimal(1)) -> Cells:
    """Rows of a table in ccxt's words, each beginning where the one before it ends.

    Raises SchemaError if there are no rows, one is not whole, or one is missing or given twice.
    """
    if not tiers:
        raise SchemaError("it has no rows")
    floor, rows = Decimal(0), []
    for number, tier in enumerate(tiers, start=1):
        said = {} if not isinstance(tier, dict) else tier
        info = said.get("info")
        info = info if isinstance(info, dict) else {}
        for name in NUMBER_KEYS:
            if name in info and str(info[name]) != str(number):
                raise SchemaError(f"row {number} is numbered {info[name]}")
        low, cap, rate, leverage = (
            _number(said.get(name), f"row {number} has {name}")
            for name in ("minNotional", "maxNotional", "maintenanceMarginRate", "maxLeverage")
        )
        # A table of contracts may begin each row one contract after the last.
        if not 0 <= low - floor <= (1 if unit != 1 else 0):
            raise SchemaError(
                f"row {number} begins at {low:f} and the one before ends at {floor:f}"
            )
        amount = _amount(info, number)
        rows.append(tuple(float(x) for x in (cap * unit, rate, leverage, *amount)))
        floor = cap
    return tuple(rows)


def _amount(info: Mapping[str, Any], number: int) -> tuple[Decimal, ...]:
    for name in AMOUNT_KEYS:
        if info.get(name) not in (None, ""):
            return (_number(info[name], f"row {number} has {name}"),)
    return ()


def _number(value: object, what: str) -> Decimal:
    try:
        number = Decimal(str(value)) if not isinstance(value, bool) else Decimal("nan")
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        raise SchemaError(f"{what} {value!r}, which is no number")
    return number


def read_brackets(
    path: Path, venue: str, known_at: pd.Timestamp, as_of: pd.Timestamp
) -> list[Brackets]:
    """Read a table that was saved: Binance's answer of leverageBracket, or ccxt's of tiers.

    With ccxt's market beside the tiers, as ``{"market": …, "tiers": […]}``, it brings the contract.

    Raises NotStoredError if there is no such file; SchemaError if it cannot be read, is no JSON or
    holds something else; the message names the contract and the row.
    """
    data, digest = content(path)
    try:
        document = json.loads(data, parse_constant=_refused)
    except ValueError as error:
        raise SchemaError(f"{path} must be whole JSON; {error}; save it again") from None
    found, contract = [], None
    if isinstance(document, dict) and document.keys() == {"market", "tiers"}:
        try:
            contract = contract_facts(document["market"])
        except (SchemaError, AttributeError) as error:
            raise SchemaError(f"{path}: {error}; nothing was stored") from None
        document = {str(document["market"].get("symbol")): document["tiers"]}
    for symbol, tiers in _tables(document, path):
        try:
            cells = cells_of(tiers)
        except SchemaError as error:
            raise SchemaError(f"{path}: {symbol}: {error}; nothing was stored") from None
        found.append(
            Brackets(
                venue=venue,
                symbol=symbol,
                known_at=known_at,
                as_of=as_of,
                cells=cells,
                by_size=False,
                contract=contract,
                source=f"{name_of(path)}, sha256 {digest}",
            )
        )
    return found


def _tables(document: Any, path: Path) -> list[tuple[str, Sequence[Any]]]:
    """Tables by symbol, in ccxt's words."""
    entries = [document] if isinstance(document, dict) and "brackets" in document else document
    if isinstance(entries, dict) and entries:  # fetch_leverage_tiers
        if all(isinstance(tiers, list) for tiers in entries.values()):
            return list(entries.items())
    elif isinstance(entries, list) and entries and all(isinstance(e, dict) for e in entries):
        if all(isinstance(entry.get("brackets"), list) for entry in entries):
            return [_saved(entry, path) for entry in entries]
        symbols = {entry.get("symbol") for entry in entries}
        if "maxNotional" in entries[0] and len(symbols) == 1:  # fetch_market_leverage_tiers
            return [(str(symbols.pop()), entries)]
    raise SchemaError(
        f"{path} must hold the answer of Binance's leverageBracket or of ccxt's "
        "fetch_leverage_tiers; it holds something else; save one of them"
    )


def _saved(entry: Mapping[str, Any], path: Path) -> tuple[str, Sequence[Any]]:
    try:
        return saved_brackets(entry)
    except SchemaError as error:
        raise SchemaError(f"{path}: {error}") from None


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")
