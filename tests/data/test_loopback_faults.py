"""Faults of the loopback exchange as ccxt sees them, its limits, its log, and its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import ccxt
import numpy as np
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from tests.exchange import (
    VENUES,
    Budget,
    Fault,
    Loopback,
    World,
    from_csv,
    generate,
    redirect,
    serve,
    stamp,
)
from tests.exchange.wire import Query, select

ROOT = Path(__file__).parents[2]
START = stamp("2022-01-01")
MINUTE = 60_000
SYMBOL = "BTC/USDT:USDT"
MARKET = generate(SYMBOL, rows=600)
WORLD = World(markets=(MARKET,))


def client(exchange: Loopback, venue: str = "binanceusdm") -> Any:
    options = {"enableRateLimit": False, "timeout": 60_000}
    return redirect(getattr(ccxt, venue)(options), exchange.api_url)


@contextmanager
def impatient(api: Any) -> Iterator[None]:
    """A client that waits a moment only, where nothing is going to come."""
    api.timeout, patient = 100, api.timeout
    yield
    api.timeout = patient


def minutes(api: Any, since: int = START, limit: int = 90) -> list[list[float]]:
    return api.fetch_ohlcv(SYMBOL, "1m", since, limit)


FLAWLESS = [
    [time, *bar] for time, bar in zip(MARKET.times.tolist(), MARKET.bars.tolist(), strict=True)
]


class TestLine:
    """What ccxt makes of a broken answer; the request after it is served as ever."""

    @pytest.mark.parametrize(
        ("venue", "kind", "error"),
        [
            ("binanceusdm", "403", ccxt.ExchangeNotAvailable),
            ("binanceusdm", "418", ccxt.DDoSProtection),
            ("binanceusdm", "429", ccxt.DDoSProtection),
            ("binanceusdm", "451", ccxt.ExchangeNotAvailable),
            ("binanceusdm", "500", ccxt.OperationFailed),
            ("binanceusdm", "502", ccxt.ExchangeNotAvailable),
            ("binanceusdm", "503", ccxt.OperationFailed),
            ("binanceusdm", "504", ccxt.RequestTimeout),
            ("binanceusdm", "520", ccxt.ExchangeNotAvailable),
            ("binanceusdm", "599", ccxt.ExchangeError),
            ("binanceusdm", "stall", ccxt.RequestTimeout),
            ("binanceusdm", "reset", ccxt.NetworkError),
            ("binanceusdm", "reset_body", ccxt.NetworkError),
            ("binanceusdm", "cut_body", ccxt.NetworkError),
            ("binanceusdm", "cut_chunks", ccxt.ExchangeError),
            ("bybit", "403", ccxt.RateLimitExceeded),  # its way to say "too frequent", says ccxt
            ("bybit", "429", ccxt.RateLimitExceeded),
            ("bybit", "503", ccxt.ExchangeError),
            ("okx", "429", ccxt.RateLimitExceeded),
            ("okx", "502", ccxt.ExchangeNotAvailable),
            ("deribit", "429", ccxt.DDoSProtection),
            ("deribit", "reset_body", ccxt.NetworkError),
        ],
    )
    def test_raises(self, venue: str, kind: str, error: type[Exception]) -> None:
        with serve(WORLD) as exchange:
            api = client(exchange, venue)
            api.load_markets()
            exchange.faults.add(Fault(kind, seconds=600))
            with impatient(api) if kind == "stall" else nullcontext(), pytest.raises(error):
                minutes(api)
            assert minutes(api) == FLAWLESS[:90]
        assert [entry.faults for entry in exchange.log[-2:]] == [(kind,), ()]

    @pytest.mark.parametrize("kind", ["truncated", "html", "empty_body"])
    def test_is_taken_for_no_rows_at_all(self, kind: str) -> None:
        with serve(WORLD, [Fault(kind, match="*/klines")]) as exchange:
            assert minutes(client(exchange)) == []

    def test_cut_chunks_are_a_plain_exchange_error(self) -> None:
        with serve(WORLD, [Fault("cut_chunks", match="*/klines")]) as exchange:
            with pytest.raises(ccxt.ExchangeError) as caught:
                minutes(client(exchange))
            assert type(caught.value) is ccxt.ExchangeError

    def test_a_reset_is_a_reset(self) -> None:
        with serve(WORLD, [Fault("reset")]) as exchange:
            url = exchange.api_url.format(host="fapi.binance.com") + "/fapi/v1/time"
            with pytest.raises(requests.ConnectionError, match="reset by peer"):
                requests.get(url, timeout=60)

    def test_retry_after_is_sent(self) -> None:
        with serve(WORLD, [Fault("429", retry_after=1.5)]) as exchange:
            url = exchange.api_url.format(host="api.kraken.com") + "/0/public/Time"
            first, second = (requests.get(url, timeout=60) for _ in range(2))
        assert (first.status_code, first.headers["Retry-After"]) == (429, "1.5")
        assert first.json() == {"error": ["EGeneral:Too many requests"]}
        assert second.json()["result"]["unixtime"] == WORLD.clock // 1000


class TestRows:
    def page(self, *faults: Fault, venue: str = "binanceusdm") -> list[list[float]]:
        with serve(WORLD, faults) as exchange:
            return minutes(client(exchange, venue))

    def test_nulls(self) -> None:
        got = self.page(Fault("nulls"))
        assert [row[0] for row in got] == [row[0] for row in FLAWLESS[:90]]
        assert all(row[1:] == [None] * 5 for row in got[30:60])
        assert got[:30] + got[60:] == FLAWLESS[:30] + FLAWLESS[60:90]

    def test_duplicates(self) -> None:
        assert self.page(Fault("duplicates", start=START, end=START + MINUTE)) == (
            FLAWLESS[:1] + FLAWLESS[:89]
        )

    def test_conflicts(self) -> None:
        got = self.page(Fault("conflicts", start=START, end=START + MINUTE))
        assert got[0] == FLAWLESS[0]
        assert got[1][0] == START
        assert got[1][4] == pytest.approx(1.01 * FLAWLESS[0][4])

    def test_gap_and_empty_page(self) -> None:
        assert self.page(Fault("gap")) == FLAWLESS[:30] + FLAWLESS[60:90]
        assert self.page(Fault("empty_page")) == []

    def test_shuffled_rows_reach_the_wire_out_of_order(self) -> None:
        with serve(WORLD, [Fault("shuffled", match="*/klines")]) as exchange:
            api = client(exchange)
            request = {"symbol": "BTCUSDT", "interval": "1m", "startTime": START, "limit": 90}
            raw = [int(row[0]) for row in api.fapiPublicGetKlines(request)]
        assert raw != sorted(raw)
        assert sorted(raw) == MARKET.times[:90].tolist()

    def test_ignored_limit_and_since(self) -> None:
        request = {"symbol": "BTCUSDT", "interval": "1m", "startTime": START, "limit": 50}
        with serve(WORLD, [Fault("ignore_limit"), Fault("ignore_since", after=1)]) as exchange:
            api = client(exchange)
            many = api.fapiPublicGetKlines(request)
            newest = api.fapiPublicGetKlines(request)
        assert [int(row[0]) for row in many] == MARKET.times[:500].tolist()
        assert [int(row[0]) for row in newest] == MARKET.times[-50:].tolist()

    def test_only_rows_of_the_span_are_harmed_and_only_their_pages_counted(self) -> None:
        day = {"start": START + 100 * MINUTE, "end": START + 110 * MINUTE}
        with serve(WORLD, [Fault("gap", **day)]) as exchange:
            api = client(exchange)
            first = minutes(api)
            second = minutes(api, START + 90 * MINUTE)
            again = minutes(api, START + 90 * MINUTE)
        assert first == FLAWLESS[:90]
        assert second == FLAWLESS[90:100] + FLAWLESS[110:180]
        assert again == FLAWLESS[90:180]
        with serve(WORLD, [Fault("gap", times=None, **day)]) as exchange:
            api = client(exchange)
            assert minutes(api, START + 90 * MINUTE) == minutes(api, START + 90 * MINUTE) == second

    @pytest.mark.parametrize("venue", ["bybit", "okx", "deribit"])
    def test_reach_every_format(self, venue: str) -> None:
        got = self.page(Fault("nulls", start=START, end=START + MINUTE), venue=venue)
        assert got == [[START, *[None] * 5], *FLAWLESS[1:90]]


class TestVenue:
    def test_a_clock_that_is_off_by_an_hour(self) -> None:
        with serve(WORLD, [Fault("clock", times=None)]) as exchange:
            api = client(exchange)
            assert api.fetch_time() == exchange.now + 3_600_000
            assert len(minutes(api, exchange.now - 5 * MINUTE)) == 4  # the data know better

    def test_a_symbol_that_goes_away(self) -> None:
        faults = [Fault("delisted", match="*fapi/v1/*", after=2, times=None)]
        with serve(WORLD, faults) as exchange:
            api = client(exchange)
            assert minutes(api) == FLAWLESS[:90]
            with pytest.raises(ccxt.BadSymbol):
                minutes(api)
            assert api.load_markets(reload=True) == {}


class TestFault:
    def hits(self, *faults: Fault, calls: int = 200) -> list[int]:
        """Which of some calls are hit, without a line between."""
        exchange = Loopback(WORLD, faults)
        for _ in range(calls):
            exchange.reply("/fapi.binance.com/fapi/v1/time")
        return [number for number, entry in enumerate(exchange.log) if entry.faults]

    def test_after_and_times(self) -> None:
        assert self.hits(Fault("500", after=3, times=2)) == [3, 4]
        assert self.hits(Fault("500", after=198, times=None)) == [198, 199]

    def test_probability_is_drawn_from_the_seed(self) -> None:
        chance = {"probability": 0.2, "times": None}
        first = self.hits(Fault("500", **chance, seed=1))
        assert 20 <= len(first) <= 60
        assert self.hits(Fault("500", **chance, seed=1)) == first
        assert self.hits(Fault("500", **chance, seed=2)) != first

    def test_match_is_a_glob_or_a_function(self) -> None:
        assert self.hits(Fault("500", match="*/klines")) == []
        assert self.hits(Fault("500", match=lambda request: request.number == 8)) == [7]

    def test_wrong_ones_are_refused(self) -> None:
        with pytest.raises(ValueError, match="fault must be one of"):
            Fault("404")
        with pytest.raises(ValueError, match="does not harm rows"):
            Fault("429", start=START)

    def test_can_be_added_and_cleared_while_it_runs(self) -> None:
        with serve(WORLD) as exchange:
            api = client(exchange)
            assert minutes(api) == FLAWLESS[:90]
            exchange.faults.add(Fault("empty_page", times=None))
            assert minutes(api) == []
            exchange.faults.clear()
            assert minutes(api) == FLAWLESS[:90]


class TestLimits:
    HOST = "fapi.binance.com"

    def test_weight_is_counted_as_binance_counts_it(self) -> None:
        exchange = Loopback(WORLD, clock=lambda: 0.0)
        used = []
        for limit in (99, 100, 499, 500, 1000, 1500):
            path = f"/{self.HOST}/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit={limit}"
            used.append(int(exchange.reply(path).answer.headers["X-MBX-USED-WEIGHT-1M"]))
        assert np.diff(used, prepend=0).tolist() == [1, 2, 2, 5, 5, 10]

    def test_past_the_budget_429_then_a_ban_then_peace(self) -> None:
        now = 0.0
        budgets = {self.HOST: Budget(weight=5, seconds=60.0, patience=2, ban=100.0)}
        exchange = Loopback(WORLD, budgets=budgets, clock=lambda: now)

        def call() -> tuple[int, str | None]:
            answer = exchange.reply(f"/{self.HOST}/fapi/v1/time").answer
            return answer.status, answer.headers.get("Retry-After")

        assert [call() for _ in range(5)] == [(200, None)] * 5
        now = 20.0
        assert call() == (429, "40")
        now = 60.0
        assert [call() for _ in range(5)] == [(200, None)] * 5
        assert [call() for _ in range(3)] == [(429, "60"), (429, "60"), (418, "100")]
        now = 130.0
        assert call() == (418, "30")
        now = 160.0
        assert call() == (200, None)

    @pytest.mark.parametrize(
        ("venue", "error"),
        [
            ("binanceusdm", ccxt.DDoSProtection),
            ("bybit", ccxt.RateLimitExceeded),
            ("okx", ccxt.RateLimitExceeded),
            ("kraken", ccxt.DDoSProtection),
            ("deribit", ccxt.DDoSProtection),
        ],
    )
    def test_every_venue_says_so_in_its_words(self, venue: str, error: type[Exception]) -> None:
        budgets = {host: Budget(weight=1, seconds=1e6) for host in VENUES}
        with serve(WORLD, budgets=budgets, clock=lambda: 0.0) as exchange:
            api = client(exchange, venue)
            api.fetch_time()
            with pytest.raises(error):
                api.fetch_time()

    def test_unknown_hosts_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"no such host: example\.org"):
            Loopback(WORLD, budgets={"example.org": Budget(weight=1, seconds=1.0)})


class TestServer:
    def test_ends_cleanly_with_idle_and_stalled_connections(self) -> None:
        before = set(threading.enumerate())
        with serve(WORLD, [Fault("stall", match="*/klines", seconds=600)]) as exchange:
            api = client(exchange)
            api.fetch_time()
            with impatient(api), pytest.raises(ccxt.RequestTimeout):
                minutes(api)
            url = exchange.api_url.format(host="api.kraken.com")
            assert url.startswith("http://127.0.0.1:")
        assert set(threading.enumerate()) == before
        with pytest.raises(requests.ConnectionError):
            requests.get(url, timeout=60)

    def test_a_failure_of_its_own_is_not_kept_quiet(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(self: Loopback, target: str, body: object) -> None:
            raise ZeroDivisionError(target)

        monkeypatch.setattr(Loopback, "reply", broken)

        def ask() -> None:
            with serve(WORLD) as exchange:
                url = exchange.api_url.format(host="api.kraken.com") + "/x"
                assert requests.get(url, timeout=60).status_code == 500

        with pytest.raises(ExceptionGroup, match="loopback") as caught:
            ask()
        assert caught.group_contains(ZeroDivisionError)

    def test_log_tells_what_was_asked_and_served(self) -> None:
        with serve(WORLD) as exchange:
            minutes(client(exchange))
            requests.get(exchange.api_url.format(host="example.org"), timeout=60)
        (entry,) = exchange.requests("*/klines")
        assert entry.request.params["limit"] == "90"
        assert (entry.status, entry.rows, entry.faults) == (200, 90, ())
        assert [entry.request.host for entry in exchange.log][-1] == "example.org"
        assert exchange.log[-1].status == 404

    def test_as_a_tool(self, tmp_path: Path) -> None:
        bars = tmp_path / "bars.csv"
        rows = "2024-01-01T00:00:00Z,1,3,0.5,2,10\n2024-01-01T04:00:00Z,2,2.5,1e-7,2.25,7.5\n"
        bars.write_text("timestamp,open,high,low,close,volume\n" + rows)
        funding = tmp_path / "funding.csv"
        funding.write_text(
            "timestamp,funding_rate\n2024-01-01T00:00:00Z,-4.586e-05\n2024-01-01T08:00:00Z,0.0001\n"
        )
        command = [sys.executable, "-m", "tests.exchange", "--csv", bars, "--funding", funding]
        process = subprocess.Popen(
            [*command, "--timeframe", "4h", "--now", "2024-01-01T08:00:01Z"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        with process:
            try:
                assert process.stdout is not None
                said = process.stdout.readline() + process.stdout.readline()
                match = re.search(r"DELEVER_API_URL='(http://127\.0\.0\.1:\d+/\{host\})'", said)
                assert match is not None
                api = redirect(ccxt.binanceusdm({"enableRateLimit": False}), match[1])
                got = api.fetch_ohlcv(SYMBOL, "4h", 0)
                rates = api.fetch_funding_rate_history(SYMBOL, 0)
                process.send_signal(signal.SIGINT)
                assert process.wait(30) == 0
            finally:
                process.kill()
        first = stamp("2024-01-01")
        assert got == [
            [first, 1.0, 3.0, 0.5, 2.0, 10.0],
            [first + 240 * MINUTE, 2.0, 2.5, 1e-7, 2.25, 7.5],
        ]
        assert [row["fundingRate"] for row in rates] == [-4.586e-05, 0.0001]


class TestWorld:
    def test_is_a_function_of_its_seed(self) -> None:
        same, other = generate(rows=600), generate(rows=600, seed=8)
        np.testing.assert_array_equal(same.bars, MARKET.bars)
        assert not np.array_equal(other.bars, MARKET.bars)
        assert (MARKET.bars[:, 1] >= MARKET.bars[:, [0, 3]].max(1)).all()
        assert (MARKET.bars[:, 2] <= MARKET.bars[:, [0, 3]].min(1)).all()

    @pytest.mark.parametrize("hours", [1, 4, 8])
    def test_funding_stands_on_its_interval(self, hours: int) -> None:
        market = generate(rows=24 * 10, timeframe="1h", funding_hours=hours)
        want = np.arange(START, START + 10 * 86_400_000, hours * 3_600_000)
        assert market.funding_times.tolist() == want.tolist()

    @given(
        start=st.none() | st.integers(-5, 130),
        end=st.none() | st.integers(-5, 130),
        limit=st.integers(1, 130),
        oldest=st.booleans(),
        age=st.integers(1, 130),
    )
    def test_select_is_what_a_plain_filter_finds(
        self, start: int | None, end: int | None, limit: int, oldest: bool, age: int
    ) -> None:
        """Stamps in half minutes, so that windows and clocks fall on and between bars."""
        market = generate(rows=60)
        half = MINUTE // 2
        page = select(
            Query(
                series="last",
                market=market,
                step=MINUTE,
                start=None if start is None else START + start * half,
                end=None if end is None else START + end * half,
                limit=limit,
                oldest=oldest,
            ),
            START + age * half,
        )
        want = [
            bar
            for bar in range(60)
            if 2 * bar <= age
            and (start is None or 2 * bar >= start)
            and (end is None or 2 * bar <= end)
        ]
        want = want[:limit] if oldest else want[-limit:]
        assert ((page.times - START) // MINUTE).tolist() == want
        whole = [bar for bar in want if 2 * bar + 2 <= age]
        np.testing.assert_array_equal(page.values[: len(whole)], market.bars[whole])

    def test_reads_real_histories(self, shared_data: Path) -> None:
        market = from_csv(
            shared_data / "btcusdt_perp_4h_binance.csv.gz",
            symbol=SYMBOL,
            timeframe="4h",
            funding=shared_data / "funding_btcusdt_8h_binance.csv",
        )
        assert market.funding_hours == 8
        first = [7189.43, 7239.74, 7170.15, 7221.65, 12055.759]
        with serve(World(markets=(market,))) as exchange:
            api = client(exchange)
            bars = api.fetch_ohlcv(SYMBOL, "4h", stamp("2020-01-01"), 1000)
            rates = api.fetch_funding_rate_history(SYMBOL, stamp("2020-01-01"), 1000)
        assert bars[0] == [stamp("2020-01-01"), *first]
        assert len(bars) == 1000
        assert [row["fundingRate"] for row in rates[:2]] == [-0.00012359, -0.00012383]
