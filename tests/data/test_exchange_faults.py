"""The fault matrix: after each fault the store equals the source, or the rest is said and why.

Every case runs the real ccxt client against the loopback exchange; nothing truly waits.
"""

from __future__ import annotations

import numpy as np
import pytest
from tests.data.fetching import (
    BARS,
    SYMBOLS,
    bars_of,
    client_of,
    hold_to_truth,
    spread,
    stored,
)
from tests.exchange import Fault, World, generate, serve

from delever.data.catalog import Catalog
from delever.data.exchange.fetch import fetch
from delever.errors import ConflictError, VenueError

VENUES = ("binanceusdm", "bybit", "okx", "deribit")
ROWS = 1300
MARKETS = {venue: generate(SYMBOLS[venue], rows=ROWS) for venue in VENUES}

PASSING = [
    Fault("429", times=2, retry_after=7),
    Fault("418", times=1),
    *(Fault(status, times=3) for status in ("500", "502", "503", "504", "520", "599")),
    *(Fault(kind, times=3) for kind in ("reset", "reset_body", "cut_body", "cut_chunks")),
    *(Fault(kind, times=3) for kind in ("truncated", "html", "empty_body")),
    *(Fault(kind, times=1) for kind in ("bare", "odd_lists")),
    *(Fault(kind, times=2) for kind in ("nulls", "conflicts", "gap", "empty_page")),
    Fault("duplicates", times=None),
    Fault("shuffled", times=None),
    Fault("ignore_limit", times=None),
    Fault("ignore_since", times=2),
    *(Fault(kind, probability=0.25, seed=2, times=None) for kind in ("503", "html", "cut_body")),
]
CASES = spread((fault, venue) for fault in PASSING for venue in ("binanceusdm", "bybit"))
CASES += spread(
    (fault, venue)
    for fault in PASSING
    for venue in ("okx", "deribit")
    if fault.kind in ("html", "gap", "empty_page", "conflicts", "cut_chunks") and fault.times
)
LASTING = [
    ("429", VenueError, "failed 8 times, last with status 429"),
    ("418", VenueError, "failed 8 times, last with status 418"),
    ("451", VenueError, "does not serve this network or region"),
    ("403", VenueError, "does not serve this network or region"),
    ("503", VenueError, "failed 8 times, last with status 503"),
    ("reset", VenueError, "failed 8 times"),
    ("truncated", VenueError, "a body that is not JSON"),
    ("html", VenueError, "a body that is not JSON"),
    ("empty_body", VenueError, "a body that is not JSON"),
    ("conflicts", ConflictError, "one value per stamp"),
    ("redirect", VenueError, "redirects to http://localhost:.* not followed"),
    ("delisted", VenueError, "(no longer knows the symbol|refuses).*stored"),
]


def harmed(fault: Fault, venue: str, after: int) -> Fault:
    options = {name: getattr(fault, name) for name in ("times", "probability", "seed")}
    return Fault(
        fault.kind, match=BARS[venue], after=after, retry_after=fault.retry_after, **options
    )


@pytest.mark.parametrize(("fault", "venue"), CASES)
def test_a_fault_that_passes_leaves_no_trace(tmp_path, fault, venue):
    market, catalog, reference = MARKETS[venue], Catalog(tmp_path), bars_of(venue)
    # In the search for the first row, and in the window loop alone.
    after, since = (3, None) if venue == "binanceusdm" else (1, stamp_of(market.times[0]))
    with serve(World(markets=(market,)), [harmed(fault, venue, after)]) as exchange:
        done = fetch(client_of(exchange, venue), catalog, reference, since=since)
        struck = [entry for entry in exchange.log if entry.faults]
    assert struck, "the fault was never met"
    assert (done.absent, done.unknown, done.added) == ((), (), ROWS)
    times, values = stored(catalog, reference)
    np.testing.assert_array_equal(times, market.times)
    np.testing.assert_array_equal(values, market.bars)


@pytest.mark.parametrize(("kind", "venue"), spread(("stall", venue) for venue in VENUES))
def test_a_venue_that_hangs_up_late_is_asked_again(tmp_path, kind, venue):
    market, catalog, reference = MARKETS[venue], Catalog(tmp_path), bars_of(venue)
    fault = Fault(kind, match=BARS[venue], after=2, times=1, seconds=600.0)
    # Where a healthy answer takes longer than that, it is asked for again too, up to 8 times.
    with serve(World(markets=(market,)), [fault]) as exchange:
        fetch(client_of(exchange, venue, timeout=1.0), catalog, reference)
    assert hold_to_truth(catalog, reference, market) == ROWS


