"""vectorbt as a second opinion on the engine, and the screens that run through it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from delever.engine.backtest import Backtest, backtest
from delever.engine.screen import moving_averages, screen
from delever.errors import InputError
from delever.venues.costs import Costs

COSTS = Costs(taker_fee=0.001, slippage=0.0005)


def above_average(bars: pd.DataFrame, window: int, below: float) -> pd.Series:
    average = bars["close"].rolling(window).mean()
    return pd.Series(np.where(bars["close"] > average, 1.0, below), index=bars.index).where(
        average.notna()
    )


def orders(bars: pd.DataFrame, size: pd.Series, **options: Any) -> pd.Series:
    """Equity at each close of vectorbt's portfolio with these orders at the opens."""
    import vectorbt as vbt

    return vbt.Portfolio.from_orders(
        bars["close"],
        size=size,
        price=bars["open"],
        fees=COSTS.fee,
        slippage=COSTS.slippage,
        min_size=0.0,
        init_cash=10_000.0,
        freq=pd.Timedelta(days=1),
        **options,
    ).value()


@pytest.mark.parametrize("window", [5, 50, 200])
def test_long_or_flat_is_vectorbts_target_percent(sample: pd.DataFrame, window: int) -> None:
    targets = above_average(sample, window, 0.0)
    ours = backtest(sample, targets, timeframe="1d", costs=COSTS)
    asked = targets.fillna(0.0).shift(1, fill_value=0.0)
    size = asked.where(asked != asked.shift(1, fill_value=0.0))
    theirs = orders(sample, size, size_type="targetpercent", direction="longonly")
    assert len(ours.equity) == 5385
    assert len(ours.fills) > 20
    np.testing.assert_allclose(ours.equity, theirs, rtol=1e-9)


@pytest.mark.parametrize(("window", "below"), [(5, -0.3), (50, -1.0), (200, -0.5)])
def test_long_or_short_is_vectorbts_target_amount(
    sample: pd.DataFrame, window: int, below: float
) -> None:
    ours: Backtest = backtest(
        sample, above_average(sample, window, below), timeframe="1d", costs=COSTS
    )
    assert (ours.fills["position"] < 0.0).any()
    assert (ours.fills["reason"] == "target").all()
    size = ours.fills.set_index("time")["position"].reindex(sample.index)
    theirs = orders(sample, size, size_type="targetamount", direction="both")
    np.testing.assert_allclose(ours.equity, theirs, rtol=1e-9)


def test_a_screen_is_the_backtests_it_stands_for(sample: pd.DataFrame) -> None:
    bars = sample.iloc[-1500:]
    windows = (5, 20, 100)
    exposures = pd.DataFrame({window: above_average(bars, window, 0.0) for window in windows})
    exposures["never"] = 0.0
    table = screen(bars, exposures, timeframe="1d", costs=COSTS, chunk=2)
    assert list(table.index) == [*windows, "never"]
    for window in windows:
        run = backtest(bars, exposures[window], timeframe="1d", costs=COSTS)
        daily = run.returns
        peak = np.maximum.accumulate(np.append(run.initial_equity, run.equity))[1:]
        assert table.loc[window].to_dict() == pytest.approx(
            {
                "total_return": run.equity.iloc[-1] / run.initial_equity - 1.0,
                "sharpe_ratio": daily.mean() / daily.std(ddof=1) * np.sqrt(365.0),
                "max_drawdown": (run.equity / peak - 1.0).min(),
            },
            rel=1e-9,
        )
    never = table.loc["never"]
    assert never["total_return"] == never["max_drawdown"] == 0.0
    assert np.isnan(never["sharpe_ratio"])


def test_without_costs_a_screen_sizes_partial_targets_alike(sample: pd.DataFrame) -> None:
    bars = sample.iloc[-500:]
    exposures = above_average(bars, 20, 0.3).clip(upper=0.8).to_frame("partial")
    (row,) = screen(bars, exposures, timeframe="1d").to_dict("records")
    run = backtest(bars, exposures["partial"], timeframe="1d")
    assert row["total_return"] == pytest.approx(run.equity.iloc[-1] / 10_000.0 - 1.0, rel=1e-9)


def test_a_screen_may_be_empty_or_narrow(sample: pd.DataFrame) -> None:
    bars = sample.iloc[-50:]
    one = screen(bars, pd.DataFrame({"in": 1.0}, index=bars.index), timeframe="1d")
    bought, last = bars["open"].iloc[1], bars["close"].iloc[-1]
    assert one.loc["in", "total_return"] == pytest.approx(last / bought - 1.0)
    assert screen(bars, pd.DataFrame(index=bars.index), timeframe="1d").shape == (0, 3)


@pytest.mark.parametrize(
    ("value", "options", "says"),
    [(-0.5, {}, r"\[0, 1\]"), (1.5, {}, r"\[0, 1\]"), (0.5, {"chunk": 0}, "chunk")],
)
def test_a_screen_refuses_what_it_cannot_rank(
    sample: pd.DataFrame, value: float, options: dict[str, Any], says: str
) -> None:
    bars = sample.iloc[-10:]
    exposures = pd.DataFrame({"x": value}, index=bars.index)
    with pytest.raises(InputError, match=says):
        screen(bars, exposures, timeframe="1d", **options)


def test_a_screen_wants_different_names(sample: pd.DataFrame) -> None:
    bars = sample.iloc[-10:]
    twice = pd.DataFrame(0.0, index=bars.index, columns=["x", "x"])
    with pytest.raises(InputError, match="different name"):
        screen(bars, twice, timeframe="1d")


def test_grids_of_averages_are_tas(sample: pd.DataFrame) -> None:
    from ta.trend import EMAIndicator, SMAIndicator

    close, windows = sample["close"], [1, 7, 200, 1400]
    simple = moving_averages(close, windows)
    exponential = moving_averages(close, windows, "ema")
    assert list(simple.columns) == windows
    for window in windows:
        for ours, theirs in (
            (simple[window], SMAIndicator(close, window).sma_indicator()),
            (exponential[window], EMAIndicator(close, window).ema_indicator()),
        ):
            assert ours.isna().sum() == window - 1
            np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize("windows", [[], [0], [5, 5], [2.5]])
def test_windows_are_different_whole_numbers(sample: pd.DataFrame, windows: list[int]) -> None:
    with pytest.raises(InputError, match="windows must be"):
        moving_averages(sample["close"], windows)


def test_an_average_has_a_name(sample: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="'sma' or 'ema'"):
        moving_averages(sample["close"], [5], "wma")  # type: ignore[arg-type]
