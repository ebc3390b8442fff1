"""The five venues with ways of their own, each through the real client against its wire format."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd
import pytest
from tests.data.fetching import (
    BARS,
    SYMBOLS,
    Patience,
    bars_of,
    client_of,
    hold_to_truth,
    spread,
    stored,
)
from tests.exchange import VENUES as HOSTS
from tests.exchange import Fault, World, generate, serve

from delever.cli.app import main
from delever.data.catalog import Catalog
from delever.data.exchange.client import connect
from delever.data.exchange.fetch import fetch, repair
from delever.data.exchange.gather import gather, rules_of
from delever.data.exchange.jobs import Job, fetch_all, usual_timeframe
from delever.data.exchange.pages import Page
from delever.data.exchange.venue import Series
from delever.data.references import Reference
from delever.data.sources_file import VenueSettings
from delever.errors import InputError, VenueError

HOUR, MINUTE = 3_600_000, 60_000
VENUES = ("krakenfutures", "bitstamp", "coinbase", "gate", "hyperliquid")
ROWS = {"krakenfutures": 2100, "bitstamp": 1300, "coinbase": 650, "gate": 1300, "hyperliquid": 650}
"""More than one answer's worth, where an answer is not all there is."""
MARKETS = {venue: generate(SYMBOLS[venue], rows=ROWS[venue]) for venue in VENUES}
NOTES = {
    "gate": ("only the newest 10,000 bars are served",),
    "hyperliquid": ("only the newest 5000 bars are served",),
}


SYMBOLS_OF_KRAKEN = ("BTC/USD:BTC", "BTC/USD:USD")


def moment(time: int) -> pd.Timestamp:
    return pd.Timestamp(int(time), unit="ms", tz="UTC").as_unit("ns")


def minutes(venue: str):
    """Matches what is asked for minutes, not the days that lead to the first of them."""

    def match(request) -> bool:
        words = {*request.params.values(), request.path.rpartition("/")[2]}
        return fnmatchcase(request.target, BARS[venue]) and bool(words & {"1m", "60", "ONE_MINUTE"})

    return match


@pytest.mark.parametrize("venue", VENUES)
def test_bars_of_several_answers_equal_the_source(tmp_path, venue):
    market, catalog, reference = MARKETS[venue], Catalog(tmp_path), bars_of(venue)
    with serve(World(markets=(market,))) as exchange:
        client = client_of(exchange, venue)
        done = fetch(client, catalog, reference)
        asked = len(exchange.log)
        again = fetch(client, catalog, reference)
        more = exchange.log[asked:]
    if venue not in NOTES:  # else whatever is served now may begin elsewhere
        # The newest rows, and those before the first, to see whether there is more.
        assert [bool(entry.rows) for entry in more] == [True, False]
    assert hold_to_truth(catalog, reference, market) == ROWS[venue]
    assert (done.added, done.absent, done.unknown) == (ROWS[venue], (), ())
    assert (again.added, again.absent, again.unknown) == (0, (), ())
    assert done.notes == NOTES.get(venue, ())
    assert catalog.coverage(reference)["state"].tolist() == ["present"]


@pytest.mark.parametrize("venue", ["gate", "hyperliquid"])
def test_spot_of_a_venue_of_perpetuals(tmp_path, venue):
    market = generate(SYMBOLS[venue].partition(":")[0], rows=ROWS[venue])
    reference = Reference(venue=venue, kind="ohlcv", symbol=market.symbol, timeframe="1m")
    with serve(World(markets=(MARKETS[venue], market))) as exchange:
        fetch(client_of(exchange, venue), Catalog(tmp_path), reference)
    assert hold_to_truth(Catalog(tmp_path), reference, market) == ROWS[venue]


@pytest.mark.parametrize("symbol", SYMBOLS_OF_KRAKEN)
def test_kraken_lists_a_coin_twice(tmp_path, symbol):
    markets = tuple(generate(each, rows=300, seed=len(each)) for each in SYMBOLS_OF_KRAKEN)
    market = markets[SYMBOLS_OF_KRAKEN.index(symbol)]
    reference = Reference(venue="krakenfutures", kind="ohlcv", symbol=symbol, timeframe="1m")
    catalog = Catalog(tmp_path)
    with serve(World(markets=markets)) as exchange:
        fetch(client_of(exchange, "krakenfutures"), catalog, reference)
    times, values = stored(catalog, reference)
    np.testing.assert_array_equal(times, market.times)
    np.testing.assert_array_equal(values[:, :4], market.bars[:, :4])
    inverse = symbol == "BTC/USD:BTC"
    dollars = np.round(market.bars[:, 4] * market.bars[:, 3])
    np.testing.assert_array_equal(values[:, 4], dollars if inverse else market.bars[:, 4])


