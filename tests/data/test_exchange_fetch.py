"""Whole fetches: every kind equals the venue's, resuming asks only for what is missing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest
from tests.data.fetching import bars_of, client_of, hold_to_truth, spread, stored
from tests.exchange import World, generate, serve

from delever.cli.app import main
from delever.data.catalog import Catalog
from delever.data.exchange.fetch import fetch, repair
from delever.data.exchange.jobs import Job, fetch_all, usual_timeframe
from delever.data.references import Reference
from delever.errors import ConflictError, InputError, VenueError

HOUR = 3_600_000
PERP = "BTC/USDT:USDT"
COMMAND = """
import signal, sys
from delever.cli.app import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may have it ignored
sys.exit(main())
"""


def moment(time: int) -> pd.Timestamp:
    return pd.Timestamp(int(time), unit="ms", tz="UTC").as_unit("ns")


@pytest.mark.parametrize("venue", ["binanceusdm", "bybit", "okx"])
@pytest.mark.parametrize("kind", ["mark", "index", "premium"])
def test_prices_that_do_not_trade_equal_the_source(tmp_path, venue, kind):
    if (venue, kind) == ("okx", "premium"):
        pytest.skip("okx has no premium bars")
    market = generate(PERP, rows=700, timeframe="1h")
    reference = bars_of(venue, "1h", kind)
    with serve(World(markets=(market,))) as exchange:
        fetch(client_of(exchange, venue), Catalog(tmp_path), reference)
    times, values = stored(Catalog(tmp_path), reference)
    true_times, true = market.rows(kind, HOUR)
    np.testing.assert_array_equal(times, true_times)
    np.testing.assert_array_equal(values, true[:, :4])


@pytest.mark.parametrize(
    ("hours", "venue"),
    spread((hours, venue) for hours in (1, 4, 8) for venue in ("binanceusdm", "bybit")),
)
def test_funding_is_complete_at_any_interval(tmp_path, venue, hours):
    market = generate(PERP, rows=24 * 200, timeframe="1h", funding_hours=hours)
    catalog = Catalog(tmp_path)
    job = Job(venue=venue, kind="funding", symbol=PERP)
    with serve(World(markets=(market,))) as exchange:
        client = client_of(exchange, venue)
        assert usual_timeframe(client, catalog, job) == f"{hours}h"
        done = fetch_all([job], catalog, {venue: client})[job]
    times, values = stored(catalog, done.reference)
    assert str(done.reference) == f"{venue}/funding/{PERP}/{hours}h"
    np.testing.assert_array_equal(times, market.funding_times)
    np.testing.assert_array_equal(values[:, 0], market.funding_rates)
    assert set(catalog.coverage(done.reference)["state"]) == {"present"}


def test_funding_goes_on_under_its_name_when_the_interval_changes(tmp_path):
    market = generate(PERP, rows=24 * 40, timeframe="1h", funding_hours=8)
    catalog = Catalog(tmp_path)
    times = market.funding_times
    doubled = np.union1d(times, times[60:-1] + 4 * HOUR)
    rates = np.round(np.linspace(-1e-4, 3e-4, len(doubled)), 8)
    from dataclasses import replace

    faster = replace(market, funding_times=doubled, funding_rates=rates, funding_hours=4, _cache={})
    job = Job(venue="bybit", kind="funding", symbol=PERP)
    with serve(World(markets=(faster,), now=int(times[50]))) as exchange:
        fetch_all([job], catalog, {"bybit": client_of(exchange, "bybit")})
        exchange.now = int(doubled[-1]) + 1000
        done = fetch_all([job], catalog, {"bybit": client_of(exchange, "bybit")})[job]
    assert done.reference.timeframe == "8h"
    np.testing.assert_array_equal(stored(catalog, done.reference)[0], doubled)


def test_deribit_funding_is_the_rate_of_the_hour(tmp_path):
    """ccxt's unified rate is the sum of eight hours, on hourly rows."""
    market = generate("BTC/USD:BTC", rows=24 * 60, timeframe="1h", funding_hours=1)
    reference = Reference(venue="deribit", kind="funding", symbol="BTC/USD:BTC", timeframe="1h")
    with serve(World(markets=(market,))) as exchange:
        fetch(client_of(exchange, "deribit"), Catalog(tmp_path), reference)
    times, values = stored(Catalog(tmp_path), reference)
    np.testing.assert_array_equal(times, market.funding_times)
    np.testing.assert_array_equal(values[:, 0], market.funding_rates)


