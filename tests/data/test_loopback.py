"""The loopback exchange through the real ccxt client: what arrives is what the world holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ccxt
import numpy as np
import pandas as pd
import pytest
from tests.exchange import Loopback, Market, World, generate, redirect, serve, stamp

START = stamp("2022-01-01")
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
PRICES = ("mark", "index", "premiumIndex")

LINEAR = generate("BTC/USDT:USDT", rows=2_500, funding_hours=4)
SPOT = generate("BTC/USDT", rows=2_500, seed=8)
DOLLAR = generate("BTC/USD", rows=2_500, seed=9)
INVERSE = generate("BTC/USD:BTC", rows=2_500, seed=10, funding_hours=1)
YEAR = generate("ETH/USDT:USDT", rows=365 * 24, timeframe="1h", seed=11, price=2_000.0)
COIN_YEAR = generate("ETH/USD:ETH", rows=365 * 24, timeframe="1h", seed=12, funding_hours=1)


@pytest.fixture(scope="module")
def exchange() -> Iterator[Loopback]:
    with serve(World(markets=(LINEAR, SPOT, DOLLAR, INVERSE))) as running:
        yield running


@pytest.fixture(scope="module")
def year() -> Iterator[Loopback]:
    with serve(World(markets=(YEAR, COIN_YEAR))) as running:
        yield running


def client(venue: str, exchange: Loopback) -> Any:
    """A ccxt exchange that waits for no rate limit and asks only here."""
    options = {"enableRateLimit": False, "timeout": 60_000}
    return redirect(getattr(ccxt, venue)(options), exchange.api_url)


def walk(api: Any, symbol: str, limit: int, **params: object) -> np.ndarray:
    """Every 1m bar from the first on, page by page, until a page is empty."""
    rows: list[list[float]] = []
    since = START
    while page := api.fetch_ohlcv(symbol, "1m", since, limit, dict(params)):
        rows += page
        since = page[-1][0] + MINUTE
    return np.array(rows, float)


def truth(market: Market, price: str = "last") -> np.ndarray:
    times, values = market.rows(price, market.step)
    return np.column_stack([times, values])


class TestMarkets:
    @pytest.mark.parametrize(
        ("venue", "symbols"),
        [
            ("binance", {"BTC/USDT", "BTC/USD", "BTC/USDT:USDT"}),
            ("binanceusdm", {"BTC/USDT:USDT"}),
            ("bybit", {"BTC/USDT", "BTC/USD", "BTC/USDT:USDT", "BTC/USD:BTC"}),
            ("okx", {"BTC/USDT", "BTC/USD", "BTC/USDT:USDT", "BTC/USD:BTC"}),
            ("kraken", {"BTC/USDT", "BTC/USD"}),
            ("deribit", {"BTC/USDT", "BTC/USDT:USDT", "BTC/USD:BTC"}),
        ],
    )
    def test_ccxt_reads_the_listing_and_the_clock(
        self, exchange: Loopback, venue: str, symbols: set[str]
    ) -> None:
        api = client(venue, exchange)
        markets = api.load_markets()
        assert set(markets) == symbols
        assert all(market["active"] for market in markets.values())
        resolution = 1000 if venue in ("bybit", "kraken") else 1
        assert abs(api.fetch_time() - exchange.now) < resolution

    def test_a_delisted_market_is_listed_as_closed_and_its_bars_stop(self) -> None:
        market = generate(rows=1_000, delisted="2022-01-01T10:00")
        with serve(World(markets=(market,), now=stamp("2022-01-02"))) as exchange:
            for venue in ("binanceusdm", "bybit", "okx", "deribit"):
                api = client(venue, exchange)
                assert api.load_markets()["BTC/USDT:USDT"]["active"] is False
            api = client("binanceusdm", exchange)
            assert api.fetch_ohlcv("BTC/USDT:USDT", "1m", START, 1000)[-1][0] == (
                stamp("2022-01-01T09:59")
            )


class TestBars:
    @pytest.mark.parametrize(
        ("venue", "market", "limit"),
        [
            ("binance", SPOT, 1000),
            ("binanceusdm", LINEAR, 499),
            ("bybit", SPOT, 1000),
            ("bybit", LINEAR, 1000),
            ("bybit", INVERSE, 200),
            ("okx", SPOT, 300),
            ("okx", LINEAR, 300),
            ("deribit", INVERSE, 5000),
            ("deribit", LINEAR, 700),
        ],
    )
    def test_pages_add_up_to_the_world(
        self, exchange: Loopback, venue: str, market: Market, limit: int
    ) -> None:
        got = walk(client(venue, exchange), market.symbol, limit)
        np.testing.assert_array_equal(got, truth(market))

    def test_kraken_gives_the_newest_720_bars_whatever_since_says(self, exchange: Loopback) -> None:
        got = client("kraken", exchange).fetch_ohlcv("BTC/USD", "1m", START)
        np.testing.assert_array_equal(np.array(got), truth(DOLLAR)[-720:])

    @pytest.mark.parametrize(
        ("venue", "price"),
        [
            *((venue, price) for venue in ("binanceusdm", "bybit") for price in PRICES),
            ("okx", "mark"),
            ("okx", "index"),
        ],
    )
    def test_other_prices(self, exchange: Loopback, venue: str, price: str) -> None:
        got = walk(client(venue, exchange), "BTC/USDT:USDT", 100, price=price)
        want = truth(LINEAR, price.removesuffix("Index"))
        np.testing.assert_array_equal(got[:, :5], want[:, :5])
        if venue == "binanceusdm":
            assert (got[:, 5] == 0).all()
        else:
            assert np.isnan(got[:, 5]).all()
        assert not np.array_equal(want[:, 1:5], truth(LINEAR)[:, 1:5])

    @pytest.mark.parametrize(("venue", "symbol"), [("binance", "BTC/USDT"), ("okx", "BTC/USDT")])
    def test_coarser_bars_are_what_pandas_makes_of_the_finest(
        self, exchange: Loopback, venue: str, symbol: str
    ) -> None:
        got = client(venue, exchange).fetch_ohlcv(symbol, "1h", START, 100)
        fine = truth(SPOT)
        frame = pd.DataFrame(
            fine[:, 1:],
            index=pd.to_datetime(fine[:, 0], unit="ms"),
            columns=["open", "high", "low", "close", "volume"],
        )
        how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
        want = frame.resample("1h").agg(how)
        whole = len(fine) // 60  # the last hour is unfinished, and okx's history leaves it out
        np.testing.assert_allclose(np.array(got)[:whole, 1:], want.to_numpy()[:whole], atol=1e-8)

    def test_weeks_open_on_monday_but_on_kraken_on_thursday(self) -> None:
        market = generate("BTC/USD", rows=60 * 24, timeframe="1h")
        with serve(World(markets=(market,))) as running:
            thursday = client("kraken", running).fetch_ohlcv("BTC/USD", "1w", START)
            monday = client("bybit", running).fetch_ohlcv("BTC/USD", "1w", START)
        assert {pd.Timestamp(row[0], unit="ms").day_name() for row in thursday} == {"Thursday"}
        assert {pd.Timestamp(row[0], unit="ms").day_name() for row in monday} == {"Monday"}

    def test_an_outage_leaves_no_rows(self) -> None:
        market = generate(rows=600, absent=[("2022-01-01T03:00", "2022-01-01T05:00")])
        assert len(market.times) == 480
        with serve(World(markets=(market,))) as running:
            got = walk(client("binanceusdm", running), market.symbol, 100)
        np.testing.assert_array_equal(got, truth(market))


class TestUnfinished:
    """The bar that holds the server's clock is served as it stands."""

    @pytest.mark.parametrize("venue", ["binance", "bybit", "kraken"])
    def test_last_bar_is_partial(self, venue: str) -> None:
        market = generate("BTC/USD", rows=120)
        now = START + 90 * MINUTE + 15_000
        with serve(World(markets=(market,), now=now)) as running:
            minutes = client(venue, running).fetch_ohlcv("BTC/USD", "1m", START, 1000)
            hours = client(venue, running).fetch_ohlcv("BTC/USD", "1h", START, 1000)
        assert minutes[-1][0] == START + 90 * MINUTE
        assert minutes[:-1] == truth(market)[:90].tolist()
        assert minutes[-1][5] == pytest.approx(market.bars[90, 4] / 4)
        assert minutes[-1][4] != market.bars[90, 3]
        assert hours[-1][0] == START + HOUR
        assert hours[-1][1] == market.bars[60, 0]
        assert hours[-1][4] == minutes[-1][4]
        assert hours[-1][2] == max(market.bars[60:90, 1].max(), minutes[-1][2])

    def test_okx_history_leaves_it_out(self) -> None:
        market = generate(rows=120)
        with serve(World(markets=(market,), now=START + 90 * MINUTE + 15_000)) as running:
            api = client("okx", running)
            history = api.fetch_ohlcv(market.symbol, "1m", START, 300)
            recent = api.fetch_ohlcv(market.symbol, "1m", START, 300, {"type": "Candles"})
        assert history[-1][0] == START + 89 * MINUTE
        assert recent[-1][0] == START + 90 * MINUTE

    def test_the_clock_can_be_moved_while_it_runs(self) -> None:
        market = generate(rows=120)
        with serve(World(markets=(market,), now=START + 10 * MINUTE)) as running:
            api = client("binanceusdm", running)
            before = api.fetch_ohlcv(market.symbol, "1m", START)
            running.now = START + 20 * MINUTE
            after = api.fetch_ohlcv(market.symbol, "1m", START)
        assert (len(before), len(after)) == (11, 21)  # the newest has just opened


