"""A margin account in a study: what it names is loaded, hashed, simulated, stored and read back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.errors import ConfigError, DataError, InputError, NotStoredError
from delever.study.runs.run import load_run

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

SYMBOL = "BTC/USDT:USDT"
BARS = f"made/ohlcv/{SYMBOL}/4h"
FUNDING = f"made/funding/{SYMBOL}/8h"
STUDY = f"""
strategy = "buy_and_hold"
data = "{BARS}"
start = 2021-01-02

[account]
contract = "{SYMBOL}"
rules = "generic"
leverage = 5
exposure = 5
funding = "{FUNDING}"
bounds = true
"""


@pytest.fixture
def market(workspace):
    """Ten days of 4 h bars at 100 that fall to 70 on the sixth day, and funding of 1 bp per 8 h."""
    index = pd.date_range("2021-01-01", periods=60, freq="4h", tz="UTC", name="open_time")
    close = np.where(np.arange(60) < 36, 100.0, 70.0)
    opened = np.append(100.0, close[:-1])
    bars = pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close),
            "low": np.minimum(opened, close),
            "close": close,
            "volume": 10.0,
        },
        index=index,
    )
    stamps = pd.date_range("2021-01-01", periods=31, freq="8h", tz="UTC", name="timestamp")
    funding = pd.DataFrame({"funding_rate": 0.0001}, index=stamps)
    workspace.catalog.add(bars, BARS)
    workspace.catalog.add(funding, FUNDING)
    (workspace.backtests / "perp.toml").write_text(STUDY)
    return workspace


def run(workspace, **overrides):
    settings = {key.replace("__", "."): value for key, value in overrides.items()}
    path = workspace.backtests / "perp.toml"
    return dl.run(path, workspace=workspace, set=settings)


@pytest.mark.drawn(True)
def test_a_long_at_5x_is_liquidated_where_the_flat_rate_says(market):
    done = run(market)
    trade = done.trades.iloc[0]
    # Filled at 100.05. The whole equity is margin: a fifth of that a unit, less 15 stamps of 0.01
    # each. With 0.5 % to keep, it is gone where 20.01 - 0.15 - (100.05 - P) = 0.005 P.
    assert trade["status"] == "liquidated"
    assert trade["exit_price"] == pytest.approx(80.19 / 0.995, rel=1e-9)
    assert done.evaluation.benchmark.trades["status"].tolist() == ["open"]
    assert any("benchmark holds spot" in note for note in done.notes)
    assert "Funding" in (done.folder / "tearsheet.html").read_text(encoding="utf-8")


def test_funding_is_what_the_stamps_come_to(market):
    done = run(market, end="2021-01-05")
    ledger = done.evaluation.backtest.ledger
    # Filled on the 2nd at the stamp of 00:00, held over 8 further stamps at a mark of 100.
    assert ledger["funding"].sum() == pytest.approx(-8 * ledger["position"].iloc[0] * 0.01)


def test_it_is_read_back_as_it_was(market):
    first = run(market)
    again = run(market)
    assert again.cached
    read = load_run(first.folder).evaluation.backtest
    assert read.fidelity == first.evaluation.backtest.fidelity
    pd.testing.assert_frame_equal(read.bounds, first.evaluation.backtest.bounds, check_freq=False)
    pd.testing.assert_frame_equal(read.ledger, first.evaluation.backtest.ledger, check_freq=False)


def test_the_id_follows_funding_and_rules(market):
    ids = {run(market).manifest["run_id"]}
    later = pd.DataFrame(
        {"funding_rate": [0.0002]}, index=pd.DatetimeIndex(["2021-02-01"], tz="UTC")
    )
    market.catalog.add(later, FUNDING)
    ids.add(run(market).manifest["run_id"])
    rules = market.root / "data" / "venues" / "generic.toml"
    rules.write_text(rules.read_text() + "\n# a remark\n")
    ids.add(run(market).manifest["run_id"])
    assert len(ids) == 3


@pytest.mark.drawn(True)
def test_missing_funding_is_refused_unless_it_is_said(market):
    with pytest.raises(DataError, match="funding"):
        run(market, account__funding=f"made/funding/{SYMBOL}/1h")
    path = market.backtests / "perp.toml"
    path.write_text(path.read_text().replace(f'funding = "{FUNDING}"\n', ""))
    with pytest.raises((DataError, InputError), match="funding"):
        run(market)
    done = run(market, account__funding_policy="missing-is-zero")
    assert any(note.startswith("funding: missing stamps paid nothing") for note in done.notes)
    page = (done.folder / "tearsheet.html").read_text(encoding="utf-8")
    assert '<li class="alarm">funding: missing stamps paid nothing' in page


@pytest.mark.parametrize(
    ("overrides", "error", "said"),
    [
        ({"account__rules": "nowhere"}, ConfigError, "there are: .*generic"),
        ({"account__rules": "../deleveraging"}, ConfigError, "must name a file"),
        ({"account__contract": "XYZ/USDT:USDT", "account__rules": "okx"}, InputError, "XYZ"),
        ({"account__leverage": 200, "account__exposure": 1}, InputError, "leverage"),
        ({"account__exposure": 6}, InputError, "exposure|leverage"),
        ({"account__mark": "made/mark/x/4h"}, NotStoredError, "made/mark/x/4h"),
        ({"account__leveridge": 3}, ConfigError, "unknown key 'account.leveridge'.*margin_mode"),
        ({"account__stop_loss": -0.1}, ConfigError, "account.stop_loss must be"),
    ],
)
def test_what_cannot_be_is_refused(market, overrides, error, said):
    with pytest.raises(error, match=said):
        run(market, **overrides)


def test_a_contract_and_rules_go_together(market):
    path = market.backtests / "perp.toml"
    path.write_text(path.read_text().replace('rules = "generic"\n', ""))
    with pytest.raises(ConfigError, match="go together"):
        run(market)


def test_a_stop_on_spot_needs_no_contract(market):
    (market.backtests / "stop.toml").write_text(
        f'strategy = "buy_and_hold"\ndata = "{BARS}"\nstart = 2021-01-02\n'
        "[account]\nstop_loss = 0.1\n"
    )
    done = dl.run(market.backtests / "stop.toml", workspace=market)
    trade = done.trades.iloc[0]
    # The bar that falls from 100 to 70 trades through the stop, 10 % below the entry price.
    entry = 100 * 1.0005
    assert trade["entry_price"] == pytest.approx(entry)
    assert trade["exit_price"] == pytest.approx(entry * 0.9 * (1 - 0.0005))


@pytest.mark.drawn(True)
def test_slippage_by_volatility_knows_the_bars_before_the_run(market):
    (market.backtests / "moved.toml").write_text(
        f'strategy = "buy_and_hold"\ndata = "{BARS}"\nstart = 2021-01-07T04:00:00Z\n'
        "[costs]\ntaker_fee = 0.0\n"
        "[account.slippage]\nvolatility_share = 0.5\n"
    )
    done = dl.run(market.backtests / "moved.toml", workspace=market)
    # Of the 20 bars before 04:00 one fell from 100 to 70 and 19 stood still.
    volatility = (np.log(100 / 70) ** 2 / 20 / (4 * np.log(2))) ** 0.5
    fill = done.evaluation.backtest.fills.iloc[0]
    assert fill["price"] == pytest.approx(70 * (1 + 0.5 * volatility))


@pytest.mark.drawn(True)
def test_a_perpetual_and_its_benchmark_pay_the_same_slippage_where_nobody_says_any(market):
    done = run(market, end="2021-01-05")
    for own in (done.evaluation.backtest, done.evaluation.benchmark):
        # Filled at an open of 100, ten days at 100: 5 basis points worse.
        assert own.fills["price"].iloc[0] == pytest.approx(100.05, rel=1e-12)
    assert not any(note.startswith("slippage") for note in done.notes)
    # In a notebook as in a study, and with the fees of the rules.
    view = dl.market(BARS, workspace=market, start="2021-01-02", end="2021-01-05")
    account = dl.Account(
        contract=SYMBOL, rules="generic", leverage=5.0, exposure=5.0, funding=FUNDING
    )
    alone = dl.backtest(view, "buy_and_hold", account=account, workspace=market)
    pd.testing.assert_series_equal(alone.equity, done.equity, check_freq=False)


@pytest.mark.drawn(True)
def test_unequal_slippage_is_the_first_thing_said(market):
    done = run(market, account__slippage={"fixed": 0.0})
    assert done.notes[0] == (
        "slippage: the strategy's fills are made at the open itself while the benchmark's pay "
        "0.0005 of the price; the two are not on equal terms"
    )
    none = run(market, costs={"slippage": 0.0})
    assert none.notes[0].startswith("slippage: none was said")


def test_a_run_is_not_compared_with_itself(market):
    done = run(market, end="2021-01-05")
    with pytest.raises(InputError, match=r"different runs; perp [0-9a-f]{12} is among them"):
        dl.compare(done, done, workspace=market)
