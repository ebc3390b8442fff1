"""The timing test against brute force through the engine, its p-value by hand, what it leaves."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.deleveraging.membership import membership
from delever.deleveraging.period import Period
from delever.engine.backtest import Backtest, backtest, rerun
from delever.engine.settings import Account
from delever.errors import InputError
from delever.research.luck import KEPT, ONE_BY_ONE, NullTest, null_test, timing_test
from delever.research.null_markets import simulate_bars
from delever.venues.costs import Costs

COSTS = Costs(taker_fee=0.001, slippage=0.0005)
BARS = simulate_bars(60, seed=4)
INDEX = pd.DatetimeIndex(BARS.index)
PERIODS = tuple(
    Period(id=str(row), title="", start=INDEX[row], trough=INDEX[row], end=INDEX[row + size])
    for row, size in ((8, 5), (30, 1), (41, 9))
)


def held(target: pd.Series, **told: object) -> Backtest:
    return backtest(BARS, target, timeframe="1d", costs=COSTS, **told)  # type: ignore[arg-type]


def random_targets(seed: int) -> pd.Series:
    chance = np.random.default_rng(seed)
    values = np.repeat(chance.choice([1.0, 0.0, -0.5], size=20), 3)
    values[: chance.integers(0, 4)] = np.nan
    return pd.Series(values, index=INDEX)


# By the plain loop: nothing is compiled to know which tests there are.
BENCHMARK = held(pd.Series(1.0, index=INDEX), initial_target=1.0)


def payout(run: Backtest) -> float:
    """Period by period, as the definition says."""
    total = 0.0
    for period in PERIODS:
        inside = membership(INDEX, "1d", [period])
        total += math.log(np.prod(1 + run.returns[inside]))
        total -= math.log(np.prod(1 + BENCHMARK.returns[inside]))
    return total / len(PERIODS)


def shifted(run: Backtest) -> list[float]:
    """The statistic of every circular shift, through the engine of single runs."""
    targets = run.request["target_exposure"].fillna(0.0).to_numpy()  # type: ignore[index]
    force = np.append(run.request["initial_target"], targets[:-1])  # type: ignore[index]
    found = []
    for move in range(1, len(force)):
        late = np.roll(force, move)
        target = pd.Series(np.append(late[1:], 0.0), index=INDEX)
        found.append(payout(rerun(run, target_exposure=target, initial_target=late[0])))
    return found


@pytest.mark.parametrize(
    ("seed", "account"),
    [
        (0, None),
        (1, None),
        (0, Account(stop_loss=0.05)),
        (1, Account(exposure=0.5, trailing_stop=0.1)),
    ],
)
def test_every_shift_is_what_the_engine_makes_of_it(seed, account):
    run = held(random_targets(seed), account=account, initial_target=1.0)
    found = timing_test(run, BENCHMARK, PERIODS)
    expected = np.array(shifted(run))
    assert found.statistic == pytest.approx(payout(run), abs=1e-12)
    assert found.null_values == pytest.approx(np.sort(expected), abs=1e-12)
    better, worse = (expected >= found.statistic - 1e-9), (expected <= found.statistic + 1e-9)
    count = min(better.sum(), worse.sum())
    assert found.p_value == pytest.approx(min(1.0, 2 * (1 + count) / (1 + len(expected))))
    assert found.share_worse == pytest.approx((expected < found.statistic - 1e-9).mean())
    assert (found.draws, found.periods, found.reason) == (59, 3, "")


def test_what_no_sweep_covers_is_run_one_by_one(monkeypatch):
    monkeypatch.setattr("delever.research.luck.ONE_BY_ONE", ONE_BY_ONE)  # all of 59
    run = held(random_targets(2), rebalance_band=0.05, initial_target=1.0)
    found = timing_test(run, BENCHMARK, PERIODS)
    assert found.null_values == pytest.approx(np.sort(shifted(run)), abs=1e-12)
    assert "one by one" in found.notes[0]
    assert "rebalance_band" in found.notes[0]
    assert timing_test(run, BENCHMARK, PERIODS, shifts=10).draws == 10
    assert ONE_BY_ONE > 59


@pytest.mark.parametrize("size", [1.0, 0.5, 0.0, -0.3])
def test_a_constant_exposure_has_no_timing(size):
    run = held(pd.Series(size, index=INDEX), initial_target=size)
    found = timing_test(run, BENCHMARK, PERIODS)
    assert not found.known
    assert "an exposure that never changes" in found.reason
    assert np.isfinite(found.statistic)


def test_the_draw_of_shifts_is_seeded_and_without_repeats():
    run = held(random_targets(5))
    every = timing_test(run, BENCHMARK, PERIODS)
    some = timing_test(run, BENCHMARK, PERIODS, shifts=20, seed=3)
    assert some == timing_test(run, BENCHMARK, PERIODS, shifts=20, seed=3)
    assert some != timing_test(run, BENCHMARK, PERIODS, shifts=20, seed=4)
    assert some.draws == 20
    left = list(every.null_values)
    for value in some.null_values:
        left.remove(min(left, key=lambda other, value=value: abs(other - value)))
    assert len(left) == 39


def test_a_perfect_exit_is_the_best_of_all_shifts():
    inside = membership(INDEX, "1d", PERIODS).to_numpy()
    fall = BARS.copy()
    change = np.where(inside, 0.97, 1.01)
    fall["close"] = 100.0 * np.cumprod(change)
    fall["open"] = fall["close"] / change
    fall["high"], fall["low"] = fall[["open", "close"]].max(axis=1), fall["close"]
    fall["low"] = fall[["open", "close"]].min(axis=1)
    out = np.append(~inside[1:], True)  # decided a bar before
    runs = [
        backtest(fall, pd.Series(target, index=INDEX), timeframe="1d", initial_target=1.0)
        for target in (out.astype(float), 1.0 - out, np.ones(60))
    ]
    best = timing_test(runs[0], runs[2], PERIODS)
    assert (best.share_worse, best.p_value) == (1.0, 2 / 60)
    worst = timing_test(runs[1], runs[2], PERIODS)
    assert worst.share_worse < 0.2


@pytest.mark.few(8)
@settings(max_examples=20)
@given(seed=st.integers(0, 1_000), power=st.integers(-6, 6))
def test_the_unit_of_price_is_free(seed, power):
    run = held(random_targets(seed), initial_target=1.0)
    scaled = rerun(run, bars=BARS.assign(**{n: BARS[n] * 2.0**power for n in BARS.columns[:4]}))
    one, other = (timing_test(each, BENCHMARK, PERIODS) for each in (run, scaled))
    assert other.null_values == pytest.approx(one.null_values, abs=1e-12)
    assert (other.p_value, other.share_worse) == (one.p_value, one.share_worse)


def test_where_there_is_no_test_a_sentence_says_why():
    run = held(random_targets(0))
    part = run.window(INDEX[0], INDEX[50])
    assert "whole run" in timing_test(part, BENCHMARK, PERIODS).reason
    assert "a period" in timing_test(run, BENCHMARK, ()).reason
    for found in (timing_test(run, BENCHMARK, ()), timing_test(part, BENCHMARK, PERIODS)):
        assert not found.known
        assert math.isnan(found.p_value)
    with pytest.raises(InputError, match="at least 1"):
        timing_test(run, BENCHMARK, PERIODS, shifts=0)


def test_ruin_is_the_worst_of_draws():
    found = null_test(-0.1, np.array([-math.inf, 0.2, 0.3]), periods=1)
    assert found.share_worse == pytest.approx(1 / 3)
    assert found.p_value == 1.0
    assert NullTest.from_data(json.loads(json.dumps(found.to_data(), allow_nan=False))) == found


def test_a_test_is_kept_as_plain_data_with_its_kinds():
    draws = np.random.default_rng(0).normal(size=1_000)
    kinds = ["a", "b"] * 500
    found = null_test(1.0, draws, periods=4, kinds=kinds, notes=("said",))
    assert len(found.null_values) == KEPT
    assert found.null_values[0] == draws.min()
    assert found.null_values[-1] == draws.max()
    assert found.kinds is not None
    assert {name: kind.draws for name, kind in found.kinds.items()} == {"a": 500, "b": 500}
    assert found.kinds["a"].share_worse == (draws[::2] < 1.0 - 1e-9).mean()
    data = json.loads(json.dumps(found.to_data(), allow_nan=False))
    assert NullTest.from_data(data) == found
    assert not NullTest.from_data(NullTest(reason="too short").to_data()).known
