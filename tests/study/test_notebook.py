"""The functions of a notebook: what they take, and one sentence for what they do not."""

from __future__ import annotations

import pandas as pd
import pytest

import delever as dl
from delever.errors import InputError


@pytest.fixture(scope="module")
def market():
    days = pd.date_range("2021-01-01", periods=40, tz="UTC", name="open_time")
    close = pd.Series([100.0 + 3 * (n % 7) for n in range(40)], index=days)
    prices = {"open": close, "high": close + 1, "low": close - 1, "close": close}
    return dl.MarketView(bars=pd.DataFrame(prices | {"volume": 1.0}), timeframe="1d")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"strategy": None},
            "strategy must be a name, a path, a loaded strategy, a function.*got None",
        ),
        ({"strategy": len}, "strategy must be a name"),
        ({"costs": 5}, r"costs must be dl.Costs.*got 5"),
        (
            {"market": "sample/ohlcv/BTC/USD/1d"},
            "market must be a view, as dl.market returns it",
        ),
        ({"initial_equity": "10"}, "initial_equity must be a number"),
        ({"initial_equity": True}, "initial_equity must be a number"),
        ({"start": "soon"}, "start must be a date or a time such as 2021-05-19; got 'soon'"),
        ({"end": pd.NaT}, "end must be a date"),
        ({"workspace": 5}, "workspace must be the path of a folder; got 5"),
    ],
)
def test_an_argument_of_another_kind_is_refused_in_one_sentence(workspace, market, changed, said):
    given = {"market": market, "strategy": "buy_and_hold"} | changed
    with pytest.raises(InputError, match=said) as caught:
        dl.backtest(given.pop("market"), given.pop("strategy"), **given)
    assert "\n" not in str(caught.value)


def test_what_is_no_reference_path_or_mapping_is_refused(workspace):
    for call in (
        lambda: dl.load(None),
        lambda: dl.market(5),
        lambda: dl.market("sample/ohlcv/BTC/USD/1d", series=["funding"]),
        lambda: dl.strategy(3),
        lambda: dl.run(None),
        lambda: dl.run("backtests/buy_and_hold.toml", set="params.weeks=150"),
    ):
        with pytest.raises(InputError, match=r"must be .*; got ") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_exposures_of_ones_own_are_run(workspace, market):
    half = pd.Series(0.5, index=market.index)
    done = dl.backtest(market, half, costs=dl.Costs(), start="2021-01-05")
    # 0.5 held from the second fill on: 111 at the open of day 5 (100 + 3 * (4 % 7) = 112).
    assert done.evaluation.backtest.ledger["exposure"].iloc[-1] == pytest.approx(0.5, abs=0.05)
    assert done.name == "exposures"
