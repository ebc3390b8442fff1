"""One market at two venues: what differs is named, what is scaled or shifted is said to be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.cli.app import main
from delever.errors import InputError

OURS, THEIRS = "v/ohlcv/BTC/USD/1d", "w/ohlcv/BTC/USDT/1d"


def bars(rows: int = 60, freq: str = "D") -> pd.DataFrame:
    rng = np.random.default_rng(9)
    close = 20_000 * np.exp(np.cumsum(rng.normal(0, 0.02, rows)))
    open_ = np.append(20_000.0, close[:-1])
    days = pd.date_range("2021-01-01", periods=rows, freq=freq, tz="UTC", name="open_time")
    high, low = np.maximum(open_, close) * 1.01, np.minimum(open_, close) * 0.99
    prices = {"open": open_, "high": high, "low": low, "close": close}
    return pd.DataFrame(prices | {"volume": 1.0}, index=days)


def held_against(ours: pd.DataFrame, theirs: pd.DataFrame) -> dl.DataCheck:
    dl.import_data(ours, "v", "BTC/USD", timeframe="1d")
    dl.import_data(theirs, "w", "BTC/USDT", timeframe="1d")
    return dl.data_check(OURS, against=THEIRS)


def test_a_wrong_low_is_named_with_both_prices(workspace, capsys):
    theirs = bars().drop(bars().index[[5]])
    ours = bars().drop(bars().index[[9]])
    ours.loc["2021-01-21", "low"] /= 2
    found = held_against(ours, theirs)
    assert found.against is not None
    low = theirs.loc["2021-01-21", "low"].item()
    assert found.against.said == (
        "in both: 58 bars, 0.00% apart at the close as a rule; here alone: 1, there alone: 1",
        f"1 bar is more than 5% apart: 2021-01-21 low {low / 2:,.0f} here and {low:,.0f} there",
    )
    assert found.tables[f"against {THEIRS}"]["column"].tolist() == ["low"]
    assert main(["data", "check", OURS, "--against", THEIRS, "--html", "c.html"]) == 1
    assert f"note: beside {THEIRS}: 1 bar is more than 5% apart" in capsys.readouterr().out
    assert "1 bar is more than 5% apart" in Path("c.html").read_text()
    assert main(["data", "check", OURS, "--against", THEIRS, "--json"]) == 1
    (one,) = json.loads(capsys.readouterr().out)
    assert one["unknown"] == 1
    assert one["against"]["apart"][0]["column"] == "low"


def test_another_unit_and_another_clock_are_said(workspace):
    theirs = bars()
    theirs.iloc[:, :4] *= 1000
    said = held_against(bars(), theirs).against.said
    assert said[0].startswith("these closes are x 0.001 of its own")
    assert said[-1] == "no price is more than 5% apart"
    dl.data_replace(THEIRS, bars().shift(freq="D"), by="a")
    said = dl.data_check(OURS, against=THEIRS).against.said
    assert said[0].startswith("its moves come 1 bar later")


def test_finer_bars_are_brought_to_the_timeframe_and_coarser_ones_are_refused(workspace):
    hours = bars(24 * 30, "h")
    days = hours.resample("D").agg(
        {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    )
    dl.import_data(days, "v", "BTC/USD", timeframe="1d")
    dl.import_data(hours, "w", "BTC/USDT", timeframe="1h")
    found = dl.data_check(OURS, against="w/ohlcv/BTC/USDT/1h").against
    assert (found.shared, found.typical, len(found.rows)) == (30, 0.0, 0)
    for one, other, said in (
        ("w/ohlcv/BTC/USDT/1h", OURS, "must not be coarser"),
        (None, OURS, "name the data set"),
    ):
        with pytest.raises(InputError, match=said):
            dl.data_check(one, against=other)
    dl.import_data(bars(3).shift(999, freq="D"), "x", "BTC/USD", timeframe="1d")
    with pytest.raises(InputError, match="share no bar: 2021-01-01 to"):
        dl.data_check(OURS, against="x/ohlcv/BTC/USD/1d")
    fear = bars(9)[["close"]]
    dl.import_data(fear, "x", "FEAR", kind="series", timeframe="1d")
    with pytest.raises(InputError, match="bars are compared"):
        dl.data_check(OURS, against="x/series/FEAR/1d")