class TestFunding:
    def test_binance_stamps_are_a_few_ms_late(self, exchange: Loopback) -> None:
        rows = client("binanceusdm", exchange).fetch_funding_rate_history(
            "BTC/USDT:USDT", START, 1000
        )
        times = np.array([row["timestamp"] for row in rows])
        late = times - LINEAR.funding_times
        assert late.min() == 0
        assert 0 < late.max() < 1000
        assert [row["fundingRate"] for row in rows] == LINEAR.funding_rates.tolist()
        intervals = client("binanceusdm", exchange).fetch_funding_intervals()
        assert intervals["BTC/USDT:USDT"]["interval"] == "4h"

    def test_paginating_by_ccxt_loses_rows_of_a_4h_interval(self) -> None:
        """As was measured against the venue: 3,571 of 6,571 over three years."""
        market = generate(rows=3 * 365 * 6 + 1, timeframe="4h", funding_hours=4)
        assert len(market.funding_times) == 6_571
        with serve(World(markets=(market,))) as running:
            rows = client("binanceusdm", running).fetch_funding_rate_history(
                market.symbol,
                START,
                params={"paginate": True, "paginationCalls": 100, "until": market.end},
            )
        assert len({row["timestamp"] for row in rows}) == 3_571

    def test_bybit_windows(self, year: Loopback) -> None:
        api = client("bybit", year)
        rows: list[dict[str, Any]] = []
        for since in range(START, START + 365 * DAY, 200 * 8 * HOUR):
            until = since + 200 * 8 * HOUR - 1
            rows += api.fetch_funding_rate_history("ETH/USDT:USDT", since, 200, {"until": until})
        assert [row["timestamp"] for row in rows] == YEAR.funding_times.tolist()
        assert [row["fundingRate"] for row in rows] == YEAR.funding_rates.tolist()
        with pytest.raises(ccxt.BadRequest, match="endTime"):
            api.publicGetV5MarketFundingHistory(
                {"category": "linear", "symbol": "ETHUSDT", "startTime": START}
            )

    def test_okx_gives_the_newest_of_three_months_and_pages_back_by_after(
        self, year: Loopback
    ) -> None:
        api = client("okx", year)
        newest = api.fetch_funding_rate_history("ETH/USDT:USDT", START, 100)
        kept = YEAR.funding_times[YEAR.funding_times >= year.now - 90 * DAY]
        assert [row["timestamp"] for row in newest] == kept[-100:].tolist()
        rows: list[dict[str, Any]] = []
        page = newest
        while page:
            rows = page + rows
            params = {"after": str(page[0]["timestamp"])}
            page = api.fetch_funding_rate_history("ETH/USDT:USDT", None, 100, params)
        assert [row["timestamp"] for row in rows] == kept.tolist()
        assert [row["fundingRate"] for row in rows] == YEAR.funding_rates[-len(kept) :].tolist()

    def test_deribit_has_both_figures_and_744_rows_at_most(self, year: Loopback) -> None:
        api = client("deribit", year)
        until = START + 40 * DAY
        rows = api.fetch_funding_rate_history("ETH/USD:ETH", START, None, {"until": until})
        assert len(rows) == 744
        assert rows[-1]["timestamp"] == until
        at = COIN_YEAR.funding_times.tolist().index(until)
        hourly = [float(row["info"]["interest_1h"]) for row in rows]
        assert hourly == COIN_YEAR.funding_rates[at - 743 : at + 1].tolist()
        assert rows[-1]["fundingRate"] == pytest.approx(
            COIN_YEAR.funding_rates[at - 7 : at + 1].sum(), abs=1e-12
        )