def test_volume_that_is_in_dollars_is_said_wherever_the_rows_go(tmp_path):
    market = generate("BTC/USD:BTC", rows=300)
    reference = Reference(venue="gate", kind="ohlcv", symbol=market.symbol, timeframe="1m")
    with serve(World(markets=(market,))) as exchange:
        done = fetch(client_of(exchange, "gate"), Catalog(tmp_path), reference)
    told = "volume is in dollars, not in coins"
    assert done.notes[0] == told
    assert Catalog(tmp_path).load(reference).notes == (told,)
    values = stored(Catalog(tmp_path), reference)[1]
    np.testing.assert_array_equal(values[:, 4], np.round(market.bars[:, 4] * market.bars[:, 3]))


@pytest.mark.parametrize("venue", ["krakenfutures", "gate"])
@pytest.mark.parametrize("kind", ["mark", "index"])
def test_prices_that_do_not_trade_equal_the_source(tmp_path, venue, kind):
    reference = bars_of(venue, "1m", kind)
    with serve(World(markets=(MARKETS[venue],))) as exchange:
        done = fetch(client_of(exchange, venue), Catalog(tmp_path), reference)
    times, values = stored(Catalog(tmp_path), reference)
    true_times, true = MARKETS[venue].rows(kind, MINUTE)
    np.testing.assert_array_equal(times, true_times)
    np.testing.assert_array_equal(values, true[:, :4])
    assert (done.absent, done.unknown) == ((), ())


@pytest.mark.parametrize(
    ("venue", "hours", "days"), [("krakenfutures", 1, 90), ("gate", 8, 700), ("hyperliquid", 1, 90)]
)
def test_funding_is_complete(tmp_path, venue, hours, days):
    """Kraken's in one answer and relative to the price, Gate's newest first, Hyperliquid's late."""
    market = generate(SYMBOLS[venue], rows=24 * days, timeframe="1h", funding_hours=hours)
    catalog, job = Catalog(tmp_path), Job(venue=venue, kind="funding", symbol=SYMBOLS[venue])
    with serve(World(markets=(market,))) as exchange:
        client = client_of(exchange, venue)
        assert usual_timeframe(client, catalog, job) == f"{hours}h"
        done = fetch_all([job], catalog, {venue: client})[job]
        again = fetch_all([job], catalog, {venue: client})[job]
    times, values = stored(catalog, done.reference)
    np.testing.assert_array_equal(times, market.funding_times)
    np.testing.assert_array_equal(values[:, 0], market.funding_rates)
    assert (done.absent, done.unknown, again.added) == ((), (), 0)


def test_gate_open_interest_and_liquidations_come_in_the_same_rows(tmp_path):
    market = generate(SYMBOLS["gate"], rows=24 * 15, timeframe="1h")
    catalog = Catalog(tmp_path)
    held, fallen = (bars_of("gate", "1h", kind) for kind in ("open_interest", "liquidations"))
    with serve(World(markets=(market,))) as exchange:
        client = client_of(exchange, "gate")
        done = [fetch(client, catalog, reference) for reference in (held, fallen)]
    assert [(each.added, each.absent, each.unknown) for each in done] == [(360, (), ())] * 2
    times, values = stored(catalog, held)
    np.testing.assert_array_equal(times, market.times)
    np.testing.assert_array_equal(values, market.open_interest(times))
    times, values = stored(catalog, fallen)
    np.testing.assert_array_equal(times, market.times)
    np.testing.assert_array_equal(values, market.liquidated(times))
    assert (values == 0).any()  # an hour without any is a reading, not a hole
    assert list(catalog.load(fallen).frame) == ["long_liquidations", "short_liquidations"]


FAULTS = [
    Fault("429", times=2, retry_after=7),
    *(Fault(kind, times=2) for kind in ("html", "truncated", "empty_page", "nulls", "conflicts")),
    Fault("ignore_since", times=2),
    *(Fault(kind, times=None) for kind in ("ignore_limit", "shuffled")),
]


