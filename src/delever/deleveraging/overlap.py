"""How well a detected state agrees with a catalogue of periods, and how late it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from delever.bars import close_times
from delever.deleveraging.membership import per_period
from delever.deleveraging.period import Period
from delever.errors import InputError
from delever.frames import utc_index

ERAS: Mapping[str, pd.Timestamp] = {
    "spot": pd.Timestamp("2011-01-01", tz="UTC"),
    "first perpetual": pd.Timestamp("2016-05-13", tz="UTC"),
    "many perpetuals": pd.Timestamp("2019-09-09", tz="UTC"),
    "funds": pd.Timestamp("2024-01-11", tz="UTC"),
}
"""When each structure of the bitcoin market begins, UTC: spot venues only; the first perpetual
swap (BitMEX); perpetual swaps at the largest spot venue (Binance); spot funds in the US."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionReport:
    """Agreement of a detected state with a catalogue, over the span that both cover."""

    start: pd.Timestamp  # the span, UTC: from the open of its first bar to the close of its last
    end: pd.Timestamp
    # one row for each catalogued period wholly inside the bars, by id: `bars` in it, `detected`
    # (whether the state was on at the close of any of them), `lag` (bars from its first to the
    # first detected one; 0 is known at the close of the first bar), `lag_trough` (the same from the
    # bar of its trough; negative is earlier) and `covered` (share of its bars detected). Lags are
    # NaN where nothing was detected.
    periods: pd.DataFrame
    # ids of periods the bars cover in part, not at all, or too coarsely to hold one bar
    skipped: tuple[str, ...]
    bar_precision: float  # share of detected bars that lie in a period; NaN when none was detected
    bar_recall: float  # share of the periods' bars that were detected; NaN without periods
    period_recall: float  # share of the periods detected; NaN without periods
    alarms: int  # runs of detected bars, or groups of them that lie close together
    false_alarms: int  # those that touch no period


def overlap(
    state: pd.Series[bool],
    catalogue: Sequence[Period],
    timeframe: str,
    *,
    join_days: float = 0,
) -> DetectionReport:
    """Compare a detected state with the periods of a catalogue.

    Runs of detected bars less than `join_days` apart are one alarm.

    Raises InputError if the catalogue is empty or no bar lies between its first start and its last
    end; SchemaError if the stamps carry no time zone.

    Before its first and after its last period a catalogue says nothing, so bars there count
    neither way. A period the bars cover in part is left out of `periods`, but its bars are no
    false alarms. A catalogue drawn with hindsight is itself only an opinion: a false alarm may
    be a fall that nobody listed.
    """
    if not catalogue:
        raise InputError("overlap needs a catalogue with at least one period; got none")
    opens = utc_index(state.index, "open_time", "state")
    first = min(period.start for period in catalogue)
    last = max(period.end for period in catalogue)
    span = np.asarray((opens >= first) & (close_times(opens, timeframe) <= last))
    if not span.any():
        raise InputError(
            f"the bars must lie within the catalogue's span, {first:%Y-%m-%d} to {last:%Y-%m-%d}; "
            "none does; choose other bars or another catalogue"
        )
    on = state.to_numpy(dtype=bool)[span]
    opens = opens[span]
    closes = close_times(opens, timeframe)
    masks = {
        name: mask.to_numpy() for name, mask in per_period(opens, timeframe, catalogue).items()
    }
    inside = np.logical_or.reduce(list(masks.values()))
    whole = [
        period
        for period in catalogue
        if period.start >= opens[0] and period.end <= closes[-1] and masks[period.id].any()
    ]
    rows = pd.DataFrame(
        [_row(period, masks[period.id], on, opens) for period in whole],
        index=pd.Index([period.id for period in whole], name="id", dtype="str"),
        columns=["bars", "detected", "lag", "lag_trough", "covered"],
    ).astype({"bars": int, "detected": bool, "lag": float, "lag_trough": float, "covered": float})
    runs = _alarms(on, opens, closes, pd.Timedelta(days=join_days))
    alarms = int(runs.max(initial=0))
    return DetectionReport(
        start=opens[0],
        end=closes[-1],
        periods=rows,
        skipped=tuple(period.id for period in catalogue if period not in whole),
        bar_precision=_share(inside[on]),
        bar_recall=_share(on[np.logical_or.reduce([masks[period.id] for period in whole])])
        if whole
        else float("nan"),
        period_recall=_share(rows["detected"].to_numpy()),
        alarms=alarms,
        false_alarms=alarms - len(np.unique(runs[on & inside])),
    )


def overlap_by_era(
    state: pd.Series[bool],
    catalogue: Sequence[Period],
    timeframe: str,
    eras: Mapping[str, pd.Timestamp] = ERAS,
) -> pd.DataFrame:
    """Compare a detected state with the periods of a catalogue, era by era.

    Raises InputError if the catalogue is empty, eras are not in order, or no bar lies within its
    span; SchemaError if the stamps carry no time zone.

    A period that an era's border cuts is counted in neither; a run of detected bars that it cuts
    is an alarm in both.
    """
    overlap(state, catalogue, timeframe)
    starts = list(eras.values())
    if not starts or starts != sorted(set(starts)):
        raise InputError("eras must be at least one and start one after the other; sort them")
    opens = utc_index(state.index, "open_time", "state")
    closes = close_times(opens, timeframe)
    first = min(period.start for period in catalogue)
    last = max(period.end for period in catalogue)
    rows = {}
    for name, start, end in zip(eras, starts, [*starts[1:], last], strict=True):
        inside = np.asarray((opens >= max(start, first)) & (closes <= min(end, last)))
        if inside.any():
            report = overlap(state[inside], catalogue, timeframe)
            rows[name] = (
                int(inside.sum()),
                len(report.periods),
                int(report.periods["detected"].sum()),
                float(report.periods["lag"].median()),
                report.bar_precision,
                report.bar_recall,
                report.alarms,
                report.false_alarms,
            )
    columns = ["bars", "periods", "detected", "median_lag"]
    columns += ["bar_precision", "bar_recall", "alarms", "false_alarms"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _row(
    period: Period, mask: np.ndarray, on: np.ndarray, opens: pd.DatetimeIndex
) -> tuple[int, bool, float, float, float]:
    bars = np.flatnonzero(mask)
    hits = bars[on[bars]]
    trough = int(opens.searchsorted(period.trough, side="right")) - 1
    return (
        len(bars),
        bool(len(hits)),
        float(hits[0] - bars[0]) if len(hits) else float("nan"),
        float(hits[0] - trough) if len(hits) else float("nan"),
        len(hits) / len(bars),
    )


def _alarms(
    on: np.ndarray, opens: pd.DatetimeIndex, closes: pd.DatetimeIndex, join: pd.Timedelta
) -> np.ndarray:
    """Number of the alarm that each detected bar belongs to, from 1; 0 for the others."""
    bars = np.flatnonzero(on)
    numbers = np.zeros(len(on), dtype=np.int64)
    if len(bars):
        apart = np.asarray(opens[bars[1:]] - closes[bars[:-1]])
        begins = (np.diff(bars) > 1) & (apart >= join.to_timedelta64())
        numbers[bars] = np.cumsum(np.append(True, begins))
    return numbers


def _share(flags: np.ndarray) -> float:
    return float(flags.mean()) if len(flags) else float("nan")
