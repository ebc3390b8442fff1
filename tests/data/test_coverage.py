"""What is known about each bar: against a loop over every bar, and as a catalogue records it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from delever.data.catalog import Catalog
from delever.data.coverage import CoverageSpan, coverage, overlaid, unknown_bars
from delever.data.references import Reference
from delever.errors import ConflictError, InputError, NotStoredError, SchemaError

NAME = "v/ohlcv/BTC/USD/1h"
START = pd.Timestamp("2021-01-01", tz="UTC")
HOUR = pd.Timedelta(hours=1)
STATES = ("present", "absent", "unknown")


def hour(count: float) -> pd.Timestamp:
    return START + count * HOUR


def stamps(hours: set[int]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([hour(count) for count in sorted(hours)]).as_unit("ns")


def bars(*hours: int) -> pd.DataFrame:
    index = stamps(set(hours))
    price = [100.0 + count for count in sorted(hours)]
    return pd.DataFrame(dict.fromkeys(("open", "high", "low", "close", "volume"), price), index)


claims = st.lists(
    st.tuples(st.integers(-40, 160), st.integers(1, 60), st.sampled_from(STATES)), max_size=5
)


@given(st.sets(st.integers(0, 30), min_size=1), claims)
@example({3, 9}, [(0, 4 * 12, "absent"), (16, 1, "unknown")])
def test_every_bar_is_what_a_loop_over_all_bars_says(
    hours: set[int], made: list[tuple[int, int, str]]
):
    # Claims begin and end on quarters of an hour: a bar belongs to the claim it opens in.
    spans = [(begin / 4, (begin + length) / 4, state) for begin, length, state in made]
    first = min([min(hours), *(begin for begin, _, _ in spans)])
    last = max([max(hours) + 1, *(end for _, end, _ in spans)])
    expected = {}
    for bar in range(-20, 80):
        if bar < first or bar + 1 > last:
            continue
        holding = [state for begin, end, state in spans if begin <= bar < end]
        absent = bool(holding) and holding[-1] == "absent" and bar < max(hours)
        expected[bar] = "present" if bar in hours else "absent" if absent else "unknown"
    table = coverage(
        stamps(hours),
        Reference.parse(NAME),
        overlaid((), [CoverageSpan(start=hour(b), end=hour(e), state=s) for b, e, s in spans]),
    )
    found = {}
    for start, end, state, count in table.itertuples(index=False):
        opened = pd.date_range(start, end, freq="h", inclusive="left")
        assert len(opened) == count
        found |= {round((time - START) / HOUR): state for time in opened}
    assert found == expected
    assert (table["start"].iloc[1:].to_numpy() == table["end"].iloc[:-1].to_numpy()).all()
    assert unknown_bars(table) == sum(state == "unknown" for state in expected.values())


def test_readings_off_the_grid_are_covered_too():
    index = pd.DatetimeIndex(["2021-01-01", "2021-01-02 00:05", "2021-01-05"], tz="UTC")
    table = coverage(index, Reference.parse("v/series/x/1d"), ())
    assert table["state"].tolist() == ["present", "unknown", "present"]
    assert table["bars"].tolist() == [2, 2, 1]


def test_weekends_of_a_market_that_is_closed_then_are_absent_and_its_holidays_unknown():
    daily = Reference.parse("nasdaq/ohlcv/IBIT/USD/1d")
    days = pd.bdate_range("2020-03-02", "2020-05-29", tz="UTC")
    fund = days[days != pd.Timestamp("2020-04-10", tz="UTC")]  # Good Friday
    table = coverage(fund, daily, ())
    counts = table.groupby("state")["bars"].sum()
    assert counts.to_dict() == {"present": 64, "absent": 24, "unknown": 1}
    (unknown,) = table[table["state"] == "unknown"].itertuples()
    assert (unknown.start, unknown.end - unknown.start) == (days[29], pd.Timedelta(days=1))
    claimed = [CoverageSpan(start=days[0], end=days[-1], state="present")]
    assert unknown_bars(coverage(fund, daily, claimed)) == 1
    # A venue that failed on seven weekends, and one that had a Saturday.
    assert unknown_bars(coverage(days[:40], daily, ())) == 14
    saturday = pd.DatetimeIndex(["2020-05-16"], tz="UTC")
    assert unknown_bars(coverage(days.union(saturday), daily, ())) == 23
    mondays = days[days.day_of_week == 0]
    assert unknown_bars(coverage(mondays, daily, ())) == 6 * (len(mondays) - 1)
    evenings = days + pd.Timedelta(hours=21)
    assert unknown_bars(coverage(evenings, daily, ())) == 0


@pytest.mark.parametrize(
    ("start", "end", "state", "said"),
    [
        (hour(1), hour(1), "absent", "the start before the end"),
        (hour(1).tz_localize(None), hour(2), "absent", "coverage needs UTC"),
        (hour(1), hour(2), "gone", "must be present, absent, unknown"),
    ],
)
def test_claims_that_say_nothing_are_refused(tmp_path: Path, start, end, state, said: str):
    catalog = Catalog(tmp_path)
    with pytest.raises(InputError, match=said):
        catalog.append(NAME, bars(0, 1), covered=[(start, end, state)], provenance={"v": 1})
    assert catalog.list() == []


def test_pages_become_one_data_set_that_knows_its_holes(tmp_path: Path):
    catalog = Catalog(tmp_path)
    origin = {"venue": "v", "method": "klines"}
    early = [(hour(-10), hour(0), "absent")]
    catalog.append(NAME, bars(0, 1), covered=early, provenance=origin)
    catalog.append(NAME, bars(1, 2, 5), covered=[(hour(1), hour(6), "present")], provenance=origin)
    change = catalog.append(
        NAME, bars(9), covered=[(hour(6), hour(9), "unknown")], provenance=origin
    )
    assert (change.added, change.present, change.manifest.rows) == (1, 0, 5)

    def known() -> list[tuple[int, int, str]]:
        table = catalog.coverage(NAME)
        return [
            (round((start - START) / HOUR), round((end - START) / HOUR), state)
            for start, end, state, _ in table.itertuples(index=False)
        ]

    holes = [(3, 5, "unknown"), (5, 6, "present"), (6, 9, "unknown"), (9, 10, "present")]
    assert known() == [(-10, 0, "absent"), (0, 3, "present"), *holes]
    catalog.append(NAME, covered=[(hour(3), hour(5), "absent"), (hour(6), hour(7), "absent")])
    assert known()[2:4] == [(3, 5, "absent"), (5, 6, "present")]
    assert known()[4:6] == [(6, 7, "absent"), (7, 9, "unknown")]
    catalog.append(NAME, bars(4, 6, 7, 8), provenance=origin)  # the venue found them after all
    assert known()[1:] == [(0, 3, "present"), (3, 4, "absent"), (4, 10, "present")]
    assert catalog.load(NAME).provenance == (origin,)
    assert catalog.list()[0].gaps == 1
    assert catalog.check(NAME)[0].problems == ()


def test_what_is_known_does_not_depend_on_the_order_of_pages(tmp_path: Path):
    pages = [bars(0, 1, 2), bars(2, 3), bars(800, 801), bars(5)]
    manifests = []
    for order in (pages, pages[::-1], pages[2:] + pages[:2]):
        catalog = Catalog(tmp_path / str(len(manifests)))
        for page in order:
            span = (page.index[0], page.index[-1] + HOUR, "absent")
            catalog.append(NAME, page, covered=[span], provenance={"v": 1})
        file = next((tmp_path / str(len(manifests))).rglob("dataset.json"))
        manifests.append(json.loads(file.read_text()))
    assert manifests[0] == manifests[1] == manifests[2]


def test_a_page_that_is_refused_leaves_everything_as_it_was(tmp_path: Path):
    catalog = Catalog(tmp_path)
    with pytest.raises(NotStoredError, match="cannot begin without rows"):
        catalog.append(NAME, covered=[(hour(0), hour(1), "absent")])
    with pytest.raises(InputError, match="need provenance"):
        catalog.append(NAME, bars(0))
    catalog.append(NAME, bars(0, 1), provenance={"v": 1})
    before = catalog.coverage(NAME)
    claim = [(hour(0), hour(99), "absent")]
    with pytest.raises(ConflictError, match="open is stored as"):
        catalog.append(NAME, bars(1).assign(open=101.5, high=102), provenance={}, covered=claim)
    with pytest.raises(SchemaError, match="high >= max"):
        catalog.append(NAME, bars(2).assign(high=1), provenance={}, covered=claim)
    with pytest.raises(InputError, match="must not be 'sample'"):
        catalog.append("sample/ohlcv/BTC/USD/1d", bars(0), provenance={})
    pd.testing.assert_frame_equal(catalog.coverage(NAME), before)


@settings(max_examples=20)
@given(st.integers(0, 70), st.integers(1, 70))
def test_a_span_is_the_slice_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, begin: int, length: int
):
    index = pd.date_range("2021-01-20", periods=60, freq="D", tz="UTC", unit="ns")
    frame = pd.DataFrame({"x": range(60)}, index=index)
    catalog = Catalog(tmp_path_factory.mktemp("span"))
    catalog.append("v/series/x/12h", frame, provenance={})  # parts of a month
    start, end = index[0] + begin * HOUR * 24, index[0] + (begin + length) * HOUR * 24
    expected = frame[(frame.index >= start) & (frame.index < end)]
    if expected.empty:
        with pytest.raises(NotStoredError, match="has no rows from"):
            catalog.load("v/series/x/12h", start, end)
        return
    found = catalog.load("v/series/x/12h", start, end)
    assert found.frame["x"].tolist() == expected["x"].tolist()
    assert found.frame.index.equals(expected.index)
    assert found.id == catalog.load("v/series/x/12h").id


def test_a_span_reads_only_the_parts_it_reaches_into(tmp_path: Path):
    catalog = Catalog(tmp_path)
    frame = bars(*range(0, 24 * 100, 6))
    catalog.append(NAME, frame, provenance={})
    for part in tmp_path.rglob("*.parquet"):
        if not part.name.startswith("2021-02"):
            part.unlink()
    found = catalog.load(
        NAME, pd.Timestamp("2021-02-01", tz="UTC"), pd.Timestamp("2021-03-01", tz="UTC")
    )
    assert len(found.frame) == 28 * 4
