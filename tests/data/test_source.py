"""References: what they may be, and that each has a folder of its own inside the store."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from delever.data.references import Dataset, Reference, default_lag, is_reserved, parse_lag
from delever.errors import InputError

symbols = st.text(st.sampled_from("aAbB01/\\:._-%~*?é"), min_size=1, max_size=12)


def of(symbol: str, **parts: str) -> Reference:
    return Reference(**{"venue": "v", "kind": "series", "timeframe": "1d"} | parts, symbol=symbol)


def test_first_second_and_last_part_are_venue_kind_and_timeframe():
    reference = Reference.parse("binanceusdm/ohlcv/BTC/USDT:USDT/4h")
    assert reference.venue == "binanceusdm"
    assert reference.kind == "ohlcv"
    assert reference.symbol == "BTC/USDT:USDT"
    assert reference.timeframe == "4h"


@given(symbols)
def test_a_reference_survives_being_written(symbol: str):
    reference = of(symbol)
    assert Reference.parse(str(reference)) == reference


@given(symbols)
def test_a_folder_stays_inside_the_store(symbol: str):
    folder = of(symbol).folder
    assert re.fullmatch(r"v/series/[A-Za-z0-9_%~-]+/1d", folder)
    assert len(PurePosixPath(folder).parts) == 4


@given(symbols, symbols)
def test_two_symbols_never_share_a_folder_even_where_case_is_ignored(one: str, other: str):
    assume(one != other)
    assert of(one).folder.casefold() != of(other).folder.casefold()


@pytest.mark.parametrize(
    ("one", "other"),
    [("BTC", "btc"), ("kPEPE", "KPEPE"), ("a~1", "A"), ("%2F", "/"), ("aB", "Ab"), ("a", "a~0")],
)
def test_pairs_that_are_easily_confused_have_two_folders(one: str, other: str):
    assert of(one).folder.casefold() != of(other).folder.casefold()


def test_an_uppercase_symbol_stays_readable():
    assert of("BTC/USDT:USDT").folder == "v/series/BTC%2FUSDT%3AUSDT/1d"
    assert of("..").folder == "v/series/%2E%2E/1d"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bitstamp/ohlcv/1d", "venue/kind/symbol/timeframe"),
        ("", "venue/kind/symbol/timeframe"),
        ("Bitstamp/ohlcv/BTC/USD/1d", "venue must be lowercase"),
        ("../ohlcv/BTC/USD/1d", "venue must be lowercase"),
        ("/ohlcv/BTC/USD/1d", "venue must be lowercase"),
        ("-x/ohlcv/BTC/USD/1d", "venue must be lowercase"),
        ("v/candles/BTC/USD/1d", "kind must be one of"),
        ("v/ohlcv/BTC/USD/1y", "timeframe must be"),
        ("v/ohlcv//1d", "symbol must be printable"),
        ("v/ohlcv/BTC USD/1d", "symbol must be printable"),
        ("v/ohlcv/BTC\nUSD/1d", "symbol must be printable"),
        ("v/ohlcv/" + "é" * 60 + "/1d", "short enough to name a folder"),
    ],
)
def test_what_is_no_reference_is_refused(text: str, said: str):
    with pytest.raises(InputError, match=said):
        Reference.parse(text)


def test_a_row_is_known_one_timeframe_after_its_stamp_and_funding_at_once():
    assert default_lag(of("x", timeframe="4h")) == pd.Timedelta(hours=4)
    assert default_lag(of("x", kind="ohlcv", timeframe="1w")) == pd.Timedelta(days=7)
    assert default_lag(of("x", kind="funding", timeframe="8h")) == pd.Timedelta(0)


def test_lags_are_written_as_timeframes_or_zero():
    assert parse_lag("0") == pd.Timedelta(0)
    assert parse_lag("90m") == pd.Timedelta(hours=1.5)
    for text in ("", "8", "-8h", "8 h", "0h"):
        with pytest.raises(InputError, match="publication lag must be 0 or"):
            parse_lag(text)


def test_a_data_set_knows_its_gaps():
    days = pd.DatetimeIndex(["2021-01-01", "2021-01-05"], tz="UTC")
    dataset = Dataset(
        reference=of("x"),
        frame=pd.DataFrame({"a": [1.0, 2.0]}, index=days),
        id="",
        publication_lag=pd.Timedelta(0),
    )
    assert dataset.gaps["bars"].tolist() == [3]


@pytest.mark.parametrize("name", ["CON", "aux", "Nul", "COM1", "lpt9"])
def test_no_folder_has_a_name_that_windows_reserves(name: str) -> None:
    last = of(name).folder.split("/")[-2]
    assert last.startswith(f"{name}~")
    assert not is_reserved(last)
    with pytest.raises(InputError, match="Windows reserves"):
        Reference(venue=name.lower(), kind="series", symbol="X", timeframe="1d")
