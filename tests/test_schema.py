"""The contract of frames: what is let in comes out whole, and each breach is named."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.errors import InputError, SchemaError
from delever.frames import utc_index, validate
from delever.kinds import kind_of

COLUMNS = ["open", "high", "low", "close", "volume"]


def bars(rows: int = 5, **columns: object) -> pd.DataFrame:
    index = pd.date_range("2021-05-17", periods=rows, tz="UTC", name="open_time")
    frame = pd.DataFrame(
        {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 3.0}, index=index
    )
    return frame.assign(**columns)


def with_cell(column: str, row: int, value: float) -> pd.DataFrame:
    frame = bars()
    frame.loc[frame.index[row], column] = value
    return frame


def refused(frame: pd.DataFrame, *said: str, kind: str = "ohlcv", timeframe: str = "1d") -> None:
    with pytest.raises(SchemaError) as error:
        validate(frame, kind, timeframe, where="btc.csv")
    for words in ("btc.csv", *said):
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("column", "value", "required"),
    [
        ("close", np.nan, "has close = nan; a finite number is required"),
        ("open", np.inf, "has open = inf; a finite number is required"),
        ("low", -np.inf, "has low = -inf; a finite number is required"),
        ("volume", -1.0, "has volume = -1.0; volume >= 0 is required"),
        ("volume", np.nan, "has volume = nan; a finite number is required"),
        ("low", 0.0, "has low = 0.0; low > 0 is required"),
        ("open", -10.0, "has open = -10.0; open > 0 is required"),
        ("high", 8.0, "has high = 8.0, open = 10.0, close = 11.0; high >= max(open, close)"),
        ("high", 10.5, "high >= max(open, close)"),
        ("low", 10.5, "has low = 10.5, open = 10.0, close = 11.0; low <= min(open, close)"),
        ("low", np.nextafter(10.0, 11.0), "low <= min(open, close)"),
    ],
)
def test_a_row_that_cannot_be_is_named(column: str, value: float, required: str):
    refused(with_cell(column, 2, value), "row 3 (2021-05-19 00:00)", required, "nothing was stored")


def test_how_many_more_rows_are_wrong_is_said_and_their_line_where_there_are_lines():
    frame = bars(volume=[1.0, -1.0, -2.0, 1.0, -3.0])
    with pytest.raises(SchemaError, match=r"row 2 \(line 3, 2021-05-18 00:00\).*2 more such rows"):
        validate(frame, "ohlcv", "1d", where="x.csv", header_lines=1)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (pd.date_range("2021-05-17", periods=5), "must carry a time zone; got naive ones"),
        (pd.RangeIndex(5), "must hold time stamps; got int64"),
        (pd.date_range("2021-05-17 12:00", periods=5, tz="UTC"), "open time of 1d bars"),
        (pd.date_range("2021-05-17", periods=5, tz="America/New_York"), "open time of 1d bars"),
        (pd.date_range("2021-05-17", periods=5, tz="UTC")[::-1], "row 2 (2021-05-20 00:00) is ear"),
        (
            pd.date_range("2021-05-17", periods=4, tz="UTC").repeat([1, 2, 1, 1]),
            "row 3 (2021-05-18 00:00) repeats the stamp",
        ),
        (
            pd.DatetimeIndex(["2021-05-17", None, *["2021-05-18"] * 3], tz="UTC"),
            "row 2 has no time stamp",
        ),
        (pd.DatetimeIndex(["9999-01-01"] * 5, tz="UTC"), "years 1678 to 2261"),
    ],
)
def test_an_index_that_is_no_clock_is_refused(index: pd.Index, said: str):
    refused(bars().set_axis(index, axis=0), said)


def test_seconds_are_shown_where_a_stamp_has_them():
    index = pd.DatetimeIndex(["2021-05-17", "2021-05-18 00:00:03"], tz="UTC")
    refused(bars(2).set_axis(index, axis=0), "row 2 (2021-05-18 00:00:03")


def test_weekly_bars_open_on_monday():
    monday = pd.date_range("2021-05-17", periods=3, freq="7D", tz="UTC")
    validate(bars(3).set_axis(monday, axis=0), "ohlcv", "1w", where="w")
    refused(bars(3).set_axis(monday + pd.Timedelta(days=3), axis=0), "1w bars", timeframe="1w")


def test_other_clocks_are_brought_to_utc():
    index = pd.date_range("2021-05-17 02:00", periods=3, freq="D", tz="Europe/Paris").as_unit("s")
    got = validate(bars(3).set_axis(index, axis=0), "ohlcv", "1d", where="x").index
    assert got[0] == pd.Timestamp("2021-05-17", tz="UTC")
    assert (str(got.dtype), got.name) == ("datetime64[ns, UTC]", "open_time")


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (bars().drop(columns="volume"), "missing volume; found open, high, low, close"),
        (bars(0), "at least one row"),
        (bars(close=["a"] * 5), "column close must hold numbers"),
        (bars(close=["1.5"] * 5), "column close must hold numbers"),
        (bars(close=True), "column close must hold numbers; it holds bool"),
        (bars(close=1j), "column close must hold numbers; it holds complex"),
        (bars(close=pd.Timestamp("2021-01-01")), "column close must hold numbers"),
        (pd.concat([bars(), bars()[["close"]]], axis=1), "a name of its own"),
    ],
)
def test_columns_that_do_not_do_are_refused(frame: pd.DataFrame, said: str):
    refused(frame, said)


def test_volume_is_known_throughout_or_nowhere():
    nowhere = validate(bars(volume=np.nan), "ohlcv", "1d", where="x")
    assert nowhere["volume"].isna().all()
    refused(with_cell("volume", 4, np.nan), "row 5", "volume = nan")


def test_columns_beyond_the_contract_are_left_behind_and_the_rest_is_ordered():
    frame = bars(extra=1.0)[["extra", "volume", "close", "low", "high", "open"]].astype("float32")
    got = validate(frame, "ohlcv", "1d", where="x")
    assert list(got.columns) == COLUMNS
    assert set(got.dtypes) == {np.dtype("float64")}


def test_nullable_columns_become_floats():
    frame = pd.DataFrame(
        {"a": pd.array([1, None], dtype="Int64")}, index=pd.date_range("2021", periods=2, tz="UTC")
    )
    got = validate(frame, "series", "1d", where="x")["a"]
    assert got.dtype == np.dtype("float64")
    assert got.iloc[0] == 1.0
    assert np.isnan(got.iloc[1])


def test_a_series_may_be_undefined_but_not_infinite_and_needs_no_grid():
    index = pd.DatetimeIndex(["2021-01-01 05:00", "2021-01-03"], tz="UTC")
    frame = pd.DataFrame({"a": [np.nan, 1.0], "b": [-1.0, np.nan]}, index=index)
    got = validate(frame, "series", "1d", where="x")
    np.testing.assert_array_equal(got.to_numpy(), frame.to_numpy())
    refused(frame.assign(a=np.inf), "a = inf", kind="series")
    refused(frame.set_axis([1, 2], axis=1), "a name of its own", kind="series")


def test_funding_is_a_fraction_snapped_to_the_second():
    index = pd.DatetimeIndex(["2021-01-01 00:00:00.004", "2021-01-01 07:59:59.998"], tz="UTC")
    frame = pd.DataFrame({"funding_rate": [0.0001, -0.0003]}, index=index)
    got = validate(frame, "funding", "8h", where="x")
    assert got.index.tolist() == [
        pd.Timestamp("2021-01-01 00:00", tz="UTC"),
        pd.Timestamp("2021-01-01 08:00", tz="UTC"),
    ]
    refused(frame * 1e5, "|funding_rate| < 1", kind="funding", timeframe="8h")
    twice = frame.set_axis(index[:1].append(index[:1] + pd.Timedelta(milliseconds=9)), axis=0)
    refused(twice, "row 2", "repeats the stamp", kind="funding", timeframe="8h")


def test_an_unknown_kind_names_those_there_are():
    with pytest.raises(InputError, match=r"one of ohlcv, .*, series; got 'candles'"):
        kind_of("candles")


def test_equal_content_comes_out_as_equal_bytes():
    index = pd.date_range("2021", periods=2, tz="UTC")
    odd_nan = np.frombuffer(np.uint64(0xFFF8000000000123).tobytes(), dtype="float64")[0]
    one = validate(pd.DataFrame({"a": [-0.0, odd_nan]}, index=index), "series", "1d", where="x")
    other = validate(pd.DataFrame({"a": [0.0, np.nan]}, index=index), "series", "1d", where="x")
    assert one["a"].to_numpy().tobytes() == other["a"].to_numpy().tobytes()


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.lists(st.floats(1e-9, 1e12), min_size=4, max_size=4), st.floats(0, 1e15)),
        min_size=1,
        max_size=20,
    )
)
def test_bars_that_can_be_pass_unchanged_and_twice(drawn: list[tuple[list[float], float]]):
    rows = [[p[0], max(p), min(p), p[3], volume] for p, volume in drawn]
    index = pd.date_range("2021", periods=len(rows), freq="h", tz="UTC")
    frame = pd.DataFrame(rows, index=index, columns=COLUMNS)
    got = validate(frame, "ohlcv", "1h", where="x")
    np.testing.assert_array_equal(got.to_numpy(), np.array(rows))
    pd.testing.assert_frame_equal(validate(got, "ohlcv", "1h", where="x"), got)


@settings(max_examples=40)
@given(st.integers(0, 19), st.sampled_from(COLUMNS), st.sampled_from([np.nan, np.inf, -1.0]))
def test_one_bad_cell_anywhere_is_found(row: int, column: str, value: float):
    frame = bars(20)
    frame.iloc[row, COLUMNS.index(column)] = value
    with pytest.raises(SchemaError) as error:
        validate(frame, "ohlcv", "1d", where="x")
    assert f"row {row + 1} " in str(error.value)
    assert column in str(error.value)


def test_validation_leaves_its_input_alone():
    frame = bars(volume=-0.0)
    before = frame.copy(deep=True)
    validated = validate(frame, "ohlcv", "1d", where="x")
    validated.loc[:, "close"] = 0.0
    pd.testing.assert_frame_equal(frame, before)


def test_utc_index_names_its_result():
    index = pd.date_range("2021", periods=2, tz="UTC")
    assert utc_index(index, "known_at", "x").name == "known_at"


def test_a_table_turned_on_its_side_is_refused() -> None:
    index = pd.date_range("2021-05-17", periods=2, tz="UTC")
    wide = pd.DataFrame(np.ones((2, 1_001)), index=index, columns=[f"c{n}" for n in range(1_001)])
    refused(wide, "at most 1,000 columns are stored; found 1,001", kind="series")
    assert validate(wide.iloc[:, :1_000], "series", "1d", where="x").shape == (2, 1_000)
