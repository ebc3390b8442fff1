"""A short on a confirmed breach: when it is asked for, and a stop above it that acts in the bar."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.study.runs.run import Run
from delever.study.workspaces.strategy import load_strategy
from delever.study.workspaces.workspace import Workspace
from delever.view import MarketView

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "backtests" / "short_the_break.toml"
NAN = float("nan")
SYMBOL = "BTC/USDT:USDT"


def asked(closes: list[float], **params: Any) -> list[float]:
    """Exposure on daily bars from a Monday, without ranges."""
    index = pd.date_range("2024-01-01", periods=len(closes), tz="UTC")
    bars = pd.DataFrame(
        dict.fromkeys(["open", "high", "low", "close"], pd.Series(closes, index=index, dtype=float))
    )
    strategy = load_strategy(ROOT / "strategies" / "short_the_break.py")
    return strategy.target(MarketView(bars=bars, timeframe="1d"), params)["exposure"].tolist()


def test_is_short_from_a_confirmed_breach_until_the_support_is_regained() -> None:
    # The support of one week is 10. Two closes below it make a breach; 11 undoes the first one.
    # 10 stands on the support and changes nothing, 10.1 regains it.
    closes = [10.0] * 7 + [9, 11, 9, 9.5, 10, 10.1, 9.9]
    np.testing.assert_array_equal(
        asked(closes, weeks=1, confirm_bars=2), [NAN] * 7 + [0, 0, 0, -1, -1, 0, 0]
    )
    np.testing.assert_array_equal(
        asked(closes, weeks=1, confirm_bars=1), [NAN] * 7 + [-1, 0, -1, -1, -1, 0, -1]
    )


def test_a_lower_support_that_breaks_meanwhile_is_the_same_breach() -> None:
    # 8 breaks 10; the week after has the support 7 and 6 breaks that: still short of the first.
    closes = [10.0] * 7 + [8, 7, 7, 7, 7, 7, 7] + [6, 9, 10, 10.5]
    np.testing.assert_array_equal(
        asked(closes, weeks=1, confirm_bars=1), [NAN] * 7 + [-1] * 7 + [-1, -1, -1, 0]
    )


def made(workspace: Workspace, **overrides: Any) -> Run:
    """Daily bars that breach 100 and rise to 102.5 inside a bar that closes at 91 again."""
    #         week of 100 |  breach: 95, 92 -> short at the open of 92
    closes = [100.0] * 7 + [95, 92, 90, 91, 89, 88, 87]
    index = pd.date_range("2024-01-01", periods=len(closes), tz="UTC", name="open_time")
    close = np.array(closes)
    opened = np.append(100.0, close[:-1])
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    high[10] = 102.5
    bars = pd.DataFrame(
        {"open": opened, "high": high, "low": low, "close": close, "volume": 1.0}, index=index
    )
    workspace.catalog.add(bars, f"made/ohlcv/{SYMBOL}/1d")
    file = workspace.backtests / STUDY.name
    shutil.copyfile(STUDY, file)
    settings = {"data": f"made/ohlcv/{SYMBOL}/1d", "params.weeks": 1, **overrides}
    return dl.run(file, workspace=workspace, set=settings)


def test_the_stop_is_met_inside_the_bar_though_its_close_is_far_below(workspace: Workspace) -> None:
    run = made(workspace)
    trade = run.trades.iloc[0]
    # Decided at the close of 92, sold at the next open of 92 less 5 bp; bought back 2 % above the
    # broken support, wherever it was sold, in the bar whose high is 102.5 and whose close is 91.
    entry = 92 * (1 - 0.0005)
    assert (trade["side"], trade["exit_reason"]) == (-1, "stop_loss")
    assert trade["entry_time"] == pd.Timestamp("2024-01-10", tz="UTC")
    assert trade["exit_time"] == pd.Timestamp("2024-01-11", tz="UTC")
    assert trade["entry_price"] == pytest.approx(entry, rel=1e-12)
    assert trade["exit_price"] == pytest.approx(102.0 * (1 + 0.0005), rel=1e-12)
    # One entry per breach: the support stays broken, and nothing is sold again.
    assert len(run.trades) == 1
    assert "funding: missing stamps paid nothing (there is none)" in run.notes


def test_without_its_stop_it_would_still_be_short(workspace: Workspace) -> None:
    run = made(workspace, **{"params.stop": 0.03})
    assert run.trades["status"].tolist() == ["open"]


def test_its_study_runs_on_the_sample_as_it_stands(workspace: Workspace) -> None:
    file = workspace.backtests / STUDY.name
    assert file.read_text() == STUDY.read_text()
    run = dl.run(file, workspace=workspace)
    trades = run.trades
    assert len(trades) > 10
    assert set(trades["side"]) == {-1}
    stopped = trades[trades["exit_reason"] == "stop_loss"]
    assert len(stopped) > 3
    # On bars that open where the day before closed, no stop is jumped over.
    level = run.evaluation.lines["breached level"].shift(1)[stopped["exit_time"]].to_numpy()
    np.testing.assert_allclose(stopped["exit_price"], level * 1.02 * 1.0005, rtol=1e-9)
    assert (run.evaluation.backtest.ledger["funding"] == 0).all()


def test_real_shorts_pay_the_funding_that_was_settled(
    workspace: Workspace, shared_data: Path
) -> None:
    bars = pd.read_csv(
        shared_data / "btcusdt_perp_4h_binance.csv.gz", parse_dates=["timestamp"], index_col=0
    ).loc[:"2022-12-31"]
    rates = pd.read_csv(
        shared_data / "funding_btcusdt_8h_binance.csv", parse_dates=["timestamp"], index_col=0
    )
    workspace.catalog.add(bars, f"binanceusdm/ohlcv/{SYMBOL}/4h")
    workspace.catalog.add(rates, f"binanceusdm/funding/{SYMBOL}/8h")
    file = workspace.backtests / STUDY.name
    run = dl.run(
        file,
        workspace=workspace,
        set={
            "data": f"binanceusdm/ohlcv/{SYMBOL}/4h",
            "params.weeks": 2,
            "account.rules": "binanceusdm",
            "account.funding": f"binanceusdm/funding/{SYMBOL}/8h",
            "account.funding_policy": "required",
        },
    )
    closed = run.trades[run.trades["status"] == "closed"]
    assert len(closed) > 10
    assert {"stop_loss", "take_profit", "target"} <= set(closed["exit_reason"])
    # A stop is worse than its price only where the bar opened beyond it.
    named = run.evaluation.lines["stop_price"].shift(1)
    for trade in closed[closed["exit_reason"] == "stop_loss"].itertuples():
        # The contract's ticks are 0.1: a stop that lies between two acts at the one farther away.
        stop = math.ceil(named[trade.exit_time] * 10 - 1e-6) / 10
        bar = bars.loc[trade.exit_time]
        assert bar["high"] >= stop
        assert trade.exit_price == pytest.approx(max(stop, bar["open"]) * 1.0005, rel=1e-9)
    # Funding, from the files alone: a short receives position times price times rate at every
    # stamp after its entry's bar opened and up to the open it was closed at.
    for trade in closed[closed["exit_reason"] == "target"].itertuples():
        held = rates.loc[
            (rates.index > trade.entry_time) & (rates.index <= trade.exit_time), "funding_rate"
        ]
        due = (abs(trade.quantity) * bars["open"].reindex(held.index) * held).sum()
        assert trade.funding == pytest.approx(due, rel=1e-9, abs=1e-9)
