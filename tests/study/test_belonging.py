"""Inputs of one account are of one coin, one multiplier and one price scale, or are refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.data.references import Dataset, Reference
from delever.errors import ConfigError, DataError
from delever.study.inputs.belonging import belonging, coin_of
from delever.study.inputs.market import view
from delever.venues.contract import PerpContract

pytestmark = [pytest.mark.drawn(False), pytest.mark.otherwise(False)]

SYMBOL = "1000SHIB/USDT:USDT"
STUDY = f"""
strategy = "buy_and_hold"
data = "made/ohlcv/{SYMBOL}/1d"
counterfactuals = []
[costs]
taker_fee = 0.0
slippage = 0.0
[account]
contract = "{SYMBOL}"
rules = "generic"
funding_policy = "missing-is-zero"
mark = "made/mark/{SYMBOL}/1d"
"""


def walked(periods: int, *, freq: str = "1D", start: str = "2022-01-01", at: float = 3e-5):
    """Bars of a price that wanders about `at`."""
    index = pd.date_range(start, periods=periods, freq=freq, tz="UTC", name="open_time")
    close = at * np.exp(0.01 * np.sin(np.arange(periods)))
    opened = np.append(at, close[:-1])
    table = {
        "open": opened,
        "high": np.maximum(opened, close),
        "low": np.minimum(opened, close),
        "close": close,
        "volume": 1e6,
    }
    return pd.DataFrame(table, index=index)


def named(reference: str, frame: pd.DataFrame) -> Dataset:
    return Dataset(
        reference=Reference.parse(reference), frame=frame, id="", publication_lag=pd.Timedelta(0)
    )


@pytest.fixture
def stored(workspace):
    bars = walked(30)
    workspace.catalog.add(bars, f"made/ohlcv/{SYMBOL}/1d")
    marks = bars.drop(columns="volume")
    workspace.catalog.add(1_000.0 * marks, f"far/mark/{SYMBOL}/1d")
    workspace.catalog.add(1.001 * marks, f"made/mark/{SYMBOL}/1d")
    workspace.catalog.add(marks.iloc[:20], f"short/mark/{SYMBOL}/1d")
    workspace.catalog.add(walked(30, at=1.0).drop(columns="volume"), "made/mark/ETH/USDT:USDT/1d")
    (workspace.backtests / "one.toml").write_text(STUDY)
    return workspace


def run(place, **overrides):
    settings = {key.replace("__", "."): value for key, value in overrides.items()}
    return dl.run(place.backtests / "one.toml", set=settings, quick=True, workspace=place)


def test_a_mark_a_thousand_times_the_price_is_no_mark_of_it(stored) -> None:
    with pytest.raises(DataError, match=r"mark must stand on the price scale.*1,000 times theirs"):
        run(stored, account__mark=f"far/mark/{SYMBOL}/1d")
    done = run(stored)
    # Held from the second bar on without costs: what the price did, as the benchmark has it.
    ours, held = (one.equity.iloc[-1] for one in (done.evaluation.backtest,
                                                  done.evaluation.benchmark))  # fmt: skip
    assert ours == pytest.approx(held, rel=2e-3)


def test_a_mark_given_as_a_frame_is_held_to_the_same_scale() -> None:
    bars = walked(20)
    market = dl.market(bars, timeframe="1d", symbol="SHIB/USDT:USDT")
    account = dl.Account(
        contract="SHIB/USDT:USDT", rules="generic", funding_policy="missing-is-zero",
        mark=1_000.0 * bars,
    )  # fmt: skip
    with pytest.raises(DataError, match="price scale"):
        dl.backtest(market, "buy_and_hold", account=account)
    swept = dl.sweep(market, "buy_and_hold", {"account.leverage": [1.0]}, account=account)
    assert "price scale" in swept.refusal


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"account__mark": "made/mark/ETH/USDT:USDT/1d"}, "mark must be of what the bars are of"),
        ({"account__contract": "SHIB/USDT:USDT"}, r"contract must be .* 1,000 SHIB .*got SHIB"),
        ({"account__mark": f"made/ohlcv/{SYMBOL}/1d", "account__detail": f"made/mark/{SYMBOL}/1d"},
         "detail must be a data set of kind ohlcv; got made/mark"),
        ({"account__funding": f"made/ohlcv/{SYMBOL}/1d"}, "must be a data set of kind funding"),
    ],
)  # fmt: skip
def test_inputs_of_another_coin_multiplier_or_kind_are_refused(stored, overrides, said) -> None:
    with pytest.raises(ConfigError, match=said):
        run(stored, **overrides)


def test_missing_marks_are_refused_unless_the_last_price_may_stand(stored) -> None:
    short = f"short/mark/{SYMBOL}/1d"
    with pytest.raises(DataError, match=r"10 of 29 steps.*set mark_policy to 'last-price'"):
        run(stored, account__mark=short)
    done = run(stored, account__mark=short, account__mark_policy="last-price")
    assert "mark: missing at 10 of 29 steps; the last price stood for it there" in done.notes
    # Where mark and last price are one, they make one equity.
    whole = run(stored, account__mark=f"made/ohlcv/{SYMBOL}/1d")
    pd.testing.assert_series_equal(done.equity, whole.equity)


def test_a_mark_that_stands_a_little_off_is_said(stored) -> None:
    done = run(stored)
    assert not any("times the last price" in note for note in done.notes)
    marks = 1.03 * walked(30).drop(columns="volume")
    stored.catalog.add(marks, f"off/mark/{SYMBOL}/1d")
    said = run(stored, account__mark=f"off/mark/{SYMBOL}/1d").notes
    assert "mark prices are 1.03 times the last price in the median" in said


def test_symbols_are_read() -> None:
    assert [coin_of(each)[:2] for each in ("kPEPE/USDC:USDC", "1MBABYDOGE/USDT:USDT", "1INCH/USDT",
                                           "10000SATS/USDT", "XBT/USD:BTC")] == [
        ("PEPE", 1_000), ("BABYDOGE", 1_000_000), ("1INCH", 1), ("SATS", 10_000), ("BTC", 1)
    ]  # fmt: skip
    assert coin_of("FEAR_GREED") is None


def test_another_quote_or_a_series_of_another_coin_is_said() -> None:
    bars = walked(3)
    contract = dl.Account(
        contract=PerpContract(symbol="BTC/USDT:USDT"), rules="x", funding_policy="missing-is-zero"
    )
    funding = named("a/funding/BTC/USD:BTC/8h", bars)
    said = belonging("XBT/EUR", contract, {"funding": funding}, {"mood": funding})
    assert said == ("the bars are quoted in EUR, funding in USD, contract in USDT",)
    eth = named("a/funding/ETH/USD:ETH/8h", bars)
    said = belonging("XBT/USD", None, {}, {"theirs": eth, "fear": named("a/series/FNG/1d", bars)})
    assert said == ("the series theirs is of ETH (a/funding/ETH/USD:ETH/8h), the bars are of BTC",)
    with pytest.raises(ConfigError, match="funding must be of what the bars are of"):
        belonging("XBT/USD", None, {"funding": eth})
    # A rate is a fraction of whatever it is paid on.
    assert belonging("SHIB/USDT", None, {"funding": named(f"a/funding/{SYMBOL}/8h", bars)}) == ()


def warmed(earlier: str, by: pd.DataFrame, *, of: str = "a/ohlcv/SHIB/USDT/1d"):
    return view(named(of, walked(30, start="2022-03-01")), warmup=named(earlier, by))


def test_warm_up_bars_lead_up_to_the_bars() -> None:
    before = walked(59, start="2022-01-01")
    assert warmed("b/ohlcv/SHIB/USDT/1d", before).notes == (
        "indicators were warmed up on earlier bars of b/ohlcv/SHIB/USDT/1d",
    )
    with pytest.raises(DataError, match=r"must lead up to the bars; .*0\.0\d+ times that"):
        warmed("b/ohlcv/SHIB/USDT/1d", 1_000.0 * before)
    with pytest.raises(ConfigError, match=r"warmup must be .* SHIB .*; got 1,000 SHIB"):
        warmed("b/ohlcv/1000SHIB/USDT/1d", before)
    # A year without bars may have moved a price further than a day.
    warmed("b/ohlcv/SHIB/USDT/1d", 2.5 * walked(59, start="2020-01-01", at=3e-5))


def test_warm_up_bars_are_compared_where_they_overlap() -> None:
    across = walked(89, start="2022-01-01")
    level = walked(30, start="2022-03-01")
    across.loc[level.index] = level
    assert len(warmed("b/ohlcv/SHIB/USDT/1d", across).notes) == 1
    said = warmed("b/ohlcv/SHIB/EUR/1d", 0.9 * across).notes
    assert "warmup b/ohlcv/SHIB/EUR/1d stands at 0.9 times the bars where they overlap" in said
    assert "the bars are quoted in USDT, warmup in EUR" in said
    with pytest.raises(DataError, match=r"scale of the bars; over 30 prices it is 0\.5 times"):
        warmed("b/ohlcv/SHIB/USDT/1d", 0.5 * across)


def test_what_comes_later_changes_no_earlier_row_of_the_view() -> None:
    across = walked(89, start="2022-01-01")
    first = warmed("b/ohlcv/SHIB/USDT/1d", across)
    later = across.copy()
    later.iloc[70:] *= 1.1
    assert warmed("b/ohlcv/SHIB/USDT/1d", later).bars.equals(first.bars)


def test_a_span_that_the_bars_do_not_have_is_said(stored) -> None:
    done = run(stored, start="2021-06-01", end="2022-06-01")
    assert "the bars begin 2022-01-01 00:00; 2021-06-01 00:00 was asked for" in done.notes
    end = (
        "the bars end 2022-01-31 00:00; 2022-06-01 00:00 was asked for, and nothing is known of "
        "the time between"
    )
    assert end in done.notes
    bars = f"made/ohlcv/{SYMBOL}/1d"
    assert dl.market(bars, start="2021-06-01", end="2022-06-01").notes[-1] == end
    alone = dl.backtest(dl.market(bars), "buy_and_hold", end="2022-06-01")
    assert end in alone.notes
    assert not any("asked for" in note for note in run(stored, end="2022-01-31").notes)
