"""Parts and ids: bytes that depend on the rows and on nothing else."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.data.parts import content_id, decode, encode, periods
from delever.errors import StoreError
from delever.schema import kind_of, validate


def series(rows: int, freq: str = "h", start: str = "2021-01-30", seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, 2))
    values[rng.random(values.shape) < 0.1] = np.nan
    index = pd.date_range(start, periods=rows, freq=freq, tz="UTC", unit="ns", name="timestamp")
    return validate(
        pd.DataFrame(values, index=index, columns=["b", "a"]), "series", "1h", where="x"
    )


def test_the_id_is_sha256_over_names_stamps_and_columns():
    frame = series(3)
    text = b'["a", "b"]'
    stamps = struct.pack("<3q", *(int(stamp.timestamp()) * 10**9 for stamp in frame.index))
    columns = struct.pack("<6d", *frame["a"], *frame["b"])
    assert content_id(frame) == hashlib.sha256(text + stamps + columns).hexdigest()


def test_the_id_depends_on_every_value_stamp_and_name_and_not_on_the_order_of_columns():
    frame = series(3)
    ids = {
        content_id(frame),
        content_id(frame.iloc[:2]),
        content_id(frame.rename(columns={"a": "c"})),
        content_id(frame.rename(columns={"a": "b", "b": "a"})),
        content_id(frame.set_axis(frame.index + pd.Timedelta(1, "ns"), axis=0)),
        content_id(frame.assign(a=np.nextafter(frame["a"], 9))),
    }
    assert len(ids) == 6
    assert content_id(frame[["a", "b"]]) == content_id(frame)


@settings(max_examples=30)
@given(st.integers(1, 60), st.integers(0, 1000))
def test_rows_survive_being_encoded_to_the_bit(rows: int, seed: int):
    frame = series(rows, seed=seed)
    data = encode(frame)
    assert encode(frame.copy()) == data
    back = decode(data, kind_of("series"), ("b", "a"), "x")
    pd.testing.assert_frame_equal(back, frame, check_freq=False)
    assert content_id(back) == content_id(frame)


def test_other_columns_than_the_manifest_names_are_refused():
    with pytest.raises(StoreError, match="must hold timestamp, a, b; it holds timestamp"):
        decode(encode(series(2)), kind_of("series"), ("a", "b"), "part")


def flipped(data: bytes) -> Iterator[bytes]:
    for place in range(4, len(data), 7):
        yield data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def test_no_flipped_byte_changes_a_value_unnoticed():
    frame = series(40)
    kind = kind_of("series")
    survived = 0
    for data in flipped(encode(frame)):
        try:
            back = decode(data, kind, ("b", "a"), "part")
        except StoreError:
            continue
        survived += 1
        assert content_id(back) == content_id(frame)
    assert survived < 40


@pytest.mark.parametrize(
    ("timeframe", "freq", "form"), [("1d", "17D", "%Y"), ("1w", "7D", "%Y"), ("4h", "36h", "%Y-%m")]
)
def test_parts_are_years_or_months_and_tile_the_rows(timeframe: str, freq: str, form: str):
    index = pd.date_range("1999-11-05", periods=400, freq=freq, tz="UTC")
    found = periods(index, timeframe)
    assert [stamp.strftime(form) for stamp in index] == [
        name for name, rows in found.items() for _ in range(rows.start, rows.stop)
    ]
    assert list(found) == sorted(set(found))
