"""What in a frame is unlike everything around it: named, never changed.

Every row here satisfies the contract of its kind. A rule asks whether the market can have done
what a row says, and is as wide as real crashes need: the daily and hourly history of bitcoin with
2013-04-12, 2020-03-12 and 2021-05-19 in it gives no doubt but prints that were errors.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.kinds import KINDS
from delever.units import timeframe_delta

Floats = npt.NDArray[np.float64]

WICK = 0.3
"""Beyond this fraction of the body, and of the extremes of the neighbours, a wick is named."""

NEIGHBOURS = 5
"""Bars on either side that a wick is held against."""

ANY_JUMP = 1.0
"""A log return that is named whatever came before: a factor of e."""

JUMP = 0.25
"""A smaller log return is never named."""

TIMES = 20.0
"""Multiple of the trailing deviation beyond which a bar's log return is named."""

TIMES_AT_OPEN = 12.0
"""The same between a close and the next open, where nothing is traded."""

TRAILING, LEAST_TRAILING = 90, 20
"""Bars before one, over which the deviation of log returns is taken, and the fewest."""

STALE, LEAST_STALE = pd.Timedelta(days=2), 5
"""Equal readings that span less, or are fewer, are never named."""

CHANCE = 1e-3
"""How often, by its other readings, a whole series would hold such an equal stretch."""

PRICES = tuple(name for name, kind in KINDS.items() if kind.of_price)
"""Kinds whose rows are bars of a price."""

RESTING = ("funding_rate", "open", "high", "low", "close")
"""Columns of other kinds that may stay equal: rates that a venue holds at their default."""

_KNOWN: dict[tuple[str, str, bytes | None], tuple[Doubt, ...]] = {}
_LOCK, _MOST_KNOWN = threading.Lock(), 64
"""What was found in frames of late: each run on a market asks again of the same bars."""

_COPIED, _MOST_COPIED = 3, 24
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no bar's hash is lost
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Doubt:
    """Rows that one rule names."""

    rule: str  # a key of `RULES`
    # one row each by stamp, in the order of time; columns as the rule's sentence needs them, of
    # which ``weight`` says how far out a row is
    rows: pd.DataFrame

    @property
    def said(self) -> str:
        """What is there and when, in one line; at most the three worst by name."""
        return RULES[self.rule](self.rows)

    @property
    def stamps(self) -> pd.DatetimeIndex:
        """When: the stamps of the rows."""
        return pd.DatetimeIndex(self.rows.index)

    def within(self, start: pd.Timestamp, end: pd.Timestamp) -> Doubt | None:
        """What lies from one stamp to another, both included; None where that is nothing."""
        kept = self.rows.loc[start:end]
        return None if kept.empty else replace(self, rows=kept)


def implausible(frame: pd.DataFrame, kind: str, timeframe: str) -> tuple[Doubt, ...]:
    """Everything a researcher should look at before believing a validated frame.

    A row is judged by those before it, a wick also by the five after it.
    """
    if len(frame) < 2:
        return ()
    key = (kind, timeframe, _known_by(frame))
    with _LOCK:
        known = _KNOWN.pop(key, None)
    found = _found(frame, kind, timeframe) if known is None else known
    if key[-1] is not None:
        with _LOCK:
            _KNOWN[key] = found  # the last to leave
            if len(_KNOWN) > _MOST_KNOWN:
                _KNOWN.pop(next(iter(_KNOWN)))
    return tuple(replace(doubt, rows=doubt.rows.copy(deep=False)) for doubt in found)


def _known_by(frame: pd.DataFrame) -> bytes | None:
    """A hash of every number and stamp of a frame and of its names; None where it holds others."""
    index = frame.index
    if not isinstance(index, pd.DatetimeIndex) or any(
        not isinstance(dtype, np.dtype) or dtype.kind not in "biuf" for dtype in frame.dtypes
    ):
        return None
    names = (list(frame.columns), list(map(str, frame.dtypes)), index.name, str(index.dtype))
    content = hashlib.sha256(repr(names).encode())
    content.update(index.asi8.tobytes())
    for place in range(frame.shape[1]):
        content.update(frame.iloc[:, place].to_numpy().tobytes())
    return content.digest()


