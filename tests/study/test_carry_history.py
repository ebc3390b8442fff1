"""Carry on six years of bitcoin: funding less costs and basis, and what becomes of the short."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import delever as dl
from delever.engine.legs import Leg, Margin
from delever.engine.portfolio import PortfolioBacktest, portfolio_backtest
from delever.engine.settings import Account, FundingSeries
from delever.panel import Markets
from delever.venues.costs import Costs
from delever.venues.rulebook import load_rulebook
from delever.view import Reading

pytestmark = [
    pytest.mark.xdist_group("portfolio"),  # its loop is compiled in one process
    pytest.mark.drawn(False),
    pytest.mark.otherwise(False),
]

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
COSTS = Costs(taker_fee=0.0005, slippage=0.0002)


@pytest.fixture(scope="module")
def book() -> tuple[Markets, Account, pd.Series]:
    files = ("btcusdt_1h_binance.csv.gz", "btcusdt_perp_4h_binance.csv.gz",
             "funding_btcusdt_8h_binance.csv")  # fmt: skip
    missing = [name for name in files if not (DATA / name).is_file()]
    if missing:
        pytest.skip(f"real bars and funding are needed in {DATA}; {missing[0]} is not there")
    spot, perp, rates = (pd.read_csv(DATA / name, index_col=0, parse_dates=True) for name in files)
    spot = spot.loc[perp.index[0] : perp.index[-1] + pd.Timedelta("3h")]
    markets = dl.markets(
        {
            "spot": dl.market(spot, timeframe="1h"),
            "perpetual": dl.market(perp, timeframe="4h", series={"funding": Reading(
                frame=rates, publication_lag=pd.Timedelta(0))}),
        }
    )  # fmt: skip
    rules = load_rulebook(ROOT / "data" / "venues" / "binanceusdm.toml")
    account = Account(
        contract="BTC/USDT:USDT",
        rules=rules,
        leverage=3.0,
        funding=FundingSeries.of(rates["funding_rate"]),
    )
    return markets, account, rates["funding_rate"]


def run(book: tuple[Markets, Account, pd.Series], margin: Margin, band: float | None = None,
        costs: Costs = COSTS) -> PortfolioBacktest:  # fmt: skip
    markets, account, _ = book
    target = dl.strategy(ROOT / "strategies" / "carry.py").panel_target(markets)
    legs = {
        "spot": Leg(bars=markets["spot"].bars),
        "perpetual": Leg(bars=markets["perpetual"].bars, account=account),
    }
    return portfolio_backtest(
        legs, target, timeframe="4h", margin=margin, costs=costs, rebalance_band=band
    )


@pytest.mark.drawn(True)
def test_the_result_is_funding_less_costs_and_what_the_basis_did(book):
    """By hand from positions and prices: funding at every stamp, price moves leg by leg."""
    markets, _, rates = book
    shared = Margin(mode="multi_asset", counted={"spot": 0.95})
    found = run(book, shared, band=0.1)
    assert (found.fills["reason"] != "liquidation").all()
    short, coins = (found.legs[name]["position"] for name in ("perpetual", "spot"))
    bars = markets["perpetual"].bars
    # Stamps lie on opens of bars; the mark there is the open, the position the one carried in.
    stamps = rates.index.as_unit("ns").round("s").intersection(bars.index)
    carried = short.shift(fill_value=0.0)
    paid = -carried[stamps] * bars["open"][stamps] * rates.set_axis(rates.index.round("s"))[stamps]
    funding = float(paid.sum())
    assert found.ledger["funding"].sum() == pytest.approx(funding, rel=1e-9)
    # Price moves: to each open with what was carried in, from there to the close with what is held.
    moved = 0.0
    for held, frame in ((short, bars), (coins, markets["spot"].bars)):
        own = frame.reindex(found.ledger.index)
        close = own["close"].ffill()
        opened = own["open"].where(own["open"].notna(), close)
        before = held.shift(fill_value=0.0)
        moved += float((before * (opened - close.shift())).sum() + (held * (close - opened)).sum())
    costs = float((found.ledger["fee"] + found.ledger["slippage"]).sum())
    made = float(found.equity.iloc[-1]) - 10_000.0
    assert made == pytest.approx(funding + moved - costs, rel=1e-9)
    assert funding > 3.0 * abs(moved) > 0.0  # the basis comes back; funding stays


def test_a_margin_of_its_own_is_liquidated_on_a_rise_and_a_shared_one_is_not(book):
    alone = run(book, Margin(mode="isolated"))
    forced = alone.fills[alone.fills["reason"] == "liquidation"]
    assert len(forced)
    first = forced.iloc[0]
    trades = alone.trades[alone.trades["symbol"] == "perpetual"]
    entry = trades.loc[trades["status"] == "liquidated", "entry_price"].iloc[0]
    assert first["symbol"] == "perpetual"
    assert 0.30 < first["price"] / entry - 1.0 < 0.34  # a third, less the maintenance margin
    shared = run(book, Margin(mode="multi_asset", counted={"spot": 0.95}))
    assert (shared.fills["reason"] != "liquidation").all()
