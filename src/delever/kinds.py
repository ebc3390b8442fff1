"""Every kind of data set: one row of one table, which all rooms read.

A new kind is a row of `KINDS`; who serves it is a row in `delever.data.exchange.quirks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from delever.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A condition every row must meet: `broken` marks the rows that do not."""

    required: str
    column: str
    broken: Callable[[pd.DataFrame], pd.Series]
    beside: tuple[str, ...] = ()  # other columns it reads, shown with an offending value


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveTable:
    """How Binance's archive of zips keeps a kind that is not klines."""

    word: str  # in a file's name, where klines have their timeframe
    stamp: str  # column of the stamps
    columns: Mapping[str, str]  # from theirs to ours
    counted: bool = False  # whether stamps count ms, instead of being written out


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a kind of data set looks like, and what others call it."""

    name: str  # its word on the command line and in the store
    index: str = "timestamp"  # name of the time index; ``open_time`` for bars
    columns: tuple[str, ...] = ()  # required, in order; empty when any numeric columns will do
    rules: tuple[Rule, ...] = ()  # conditions on each row, beyond being finite
    on_grid: bool = True  # whether stamps must be open times of the timeframe
    own_intervals: bool = False  # whether its stamps say themselves when the next is due
    snap: str | None = None  # unit that stamps are rounded to, where sources jitter
    of_price: bool = False  # whether its bars are prices of the coin
    known_at_stamp: bool = False  # by default a row is known one timeframe after its stamp
    usual_timeframe: str | None = "1d"  # where none is named; None for that of the venue's rows
    of_currency: bool = False  # whether its symbol is a coin, which no venue lists as a market
    ccxt: str = ""  # the unified method that serves it; empty where only a venue's own does
    # from our columns to the keys of ccxt's rows; ``coins`` is computed from its contracts. Bars
    # come as lists.
    cells: Mapping[str, str] = field(default_factory=dict)
    freqtrade: str = ""  # the word in the names of freqtrade's files; empty where it has none
    archive: ArchiveTable | None = None  # None for klines


def _positive(column: str) -> Rule:
    return Rule(required=f"{column} > 0", column=column, broken=lambda f: f[column] <= 0)


_PRICES = ("open", "high", "low", "close")
_POSITIVE = tuple(_positive(column) for column in _PRICES)
_ENVELOPE = (
    Rule(
        required="high >= max(open, close)",
        column="high",
        broken=lambda f: (f["high"] < f["open"]) | (f["high"] < f["close"]),
        beside=("open", "close"),
    ),
    Rule(
        required="low <= min(open, close)",
        column="low",
        broken=lambda f: (f["low"] > f["open"]) | (f["low"] > f["close"]),
        beside=("open", "close"),
    ),
)
_VOLUME = Rule(required="volume >= 0", column="volume", broken=lambda f: f["volume"] < 0)
_FRACTION = Rule(
    required="|funding_rate| < 1 (a fraction per interval, never percent)",
    column="funding_rate",
    broken=lambda f: f["funding_rate"].abs() >= 1,
)
_OPEN_INTEREST = {
    "sum_open_interest": "open_interest",
    "sum_open_interest_value": "open_interest_notional",
}
_RATIO = {"count_long_short_ratio": "long_short_ratio"}


def _metrics(columns: Mapping[str, str]) -> ArchiveTable:
    return ArchiveTable(word="metrics", stamp="create_time", columns=columns)


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind(
                name="ohlcv",
                of_price=True,
                index="open_time",
                columns=(*_PRICES, "volume"),
                rules=(*_POSITIVE, *_ENVELOPE, _VOLUME),
                ccxt="fetchOHLCV",
                freqtrade="futures",
            ),
            Kind(
                name="mark",
                of_price=True,
                index="open_time",
                columns=_PRICES,
                rules=(*_POSITIVE, *_ENVELOPE),
                ccxt="fetchMarkOHLCV",
                freqtrade="mark",
            ),
            Kind(
                name="index",
                of_price=True,
                index="open_time",
                columns=_PRICES,
                rules=(*_POSITIVE, *_ENVELOPE),
                ccxt="fetchIndexOHLCV",
                freqtrade="index",
            ),
            Kind(  # implied volatility of a year, percentage points
                name="dvol",
                index="open_time",
                columns=_PRICES,
                rules=(*_POSITIVE, *_ENVELOPE),
                of_currency=True,
            ),
            Kind(  # of the mark over the index, a fraction
                name="premium",
                index="open_time",
                columns=_PRICES,
                rules=_ENVELOPE,
                ccxt="fetchPremiumIndexOHLCV",
                freqtrade="premiumIndex",
            ),
            Kind(  # a fraction per interval, > 0: longs pay; stamped when paid
                name="funding",
                columns=("funding_rate",),
                rules=(_FRACTION,),
                on_grid=False,
                own_intervals=True,
                snap="s",
                known_at_stamp=True,
                usual_timeframe=None,
                ccxt="fetchFundingRateHistory",
                cells={"funding_rate": "fundingRate"},
                freqtrade="funding_rate",
                archive=ArchiveTable(
                    word="fundingRate",
                    stamp="calc_time",
                    columns={"last_funding_rate": "funding_rate"},
                    counted=True,
                ),
            ),
            Kind(  # base units, and quote units
                name="open_interest",
                usual_timeframe="1h",
                ccxt="fetchOpenInterestHistory",
                cells={"open_interest": "coins", "open_interest_notional": "openInterestValue"},
                archive=_metrics(_OPEN_INTEREST),
            ),
            Kind(  # long accounts per short one
                name="long_short_ratio",
                columns=("long_short_ratio",),
                rules=(_positive("long_short_ratio"),),
                usual_timeframe="1h",
                ccxt="fetchLongShortRatioHistory",
                cells={"long_short_ratio": "longShortRatio"},
                archive=_metrics(_RATIO),
            ),
            Kind(name="liquidations", on_grid=False),
            Kind(
                name="series",
                on_grid=False,
                usual_timeframe="1h",
                archive=_metrics(
                    {
                        **_OPEN_INTEREST,
                        "count_toptrader_long_short_ratio": "top_accounts_long_short_ratio",
                        "sum_toptrader_long_short_ratio": "top_positions_long_short_ratio",
                        **_RATIO,
                        "sum_taker_long_short_vol_ratio": "taker_volume_ratio",
                    }
                ),
            ),
        )
    }
)
"""Every kind of data set, by name."""


def kind_of(name: str) -> Kind:
    """Look a kind up by name.

    Raises InputError if there is no such kind; the message lists those there are.
    """
    try:
        return KINDS[name]
    except KeyError:
        raise InputError(f"kind must be one of {', '.join(KINDS)}; got {name!r}") from None
