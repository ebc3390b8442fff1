"""Where the volume was traded: nodes of the volume profile, anchored average prices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from delever.arguments import whole_number
from delever.bars import close_times
from delever.errors import InputError
from delever.frames import utc_index
from delever.signals.feature import WarmUp, feature
from delever.signals.glossary import described
from delever.signals.levels import support_below
from delever.signals.swings import level_table, swings
from delever.units import timeframe_delta
from delever.view import MarketView

Values = npt.NDArray[np.float64]

_MOST_BINS = 100_000
_DAY = pd.Timedelta(1, "D")
_WEEK = pd.Timedelta(7, "D")


@described
def volume_profile(bars: pd.DataFrame, *, bins: int = 60) -> pd.Series:
    """Volume by price.

    Parameters
    ----------
    bars : pandas.DataFrame, shape (n, k)
        With ``high``, ``low`` and ``volume``; at least one bar.
    bins : int
        Equal steps between the lowest low and the highest high, at least 3.

    Returns
    -------
    pandas.Series, shape (bins,)
        In the unit of the volume, indexed by the middle of each step in quote units; NaN
        throughout when a volume is NaN, empty when the price never moved.

    Notes
    -----
    Bars do not say at which price they traded: the volume of each is spread evenly over its
    range. The sum over all steps is the volume of all bars.
    """
    low, high, volume = (bars[name].to_numpy(dtype="float64") for name in ("low", "high", "volume"))
    total, edges = _spread(low, high, volume, bins)
    return pd.Series(total, index=(edges[1:] + edges[:-1]) / 2)


def _spread(low: Values, high: Values, volume: Values, bins: int) -> tuple[Values, Values]:
    """Volume in each step, and the edges of the steps; no steps when the price never moved."""
    whole_number("bins", bins, 3, _MOST_BINS)
    if not len(low):
        raise InputError("a volume profile needs at least one bar; got none; load a longer span")
    bottom, top = float(low.min()), float(high.max())
    if not bottom < top:
        return np.empty(0), np.empty(1)
    edges = np.linspace(bottom, top, bins + 1)
    # A bar without a range is a sliver just wide enough to fall into the step it lies in.
    span = np.maximum(high - low, (top - bottom) * 1e-9)
    start = np.minimum(low, top - span)
    # What lies below each edge, bar by bar; the steps are the differences.
    below = np.clip((edges - start[:, None]) / span[:, None], 0.0, 1.0)
    return np.diff(volume @ below), edges


@feature(
    "volume_support",
    unit="price",
    title="nearest node of the volume of {weeks} weeks below",
    read=support_below,
    warm_up=lambda weeks: WarmUp(coarse=weeks, before_open=True),
    waits=True,
)
@described
def volume_nodes(
    market: MarketView, *, weeks: int = 52, bins: int = 60, nodes: int = 5
) -> pd.DataFrame:
    """Prices at which most was traded over the last weeks, drawn anew as each week closes.

    Parameters
    ----------
    market : MarketView
        The market, bars of a week or finer; finer than a day are summed to days first.
    weeks : int
        Closed weeks in the profile, at least 1.
    bins : int
        Steps of the profile, at least 3.
    nodes : int
        At most so many of the highest local peaks, at least 1.

    Returns
    -------
    pandas.DataFrame, shape (k, 5)
        A table of levels of kind ``volume_node``, in force for a week each; none before `weeks`
        weeks have closed or where the volume is unknown.
    """
    if weeks < 1 or nodes < 1:
        raise InputError(f"weeks and nodes must be at least 1; got {weeks} and {nodes}")
    fine = market.timeframe
    bars = market.bars
    if timeframe_delta(fine) < _DAY:
        fine, bars = "1d", market.resample("1d")
    opens = pd.DatetimeIndex(bars.index)
    closes = close_times(opens, fine)
    ends = close_times(pd.DatetimeIndex(market.resample("1w").index), "1w")
    rows: list[tuple[float, str, pd.Timestamp, pd.Timestamp, object]] = []
    firsts = opens.searchsorted(ends - weeks * _WEEK)
    lasts = closes.searchsorted(ends, side="right")
    columns = [bars[name].to_numpy(dtype="float64") for name in ("low", "high", "volume")]
    for place in range(weeks - 1, len(ends)):
        if opens[0] > ends[place] - weeks * _WEEK:
            continue  # of coarser bars before these, the volume by price is not known
        inside = slice(firsts[place], lasts[place])
        ended = ends[place + 1] if place + 1 < len(ends) else pd.NaT
        low, high, volume = (values[inside] for values in columns)
        for price in _peaks(*_spread(low, high, volume, bins), nodes):
            rows.append((price, "volume_node", opens[firsts[place]], ends[place], ended))
    return level_table(rows)


def _peaks(volume: Values, edges: Values, nodes: int) -> list[float]:
    around = np.concatenate([[0.0], volume, [0.0]])
    local = np.flatnonzero((volume > around[:-2]) & (volume >= around[2:]))
    chosen = local[np.argsort(-volume[local], kind="stable")[:nodes]]
    return [float(price) for price in (edges[chosen] + edges[chosen + 1]) / 2]


@described
def anchored_vwap(market: MarketView, *, anchor: pd.Timestamp) -> pd.Series:
    """Average price of everything traded since a moment, weighted by volume.

    In quote units, as known at each bar's close; NaN before the anchor, without volume, and
    from an undefined volume on.

    Parameters
    ----------
    anchor : pandas.Timestamp
        UTC; the first bar that opens at or after it is the first one counted.

    Raises
    ------
    SchemaError
        If the anchor carries no time zone.

    Notes
    -----
    ``sum(volume * (high + low + close) / 3) / sum(volume)``. An anchor chosen because of what
    came after it is hindsight; `swing_vwap` anchors where a swing was known.
    """
    at = utc_index(pd.DatetimeIndex([anchor]), "anchor", "anchor")[0]
    first = int(market.index.searchsorted(at))
    rows = np.arange(len(market.index))
    return _vwap(market.bars, np.where(rows >= first, first, -1))


@feature(
    "swing_vwap",
    unit="price",
    title="average price since the last {kind}",
    warm_up=lambda bars: WarmUp(bars=2 * bars + 1),
    waits=True,
)
@described
def swing_vwap(market: MarketView, *, bars: int = 15, kind: str = "swing_high") -> pd.Series:
    """Average price since the last confirmed swing, weighted by volume.

    In quote units, as known at each bar's close: from the close that confirms a swing on, the
    average counts from the swing itself. NaN before the first one.

    Parameters
    ----------
    bars : int
        Bars on either side of a swing, at least 1.
    kind : {"swing_high", "swing_low"}
        From which swings.
    """
    if kind not in ("swing_high", "swing_low"):
        raise InputError(f"kind must be 'swing_high' or 'swing_low'; got {kind!r}")
    table = swings(market, bars=bars)
    table = table[table["kind"] == kind]
    born, origin = pd.DatetimeIndex(table["born"]), pd.DatetimeIndex(table["origin"])
    place = born.searchsorted(market.close_time, side="right") - 1
    starts = np.append(market.index.searchsorted(origin), -1)
    return _vwap(market.bars, starts[place])


def _vwap(bars: pd.DataFrame, first: npt.NDArray[np.intp]) -> pd.Series:
    """Average since row ``first[t]``, that row included; NaN where it is -1."""
    volume = bars["volume"].to_numpy(dtype="float64")
    typical = (bars["high"] + bars["low"] + bars["close"]).to_numpy(dtype="float64") / 3
    rows = np.arange(len(first))
    sums = []
    for part in (volume * typical, volume):
        upto = np.concatenate([[0.0], np.cumsum(part)])
        sums.append(upto[rows + 1] - upto[np.maximum(first, 0)])
    value = np.divide(
        sums[0], sums[1], out=np.full(len(rows), np.nan), where=(first >= 0) & (sums[1] > 0)
    )
    return pd.Series(value, index=bars.index, name="vwap")
