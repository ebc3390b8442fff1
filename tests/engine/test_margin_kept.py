"""Margin ratio of a single account: what the formulas say, and what a portfolio of it says."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.perp_market import market
from tests.engine.test_perp_backtest import perp, rules, run

from delever.engine.settings import Account
from delever.venues.margin import liquidation_price, maintenance_margin
from delever.venues.margin_formulas import MarginLines


def at(prices: Iterable[float]) -> pd.DataFrame:
    """Bars that open and close at such prices."""
    return market(*((price,) * 4 for price in prices))


STEPS = ((500.0, 0.01, 50.0), (2_000.0, 0.03, 20.0), (1e12, 0.06, 10.0))


def test_the_ratio_is_one_where_the_formula_liquidates() -> None:
    """Long 10 at 100 with 1,000 behind it, isolated at 4x: its own margin is 250."""
    lines = MarginLines((0.01,), (0.0,))
    trigger = liquidation_price(10.0, 100.0, 250.0, lines)
    assert maintenance_margin(10.0 * trigger, lines) == pytest.approx(250.0 + 10 * (trigger - 100))
    bars = at([100.0, 100.0, trigger + 1e-9, trigger + 1e-9])
    ledger = run(bars, [1.0, 1.0, 1.0, 1.0], perp(leverage=4.0)).ledger
    assert ledger["position"].iloc[-1] == 10.0
    assert ledger["margin_ratio"].iloc[-1] == pytest.approx(1.0, abs=1e-8)
    assert ledger["maintenance_margin"].iloc[-1] == pytest.approx(0.01 * 10.0 * trigger)
    assert ledger["margin_ratio"].iloc[0] == 0.0


@pytest.mark.few(20)
@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    mode=st.sampled_from(["isolated", "cross"]),
    leverage=st.sampled_from([2.0, 5.0, 10.0]),
)
def test_the_trigger_of_a_close_is_where_its_ratio_is_one(
    seed: int, mode: str, leverage: float
) -> None:
    """From balance and need at the close, moved to the ledger's trigger along its bracket."""
    rng = np.random.default_rng(seed)
    bars = at(100.0 * np.exp(rng.normal(0.0, 0.03, 40).cumsum()))
    asked = rng.uniform(-leverage, leverage, 40) * 0.9
    account = perp(leverage=leverage, margin_mode=mode, rules=rules(STEPS))
    ledger = run(bars, asked.tolist(), account).ledger
    held = ledger[(ledger["position"] != 0.0) & ledger["liquidation_price"].notna()]
    held = held[np.isfinite(held["margin_ratio"])]
    balance = held["maintenance_margin"] / held["margin_ratio"]
    trigger = held["liquidation_price"]
    there = balance + held["position"] * (trigger - bars["close"].loc[held.index])
    book = rules(STEPS).brackets
    lines = MarginLines(
        tuple(one.maintenance_margin_rate for one in book),
        tuple(-one.maintenance_amount for one in book),
    )
    for size, price, left in zip(held["position"], trigger, there, strict=True):
        assert maintenance_margin(abs(size) * price, lines) == pytest.approx(
            left, rel=1e-9, abs=1e-9
        )


def test_without_a_contract_there_is_no_margin() -> None:
    bars = at([100.0, 101.0])
    assert "margin_ratio" not in run(bars, [1.0, 1.0], Account()).ledger