def test_deribit_volatility_index_and_bankruptcies(tmp_path):
    from tests.exchange.world import volatility_index

    market = generate("BTC/USD:BTC", rows=24 * 120, timeframe="1h", funding_hours=1)
    catalog = Catalog(tmp_path)
    index = Reference(venue="deribit", kind="dvol", symbol="BTC", timeframe="1h")
    fallen = Reference(venue="deribit", kind="liquidations", symbol="BTC/USD:BTC", timeframe="1d")
    with serve(World(markets=(market,))) as exchange:
        client = client_of(exchange, "deribit")
        fetch(client, catalog, index)
        fetch(client, catalog, fallen)
    times, values = stored(catalog, index)
    np.testing.assert_array_equal(times, market.times)
    np.testing.assert_array_equal(values, volatility_index(market.times, HOUR))
    times, values = stored(catalog, fallen)
    np.testing.assert_array_equal(times, market.bankruptcies[:, 0])
    np.testing.assert_array_equal(values[:, 0], market.bankruptcies[:, 1])


@pytest.mark.parametrize("venue", ["binanceusdm", "bybit", "okx"])
def test_open_interest_in_base_and_quote(tmp_path, venue):
    market = generate(PERP, rows=24 * 20, timeframe="1h")
    reference = bars_of(venue, "1h", "open_interest")
    with serve(World(markets=(market,))) as exchange:
        fetch(client_of(exchange, venue), Catalog(tmp_path), reference)
    times, values = stored(Catalog(tmp_path), reference)
    np.testing.assert_array_equal(times, market.times)
    true = market.open_interest(times)
    np.testing.assert_array_equal(values[:, 0], true[:, 0])
    if venue == "bybit":  # gives the amount alone
        assert np.isnan(values[:, 1]).all()
    else:
        np.testing.assert_array_equal(values[:, 1], true[:, 1])


@pytest.mark.parametrize("venue", ["binanceusdm", "bybit", "okx"])
def test_long_short_ratio(tmp_path, venue):
    market = generate(PERP, rows=24 * 20, timeframe="1h")
    reference = bars_of(venue, "1h", "long_short_ratio")
    with serve(World(markets=(market,))) as exchange:
        fetch(client_of(exchange, venue), Catalog(tmp_path), reference)
    times, values = stored(Catalog(tmp_path), reference)
    np.testing.assert_array_equal(times, market.times)
    share = market.long_share(times)[:, 0]
    np.testing.assert_allclose(values[:, 0], share / (1 - share), atol=6e-5)  # binance: 4 places


def test_history_that_is_no_longer_served_is_said(tmp_path):
    market = generate("BTC/USD", rows=1000)
    reference = bars_of("kraken")
    with serve(World(markets=(market,))) as exchange:
        done = fetch(client_of(exchange, "kraken"), Catalog(tmp_path), reference)
    assert hold_to_truth(Catalog(tmp_path), reference, market) == 719
    assert done.notes == ("only the newest 720 bars are served; for more import its archive files",)


def test_weeks_that_open_on_thursday_are_refused(tmp_path):
    market = generate("BTC/USD", rows=24 * 70, timeframe="1h")
    with (
        serve(World(markets=(market,))) as exchange,
        pytest.raises(VenueError, match=r"the venue's begin at Thursday .* fetch a finer"),
    ):
        fetch(client_of(exchange, "kraken"), Catalog(tmp_path), bars_of("kraken", "1w"))


@pytest.mark.parametrize("venue", ["binanceusdm", "bybit", "okx"])
def test_outages_are_absent_once_they_were_missing_at_two_times_hours_apart(tmp_path, venue):
    absent = [("2022-01-01 05:00", "2022-01-01 05:07"), ("2022-01-01 09:00", "2022-01-01 18:00")]
    market = generate(PERP, rows=2200, absent=absent)
    catalog, reference = Catalog(tmp_path), bars_of(venue)

    def holes():
        table = catalog.coverage(reference)
        return table[table["state"] != "present"]

    with serve(World(markets=(market,))) as exchange:
        for hours, state in ((0, "unknown"), (5, "unknown"), (7, "absent")):
            exchange.now = int(market.times[0]) + (25 + hours) * HOUR + 90_000
            done = fetch(client_of(exchange, venue), catalog, reference)
            assert holes()["state"].tolist() == [state, state]
            assert len(done.unconfirmed) == (0 if state == "absent" else 2)
        assert holes()["bars"].tolist() == [7, 540]
        assert holes()["start"].tolist() == [pd.Timestamp(start, tz="UTC") for start, _ in absent]
        before = len(exchange.log)
        client = client_of(exchange, venue)
        fetch(client, catalog, reference)
        # The newest rows, to see whether there is more; nothing absent is asked for.
        assert sum(entry.rows > 0 for entry in exchange.log[before:]) == 1
    assert hold_to_truth(catalog, reference, market) == 25 * 60 + 7 * 60 + 1 - 547