@pytest.mark.parametrize(
    ("fault", "venue"), spread((fault, venue) for fault in FAULTS for venue in VENUES)
)
def test_a_fault_that_passes_leaves_no_trace(tmp_path, venue, fault):
    market, catalog, reference = MARKETS[venue], Catalog(tmp_path), bars_of(venue)
    harm = Fault(
        fault.kind,
        match=minutes(venue),
        after=2 if fault.times else 0,
        times=fault.times,
        retry_after=fault.retry_after,
    )
    with serve(World(markets=(market,)), [harm]) as exchange:
        done = fetch(client_of(exchange, venue), catalog, reference)
        struck = [entry for entry in exchange.log if entry.faults]
    assert struck, "the fault was never met"
    assert (done.added, done.absent, done.unknown) == (ROWS[venue], (), ())
    assert hold_to_truth(catalog, reference, market) == ROWS[venue]


@pytest.mark.parametrize(
    ("venue", "kind", "match"),
    [
        *((venue, "ohlcv", BARS[venue]) for venue in ("binanceusdm", "bybit", "okx", *VENUES)),
        ("gate", "open_interest", "*/contract_stats"),
        ("gate", "liquidations", "*/contract_stats"),
        ("hyperliquid", "funding", "*/fundingHistory"),
    ],
)
def test_a_venue_that_answers_with_its_newest_rows_whatever_is_asked_is_refused(
    tmp_path, venue, kind, match
):
    """Its rows say nothing of the time that was asked for: neither where history begins."""
    timeframe = "1m" if kind == "ohlcv" else "1h"
    market = generate(SYMBOLS[venue], rows=2300)  # more than any answer holds, but Hyperliquid's
    if kind != "ohlcv":
        market = generate(SYMBOLS[venue], rows=24 * 40, timeframe="1h", funding_hours=1)
    catalog, reference = Catalog(tmp_path), bars_of(venue, timeframe, kind)
    with (
        serve(
            World(markets=(market,)), [Fault("ignore_window", match=match, times=None)]
        ) as exchange,
        pytest.raises(VenueError, match="the venue keeps answering with"),
    ):
        fetch(client_of(exchange, venue), catalog, reference)
    assert not catalog.store.folders()


def test_the_oldest_rows_after_a_window_say_that_it_is_empty_and_the_newest_say_nothing():
    """A venue told starts alone, which keeps two hundred readings and gives a hundred at a time."""
    kept = np.arange(400, 600) * HOUR
    reference = bars_of("gate", "1h", "open_interest")
    rules = replace(rules_of(reference, Series(rows=1000, until=False)), newest=599 * HOUR)

    def page(times: np.ndarray) -> Page:
        return Page(times=times, values=np.ones((len(times), 2)), full=len(times) == 100)

    def hears(start: int, end: int) -> Page:
        return page(kept[kept >= start][:100])

    found = gather(hears, (350 * HOUR, 450 * HOUR), rules)
    assert found.absent == ((350 * HOUR, 400 * HOUR),)
    assert found.page.times.tolist() == kept[:50].tolist()
    assert gather(hears, (0, 100 * HOUR), rules).absent == ((0, 100 * HOUR),)
    with pytest.raises(
        VenueError, match="keeps answering with 1970-01-21 20:00 to 1970-01-25 23:00"
    ):
        gather(lambda start, end: page(kept[-100:]), (0, 100 * HOUR), rules)


READINGS = {
    ("krakenfutures", "funding"): ("*/historicalfundingrates", 1, 60),
    ("hyperliquid", "funding"): ("*/fundingHistory", 1, 60),
    ("gate", "funding"): ("*/funding_rate", 8, 500),
    ("gate", "open_interest"): ("*/contract_stats", 8, 15),
}
"""Where they are asked for, hours between two rates, days of history: more than one answer."""


@pytest.mark.parametrize(
    ("kind", "where"),
    spread(
        (kind, " ".join(where))
        for kind in ("html", "empty_page", "nulls", "ignore_since")
        for where in READINGS
    ),
)
def test_a_fault_that_passes_leaves_no_trace_in_readings(tmp_path, where, kind):
    venue, what = where.split()
    match, hours, days = READINGS[venue, what]
    market = generate(SYMBOLS[venue], rows=24 * days, timeframe="1h", funding_hours=hours)
    frame = f"{hours}h" if what == "funding" else "1h"
    catalog, reference = Catalog(tmp_path), bars_of(venue, frame, what)
    with serve(World(markets=(market,)), [Fault(kind, match=match, times=2)]) as exchange:
        done = fetch(client_of(exchange, venue), catalog, reference)
        assert sum(bool(entry.faults) for entry in exchange.log) == 2
    times, values = stored(catalog, reference)
    if what == "funding":
        np.testing.assert_array_equal(times, market.funding_times)
        np.testing.assert_array_equal(values[:, 0], market.funding_rates)
    else:
        np.testing.assert_array_equal(times, market.times)
        np.testing.assert_array_equal(values, market.open_interest(times))
    assert (done.absent, done.unknown) == ((), ())


