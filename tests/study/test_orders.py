"""Orders of a strategy on their way: proven causal, swept, tested against luck, rerun, drawn."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
import pytest
from annotated_types import Gt

import delever as dl
from delever.deleveraging.period import Period
from delever.engine.backtest import backtest
from delever.errors import InputError
from delever.research.luck import ONE_BY_ONE, timing_test
from delever.research.redrawn import Redrawing
from delever.research.strategy_checks import check_strategy
from delever.study.runs.neighbours import with_neighbours
from delever.study.runs.simulation import target_of
from delever.study.workspaces.any_strategy import as_strategy
from delever.study.workspaces.strategy import Strategy
from delever.view import MarketView

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]


def wave(cycles: int = 12, length: int = 20) -> MarketView:
    """Days that repeat: every cycle is the one before, a tenth higher."""
    phase = np.arange(cycles * length)
    close = 100.0 * 1.1 ** (phase / length) * (1.0 + 0.1 * np.sin(2 * np.pi * phase / length))
    index = pd.date_range("2021-01-01", periods=len(close), tz="UTC", name="open_time")
    opens = np.append(close[0] / 1.1 ** (1 / length), close[:-1])
    high, low = 1.01 * np.maximum(opens, close), 0.99 * np.minimum(opens, close)
    prices = {"open": opens, "high": high, "low": low, "close": close, "volume": 1.0}
    return MarketView(bars=pd.DataFrame(prices, index.as_unit("ns")), timeframe="1d")


def in_waves(market: MarketView, *, below: Annotated[float, Gt(0)] = 0.03) -> pd.DataFrame:
    close = market.bars["close"]
    held = (np.arange(len(close)) % 20 < 10).astype(float)
    return pd.DataFrame(
        {"exposure": held, "mean": close.rolling(5).mean(), "stop_price": (1 - below) * close}
    )


def strategy() -> Strategy:
    made = as_strategy(in_waves)
    assert isinstance(made, Strategy)
    return made


def planted(market: MarketView) -> pd.DataFrame:
    bars = market.bars
    stop = np.minimum(0.97 * bars["close"], 0.99 * bars["low"].shift(-1).fillna(bars["low"]))
    return pd.DataFrame({"exposure": 1.0, "stop_price": stop}, index=market.index)


def test_a_leak_through_the_price_of_an_order_is_caught() -> None:
    (found,) = check_strategy(planted, wave(), points=20)
    assert found.check == "prefix invariance"
    assert "'stop_price', bar 2021-" in found.message
    assert check_strategy(in_waves, wave(), points=20) == []


def test_the_price_of_an_order_may_not_be_written_into_the_code() -> None:
    def fixed(market: MarketView) -> pd.DataFrame:
        return pd.DataFrame({"exposure": 1.0, "stop_price": 50.0}, index=market.index)

    (found,) = check_strategy(fixed, wave(), points=5)
    assert found.check == "unit-free"
    assert "stop_price" in found.message


def test_a_frame_at_hand_is_run_like_the_strategy_that_answers_it() -> None:
    market = wave()
    own, given = dl.backtest(market, in_waves), dl.backtest(market, in_waves(market))
    assert own.equity.tolist() == given.equity.tolist()
    assert "stop_loss" in set(own.trades["exit_reason"])
    for run in (own, given):
        assert list(run.evaluation.lines) == ["stop_price", "mean"]
    with pytest.raises(InputError, match="in a Series or a column 'exposure'; got the col"):
        dl.backtest(market, market.bars)
    wrong = in_waves(market).assign(stop_price=1e6)
    with pytest.raises(InputError, match="stop_price must lie on the losing side of the close"):
        dl.backtest(market, wrong)


@pytest.mark.otherwise(True)
def test_a_sweep_runs_each_combination_by_itself_and_says_so() -> None:
    market, values = wave(), [0.01, 0.03, 0.2]
    sweep = dl.sweep(market, in_waves, {"below": values})
    alone = [dl.backtest(market, in_waves, below=below) for below in values]
    for name in ("total_return", "sharpe_ratio", "max_drawdown"):
        expected = [run.metrics.loc[name, "whole"] for run in alone]
        np.testing.assert_allclose(sweep.frame[name], expected, rtol=1e-12)
    assert len(set(sweep.frame["total_return"])) == 3
    assert any("run by itself" in note and "orders" in note for note in sweep.manifest["notes"])


@pytest.mark.otherwise(True)
def test_a_shift_in_time_keeps_the_distance_of_orders_to_their_closes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("delever.research.luck.ONE_BY_ONE", ONE_BY_ONE)
    market = wave(cycles=9)  # every shift of so few bars is drawn
    said = in_waves(market).drop(columns="mean")
    bars, start = market.bars, market.index[0]
    run, held = (
        backtest(bars, target, timeframe="1d", initial_target=target.iloc[-1])
        for target in (said, pd.Series(1.0, market.index))
    )
    end = market.close_time[-1]
    whole = Period(id="all", title="all", start=start, trough=start, end=end)
    test = timing_test(run, held, [whole], shifts=10_000)
    # Shifted by whole cycles it is the same run; absolute prices would have stopped it at once.
    same = np.isclose(test.null_values, test.statistic, rtol=1e-6)
    assert same.sum() == 8
    assert "a sweep does not cover the orders of a strategy" in test.notes[0]


@pytest.mark.otherwise(True)
def test_neighbours_and_redrawn_markets_carry_the_orders() -> None:
    market = wave()
    run = dl.backtest(market, in_waves)
    done = run.evaluation.backtest
    paths = run.what_if.paths
    for value in (0.027, 0.033):
        other = dl.backtest(market, in_waves, below=value)
        path = paths[paths["name"] == f"below {value} instead of 0.03"]
        np.testing.assert_allclose(path["equity"], other.equity, rtol=1e-12)
    again = with_neighbours(run.what_if, market, strategy(), {"below": 0.03}, done)
    assert not again.refused
    redrawing = Redrawing(
        market=market,
        rule=lambda seen: target_of(seen, strategy()),
        benchmark_rule=lambda seen: pd.Series(1.0, seen.index),
        backtest=done,
        benchmark=run.evaluation.benchmark,
    )
    assert redrawing.on(market).payout == redrawing.on(market).payout
    loose = Redrawing(
        market=market,
        rule=lambda seen: target_of(seen, strategy(), {"below": 0.2}),
        benchmark_rule=lambda seen: pd.Series(1.0, seen.index),
        backtest=done,
        benchmark=run.evaluation.benchmark,
    )
    assert loose.on(market).payout != redrawing.on(market).payout


@pytest.mark.parametrize("name", ["stop_prices", "Stop_Price", "stop", "stop_price_2"])
def test_a_column_that_is_nearly_an_order_is_refused(name) -> None:
    market = wave()
    said = in_waves(market).rename(columns={"stop_price": name})
    with pytest.raises(InputError, match=f"{name}' is no order .* call it 'stop_price'"):
        dl.backtest(market, said)


def test_an_exposure_that_a_time_stop_ends_is_not_called_unchanged() -> None:
    market = wave()
    said = pd.DataFrame({"exposure": 1.0, "time_stop": 5.0}, index=market.index)
    assert not any("never changed" in note for note in dl.backtest(market, said).notes)
