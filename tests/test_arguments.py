"""Arguments of another kind are refused in a sentence that names function, argument and mend."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import delever as dl
from delever.arguments import aligned, checked, whole_number
from delever.engine.backtest import backtest
from delever.errors import InputError
from delever.signals.breaks import breach_depth, breaks
from delever.signals.clock import ago, zscore
from delever.signals.edges import crossed_below
from delever.signals.indicators import sma
from delever.stats.blocks import block_length
from delever.stats.drawdowns import drawdown
from delever.stats.risk import value_at_risk

DAYS = pd.date_range("2021-01-01", periods=40, tz="UTC")
CLOSE = pd.Series(np.linspace(100.0, 140.0, 40), index=DAYS)
BARS = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], CLOSE))
EMPTY = pd.Series(dtype=float)


@pytest.mark.parametrize("value", [0, 11, 2.0, True, "3", None, float("nan"), 10**30])
def test_a_count_is_a_whole_number_in_its_range(value):
    with pytest.raises(InputError, match="days must be a whole number, from 1 to 10; got "):
        whole_number("days", value, 1, 10)
    whole_number("days", np.int64(10), 1, 10)


REFUSED = [
    (lambda: sma("abc", 3), r"sma: values must be a pandas.Series; got 'abc' \(str\)"),
    (lambda: sma(CLOSE.astype(str), 3), "sma: values must hold numbers; got str"),
    (lambda: sma(CLOSE, 2.5), "sma: window must be a whole number.*got 2.5"),
    (lambda: sma(CLOSE, 10**30), "sma: window must be a whole number.* to 2,147,483,647"),
    (lambda: breaks(None, CLOSE, near=0.01), "breaks: bars must be a pandas.DataFrame; got None"),
    (lambda: breaks(BARS[["open"]], CLOSE, near=0.01), "bars must have the column close; found"),
    (lambda: breaks(BARS, EMPTY, near=0.01), "line must stand on the index of bars; got 0 rows"),
    (lambda: breaks(BARS, CLOSE.iloc[::-1], near=0.01), "line must stand on the index of bars"),
    (lambda: breaks(BARS, CLOSE, near="near"), "breaks: near must be a number; got 'near'"),
    (lambda: breach_depth(BARS.astype(str), CLOSE), "bars: .* must hold numbers; got str"),
    (lambda: crossed_below(CLOSE, "low"), "crossed_below: level must be a number; got 'low'"),
    (lambda: ago(CLOSE, float("nan")), "a window must be a number of days > 0; got nan"),
    (lambda: zscore(CLOSE, 1e300), "zscore: a number is larger than what it can compute with"),
    (lambda: drawdown(None), "drawdown: returns must "),
    (lambda: value_at_risk([0.1], 5.0), "tail must be a fraction between 0 and 1; got 5.0"),
    (lambda: block_length(CLOSE, "odd"), "scheme must be one of .*stationary.*; got 'odd'"),
    (
        lambda: backtest("bars", CLOSE, timeframe="1d"),
        "bars must be a pandas.DataFrame; got 'bars'",
    ),
    (lambda: backtest(BARS, [1.0], timeframe="1d"), "target_exposure must be a pandas.Series"),
    (lambda: backtest(BARS, CLOSE, timeframe=None), "timeframe must be .*; got None"),
    (lambda: backtest(BARS, CLOSE, timeframe="1d", costs=0.1), "costs must be delever.Costs"),
    (
        lambda: backtest(BARS, CLOSE, timeframe="1d", account={}),
        "account must be delever.Account, or None",
    ),
    (
        lambda: backtest(BARS, CLOSE, timeframe="1d", initial_equity=1e308),
        r"initial_equity must be from 1e-06 to 1e\+15 quote units; got 1e\+308",
    ),
    (lambda: dl.compare(1, 2), "a comparison takes runs, .* got 1"),
    (lambda: dl.Costs(taker_fee="0.1"), "costs: taker_fee must be a number; got '0.1'"),
]


@pytest.mark.parametrize(("call", "said"), REFUSED)
def test_what_is_of_another_kind_is_refused_in_a_sentence(call, said):
    with pytest.raises(InputError, match=said) as refused:
        call()
    assert "\n" not in str(refused.value)


def test_none_passes_where_the_annotation_allows_it_and_other_errors_stay_themselves():
    @checked
    def asked(values: pd.Series | None, *, steps: int = 1) -> int:
        return {"one": steps}["one" if values is None else "two"]

    assert asked(None, steps=3) == 3
    with pytest.raises(KeyError, match="two"):
        asked(CLOSE)
    with pytest.raises(InputError, match="asked: steps must be a whole number"):
        asked(None, steps=1.5)


def test_series_of_numbers_in_any_type_are_taken_and_rows_are_compared_where_asked():
    @aligned
    def total(one: pd.Series, other: pd.Series) -> float:
        return float((one + other).sum())

    whole = pd.Series([1, 2], index=DAYS[:2])
    assert total(whole, whole.astype(object)) == 6.0
    with pytest.raises(InputError, match="total: other must stand on the index of one; got 2 rows"):
        total(whole, whole.set_axis(DAYS[1:3]))
