"""What a file writes for moments, as stamps in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pandas as pd

from delever.errors import ConfigError, SchemaError

StampUnit = Literal["s", "ms", "us", "ns"]
"""What whole-number stamps count since 1970-01-01 UTC."""

_DATE = r"\d{4}-\d{2}-\d{2}"
_TIME = r"\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?"
_ZONED = rf"^{_DATE}[T ]{_TIME} ?(Z|UTC|[+-]\d{{2}}(:?\d{{2}})?)$"
_NAIVE = rf"^{_DATE}([T ]{_TIME})?$"
_MIDNIGHT = rf"^({_DATE})[T ]00:00(?::00(?:\.0+)?)?(?: ?(?:Z|[+-]\d{{2}}:?\d{{2}}))?$"
_WHOLE = r"^-?\d{1,19}(\.0*)?$"
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_SINCE = pd.Timestamp("2009-01-01", tz="UTC")
"""Before it there was no coin, and counts of another unit end up there."""

_ZONE_MEND = (
    "write stamps as UTC, such as 2021-05-19T00:00:00Z, or give --timezone, such as UTC or "
    "America/New_York"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StampForm:
    """How a file writes its stamps, as far as it does not say so itself.

    Raises ConfigError if there is no such unit or time zone.
    """

    unit: StampUnit | None = None  # of whole numbers
    timezone: str | None = None  # of wall time, by its name in the tz database
    pattern: str | None = None  # as strptime's, such as "%d.%m.%Y %H:%M"
    by_size: bool = False  # whether the size of a whole number says its unit, row by row
    assumed: str | None = None  # zone that the vendor says of stamps without one
    by_day: bool = False  # whether a midnight means its date in UTC, in whatever zone

    def __post_init__(self) -> None:
        if self.unit is not None and self.unit not in _PER_SECOND:
            raise ConfigError(f"stamp_unit must be s, ms, us or ns; got {self.unit!r}")
        if self.timezone is not None and self.timezone not in available_timezones():
            raise ConfigError(
                "timezone must be a name of the tz database, such as UTC or America/New_York; "
                f"got {self.timezone!r}"
            )


def now() -> pd.Timestamp:
    """The moment by this machine's clock."""
    return pd.Timestamp.now(tz="UTC")


def stamps_of(
    index: pd.Index, form: StampForm, where: str, *, header_lines: int | None
) -> pd.DatetimeIndex:
    """Turn texts, whole numbers or stamps into stamps in UTC.

    Raises SchemaError if one is missing, is none, has no zone where none is said, or counts
    another unit; the message names its row.
    """
    refuse = _Refuse(index=index, where=where, header_lines=header_lines)
    if isinstance(index, pd.DatetimeIndex):
        stamps = _in_range(_of_clock(index, form, refuse), refuse)
        return stamps.tz_convert("UTC").as_unit("ns")
    if pd.api.types.is_integer_dtype(index.dtype):
        texts = pd.Series(index.astype("str"))
    elif index.inferred_type == "string":
        texts = pd.Series(index).str.strip()
    else:
        raise SchemaError(f"{where}: {index.name} must hold time stamps; it holds {index.dtype}")
    refuse(texts.isna(), "every row needs a stamp; remove it or restore its stamp")
    if form.by_day:
        texts = texts.str.replace(_MIDNIGHT, r"\1", regex=True)
    if form.unit is not None or (form.by_size and texts.str.fullmatch(_WHOLE).all()):
        return _counted(texts, form, refuse)
    if form.pattern is not None:
        parsed = pd.to_datetime(texts, format=form.pattern, errors="coerce")
        refuse(parsed.isna(), f"a stamp written as {form.pattern} is required; correct it")
        stamps = _of_clock(pd.DatetimeIndex(parsed), form, refuse)
        return _in_range(stamps, refuse)
    zoned = texts.str.fullmatch(_ZONED)
    if not zoned.all():
        naive = texts.str.fullmatch(_NAIVE)
        clock = form.timezone or form.assumed
        if clock is None or not naive.all():
            whole = texts.str.fullmatch(_WHOLE)
            unit = _unit_of(texts[whole]) if whole.any() else None
            looks = " s, ms, us or ns" if unit is None else f" {unit} if it counts these"
            refuse(whole, f"what it counts is not said; give --stamp-unit{looks}")
            if clock is None:
                refuse(naive, f"a time zone is required; {_ZONE_MEND}")
            refuse(
                zoned & bool(naive.any()), "it has a zone, other rows have none; write all alike"
            )
            refuse(~(zoned | naive), f"a time stamp is required; {_ZONE_MEND}")
    if texts.str.endswith("UTC").any():
        texts = texts.str.removesuffix("UTC").str.strip()
    parsed = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
    refuse(parsed.isna(), "there is no such day or time; correct it")
    stamps = pd.DatetimeIndex(parsed)
    if not zoned.all():
        stamps = _of_clock(stamps.tz_localize(None), form, refuse)
    elif form.timezone is not None:
        raise SchemaError(f"{where}: {index.name} says its zone itself; leave --timezone out")
    return _in_range(stamps, refuse)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refuse:
    """Raises for the first row that is wrong, saying where it is and what it holds."""

    index: pd.Index
    where: str
    header_lines: int | None

    def __call__(self, wrong: Any, why: str) -> None:
        rows = np.flatnonzero(wrong)
        if not len(rows):
            return
        row = int(rows[0])
        line = "" if self.header_lines is None else f" (line {row + 1 + self.header_lines})"
        value = self.index[row]
        text = "nothing" if pd.isna(value) else repr(str(value)[:40])
        raise SchemaError(
            f"{self.where}: row {row + 1}{line} has {self.index.name} = {text}; {why}"
        )