def _found(frame: pd.DataFrame, kind: str, timeframe: str) -> tuple[Doubt, ...]:
    if kind in PRICES:
        found = {
            "wick": _wicks(frame),
            "jump": _jumps(frame, timeframe),
            "stale": _stale(frame["close"], frame["high"] > frame["low"]),
            "repeat": _repeats(frame),
            "volume": _without_volume(frame),
        }
    else:
        stretches = [_stale(frame[name]) for name in frame if name not in RESTING]
        kept = [rows for rows in stretches if len(rows)]
        found = {"stale": pd.concat(kept).sort_index() if kept else pd.DataFrame()}
    return tuple(Doubt(rule=rule, rows=rows) for rule, rows in found.items() if len(rows))


def _wicks(frame: pd.DataFrame) -> pd.DataFrame:
    """Extremes that lie beyond `WICK` of the body and of every neighbour's extreme."""
    low, high = (frame[name].to_numpy() for name in ("low", "high"))
    bodies = frame[["open", "close"]].to_numpy()
    rows: list[tuple[int, bool, float, float]] = []
    for row in map(int, np.flatnonzero(low < (1 - WICK) * bodies.min(axis=1))):
        if low[row] < (1 - WICK) * _beside(low, row).min():
            rows.append((row, True, float(low[row]), float(1 - low[row] / bodies[row].min())))
    for row in map(int, np.flatnonzero(high > (1 + WICK) * bodies.max(axis=1))):
        if high[row] > (1 + WICK) * _beside(high, row).max():
            rows.append((row, False, float(high[row]), float(high[row] / bodies[row].max() - 1)))
    rows.sort()
    return pd.DataFrame(
        {
            "below": [below for _, below, _, _ in rows],
            "price": [price for _, _, price, _ in rows],
            "beyond": [beyond for *_, beyond in rows],
            "weight": [
                -np.log1p(-beyond) if below else np.log1p(beyond) for _, below, _, beyond in rows
            ],
        },
        index=frame.index[[row for row, *_ in rows]],
    )


def _beside(values: Floats, row: int) -> Floats:
    """Those of the neighbours of a row."""
    return np.concatenate(
        [values[max(0, row - NEIGHBOURS) : row], values[row + 1 : row + 1 + NEIGHBOURS]]
    )


def _jumps(frame: pd.DataFrame, timeframe: str) -> pd.DataFrame:
    """Closes and opens too far from the close before, by what the bars before them did."""
    stamps = pd.DatetimeIndex(frame.index).as_unit("ns").asi8
    close = np.log(frame["close"].to_numpy())
    moved = np.diff(close)
    opened = np.log(frame["open"].to_numpy())[1:] - close[:-1]
    # Bars that a hole swallowed moved the price too.
    steps = np.maximum(np.diff(stamps) / timeframe_delta(timeframe).value, 1.0)
    sums = np.concatenate(([0.0], np.cumsum(moved**2 / steps)))
    at = np.arange(len(moved))
    first = np.maximum(at - TRAILING, 0)
    count = at - first
    with np.errstate(invalid="ignore", divide="ignore"):
        usual = np.sqrt(np.maximum(sums[at] - sums[first], 0.0) / count * steps)
        usual[count < LEAST_TRAILING] = np.inf
        far = np.abs(moved) > np.maximum(JUMP, TIMES * usual)
        apart = np.abs(opened) > np.maximum(JUMP, TIMES_AT_OPEN * usual)
    named = np.flatnonzero((np.abs(moved) > ANY_JUMP) | far | apart)
    return pd.DataFrame(
        {
            "before": frame.index[named],
            "factor": np.exp(np.where(apart[named], opened[named], moved[named])),
            "missing": np.round(steps[named]) - 1,
            "weight": np.abs(moved[named]),
        },
        index=frame.index[named + 1],
    )


