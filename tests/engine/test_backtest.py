"""What a run means, on markets small enough to follow by hand."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from delever.engine.backtest import ATTRIBUTION, Backtest, backtest, rerun
from delever.engine.settings import Account
from delever.errors import DeleverError, InputError
from delever.venues.costs import Costs

NAN = float("nan")


def market(*bars: Sequence[float]) -> pd.DataFrame:
    index = pd.date_range("2021-01-01", periods=len(bars), tz="UTC", name="open_time")
    return pd.DataFrame(list(bars), columns=["open", "high", "low", "close"], index=index)


def flat_bars(*prices: float) -> pd.DataFrame:
    return market(*[(price, price, price, price) for price in prices])


def run(bars: pd.DataFrame, targets: Sequence[float], **options: Any) -> Backtest:
    options = {"timeframe": "1d", "initial_equity": 1000.0, **options}
    return backtest(bars, pd.Series(targets, index=bars.index, dtype=float), **options)


def stamp(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


@pytest.mark.parametrize("engine", ["numba", "plain"], indirect=True)
def test_a_decision_is_filled_at_the_next_open_with_costs_inside_the_target(engine: Any) -> None:
    bars = market((90, 100, 80, 100), (110, 130, 100, 120), (125, 130, 120, 130))
    done = run(bars, [1, 0, 0], costs=Costs(taker_fee=0.25, slippage=0.1), engine=engine)
    # Bought at 110 * 1.1 = 121 with 1,000 = q * 121 * 1.25; sold at 125 * 0.9 = 112.5.
    quantity = Fraction(1000) / (121 * Fraction(5, 4))
    proceeds = quantity * Fraction(225, 2)
    assert done.equity.tolist() == pytest.approx(
        [1000.0, float(quantity * 120), float(proceeds * Fraction(3, 4))], rel=1e-14
    )
    ledger = done.ledger
    assert ledger["target_exposure"].tolist() == [0.0, 1.0, 0.0]
    assert ledger["exposure"].tolist() == pytest.approx([0.0, 1.0, 0.0])
    assert ledger["position"].tolist() == pytest.approx([0.0, float(quantity), 0.0])
    assert ledger["turnover"].tolist() == pytest.approx(
        [0.0, 0.8, float(proceeds / (quantity * 125))]
    )
    assert ledger["fee"].tolist() == pytest.approx([0.0, 200.0, float(proceeds / 4)])
    assert ledger["slippage"].tolist() == pytest.approx(
        [0.0, float(quantity * 11), float(quantity * Fraction(25, 2))]
    )
    assert ledger["price_pnl"].tolist() == pytest.approx(
        [0.0, float(quantity * 10), float(quantity * 5)]
    )
    fills = done.fills
    assert fills["time"].tolist() == bars.index[1:].tolist()
    assert fills["price"].tolist() == pytest.approx([121.0, 112.5])
    assert fills["notional"].tolist() == pytest.approx([800.0, float(proceeds)])
    assert fills["exposure"].tolist() == pytest.approx([1.0, 0.0])
    assert fills["reason"].tolist() == ["target", "target"]
    (trade,) = done.trades.to_dict("records")
    assert (trade["entry_time"], trade["exit_time"]) == (bars.index[1], bars.index[2])
    assert (trade["side"], trade["bars"], trade["status"]) == (1, 1, "closed")
    assert (trade["entry_price"], trade["exit_price"]) == pytest.approx((121.0, 112.5))
    assert trade["gross_pnl"] == pytest.approx(float(quantity * 15))
    assert trade["net_pnl"] == pytest.approx(float(proceeds * Fraction(3, 4) - 1000))
    assert trade["return"] == pytest.approx(float(proceeds * Fraction(3, 4) / 1000 - 1))


def test_the_first_open_is_filled_only_by_a_decision_made_before_it() -> None:
    bars = flat_bars(100.0, 110.0, 120.0)
    assert run(bars, [1, 1, 1]).equity.tolist() == pytest.approx([1000, 1000, 12000 / 11])
    early = run(bars, [1, 1, 0], initial_target=1.0)
    assert early.equity.tolist() == pytest.approx([1000.0, 1100.0, 1200.0])
    assert early.pending_target == 0.0
    assert run(bars, [0, 0, -0.5]).pending_target == -0.5


def test_a_position_drifts_until_the_target_changes_or_the_band_is_left() -> None:
    bars = flat_bars(100.0, 100.0, 300.0, 300.0)
    # Half of 1,000 at 100; at 300 equity is 2,000 and exposure 0.75.
    drifting = run(bars, [0.5] * 4)
    assert drifting.ledger["exposure"].tolist() == pytest.approx([0.0, 0.5, 0.75, 0.75])
    assert len(drifting.fills) == 1
    assert len(run(bars, [0.5] * 4, rebalance_band=0.26).fills) == 1
    restored = run(bars, [0.5] * 4, rebalance_band=0.24)
    assert restored.ledger["exposure"].tolist() == pytest.approx([0.0, 0.5, 0.5, 0.5])
    assert restored.fills["quantity"].tolist() == pytest.approx([5.0, -5 / 3])
    (trade,) = restored.trades.to_dict("records")
    assert (trade["quantity"], trade["entry_price"], trade["exit_price"]) == pytest.approx(
        (5.0, 100.0, 300.0)
    )
    assert (trade["status"], trade["bars"], trade["net_pnl"]) == ("open", 3, pytest.approx(1000.0))
    assert pd.isna(trade["exit_time"])


@pytest.mark.parametrize("engine", ["numba", "plain"], indirect=True)
def test_a_target_that_costs_put_out_of_reach_is_not_asked_for_again(engine: Any) -> None:
    # Half of 1,000 at 101. To a seller at 99 exposure is 0.495 by then, so 0.499 is not traded. It
    # is no new target at 200, where a sale could reach it.
    bars = flat_bars(100.0, 100.0, 100.0, 200.0)
    done = run(bars, [0.5, 0.499, 0.499, 0.499], costs=Costs(slippage=0.01), engine=engine)
    assert done.fills["quantity"].tolist() == pytest.approx([500 / 101])
    assert done.ledger["target_exposure"].tolist() == [0.0, 0.5, 0.499, 0.499]


def test_an_open_trade_is_marked_at_the_last_close() -> None:
    (trade,) = run(flat_bars(100.0, 100.0, 80.0), [-1, -1, -1]).trades.to_dict("records")
    assert (trade["side"], trade["status"]) == (-1, "open")
    assert trade["net_pnl"] == pytest.approx(200.0)
    assert trade["return"] == pytest.approx(0.2)
    assert np.isnan(trade["exit_price"])


def test_a_flip_closes_one_trade_and_opens_another_and_splits_costs() -> None:
    bars = flat_bars(100.0, 100.0, 120.0, 90.0)
    done = run(bars, [1, -1, -1, -1], costs=Costs(taker_fee=0.01))
    long, short = done.trades.to_dict("records")
    held = 1000 / 101
    # All is worth `held` units; selling held + s of them costs a hundredth: s = held - (held + s)
    # / 100, so 1.01 s = 0.99 held.
    sold = held * 0.99 / 1.01
    assert long["exit_time"] == short["entry_time"] == bars.index[2]
    assert (long["side"], short["side"]) == (1, -1)
    assert (long["status"], short["status"]) == ("closed", "open")
    assert long["quantity"] == pytest.approx(held)
    assert short["quantity"] == pytest.approx(sold)
    assert long["fee"] == pytest.approx(held * 1.0 + held * 1.2)
    assert short["fee"] == pytest.approx(sold * 1.2)
    assert long["net_pnl"] == pytest.approx(held * 20 - held * 2.2)
    assert short["net_pnl"] == pytest.approx(sold * 30 - sold * 1.2)
    assert short["return"] == pytest.approx(short["net_pnl"] / (held * 120))
    assert len(done.fills) == 2


@pytest.mark.parametrize("engine", ["numba", "plain"], indirect=True)
def test_a_short_is_closed_where_the_high_takes_its_equity(engine: Any) -> None:
    bars = market((100, 100, 100, 100), (100, 150, 90, 120), (120, 210, 100, 110), (50, 60, 40, 50))
    done = run(bars, [-1, -1, -1, -1], engine=engine)
    # Ten units short from 100 with 2,000 in cash: nothing is left at 200.
    assert done.equity.tolist() == pytest.approx([1000.0, 800.0, 0.0, 0.0])
    forced = done.fills.iloc[-1]
    assert (forced["reason"], forced["price"], forced["quantity"]) == ("liquidation", 200.0, 10.0)
    assert (done.ledger["liquidation"] == 0.0).all()
    (trade,) = done.trades.to_dict("records")
    assert (trade["status"], trade["bars"]) == ("liquidated", 2)
    assert trade["net_pnl"] == pytest.approx(-1000.0)
    assert done.ledger["exposure"].tolist() == pytest.approx([0.0, -1.5, 0.0, 0.0])
    assert done.returns.tolist() == pytest.approx([0.0, -0.2, -1.0, 0.0])


@pytest.mark.parametrize("engine", ["numba", "plain"], indirect=True)
def test_a_gap_past_bankruptcy_books_the_shortfall(engine: Any) -> None:
    bars = market(
        (100, 100, 100, 100), (100, 100, 100, 100), (230, 240, 220, 230), (90, 90, 80, 80)
    )
    done = run(bars, [-1, -1, 1, 1], engine=engine)
    assert done.equity.tolist() == pytest.approx([1000.0, 1000.0, 0.0, 0.0])
    assert done.ledger["liquidation"].tolist() == pytest.approx([0.0, 0.0, 300.0, 0.0])
    assert done.ledger["price_pnl"].tolist() == pytest.approx([0.0, 0.0, -1300.0, 0.0])
    assert done.fills["price"].tolist() == [100.0, 230.0]
    (trade,) = done.trades.to_dict("records")
    assert trade["liquidation"] == pytest.approx(300.0)
    assert trade["net_pnl"] == pytest.approx(-1000.0)
    assert done.attribution.to_dict() == pytest.approx(
        {"price_pnl": -1300.0, "fee": 0.0, "slippage": 0.0, "liquidation": 300.0}
    )


@pytest.mark.parametrize("engine", ["numba", "plain"], indirect=True)
def test_covering_that_costs_more_than_equity_ruins(engine: Any) -> None:
    bars = flat_bars(100.0, 100.0, 199.0, 199.0)
    done = run(bars, [-1, 0, 0, 0], costs=Costs(taker_fee=0.02), engine=engine)
    # Sold s at 100 for a fee of 2 each, 100 s = 1000 - 2 s; the cover at 199 costs 3.98 each.
    sold = 1000 / 102
    cash = 1000 + sold * 98
    after = cash - sold * 199 * 1.02
    assert cash - sold * 199 > 0.0 > after
    assert done.equity.tolist() == pytest.approx([1000.0, cash - sold * 100, 0.0, 0.0])
    assert done.ledger["liquidation"].iloc[2] == pytest.approx(-after)
    assert done.fills["reason"].tolist() == ["target", "liquidation"]
    assert done.ledger["turnover"].iloc[2] == 0.0
    assert done.trades["status"].tolist() == ["liquidated"]


@pytest.mark.parametrize("engine", ["numba", "plain"], indirect=True)
def test_a_fill_whose_slippage_takes_the_equity_is_closed_at_the_open(engine: Any) -> None:
    done = run(flat_bars(100.0, 100.0), [-1, -1], costs=Costs(slippage=0.6), engine=engine)
    # 25 units sold at 40 bring 1,000; at the open of 100 the account owes 2,500 with 2,000.
    assert done.equity.tolist() == [1000.0, 0.0]
    assert done.fills["price"].tolist() == pytest.approx([40.0, 100.0])
    assert done.ledger["liquidation"].iloc[1] == pytest.approx(500.0)
    assert done.ledger["slippage"].iloc[1] == pytest.approx(1500.0)


def test_a_rerun_without_tables_has_the_same_equity(sample: pd.DataFrame) -> None:
    targets = pd.Series(np.tile([1.0, 0.0, -0.5], len(sample))[: len(sample)], index=sample.index)
    for account in (None, Account(exposure=0.5, stop_loss=0.1)):
        done = backtest(
            sample, targets, timeframe="1d", costs=Costs(taker_fee=0.001), account=account
        )
        alone = rerun(done, tables=False)
        pd.testing.assert_series_equal(alone.equity, done.equity)
        pd.testing.assert_series_equal(alone.returns, done.returns)
        assert (list(alone.ledger), len(alone.fills), len(alone.trades)) == (["equity"], 0, 0)


def test_a_warm_up_is_flat() -> None:
    done = run(flat_bars(1.0, 2.0, 3.0, 4.0), [NAN, NAN, 1, 1])
    assert done.ledger["target_exposure"].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert done.equity.tolist() == [1000.0] * 4
    assert run(flat_bars(1.0, 2.0), [NAN, NAN]).trades.empty


def test_the_identities_hold_on_real_history(sample: pd.DataFrame) -> None:
    speed = sample["close"] / sample["close"].rolling(40).mean()
    targets = np.sign(speed - 1.0) * np.minimum(1.0, 0.2 + 2.0 * (speed - 1.0).abs())
    done = backtest(
        sample,
        targets.round(1),
        timeframe="1d",
        costs=Costs(taker_fee=0.001, slippage=0.0005),
    )
    ledger, change = done.ledger, np.diff(done.equity, prepend=done.initial_equity)
    assert len(done.fills) > 1000
    explained = ledger["price_pnl"] - ledger["fee"] - ledger["slippage"] + ledger["liquidation"]
    assert (np.abs(change - explained) <= 1e-9 * done.equity).all()
    gained = done.equity.iloc[-1] - done.initial_equity
    assert done.attribution.sum() == pytest.approx(gained, rel=1e-9)
    assert list(done.attribution.index) == list(ATTRIBUTION)
    assert done.trades["net_pnl"].sum() == pytest.approx(gained, rel=1e-9)
    assert (1.0 + done.returns).prod() * 10_000.0 == pytest.approx(done.equity.iloc[-1])
    at_fill = done.fills.set_index("time")
    asked = ledger["target_exposure"].loc[at_fill.index]
    np.testing.assert_allclose(at_fill["exposure"], asked, rtol=0.0, atol=1e-12)


def test_a_window_is_the_run_between_two_times() -> None:
    bars = flat_bars(100.0, 100.0, 110.0, 121.0, 60.5, 60.5, 50.0)
    done = run(bars, [1, 1, 1, 0, 0, -1, 0], costs=Costs(taker_fee=0.001))
    part = done.window(stamp("2021-01-03 00:00"), stamp("2021-01-06 23:00"))
    assert part.ledger.index.tolist() == bars.index[2:5].tolist()  # the sixth closes too late
    assert part.initial_equity == done.equity.iloc[1]
    assert part.returns.tolist() == pytest.approx(done.returns.iloc[2:5].tolist())
    assert part.fills["time"].tolist() == [bars.index[4]]
    assert part.trades["carried_in"].tolist() == [True]
    assert part.trades["net_pnl"].tolist() == done.trades["net_pnl"].tolist()[:1]
    assert part.pending_target == 0.0
    assert done.window(bars.index[0], bars.index[4]).pending_target == 0.0
    assert done.window(bars.index[0], stamp("2021-01-07")).pending_target == -1.0
    # A trade that was closed at the window's first open was not held in it.
    after = done.window(bars.index[4], stamp("2021-01-08"))
    assert after.trades["side"].tolist() == [-1]
    assert after.trades["carried_in"].tolist() == [False]
    whole = done.window(bars.index[0], stamp("2021-01-08"))
    pd.testing.assert_frame_equal(whole.ledger, done.ledger)
    pd.testing.assert_frame_equal(whole.trades, done.trades)
    assert whole.initial_equity == done.initial_equity
    with pytest.raises(InputError, match="at least one whole bar"):
        done.window(stamp("2021-01-03 01:00"), stamp("2021-01-04 23:00"))


def test_a_window_keeps_a_trade_that_was_liquidated_in_its_first_bar() -> None:
    bars = market((100, 100, 100, 100), (100, 100, 100, 100), (100, 210, 90, 100), (90, 90, 90, 90))
    part = run(bars, [-1, -1, -1, -1]).window(bars.index[2], stamp("2021-01-05"))
    assert part.trades["status"].tolist() == ["liquidated"]
    assert part.equity.tolist() == [0.0, 0.0]


GOOD = flat_bars(100.0, 101.0, 102.0)


@pytest.mark.parametrize(
    ("bars", "targets", "options", "says"),
    [
        (GOOD, [0, 1.5, 0], {}, r"2021-01-02 00:00 asks for 1\.5"),
        (GOOD, [0, 0, -3], {}, "this is a 1x short and no more"),
        (GOOD, [0, float("inf"), 0], {}, "asks for inf"),
        (GOOD, [0, 0, 0], {"initial_target": 2.0}, "initial_target asks for 2"),
        (GOOD, [0, 0, 0], {"initial_target": NAN}, "initial_target asks for nan"),
        (GOOD, [0, NAN, 0], {}, "2021-01-02 00:00 is NaN"),
        (GOOD, [NAN, 1, NAN], {}, "2021-01-03 00:00 is NaN"),
        (GOOD, [0, 0, 0], {"engine": "fortran"}, "engine must be one of numba, python"),
        (GOOD, [0, 0, 0], {"rebalance_band": -0.1}, "rebalance_band"),
        (GOOD, [0, 0, 0], {"rebalance_band": NAN}, "rebalance_band"),
        (GOOD, [0, 0, 0], {"initial_equity": 0.0}, "initial_equity"),
        (GOOD, [0, 0, 0], {"initial_equity": NAN}, "initial_equity"),
        (GOOD, [0, 0, 0], {"timeframe": "1y"}, "timeframe"),
        (GOOD.drop(columns="high"), [0, 0, 0], {}, "missing high"),
        (GOOD.assign(close=[100.0, NAN, 102.0]), [0, 0, 0], {}, "2021-01-02 00:00 has"),
        (GOOD.assign(low=[100.0, 101.0, 103.0]), [0, 0, 0], {}, "low <= open"),
        (GOOD.assign(high=[99.0, 101.0, 102.0]), [0, 0, 0], {}, "close <= high"),
        (GOOD.assign(low=-1.0), [0, 0, 0], {}, "0 < low"),
        (GOOD.assign(high=float("inf")), [0, 0, 0], {}, "finite prices"),
        (GOOD.iloc[::-1], [0, 0, 0], {}, "strictly increasing"),
        (GOOD.iloc[:0], [], {}, "at least one bar"),
        (GOOD.tz_localize(None), [0, 0, 0], {}, "time zone"),
    ],
)
def test_what_cannot_be_simulated_is_refused(
    bars: pd.DataFrame, targets: list[float], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(DeleverError, match=says):
        run(bars, targets, **options)


def test_targets_of_other_bars_are_refused() -> None:
    with pytest.raises(InputError, match="one row per bar"):
        backtest(GOOD, pd.Series(0.0, index=GOOD.index[:2]), timeframe="1d")
    with pytest.raises(InputError, match="one row per bar"):
        backtest(GOOD, pd.Series(0.0, index=GOOD.index + pd.Timedelta(hours=1)), timeframe="1d")


def test_frames_are_stored_as_they_are(tmp_path: Path) -> None:
    done = run(flat_bars(100.0, 100.0, 120.0, 90.0), [1, -1, 0, 0])
    empty = run(GOOD, [0, 0, 0])
    for name in ("ledger", "fills", "trades"):
        frame = getattr(done, name)
        frame.to_parquet(tmp_path / name)
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / name), frame, check_freq=False)
        assert getattr(empty, name).dtypes.tolist() == frame.dtypes.tolist()
    assert "datetime64[ns, UTC]" == str(done.ledger.index.dtype) == str(done.fills["time"].dtype)


def test_a_notebook_shows_the_sum_of_it() -> None:
    shown = run(flat_bars(100.0, 100.0, 120.0), [1, 1, 1])._repr_html_()
    assert "1,000.00 to 1,200.00" in shown
    assert "20.00%" in shown


def test_importing_the_engine_waits_with_the_compiler() -> None:
    code = "import sys, delever.engine.backtest; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
