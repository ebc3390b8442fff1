"""A universe of coins by date: which were listed when, and what became of them."""

from __future__ import annotations

import csv
import datetime as dt
import itertools
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from annotated_types import Ge, Gt, Len
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from delever.data.catalog import Catalog
from delever.data.references import Dataset
from delever.errors import ConfigError, DataError
from delever.panel import Lifetime
from delever.study.settings.config import explain, utc_time
from delever.toml_file import read_toml

_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
_FAR = 10.0
_EVER = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)


class Continuation(BaseModel):
    """Under what a coin went on: ``[[coin.then]]``."""

    model_config = _STRICT

    since: dt.datetime = Field(alias="from")  # UTC; the first bar under the new name
    bars: str  # reference
    # new units that one unit of before became, such as 1000.0 for a coin split a thousandfold
    units: Annotated[float, Gt(0)] = 1.0

    @field_validator("since", mode="before")
    @classmethod
    def _utc(cls, value: Any) -> Any:
        return utc_time(value)


class ListedCoin(BaseModel):
    """One coin of a universe: ``[[coin]]``."""

    model_config = _STRICT

    symbol: Annotated[str, Len(1, 40)]  # what it is called here, for good
    bars: str  # reference of its bars
    listed: dt.datetime | None = None  # left out: with its first bar
    delisted: dt.datetime | None = None  # bars from then on are another coin's, or nobody's
    # quote units that one of its first units was still worth; left out: its last close
    recovery: Annotated[float, Ge(0)] | None = None
    contract: str | None = None  # of an account: what is traded of it
    funding: str | None = None  # reference of its funding rates
    source: str = ""  # where the dates are from
    then: list[Continuation] = []

    @field_validator("listed", "delisted", mode="before")
    @classmethod
    def _utc(cls, value: Any) -> Any:
        return utc_time(value)

    @property
    def lifetime(self) -> Lifetime:
        """Its dates as markets take them."""
        first, last = (
            None if each is None else pd.Timestamp(each).as_unit("ns")
            for each in (self.listed, self.delisted)
        )
        return Lifetime(listed=first, delisted=last, recovery=self.recovery)

    @property
    def references(self) -> tuple[str, ...]:
        """Data sets of its bars, in order of time."""
        return (self.bars, *(one.bars for one in self.then))

    @property
    def spans(self) -> list[tuple[str, dt.datetime, dt.datetime]]:
        """Each of its data sets, and from when until when its bars are this coin's."""
        turns = [one.since for one in self.then]
        starts = [self.listed or _EVER[0], *turns]
        return list(zip(self.references, starts, [*turns, self.delisted or _EVER[1]], strict=True))

    @model_validator(mode="after")
    def _dates_rise(self) -> ListedCoin:
        for reference, start, end in self.spans:
            if start >= end:
                raise ValueError(
                    f"listed, from and delisted must rise; {self.symbol} has {reference} from "
                    f"{start:%Y-%m-%d} to {end:%Y-%m-%d}"
                )
        return self


class Universe(BaseModel):
    """A file of coins by date."""

    model_config = _STRICT

    title: str = ""
    # how many coins are members at a time, by dollar volume known then; left out: all listed ones
    top: Annotated[int, Ge(1)] | None = None
    volume_days: Annotated[int, Ge(1)] = 30  # days that dollar volume is summed over
    coin: list[ListedCoin]

    @model_validator(mode="after")
    def _each_once(self) -> Universe:
        if len(self.coin) < 2:
            raise ValueError(f"a universe must list two coins at least; got {len(self.coin)}")
        names = [one.symbol for one in self.coin]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"every coin must be there once; {twice[0]} is there twice")
        spans = [(*span, one.symbol) for one in self.coin for span in one.spans]
        for (reference, start, end, name), other in itertools.combinations(spans, 2):
            if other[0] == reference and start < other[2] and other[1] < end:
                raise ValueError(
                    f"bars must be one coin's at a time; {name} and {other[3]} both have "
                    f"{reference}; correct one of them, or say when each was listed and delisted"
                )
        return self


def load_universe(path: Path) -> Universe:
    """Read a file of coins: TOML, or a CSV table with the same keys as its columns.

    Raises ConfigError naming file, key, what was required and what came.
    """
    if not path.is_file():
        raise ConfigError(f"a universe must be a file of coins, .toml or .csv; none is at {path}")
    table = _rows(path) if path.suffix == ".csv" else read_toml(path, "a universe")
    try:
        return Universe.model_validate(table)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error, Universe)}") from None


_NUMBERS = ("recovery", "units")


