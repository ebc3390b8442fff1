"""Coarser bars that are stored: whole ones alone, with what they were made of, kept up to date."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.cli.app import main
from delever.errors import ConflictError, InputError

DAILY, WEEKLY = "v/ohlcv/BTC/USD/1d", "v/ohlcv/BTC/USD/1w"


def bars(rows: int = 40, start: str = "2021-01-01") -> pd.DataFrame:
    """From a Friday on; every price of its own."""
    days = pd.date_range(start, periods=rows, tz="UTC", unit="ns", name="open_time")
    close = 100.0 + np.arange(rows) + 0.5 * (np.arange(rows) % 3)
    frame = pd.DataFrame({"open": close - 1, "high": close + 2, "low": close - 3}, index=days)
    return frame.assign(close=close, volume=np.arange(rows) + 1.0)


def weeks(frame: pd.DataFrame) -> pd.DataFrame:
    """By pandas: weeks from Monday, those alone that seven days fill or could have."""
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    made = frame.resample("W-MON", closed="left", label="left").agg(how)
    closed = made.index + pd.Timedelta(days=7) <= frame.index[-1] + pd.Timedelta(days=1)
    return made[(made.index >= frame.index[0]) & closed]


def test_weeks_of_days_are_stored_with_what_they_were_made_of(workspace, capsys):
    frame = bars().drop(bars().index[[12, 13]])
    dl.import_data(frame, "v", "BTC/USD", notes=["close-only"])
    done = dl.data_resample(DAILY, "1w")
    stored = dl.load(WEEKLY)
    pd.testing.assert_frame_equal(stored.frame, weeks(frame), check_freq=False, check_names=False)
    assert done.reports[0].added == 5
    assert stored.publication_lag == pd.Timedelta(days=7)
    assert stored.notes == (
        f"resampled from {DAILY}; 1 bar made of fewer than there should be, first 2021-01-11",
        "close-only",
    )
    (record,) = stored.provenance
    assert (record["resampled"], record["id"]) == (DAILY, dl.load(DAILY).id)
    # Again it changes nothing.
    assert main(["data", "resample", DAILY, "1w", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["added"] == 0
    assert len(dl.load(WEEKLY).provenance) == 1
    assert dl.data_check(WEEKLY).checks[0].problems == ()


def test_they_follow_what_is_added_mended_and_dropped(workspace):
    dl.import_data(bars(), "v", "BTC/USD")
    dl.data_resample(DAILY, "1w")
    dl.import_data(bars(60), "v", "BTC/USD")
    dl.data_mend(DAILY, bars().iloc[[12]].assign(high=999.0), why="seen", by="ann")
    assert dl.data_resample(DAILY, "1w").reports[0].added == 3
    expected = bars(60)
    expected.iloc[12, 1] = 999.0
    stored = dl.load(WEEKLY)
    pd.testing.assert_frame_equal(
        stored.frame, weeks(expected), check_freq=False, check_names=False
    )
    assert [note.partition(" ")[0] for note in stored.notes] == ["resampled", "mended"]
    dl.data_drop(DAILY, "2021-02-10", by="ann")
    dl.data_resample(DAILY, "1w")
    assert len(dl.load(WEEKLY).frame) == 5
    dl.data_undo(WEEKLY)
    assert len(dl.load(WEEKLY).frame) == 8


def test_other_bars_are_not_written_over_and_what_fills_nothing_is_refused(workspace):
    dl.import_data(bars(), "v", "BTC/USD")
    dl.import_data(weeks(bars()) * 2, "v", "BTC/USD", timeframe="1w")
    with pytest.raises(ConflictError, match=r"must hold nothing but bars made of .* --venue"):
        dl.data_resample(DAILY, "1w")
    dl.data_resample(DAILY, "1w", venue="v-days")
    assert len(dl.load("v-days/ohlcv/BTC/USD/1w").frame) == 5
    for timeframe, said in (
        ("1h", "must be coarser than the 1d"),
        ("60d", "its 40 bars cannot"),
    ):
        with pytest.raises(InputError, match=said):
            dl.data_resample(DAILY, timeframe, venue="w")
    dl.import_data(bars()[["close"]], "v", "FEAR", kind="series", timeframe="1d")
    with pytest.raises(InputError, match="bars are resampled"):
        dl.data_resample("v/series/FEAR/1d", "1w")


def test_a_holdout_stays_held_out_of_what_is_made_of_it(workspace):
    dl.import_data(bars(), "v", "BTC/USD")
    seal = workspace.root / "data" / "holdout.toml"
    seal.write_text("[holdout]\nfrom = 2021-01-25\n")
    assert dl.data_resample(DAILY, "1w").reports[0].entry.rows == 5
    assert str(dl.load(WEEKLY).frame.index[-1].date()) == "2021-01-18"
    seal.unlink()
    pd.testing.assert_frame_equal(
        dl.load(WEEKLY).frame, weeks(bars()), check_freq=False, check_names=False
    )


def test_what_comes_later_changes_no_week_that_has_closed(workspace):
    dl.import_data(bars(60), "v", "BTC/USD")
    dl.data_resample(DAILY, "1w")
    known = dl.load(WEEKLY).frame
    later = bars(60)
    later.iloc[40:] *= 3
    dl.import_data(later, "w", "BTC/USD")
    dl.data_resample("w/ohlcv/BTC/USD/1d", "1w")
    changed = dl.load("w/ohlcv/BTC/USD/1w").frame
    closed = known.index + pd.Timedelta(days=7) <= later.index[40]
    assert closed.sum() == 5
    pd.testing.assert_frame_equal(known[closed], changed[closed])
