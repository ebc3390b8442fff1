"""An account of several positions against a ledger in 50-digit decimals."""

from __future__ import annotations

from decimal import Decimal
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.book_market import how_of, random_legs

from delever.engine.portfolio import Leg, Margin, portfolio_backtest
from delever.engine.settings import FundingSeries
from delever.venues.costs import Borrow, Costs
from delever.venues.rules import Rules

pytestmark = pytest.mark.xdist_group("portfolio")  # its loop is compiled in one process


@pytest.mark.few(6)
@settings(max_examples=200)
@given(seed=st.integers(0, 2**32 - 1), how=st.sampled_from(["isolated", "cross", "collateral"]))
def test_the_engine_agrees_with_exact_decimals(exact_book: ModuleType, seed: int, how: str) -> None:
    legs, targets = random_legs(seed, 14, 3 + seed % 2)
    run = portfolio_backtest(legs, targets, timeframe="1d", margin=how_of(how, legs))
    times = list(run.ledger.index)
    margin = how_of(how, legs)
    told = [
        tell(exact_book, name, legs[name], targets[name], margin, times) for name in sorted(legs)
    ]
    book = exact_book.keep(times, told, mode=margin.mode, cash=10_000.0)
    true = np.array([float(row["equity"]) for row in book.rows])
    np.testing.assert_allclose(run.equity, true, rtol=1e-9, atol=1e-5)
    np.testing.assert_allclose(run.ledger["cash"], [float(row["cash"]) for row in book.rows],
                               rtol=1e-9, atol=1e-5)  # fmt: skip
    for place, name in enumerate(sorted(legs)):
        units = [float(row["units"][place]) for row in book.rows]
        np.testing.assert_allclose(run.legs[name]["position"], units, rtol=1e-9, atol=1e-9)
    noted = [note for note in run.fidelity if "for want of free margin" in note]
    assert bool(noted) is bool(book.away)


def tell(
    exact: ModuleType, name: str, leg: Leg, target: pd.Series, margin: Margin, times: list[Any]
) -> Any:
    """A leg as the ledger in decimals takes it."""
    account, rules, costs = leg.account, leg.account.rules, leg.costs
    assert isinstance(costs, Costs)
    brackets = [(Decimal(0), Decimal(0))]
    if isinstance(rules, Rules):
        brackets = [
            (Decimal(b.maintenance_margin_rate), Decimal(b.maintenance_amount))
            for b in rules.brackets
        ]
    bars = {
        time: tuple(Decimal(float(row[name])) for name in ("open", "high", "low", "close"))
        for time, row in leg.bars.iterrows()
    }
    decided = target.reindex(times).ffill().fillna(0.0).shift(fill_value=0.0)
    last, day = leg.bars.index[-1], pd.Timedelta(days=1)
    rate = sum(part.rate for part in costs.parts if isinstance(part, Borrow))
    until = [*leg.bars.index[1:], last + day]
    borrow = {
        time: Decimal(rate) / 365 * ((then - time) // day)
        for time, then in zip(leg.bars.index, until, strict=True)
    }
    since = [leg.bars.index[0], *(time + day for time in leg.bars.index[:-1])]
    recovery = None if leg.ends == "last" else Decimal(leg.ends or 0)
    return exact.Held(
        spot=account.contract is None,
        leverage=Decimal(account.leverage),
        brackets=brackets,
        fee=Decimal(costs.taker_fee),
        slip=Decimal(costs.slippage),
        borrow=borrow,
        counted=Decimal((margin.counted or {}).get(name, 0.0)),
        ends=None if last == times[-1] else (last, recovery),
        bars=bars,
        paid={
            time: paid(account.funding, time, before)
            for time, before in zip(bars, since, strict=True)
        },
        asked={time: Decimal(float(decided[time])) for time in bars},
    )


def paid(series: Any, time: pd.Timestamp, before: pd.Timestamp) -> tuple[Decimal, list[Decimal]]:
    """Rates at the open of a day, those since the bar before it among them, and inside it."""
    if not isinstance(series, FundingSeries):
        return Decimal(0), []
    stamps = pd.DatetimeIndex(series.stamps, tz="UTC")
    at_open = series.rates[(stamps >= before) & (stamps <= time)]
    inside = series.rates[(stamps > time) & (stamps < time + pd.Timedelta(days=1))]
    return sum(map(Decimal, at_open.tolist()), Decimal(0)), list(map(Decimal, inside.tolist()))