def _rows(path: Path) -> dict[str, Any]:
    """A table of coins: a row each, and one more for each name that a coin went on under."""
    coins: list[dict[str, Any]] = []
    for number, row in _lines(path):
        try:
            row |= {name: float(row[name]) for name in _NUMBERS if name in row}
        except ValueError as error:
            said = f"{', '.join(_NUMBERS)} must be numbers; {error}"
            raise ConfigError(f"{path}, line {number}: {said}") from None
        symbol = row.get("symbol")
        if "from" not in row:
            coins.append(row)
        elif coins and coins[-1].get("symbol") == symbol:
            coins[-1].setdefault("then", []).append(
                {name: value for name, value in row.items() if name != "symbol"}
            )
        else:
            raise ConfigError(
                f"{path}, line {number}: a row with from must stand below the coin that went "
                f"on, of the same symbol; it is of {symbol}"
            )
    return {"coin": coins}


def _lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Cells that are not empty by column, and the number of each line.

    Raises ConfigError if the file is no such table.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            read = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            f"{path}: a universe must be TOML, or a CSV table in UTF-8; {error}; save it as such"
        ) from None
    names = list(reader.fieldnames or ())
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not {"symbol", "bars"} <= set(names):
        raise ConfigError(
            f"{path}: a universe must have the columns symbol and bars, each column once, with "
            f"commas between; got {', '.join(names) or 'an empty file'}"
        )
    for number, row in read:
        if None in row:
            raise ConfigError(
                f"{path}, line {number}: a row must have as many cells as the first line, "
                f"{len(names)}; got {len(names) + len(row[None])}"
            )
    return [
        (number, {name: value for name, value in row.items() if value not in (None, "")})
        for number, row in read
    ]


def coin_bars(coin: ListedCoin, catalog: Catalog) -> tuple[Dataset, tuple[Dataset, ...]]:
    """Bars of a coin over its life in its first units, and the data sets they are from.

    What came before stays as it was: prices under a later name are put back into the first units.

    Raises ConfigError if a piece has another timeframe or kind, or none of its bars are the coin's;
    DataError if the price jumps where one piece follows another.
    """
    pieces = tuple(catalog.load(reference) for reference in coin.references)
    first = pieces[0]
    for piece in pieces:
        same = piece.reference.timeframe == first.reference.timeframe
        if piece.reference.kind != "ohlcv" or not same:
            raise ConfigError(
                f"coin {coin.symbol}: bars must be of kind ohlcv and of one timeframe, "
                f"{first.reference.timeframe}; got {piece.reference}"
            )
    starts = [coin.listed, *(one.since for one in coin.then)]
    ends = [*(one.since for one in coin.then), coin.delisted]
    parts: list[pd.DataFrame] = []
    units = 1.0
    factors = [1.0, *(one.units for one in coin.then)]
    for piece, factor, start, end in zip(pieces, factors, starts, ends, strict=True):
        units *= factor
        part = piece.frame
        part = part if start is None else part.loc[part.index >= start]
        part = part if end is None else part.loc[part.index < end]
        if part.empty:
            raise ConfigError(
                f"coin {coin.symbol}: {piece.reference} must have bars from "
                f"{start or 'its start'} to {end or 'its end'}; it has "
                f"{piece.frame.index[0]:%Y-%m-%d} to {piece.frame.index[-1]:%Y-%m-%d}"
            )
        prices = {name: part[name] * units for name in ("open", "high", "low", "close")}
        part = part.assign(**prices, volume=part["volume"] / units)
        if parts:
            _follows(coin.symbol, piece, parts[-1], part)
        parts.append(part)
    joined = Dataset(
        reference=first.reference,
        frame=pd.concat(parts),
        id=first.id,
        publication_lag=first.publication_lag,
        notes=tuple(dict.fromkeys(note for piece in pieces for note in piece.notes)),
    )
    return joined, pieces


def _follows(symbol: str, piece: Dataset, before: pd.DataFrame, after: pd.DataFrame) -> None:
    """Refuse a step between two pieces that such prices do not take: units are wrong then."""
    last, first = float(before["close"].iloc[-1]), float(after["open"].iloc[0])
    steps = np.abs(np.diff(np.log(before["close"].to_numpy(dtype=np.float64))))
    usual = float(np.sqrt(np.mean(steps**2))) if len(steps) else 0.0
    if abs(np.log(first / last)) > max(np.log(2.0), _FAR * usual):
        raise DataError(
            f"coin {symbol}: {piece.reference} must go on where the bars before it end; they close "
            f"at {last:,.6g} and it opens at {first:,.6g} in the first units, {first / last:,.4g} "
            "times that; correct units or from"
        )


def ended_notes(lifetimes: dict[str, Lifetime]) -> tuple[str, ...]:
    """What became of each symbol that is not listed any more."""
    return tuple(
        f"{name} was delisted on {lifetime.delisted:%Y-%m-%d}: what was held of it is closed at "
        + (
            "the close of its last bar"
            if lifetime.recovery is None
            else f"the recovery stated, {lifetime.recovery:g}"
        )
        for name, lifetime in lifetimes.items()
        if lifetime.delisted is not None
    )
