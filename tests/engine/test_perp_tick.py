"""Prices of orders and liquidations on the grid of ticks, by hand.

An order's price is never better for the account than asked: buys are rounded up and sales down. A
liquidation price is rounded to the near side, so that none is met later than the formula says.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from delever.engine.backtest import Backtest, backtest
from delever.engine.settings import Account
from delever.venues.brackets import bracket_table
from delever.venues.contract import PerpContract
from delever.venues.costs import Costs
from delever.venues.margin_formulas import FORMULAS
from delever.venues.rules import Fees, Rules

STILL = (100, 100, 100, 100)
engines = pytest.mark.parametrize("engine", ["numba", "plain"], indirect=True)
kinds = pytest.mark.parametrize("kind", ["linear", "inverse"])


def run(
    kind: Any, tick: float, bars: Sequence[Sequence[float]], target: float, **options: Any
) -> Backtest:
    contract = PerpContract(symbol="X", kind=kind, tick=tick)
    rules = Rules(
        venue="test",
        valid_from=dt.date(2020, 1, 1),
        contract=contract,
        formula=FORMULAS["flat_rate"],
        brackets=bracket_table([(1e9, 0.01, 50.0)], progressive=False),
        fees=Fees(maker=0.0, taker=0.0, liquidation=0.0),
        funding_hours=(8,),
        notes=(),
    )
    engine = options.pop("engine")
    costs = options.pop("costs", Costs())
    index = pd.date_range("2021-01-01", periods=len(bars), freq="D", tz="UTC", name="open_time")
    table = pd.DataFrame(list(bars), index, ["open", "high", "low", "close"], dtype=float)
    account = Account(
        contract=contract, rules=rules, funding_policy="missing-is-zero",
        **{"leverage": 10.0, "margin_mode": "isolated", **options},
    )  # fmt: skip
    targets = pd.Series(target, index)
    return backtest(
        table, targets, timeframe="1d", initial_equity=1000.0, costs=costs, account=account,
        engine=engine,
    )  # fmt: skip


@engines
@kinds
@pytest.mark.parametrize(
    ("target", "options", "bar", "price"),
    [
        # 100 * (1 -/+ 0.0123) and so on, on quarters
        (1, {"stop_loss": 0.0123}, (100, 100, 98, 98), 98.75),  # 98.77 sold lower
        (-1, {"stop_loss": 0.0123}, (100, 102, 100, 102), 101.25),  # 101.23 bought higher
        (1, {"take_profit": 0.0123}, (100, 102, 100, 102), 101.0),  # 101.23
        (-1, {"take_profit": 0.0123}, (100, 100, 98, 98), 99.0),  # 98.77
        (1, {"trailing_stop": 0.0201}, (100, 100, 97, 97), 97.75),  # 97.99
        (-1, {"trailing_stop": 0.0201}, (100, 103, 100, 103), 102.25),  # 102.01
        (1, {"stop_loss": 0.0125}, (100, 100, 98, 98), 98.75),  # on the grid it stays
        (1, {"stop_loss": 0.0123}, (98.76, 98.76, 98.76, 98.76), None),  # not met at 98.76
        (1, {"stop_loss": 0.0123}, (98.7, 98.7, 98.7, 98.7), 98.7),  # gapped: at the open
    ],
)
def test_stops_and_targets(
    kind: Any, target: int, options: Any, bar: Any, price: float | None, engine: Any
) -> None:
    done = run(kind, 0.25, [STILL, STILL, bar], target, engine=engine, **options)
    if price is None:
        assert len(done.fills) == 1
    else:
        assert done.fills["price"].iloc[-1] == pytest.approx(price, rel=1e-12)
        assert done.fills["reason"].iloc[-1] == next(iter(options))


@engines
@kinds
@pytest.mark.parametrize(("target", "price"), [(1, 99.0), (-1, 101.0)])
def test_limit_entries(kind: Any, target: int, price: float, engine: Any) -> None:
    # 98.9 bid becomes 99.0 of a quarter, 101.1 asked becomes 101.0.
    bars = [STILL, (100, 101.05, 98.95, 100)]
    done = run(kind, 0.25, bars, target, engine=engine, limit_offset=0.011)
    assert done.fills["price"].tolist() == pytest.approx([price], rel=1e-12)
    touched = run(kind, 0.25, [STILL, (100, 101.0, 99.0, 100)], target, engine=engine,
                  limit_offset=0.011)  # fmt: skip
    assert touched.fills.empty


@engines
def test_linear_liquidation_prices(engine: Any) -> None:
    # Margin 100 of 10 units at 100: 100 +/- 10 (p - 100) = 0.1 p at 900/9.9 = 90.91 and at
    # 1100/10.1 = 108.91.
    long = run("linear", 0.5, [STILL, (100, 100, 91.2, 95)], 1, engine=engine)
    assert long.ledger["liquidation_price"].iloc[1] == 91.0
    hit = run("linear", 0.5, [STILL, (100, 100, 90.95, 95)], 1, engine=engine)
    assert hit.fills["price"].iloc[-1] == 91.0
    assert hit.equity.iloc[-1] == pytest.approx(900)
    # 90 of the 100 are the price's; what is left above nothing goes to the insurance fund.
    assert hit.ledger["price_pnl"].iloc[1] == pytest.approx(-90)
    assert hit.ledger["liquidation"].iloc[1] == pytest.approx(-10)
    short = run("linear", 0.5, [STILL, (100, 108.6, 100, 105)], -1, engine=engine)
    assert short.fills["price"].iloc[-1] == 108.5
    exact = run("linear", 0.0, [STILL, (100, 108.6, 100, 105)], -1, engine=engine)
    assert len(exact.fills) == 1


@engines
def test_inverse_liquidation_prices(engine: Any) -> None:
    # 10 coins are 1,000 dollars at 100, the margin 1 coin: 1 + 10 - 1000/p = 10/p at 91.82, and
    # 1 - 10 + 1000/p = 10/p at 110.
    long = run("inverse", 0.5, [STILL, (100, 100, 91.9, 95)], 1, engine=engine)
    assert long.fills["price"].iloc[-1] == pytest.approx(92.0, rel=1e-12)
    assert long.equity.iloc[-1] == pytest.approx(9 * 95)
    short = run("inverse", 0.75, [STILL, (100, 109.6, 100, 105)], -1, engine=engine)
    assert short.fills["price"].iloc[-1] == pytest.approx(109.5, rel=1e-12)


@engines
def test_slippage_is_not_rounded_for_it_is_a_mean(engine: Any) -> None:
    bars = [STILL, STILL, (100, 100, 98, 98)]
    costs = Costs(slippage=0.001)
    done = run("linear", 0.25, bars, 1, engine=engine, stop_loss=0.0123, costs=costs)
    # 100.1 * (1 - 0.0123) = 98.86877, sold from 98.75.
    assert done.fills["price"].tolist() == pytest.approx([100.1, 98.75 * 0.999])


@engines
def test_a_price_on_a_decimal_grid_is_the_float_the_venue_quotes(engine: Any) -> None:
    # 3 * 0.1 is above 0.3, and a high of 0.3 would not have met a stop there.
    bars = [(0.2, 0.2, 0.2, 0.2), (0.2, 0.2, 0.2, 0.2), (0.2, 0.3, 0.2, 0.3)]
    done = run("linear", 0.1, bars, -0.1, engine=engine, stop_loss=0.5, leverage=1.0)
    assert done.fills["price"].tolist() == [0.2, 0.3]
    assert 3 * 0.1 > 0.3
