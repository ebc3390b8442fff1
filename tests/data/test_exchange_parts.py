"""The pieces of fetching by themselves: rates, waits, spans, rows, settings."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.fetching import Patience, bars_of
from tests.exchange.limits import Meter
from tests.exchange.wire import Budget

from delever.data.exchange.client import connect, redirected
from delever.data.exchange.gather import gather, joined_pages, rules_of, sifted
from delever.data.exchange.pages import Page
from delever.data.exchange.plan import clocks_apart, horizon
from delever.data.exchange.quirks import VENUES
from delever.data.exchange.spans import ceiling, floor, holes, missing, windows, without
from delever.data.exchange.venue import Series
from delever.data.pacing import Limiter, backoff, retry_after
from delever.data.sources_file import VenueSettings, settings_of
from delever.errors import ConfigError, ConflictError, InputError, VenueError

spans = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda p: (min(p), max(p) + 1))


@given(
    weight=st.integers(15, 3000),
    seconds=st.floats(1, 120),
    costs=st.lists(st.sampled_from([0.5, 1, 2, 5]), min_size=1, max_size=8),
    offset=st.floats(0, 100),
)
def test_no_window_of_the_venue_ever_sees_more_than_it_permits(weight, seconds, costs, offset):
    """The meter is the loopback's: fixed windows, wherever they happen to begin."""
    patience = Patience()
    patience.now = offset
    limiter = Limiter(weight, seconds, patience.pacing())
    meter = Meter(Budget(weight=weight, seconds=seconds), lambda: patience.now, enforce=True)
    spent = 0.0
    for turn in range(300):
        cost = costs[turn % len(costs)]
        limiter.take(cost)
        spent += cost
        assert meter.take(cost) is None
    if patience.now - offset > 2 * seconds and weight >= 100:
        assert spent / (patience.now - offset) >= 0.9 * weight / seconds


def test_a_pause_holds_everybody_and_a_stop_lets_them_give_up():
    patience = Patience()
    limiter = Limiter(100, 1.0, patience.pacing())
    limiter.pause(30.0)
    limiter.take()
    assert patience.now >= 30.0
    limiter.pause(3600.0)
    limiter.stop()
    given_up = []

    def wait():
        try:
            limiter.take()
        except VenueError as error:
            given_up.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    waiting.join(timeout=60.0)
    assert len(given_up) == 1
    with pytest.raises(VenueError, match="what was complete is stored"):
        limiter.rest(1.0)


@given(attempt=st.integers(1, 30), seed=st.integers(0, 99))
def test_waits_double_with_jitter_up_to_the_longest(attempt, seed):
    pacing = Patience().pacing()
    pacing.random.seed(seed)
    whole = min(60.0, 0.01 * 2 ** (attempt - 1))
    assert whole / 2 <= backoff(attempt, pacing) <= whole
    assert backoff(1, pacing) != backoff(1, pacing)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, 59.0),
        ({"X-Bapi-Limit-Reset-Timestamp": "946684742500"}, 2.5),
    ],
)
def test_what_a_venue_asks_for(headers, seconds):
    now = datetime(1999, 12, 31, 23, 59, 0, tzinfo=UTC)
    assert retry_after(headers, now, reset_header="X-Bapi-Limit-Reset-Timestamp") == seconds


@given(span=spans, taken=st.lists(spans, max_size=6))
def test_without_leaves_exactly_what_nobody_took(span, taken):
    left = without(span, taken)
    points = {p for low, high in left for p in range(low, high)}
    assert points == {p for p in range(*span) if not any(a <= p < b for a, b in taken)}
    assert all(low < high for low, high in left)
    assert left == sorted(left)


@given(span=spans, width=st.integers(1, 20))
def test_windows_touch_and_fill_the_span(span, width):
    pieces = list(windows(span, width))
    assert [p for low, high in pieces for p in range(low, high)] == list(range(*span))
    assert all(high - low <= width for low, high in pieces)


