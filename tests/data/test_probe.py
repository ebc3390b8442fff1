"""A venue that is not among the known ones: what it permits is probed, said, and lived by.

ccxt's binanceus speaks Binance's spot format, has no entry of its own, and is made to be odd.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.data.fetching import Patience, client_of, hold_to_truth, stored
from tests.exchange import Fault, World, generate, serve
from tests.exchange.loopback import VENUES
from tests.exchange.wire import Refused, Route

from delever.cli.app import main
from delever.data.catalog import Catalog
from delever.data.exchange.client import connect
from delever.data.exchange.fetch import fetch
from delever.data.exchange.quirks import VENUES as KNOWN
from delever.data.references import Reference
from delever.data.sources_file import VenueSettings
from delever.errors import VenueError

BARS = Reference(venue="binanceus", kind="ohlcv", symbol="BTC/USDT", timeframe="1m")
KLINES = "api.binance.us/api/v3/klines"
ROWS = 3_500
HOUR = 3_600_000


@pytest.fixture
def odd(monkeypatch):
    """Installs the venue: pages of at most so many rows, parameters it drops or refuses."""
    spot = VENUES["api.binance.com"]
    bars = spot.routes["/api/v3/klines"]

    def install(*, most=1000, refuses=5000, drops=()):
        def answer(request, desk):
            asked = int(request.params.get("limit", 500))
            if asked > refuses:
                raise Refused("parameter", "limit")
            kept = {name: text for name, text in request.params.items() if name not in drops}
            return bars.handler(
                replace(request, params=kept | {"limit": str(min(asked, most))}), desk
            )

        routes = {**spot.routes, "/api/v3/klines": Route(handler=answer, weight=2)}
        monkeypatch.setitem(
            VENUES, "api.binance.us", replace(spot, host="api.binance.us", routes=routes)
        )

    return install


def market(rows=ROWS, **given):
    return generate("BTC/USDT", rows=rows, **given)


def probed(catalog):
    """What the manifest says of the venue."""
    (record,) = catalog.store.manifest(BARS.folder).provenance
    assert record["exchange"] == "binanceus"
    return record["probed"]


def test_binanceus_is_not_among_the_known_venues():
    assert "binanceus" not in KNOWN


@pytest.mark.parametrize(
    ("oddity", "rows", "asked", "since", "until"),
    [
        ({}, 1000, 5000, True, True),
        ({"most": 300}, 300, 5000, True, True),
        ({"refuses": 500}, 500, 500, True, True),
        ({"drops": ("endTime",)}, 1000, 5000, True, False),
        ({"most": 150, "drops": ("endTime",)}, 150, 5000, True, False),
        ({"drops": ("startTime",)}, 1000, 5000, False, True),
    ],
    ids=["plain", "short pages", "refuses many", "no end", "no end, short pages", "no start"],
)
def test_history_is_complete_by_limits_that_were_probed(
    tmp_path, odd, oddity, rows, asked, since, until
):
    odd(**oddity)
    catalog, truth = Catalog(tmp_path), market()
    with serve(World(markets=(truth,))) as exchange:
        done = fetch(client_of(exchange, "binanceus"), catalog, BARS)
    assert done.added == ROWS
    assert hold_to_truth(catalog, BARS, truth) == ROWS
    assert set(catalog.coverage(BARS)["state"]) == {"present"}
    assert probed(catalog) == {"asked": asked, "rows": rows, "since": since, "until": until}
    (record,) = catalog.store.manifest(BARS.folder).provenance
    assert record["earliest"] == "2022-01-01T00:00:00+00:00"
    start = "honoured" if since else "ignored where no end is given"
    end = "honoured" if until else "ignored"
    assert done.notes == (
        "limits probed, as binanceus is not among the known venues: "
        f"{rows} rows came of {asked} asked for at once; a start is {start}, an end is {end}",
    )


def test_the_first_row_is_found_by_pages_as_short_as_the_venue_serves_them(tmp_path, odd):
    """Windows of days longer than a page would show the newest of their days and hide the first."""
    odd(most=100, drops=("startTime",))
    hours = replace(BARS, timeframe="1h")
    truth = market(24 * 450, timeframe="1h", start="2020-06-05 07:00")
    with serve(World(markets=(truth,))) as exchange:
        done = fetch(client_of(exchange, "binanceus"), Catalog(tmp_path), hours)
    assert done.start == pd.Timestamp("2020-06-05 00:00", tz="UTC")
    assert done.added == len(truth.times)
    times, _ = stored(Catalog(tmp_path), hours)
    np.testing.assert_array_equal(times, truth.times)


@pytest.mark.parametrize(
    ("kind", "timeframe"), [("funding", "8h"), ("mark", "1h"), ("open_interest", "1h")]
)
def test_other_kinds_are_probed_too(tmp_path, monkeypatch, kind, timeframe):
    """ccxt's bybiteu, which speaks Bybit's format and has no entry of its own."""
    bybit = VENUES["api.bybit.com"]
    monkeypatch.setitem(VENUES, "api.bybit.eu", replace(bybit, host="api.bybit.eu"))
    truth = generate("BTC/USDT:USDT", rows=24 * 150, timeframe="1h")
    catalog = Catalog(tmp_path)
    wanted = Reference(venue="bybiteu", kind=kind, symbol="BTC/USDT:USDT", timeframe=timeframe)
    linear = {"fetchMarkets": {"types": ["linear"]}}
    with serve(World(markets=(truth,))) as exchange:
        settings = VenueSettings(api_url=exchange.api_url, options=linear, workers=1)
        pacing = Patience().pacing(wall=lambda: exchange.now / 1000)
        done = fetch(connect("bybiteu", settings, pacing), catalog, wanted)
    times, values = stored(catalog, wanted)
    if kind == "funding":
        np.testing.assert_array_equal(times, truth.funding_times)
        np.testing.assert_array_equal(values[:, 0], truth.funding_rates)
    else:
        prices = truth.rows("mark", HOUR)[1][:, :4]
        true = prices if kind == "mark" else truth.open_interest(truth.times)[:, :1]
        np.testing.assert_array_equal(times[: len(true)], truth.times)
        np.testing.assert_array_equal(values[: len(true), : true.shape[1]], true)
    assert "limits probed, as bybiteu is not among the known venues" in done.notes[0]


def test_a_page_that_ends_in_mid_history_is_asked_for_alone(tmp_path, odd):
    """`until` in the past, where ends are ignored: rows from beyond it are no reason to refuse."""
    odd(most=400, drops=("endTime",))
    catalog, truth = Catalog(tmp_path), market()
    start, end = (pd.Timestamp(int(truth.times[row]), unit="ms", tz="UTC") for row in (500, 1510))
    with serve(World(markets=(truth,))) as exchange:
        fetch(client_of(exchange, "binanceus"), catalog, BARS, since=start, until=end)
    times, values = stored(catalog, BARS)
    np.testing.assert_array_equal(times, truth.times[500:1510])
    np.testing.assert_array_equal(values, truth.bars[500:1510])


def test_where_only_the_newest_page_is_served_nothing_older_is_claimed(tmp_path, odd):
    odd(most=720, drops=("startTime", "endTime"))
    catalog, truth = Catalog(tmp_path), market()
    with serve(World(markets=(truth,))) as exchange:
        client = client_of(exchange, "binanceus")
        done = fetch(client, catalog, BARS)
        assert probed(catalog) == {"asked": 5000, "rows": 720, "since": False, "until": False}
        times, values = stored(catalog, BARS)
        np.testing.assert_array_equal(times, truth.times[-720:])
        np.testing.assert_array_equal(values, truth.bars[-720:])
        assert set(catalog.coverage(BARS)["state"]) == {"present"}
        assert done.notes[0].endswith("so that only these newest rows are served")
        assert len(done.notes) == 1
        assert "earliest" not in catalog.store.manifest(BARS.folder).provenance[0]
        early = pd.Timestamp(int(truth.times[0]), unit="ms", tz="UTC")
        again = fetch(client, catalog, BARS, since=early)
    assert again.unknown
    assert again.unknown[0][0] == early


@pytest.mark.parametrize("rows", [1, 2, 300, 1400])
def test_a_young_market_is_served_whole(tmp_path, odd, rows):
    odd()
    catalog, truth = Catalog(tmp_path), market(rows)
    with serve(World(markets=(truth,))) as exchange:
        fetch(client_of(exchange, "binanceus"), catalog, BARS)
    assert hold_to_truth(catalog, BARS, truth) == rows


@pytest.mark.parametrize(
    ("outage", "waiting"),
    [
        (("2022-01-01 20:00", "2022-01-02 02:00"), 0),
        # Where an answer ends with the row before the outage, that row waits for a second time.
        (("2022-01-02 04:00", "2022-01-02 22:00"), 1),
    ],
)
def test_an_outage_where_the_probe_looks_hides_nothing(tmp_path, odd, outage, waiting):
    """3500 minutes from midnight on the first; the newest page begins at 17:40 on the second."""
    odd()
    catalog, truth = Catalog(tmp_path), market(absent=[outage])
    with serve(World(markets=(truth,))) as exchange:
        fetch(client_of(exchange, "binanceus"), catalog, BARS)
    assert hold_to_truth(catalog, BARS, truth) == len(truth.times) - waiting
    (hole,) = catalog.coverage(BARS).query("state == 'unknown'").itertuples()
    start, end = hole.start + waiting * pd.Timedelta(minutes=1), hole.end
    assert (f"{start:%Y-%m-%d %H:%M}", f"{end:%Y-%m-%d %H:%M}") == outage


@pytest.mark.parametrize("kind", ["429", "html", "reset", "cut_body"])
def test_a_fault_while_probing_passes(tmp_path, odd, kind):
    odd()
    catalog, truth = Catalog(tmp_path), market()
    faults = [Fault(kind, match=KLINES, times=4)]
    with serve(World(markets=(truth,)), faults=faults) as exchange:
        fetch(client_of(exchange, "binanceus"), catalog, BARS)
    assert hold_to_truth(catalog, BARS, truth) == ROWS
    assert probed(catalog) == {"asked": 5000, "rows": 1000, "since": True, "until": True}


@pytest.mark.parametrize(
    ("kind", "said"),
    [("html", "failed 8 times"), ("empty_page", "as it shows no rows of the newest")],
)
def test_a_venue_that_cannot_be_probed_is_refused(tmp_path, odd, kind, said):
    odd()
    faults = [Fault(kind, match=KLINES, times=None)]
    catalog = Catalog(tmp_path)
    venue = serve(World(markets=(market(),)), faults=faults)
    with venue as exchange, pytest.raises(VenueError, match=said):
        fetch(client_of(exchange, "binanceus"), catalog, BARS)
    assert catalog.list() == []


def test_a_venue_that_refuses_every_number_says_so_in_its_words(tmp_path, odd):
    odd(refuses=10)
    said = r"it refuses: .*parameter 'limit' is not valid"
    with serve(World(markets=(market(),))) as exchange, pytest.raises(VenueError, match=said):
        fetch(client_of(exchange, "binanceus"), Catalog(tmp_path), BARS)


def test_the_command_line_states_the_limits(workspace, odd, monkeypatch, capsys):
    odd(most=300)
    words = ["data", "fetch", "binanceus", "BTC/USDT", "--timeframe", "1h"]
    with serve(World(markets=(market(rows=72, timeframe="1h"),))) as exchange:
        monkeypatch.setenv("DELEVER_API_URL", exchange.api_url)
        assert main(words) == 0
        out = capsys.readouterr().out
        assert main([*words, "--json"]) == 0
    assert "71 rows added" in out  # by this machine's clock the venue's proves nothing
    assert "note: limits probed, as binanceus is not among the known venues: 72 rows came" in out
    assert json.loads(capsys.readouterr().out)[0]["notes"][0].startswith("limits probed")
