"""Leverage brackets in a file that was saved, for venues that give them to keys alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from delever.data.exchange.fetch_brackets import Brackets, cells_of
from delever.data.user_file import content, name_of
from delever.errors import SchemaError

__all__ = ["read_brackets"]


def read_brackets(
    path: Path, venue: str, known_at: pd.Timestamp, as_of: pd.Timestamp
) -> list[Brackets]:
    """Read a table that was saved: Binance's answer of leverageBracket, or ccxt's of tiers.

    Raises
    ------
    NotStoredError
        If there is no such file.
    SchemaError
        If it cannot be read, is no JSON or holds something else; the message names the contract
        and the row.
    """
    data = content(path)
    try:
        document = json.loads(data, parse_constant=_refused)
    except ValueError as error:
        raise SchemaError(f"{path} must be whole JSON; {error}; save it again") from None
    digest = hashlib.sha256(data).hexdigest()
    found = []
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
            return [_binance(entry, path) for entry in entries]
        symbols = {entry.get("symbol") for entry in entries}
        if "maxNotional" in entries[0] and len(symbols) == 1:  # fetch_market_leverage_tiers
            return [(str(symbols.pop()), entries)]
    raise SchemaError(
        f"{path} must hold the answer of Binance's leverageBracket or of ccxt's "
        "fetch_leverage_tiers; it holds something else; save one of them"
    )


def _binance(entry: Mapping[str, Any], path: Path) -> tuple[str, Sequence[Any]]:
    symbol = str(entry.get("symbol"))
    if str(entry.get("notionalCoef", "1")) not in ("1", "1.0"):
        raise SchemaError(
            f"{path}: the brackets of {symbol} are multiplied by {entry['notionalCoef']} for one "
            "account (notionalCoef); save those of an account without it"
        )
    words = {
        "minNotional": "notionalFloor",
        "maxNotional": "notionalCap",
        "maintenanceMarginRate": "maintMarginRatio",
        "maxLeverage": "initialLeverage",
    }
    return symbol, [
        {ours: row.get(theirs) for ours, theirs in words.items()} | {"info": row}
        if isinstance(row, dict)
        else None
        for row in entry["brackets"]
    ]


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")