def _counted(texts: pd.Series, form: StampForm, refuse: _Refuse) -> pd.DatetimeIndex:
    """Stamps of whole numbers; outside the span of coins they count something else."""
    if form.timezone is not None:
        raise SchemaError(
            f"{refuse.where}: whole numbers count from 1970 in UTC; leave --timezone out"
        )
    unit = form.unit or "s, ms, us and ns"
    refuse(
        ~texts.str.fullmatch(_WHOLE),
        f"whole numbers of {unit} are required; leave --stamp-unit out where dates are written",
    )
    digits = texts.str.partition(".")[0]
    counts = digits.astype("float64").to_numpy()
    low, high = _SINCE.timestamp(), _tomorrow().timestamp()
    factor = np.zeros(len(counts), dtype="int64")
    for one in (form.unit,) if form.unit is not None else _PER_SECOND:
        per = _PER_SECOND[one]
        factor[(counts >= low * per) & (counts <= high * per)] = 1_000_000_000 // per
    wrong = factor == 0
    other = _unit_of(texts[wrong]) if wrong.any() else None
    looks = "correct it" if other is None else f"it may count {other}"
    refuse(wrong, f"as {unit} it lies before 2009 or after tomorrow; {looks}")
    exact = digits.astype("int64").to_numpy() * factor
    return pd.DatetimeIndex(exact.view("M8[ns]")).tz_localize("UTC")


def _of_clock(index: pd.DatetimeIndex, form: StampForm, refuse: _Refuse) -> pd.DatetimeIndex:
    """Stamps of a clock on a wall, where they have no zone."""
    if index.tz is not None:
        if form.timezone is not None:
            raise SchemaError(
                f"{refuse.where}: {refuse.index.name} says its zone itself; leave --timezone out"
            )
        return index
    clock = form.timezone or form.assumed
    if clock is None:
        refuse(np.ones(len(index), dtype=bool), f"a time zone is required (naive); {_ZONE_MEND}")
    zone = ZoneInfo(clock or "UTC")
    never = index.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").isna()
    if not never.any():
        return index.tz_localize(zone).tz_convert("UTC")
    gone = index.tz_localize(zone, ambiguous=np.ones(len(index), bool), nonexistent="NaT").isna()
    refuse(gone, f"the clocks of {clock} never showed it; is it another zone?")
    twice = f"the clocks of {clock} showed it twice; write stamps as UTC"
    if index[0] > index[-1]:
        refuse(never, twice)
    try:  # both rows of an hour that clocks show twice, in their order
        return index.tz_localize(zone, ambiguous="infer").tz_convert("UTC")
    except ValueError:
        refuse(never, twice)
        raise


def _in_range(stamps: pd.DatetimeIndex, refuse: _Refuse) -> pd.DatetimeIndex:
    """Refuse stamps of the future, and files that end before there was a coin.

    A wrong unit makes either of them; the history of an index may begin earlier.
    """
    late = f"nothing is known after tomorrow, {_tomorrow():%Y-%m-%d}"
    refuse(stamps > _tomorrow(), f"{late}; check the unit or the clock it was written with")
    if len(stamps) and (stamps.max() < _SINCE or stamps.min().year < 1700):
        early = f"the last row is of {stamps.max():%Y-%m-%d}, before there was a coin"
        wrong = stamps == (stamps.max() if stamps.max() < _SINCE else stamps.min())
        refuse(wrong, f"{early}; check the unit it was written in")
    return stamps


def _tomorrow() -> pd.Timestamp:
    return now() + pd.Timedelta(days=1)


def _unit_of(texts: pd.Series) -> str | None:
    """The unit in which the first of whole numbers is a moment from 2009 until tomorrow."""
    first = float(texts.iloc[0])
    low, high = _SINCE.timestamp(), _tomorrow().timestamp()
    return next((unit for unit, per in _PER_SECOND.items() if low <= first / per <= high), None)
