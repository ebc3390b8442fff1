"""Readings by every name they are stored under: kind, symbol and columns.

A vendor, `delever data fetch` and a file of one's own call one thing differently. Here stands once
what is the same, for the state, claims, studies and the list of what is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import pandas as pd

from delever.data.catalog import Entry
from delever.data.references import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownReading:
    """A reading: what it is stored under, and the columns that features and claims ask for."""

    name: str  # in `MarketView.readings`
    kind: str = ""  # of which any data set of the market's own coin is one
    symbols: tuple[str, ...] = ()  # of a plain series or of other markets' bars, in lower case
    # By the name asked for, those it is stored under, the best first. A reading of one column may
    # be stored under any name, if it is the only one.
    columns: Mapping[str, tuple[str, ...]]


def _priced(name: str, *symbols: str) -> KnownReading:
    return KnownReading(
        name=name, symbols=symbols, columns={"close": (name, *symbols, "value", "price")}
    )


KNOWN: Final[Mapping[str, KnownReading]] = {
    one.name: one
    for one in (
        KnownReading(
            name="funding",
            kind="funding",
            symbols=("funding", "funding_rate"),
            columns={"funding_rate": ("last_funding_rate", "rate", "funding")},
        ),
        KnownReading(
            name="open_interest",
            kind="open_interest",
            symbols=("open_interest",),
            columns={
                "open_interest_notional": (
                    "open_interest_usd",
                    "sum_open_interest_value",
                    "open_interest_value",
                    "open_interest",
                )
            },
        ),
        KnownReading(
            name="liquidations",
            kind="liquidations",
            symbols=("liquidations",),
            columns={
                "long_liq_usd": ("long_liquidations", "longs", "long"),
                "short_liq_usd": ("short_liquidations", "shorts", "short"),
            },
        ),
        KnownReading(
            name="long_short_ratio",
            kind="long_short_ratio",
            symbols=("long_short_ratio",),
            columns={"long_short_ratio": ("count_long_short_ratio", "ratio")},
        ),
        KnownReading(
            name="dvol", kind="dvol", symbols=("dvol",), columns={"close": ("dvol", "volatility")}
        ),
        KnownReading(
            name="fear_greed",
            symbols=("fear_greed", "fng", "fear_and_greed", "fear_greed_index"),
            columns={"fear_greed": ("fng", "value")},
        ),
        _priced("vix", "vix", "vixcls"),
        _priced("igv", "igv"),
        _priced("qqq", "qqq", "ndx"),
        _priced("gold", "gold", "gld", "xau", "xau/usd"),
        KnownReading(
            name="etf_flows",
            symbols=("etf_flows", "etf_flow"),
            columns={"total_usd_m": ("total", "net_flow", "flow")},
        ),
        KnownReading(
            name="difficulty",
            symbols=("difficulty",),
            columns={"difficulty": ("mining_difficulty", "value")},
        ),
        KnownReading(
            name="realised_price",
            symbols=("realised_price", "realized_price"),
            columns={"realised_price": ("realized_price", "value")},
        ),
    )
}
"""Every reading of which more than one name is known."""


def known_as(reference: Reference) -> KnownReading | None:
    """The reading that a data set serves as, by its kind or its symbol; None for any other."""
    plain = reference.symbol.lower()
    for one in KNOWN.values():
        own = reference.kind == one.kind
        named = reference.kind in ("series", "ohlcv", one.name) and plain in one.symbols
        if own or named:
            return one
    return None


def fitted(frame: pd.DataFrame, known: KnownReading | None) -> tuple[pd.DataFrame, str]:
    """A frame with the columns that are asked for beside its own, and the one that is meant."""
    if known is None:
        return frame, ""
    for asked, others in known.columns.items():
        there = [name for name in others if name in frame and frame[name].notna().any()]
        if asked in frame and frame[asked].notna().any():
            continue
        if not there and len(known.columns) == len(frame.columns) == 1:
            there = [str(frame.columns[0])]
        if there:
            frame = frame.assign(**{asked: frame[there[0]]})
    (meant, *more) = known.columns
    return frame, meant if not more and meant in frame else ""


def find_series(entries: Iterable[Entry], symbol: str) -> dict[str, str]:
    """Which stored data sets can serve as which reading of a market; of several the latest.

    One of a kind that belongs to a coin serves the markets of that coin.
    """
    base = symbol.partition("/")[0]
    found: dict[str, Entry] = {}
    for entry in entries:
        known = known_as(entry.reference)
        if known is None:
            continue
        coin = entry.reference.symbol.partition("/")[0]
        if entry.reference.kind == known.kind and known.kind != "dvol" and coin != base:
            continue
        if known.name not in found or found[known.name].end < entry.end:
            found[known.name] = entry
    return {name: str(entry.reference) for name, entry in found.items()}


_SAME_VENUE: Final = (frozenset({"binance", "binanceusdm", "binancecoinm"}),)
"""Names of one venue in ccxt: an exchange for spot and one for futures."""


def instead_of(wanted: str, entries: Iterable[Entry]) -> str | None:
    """What is stored of the same thing under another name, the one that reaches furthest.

    An index that anybody may publish is the same from any venue. Funding, positions and
    liquidations are a venue's own, as bars are: they come from the same one by another name.
    """
    asked = Reference.parse(wanted)
    known = known_as(asked)
    same = next((group for group in _SAME_VENUE if asked.venue in group), {asked.venue})
    anywhere = known is not None and known.kind in ("", "dvol")

    def serves(there: Reference) -> bool:
        if there.timeframe != asked.timeframe:
            return False
        if anywhere:
            return known_as(there) == known
        return (there.kind, there.symbol) == (asked.kind, asked.symbol) and there.venue in same

    found = [entry for entry in entries if serves(entry.reference)]
    return str(max(found, key=lambda entry: entry.end).reference) if found else None
