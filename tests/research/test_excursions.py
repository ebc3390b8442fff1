"""The worst and the best of each open trade, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from delever.engine.backtest import backtest
from delever.engine.settings import Account
from delever.research.excursions import excursions

DAYS = pd.date_range("2021-01-01", periods=8, tz="UTC", name="open_time")
OPENS = [100.0, 100, 104, 90, 96, 100, 100, 110]
BARS = pd.DataFrame(
    {
        "open": OPENS,
        "high": [100.0, 106, 108, 97, 99, 101, 112, 115],
        "low": [99.0, 98, 88, 85, 95, 99, 99, 108],
        "close": [100.0, 104, 90, 96, 99, 100, 110, 112],
    },
    index=DAYS,
)


def run(targets: list[float], **account: float):
    held = Account(**account) if account else None
    return backtest(BARS, pd.Series(targets, index=DAYS), timeframe="1d", account=held)


def test_a_long_counts_its_bars_and_of_the_last_only_the_exit() -> None:
    trades = run([1.0, 1, 1, 0, 0, 0, 0, 0]).trades
    found = excursions(trades, BARS)
    # In at 100 on day 1, out at the open of day 4; highs to 108 and lows to 85 lie between.
    np.testing.assert_allclose(found, [[-0.15, 0.08]])


def test_a_short_is_the_other_way_round_and_an_open_trade_counts_to_the_end() -> None:
    trades = run([-1.0, 0, 0, 0, 0, -1, -1, -1]).trades
    found = excursions(trades, BARS)
    # Short at 100 on day 1 only, out at 104; short again at 100 from day 6 on, never left.
    np.testing.assert_allclose(found, [[-0.06, 0.02], [-0.15, 0.01]])


def test_a_stop_inside_a_bar_counts_its_price_and_not_what_the_bar_did_after_it() -> None:
    trades = run([1.0] * 8, stop_loss=0.05).trades
    assert trades["exit_reason"].iloc[0] == "stop_loss"
    [worst, best] = excursions(trades, BARS).iloc[0]
    # Bought at 100 on day 1; day 2 falls through 95, after or before its high of 108.
    np.testing.assert_allclose([worst, best], [-0.05, 0.06])


def test_of_a_trade_entered_before_the_bars_nothing_is_said() -> None:
    whole = run([1.0, 1, 1, 0, 0, 0, 0, 0])
    late = whole.window(DAYS[2], DAYS[7] + pd.Timedelta("1D"))
    assert late.trades["carried_in"].tolist() == [True]
    assert excursions(late.trades, BARS.iloc[2:]).isna().all(axis=None)


def test_no_trades_have_no_rows() -> None:
    assert excursions(run([0.0] * 8).trades, BARS).shape == (0, 2)
