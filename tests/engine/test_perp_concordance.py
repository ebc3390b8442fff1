"""The same exposures through vectorbt, which knows no funding, leverage or liquidation.

Funding becomes tiny orders that pay it as a fixed fee (a callback may not touch cash: the
portfolio is rebuilt from its orders), and leverage an initial cash that is too large by an offset,
taken off again afterwards. They are buys, because a sale that earns less than its fee is refused,
of 1e-10 units, because smaller ones count as none. Liquidation cannot be said that way; these runs
have none.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from delever.engine.backtest import Backtest, backtest
from delever.engine.settings import Account, FundingSeries
from delever.venues.brackets import bracket_table
from delever.venues.contract import PerpContract
from delever.venues.costs import Costs
from delever.venues.margin_formulas import FORMULAS
from delever.venues.rules import Fees, Rules

CONTRACT = PerpContract(symbol="BTC/USDT:USDT")
RULES = Rules(
    venue="test",
    valid_from=dt.date(2020, 1, 1),
    contract=CONTRACT,
    formula=FORMULAS["binance_linear"],
    brackets=bracket_table([(1e12, 0.004, 125.0)], progressive=True),
    fees=Fees(maker=0.0, taker=0.0, liquidation=0.0),
    funding_hours=(8,),
    notes=(),
)
FEE = 0.0005


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    chance = np.random.default_rng(7)
    close = 30_000.0 * np.exp(np.cumsum(0.01 * chance.standard_normal(300)))
    opening = np.append(30_000.0, close[:-1]) * np.exp(0.001 * chance.standard_normal(300))
    index = pd.date_range("2021-01-01", periods=300, freq="8h", tz="UTC", name="open_time")
    high, low = np.maximum(opening, close) * 1.001, np.minimum(opening, close) * 0.999
    return pd.DataFrame({"open": opening, "high": high, "low": low, "close": close}, index)


@pytest.fixture(scope="module")
def rates(bars: pd.DataFrame) -> np.ndarray:
    return 0.001 * np.random.default_rng(8).standard_normal(len(bars))


def switching(bars: pd.DataFrame, choices: list[float]) -> pd.Series:
    chance = np.random.default_rng(9)
    blocks = np.repeat(chance.choice(choices, len(bars) // 10), 10)
    return pd.Series(blocks, bars.index)


def ours(bars: pd.DataFrame, targets: pd.Series, rates: np.ndarray, leverage: float) -> Backtest:
    account = Account(
        contract=CONTRACT,
        rules=RULES,
        leverage=leverage,
        margin_mode="cross",
        funding=FundingSeries(stamps=bars.index.as_unit("ns").asi8, rates=rates),
    )
    done = backtest(bars, targets, timeframe="8h", costs=Costs(taker_fee=FEE), account=account)
    assert not (done.fills["reason"] == "liquidation").any()
    return done


def test_without_funding_at_1x_it_is_vectorbts_from_orders(bars: pd.DataFrame) -> None:
    vbt = pytest.importorskip("vectorbt")
    targets = switching(bars, [0.0, 1.0])
    asked = targets.shift(1, fill_value=0.0)
    changed = asked.ne(asked.shift(1, fill_value=0.0))
    theirs = vbt.Portfolio.from_orders(
        bars["close"], size=asked.where(changed), size_type="targetpercent", price=bars["open"],
        fees=FEE, init_cash=10_000.0, freq="8h",
    )  # fmt: skip
    done = ours(bars, targets, np.zeros(len(bars)), 1.0)
    assert len(done.fills) > 5
    assert len(theirs.orders.records) == len(done.fills)
    np.testing.assert_allclose(done.equity, theirs.value(), rtol=1e-9)


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """vectorbt's loops as plain Python: for some hundred bars nothing is compiled."""
    nb = pytest.importorskip("vectorbt.portfolio.nb")
    for name, one in list(vars(nb).items()):
        if hasattr(one, "py_func"):
            monkeypatch.setattr(nb, name, one.py_func)


@pytest.mark.parametrize("with_funding", [False, True])
def test_with_funding_and_leverage_it_is_vectorbts_flexible_orders(
    bars: pd.DataFrame, rates: np.ndarray, with_funding: bool
) -> None:
    vbt = pytest.importorskip("vectorbt")
    from vectorbt.portfolio import nb

    targets = switching(bars, [-3.0, 0.0, 1.5, 3.0])
    paid = rates * with_funding
    done = ours(bars, targets, paid, 3.0)
    equity, tiny, offset = 10_000.0, 1e-10, 1e6
    asked = targets.shift(1, fill_value=0.0).to_numpy()
    opens = bars["open"].to_numpy()
    changed, settled = np.diff(asked, prepend=0.0) != 0.0, [False]

    def order(c: Any) -> tuple[int, Any]:
        price, held = opens[c.i], c.last_position[0]
        funded = held != 0.0 and paid[c.i] != 0.0 if c.call_idx == 0 else settled[0]
        settled[0] = funded
        if funded and c.call_idx == 0:
            return 0, nb.order_nb(size=tiny, price=price, fixed_fees=held * price * paid[c.i])
        if c.call_idx > int(funded) or not changed[c.i]:
            return -1, nb.order_nothing_nb()
        worth = c.last_cash[0] - offset + held * price
        missing = asked[c.i] * worth / price - held
        size = missing / (1.0 + np.sign(missing) * asked[c.i] * FEE)
        return 0, nb.order_nb(size=size, price=price, fees=FEE)

    theirs = vbt.Portfolio.from_order_func(
        bars["close"], order, flexible=True, init_cash=equity + offset, use_numba=False,
        max_orders=2 * len(bars), freq="8h",
    )  # fmt: skip
    value = theirs.value() - offset
    np.testing.assert_allclose(done.equity, value, rtol=1e-8)
    assert len(done.fills) > 10
    if with_funding:
        assert abs(done.ledger["funding"].sum()) > 1.0
        orders = theirs.orders.records
        charged = orders["fees"][orders["size"] < 1e-6].sum()
        assert -charged == pytest.approx(done.ledger["funding"].sum(), rel=1e-8)
