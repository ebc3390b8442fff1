"""What may be believed of a venue that lags, withholds rows, or whose clock is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.data.fetching import SYMBOLS, bars_of, client_of, hold_to_truth, spread, stored
from tests.exchange import Fault, World, generate, serve

from delever.cli.app import main
from delever.data.catalog import Catalog
from delever.data.coverage import unknown_bars
from delever.data.exchange.fetch import fetch, repair
from delever.errors import ConflictError

HOUR = 3_600_000
DAY = 24 * HOUR
STEPS = {"1m": 60_000, "1h": HOUR, "1d": DAY}


def moment(time: int) -> pd.Timestamp:
    return pd.Timestamp(int(time), unit="ms", tz="UTC").as_unit("ns")


def holes(catalog, reference) -> list[tuple[str, int]]:
    table = catalog.coverage(reference)
    table = table[table["state"] != "present"]
    return list(zip(table["state"], table["bars"].tolist(), strict=True))


@pytest.mark.parametrize(
    ("lag", "venue"), spread((lag, venue) for lag in (5, 30, 40) for venue in ("bybit", "kraken"))
)
def test_what_a_venue_that_lags_has_not_served_is_unknown_and_comes_in_later(tmp_path, venue, lag):
    """Its answers end `lag` hours ago, in the middle of an hour; its clock is right."""
    whole = generate(SYMBOLS[venue], rows=6_000, timeframe="1m")
    catalog, reference = Catalog(tmp_path), bars_of(venue, "1h")
    now = int(whole.times[-1])  # 03:59 on the fifth day
    newest = (now - lag * HOUR) // HOUR * HOUR
    with serve(World(markets=(whole,), now=now)) as exchange:
        exchange.faults.add(Fault("lag", times=None, shift=lag * HOUR + 10 * 60_000))
        done = fetch(client_of(exchange, venue), catalog, reference)
        assert (done.absent, done.unconfirmed) == ((), ())
        assert (
            done.unknown == done.overdue == ((moment(newest), moment(now // HOUR * HOUR - HOUR)),)
        )
        assert stored(catalog, reference)[0][-1] == newest - HOUR
        assert holes(catalog, reference) == [("unknown", lag - 1)]
        exchange.faults.clear()
        done = repair(client_of(exchange, venue), catalog, reference)
        assert (done.added, done.unknown) == (lag - 1, ())
        assert holes(catalog, reference) == []
        fetch(client_of(exchange, venue), catalog, reference)
    times, values = stored(catalog, reference)
    true_times, true = whole.rows("last", HOUR)
    np.testing.assert_array_equal(times, true_times[:-1])
    np.testing.assert_array_equal(values, true[:-1])


@pytest.mark.parametrize(
    ("shift", "timeframe"),
    spread(
        (shift, timeframe)
        for shift in (-HOUR, 31_000, 29 * 60_000, 31 * 60_000, 25 * HOUR, 10 * DAY)
        for timeframe in STEPS
    ),
)
def test_no_clock_lets_in_a_bar_that_is_not_final(tmp_path, timeframe, shift):
    """The venue serves no later bar, and its clock says that the newest has closed."""
    step = STEPS[timeframe]
    finest = {"1m": "1m", "1h": "1m", "1d": "1h"}[timeframe]
    whole = generate(
        "BTC/USD", rows=400 if timeframe == "1m" else 50 * step // STEPS[finest], timeframe=finest
    )
    catalog, reference = Catalog(tmp_path), bars_of("bitstamp", timeframe)
    opened = int(whole.times[-1]) // step * step - 20 * step
    now = opened + step - min(shift, step) + 500 if shift > 0 else opened + step // 2
    fault = Fault("clock", times=None, shift=shift)
    with serve(World(markets=(whole,), now=now), [fault]) as exchange:
        done = fetch(client_of(exchange, "bitstamp"), catalog, reference)
        true_times, true = whole.rows("last", step)
        times, values = stored(catalog, reference)
        np.testing.assert_array_equal(values, true[: len(times)])
        assert times[-1] == opened - step, done.notes
        assert done.overdue == ()  # nothing is late by the slower of the two clocks
        exchange.faults.clear()
        exchange.now = int(whole.times[-1]) + STEPS[finest] + 2_000
        assert fetch(client_of(exchange, "bitstamp"), catalog, reference).unknown == ()
    np.testing.assert_array_equal(stored(catalog, reference)[0], true_times)
    assert holes(catalog, reference) == []


def revised(market, row, rows=None):
    """The same market up to so many rows, of which one has come out otherwise."""
    bars = market.bars[:rows].copy()
    bars[row, 4] += 1.0
    return replace(market, times=market.times[:rows], bars=bars, _cache={})


def test_a_newest_bar_that_comes_out_otherwise_is_corrected_and_recorded(tmp_path):
    market = generate(SYMBOLS["bybit"], rows=700)
    catalog, reference = Catalog(tmp_path), bars_of("bybit")
    last = int(market.times[499])
    with serve(World(markets=(revised(market, 499, rows=500),))) as exchange:
        done = fetch(client_of(exchange, "bybit"), catalog, reference)
        assert (done.added, done.notes) == (500, ())
        exchange.world = World(markets=(market,))
        exchange.now = last + 90_000 + 60_000
        done = fetch(client_of(exchange, "bybit"), catalog, reference)
        assert done.added == 1
        (note,) = done.notes
        assert note.startswith("the row of 2022-01-01 08:19 was the newest when it was stored")
        assert hold_to_truth(catalog, reference, market) == 501
        record = catalog.load(reference).provenance[-1]
        was, now = (dict(record[name])["volume"] for name in ("stored", "served"))
        assert (record["corrected"], was - now) == ("2022-01-01T08:19:00+00:00", 1.0)
        # Proven by a later row now, it is not changed any more.
        exchange.world = World(markets=(revised(market, 499),))
        exchange.now += 60_000
        with pytest.raises(ConflictError, match="must agree with what is stored"):
            fetch(client_of(exchange, "bybit"), catalog, reference)
    assert hold_to_truth(catalog, reference, market) == 501


def test_the_last_row_of_a_file_is_corrected_by_the_venue_and_by_no_other_file(tmp_path):
    market = generate(SYMBOLS["bybit"], rows=100)
    catalog, reference = Catalog(tmp_path), bars_of("bybit")
    frame = pd.DataFrame(
        revised(market, 49).bars[:50],
        index=pd.DatetimeIndex(market.times[:50].astype("M8[ms]")).as_unit("ns").tz_localize("UTC"),
        columns=["open", "high", "low", "close", "volume"],
    )
    catalog.add(frame, reference)
    with pytest.raises(ConflictError):
        catalog.add(
            frame.assign(volume=frame["volume"] + (frame.index == frame.index[-1])), reference
        )
    with serve(World(markets=(market,))) as exchange:
        fetch(client_of(exchange, "bybit"), catalog, reference)
    assert hold_to_truth(catalog, reference, market) == 100


@pytest.mark.parametrize("where", ["inside", "first"])
def test_rows_withheld_for_a_while_come_in_as_soon_as_they_are_served(tmp_path, where):
    market = generate(SYMBOLS["bybit"], rows=1500)
    catalog, reference = Catalog(tmp_path), bars_of("bybit")
    low, high = (700, 720) if where == "inside" else (0, 20)
    span = {"start": int(market.times[low]), "end": int(market.times[high])}
    with serve(World(markets=(market,)), [Fault("gap", times=None, **span)]) as exchange:
        done = fetch(client_of(exchange, "bybit"), catalog, reference)
        assert (done.added, len(done.unconfirmed)) == (1480, int(where == "inside"))
        exchange.faults.clear()
        done = fetch(client_of(exchange, "bybit"), catalog, reference)
    assert (done.added, done.unknown) == (20, ())
    assert hold_to_truth(catalog, reference, market) == 1500


def test_absent_stretches_are_asked_for_again_when_told_and_the_fetch_reminds(
    workspace, monkeypatch, capsys, hurried
):
    market = generate(SYMBOLS["bybit"], rows=24 * 70, timeframe="1h")
    start = int(market.times[0])
    gap = Fault("gap", times=None, start=start + 300 * HOUR, end=start + 310 * HOUR)
    words = ["data", "fetch", "bybit", SYMBOLS["bybit"], "--timeframe", "1h"]
    reference = bars_of("bybit", "1h")
    with serve(World(markets=(market,)), [gap]) as exchange:
        monkeypatch.setenv("DELEVER_API_URL", exchange.api_url)

        def run(day, *words):
            exchange.now = start + day * DAY + 60_000
            code = main(list(words))
            return code, capsys.readouterr().out

        code, said = run(20, *words)
        assert code == 1
        assert "1 stretch (first 2022-01-13 12:00) missing in three answers, unknown" in said
        assert main(["data", "check", str(reference)]) == 1
        assert "10 bars are unknown" in capsys.readouterr().out
        code, said = run(21, *words)
        assert code == 0
        assert "the venue does not have, asked at two times" in said
        assert "--absent" not in run(50, *words)[1]
        code, said = run(52, *words)
        assert code == 0
        assert "1 absent stretch was last asked for more than 30 days ago" in said
        assert "delever data repair bybit/ohlcv/BTC/USDT:USDT/1h --absent" in " ".join(said.split())
        assert "nothing is unknown" in run(52, "data", "repair", str(reference))[1]
        assert run(53, "data", "repair", str(reference), "--absent")[0] == 0
        assert "more than 30 days" not in run(54, *words)[1]
        exchange.faults.clear()
        code, said = run(55, "data", "repair", str(reference), "--absent")
        assert (code, "10 rows added" in said) == (0, True)
    assert unknown_bars(workspace.catalog.coverage(reference)) == 0
    assert hold_to_truth(workspace.catalog, reference, market) == 54 * 24


@pytest.mark.parametrize("lag", [40_000, 5 * HOUR])
def test_a_server_that_lags_behind_the_one_that_gave_the_newest_row_is_not_believed(tmp_path, lag):
    """Its last bar is as it was before its end, and what follows is missing there."""
    market = generate(SYMBOLS["bybit"], rows=900)
    catalog, reference = Catalog(tmp_path), bars_of("bybit")
    fault = Fault("lag", match="*/kline", after=1, times=None, shift=lag)
    now = int(market.times[-1]) + 30_000
    with serve(World(markets=(market,), now=now), [fault]) as exchange:
        done = fetch(client_of(exchange, "bybit"), catalog, reference)
        assert len(done.unknown) == 1
        times, values = stored(catalog, reference)
        np.testing.assert_array_equal(values, market.bars[: len(times)])
        exchange.faults.clear()
        assert fetch(client_of(exchange, "bybit"), catalog, reference).unknown == ()
    assert hold_to_truth(catalog, reference, market) == 899
