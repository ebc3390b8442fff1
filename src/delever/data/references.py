"""What a data set is called, and what one is: `Reference` and `Dataset`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import pandas as pd

from delever import bars
from delever.errors import InputError
from delever.kinds import kind_of
from delever.units import timeframe_delta

_VENUE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LONGEST_FOLDER = 200
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])", re.IGNORECASE)


def is_reserved(name: str) -> bool:
    """Whether Windows opens a device by this name in any folder."""
    return _RESERVED.fullmatch(name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The name of a data set, written ``venue/kind/symbol/timeframe``.

    Raises InputError if a part is not of its form.
    """

    venue: str  # where the rows come from, as ccxt writes an exchange's id: ``"bitstamp"``
    kind: str  # A name in `delever.frames.KINDS`
    symbol: str  # ccxt's unified symbol (``"BTC/USDT:USDT"``) or the name of a series
    timeframe: str  # such as ``"1d"``

    def __post_init__(self) -> None:
        if not _VENUE.fullmatch(self.venue):
            raise InputError(
                "venue must be lowercase letters, digits, - and _ (such as 'bitstamp'), "
                f"at most 64 of them; got {self.venue!r}"
            )
        if is_reserved(self.venue):
            raise InputError(f"venue must not be a name that Windows reserves; got {self.venue!r}")
        kind_of(self.kind)
        if not self.symbol or not self.symbol.isprintable() or " " in self.symbol:
            raise InputError(
                "symbol must be printable characters without blanks (such as 'BTC/USD'); "
                f"got {self.symbol!r}"
            )
        if len(_safe(self.symbol)) > _LONGEST_FOLDER:
            raise InputError(
                f"symbol must be short enough to name a folder; got {self.symbol[:40]!r}… "
                f"of {len(self.symbol)} characters"
            )
        timeframe_delta(self.timeframe)

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference from its written form.

        Raises InputError if there are fewer than four parts, or a part is not of its form.
        """
        parts = text.split("/")
        if len(parts) < 4:
            raise InputError(
                "a data set is written venue/kind/symbol/timeframe "
                f"(such as bitstamp/ohlcv/BTC/USD/1d); got {text!r}"
            )
        return cls(venue=parts[0], kind=parts[1], symbol="/".join(parts[2:-1]), timeframe=parts[-1])

    def __str__(self) -> str:
        return f"{self.venue}/{self.kind}/{self.symbol}/{self.timeframe}"

    @property
    def folder(self) -> str:
        """Where its files lie below the store: four path segments, another for each reference."""
        return "/".join((self.venue, self.kind, _safe(self.symbol), self.timeframe))


def _safe(symbol: str) -> str:
    # Letters that differ in case alone must not meet on a file system that ignores case: a symbol
    # with lowercase letters is followed by the bit pattern of its uppercase ones.
    name = quote(symbol, safe="").replace(".", "%2E").replace("~", "%7E")
    letters = [letter for letter in symbol if letter.isascii() and letter.isalpha()]
    if all(letter.isupper() for letter in letters):
        return f"{name}~" if is_reserved(name) else name
    pattern = "".join("1" if letter.isupper() else "0" for letter in letters)
    return f"{name}~{int(pattern, 2):x}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Validated rows of one reference."""

    reference: Reference  # what it is called
    # shape (n, k): rows that satisfy the contract of their kind; float64, indexed in UTC, strictly
    # increasing
    frame: pd.DataFrame
    id: str  # sha256 of the content, whatever files it came from
    publication_lag: pd.Timedelta  # from a row's stamp to the moment it was known, >= 0
    notes: tuple[str, ...] = ()  # what a reader of results on it must be told
    # one record per origin, such as a file's name and sha256
    provenance: tuple[Mapping[str, object], ...] = ()

    @property
    def gaps(self) -> pd.DataFrame:
        """Stretches without rows: ``start``, ``end``, ``bars``, as `delever.bars.gaps`."""
        index, reference = pd.DatetimeIndex(self.frame.index), self.reference
        return bars.gaps(index, reference.timeframe, reference.kind)


def default_lag(reference: Reference) -> pd.Timedelta:
    """Time from stamp to publication when nobody says otherwise."""
    if kind_of(reference.kind).known_at_stamp:
        return pd.Timedelta(0).as_unit("ns")
    return timeframe_delta(reference.timeframe)


def parse_lag(text: str) -> pd.Timedelta:
    """Read a publication lag.

    Raises InputError if it is neither.
    """
    if text == "0":
        return pd.Timedelta(0).as_unit("ns")
    try:
        return timeframe_delta(text)
    except InputError:
        raise InputError(
            "publication lag must be 0 or a whole number and one of m, h, d, w (such as '8h'); "
            f"got {text!r}"
        ) from None