def test_a_delisted_market_ends_where_it_ended(tmp_path):
    market = generate(PERP, rows=5000, delisted="2022-01-02")
    reference = bars_of("binanceusdm")
    world = World(markets=(market,), now=int(market.times[0]) + 10 * 24 * HOUR)
    with serve(world) as exchange:
        done = fetch(client_of(exchange, "binanceusdm"), Catalog(tmp_path), reference)
    assert (done.added, done.unknown) == (1440, ())
    (note,) = done.notes
    assert note == "the venue lists the market as closed; its history ends at 2022-01-02 00:00"
    assert Catalog(tmp_path).coverage(reference)["state"].tolist() == ["present"]


def test_nothing_is_said_of_the_time_before_the_listing_and_until_is_exclusive(tmp_path):
    market = generate(PERP, rows=1500)
    catalog, reference = Catalog(tmp_path), bars_of("binanceusdm")
    start = moment(market.times[0])
    with serve(World(markets=(market,))) as exchange:
        done = fetch(
            client_of(exchange, "binanceusdm"),
            catalog,
            reference,
            since=start - pd.Timedelta(hours=2),
            until=start + pd.Timedelta(hours=3),
        )
        with pytest.raises(InputError, match="the start must be before"):
            fetch(client_of(exchange, "binanceusdm"), catalog, reference, since=start, until=start)
    assert (done.added, done.start, done.end) == (180, start, start + pd.Timedelta(hours=3))
    assert done.notes == (
        "the venue's first row is that of 2022-01-01 00:00; nothing is said of the time before it",
    )
    assert catalog.coverage(reference)[["state", "bars"]].to_numpy().tolist() == [["present", 180]]


def test_resuming_compares_the_last_stored_rows(tmp_path):
    market = generate(PERP, rows=1500)
    catalog, reference = Catalog(tmp_path), bars_of("bybit")
    with serve(World(markets=(market,))) as exchange:
        client = client_of(exchange, "bybit")
        fetch(client, catalog, reference, until=moment(market.times[700]))
        done = fetch(client, catalog, reference)
        assert (done.added, done.present) == (800, 5)
    revised = generate(PERP, rows=1600)
    revised.bars[1498, 4] += 1.0
    with (
        serve(World(markets=(revised,))) as exchange,
        pytest.raises(ConflictError, match="must agree with what is stored"),
    ):
        fetch(client_of(exchange, "bybit"), catalog, reference)
    assert hold_to_truth(catalog, reference, market) == 1500


def test_repair_asks_for_the_unknown_alone(tmp_path):
    from tests.exchange import Fault

    market = generate(PERP, rows=2000)
    catalog, reference = Catalog(tmp_path), bars_of("binanceusdm")
    span = {"start": int(market.times[800]), "end": int(market.times[810])}
    fault = Fault("nulls", match="*/klines", times=None, **span)
    with serve(World(markets=(market,)), [fault]) as exchange:
        client = client_of(exchange, "binanceusdm")
        assert fetch(client, catalog, reference).unknown
        exchange.faults.clear()
        before = len(exchange.requests("*/klines"))
        done = repair(client, catalog, reference)
        asked = exchange.requests("*/klines")[before + 1 :]  # after the newest rows
    assert (done.added, done.unknown) == (10, ())
    assert [entry.rows for entry in asked] == [15]  # and five stored ones before
    assert hold_to_truth(catalog, reference, market) == 2000


def test_two_fetches_of_one_data_set_at_once(tmp_path):
    market = generate(PERP, rows=3000)
    reference, done = bars_of("binanceusdm"), []
    with serve(World(markets=(market,))) as exchange:

        def one():
            client = client_of(exchange, "binanceusdm")
            done.append(fetch(client, Catalog(tmp_path), reference, batch=500))

        threads = [threading.Thread(target=one) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(done) == 2
    assert sum(each.added for each in done) == 3000
    assert hold_to_truth(Catalog(tmp_path), reference, market) == 3000


def run(workspace, exchange, *words):
    environment = os.environ | {"DELEVER_API_URL": exchange.api_url}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "data", "fetch", *words],
        cwd=workspace.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