@pytest.mark.parametrize(
    ("venue", "kind"), spread((venue, kind) for venue in VENUES for kind in ("gap", "nulls"))
)
def test_what_the_venue_keeps_withholding_is_named_bar_by_bar(tmp_path, venue, kind):
    market, catalog, reference = MARKETS[venue], Catalog(tmp_path), bars_of(venue)
    span = {"start": int(market.times[400]), "end": int(market.times[430])}
    with serve(World(markets=(market,)), [Fault(kind, times=None, **span)]) as exchange:
        fetch(client_of(exchange, venue), catalog, reference)
    assert hold_to_truth(catalog, reference, market) == ROWS[venue] - 30
    table = catalog.coverage(reference)
    holes = table[table["state"] != "present"]
    assert holes["state"].unique().tolist() == ["unknown"]
    assert int(holes["bars"].sum()) == 30
    assert (holes["start"].iloc[0], holes["end"].iloc[-1]) == tuple(map(moment, span.values()))


@pytest.mark.parametrize(
    ("kind", "venue"),
    spread((kind, venue) for kind in ("html", "429", "delisted") for venue in VENUES),
)
def test_a_fault_that_lasts_is_refused_in_words_and_what_came_before_is_kept(tmp_path, venue, kind):
    words = {"html": "a body that is not JSON", "429": "status 429", "delisted": "is stored"}
    market, catalog, reference = MARKETS[venue], Catalog(tmp_path), bars_of(venue)
    half = ROWS[venue] // 2
    with serve(World(markets=(market,))) as exchange:
        client = client_of(exchange, venue)
        until = moment(market.times[half])
        fetch(client, catalog, reference, since=moment(market.times[0]), until=until)
        exchange.faults.add(Fault(kind, match=BARS[venue], after=1, times=None))
        with pytest.raises(VenueError, match=words[kind]):
            fetch(client, catalog, reference)
        assert hold_to_truth(catalog, reference, market) >= half
        exchange.faults.clear()
        fetch(client_of(exchange, venue), catalog, reference)
    assert hold_to_truth(catalog, reference, market) == ROWS[venue]


@pytest.mark.parametrize("venue", VENUES)
def test_the_unfinished_bar_stays_out_and_comes_in_once_finished(tmp_path, venue):
    market, catalog, reference = MARKETS[venue], Catalog(tmp_path), bars_of(venue)
    with serve(World(markets=(market,), now=int(market.times[300]) + 30_000)) as exchange:
        fetch(client_of(exchange, venue), catalog, reference)
        assert hold_to_truth(catalog, reference, market) == 300
        exchange.now += MINUTE
        done = fetch(client_of(exchange, venue), catalog, reference)
    assert hold_to_truth(catalog, reference, market) == 301
    assert (done.added, done.present) == (1, 5)


SEEN = {"gate": 600, "bitstamp": 600}
"""Venues whose newest rows are asked for without a time show what their slow clock denies."""


@pytest.mark.parametrize(
    ("venue", "shift"), spread((venue, shift) for venue in VENUES for shift in (HOUR, -HOUR))
)
def test_a_clock_off_by_an_hour_lets_no_unfinished_bar_in_and_makes_no_hole(tmp_path, venue, shift):
    market, catalog, reference = MARKETS[venue], Catalog(tmp_path), bars_of(venue)
    fault = Fault("clock", times=None, shift=shift)
    with serve(World(markets=(market,), now=int(market.times[600]) + 30_000), [fault]) as exchange:
        done = fetch(client_of(exchange, venue), catalog, reference)
    rows = 600 if shift > 0 else SEEN.get(venue, 540)
    assert hold_to_truth(catalog, reference, market) == rows
    assert (done.absent, done.unknown, done.end) == ((), (), moment(market.times[rows]))


SHORT = {"kraken": (720, 700), "gate": (9990, 9000), "hyperliquid": (5000, 3000)}
"""How many of the newest bars are asked for, and how many more pass between two fetches."""