class TestReadings:
    def test_binance_keeps_thirty_days(self, year: Loopback) -> None:
        api = client("binanceusdm", year)
        since = -(-(year.now - 30 * DAY) // HOUR) * HOUR
        rows = api.fetch_open_interest_history("ETH/USDT:USDT", "1h", since, 500)
        times = since + HOUR * np.arange(500)
        want = YEAR.open_interest(times)
        assert [row["timestamp"] for row in rows] == [*times.tolist(), since + 500 * HOUR][1:]
        assert [row["openInterestAmount"] for row in rows[:-1]] == want[1:, 0].tolist()
        assert [row["openInterestValue"] for row in rows[:-1]] == want[1:, 1].tolist()
        with pytest.raises(ccxt.ExchangeError, match="startTime"):
            api.fetch_open_interest_history("ETH/USDT:USDT", "1h", year.now - 31 * DAY, 100)

    def test_bybit_pages_back_by_cursor(self, year: Loopback) -> None:
        api = client("bybit", year)
        request = {"category": "linear", "symbol": "ETHUSDT", "intervalTime": "1h", "limit": 200}
        window = {"startTime": START, "endTime": START + 500 * HOUR - 1}
        stamps: list[int] = []
        cursor = ""
        while True:
            extra = {"cursor": cursor} if cursor else {}
            result = api.publicGetV5MarketOpenInterest({**request, **window, **extra})["result"]
            stamps += [int(row["timestamp"]) for row in result["list"]]
            cursor = result["nextPageCursor"]
            if not cursor:
                break
        assert stamps[::-1] == (START + HOUR * np.arange(500)).tolist()

    def test_okx_statistics(self, year: Loopback) -> None:
        api = client("okx", year)
        since = year.now // HOUR * HOUR - 50 * HOUR
        interest = api.fetch_open_interest_history("ETH/USDT:USDT", "1h", since, 20)
        times = since + HOUR * np.arange(20)
        assert [row["timestamp"] for row in interest] == times.tolist()
        assert [row["baseVolume"] for row in interest] == YEAR.open_interest(times)[:, 0].tolist()

    @pytest.mark.parametrize("venue", ["binanceusdm", "bybit", "okx"])
    def test_long_short_ratio(self, year: Loopback, venue: str) -> None:
        rows = client(venue, year).fetch_long_short_ratio_history("ETH/USDT:USDT", "1h", limit=48)
        times = np.array(sorted(row["timestamp"] for row in rows))
        newest = year.now // HOUR * HOUR
        assert times.tolist() == (newest - HOUR * np.arange(48)[::-1]).tolist()
        share = YEAR.long_share(times)[:, 0]
        ratios = {row["timestamp"]: row["longShortRatio"] for row in rows}
        got = [ratios[time] for time in times.tolist()]
        np.testing.assert_allclose(got, share / (1 - share), atol=1e-4)

    @pytest.mark.parametrize("venue", ["bybit", "okx"])
    def test_leverage_tiers(self, exchange: Loopback, venue: str) -> None:
        tiers = client(venue, exchange).fetch_market_leverage_tiers("BTC/USDT:USDT")
        assert [tier["maxNotional"] for tier in tiers] == [2e6, 1e7, 5e7, 2e8]
        assert [tier["maintenanceMarginRate"] for tier in tiers] == [0.005, 0.01, 0.025, 0.05]
        assert [tier["maxLeverage"] for tier in tiers] == [100, 50, 20, 10]

    def test_deribit_volatility_index_is_paged_by_continuation(self, year: Loopback) -> None:
        api = client("deribit", year)
        end: int | None = START + 2_500 * HOUR
        rows: list[list[float]] = []
        pages = 0
        while end is not None:
            request = {"currency": "ETH", "start_timestamp": START, "resolution": "3600"}
            result = api.publicGetGetVolatilityIndexData({**request, "end_timestamp": end})
            rows = [[float(x) for x in row] for row in result["result"]["data"]] + rows
            after = result["result"]["continuation"]
            end = None if after is None else int(after)
            pages += 1
        assert pages == 3
        assert [row[0] for row in rows] == (START + HOUR * np.arange(2_501)).tolist()
        assert all(low <= min(o, c) <= max(o, c) <= high for _, o, high, low, c in rows)

    def test_deribit_bankruptcies_come_newest_first_up_to_a_stamp(self, year: Loopback) -> None:
        api = client("deribit", year)
        known = COIN_YEAR.bankruptcies
        assert len(known) > 60
        request = {"instrument_name": "ETH-PERPETUAL", "type": "bankruptcy", "count": 50}
        rows: list[dict[str, Any]] = []
        cursor = None
        while cursor != "none":
            extra = {} if cursor is None else {"continuation": cursor}
            result = api.publicGetGetLastSettlementsByInstrument({**request, **extra})["result"]
            rows += result["settlements"]
            cursor = result["continuation"]
        assert [int(row["timestamp"]) for row in rows] == known[::-1, 0].tolist()
        assert [float(row["session_bankrupcy"]) for row in rows] == known[::-1, 1].tolist()
        # ccxt hands `since` over as the latest stamp to return, and filters the earlier rows away.
        found = api.fetch_liquidations("ETH/USD:ETH", int(known[30, 0]), 50)
        assert [row["timestamp"] for row in found] == [known[30, 0]]


class TestWindows:
    """The venues' own rules, asked for without ccxt's unification."""

    def test_binance_ends_are_inclusive_and_a_start_keeps_the_oldest(
        self, exchange: Loopback
    ) -> None:
        api = client("binanceusdm", exchange)

        def opens(**window: int) -> list[int]:
            request = {"symbol": "BTCUSDT", "interval": "1m", **window}
            rows = api.fapiPublicGetKlines(request)
            return [(int(row[0]) - START) // MINUTE for row in rows]

        until = START + 9 * MINUTE
        assert opens(startTime=START + 5 * MINUTE, endTime=until) == [5, 6, 7, 8, 9]
        assert opens(startTime=START + 5 * MINUTE, endTime=until - 1) == [5, 6, 7, 8]
        assert opens(startTime=START + 1, endTime=until, limit=2) == [1, 2]
        assert opens(endTime=until, limit=2) == [8, 9]
        assert opens(limit=1) == [2_499]
        assert len(opens()) == 500
        assert len(opens(limit=1500)) == 1500

    def test_bybit_floors_the_start_and_an_end_keeps_the_newest(self, exchange: Loopback) -> None:
        api = client("bybit", exchange)

        def opens(**window: int) -> list[int]:
            request = {"symbol": "BTCUSDT", "category": "linear", "interval": "1", **window}
            rows = api.publicGetV5MarketKline(request)["result"]["list"]
            return [(int(row[0]) - START) // MINUTE for row in rows]

        until = START + 9 * MINUTE
        assert opens(start=START + 7 * MINUTE + 1, end=until) == [9, 8, 7]
        assert opens(start=START, end=until, limit=3) == [9, 8, 7]
        assert opens(start=START, limit=3) == [2, 1, 0]
        assert len(opens()) == 200

    def test_okx_cursors_are_exclusive_and_the_newest_win(self, exchange: Loopback) -> None:
        api = client("okx", exchange)

        def opens(path: str = "HistoryCandles", **window: object) -> list[int]:
            request = {"instId": "BTC-USDT-SWAP", "bar": "1m", **window}
            rows = getattr(api, f"publicGetMarket{path}")(request)["data"]
            return [(int(row[0]) - START) // MINUTE for row in rows]

        assert opens(before=START + 5 * MINUTE, after=START + 9 * MINUTE) == [8, 7, 6]
        assert opens(before=START, after=START + 9 * MINUTE, limit=2) == [8, 7]
        assert opens(before=START, limit=1) == [2_499]
        reach = opens("Candles", after=START + 1_100 * MINUTE, limit=300)
        assert reach[-1] == 2_500 - 1_439  # the newest 1440 bars, the one just opened included
        assert len(opens()) == 100

    def test_okx_days_open_by_hong_kong_unless_told_otherwise(self, year: Loopback) -> None:
        api = client("okx", year)
        hours = {
            bar: int(
                api.publicGetMarketHistoryCandles({"instId": "ETH-USDT-SWAP", "bar": bar})["data"][
                    0
                ][0]
            )
            // HOUR
            % 24
            for bar in ("1D", "1Dutc")
        }
        assert hours == {"1D": 16, "1Dutc": 0}

    @pytest.mark.parametrize(
        ("venue", "call", "request_", "error"),
        [
            ("binanceusdm", "fapiPublicGetKlines", {"symbol": "X"}, ccxt.BadSymbol),
            (
                "binanceusdm",
                "fapiPublicGetKlines",
                {"symbol": "BTCUSDT", "interval": "7m"},
                ccxt.BadRequest,
            ),
            (
                "binanceusdm",
                "fapiPublicGetKlines",
                {"symbol": "BTCUSDT", "interval": "1m", "limit": 1501},
                ccxt.BadRequest,
            ),
            (
                "bybit",
                "publicGetV5MarketKline",
                {"symbol": "BTCUSDT", "interval": "1", "limit": 1001},
                ccxt.BadRequest,
            ),
            ("bybit", "publicGetV5MarketKline", {"symbol": "X"}, ccxt.BadRequest),
            ("okx", "publicGetMarketCandles", {"instId": "X"}, ccxt.BadSymbol),
            (
                "okx",
                "publicGetMarketCandles",
                {"instId": "BTC-USDT-SWAP", "limit": 301},
                ccxt.BadRequest,
            ),
            ("kraken", "publicGetOHLC", {"pair": "X"}, ccxt.ExchangeError),
            (
                "deribit",
                "publicGetGetTradingviewChartData",
                {"instrument_name": "BTC-PERPETUAL", "resolution": "1"},
                ccxt.BadRequest,
            ),
        ],
    )
    def test_refusals_come_in_the_venues_words(
        self,
        exchange: Loopback,
        venue: str,
        call: str,
        request_: dict[str, object],
        error: type[Exception],
    ) -> None:
        with pytest.raises(error):
            getattr(client(venue, exchange), call)(request_)