def _without_volume(frame: pd.DataFrame) -> pd.DataFrame:
    """Bars in which nothing was traded and the price moved all the same."""
    if "volume" not in frame:
        return pd.DataFrame()
    close = frame["close"].to_numpy()
    moves = (frame["high"] > frame["low"]).to_numpy() | (close != np.append(close[:1], close[:-1]))
    empty = (frame["volume"] == 0).to_numpy()
    return pd.DataFrame({"weight": 1.0}, index=frame.index[empty & moves])


def _repeats(frame: pd.DataFrame) -> pd.DataFrame:
    """Bars that moved and equal the one before, or several in a row that equal earlier ones.

    How many in a row are needed: so many that by the coarseness of the prices and volumes of these
    bars less than `CHANCE` of them would come by chance in all. A bar alone is judged where most
    volumes are of their own.
    """
    none = pd.DataFrame()
    each = pd.Series(pd.util.hash_pandas_object(frame, index=False).to_numpy())
    alike = _alike(each)
    if not alike:
        return none
    moves = (frame["high"] > frame["low"]).to_numpy()
    repeat = np.zeros(len(frame), dtype=bool)
    if "volume" in frame and frame["volume"].nunique() > len(frame) / 2:
        repeat[1:] = (each.to_numpy()[1:] == each.to_numpy()[:-1]) & moves[1:]
    # By chance a stretch of k comes again n^2 / 2 times the chance that two opens are equal, times
    # that of two equal shapes to the k; bars of one shape at different prices show the latter.
    shape = frame[["high", "low", "close"]].sub(frame["open"], axis=0).round(12)
    shape["volume"] = frame.get("volume", 0.0)
    chance = _alike(pd.util.hash_pandas_object(shape, index=False)) - alike
    ways = len(frame) ** 2 / 2 * _alike(frame["open"])
    least = np.log(CHANCE / ways) / np.log(np.clip(chance, 1e-12, 0.999))
    row = int(np.clip(np.ceil(least), _COPIED, _MOST_COPIED))
    last = len(frame) - row + 1
    if last > 1:
        stretch, moved = np.zeros(last, dtype="uint64"), np.zeros(last)
        for lag in range(row):
            stretch = stretch * _FACTOR + each.to_numpy()[lag : last + lag]
            moved += moves[lag : last + lag]
        known = pd.Series(stretch).duplicated().to_numpy() & (2 * moved >= row)
        for lag in range(row):
            repeat[lag : last + lag] |= known
    return pd.DataFrame({"weight": 1.0}, index=frame.index[repeat])


def _alike(values: pd.Series) -> float:
    """Share of all pairs of values that are equal."""
    counts = values.value_counts().to_numpy().astype("float64")
    return float((counts * (counts - 1)).sum() / (len(values) * (len(values) - 1)))


def _stale(readings: pd.Series, moves: pd.Series | None = None) -> pd.DataFrame:
    """Stretches of equal readings that the series' own habit of repeating does not explain.

    With p the share of readings outside a stretch that equal the one before, a stretch of k
    further readings in n would come n p^k times by chance; named from fewer than `CHANCE` on.
    Not a sign are zeros (nothing happened on many a day) and series with p of a half or more, which
    change in steps. A bar that `moves` is no further reading, wherever it closes.
    """
    known = readings.dropna()
    values = known.to_numpy()
    index = pd.DatetimeIndex(known.index)
    if len(values) < 2:
        return pd.DataFrame()
    same = values[1:] == values[:-1]
    if moves is not None:
        same &= ~moves.to_numpy()[1:]
    edges = np.flatnonzero(np.diff(np.concatenate(([False], same, [False])).astype("int8")))
    first, last = edges[::2], edges[1::2]  # rows of the first and last reading of each stretch
    further = last - first
    with np.errstate(divide="ignore"):
        usual = (same.sum() - further + 1) / (len(same) - further + 1)
        expected = len(values) * usual**further
    held = index[last] - index[first]
    long = (held >= STALE) & (further + 1 >= LEAST_STALE)
    named = long & (usual < 0.5) & (expected < CHANCE) & (values[first] != 0.0)
    return pd.DataFrame(
        {
            "column": str(readings.name),
            "value": values[first][named],
            "until": index[last][named],
            "rows": further[named] + 1,
            "weight": held[named] / pd.Timedelta(days=1),
        },
        index=index[first][named],
    )