@given(present=st.sets(st.integers(0, 30)), step=st.integers(1, 7))
def test_missing_is_the_grid_less_the_rows(present, step):
    times = np.array(sorted(present), dtype=np.int64) * step
    found = missing(times, (0, 31 * step), step)
    points = {p for low, high in found for p in range(low, high, step)}
    assert points == {step * p for p in set(range(31)) - present}


@given(time=st.integers(0, 4_000_000_000_000), timeframe=st.sampled_from(["1m", "4h", "1d", "1w"]))
def test_floor_and_ceiling_meet_on_the_grid(time, timeframe):
    low, high = floor(time, timeframe), ceiling(time, timeframe)
    assert low <= time <= high
    assert floor(low, timeframe) == ceiling(low, timeframe) == low
    assert high - low in (0, {"1m": 60, "4h": 14400, "1d": 86400, "1w": 604800}[timeframe] * 1000)


@given(
    rhythm=st.lists(st.sampled_from([1, 4, 8]), min_size=1, max_size=4),
    lost=st.integers(3, 20),
    count=st.integers(1, 3),
)
def test_a_row_withheld_from_any_rhythm_is_noticed(rhythm, lost, count):
    """Each rhythm lasts twelve rows; rows are taken out away from where it changes."""
    hour = 3_600_000
    apart = np.repeat(rhythm, 12) * hour
    times = np.concatenate([[0], np.cumsum(apart)])
    lost = min(lost, len(times) - 4 - count)
    if any(abs(lost + k - edge) < 4 for k in range(count) for edge in range(0, len(times), 12)):
        return
    kept = np.delete(times, range(lost, lost + count))
    found = holes(kept, (0, int(times[-1]) + 1), 8 * hour)
    gone = times[lost : lost + count]
    assert all(any(low <= time < high for low, high in found) for time in gone)


