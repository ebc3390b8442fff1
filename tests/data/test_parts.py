"""Parts and ids: bytes that depend on the rows and on nothing else."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.data.parts import assemble, content_id, decode, encode, periods, rows_id
from delever.errors import StoreError
from delever.frames import validate
from delever.kinds import kind_of


def series(rows: int, freq: str = "h", start: str = "2021-01-30", seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, 2))
    values[rng.random(values.shape) < 0.1] = np.nan
    index = pd.date_range(start, periods=rows, freq=freq, tz="UTC", unit="ns", name="timestamp")
    return validate(
        pd.DataFrame(values, index=index, columns=["b", "a"]), "series", "1h", where="x"
    )


def read(data: bytes) -> pd.DataFrame:
    kind = kind_of("series")
    return assemble([decode(data, kind, ("b", "a"), "x")], kind, ("b", "a"))


def test_the_id_of_rows_is_sha256_over_names_stamps_and_columns():
    frame = series(3)
    text = b'["a", "b"]'
    stamps = struct.pack("<3q", *(int(stamp.timestamp()) * 10**9 for stamp in frame.index))
    columns = struct.pack("<6d", *frame["a"], *frame["b"])
    assert rows_id(frame) == hashlib.sha256(text + stamps + columns).hexdigest()


def test_the_id_of_a_data_set_is_sha256_over_names_and_the_ids_of_its_parts():
    frame = series(50)  # from 30 January 2021 on: 48 hours, then two in February
    parts = [rows_id(frame.iloc[:48]), rows_id(frame.iloc[48:])]
    text = f'["a", "b"]2021-01 {parts[0]}\n2021-02 {parts[1]}\n'
    assert content_id(frame, "1h") == hashlib.sha256(text.encode()).hexdigest()
    whole = f'["a", "b"]2021 {rows_id(frame)}\n'
    assert content_id(frame, "1d") == hashlib.sha256(whole.encode()).hexdigest()


def test_the_id_depends_on_every_value_stamp_and_name_and_not_on_the_order_of_columns():
    frame = series(3)
    others = (
        frame,
        frame.iloc[:2],
        frame.rename(columns={"a": "c"}),
        frame.rename(columns={"a": "b", "b": "a"}),
        frame.set_axis(frame.index + pd.Timedelta(1, "ns"), axis=0),
        frame.assign(a=np.nextafter(frame["a"], 9)),
    )
    assert len({content_id(other, "1h") for other in others}) == 6
    assert content_id(frame[["a", "b"]], "1h") == content_id(frame, "1h")


@settings(max_examples=30)
@given(st.integers(1, 60), st.integers(0, 1000))
def test_rows_survive_being_encoded_to_the_bit(rows: int, seed: int):
    frame = series(rows, seed=seed)
    data = encode(frame)
    assert encode(frame.copy()) == data
    back = read(data)
    pd.testing.assert_frame_equal(back, frame, check_freq=False)
    assert rows_id(back) == rows_id(frame)


@settings(max_examples=15)
@given(st.lists(st.integers(0, 40), max_size=4))
def test_parts_put_together_are_the_rows_they_were_cut_from(cuts: list[int]):
    frame = series(40)
    bounds = sorted({0, 40, *cuts})
    pieces = [frame.iloc[a:b] for a, b in pairwise(bounds)]
    kind = kind_of("series")
    tables = [decode(encode(piece), kind, ("b", "a"), "x") for piece in pieces]
    pd.testing.assert_frame_equal(assemble(tables, kind, ("b", "a")), frame, check_freq=False)


def test_other_columns_than_the_manifest_names_are_refused():
    with pytest.raises(StoreError, match="must hold timestamp, a, b; it holds timestamp"):
        decode(encode(series(2)), kind_of("series"), ("a", "b"), "part")


def flipped(data: bytes) -> Iterator[bytes]:
    for place in range(4, len(data), 7):
        yield data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


def test_no_flipped_byte_changes_a_value_unnoticed():
    frame = series(40)
    survived = 0
    for data in flipped(encode(frame)):
        try:
            back = read(data)
        except StoreError:
            continue
        survived += 1
        assert rows_id(back) == rows_id(frame)
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
    assert periods(index[:0], timeframe) == {}
