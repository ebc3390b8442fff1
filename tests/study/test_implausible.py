"""A page that is made of implausible input says so before anything else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import delever as dl

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]


def bars(rows: int = 160) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    close = 20_000 * np.exp(np.cumsum(rng.normal(0.001, 0.02, rows)))
    open_ = np.append(20_000.0, close[:-1])
    days = pd.date_range("2021-01-01", periods=rows, tz="UTC", name="open_time")
    high, low = np.maximum(open_, close) * 1.01, np.minimum(open_, close) * 0.99
    prices = {"open": open_, "high": high, "low": low, "close": close}
    return pd.DataFrame(prices | {"volume": rng.uniform(1, 9, rows)}, index=days)


def with_wick(frame):
    frame.iloc[60, 2] /= 10


def with_jump(frame):
    frame.iloc[60:, :4] *= 1000


def without_volume(frame):
    frame.iloc[60:70, 4] = 0.0


def repeated(frame):
    frame.iloc[60] = frame.iloc[59]


def frozen(frame):
    frame.iloc[60:70, :4] = frame["close"].iloc[59]


KINDS = {
    with_wick: "implausible bars, left as they are: 1 bar has a wick far outside its neighbours: "
    "2021-03-02 low ",
    with_jump: "1 price jump far beyond the bars before, as where another coin, unit or contract "
    "begins: x ",
    without_volume: "10 bars move without volume, first 2021-03-02",
    repeated: "1 bar repeats an earlier one to the digit, first 2021-03-02",
    frozen: "1 stretch stays equal to the digit: close ",
}


@pytest.mark.parametrize("spoil", KINDS)
def test_a_run_on_an_implausible_bar_says_so_first(workspace, spoil):
    frame = bars()
    spoil(frame)
    market = dl.market(frame, timeframe="1d")
    done = dl.backtest(market, "buy_and_hold", costs=dl.Costs())
    assert KINDS[spoil] in done.notes[0]
    assert sum(note.startswith("implausible") for note in done.notes) == 1
    assert market.notes == (done.notes[0],)


@pytest.mark.drawn(True)
def test_a_page_shows_every_kind_above_its_figures(workspace):
    frame = bars()
    frame.iloc[30, 4] = 0.0
    frame.iloc[80, 2] /= 10
    frame.iloc[100:, :4] *= 3
    stuck = pd.DataFrame({"open_interest": np.arange(160.0) ** 2 + 5}, index=frame.index)
    stuck.iloc[20:30] = 7.0
    market = dl.market(frame, timeframe="1d", series={"oi": (stuck, "1d")})
    page = dl.backtest(market, "buy_and_hold", costs=dl.Costs(), quick=True).html()
    first_screen = page.partition('id="time"')[0]
    assert "Read this first" in first_screen
    for said in (
        "1 bar has a wick far outside its neighbours",
        "1 price jump far beyond",
        "1 bar moves without volume",
        "oi: 1 stretch stays equal to the digit: open_interest 7",
    ):
        assert said in first_screen


def test_what_lies_outside_a_run_is_told_apart_and_the_future_is_not_told(workspace):
    frame = bars()
    for row in (20, 60, 150):
        frame.iloc[row, 2] /= 10
    market = dl.market(frame, timeframe="1d")
    done = dl.backtest(
        market, "buy_and_hold", costs=dl.Costs(), start="2021-02-01", end="2021-05-01"
    )
    (said,) = (note for note in done.notes if note.startswith("implausible"))
    assert "2021-03-02 low" in said
    assert "before the run, for its signals: 1 bar has a wick" in said
    assert "2021-01-21 low" in said
    assert "2021-05-31" not in said
    later = dl.backtest(
        market, "buy_and_hold", costs=dl.Costs(), start="2021-03-10", end="2021-05-01"
    )
    assert later.notes[0].startswith(
        "implausible bars before the run, which its signals alone see, left as they are: 2 bars"
    )


def test_bars_after_a_run_have_no_say_in_what_is_said_of_it(workspace):
    frame = bars()
    frame.iloc[60, 2] /= 10
    other = frame.copy()
    other.iloc[61:] /= 12  # low as the wick, so that with them it has neighbours
    stuck = pd.DataFrame({"oi": np.arange(160.0) ** 2 + 5}, index=frame.index)
    said = []
    later = stuck.copy()
    later.iloc[55:] = 9.0  # most of it after the run
    for one, series in ((frame, later.iloc[:61]), (other, later)):
        market = dl.market(one, timeframe="1d", series={"oi": (series, "1d")})
        done = dl.backtest(market, "buy_and_hold", costs=dl.Costs(), end=frame.index[61])
        said.append([note for note in done.notes if note.startswith("implausible")])
    assert said[0] == said[1]
    assert "2021-03-02 low" in said[0][0]
    assert "(6 readings)" in said[0][1]


def test_a_liquidation_in_such_a_bar_is_said_beside_it(workspace):
    frame = bars()
    frame.iloc[60, 2] /= 10
    account = dl.Account(
        contract="BTC/USDT:USDT",
        rules="generic",
        leverage=2.0,
        exposure=2.0,
        funding_policy="missing-is-zero",
    )
    market = dl.market(frame, timeframe="1d")
    done = dl.backtest(market, "buy_and_hold", account=account, costs=dl.Costs())
    assert done.trades["status"].tolist() == ["liquidated"]
    assert done.notes[0].startswith("slippage: none was said")
    assert "the liquidation of 2021-03-02 00:00 came in such a bar" in done.notes[1]
    whole = dl.backtest(
        dl.market(bars(), timeframe="1d"), "buy_and_hold", account=account, costs=dl.Costs()
    )
    assert not any("implausible" in note for note in whole.notes)


def test_a_mark_that_liquidates_alone_is_said_to_be_implausible(workspace):
    frame = bars()
    mark = frame[["open", "high", "low", "close"]].copy()
    mark.iloc[60, 2] /= 10
    account = dl.Account(
        contract="BTC/USDT:USDT",
        rules="generic",
        leverage=2.0,
        exposure=2.0,
        funding_policy="missing-is-zero",
        mark=mark,
    )
    done = dl.backtest(
        dl.market(frame, timeframe="1d"), "buy_and_hold", account=account, costs=dl.Costs()
    )
    (said,) = (note for note in done.notes if note.startswith("implausible"))
    assert said.startswith("implausible mark prices, left as they are: 1 bar has a wick")
    assert said.endswith("the liquidation of 2021-03-02 00:00 came in such a bar")


def test_what_was_earned_across_holes_is_said(workspace):
    frame = bars()
    # Held from the second open on; across three days that are not there the price doubles.
    frame.iloc[63:, :4] *= 2 * frame["close"].iloc[59] / frame["open"].iloc[63]
    frame = frame.drop(frame.index[60:63])
    done = dl.backtest(dl.market(frame, timeframe="1d"), "buy_and_hold", costs=dl.Costs())
    assert any(
        "1 hole in the bars, held through, made +100.0% of equity up to 2021-03-05" in note
        for note in done.notes
    )
    flat = pd.Series(0.0, index=frame.index)
    idle = dl.backtest(dl.market(frame, timeframe="1d"), flat, costs=dl.Costs())
    assert not any("held through" in note for note in idle.notes)


@pytest.mark.drawn(True)
def test_every_other_page_says_it_first(workspace):
    frame = bars(400)
    frame.iloc[60, 2] /= 10
    market = dl.market(frame, timeframe="1d", end="2021-12-31")
    line = "1 bar has a wick far outside its neighbours: 2021-03-02 low"
    swept = dl.sweep(market, "support_breach", {"weeks": [4, 8]})
    assert line in swept.html().partition('id="about"')[0]
    assert line in swept.to_dict()["notes"][0]
    study = dl.signal_study(
        "average", market, {"weeks": 10}, design=dl.StudyDesign(draws=5, horizons=(5,), decides=5)
    )
    assert line in study.html().partition("<nav")[2].partition("<h2")[2][:2000]
    for report in (dl.periods(market), dl.detect(market)):
        assert line in report.notes[0]
        assert line in report.html().partition("<table")[0]
    dl.import_data(frame, "v", "BTC/USD", workspace=workspace)
    claims = workspace.root / "backtests" / "claims_2026_02.toml"
    audit = dl.claims(claims, data={"bitcoin": "v/ohlcv/BTC/USD/1d"}, workspace=workspace)
    assert line in audit.notes[0]
    assert line in audit.html().partition('id="audit"')[0]
    state = dl.state("2021-12-01", data="v/ohlcv/BTC/USD/1d", workspace=workspace)
    assert any(line in note for note in state.notes)
