"""Costs in a run: the sum of its parts, from what was known before each bar and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.engine.backtest import backtest
from delever.errors import InputError
from delever.venues.costs import Borrow, CostPart, Costs, Fee, VenueFees
from delever.venues.slippage import (
    FixedSlippage,
    Impact,
    Slippage,
    StressSlippage,
    VolatilitySlippage,
)


def bars_of(seed: int, size: int = 60) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(chance.normal(0.0, 0.05, size)))
    opened = np.append(100.0, close[:-1])
    spread = 1.0 + 0.02 * chance.random((2, size))
    index = pd.date_range("2021-01-01", periods=size, tz="UTC", name="open_time")
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * spread[0],
            "low": np.minimum(opened, close) / spread[1],
            "close": close,
            "volume": 1e4 * (0.5 + chance.random(size)),
        },
        index=index,
    )


def targets_of(bars: pd.DataFrame, seed: int) -> pd.Series:
    chance = np.random.default_rng(seed + 1)
    held = pd.Series(chance.choice([-0.5, 0.0, 1.0], len(bars)), bars.index)
    held.iloc[0] = 0.0
    return held


MODELS: list[CostPart] = [
    Fee(taker=0.001),
    FixedSlippage(share=0.0005),
    VolatilitySlippage(share=0.2, bars=3),
    Impact(coefficient=0.7),
    StressSlippage(
        models=(FixedSlippage(share=0.001), VolatilitySlippage(share=0.1)),
        in_stress=4.0,
        detector=lambda close: close.pct_change() < -0.03,
    ),
    2.0 * VolatilitySlippage(share=0.2),
]


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    chosen=st.lists(st.sampled_from(MODELS), min_size=1, max_size=3),
    cut=st.integers(5, 55),
)
def test_a_changed_future_changes_no_cost_before_it(
    seed: int, chosen: list[CostPart], cut: int
) -> None:
    bars, costs = bars_of(seed), Costs()
    for part in chosen:
        costs = costs + part
    target = targets_of(bars, seed)
    other = bars.copy()
    other.iloc[cut:] *= [3.0, 3.0, 3.0, 3.0, 0.1]
    run, changed = (backtest(b, target, timeframe="1d", costs=costs) for b in (bars, other))
    names = ["equity", "fee", "slippage"]
    pd.testing.assert_frame_equal(run.ledger[names].iloc[:cut], changed.ledger[names].iloc[:cut])


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak(Slippage):
    """Sees what it must not."""

    kind: str

    def fraction(self, bars: pd.DataFrame) -> Any:
        move = bars["close"].pct_change().abs().fillna(0.0)
        return {
            "next bar": move.shift(-1, fill_value=0.0),
            "whole mean": move.mean() * (1.0 + move),
            "last bar": move * bars["close"].iloc[-1] / 1e5,
            "short": move.iloc[1:],
            "negative": -move,
        }[self.kind]


@pytest.mark.parametrize("kind", ["next bar", "whole mean", "last bar"])
def test_a_model_that_sees_later_bars_is_refused(kind: str) -> None:
    bars = bars_of(1)
    with pytest.raises(InputError, match="costs: Leak must use only bars that have closed"):
        backtest(bars, targets_of(bars, 1), timeframe="1d", costs=Leak(kind=kind))


@pytest.mark.parametrize(
    ("kind", "said"), [("short", "one fraction per bar, 60"), ("negative", "0 or more; got -0")]
)
def test_a_model_that_says_no_fractions_is_refused(kind: str, said: str) -> None:
    bars = bars_of(1)
    with pytest.raises(InputError, match=said):
        backtest(bars, targets_of(bars, 1), timeframe="1d", costs=Leak(kind=kind))


def test_parts_are_paid_together_and_a_model_cannot_change_the_bars() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Rough(Slippage):
        def fraction(self, bars: pd.DataFrame) -> Any:
            bars["close"] = 1.0
            return pd.Series(0.002, bars.index)

    bars = bars_of(2)
    held = bars.copy(deep=True)
    costs = Fee(taker=0.001) + FixedSlippage(share=0.001) + Rough()
    run = backtest(bars, pd.Series(1.0, bars.index), timeframe="1d", costs=costs)
    pd.testing.assert_frame_equal(bars, held)
    fill = run.fills.iloc[0]
    assert fill["price"] == pytest.approx(bars["open"].iloc[1] * 1.003, rel=1e-12)
    assert fill["fee"] == pytest.approx(0.001 * fill["notional"], rel=1e-12)


def test_a_spot_short_that_borrows_has_a_column_for_it_and_a_venue_needs_rules() -> None:
    bars = bars_of(3)
    short = pd.Series(-1.0, bars.index)
    run = backtest(bars, short, timeframe="1d", costs=Costs() + Borrow(rate=0.1))
    assert run.ledger["borrow"].iloc[1:].gt(0.0).all()
    assert run.parts.to_numpy().sum() == pytest.approx(run.equity.iloc[-1] - 10_000.0)
    assert "borrow" not in backtest(bars, short, timeframe="1d", costs=Costs()).ledger
    with pytest.raises(InputError, match="the fees of a venue need an account with its rules"):
        backtest(bars, short, timeframe="1d", costs=VenueFees())


def test_a_part_of_another_kind_is_refused() -> None:
    bars = bars_of(4)
    with pytest.raises(InputError, match="a part must be a fee, slippage or borrow"):
        backtest(bars, targets_of(bars, 4), timeframe="1d", costs=Costs(parts=(CostPart(),)))