@given(st.data())
def test_any_way_of_serving_rows_ends_in_the_same_rows(data):
    """A venue that withholds, repeats, shuffles or blanks rows, never twice the same way."""
    size = data.draw(st.integers(1, 30))
    seed = data.draw(st.integers(0, 1000))
    absent = data.draw(st.sets(st.integers(0, size - 1), max_size=size - 1))
    step, rng = 60_000, random.Random(seed)
    there = np.array(sorted(set(range(size)) - absent), dtype=np.int64)
    truth = {int(t) * step: [float(t + 1)] * 4 + [1.0] for t in there}
    harm = {time: rng.choice(["", "", "withhold", "blank", "dispute"]) for time in truth}

    def ask(start, end):
        rows = []
        for time, row in truth.items():
            if not start <= time < end:
                continue
            trouble, harm[time] = harm[time], ""
            if trouble == "withhold":
                continue
            if trouble == "blank":
                row = [np.nan] * 5
            rows.append((time, row))
            if trouble == "dispute":
                rows.append((time, [x + 1 for x in row]))
        rng.shuffle(rows)
        times = np.array([time for time, _ in rows], dtype=np.int64)
        return Page(times=times, values=np.array([row for _, row in rows]).reshape(-1, 5))

    found = gather(ask, (0, size * step), rules_of(bars_of("bybit"), Series(rows=1000)))
    page = found.page if found.edge is None else joined_pages(found.page, found.edge)
    assert page.times.tolist() == list(truth)
    assert page.values.tolist() == list(truth.values())
    assert found.unknown == ()
    gone = {t // step for low, high in found.absent for t in range(low, high, step)}
    assert gone == absent


def test_two_answers_that_differ_are_a_conflict():
    answers = iter([[0], [60_000], [0]])

    def ask(start, end):
        times = np.array(next(answers), dtype=np.int64)
        return Page(times=times, values=np.full((1, 5), 1.0))

    rules = rules_of(bars_of("bybit"), Series(rows=1000))
    assert gather(ask, (0, 120_000), rules).page.times.tolist() == [0, 60_000]

    prices = iter([1.0, 2.0])

    def unsure(start, end):
        rows = np.array([[next(prices)] * 5, [1.0] * 5])
        return Page(times=np.array([60_000, 120_000]), values=rows)

    with pytest.raises(ConflictError, match=r"1970-01-01 00:01 it gave .*1\.0.* then .*2\.0"):
        gather(unsure, (0, 240_000), rules)


def test_every_api_address_is_redirected():
    import ccxt

    def addresses(urls):
        if isinstance(urls, dict):
            return [each for value in urls.values() for each in addresses(value)]
        return [urls]

    for name in VENUES:
        exchange = getattr(ccxt, name)()
        moved = redirected(exchange.urls["api"], "http://localhost:1/gate/{host}", "example.com")
        for before, after in zip(addresses(exchange.urls["api"]), addresses(moved), strict=True):
            host, _, path = before.removeprefix("https://").partition("/")
            host = host.replace("{hostname}", "example.com")
            assert after.rstrip("/") == f"http://localhost:1/gate/{host}/{path}".rstrip("/")


def test_every_known_venue_is_one_that_ccxt_knows():
    import ccxt

    assert set(VENUES) <= set(ccxt.exchanges)
    assert set(VENUES) == {
        "binance", "binanceusdm", "bybit", "okx", "deribit", "kraken", "krakenfutures",
        "bitstamp", "coinbase", "gate", "hyperliquid",
    }  # fmt: skip
    for name, venue in VENUES.items():
        client = connect(name, VenueSettings(), Patience().pacing())
        assert client.venue is venue
        assert "ohlcv" in venue.series


def test_settings_come_from_the_file_and_the_environment_goes_first(tmp_path, monkeypatch):
    monkeypatch.delenv("DELEVER_API_URL", raising=False)
    path = tmp_path / "sources.toml"
    assert settings_of("okx", path) == VenueSettings()
    path.write_text('[venues.okx]\napi_url = "https://a/{host}"\nrate = 0.5\noptions = { x = 1 }\n')
    assert settings_of("okx", path) == VenueSettings(
        api_url="https://a/{host}", rate=0.5, options={"x": 1}
    )
    assert settings_of("gate", path) == VenueSettings()
    monkeypatch.setenv("DELEVER_API_URL", "http://b/{host}")
    assert settings_of("okx", path).api_url == "http://b/{host}"
    assert settings_of("gate", path).api_url == "http://b/{host}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[venues.okx]\nspeed = 1\n", "settings are api_url.*got speed"),
        ("[venues.okx]\nrate = 2\n", r"rate must be in \(0, 1\]"),
        ("[venues.okx]\nrate = true\n", "rate must be float; got True"),
        ("[venues.okx]\noptions = 1\n", "options must be a table"),
        ("[venues.okx]\nworkers = 0\n", "workers in 1..16"),
        ('[venues.okx]\napi_url = "ftp://x"\n', "must begin with http"),
        ("[venue.okx]\nrate = 1\n", "tables named venues.NAME and series.NAME; got venue"),
        ("venues = 3\n", "tables named"),
        ("[venues", "must be TOML"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, monkeypatch, text, words):
    monkeypatch.delenv("DELEVER_API_URL", raising=False)
    (tmp_path / "sources.toml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        settings_of("okx", tmp_path / "sources.toml")


def test_an_unknown_venue_names_those_near():
    with pytest.raises(InputError, match="did you mean kraken"):
        connect("krakn", VenueSettings())


def page_of(*rows):
    """Rows of one price each, by minute; in the order given."""
    times = np.array([60_000 * minute for minute, _ in rows], dtype=np.int64)
    return Page(times=times, values=np.array([[price] * 5 for _, price in rows]).reshape(-1, 5))


def test_a_row_that_could_not_be_read_is_unknown_though_no_later_answer_has_it():
    """Absent would say that the venue confirmed that there is nothing."""
    answers = iter([page_of((0, 1.0), (1, np.nan), (2, 3.0), (3, 4.0))])
    later = page_of()
    rules = rules_of(bars_of("bybit"), Series(rows=1000))
    found = gather(lambda start, end: next(answers, later), (0, 240_000), rules)
    assert found.page.times.tolist() == [0, 120_000, 180_000]
    assert (found.unknown, found.absent) == (((60_000, 120_000),), ())


def test_two_values_of_a_stamp_are_a_conflict_though_no_later_answer_has_either():
    answers = iter([page_of((0, 1.0), (1, 2.0), (1, 2.5), (2, 3.0), (3, 4.0))])
    later = page_of()
    rules = rules_of(bars_of("bybit"), Series(rows=1000))
    with pytest.raises(ConflictError, match="at 1970-01-01 00:01 and 0 more it keeps giving two"):
        gather(lambda start, end: next(answers, later), (0, 240_000), rules)


def test_rows_of_an_answer_are_put_in_order_and_two_of_a_stamp_found_wherever_they_stand():
    rules = rules_of(bars_of("bybit"), Series(rows=1000))
    found = sifted(page_of((3, 4.0), (1, 2.0), (0, 1.0), (1, 2.5), (3, 4.0)), (0, 240_000), rules)
    assert found.page.times.tolist() == [0, 180_000]
    assert found.page.values[:, 0].tolist() == [1.0, 4.0]
    assert found.disputed == {60_000}


@pytest.mark.parametrize(
    ("past", "ahead", "closed", "final"),
    [
        (30_000, 0, False, True),
        (30_000, 29_000, False, True),
        (30_000, -30_000, False, False),  # it may not have closed by the slower clock
        (60_001, 0, False, False),  # a venue that keeps up would have served the next one
        (60_001, 0, True, False),
        (86_400_001, 0, True, True),
    ],
)
def test_the_newest_row_is_final_where_clocks_and_rows_prove_it(past, ahead, closed, final):
    closes = 3 * 60_000
    source = SimpleNamespace(
        client=SimpleNamespace(sure_now=lambda: closes + past, ahead=ahead),
        reference=bars_of("bybit"),
        rules=rules_of(bars_of("bybit"), Series(rows=1000)),
        closed=closed,
        newest=lambda: page_of((0, 1.0), (1, 2.0), (2, 3.0)),
    )
    found = horizon(source)
    assert found.finished == (closes if final else closes - 60_000)
    assert any("held back" in note for note in found.notes) is not final


def test_the_last_row_of_an_answer_that_ends_early_stands_apart():
    """It may be one that the answering server has not seen the end of."""
    rules = rules_of(bars_of("bybit"), Series(rows=1000))
    early = Page(times=np.array([0, 60_000]), values=np.array([[1.0] * 5, [2.0] * 5]))
    found = gather(lambda start, end: early, (0, 240_000), rules)
    assert found.page.times.tolist() == [0]
    assert found.edge is not None
    assert found.edge.times.tolist() == [60_000]
    assert found.absent == ((120_000, 240_000),)
    whole = Page(times=60_000 * np.arange(4), values=np.full((4, 5), 3.0))
    whole.values[0] = 1.0
    answers = iter([early, whole])
    found = gather(lambda start, end: next(answers), (0, 240_000), rules)
    assert found.edge is None
    assert found.page.values[:, 0].tolist() == [1.0, 3.0, 3.0, 3.0]


@pytest.mark.parametrize(
    ("ahead", "said"),
    [
        (59_000, ""),
        (-90_500, ", and its clock stands 0 days 00:01:30 behind ours"),
        (1_408 * 86_400_000 + 85_808_000, ", and its clock stands 1,409 days ahead of ours"),
    ],
)
def test_clocks_that_stand_days_apart_are_told_in_days(ahead, said):
    assert clocks_apart(SimpleNamespace(ahead=ahead)) == said
