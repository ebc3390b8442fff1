"""Five more wire formats through the real ccxt client, and the ways these venues have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ccxt
import numpy as np
import pytest
import requests
from tests.exchange import Budget, Loopback, World, generate, redirect, serve, stamp

START = stamp("2022-01-01")
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000

DOLLAR = generate("BTC/USD", rows=3_000, seed=9)
SPOT = generate("BTC/USDT", rows=3_000, seed=8)
COIN = generate("BTC/USDC", rows=3_000, seed=7)
LINEAR = generate("BTC/USDT:USDT", rows=3_000)
STABLE = generate("BTC/USDC:USDC", rows=12_000, seed=6, funding_hours=1)
FLEXIBLE = generate("BTC/USD:USD", rows=3_000, seed=5, funding_hours=1)
INVERSE = generate("BTC/USD:BTC", rows=3_000, seed=4, funding_hours=1)
MARKETS = (DOLLAR, SPOT, COIN, LINEAR, STABLE, FLEXIBLE, INVERSE)
VENUES = ("krakenfutures", "bitstamp", "coinbase", "gate", "hyperliquid")


@pytest.fixture(scope="module")
def exchange() -> Iterator[Loopback]:
    with serve(World(markets=MARKETS, now=START + 3_000 * MINUTE + 1_000)) as running:
        yield running


@pytest.fixture(scope="module")
def late() -> Iterator[Loopback]:
    """As it is after 12,000 minutes."""
    with serve(World(markets=MARKETS)) as running:
        yield running


def client(venue: str, exchange: Loopback) -> Any:
    """A ccxt exchange that waits for no limit, asks only here, and lives at the venue's time."""
    api = getattr(ccxt, venue)({"enableRateLimit": False, "timeout": 60_000})
    if venue in ("gate", "hyperliquid"):
        api.options["fetchMarkets"] = {"types": ["spot", "swap"]}
    api.milliseconds = lambda: exchange.now
    api.seconds = lambda: exchange.now // 1000
    return redirect(api, exchange.api_url)


@pytest.mark.parametrize(
    ("venue", "symbols"),
    [
        ("krakenfutures", {"BTC/USD:USD", "BTC/USD:BTC", "in_xbtusd"}),
        ("bitstamp", {"BTC/USD", "BTC/USDT", "BTC/USDC"}),
        ("coinbase", {"BTC/USD", "BTC/USDT", "BTC/USDC"}),
        ("gate", {"BTC/USD", "BTC/USDT", "BTC/USDC", "BTC/USDT:USDT", "BTC/USD:BTC"}),
        ("hyperliquid", {"BTC/USDC", "BTC/USDC:USDC"}),
    ],
)
def test_ccxt_reads_the_listing_and_the_clock(
    exchange: Loopback, venue: str, symbols: set[str]
) -> None:
    api = client(venue, exchange)
    markets = api.load_markets()
    assert set(markets) == symbols
    assert bool(api.has["fetchTime"]) == (venue not in ("krakenfutures", "bitstamp"))
    if api.has["fetchTime"]:
        assert abs(api.fetch_time() - exchange.now) < 1000
    assert api.last_response_headers["Date"] == "Mon, 03 Jan 2022 02:00:01 GMT"


def test_a_delisted_market_is_listed_as_closed() -> None:
    markets = tuple(generate(m.symbol, rows=900, delisted="2022-01-01T10:00") for m in MARKETS)
    with serve(World(markets=markets, now=stamp("2022-01-02"))) as running:
        closed = {
            venue: {m["active"] for m in client(venue, running).load_markets().values()}
            for venue in VENUES
        }
    spot_of_hyperliquid = {True}  # it has no word for a pair that is closed
    assert closed.pop("hyperliquid") == {False} | spot_of_hyperliquid
    assert list(closed.values()) == [{False}] * 4


