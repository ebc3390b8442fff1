"""One rule for funding whose interval changes: import, check, repair, strip and engine agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.fetching import client_of
from tests.exchange import Fault, World, generate, serve

from delever.bars import gaps
from delever.cli.app import main
from delever.data.catalog import Catalog
from delever.data.coverage import coverage, unknown_bars
from delever.data.exchange.fetch import fetch, repair
from delever.data.references import Reference
from delever.funding_stamps import funding_holes

HOUR = 3_600_000_000_000
START = pd.Timestamp("2023-01-01", tz="UTC")


def stamped(hours) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([START + pd.Timedelta(hours=int(hour)) for hour in hours]).as_unit("ns")


def frame_of(hours) -> pd.DataFrame:
    return pd.DataFrame({"funding_rate": 1e-4}, index=stamped(hours))


def name(timeframe: str) -> str:
    return f"v/funding/BTC/USDT:USDT/{timeframe}"


CHANGE = [0, 8, 16, 24, 32, 40, *range(48, 100)]
"""8-hourly, and hourly from the third day on."""


@pytest.mark.parametrize("timeframe", ["1h", "4h", "8h"])
@pytest.mark.parametrize("first", [0, 5])
def test_a_complete_history_has_no_hole_whatever_it_is_called(tmp_path, timeframe, first):
    """Also when the change is the first interval of the file, and across months."""
    catalog = Catalog(tmp_path)
    hours = CHANGE[first:] + list(range(100, 1000))
    report = catalog.add(frame_of(hours), name(timeframe))
    assert (report.entry.gaps, len(report.gaps)) == (0, 0)
    assert catalog.coverage(name(timeframe))["state"].tolist() == ["present"]


@pytest.mark.parametrize("timeframe", ["1h", "8h"])
def test_four_missing_stamps_are_four_unknown_everywhere(workspace, tmp_path, timeframe, capsys):
    hours = [hour for hour in CHANGE if not 59 <= hour < 63]
    path = tmp_path / "holes.csv"
    frame_of(hours).to_csv(path, index_label="timestamp")
    words = ["--venue", "v", "--symbol", "BTC/USDT:USDT", "--timeframe", timeframe]
    assert main(["data", "import", str(path), "--kind", "funding", *words]) == 0
    assert "1 gap, 4 bars" in capsys.readouterr().out
    assert main(["data", "check", name(timeframe)]) == 1
    out = capsys.readouterr().out
    assert "4 bars are unknown" in out
    assert "2023-01-03 11:00" in out
    catalog = workspace.catalog
    assert catalog.list()[-1].gaps == 1
    (hole,) = funding_holes(stamped(hours).asi8, int(START.value), int(stamped([99])[0].value))
    assert (hole.before - hole.after) // hole.interval - 1 == 4
    # The rest of the file, in a part of its own, closes nothing and opens one more.
    catalog.add(frame_of([*range(100, 900), *range(903, 960)]), name(timeframe))
    assert catalog.list()[-1].gaps == 2
    catalog.add(frame_of(range(59, 63)), name(timeframe))
    assert catalog.list()[-1].gaps == 1
    assert unknown_bars(catalog.coverage(name(timeframe))) == 3


@given(
    rhythm=st.lists(st.sampled_from([1, 4, 8]), min_size=1, max_size=4),
    lost=st.sets(st.integers(0, 60), max_size=8),
    timeframe=st.sampled_from(["1h", "8h", "1d"]),
)
def test_coverage_is_the_engines_rule(rhythm, lost, timeframe):
    hours = np.concatenate([[0], np.cumsum(np.repeat(rhythm, 15))])
    kept = stamped(np.delete(hours, sorted(n for n in lost if n < len(hours) - 2)))
    found = funding_holes(kept.asi8, int(kept.asi8[0]), int(kept.asi8[-1]))
    table = gaps(kept, timeframe, "funding")
    said = table[["start", "end"]].astype("int64").to_numpy().tolist()
    assert said == [[hole.after + hole.interval, hole.before] for hole in found]
    covered = coverage(kept, Reference.parse(name(timeframe)), ())
    assert unknown_bars(covered) == table["bars"].sum()
    assert covered.loc[covered["state"] == "present", "bars"].sum() == len(kept)


@pytest.mark.parametrize("timeframe", ["1h", "8h"])
def test_fetched_funding_of_two_intervals_is_whole_and_its_holes_are_repaired(tmp_path, timeframe):
    market = generate("BTC/USDT:USDT", rows=24 * 30, timeframe="1h", start="2023-01-01")
    times = stamped(CHANGE + list(range(100, 24 * 30))).asi8 // 1_000_000
    market = replace(market, funding_times=times, funding_rates=np.full(len(times), 1e-4))
    catalog = Catalog(tmp_path)
    reference = Reference.parse(f"bybit/funding/BTC/USDT:USDT/{timeframe}")
    gap = Fault("gap", match="*/funding/history", times=None, start=int(times[20]))
    withheld = replace(gap, end=int(times[24]))
    with serve(World(markets=(market,)), [withheld]) as exchange:
        done = fetch(client_of(exchange, "bybit"), catalog, reference)
        assert [len(done.absent), len(done.unknown), len(done.unconfirmed)] == [0, 1, 1]
        assert unknown_bars(catalog.coverage(reference)) == 4
        exchange.faults.clear()
        done = repair(client_of(exchange, "bybit"), catalog, reference)
        assert (done.added, done.unknown) == (4, ())
        exchange.faults.add(Fault("lag", times=None, shift=5 * 3_600_000))
        exchange.now += 6 * 3_600_000
        late = fetch(client_of(exchange, "bybit"), catalog, reference)
    assert catalog.coverage(reference)["state"].tolist()[0] == "present"
    assert len(late.overdue) == 1
    assert unknown_bars(catalog.coverage(reference)) == 5  # of five whole hours