@pytest.mark.parametrize("venue", SHORT)
def test_what_is_no_longer_served_is_unknown_and_said(tmp_path, venue):
    kept, later = SHORT[venue]
    catalog, reference = Catalog(tmp_path), bars_of(venue)
    market = generate(SYMBOLS[venue], rows=2 * kept + later)
    opened = [kept + 100, 2 * kept + 100 + later - 500]
    with serve(World(markets=(market,), now=int(market.times[opened[0]]) + 5000)) as exchange:
        client = client_of(exchange, venue)
        early, first = moment(market.times[0]), moment(market.times[opened[0] - kept + 1])
        done = fetch(client, catalog, reference, since=early)
        assert done.unknown == done.lost == ((early, first),)
        assert "only the newest" in done.notes[0]
        assert done.added == kept - 1
        table = catalog.coverage(reference)
        assert table["state"].tolist() == ["present"]
        assert table["start"].iloc[0] == first
        exchange.now = int(market.times[opened[1]]) + 5000
        client = client_of(exchange, venue)
        done = fetch(client, catalog, reference)
        mended = repair(client, catalog, reference)
    hole = moment(market.times[opened[0]]), moment(market.times[opened[1] - kept + 1])
    assert hole[0] < hole[1]
    assert (done.added, done.unknown, done.absent) == (kept - 1, (hole,), ())
    assert "only the newest" in done.notes[0]
    table = catalog.coverage(reference)
    assert table["state"].tolist() == ["present", "unknown", "present"]
    assert (table["start"].iloc[1], table["end"].iloc[1]) == hole
    assert (mended.added, mended.unknown, len(mended.notes)) == (0, (hole,), 1)
    assert "only the newest" in mended.notes[0]
    assert hold_to_truth(catalog, reference, market) == 2 * (kept - 1)


@pytest.mark.parametrize(
    ("venue", "words"),
    [
        ("gate", r"the venue's begin at Thursday .* fetch a finer timeframe"),
        ("bitstamp", r"open times of 1w bars in UTC; the venue's begin at .* fetch a finer"),
    ],
)
def test_weeks_that_are_none_are_refused(tmp_path, venue, words):
    """Gate's seven days begin on Thursday; what ccxt calls a week of Bitstamp's is three days."""
    market = generate(SYMBOLS[venue], rows=24 * 100, timeframe="1h")
    with serve(World(markets=(market,))) as exchange, pytest.raises(VenueError, match=words):
        fetch(client_of(exchange, venue), Catalog(tmp_path), bars_of(venue, "1w"))


def test_a_timeframe_that_coinbase_has_not_is_refused(tmp_path):
    with (
        serve(World(markets=(MARKETS["coinbase"],))) as exchange,
        pytest.raises(InputError, match=r"must be one of 1m, 5m, .* 1d; got 4h"),
    ):
        fetch(client_of(exchange, "coinbase"), Catalog(tmp_path), bars_of("coinbase", "4h"))


@pytest.mark.parametrize("venue", [*VENUES, "kraken"])
def test_no_venue_is_asked_faster_than_it_permits(tmp_path, venue):
    """By its own budget and, at Hyperliquid, by what its answers weigh."""
    patience = Patience()
    market = MARKETS.get(venue) or generate(SYMBOLS[venue], rows=800)
    jobs = [Job(venue=venue, kind="ohlcv", symbol=SYMBOLS[venue], timeframe="1m")]
    if venue == "hyperliquid":
        market = generate(SYMBOLS[venue], rows=24 * 300, timeframe="1h", funding_hours=1)
        jobs = [
            Job(venue=venue, kind="funding", symbol=SYMBOLS[venue], timeframe="1h"),
            *(
                Job(venue=venue, kind="ohlcv", symbol=SYMBOLS[venue], timeframe=t)
                for t in ("1h", "4h")
            ),
        ]
    budgets = {host: each.budget for host, each in HOSTS.items()}
    with serve(World(markets=(market,)), budgets=budgets, clock=lambda: patience.now) as exchange:
        client = connect(venue, VenueSettings(api_url=exchange.api_url), patience.pacing())
        results = fetch_all(jobs, Catalog(tmp_path), {venue: client})
        assert {entry.status for entry in exchange.log} == {200}
    assert all(each.added for each in results.values())


def test_the_command_says_what_is_no_longer_served_and_ends_with_1(workspace, monkeypatch, capsys):
    with serve(World(markets=(generate(SYMBOLS["kraken"], rows=900),))) as exchange:
        pacing = Patience().pacing(wall=lambda: exchange.now / 1000)
        monkeypatch.setattr("delever.data.exchange.client.Pacing", lambda: pacing)
        monkeypatch.setenv("DELEVER_API_URL", exchange.api_url)
        words = ["data", "fetch", "kraken", "BTC/USD", "--timeframe", "1m", "--since", "2021-12-31"]
        assert main(words) == 1
    told = capsys.readouterr().out
    assert "719 rows added" in told
    assert "1 stretch (first 2021-12-31 00:00) unknown, and no longer served" in told
    assert "only the newest 720 bars are served; for more import its archive files" in told
    assert "repair" not in told
