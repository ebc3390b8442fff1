"""What each venue serves, how much at a time and how fast: a table, not code.

The figures are the venues' own, read from their documentation through ccxt 4.5; a venue that is
not listed has its page size, its starts and its ends probed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import pandas as pd

__all__ = ["VENUES", "Series", "Venue", "venue_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """How one kind is served."""

    rows: int  # most rows in one answer
    kept: int | None = None  # only so many of the newest rows are served; None for all
    reach: pd.Timedelta | None = None  # how far back history goes; None where to the listing
    # whether a window wider than an answer is answered with some of its rows, instead of being
    # refused or cut
    wide: bool = True
    # usual distance of rows that do not lie on the timeframe's grid; None for those that do
    spacing: str | None = None
    until: bool = True  # whether the end of a window can be told
    note: str = ""  # what a user must be told where history is short


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """One venue."""

    series: Mapping[str, Series]  # from kind to how it is served
    # permitted weight, in ccxt's units of cost, per window of time; None as ccxt says
    weight: float | None = None
    seconds: float = 1.0
    # ccxt options that keep it from asking for what is not needed
    options: Mapping[str, object] = field(default_factory=dict)
    probed: bool = False  # whether the figures are guesses, to be probed
    # weight of a call with this text in its body, or in its address if it has no body, where ccxt
    # counts another; the first that fits
    weights: Mapping[str, float] = field(default_factory=dict)
    dollars: bool = False  # whether the volume of inverse contracts comes in dollars, not in coins


def _bars(rows: int, *kinds: str, wide: bool = True) -> dict[str, Series]:
    return {kind: Series(rows=rows, wide=wide) for kind in kinds}


_MONTH = pd.Timedelta(days=30)
_FUNDING = Series(rows=1000, spacing="8h")
_DERIVED = ("mark", "index", "premium")

# 499 rows weigh 2 at Binance's futures and 1000 weigh 5: the most rows per unit of weight.
_BINANCE_STATISTICS = Series(
    rows=499, reach=_MONTH - pd.Timedelta(hours=1), note="only the last 30 days are served"
)
_BINANCEUSDM = Venue(
    series=_bars(499, "ohlcv", *_DERIVED)
    | {
        "funding": _FUNDING,
        "open_interest": _BINANCE_STATISTICS,
        "long_short_ratio": _BINANCE_STATISTICS,
    },
    weight=2400,
    seconds=60.0,
)
_OKX_STATISTICS = Series(
    rows=100, kept=1439, wide=False, note="only the newest 1440 readings are served"
)
_GATE_BARS = Series(rows=999, kept=9990, wide=False, note="only the newest 10,000 bars are served")
_GATE_STATISTICS = Series(rows=100, wide=False, until=False)
# 20, and one more for every 20 rates or 60 bars in the answer.
_HYPERLIQUID = {"exchangeStatus": 2, "fundingHistory": 45, "candleSnapshot": 104, "type": 20}
_GENERIC = Venue(
    series=_bars(500, "ohlcv", *_DERIVED, wide=False)
    | {
        "funding": Series(rows=100, spacing="8h", wide=False),
        "open_interest": Series(rows=100, wide=False),
        "long_short_ratio": Series(rows=100, wide=False),
    },
    probed=True,
)

VENUES: Mapping[str, Venue] = MappingProxyType(
    {
        "binance": Venue(
            series=_bars(1000, "ohlcv"),
            weight=1200,  # ccxt counts 0.4 where Binance counts 2 of 6000
            seconds=60.0,
            options={"fetchMarkets": {"types": ["spot"]}},
        ),
        "binanceusdm": _BINANCEUSDM,
        "bybit": Venue(
            series=_bars(1000, "ohlcv", *_DERIVED)
            | {
                "funding": Series(rows=200, spacing="8h"),
                "open_interest": Series(rows=200),
                "long_short_ratio": Series(rows=500),
            },
            weight=3000,  # 600 calls, ccxt counts 5 each
            seconds=5.0,
            options={"fetchMarkets": {"types": ["spot", "linear", "inverse"]}},
        ),
        "okx": Venue(
            series=_bars(300, "ohlcv")
            | _bars(100, "mark", "index")
            | {
                "funding": Series(
                    rows=400,
                    spacing="8h",
                    reach=pd.Timedelta(days=90) - pd.Timedelta(hours=1),
                    note="only the last 90 days are served",
                ),
                "open_interest": _OKX_STATISTICS,
                "long_short_ratio": _OKX_STATISTICS,
            },
            weight=20,
            seconds=2.0,
            options={"fetchMarkets": {"types": ["spot", "swap"]}},
        ),
        "deribit": Venue(
            series=_bars(5000, "ohlcv")
            | {
                "funding": Series(rows=744, spacing="1h"),
                "dvol": Series(rows=1000),
                "liquidations": Series(rows=1000, spacing="8h"),
            },
            weight=100,
            seconds=5.0,
        ),
        "kraken": Venue(
            series={
                "ohlcv": Series(
                    rows=720,
                    kept=720,
                    until=False,
                    note="only the newest 720 bars are served; for more import its archive files",
                )
            },
            weight=15,
            seconds=15.0,
        ),
        "krakenfutures": Venue(
            series={
                **dict.fromkeys(("ohlcv", "mark", "index"), Series(rows=2000, wide=False)),
                "funding": Series(rows=1_000_000, spacing="1h", wide=False, until=False),
            },
            dollars=True,
        ),
        "bitstamp": Venue(series=_bars(1000, "ohlcv", wide=False)),
        "coinbase": Venue(series=_bars(300, "ohlcv", wide=False)),
        "gate": Venue(
            series={
                **dict.fromkeys(("ohlcv", "mark", "index"), _GATE_BARS),
                "funding": Series(rows=1000, spacing="8h", wide=False),
                "open_interest": _GATE_STATISTICS,
                "liquidations": _GATE_STATISTICS,
            },
            dollars=True,
            options={"fetchMarkets": {"types": ["spot", "swap"]}},
        ),
        "hyperliquid": Venue(
            series={
                "ohlcv": Series(rows=5000, kept=5000, note="only the newest 5000 bars are served"),
                "funding": Series(rows=500, spacing="1h", wide=False),
            },
            weight=1200,
            seconds=60.0,
            options={"fetchMarkets": {"types": ["spot", "swap"]}},
            weights=MappingProxyType(_HYPERLIQUID),
        ),
    }
)
"""The venues whose ways are known."""


def venue_of(name: str) -> Venue:
    """How a venue serves its history."""
    return VENUES.get(name, _GENERIC)
