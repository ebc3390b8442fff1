"""The margin account through real history; needs the data that is not part of the project."""

from __future__ import annotations

import csv
import gzip
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.reference.plain_loops import plain_loops

from delever.engine.backtest import Backtest, backtest
from delever.engine.settings import Account, FundingSeries
from delever.venues.contract import PerpContract
from delever.venues.costs import Costs
from delever.venues.rulebook import load_rulebook

ROOT = Path(__file__).parents[2]
DATA = ROOT / ".." / "shared" / "data"
BARS, RATES = DATA / "btcusdt_perp_4h_binance.csv.gz", DATA / "funding_btcusdt_8h_binance.csv"
pytestmark = pytest.mark.skipif(
    not (BARS.exists() and RATES.exists()), reason="real history is not at hand"
)
CONTRACT = PerpContract(symbol="BTC/USDT:USDT")


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return pd.read_csv(BARS, parse_dates=["timestamp"], index_col="timestamp")


@pytest.fixture(scope="module")
def funding() -> FundingSeries:
    table = pd.read_csv(RATES, parse_dates=["timestamp"], index_col="timestamp")
    return FundingSeries.of(table["funding_rate"])


def held(bars: pd.DataFrame, funding: FundingSeries, exposure: float, **more: object) -> Backtest:
    account = Account(
        contract=CONTRACT,
        rules=load_rulebook(ROOT / "data" / "venues" / "binanceusdm.toml"),
        leverage=max(1.0, abs(exposure)),
        funding=funding,
    )
    targets = pd.Series(exposure, bars.index)
    return backtest(bars, targets, timeframe="4h", account=account, **more)  # type: ignore[arg-type]


def test_march_2020_liquidates_the_long_at_the_price_of_the_formula(
    bars: pd.DataFrame, funding: FundingSeries
) -> None:
    week = bars.loc["2020-03-11":"2020-03-15"]
    long, short = held(week, funding, 5.0), held(week, funding, -5.0)
    entry, forced = long.fills.iloc[0], long.fills.iloc[-1]
    assert len(long.fills) == 2
    assert forced["reason"] == "liquidation"
    assert forced["time"] == pd.Timestamp("2020-03-12 08:00", tz="UTC")
    # Binance: (WB + cum - q EP) / (q MMR - q), with the first bracket of 2020: 0.4 %, cum 0. The
    # wallet is the equity after the entry's fee less the funding paid since.
    size = Decimal(entry["position"])
    rates = {
        "2020-03-11 08": "0.0001",
        "2020-03-11 16": "0.00022898",
        "2020-03-12 00": "0.00010572",
        "2020-03-12 08": "0.0001",
    }
    paid = sum(
        size
        * Decimal(rate)
        * Decimal(float(week.at[pd.Timestamp(f"{stamp}:00", tz="UTC"), "open"]))
        for stamp, rate in rates.items()
    )
    wallet = Decimal(10_000) - Decimal(entry["fee"]) - paid
    bracket = Decimal("0.004")
    price = (wallet - size * Decimal(entry["price"])) / (size * bracket - size)
    assert forced["price"] == pytest.approx(float(price), rel=1e-9)
    low = float(week.at[forced["time"], "low"])
    assert low < forced["price"] < float(week.at[forced["time"], "open"])
    assert long.equity.iloc[-1] == 0.0
    assert short.trades["status"].tolist() == ["open"]
    assert short.equity.loc["2020-03-13 00:00:00+00:00"] > 20_000.0
    # The rate fell to -0.3 % on the 13th: the shorts paid.
    assert short.ledger["funding"].sum() < 0.0


def test_the_ledgers_funding_of_one_bitcoin_is_the_sum_of_the_files(
    bars: pd.DataFrame, funding: FundingSeries
) -> None:
    # One bitcoin bought at the second bar's open and never traded again.
    price = float(bars["open"].iloc[1])
    done = held(bars, funding, 0.01, initial_equity=100.0 * price, costs=Costs())
    position = done.fills["position"].iloc[0]
    assert len(done.fills) == 1
    assert position == pytest.approx(1.0, rel=1e-12)
    with gzip.open(BARS, "rt") as text:
        opens = {row["timestamp"]: Decimal(row["open"]) for row in csv.DictReader(text)}
    with RATES.open() as text:
        rates = {row["timestamp"]: Decimal(row["funding_rate"]) for row in csv.DictReader(text)}
    first = datetime.fromisoformat(list(opens)[1].replace("Z", "+00:00"))
    total = sum(
        -rates[stamp] * opens[stamp]
        for stamp in rates
        if stamp in opens and datetime.fromisoformat(stamp.replace("Z", "+00:00")) > first
    )
    assert done.ledger["funding"].sum() / position == pytest.approx(float(total), rel=1e-9)
    assert "funding: settled at every stamp of the run" in done.fidelity


def test_both_loops_agree_over_the_whole_history(
    bars: pd.DataFrame, funding: FundingSeries
) -> None:
    calm = bars["close"].rolling(60).mean()
    targets = pd.Series(np.where(bars["close"] > calm, 3.0, -3.0), bars.index)
    account = Account(
        contract=CONTRACT,
        rules=load_rulebook(ROOT / "data" / "venues" / "binanceusdm.toml"),
        leverage=3.0,
        funding=funding,
        stop_loss=0.08,
        trailing_stop=0.2,
    )
    one = backtest(bars, targets, timeframe="4h", account=account)
    with plain_loops():
        two = backtest(bars, targets, timeframe="4h", account=account)
    numbers = one.ledger.columns.drop("ambiguous")
    np.testing.assert_allclose(one.ledger[numbers], two.ledger[numbers], rtol=1e-9, atol=1e-7)
    assert one.fills["reason"].tolist() == two.fills["reason"].tolist()