def _of_wicks(rows: pd.DataFrame) -> str:
    def one(stamp: pd.Timestamp, row: pd.Series) -> str:
        side, way = ("low", "below") if row["below"] else ("high", "above")
        far = f"{_percent(row['beyond'])} {way} its body"
        return f"{when(stamp)} {side} {amount(row['price'])} ({far})"

    has = "bar has a wick" if len(rows) == 1 else "bars have wicks"
    neighbours = "its neighbours" if len(rows) == 1 else "their neighbours"
    return f"{len(rows):,} {has} far outside {neighbours}: {_worst(rows, one)}"


def _of_jumps(rows: pd.DataFrame) -> str:
    def one(stamp: pd.Timestamp, row: pd.Series) -> str:
        hole = f" across {row['missing']:,.0f} missing bars" if row["missing"] >= 1 else ""
        return f"x {amount(row['factor'])} between {when(row['before'])} and {when(stamp)}{hole}"

    jumps = "1 price jump" if len(rows) == 1 else f"{len(rows):,} price jumps"
    return (
        f"{jumps} far beyond the bars before, as where another coin, unit or contract begins: "
        f"{_worst(rows, one)}"
    )


def _of_volume(rows: pd.DataFrame) -> str:
    move = "bar moves" if len(rows) == 1 else "bars move"
    return f"{len(rows):,} {move} without volume, first {when(rows.index[0])}"


def _of_repeats(rows: pd.DataFrame) -> str:
    repeat = "bar repeats an earlier one" if len(rows) == 1 else "bars repeat earlier ones"
    return f"{len(rows):,} {repeat} to the digit, first {when(rows.index[0])}"


def _of_stale(rows: pd.DataFrame) -> str:
    def one(stamp: pd.Timestamp, row: pd.Series) -> str:
        return (
            f"{row['column']} {amount(row['value'])} from {when(stamp)} to {when(row['until'])} "
            f"({row['rows']:,} readings)"
        )

    stretch = "1 stretch stays" if len(rows) == 1 else f"{len(rows):,} stretches stay"
    return f"{stretch} equal to the digit: {_worst(rows, one)}"


RULES: Mapping[str, Callable[[pd.DataFrame], str]] = MappingProxyType(
    {
        "wick": _of_wicks,
        "jump": _of_jumps,
        "stale": _of_stale,
        "repeat": _of_repeats,
        "volume": _of_volume,
    }
)
"""What the doubts of each rule are called in one line; the gravest rule first."""


def _worst(rows: pd.DataFrame, one: Callable[[pd.Timestamp, pd.Series], str]) -> str:
    """The rows furthest out, in the order of time, and how many others there are."""
    shown = rows.nlargest(_SHOWN, "weight").sort_index()
    texts = [one(shown.index[place], shown.iloc[place]) for place in range(len(shown))]
    more = len(rows) - len(shown)
    return ", ".join(texts) + (f", and {more:,} more" if more else "")


def when(stamp: pd.Timestamp) -> str:
    """A stamp as short as it is exact."""
    return f"{stamp:%Y-%m-%d}" if stamp == stamp.normalize() else f"{stamp:%Y-%m-%d %H:%M}"


def amount(number: float) -> str:
    """A number of any size, with as many digits as tell it from its neighbours."""
    return f"{number:,.0f}" if number >= 1000 else f"{number:.4g}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:,.1f}%" if fraction < 10 else f"{100 * fraction:,.0f}%"