def test_bitstamp_lets_the_end_decide(exchange: Loopback) -> None:
    api = client("bitstamp", exchange)

    def opens(**window: int) -> list[int]:
        request = {"pair": "btcusd", "step": 60, "limit": 3, **window}
        rows = api.publicGetOhlcPair(request)["data"]["ohlc"]
        return [(1000 * int(row["timestamp"]) - START) // MINUTE for row in rows]

    start, end = START // 1000 + 60, START // 1000 + 600
    assert opens(start=start, end=end) == [8, 9, 10]  # and not 1, 2, 3
    assert opens(start=start) == [1, 2, 3]
    assert opens(end=end) == [8, 9, 10]
    assert opens() == [2_997, 2_998, 2_999]
    for wrong in ({"limit": 1001}, {"step": 61}, {"pair": "xyz"}):
        with pytest.raises(ccxt.ExchangeError):
            opens(**wrong)


def test_a_week_that_ccxt_asks_bitstamp_for_is_three_days() -> None:
    month = generate("BTC/USD", rows=24 * 31, timeframe="1h")
    with serve(World(markets=(month,))) as running:
        rows = client("bitstamp", running).fetch_ohlcv("BTC/USD", "1w")
    assert set(np.diff([row[0] for row in rows])) == {3 * DAY}


def test_coinbase_wants_both_ends_and_less_than_350_bars(exchange: Loopback) -> None:
    api = client("coinbase", exchange)

    def opens(**window: str) -> list[int]:
        request = {"product_id": "BTC-USD", "granularity": "ONE_MINUTE", **window}
        rows = api.v3PublicGetBrokerageMarketProductsProductIdCandles(request)["candles"]
        return [(1000 * int(row["start"]) - START) // MINUTE for row in rows]

    at = START // 1000
    assert opens(start=str(at + 60), end=str(at + 240)) == [4, 3, 2, 1]
    assert len(opens(start=str(at), end=str(at + 349 * 60))) == 350
    for wrong in (
        {"start": str(at)},
        {"end": str(at)},
        {"start": str(at), "end": str(at + 350 * 60)},
        {"start": str(at), "end": str(at - 60)},
    ):
        with pytest.raises(ccxt.BadRequest, match="start and end argument is invalid"):
            opens(**wrong)
    with pytest.raises(ccxt.ExchangeError, match="valid product_id is required"):
        opens(product_id="X-Y", start=str(at), end=str(at))


def test_gate_takes_a_window_or_a_number_and_nothing_too_old(late: Loopback) -> None:
    api = client("gate", late)

    def opens(**window: int) -> list[int]:
        request = {"settle": "usdt", "contract": "BTC_USDT", "interval": "1m", **window}
        rows = api.publicFuturesGetSettleCandlesticks(request)
        return [(1000 * int(row["t"]) - START) // MINUTE for row in rows]

    at = START // 1000 + 2_500 * 60
    assert opens(**{"from": at, "to": at + 120}) == [2_500, 2_501, 2_502]
    assert opens(limit=2) == [2_998, 2_999]  # trading has stopped since
    with pytest.raises(ccxt.BadRequest, match="limit"):
        opens(**{"from": at, "to": at + 120, "limit": 3})
    with pytest.raises(ccxt.BadRequest, match="from"):
        opens(**{"from": at, "to": at + 2_000 * 60})
    old = late.now // 1000 - 10_000 * 60
    with pytest.raises(ccxt.BadRequest, match="Maximum 10000 points"):
        opens(**{"from": old - 1, "to": old})
    with pytest.raises(ccxt.ExchangeError, match="CONTRACT_NOT_FOUND"):
        opens(contract="XYZ_USDT")


def test_gate_counts_perpetuals_in_contracts_and_spot_in_coins(exchange: Loopback) -> None:
    api = client("gate", exchange)
    perpetual = api.fetch_ohlcv("BTC/USDT:USDT", "1m", START, 10)
    assert [row[5] for row in perpetual] == [round(v * 10_000) for v in LINEAR.bars[:10, 4]]
    inverse = api.fetch_ohlcv("BTC/USD:BTC", "1m", START, 10)
    assert [row[5] for row in inverse] == np.round(
        INVERSE.bars[:10, 4] * INVERSE.bars[:10, 3]
    ).tolist()
    spot = api.fetch_ohlcv("BTC/USDT", "1m", START, 10)
    assert [row[1:] for row in spot] == SPOT.bars[:10].tolist()


def test_gate_statistics_begin_where_asked_and_end_after_a_hundred() -> None:
    year = generate("BTC/USDT:USDT", rows=24 * 30, timeframe="1h")
    with serve(World(markets=(year,))) as running:
        api = client("gate", running)
        rows = api.fetch_open_interest_history("BTC/USDT:USDT", "1h", START + 5 * HOUR, 100)
        newest = api.fetch_open_interest_history("BTC/USDT:USDT", "1h", None, 3)
        with pytest.raises(ccxt.BadRequest, match="limit"):
            api.fetch_open_interest_history("BTC/USDT:USDT", "1h", None, 101)
    times = START + HOUR * np.arange(5, 105)
    assert [row["timestamp"] for row in rows] == times.tolist()
    assert [row["openInterestValue"] for row in rows] == year.open_interest(times)[:, 1].tolist()
    fallen = [[float(row["info"][f"{side}_liq_usd"]) for side in ("long", "short")] for row in rows]
    assert fallen == year.liquidated(times).tolist()
    assert newest[-1]["timestamp"] == START + 720 * HOUR


def test_hyperliquid_keeps_5000_bars_and_pages_funding_by_500(late: Loopback) -> None:
    api = client("hyperliquid", late)
    bars = api.fetch_ohlcv("BTC/USDC:USDC", "1m", START, 20_000)
    opened = range(7_001, 12_000)  # of the newest 5000 minutes the last has begun without a trade
    assert [row[0] for row in bars] == [START + n * MINUTE for n in opened]
    request = {"type": "fundingHistory", "coin": "BTC", "startTime": START}
    rows = api.publicPostInfo(request)
    assert [int(row["time"]) // HOUR for row in rows] == [START // HOUR + n for n in range(200)]
    assert len({int(row["time"]) % HOUR for row in rows}) > 1  # some ms late
    year = generate("ETH/USDC:USDC", rows=24 * 60, timeframe="1h", funding_hours=1)
    with serve(World(markets=(year,))) as running:
        rows = client("hyperliquid", running).publicPostInfo(request | {"coin": "ETH"})
    assert [float(row["fundingRate"]) for row in rows] == year.funding_rates[:500].tolist()


def test_hyperliquid_has_one_address(exchange: Loopback) -> None:
    url = exchange.api_url.format(host="api.hyperliquid.xyz") + "/info"
    told = requests.post(url, json={"type": "exchangeStatus"}, timeout=60)
    assert told.json() == {"specialStatuses": None, "time": exchange.now}
    for wrong in ({"type": "nothing"}, {"kind": "exchangeStatus"}):
        assert requests.post(url, json=wrong, timeout=60).status_code == 422
    unknown = {"coin": "XYZ", "interval": "1m", "startTime": 0, "endTime": 1}
    body = {"type": "candleSnapshot", "req": unknown}
    assert requests.post(url, json=body, timeout=60).status_code == 500


def test_kraken_gives_2000_bars_and_every_rate(late: Loopback) -> None:
    api = client("krakenfutures", late)
    at = START // 1000
    request = {"price_type": "trade", "symbol": "PF_XBTUSD", "interval": "1m"}
    told = api.chartsGetPriceTypeSymbolInterval({**request, "from": at, "to": at + 2_500 * 60})
    assert [row["time"] for row in told["candles"]] == FLEXIBLE.times[:2_000].tolist()
    assert told["more_candles"] is True
    few = api.chartsGetPriceTypeSymbolInterval({**request, "from": at + 60, "to": at + 120})
    assert [(row["time"] - START) // MINUTE for row in few["candles"]] == [1, 2]
    assert few["more_candles"] is False
    rates = api.fetch_funding_rate_history("BTC/USD:USD")
    assert [row["timestamp"] for row in rates] == FLEXIBLE.funding_times.tolist()
    assert [row["fundingRate"] for row in rates] == FLEXIBLE.funding_rates.tolist()
    dollars = float(rates[7]["info"]["fundingRate"])
    index = FLEXIBLE.rows("index", MINUTE)[1][7 * 60, 0]
    assert dollars == pytest.approx(rates[7]["fundingRate"] * index, abs=1e-12)
    with pytest.raises(ccxt.BadSymbol):
        api.chartsGetPriceTypeSymbolInterval({**request, "symbol": "PF_XYZUSD"})


@pytest.mark.parametrize(
    ("venue", "host", "error"),
    [
        ("krakenfutures", "futures.kraken.com", ccxt.DDoSProtection),
        ("bitstamp", "www.bitstamp.net", ccxt.ExchangeError),
        ("coinbase", "api.coinbase.com", ccxt.RateLimitExceeded),
        ("gate", "api.gateio.ws", ccxt.RateLimitExceeded),
        ("hyperliquid", "api.hyperliquid.xyz", ccxt.RateLimitExceeded),
    ],
)
def test_every_venue_refuses_past_its_budget_in_its_words(
    venue: str, host: str, error: type[Exception]
) -> None:
    budgets = {host: Budget(weight=0, seconds=1e6)}
    with (
        serve(World(markets=MARKETS), budgets=budgets, clock=lambda: 0.0) as running,
        pytest.raises(error),
    ):
        client(venue, running).load_markets()
    assert {entry.status for entry in running.log} == {429}
