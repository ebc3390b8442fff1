"""The lag from a trough that does not fall on the open of a bar."""

from __future__ import annotations

import pandas as pd

from delever.deleveraging.overlap import overlap
from delever.deleveraging.period import Period


def test_the_lag_runs_from_the_bar_that_holds_the_trough() -> None:
    weeks = pd.date_range("2020-01-06", periods=6, freq="7D", tz="UTC", unit="ns")
    state = pd.Series([False, False, False, True, True, False], index=weeks)
    # The third week opens on Monday the 20th and holds the trough, a Thursday.
    for trough, lag in (("2020-01-20", 1), ("2020-01-23", 1), ("2020-01-26", 1), ("2020-01-27", 0)):
        one = Period(
            id="x", title="", start=weeks[1], trough=pd.Timestamp(trough, tz="UTC"), end=weeks[5]
        )
        report = overlap(state, [one], "1w")
        assert report.periods.loc["x", ["lag", "lag_trough"]].tolist() == [2, lag]
