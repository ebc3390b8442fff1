"""The parts of a scope add up to its change of equity, and are what fills and funding came to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.deleveraging.period import Period
from delever.engine.backtest import Backtest, backtest
from delever.engine.settings import Account, FundingSeries
from delever.research.attribution import attribution
from delever.research.evaluation import Evaluation, evaluate
from delever.venues.costs import Costs
from delever.venues.rulebook import load_rulebook

RULES = load_rulebook(Path(__file__).parents[2] / "data" / "venues" / "generic.toml")
SYMBOL = "BTC/USDT:USDT"


def market(seed: int, bars: int = 120) -> pd.DataFrame:
    """Bars of 4 h with a fall of a day in them."""
    chance = np.random.default_rng(seed)
    steps = chance.normal(0.0, 0.02, bars)
    steps[60:66] -= 0.05
    index = pd.date_range("2021-01-01", periods=bars, freq="4h", tz="UTC", unit="ns")
    close = 100.0 * np.exp(np.cumsum(steps))
    opened = np.append(100.0, close[:-1]) * np.exp(chance.normal(0.0, 0.002, bars))
    high = np.maximum(opened, close) * (1.0 + 0.003 * chance.random(bars))
    low = np.minimum(opened, close) * (1.0 - 0.003 * chance.random(bars))
    return pd.DataFrame({"open": opened, "high": high, "low": low, "close": close}, index=index)


def period(name: str, start: str, end: str) -> Period:
    first, last = (pd.Timestamp(text, tz="UTC") for text in (start, end))
    return Period(id=name, title=name, start=first, trough=first, end=last)


PERIODS = (
    period("fall", "2021-01-10 22:00", "2021-01-12 03:00"),
    period("late", "2021-01-15", "2021-01-17"),
)


def measured(bars: pd.DataFrame, run: Backtest) -> Evaluation:
    held = backtest(bars, pd.Series(1.0, index=bars.index), timeframe="4h")
    return evaluate(name="x", backtest=run, benchmark=held, bars=bars, periods=PERIODS)


def perp(bars: pd.DataFrame, seed: int, targets: np.ndarray, leverage: float) -> Backtest:
    stamps = bars.index[::2]
    rates = np.random.default_rng(seed + 1).normal(0.0, 0.001, len(stamps))
    account = Account(
        contract=RULES.at(bars.index[0].date(), SYMBOL).contract,
        rules=RULES,
        leverage=leverage,
        funding=FundingSeries.of(pd.Series(rates, index=stamps)),
    )
    return backtest(
        bars,
        pd.Series(targets, index=bars.index),
        timeframe="4h",
        account=account,
        costs=Costs(taker_fee=0.0007, slippage=0.0011),
    )


def test_each_part_is_what_the_fills_and_the_rates_say() -> None:
    bars = market(5)
    targets = np.repeat(np.random.default_rng(2).uniform(-1.5, 1.5, 24), 5)
    run = perp(bars, 5, targets, 2.0)
    assert set(run.fills["reason"]) == {"target"}
    table = attribution(measured(bars, run))

    # Positions, prices and rates only: what is carried in earns the gap and the funding, what is
    # held from the open on earns the bar.
    fills = run.fills.set_index("time")
    bought = fills["quantity"].reindex(bars.index).fillna(0.0).to_numpy()
    held = np.cumsum(bought)
    carried = np.append(0.0, held[:-1])
    opened, close = bars["open"].to_numpy(), bars["close"].to_numpy()
    previous = np.append(opened[0], close[:-1])
    rates = np.zeros(len(bars))
    rates[::2] = np.random.default_rng(6).normal(0.0, 0.001, len(bars[::2]))
    traded = np.abs(bought) * opened
    slid = traded * 0.0011
    paid = 0.0007 * np.abs(bought) * (opened * (1 + 0.0011 * np.sign(bought)))
    per_bar = pd.DataFrame(
        {
            "price_pnl": carried * (opened - previous) + held * (close - opened),
            "funding": -carried * opened * rates,
            "fee": -paid,
            "slippage": -slid,
        },
        index=bars.index,
    )
    scopes = {
        "whole": bars.index,
        "fall": pd.date_range("2021-01-11 00:00", "2021-01-11 20:00", freq="4h", tz="UTC"),
        "late": pd.date_range("2021-01-15 00:00", "2021-01-16 20:00", freq="4h", tz="UTC"),
    }
    scopes["inside"] = scopes["fall"].append(scopes["late"])
    scopes["outside"] = bars.index.difference(scopes["inside"])
    assert list(table.index) == ["whole", "inside", "outside", "fall", "late"]
    for scope, index in scopes.items():
        for name in per_bar:
            assert table.loc[scope, name] == pytest.approx(
                per_bar.loc[index, name].sum(), rel=1e-9, abs=1e-9
            )
    assert (table[["borrow", "liquidation"]] == 0.0).all(axis=None)
    assert table.loc["fall", "equity_before"] == run.equity["2021-01-10 20:00:00+00:00"]
    assert table["equity_before"].isna().tolist() == [False, True, True, False, False]


@pytest.mark.few(10)
@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([1.0, 3.0, 8.0, 20.0]))
def test_parts_add_up_to_the_change_through_liquidations(seed: int, leverage: float) -> None:
    bars = market(seed)
    chance = np.random.default_rng(seed)
    targets = np.repeat(chance.choice([-leverage, 0.0, leverage], 24), 5)
    run = perp(bars, seed, targets, leverage)
    table = attribution(measured(bars, run))
    parts = table.drop(columns=["change", "equity_before"])
    size = max(1.0, float(parts.abs().to_numpy().max()))
    np.testing.assert_allclose(parts.sum(axis=1), table["change"], rtol=1e-9, atol=1e-9 * size)
    split = table.loc["inside"] + table.loc["outside"]
    np.testing.assert_allclose(split[:-1], table.loc["whole"][:-1], atol=1e-9 * size)
    np.testing.assert_allclose(
        table.loc["fall"][:-1] + table.loc["late"][:-1], table.loc["inside"][:-1], atol=1e-9 * size
    )
    final = run.equity.iloc[-1] - run.initial_equity
    assert table.loc["whole", "change"] == pytest.approx(final, rel=1e-9, abs=1e-9 * size)


def test_what_the_fund_bore_after_a_gap_is_a_part_of_its_period() -> None:
    bars = market(1)
    bars.iloc[63:] *= 0.5  # the bar of 2021-01-11 12:00
    table = attribution(measured(bars, perp(bars, 1, np.full(len(bars), 3.0), 3.0)))
    assert table.loc["fall", "liquidation"] == table.loc["whole", "liquidation"] > 0.0
    assert table.loc["fall", "price_pnl"] < table.loc["fall", "change"]
    assert (table.loc["late"].drop("equity_before") == 0.0).all()


def test_a_period_divides_into_what_each_part_contributed_to_its_return() -> None:
    bars = market(3)
    run = perp(bars, 3, np.full(len(bars), 1.2), 2.0)
    seen = measured(bars, run)
    table = attribution(seen)
    for name in ("whole", "fall", "late"):
        share = table.loc[name, "change"] / table.loc[name, "equity_before"]
        assert share == pytest.approx(seen.metrics.loc["total_return", name], rel=1e-9)


def test_a_spot_run_without_periods_has_three_rows_and_no_funding() -> None:
    bars = market(2)
    run = backtest(bars, pd.Series(0.5, index=bars.index), timeframe="4h")
    seen = evaluate(name="x", backtest=run, benchmark=run, bars=bars, periods=())
    table = attribution(seen)
    assert list(table.index) == ["whole", "inside", "outside"]
    assert list(table.columns) == [
        *("price_pnl", "fee", "slippage", "liquidation"),
        *("change", "equity_before"),
    ]
    assert (table.loc["inside"].drop("equity_before") == 0.0).all()
