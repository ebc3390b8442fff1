"""Valid files, mutated: what is stored is what was true, or nothing is."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.zoo import GERMAN, KINDS, Kind

from delever.data.rhythm import check_timeframe
from delever.data.vendors.foreign import FileDescription
from delever.data.vendors.registry import read_foreign
from delever.errors import DeleverError
from delever.frames import validate

FIRST = st.integers(0, 29)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("mutated")
    (made / "german.toml").write_text(GERMAN)
    return made


def swap(lines: list[str], first: int, second: int) -> list[str]:
    lines = list(lines)
    lines[first], lines[second] = lines[second], lines[first]
    return lines


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Kind, bytes]:
    """A layout, and a file of it changed in some of six ways."""
    kind = draw(st.sampled_from(KINDS))
    head, rows = list(kind.head), kind.rows
    for change in draw(st.lists(st.sampled_from(["drop", "repeat", "swap", "shift"]), max_size=2)):
        one, other = draw(FIRST) % len(rows), draw(FIRST) % len(rows)
        if change == "drop":
            rows = [row for place, row in enumerate(rows) if place != one]
        elif change == "repeat":
            rows = [*rows[:other], rows[one], *rows[other:]]
        elif change == "swap":
            rows = swap(rows, one, other)
        else:  # the cells of a row move by some places, or those of the header do
            lines = rows if rows and draw(st.booleans()) else head or rows
            cells = lines[one % len(lines)].split(kind.separator)
            by = draw(st.integers(1, len(cells)))
            moved = (
                [*cells[by:], *([""] * by)] if draw(st.booleans()) else [*cells[by:], *cells[:by]]
            )
            lines[one % len(lines)] = kind.separator.join(moved)
    text = kind.text([*head, *rows])
    if draw(st.booleans()):
        text = text[: draw(st.integers(0, len(text)))]
    encoding = draw(
        st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
    )
    data = text.replace("\n", draw(st.sampled_from(["\n", "\r\n"]))).encode(encoding)
    if draw(st.booleans()):
        data = data[: draw(st.integers(max(0, len(data) - 40), len(data)))]
    return kind, kind.pack(data)


def outcome(kind: Kind, data: bytes, folder: Path) -> pd.DataFrame | None:
    """Rows as they would be stored; None where the file is refused."""
    path = folder / kind.file
    path.write_bytes(data)
    said = dict(kind.said)
    layout = said.pop("layout", None)
    layout = str(folder / layout) if str(layout).endswith(".toml") else layout
    unit = said.pop("stamp_unit", None)
    try:
        found = read_foreign([path], layout, FileDescription(**said), stamp_unit=unit).found
        (one,) = found
        name = one.reference
        check_timeframe(pd.DatetimeIndex(one.frame.index), name.kind, name.timeframe, kind.file)
        frame = validate(one.frame, name.kind, name.timeframe, where=kind.file)
    except DeleverError:
        return None
    assert name.symbol in kind.reference
    return frame


@settings(max_examples=2_000)
@given(mutated())
def test_a_mutated_file_is_true_or_refused(folder: Path, made: tuple[Kind, bytes]):
    kind, data = made
    frame = outcome(kind, data, folder)
    if frame is None:
        return
    assert frame.index.isin(kind.truth.index).all()
    true = kind.truth.reindex(frame.index)
    pd.testing.assert_frame_equal(frame, true, check_names=False, check_freq=False, rtol=0, atol=0)