FETCH = """
import sys
from pathlib import Path
from delever.data.catalog import Catalog
from delever.data.exchange.client import connect
from delever.data.exchange.fetch import fetch
from delever.data.references import Reference
from delever.data.sources_file import VenueSettings
client = connect("bybit", VenueSettings(api_url=sys.argv[1], workers=1))
fetch(client, Catalog(Path(sys.argv[2])), Reference.parse(sys.argv[3]), batch=2000)
"""


def test_killed_at_any_moment_and_resumed(tmp_path, pytestconfig):
    """The store is whole after every kill, and in the end what an uninterrupted fetch leaves.

    Killed twice with --all, once otherwise; benchmarks/kill_and_resume.py does this fifty times.
    """
    market = generate(PERP, rows=12_000)
    reference, catalog = bars_of("bybit"), Catalog(tmp_path / "killed")
    with serve(World(markets=(market,))) as exchange:
        fetch(client_of(exchange, "bybit"), Catalog(tmp_path / "whole"), reference)
        pages = len(exchange.requests("*/kline"))
        command = [sys.executable, "-c", FETCH, exchange.api_url, catalog.root, str(reference)]
        for last in (pages - 9, pages - 4) if pytestconfig.getoption("--all") else (pages - 6,):
            begun = len(exchange.requests("*/kline"))
            process = subprocess.Popen(command)
            while len(exchange.requests("*/kline")) - begun < last and process.poll() is None:
                time.sleep(0.005)
            process.kill()
            process.wait()
            hold_to_truth(catalog, reference, market)
        fetch(client_of(exchange, "bybit"), catalog, reference)
    assert hold_to_truth(catalog, reference, market) == 12_000


def test_interrupted_it_stores_what_is_complete_and_says_how_to_go_on(workspace):
    market = generate(PERP, rows=75_000)
    reference = bars_of("binanceusdm")
    with serve(World(markets=(market,))) as exchange:
        process = run(workspace, exchange, "binanceusdm", PERP, "--timeframe", "1m")
        while len(exchange.requests("*/klines")) < 15 and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130, err
    assert "run the same command again to go on" in err
    rows = hold_to_truth(workspace.catalog, reference, market)
    assert 0 < rows < 75_000


def test_the_command_line(workspace, monkeypatch, capsys):
    market = generate(PERP, rows=24 * 30 + 1, timeframe="1h")
    with serve(World(markets=(market,), now=int(market.times[-1]) + 60_000)) as exchange:
        monkeypatch.setenv("DELEVER_API_URL", exchange.api_url)
        words = ["data", "fetch", "binanceusdm,bybit", PERP, "--kind", "ohlcv", "--kind", "funding"]
        assert main([*words, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert [(one["reference"], one["added"]) for one in told] == [
            ("binanceusdm/ohlcv/BTC/USDT:USDT/1d", 30),
            ("binanceusdm/funding/BTC/USDT:USDT/8h", 91),
            ("bybit/ohlcv/BTC/USDT:USDT/1d", 30),
            ("bybit/funding/BTC/USDT:USDT/8h", 91),
        ]
        assert main(["data", "repair", told[0]["reference"]]) == 0
        assert "0 rows added" in capsys.readouterr().out
        assert main(["data", "fetch", "bybit", "BTC/USDT:USDX"]) == 2
        assert "did you mean BTC/USDT:USDT?" in capsys.readouterr().err
        assert main(["data", "fetch", "bybit", PERP, "--kind", "dvol"]) == 2
        assert "kind at bybit must be one of ohlcv, mark" in capsys.readouterr().err
        assert main(["data", "fetch", "bybit", PERP, "--since", "soon"]) == 2
        assert "--since must be a date" in capsys.readouterr().err
        assert main(["data", "fetch", "bybitt", PERP]) == 2
        assert "did you mean bybit" in capsys.readouterr().err
        assert main(["data", "fetch", "nothing_of_the_kind"]) == 2
        assert "fear_greed" in capsys.readouterr().err
    rows = workspace.catalog.load("bybit/ohlcv/BTC/USDT:USDT/1d").frame
    assert rows["volume"].sum() == pytest.approx(market.bars[:-1, 4].sum())
