"""What a workspace says about venues reaches them; what a fetch tells of its progress is true."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.data.fetching import BARS, SYMBOLS, Patience, bars_of, client_of, stored
from tests.exchange import VENUES as HOSTS
from tests.exchange import Fault, World, generate, serve

from delever.cli.app import main
from delever.data.catalog import Catalog
from delever.data.exchange.client import connect
from delever.data.exchange.fetch import Progress, fetch
from delever.data.exchange.jobs import Job, fetch_all
from delever.data.sources_file import VenueSettings, settings_of
from delever.errors import DeleverError

MINUTE = 60_000
MARKETS = {symbol: generate(symbol, rows=500) for symbol in set(SYMBOLS.values())}


@pytest.mark.parametrize("venue", SYMBOLS)
def test_one_variable_redirects_every_venue(workspace, monkeypatch, capsys, hurried, venue):
    market = MARKETS[SYMBOLS[venue]]
    with serve(World(markets=tuple(MARKETS.values()))) as exchange:
        monkeypatch.setenv("DELEVER_API_URL", exchange.api_url)
        words = ["data", "fetch", venue, market.symbol, "--timeframe", "1m", "--json"]
        assert main(words) == 0, capsys.readouterr().err
    (told,) = json.loads(capsys.readouterr().out)
    assert told["added"] == 499  # the last bar waits: this machine's clock is years ahead
    times, values = stored(workspace.catalog, bars_of(venue))
    np.testing.assert_array_equal(times, market.times[:-1])
    np.testing.assert_array_equal(values, market.bars[:-1])


def test_a_proxy_of_the_file_is_the_way_to_the_venue(tmp_path, monkeypatch):
    """The address does not exist; what is asked for there arrives at the proxy."""
    monkeypatch.delenv("DELEVER_API_URL", raising=False)
    market = MARKETS["BTC/USD"]
    sources = tmp_path / "sources.toml"
    with serve(World(markets=(market,))) as exchange:
        proxy = exchange.api_url.removesuffix("/{host}")
        sources.write_text(
            f'[venues.bitstamp]\napi_url = "http://gateway.invalid/{{host}}"\nproxy = "{proxy}"\n'
        )
        client = connect("bitstamp", settings_of("bitstamp", sources), Patience().pacing())
        done = fetch(client, Catalog(tmp_path), bars_of("bitstamp"))
        assert exchange.requests(BARS["bitstamp"])
    assert done.added == 499


@pytest.mark.parametrize(
    ("proxy", "api_url", "name"),
    [
        ("http://proxy.example:3128", "", "httpsProxy"),
        ("http://proxy.example:3128", "https://mirror.example/{host}", "httpsProxy"),
        ("http://proxy.example:3128", "http://mirror.example/{host}", "httpProxy"),
        ("socks5h://proxy.example:1080", "", "socksProxy"),
        ("socks5h://proxy.example:1080", "http://mirror.example/{host}", "socksProxy"),
    ],
)
def test_the_proxy_serves_the_scheme_that_is_spoken(tmp_path, monkeypatch, proxy, api_url, name):
    asked = []

    def request(self, method, url, **given):
        asked.append((url, given["proxies"]))
        raise ConnectionError("enough")

    monkeypatch.setattr("requests.Session.request", request)
    settings = VenueSettings(proxy=proxy, api_url=api_url)
    with (
        pytest.raises(ConnectionError),
        connect("kraken", settings, Patience().pacing()).exchange(),
    ):
        pass
    ((url, proxies),) = asked
    assert proxies[url.partition(":")[0]] == proxy
    assert url.startswith(api_url.partition("{")[0] or "https://api.kraken.com/")
    assert (name == "socksProxy") == (len(proxies) == 2)


def test_options_of_the_file_reach_the_client_and_go_before_ours(tmp_path, monkeypatch):
    monkeypatch.delenv("DELEVER_API_URL", raising=False)
    sources = tmp_path / "sources.toml"
    with serve(World(markets=tuple(MARKETS.values()))) as exchange:
        sources.write_text(
            f'[venues.gate]\napi_url = "{exchange.api_url}"\ntimeout = 7.5\n'
            '[venues.gate.options]\nfetchMarkets = { types = ["spot"] }\nbroker = "nobody"\n'
        )
        settings = settings_of("gate", sources)
        with connect("gate", settings, Patience().pacing()).exchange() as gate:
            assert set(gate.markets) == {"BTC/USDT", "BTC/USD"}
            assert gate.options["broker"] == "nobody"
            assert gate.timeout == 7500
        assert not exchange.requests("*/contracts")
        sources.write_text(f'[venues.gate]\napi_url = "{exchange.api_url}"\n')
        with connect("gate", settings_of("gate", sources), Patience().pacing()).exchange() as gate:
            assert "BTC/USDT:USDT" in gate.markets


def test_a_share_of_the_rate_is_kept_to():
    """Gate permits twenty calls a second, and two at a tenth of that."""
    for rate in (1.0, 0.1):
        patience = Patience()
        with serve(World(markets=tuple(MARKETS.values()))) as exchange:
            settings = VenueSettings(api_url=exchange.api_url, rate=rate)
            client = connect("gate", settings, patience.pacing())
            for _ in range(40):
                with client.exchange() as gate:
                    gate.fetch_time()
            calls = len(exchange.log)
        burst = 200 * rate / 25
        assert (calls - burst) / (20 * rate) <= patience.now <= 1.1 * calls / (20 * rate)


def test_progress_counts_rows_time_and_requests(tmp_path):
    market = generate(SYMBOLS["bybit"], rows=4500)
    told: list[Progress] = []
    with serve(World(markets=(market,))) as exchange:
        client = client_of(exchange, "bybit")
        fetch(client, Catalog(tmp_path), bars_of("bybit"), report=told.append)
        assert told[-1].requests == len(exchange.log)
    assert [each.rows for each in told] == [1000, 2000, 3000, 4000, 4500]
    assert [each.done for each in told] == pytest.approx([2 / 9, 4 / 9, 6 / 9, 8 / 9, 1.0])
    assert {each.reference for each in told} == {bars_of("bybit")}


def test_rate_and_time_left_are_drawn_from_the_clock(monkeypatch):
    """1,000 rows, a tenth of what was asked for, every two seconds: 500 a second, then 14 s."""
    import rich.progress

    from delever.cli.fetch_commands import _bars

    now, drawn = [100.0], []

    class Kept(rich.progress.Progress):
        def __init__(self, *columns, **given):
            super().__init__(*columns, **given)
            drawn.append(self)

    monkeypatch.setattr("rich.progress.Progress", Kept)
    monkeypatch.setattr("rich.console.monotonic", lambda: now[0])
    monkeypatch.setenv("FORCE_COLOR", "1")
    with _bars(quiet=False) as report:
        for step in range(1, 4):
            now[0] += 2.0
            report(
                Progress(
                    reference=bars_of("bybit"), rows=1000 * step, done=step / 10, requests=step
                )
            )
        (bars,) = drawn
        (first,) = bars.tasks
        assert (first.fields["rows"], first.fields["rate"]) == (3000, 500.0)
        assert first.time_remaining == 14
        assert [column.render(first).plain for column in (bars.columns[2], *bars.columns[3:])] == [
            " 30 %",
            "       3,000 rows",
            "      500/s",
            "0:00:14",
        ]
        now[0] += 4.0
        report(Progress(reference=bars_of("okx"), rows=200, done=1.0, requests=9))
        _, second = bars.tasks
        assert (second.fields["rate"], second.finished) == (20.0, True)


def test_venues_fetched_in_parallel_under_load_end_like_those_fetched_alone(tmp_path):
    """Budgets kept, every fourth answer a fault: the stores are the same to the byte."""
    venues = ("bybit", "gate")
    market = generate(SYMBOLS["gate"], rows=24 * 60, timeframe="1h")
    jobs = [
        Job(venue=venue, kind=kind, symbol=SYMBOLS[venue], timeframe=timeframe)
        for venue in venues
        for kind, timeframe in (("ohlcv", "1h"), ("mark", "1h"), ("funding", "8h"))
    ]
    faults = [
        Fault(kind, probability=0.08, seed=seed, times=None)
        for seed, kind in enumerate(("503", "html", "reset"))
    ]
    stores = {}
    for name, harm in (("calm", []), ("load", faults)):
        catalog, patience = Catalog(tmp_path / name), Patience()
        budgets = {host: HOSTS[host].budget for host in ("api.bybit.com", "api.gateio.ws")}
        with serve(
            World(markets=(market,)), harm, budgets=budgets, clock=lambda p=patience: p.now
        ) as exchange:
            settings = VenueSettings(api_url=exchange.api_url, workers=4 if harm else 1)
            clients = {venue: connect(venue, settings, patience.pacing()) for venue in venues}
            many = [jobs] if harm else [[job] for job in jobs]
            done = {
                job: each
                for some in many
                for job, each in fetch_all(some, catalog, clients).items()
            }
            hit = sum(bool(entry.faults) for entry in exchange.log)
        assert not [each for each in done.values() if isinstance(each, DeleverError)]
        assert bool(hit) == bool(harm)
        stores[name] = {str(entry.reference): entry.id for entry in catalog.list()}
        assert {tuple(catalog.coverage(e.reference)["state"]) for e in catalog.list()} == {
            ("present",)
        }
    assert len(stores["calm"]) == len(jobs)
    assert stores["load"] == stores["calm"]
    parts = [
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in sorted((tmp_path / name).rglob("*.parquet"))
        }
        for name in ("calm", "load")
    ]
    assert parts[0] == parts[1]