@pytest.mark.parametrize(
    ("case", "venue"),
    spread((case, venue) for case in LASTING for venue in ("binanceusdm", "bybit")),
)
def test_a_fault_that_lasts_is_refused_in_words_and_what_came_before_is_kept(tmp_path, case, venue):
    kind, error, words = case
    market, catalog, reference = MARKETS[venue], Catalog(tmp_path), bars_of(venue)
    with serve(World(markets=(market,))) as exchange:
        client = client_of(exchange, venue)
        half = int(market.times[ROWS // 2])
        span = {"since": stamp_of(market.times[0]), "until": stamp_of(half)}
        fetch(client, catalog, reference, **span)
        exchange.faults.add(Fault(kind, match=BARS[venue], after=1, times=None))
        with pytest.raises(error, match=words):
            fetch(client, catalog, reference)
        assert hold_to_truth(catalog, reference, market) >= ROWS // 2
        exchange.faults.clear()
        fetch(client_of(exchange, venue), catalog, reference)
    assert hold_to_truth(catalog, reference, market) == ROWS


@pytest.mark.parametrize(
    ("kind", "venue"), spread(("drip", venue) for venue in ("bybit", "binanceusdm"))
)
def test_a_venue_that_drips_is_asked_again_when_its_whole_time_is_up(tmp_path, kind, venue):
    """A byte every twentieth of a second: no timeout between two of them would ever be met."""
    market, catalog, reference = MARKETS[venue], Catalog(tmp_path), bars_of(venue)
    fault = Fault(kind, match=BARS[venue], after=2, times=1)
    with serve(World(markets=(market,)), [fault]) as exchange:
        client = client_of(exchange, venue, timeout=0.2)
        done = fetch(client, catalog, reference)
        assert [entry.faults for entry in exchange.log].count((kind,)) == 1
    assert (done.added, done.unknown) == (ROWS, ())
    assert hold_to_truth(catalog, reference, market) == ROWS


@pytest.mark.parametrize("asked", [601.0, 3 * 86_400.0, 1e300])
def test_a_wait_longer_than_is_waited_is_refused_and_says_how_long(tmp_path, asked):
    market, catalog, reference = MARKETS["bybit"], Catalog(tmp_path), bars_of("bybit")
    fault = Fault("429", match=BARS["bybit"], after=2, times=None, retry_after=asked)
    said = {601.0: "10 min, longer than the 10 min", 3 * 86_400.0: r"72\.0 h, longer"}
    with serve(World(markets=(market,)), [fault]) as exchange:
        words = rf"^bybit asks to be left alone for {said.get(asked, '')}.*what was complete is"
        with pytest.raises(VenueError, match=words):
            fetch(client_of(exchange, "bybit"), catalog, reference)
        assert len([entry for entry in exchange.log if entry.faults]) == 1


def test_waits_that_add_up_to_more_than_is_waited_are_refused(tmp_path):
    market, catalog, reference = MARKETS["bybit"], Catalog(tmp_path), bars_of("bybit")
    fault = Fault("503", match=BARS["bybit"], times=None, retry_after=599)
    with serve(World(markets=(market,)), [fault]) as exchange:
        with pytest.raises(VenueError, match="failed 4 times in 30 min, last with status 503"):
            fetch(client_of(exchange, "bybit"), catalog, reference)
        assert len([entry for entry in exchange.log if entry.faults]) == 4


def test_an_answer_that_is_too_large_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr("delever.data.exchange.session.LARGEST_BODY", 1 << 14)
    with (
        serve(World(markets=(MARKETS["bybit"],))) as exchange,
        pytest.raises(VenueError, match="an answer of bybit must unpack to at most 0 MiB"),
    ):
        fetch(client_of(exchange, "bybit"), Catalog(tmp_path), bars_of("bybit"))


MARKETS_OF = {"binanceusdm": "*/exchangeInfo", "bybit": "*/instruments-info"}


@pytest.mark.parametrize(
    ("venue", "kind"),
    [("binanceusdm", "odd_lists"), ("bybit", "odd_items"), ("bybit", "odd_lists")],
)
def test_a_market_list_of_another_shape_is_asked_for_again_and_then_refused_in_words(
    tmp_path, venue, kind
):
    market, catalog, reference = MARKETS[venue], Catalog(tmp_path), bars_of(venue)
    odd = Fault(kind, match=MARKETS_OF[venue], times=None)
    with serve(World(markets=(market,)), [odd]) as exchange:
        with pytest.raises(VenueError, match=f"^{venue} answered in a shape .*run the same"):
            fetch(client_of(exchange, venue), catalog, reference)
        assert len(exchange.requests(MARKETS_OF[venue])) > 1
        exchange.faults.clear()
        exchange.faults.add(Fault(kind, match=MARKETS_OF[venue], times=1))
        fetch(client_of(exchange, venue), catalog, reference)
    assert hold_to_truth(catalog, reference, market) == ROWS


def test_a_market_list_that_ccxt_itself_refuses_is_explained(tmp_path):
    odd = Fault("odd_items", match=MARKETS_OF["binanceusdm"], times=None)
    with (
        serve(World(markets=(MARKETS["binanceusdm"],)), [odd]) as exchange,
        pytest.raises(VenueError, match=r"^binanceusdm refuses: .*missing id.*stored$"),
    ):
        fetch(client_of(exchange, "binanceusdm"), Catalog(tmp_path), bars_of("binanceusdm"))


@pytest.mark.parametrize("kind", ["odd_items", "odd_lists"])
@pytest.mark.parametrize("venue", MARKETS_OF)
def test_rows_of_another_shape_are_refused_in_words(tmp_path, venue, kind):
    odd = Fault(kind, match=BARS[venue], times=None)
    with (
        serve(World(markets=(MARKETS[venue],)), [odd]) as exchange,
        pytest.raises(VenueError, match=venue),
    ):
        fetch(client_of(exchange, venue), Catalog(tmp_path), bars_of(venue))


@pytest.mark.parametrize(
    ("venue", "status"), spread((venue, status) for venue in VENUES for status in ("403", "451"))
)
def test_a_closed_door_is_tried_once(tmp_path, venue, status):
    with serve(World(markets=(MARKETS[venue],))) as exchange:
        exchange.faults.add(Fault(status, match=BARS[venue], times=None))
        with pytest.raises(VenueError, match="proxy or api_url"):
            fetch(client_of(exchange, venue), Catalog(tmp_path), bars_of(venue))
        assert len(exchange.requests(BARS[venue])) == 1


@pytest.mark.parametrize(
    ("venue", "kind"), spread((venue, kind) for venue in VENUES for kind in ("gap", "nulls"))
)
def test_what_the_venue_keeps_withholding_is_named_bar_by_bar(tmp_path, venue, kind):
    market, catalog, reference = MARKETS[venue], Catalog(tmp_path), bars_of(venue)
    start, end = int(market.times[200]), int(market.times[230])
    fault = Fault(kind, match=BARS[venue], times=None, start=start, end=end)
    with serve(World(markets=(market,)), [fault]) as exchange:
        done = fetch(
            client_of(exchange, venue), catalog, reference, since=stamp_of(market.times[0])
        )
        assert hold_to_truth(catalog, reference, market) == ROWS - 30
        table = catalog.coverage(reference)
        holes = table[table["state"] != "present"]
        assert holes["state"].unique().tolist() == ["unknown"]
        assert int(holes["bars"].sum()) == 30
        assert (holes["start"].iloc[0], holes["end"].iloc[-1]) == (stamp_of(start), stamp_of(end))
        assert done.absent == ()
        for spans in (done.unknown, done.unconfirmed if kind == "gap" else done.unknown):
            assert (spans[0][0], spans[-1][1]) == (stamp_of(start), stamp_of(end))
        exchange.faults.clear()
        done = fetch(client_of(exchange, venue), catalog, reference)
    assert (done.added, done.unknown) == (30, ())
    assert hold_to_truth(catalog, reference, market) == ROWS


@pytest.mark.parametrize(
    ("venue", "shift"),
    spread((venue, shift) for venue in VENUES for shift in (3_600_000, -3_600_000)),
)
def test_a_clock_off_by_an_hour_lets_no_unfinished_bar_in(tmp_path, venue, shift):
    """Half way through the bar at 10:00; the venue says it is an hour later, or earlier."""
    market, catalog, reference = MARKETS[venue], Catalog(tmp_path), bars_of(venue)
    now = int(market.times[600]) + 30_000
    fault = Fault("clock", times=None, shift=shift)
    with serve(World(markets=(market,), now=now), [fault]) as exchange:
        done = fetch(
            client_of(exchange, venue), catalog, reference, since=stamp_of(market.times[0])
        )
    assert hold_to_truth(catalog, reference, market) == 600
    assert done.end == stamp_of(market.times[600])


@pytest.mark.parametrize("venue", [*VENUES, "binance", "kraken"])
def test_the_unfinished_bar_stays_out_and_comes_in_once_finished(tmp_path, venue):
    market = generate(SYMBOLS[venue], rows=400)
    catalog, reference = Catalog(tmp_path), bars_of(venue)
    now = int(market.times[300]) + 30_000
    with serve(World(markets=(market,), now=now)) as exchange:
        fetch(client_of(exchange, venue), catalog, reference, since=stamp_of(market.times[0]))
        assert hold_to_truth(catalog, reference, market) == 300
        exchange.now += 60_000
        done = fetch(client_of(exchange, venue), catalog, reference)
    assert hold_to_truth(catalog, reference, market) == 301
    assert (done.added, done.present) == (1, 5)


def test_a_window_answered_with_another_time_is_refused(tmp_path):
    """A venue that ignores the window altogether must not be taken for one without rows."""
    from dataclasses import replace

    from delever.data.exchange.gather import gather, rules_of
    from delever.data.exchange.pages import Page
    from delever.data.exchange.venue import Series

    rules = rules_of(bars_of("bybit"), Series(rows=1000))
    elsewhere = Page(times=np.array([0]), values=np.ones((1, 5)))
    with pytest.raises(VenueError, match="keeps answering with 1970-01-01 00:00"):
        gather(lambda start, end: elsewhere, (60_000_000, 66_000_000), rules)
    unbounded = replace(rules, bounded=False)
    found = gather(lambda start, end: elsewhere, (60_000_000, 66_000_000), unbounded)
    assert found.absent == ((60_000_000, 66_000_000),)


def stamp_of(time: int):
    import pandas as pd

    return pd.Timestamp(int(time), unit="ms", tz="UTC").as_unit("ns")
