"""What a sample refuses."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from delever.errors import InputError, SchemaError
from delever.stats.metrics import compute
from delever.stats.sample import Sample

DAYS = pd.date_range("2021-01-01", periods=4, tz="UTC", unit="ns", name="open_time")
FLAT = pd.Series(0.0, index=DAYS)
NO_TRADES = pd.DataFrame(columns=["exit_time", "net_pnl", "status"])
GOOD = Sample(
    returns=pd.Series([0.1, -1.0, 0.0, 0.2], index=DAYS),
    benchmark=FLAT,
    exposure=FLAT,
    turnover=FLAT,
    trades=NO_TRADES,
    timeframe="1d",
)


def trade(exit_time: Any, status: str = "closed") -> pd.DataFrame:
    return pd.DataFrame({"exit_time": [exit_time], "net_pnl": [1.0], "status": [status]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"returns": pd.Series([0.1, math.nan, 0.0, 0.2], index=DAYS)},
            r"row 2 \(2021-01-02 00:00\) is nan",
        ),
        ({"returns": pd.Series([0.1, math.inf, 0.0, 0.2], index=DAYS)}, "row 2 .* is inf"),
        ({"returns": pd.Series([0.1, 0.0, -1.01, 0.2], index=DAYS)}, "at least -1; row 3"),
        (
            {"benchmark": pd.Series([0.1, 0.0, 0.0, math.nan], index=DAYS)},
            "benchmark must be finite",
        ),
        ({"benchmark": FLAT.iloc[1:]}, "benchmark must have the index of the returns"),
        ({"exposure": FLAT.shift(freq="1D")}, "exposure must have the index"),
        ({"turnover": FLAT.iloc[:0]}, "turnover must have the index"),
        ({"returns": GOOD.returns.iloc[::-1]}, "strictly increasing"),
        ({"timeframe": "1 day", "spans": None}, "timeframe must be a whole number"),
        ({"spans": np.ones(3)}, r"spans must be one per bar \(4\); got 3"),
        ({"trades": NO_TRADES.drop(columns="status")}, "missing status"),
        (
            {"trades": trade(DAYS[0] - pd.Timedelta(hours=1))},
            "bars; 1 did not, the first with exit_time 2020-12-31 23:00",
        ),
        ({"trades": trade(pd.Timestamp("2021-01-02"))}, "exit_time .* time zone"),
        ({"trades": trade(pd.NaT)}, "every closed trade must end"),
    ],
)
def test_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(GOOD, **changes)


def test_naive_stamps_are_refused() -> None:
    with pytest.raises(SchemaError, match="time zone"):
        dataclasses.replace(GOOD, returns=GOOD.returns.tz_localize(None))


@pytest.mark.parametrize(
    "mask", [np.ones(3, bool), np.ones(4, int), np.ones((4, 1), bool), np.array([0, 1, 2, 3])]
)
def test_a_scope_is_one_boolean_per_bar(mask: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"one boolean per bar \(4\)"):
        GOOD.within(mask)


def test_open_trades_count_nowhere() -> None:
    held = dataclasses.replace(GOOD, trades=trade(pd.NaT, "open"))
    assert held.closed_pnl.size == 0
    assert held.within(np.ones(4, bool)).trades.empty
    assert compute(held)["trades"] == 0.0


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_exits_are_found_whatever_their_resolution(unit: str) -> None:
    trades = pd.DataFrame(
        {
            "exit_time": pd.DatetimeIndex(["2021-01-02", "2021-01-03 12:00"], tz="UTC").as_unit(
                unit
            ),
            "net_pnl": [1.0, 2.0],
            "status": "closed",
        }
    )
    run = dataclasses.replace(GOOD, trades=trades)
    per_bar = [run.within(np.arange(4) == bar).closed_pnl.tolist() for bar in range(4)]
    assert per_bar == [[], [1.0], [2.0], []]


def test_a_part_keeps_order_and_stamps() -> None:
    part = GOOD.within(np.array([True, False, True, False]))
    assert part.returns.index.equals(DAYS[[0, 2]])
    assert part.exposure.index.equals(DAYS[[0, 2]])
    assert part.elapsed.tolist() == [1.0, 2.0]


def test_a_part_of_a_part_has_its_own_bars_of_time_and_trades() -> None:
    days = pd.DatetimeIndex(["2021-01-01", "2021-01-02", "2021-01-05", "2021-01-06"], tz="UTC")
    series = pd.Series([0.1, -0.2, 0.3, -0.1], days)
    exits = pd.DatetimeIndex(["2021-01-02", "2021-01-05 12:00", pd.NaT], tz="UTC")
    ended = {"exit_time": exits, "net_pnl": [1.0, -2.0, 9.0], "status": ["stop", "target", "open"]}
    whole = Sample(
        returns=series, benchmark=-series, exposure=series, turnover=series.abs(),
        trades=pd.DataFrame(ended), timeframe="1d",
    )  # fmt: skip
    assert whole.spans.tolist() == [1.0, 3.0, 1.0, 1.0]
    # What lies behind the second of January counts only where the fifth follows it.
    assert whole.within(np.array([True, True, False, True])).spans.tolist() == [1.0, 1.0, 1.0]
    later = whole.within(np.array([False, True, True, True]))
    assert (later.spans.tolist(), later.closed_pnl.tolist()) == ([3.0, 1.0, 1.0], [1.0, -2.0])
    ends = later.within(np.array([True, False, True]))
    assert (ends.spans.tolist(), ends.closed_pnl.tolist()) == ([1.0, 1.0], [1.0])
    assert ends.trades["net_pnl"].tolist() == [1.0]
    for part in (later, ends, later.within(np.zeros(3, bool))):  # as checked and made anew
        made = {one.name: getattr(part, one.name) for one in dataclasses.fields(part) if one.init}
        pd.testing.assert_series_equal(compute(part), compute(Sample(**made)), check_exact=True)
