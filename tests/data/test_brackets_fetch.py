"""Leverage brackets: fetched as they are, known from that moment on, and only ever added.

Amounts are worked out by hand: each is the one before it plus the cap before it times the step of
the rate.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
import os
import threading
import tomllib
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.fetching import client_of
from tests.exchange import Fault, World, generate, serve, stamp
from tests.exchange.world import Tier

import delever as dl
from delever.cli.app import main
from delever.data.exchange.bracket_tables import Brackets, fetch_brackets
from delever.engine.backtest import backtest
from delever.engine.settings import Account
from delever.errors import (
    ConfigError,
    ConflictError,
    DataError,
    InputError,
    NotStoredError,
    SchemaError,
    VenueError,
)
from delever.study.settings.account_table import load_account
from delever.study.settings.kept_brackets import import_saved, keep_brackets, seen_brackets
from delever.venues.rulebook import load_rulebook
from delever.venues.rules import first_day

pytestmark = pytest.mark.drawn(False)

BTC = "BTC/USDT:USDT"
SHIPPED = Path(__file__).parents[2] / "data" / "venues"
TABLE = (
    (2_000_000.0, 0.005, 100.0),
    (2_600_000.0, 0.0056, 90.0),
    (3_200_000.0, 0.0062, 80.0),
    (3_800_000.0, 0.0065, 75.0),
    (4_400_000.0, 0.0075, 65.0),
    (5_000_000.0, 0.01, 50.0),
)
AMOUNTS = (0.0, 1_200.0, 2_760.0, 3_720.0, 7_520.0, 18_520.0)
OTHER = ((1_000_000.0, 0.005, 100.0), (3_000_000.0, 0.01, 50.0))
PATHS = {"bybit": "*/risk-limit", "okx": "*/position-tiers", "gate": "*/risk_limit_tiers"}
NOW = stamp("2026-11-22 08:12:30")


@pytest.fixture
def venues(tmp_path):
    folder = tmp_path / "venues"
    folder.mkdir()
    for file in SHIPPED.glob("*.toml"):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def market(table=TABLE, symbol=BTC):
    rows = tuple(Tier(cap=cap, maintenance=rate, leverage=most) for cap, rate, most in table)
    return replace(generate(symbol, rows=48, timeframe="1h"), tiers=rows)


def world(table=TABLE, now=NOW):
    return World(markets=(market(table), market(table, "BTC/USDT")), now=now)


def seen(moment, table=OTHER, venue="bybit", symbol=BTC, by_size=False):
    when = pd.Timestamp(moment, tz="UTC")
    return Brackets(
        venue=venue,
        symbol=symbol,
        known_at=when,
        as_of=when,
        cells=table,
        by_size=by_size,
        source="made up",
    )


def brackets_on(venues, day, venue="bybit"):
    book = load_rulebook(venues / f"{venue}.toml", seen=seen_brackets(venues, venue))
    return [
        (row.cap, row.maintenance_margin_rate, row.max_leverage)
        for row in book.at(dt.date.fromisoformat(day), BTC).brackets
    ]


@pytest.mark.parametrize("venue", ["bybit", "gate"])
def test_notionals_come_as_they_are_with_the_amounts_the_venue_publishes(venues, venue):
    with serve(world()) as exchange:
        (kept,) = keep_brackets([fetch_brackets(client_of(exchange, venue), BTC)], venues)
        if venue == "bybit":
            assert len(exchange.requests(PATHS[venue])) == 2  # four rows a page
    rows = kept.table.brackets
    assert tuple((r.cap, r.maintenance_margin_rate, r.max_leverage) for r in rows) == TABLE
    assert [row.maintenance_amount for row in rows] == pytest.approx(AMOUNTS, rel=1e-12)
    assert (kept.known_at.isoformat()[:16], str(kept.valid_from)) == (
        "2026-11-22T08:12",
        "2026-11-23",
    )
    (row,) = tomllib.loads(kept.path.read_text("utf-8"))["margin"]
    assert [cells[3] for cells in row["brackets"] if len(cells) == 4] == pytest.approx(
        AMOUNTS[1:] if venue == "bybit" else AMOUNTS
    )
    assert row["symbols"] == [BTC]
    assert row["as_of"] == dt.date(2026, 11, 22)
    assert f"of {venue} through ccxt" in row["source"]


def test_contracts_become_base_units_at_okx(venues):
    """A contract is a hundredth of a bitcoin; rates apply to the whole, so there are no amounts."""
    with serve(world()) as exchange:
        (kept,) = keep_brackets([fetch_brackets(client_of(exchange, "okx"), BTC)], venues)
        (asked,) = exchange.requests(PATHS["okx"])
    assert asked.request.params["tdMode"] == "isolated"
    rows = kept.table.brackets
    assert [row.cap for row in rows] == [20_000, 26_000, 32_000, 38_000, 44_000, 50_000]
    assert [row.maintenance_margin_rate for row in rows] == [rate for _, rate, _ in TABLE]
    assert {row.maintenance_amount for row in rows} == {0.0}


def test_inverse_contracts_are_counted_in_coins(venues):
    coins = ((150.0, 0.005, 100.0), (300.0, 0.01, 50.0))
    inverse = market(coins, "BTC/USD:BTC")
    with serve(World(markets=(inverse,), now=NOW)) as exchange:
        (kept,) = keep_brackets(
            [fetch_brackets(client_of(exchange, "bybit"), "BTC/USD:BTC")], venues
        )
        (asked,) = exchange.requests(PATHS["bybit"])
    assert asked.request.params["category"] == "inverse"
    assert [row.maintenance_amount for row in kept.table.brackets] == pytest.approx([0.0, 0.75])


def test_a_table_is_used_from_the_first_whole_day_on_and_never_before(venues):
    before = brackets_on(venues, "2026-11-23")
    keep_brackets([seen("2026-11-22 08:12")], venues)
    assert brackets_on(venues, "2026-11-22") == before
    assert brackets_on(venues, "2026-11-23") == list(OTHER)
    assert brackets_on(venues, "2020-03-12") == brackets_on(venues, "2024-09-10")
    assert brackets_on(venues, "2020-03-12") != list(OTHER)


@given(st.integers(0, 10**12), st.integers(-720, 840))
def test_no_day_is_ruled_by_what_was_seen_after_it_began(milliseconds, offset):
    zone = dt.timezone(dt.timedelta(minutes=offset))
    moment = dt.datetime.fromtimestamp(milliseconds / 1000 + 10**9, zone)
    day = first_day(moment)
    begins = dt.datetime.combine(day, dt.time(), dt.UTC)
    assert begins - dt.timedelta(days=1) < moment <= begins


def test_an_unchanged_table_adds_nothing_and_a_changed_one_a_row(venues):
    place = seen_brackets(venues, "bybit")
    contents = []
    with serve(world()) as exchange:
        client = client_of(exchange, "bybit")
        for table in (TABLE, TABLE, OTHER, TABLE):
            exchange.world = world(table)
            (kept,) = keep_brackets([fetch_brackets(client, BTC)], venues)
            contents.append((kept.added, place.read_bytes()))
            client.pacing.sleep(86_400)  # another day at the venue
    assert [added for added, _ in contents] == [True, False, True, True]
    for (_, earlier), (_, later) in itertools.pairwise(contents):
        assert later.startswith(earlier)
    starts = [
        row["known_at"].date().day for row in tomllib.loads(contents[-1][1].decode())["margin"]
    ]
    assert starts == [22, 24, 25]


def test_what_the_rulebook_says_already_adds_nothing(venues):
    (kept,) = keep_brackets([seen("2026-11-22", ((2e6, 0.005, 100), (2.6e6, 0.0056, 90)))], venues)
    assert not kept.added
    assert not kept.path.exists()


def test_of_two_tables_of_one_day_the_later_rules_the_next_day(venues):
    keep_brackets([seen("2026-11-22 20:00", TABLE)], venues)
    keep_brackets([seen("2026-11-22 08:00", OTHER)], venues)
    assert brackets_on(venues, "2026-11-23") == list(TABLE)
    with pytest.raises(ConflictError, match="seen at 2026-11-22 08:00:00 are there already"):
        keep_brackets([seen("2026-11-22 08:00", TABLE)], venues)


def test_what_was_announced_for_a_day_goes_before_what_was_seen_the_day_before(venues):
    path = venues / "bybit.toml"
    announced = """
[[margin]]
symbols = ["BTC/USDT:USDT"]
valid_from = 2026-11-23
formula = "bybit_mark"
progressive = true
brackets = [[9_000_000, 0.02, 40, 0]]
source = "announcement"
as_of = 2026-11-20
"""
    path.write_text(path.read_text("utf-8") + announced, "utf-8")
    for moment in ("2026-11-22 08:00", "2026-11-23 00:00"):  # the latter is the end of a day, too
        keep_brackets([seen(moment)], venues)
        assert brackets_on(venues, "2026-11-23") == [(9_000_000, 0.02, 40)]
    keep_brackets([seen("2026-11-23 08:00")], venues)
    assert brackets_on(venues, "2026-11-24") == list(OTHER)


def test_two_writers_at_once_both_keep_their_rows(venues):
    moments = [f"2026-11-{day:02d} 08:00" for day in range(1, 13)]
    tables = [((1e6 + number, 0.005, 100.0),) for number in range(len(moments))]
    jobs = [
        threading.Thread(target=keep_brackets, args=([seen(moment, table)], venues))
        for moment, table in zip(moments, tables, strict=True)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    rows = tomllib.loads(seen_brackets(venues, "bybit").read_text("utf-8"))["margin"]
    assert sorted(row["brackets"][0][0] for row in rows) == [table[0][0] for table in tables]
    assert [brackets_on(venues, f"2026-11-{day:02d}")[0][0] for day in range(2, 14)] == [
        table[0][0] for table in tables
    ]


LASTING = ["html", "truncated", "empty_body", "nulls", "gap", "empty_page", "conflicts"]


@pytest.mark.parametrize("kind", LASTING)
@pytest.mark.parametrize("venue", ["bybit", "okx", "gate"])
def test_an_answer_that_is_not_whole_stores_nothing_and_one_that_passes_leaves_no_trace(
    venues, venue, kind
):
    lasting = Fault(kind, match=PATHS[venue], times=None)
    with serve(world(), faults=[lasting]) as exchange:
        client = client_of(exchange, venue)
        with pytest.raises((VenueError, SchemaError)):
            keep_brackets([fetch_brackets(client, BTC)], venues)
        assert not seen_brackets(venues, venue).exists()
        exchange.faults.clear()
        exchange.faults.add(Fault(kind, match=PATHS[venue], times=1))
        if (venue, kind) in WORDED:  # whole in itself; only the amounts show it, once all is there
            with pytest.raises(SchemaError, match="the amount must be"):
                keep_brackets([fetch_brackets(client, BTC)], venues)
            assert not seen_brackets(venues, venue).exists()
        (kept,) = keep_brackets([fetch_brackets(client, BTC)], venues)
    assert [row.maintenance_margin_rate for row in kept.table.brackets] == [r for _, r, _ in TABLE]


WORDED = {("bybit", "gap")}


@pytest.mark.parametrize(
    ("venue", "symbol", "said"),
    [
        ("binanceusdm", BTC, "gives its leverage brackets to holders of a key alone"),
        ("deribit", "BTC/USDC:USDC", "deribit publishes no leverage brackets through ccxt"),
    ],
)
def test_a_venue_that_cannot_be_asked_names_the_import(venue, symbol, said):
    there = World(markets=(market(symbol=symbol),), now=NOW)
    with serve(there) as exchange, pytest.raises(VenueError, match=said) as caught:
        fetch_brackets(client_of(exchange, venue), symbol)
    assert f"delever data import-brackets {venue} FILE --as-of" in str(caught.value)


def test_a_table_of_more_pages_than_are_asked_for_is_no_whole_table(monkeypatch):
    monkeypatch.setattr("delever.data.exchange.quirks._PAGES", 1)  # and there are two
    with serve(world()) as exchange, pytest.raises(VenueError, match="must be a whole table"):
        fetch_brackets(client_of(exchange, "bybit"), BTC)


def test_what_has_no_brackets_is_refused(venues):
    with serve(world()) as exchange:
        client = client_of(exchange, "bybit")
        with pytest.raises(InputError, match="BTC/USDT at bybit is spot"):
            fetch_brackets(client, "BTC/USDT")
    with pytest.raises(InputError, match=r"must be one of .*; got ETH/USDT:USDT"):
        keep_brackets([seen("2026-11-22", symbol="ETH/USDT:USDT")], venues)
    with pytest.raises(ConfigError, match=r"brackets of bitget need its rulebook"):
        keep_brackets([seen("2026-11-22", venue="bitget")], venues)
    with pytest.raises(SchemaError, match="okx_linear chooses brackets by size"):
        keep_brackets([seen("2026-11-22", venue="okx")], venues)


# Binance's table of 2020 with the amounts of its liquidation FAQ.
BINANCE = [
    (50_000, 0.004, 125, 0.0),
    (250_000, 0.005, 100, 50.0),
    (1_000_000, 0.01, 50, 1_300.0),
    (5_000_000, 0.025, 20, 16_300.0),
    (20_000_000, 0.05, 10, 141_300.0),
]


def answer(**changes):
    """Binance's answer of leverageBracket for two contracts; `changes` go into the third row."""
    floors = [0, *(row[0] for row in BINANCE)]
    rows = [
        {
            "bracket": number,
            "initialLeverage": leverage,
            "notionalCap": cap,
            "notionalFloor": floor,
            "maintMarginRatio": rate,
            "cum": amount,
        }
        for number, ((cap, rate, leverage, amount), floor) in enumerate(
            zip(BINANCE, floors, strict=False), start=1
        )
    ]
    rows[2] |= changes
    other = {"symbol": "ETHUSDT", "brackets": rows[:1]}
    return [other, {"symbol": "BTCUSDT", "brackets": rows}]


def unified():
    """The same in ccxt's words."""
    btc = answer()[1]["brackets"]
    words = {"minNotional": "notionalFloor", "maxNotional": "notionalCap"}
    words |= {"maintenanceMarginRate": "maintMarginRatio", "maxLeverage": "initialLeverage"}
    return [
        {"tier": row["bracket"], "symbol": BTC, "currency": "USDT", "info": row}
        | {ours: row[theirs] for ours, theirs in words.items()}
        for row in btc
    ]


def saved(folder, document):
    path = folder / "saved.json"
    text = document if isinstance(document, str) else json.dumps(document)
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    "document",
    [answer(), answer()[1], {BTC: unified()}, unified()],
    ids=["all", "one", "map", "list"],
)
def test_a_saved_table_is_known_from_the_end_of_its_day(venues, tmp_path, document):
    file = saved(tmp_path, document)
    kept = import_saved(file, "binanceusdm", venues, as_of="2023-05-06", symbols=(BTC,))
    assert [str(one.valid_from) for one in kept] == ["2023-05-07"]
    assert kept[0].table.brackets[4].maintenance_amount == pytest.approx(141_300, rel=1e-12)
    assert len(brackets_on(venues, "2023-05-06", "binanceusdm")) != 5
    assert brackets_on(venues, "2023-05-07", "binanceusdm") == [row[:3] for row in BINANCE]
    content = kept[0].path.read_bytes()
    (again,) = import_saved(file, "binanceusdm", venues, as_of="2023-05-06")
    assert not again.added
    assert again.path.read_bytes() == content
    (row,) = tomllib.loads(content.decode())["margin"]
    assert row["source"].startswith("saved.json, sha256 ")
    assert row["as_of"] == dt.date(2023, 5, 6)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (json.dumps(answer())[:-9], "must be whole JSON"),
        ("<html>Maintenance</html>", "must be whole JSON"),
        (json.dumps(answer()).replace("1300.0", "NaN"), "must be whole JSON; NaN"),
        (answer(notionalCap=None), "row 3 has maxNotional None"),
        (answer(maintMarginRatio="x"), "row 3 has maintenanceMarginRate 'x'"),
        (answer(initialLeverage=True), "row 3 has maxLeverage True"),
        (answer(cum=1_301), "row 3: the amount must be 1300, which"),
        (answer(notionalFloor=260_000), "row 3 begins at 260000 and the one before ends at 250000"),
        (answer(maintMarginRatio=1.0, cum=None), "row 3 must have 0 < rate < 1"),
        (answer(maintMarginRatio=0.5, cum=None), "below 1 / max_leverage"),
        ([answer()[1] | {"notionalCoef": 1.5}], "multiplied by 1.5 for one account"),
        ([{"symbol": "BTCUSDT", "brackets": []}], "it has no rows"),
        ([{"symbol": "BTCUSDT", "brackets": [None]}], "row 1 has minNotional None"),
        ({"code": -2015, "msg": "Invalid API-key"}, "holds something else"),
        ([], "holds something else"),
        ([[1, 2]], "holds something else"),
    ],
)
def test_a_saved_table_that_is_not_whole_is_refused(venues, tmp_path, document, said):
    with pytest.raises(SchemaError, match=said):
        import_saved(saved(tmp_path, document), "binanceusdm", venues, as_of="2023-05-06")
    assert not seen_brackets(venues, "binanceusdm").exists()


def test_a_saved_table_needs_its_date_its_contract_and_its_venue(venues, tmp_path):
    file = saved(tmp_path, answer())

    def take(as_of, venue="binanceusdm", symbols=(), file=file):
        now = pd.Timestamp("2026-11-22 12:00", tz="UTC")
        return import_saved(file, venue, venues, as_of=as_of, symbols=symbols, now=now)

    for soon in ("2026-11-23", "2026-11-22T12:00:01Z"):
        with pytest.raises(InputError, match="must not be still to come"):
            take(soon)
    for unclear in ("2023-05-06T08:00:00", "yesterday", ""):
        with pytest.raises(InputError, match="as-of must be a day such as"):
            take(unclear)
    with pytest.raises(InputError, match="must hold SOL/USDT:USDT; it holds ETHUSDT, BTCUSDT"):
        take("2023-05-06", symbols=("SOL/USDT:USDT",))
    with pytest.raises(NotStoredError, match=r"there is no file .*nowhere\.json"):
        take("2023-05-06", file=tmp_path / "nowhere.json")
    for venue in ("mexc", "../venues/binanceusdm"):
        with pytest.raises(ConfigError, match="need its rulebook"):
            take("2023-05-06", venue=venue)
    odd = tmp_path / os.fsdecode(b"saved\xff.json")  # a name that is no text
    odd.write_bytes(file.read_bytes())
    (kept,) = take("2026-11-22T02:00:00+02:00", file=odd)
    assert (kept.known_at.hour, str(kept.valid_from)) == (0, "2026-11-22")
    (row,) = tomllib.loads(kept.path.read_text("utf-8"))["margin"]
    assert row["source"].startswith("saved\\udcff.json, sha256 ")


def test_a_damaged_file_of_brackets_is_named_and_left_alone(venues):
    place = seen_brackets(venues, "bybit")
    keep_brackets([seen("2026-11-20")], venues)
    whole = place.read_text("utf-8")
    for old, new, said in [
        ("known_at = 2026-11-20T00:00:00Z", "known_at = 2026-11-20", "known_at must be a moment"),
        ("[1000000.0, 0.005, 100.0]", "[1000000.0, 0.005]", r"row 1 must be \[cap, rate"),
        ("progressive = true", 'valid_from = "x"', "unknown key 'valid_from'"),
        ("[[margin]]", "[[margin", "must be TOML"),
    ]:
        assert old in whole
        place.write_text(whole.replace(old, new), "utf-8")
        with pytest.raises(ConfigError, match=said):
            keep_brackets([seen("2026-11-22", TABLE)], venues)
        assert place.read_text("utf-8") == whole.replace(old, new)


@pytest.mark.drawn(True)
def test_a_study_uses_brackets_by_date_and_says_when_it_assumes_them(workspace):
    venues = workspace.root / "data" / "venues"
    index = pd.date_range("2022-01-03", periods=60, freq="4h", tz="UTC", name="open_time")
    # 100, and 97.1 for hours of the fourth day: above the liquidation price of a 25x long that
    # keeps 0.5 %, 96 / 0.995 = 96.48, and below that of one that keeps 2 %, 96 / 0.98 = 97.96.
    close = [100.0] * 20 + [97.1] * 5 + [100.0] * 35
    bars = pd.DataFrame({"open": [100.0, *close[:-1]], "close": close}, index=index)
    bars["high"], bars["low"] = bars.max(axis=1), bars.min(axis=1)
    bars = bars[["open", "high", "low", "close"]].assign(volume=1.0)
    workspace.catalog.add(bars, f"made/ohlcv/{BTC}/4h")
    book = (venues / "gate.toml").read_text("utf-8")
    book = book[: book.rindex("[[margin]]")].replace(
        'formula = "gate_linear"', 'formula = "flat_rate"'
    )
    book = book.replace("progressive = true", "progressive = false").replace(
        "tick = 0.1", "tick = 0"
    )
    book = book.replace("valid_from = 2021-01-07", "valid_from = 2022-01-05")
    (venues / "gate.toml").write_text(book, "utf-8")
    study = workspace.backtests / "perp.toml"
    study.write_text(
        f"""
strategy = "buy_and_hold"
data = "made/ohlcv/{BTC}/4h"
start = 2022-01-04
[costs]
maker_fee = 0.0
taker_fee = 0.0
slippage = 0.0
[account]
contract = "{BTC}"
rules = "gate"
leverage = 25
exposure = 25
funding_policy = "missing-is-zero"
""",
        "utf-8",
    )
    table = ((1_000_000.0, 0.02, 30.0),)
    keep_brackets([seen("2022-01-08 08:00", table, venue="gate")], venues)
    calm = dl.run(study, workspace=workspace)  # seen after the fall: it may change nothing
    assert calm.trades["status"].tolist() == ["open"]
    assert any("from 2022-01-05 were used from 2022-01-04 on" in note for note in calm.notes)

    keep_brackets([seen("2022-01-05 08:00", table, venue="gate")], venues)
    struck = dl.run(study, workspace=workspace)
    assert struck.trades["status"].iloc[0] == "liquidated"
    assert struck.trades["exit_price"].iloc[0] == pytest.approx(96 / 0.98, rel=1e-9)
    both = (venues / "gate.toml").read_bytes() + seen_brackets(venues, "gate").read_bytes()
    digest = hashlib.sha256(both).hexdigest()
    assert struck.manifest["account"]["rules_sha256"] == digest
    assert calm.manifest["account"]["rules_sha256"] != digest

    # Where what was seen is the earliest of all, it rules the days before only if the book lets it.
    text = book.replace("valid_from = 2022-01-05\nformula", "valid_from = 2022-02-01\nformula")
    (venues / "gate.toml").write_text(text, "utf-8")
    named = Account(contract=BTC, rules="gate")
    account, _ = load_account(named, catalog=workspace.catalog, venues=venues)
    rules = account.rules.at(dt.date(2020, 3, 12), BTC)
    assert rules.brackets[0].maintenance_margin_rate == 0.02
    said = f"gate: brackets of {BTC} from 2022-01-06 were used from 2020-03-12 on"
    assert said in rules.notes
    strict = (venues / "gate.toml").read_text("utf-8")
    strict = strict.replace("assume_before = true", "assume_before = false")
    strict = strict.replace("valid_from = 2022-01-05\nmaker", "valid_from = 2022-01-01\nmaker")
    (venues / "gate.toml").write_text(strict, "utf-8")
    with pytest.raises(DataError, match="brackets missing for the date"):
        dl.run(study, workspace=workspace)


def test_the_command_line(workspace, monkeypatch, capsys, tmp_path, hurried):
    venues = workspace.root / "data" / "venues"
    with serve(world()) as exchange:
        monkeypatch.setenv("DELEVER_API_URL", exchange.api_url)
        words = ["data", "fetch", "bybit,okx", BTC, "--kind", "brackets"]
        assert main([*words, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert [(one["reference"], one["added"]) for one in told] == [
            (f"bybit/brackets/{BTC}", True),
            (f"okx/brackets/{BTC}", True),
        ]
        assert told[0]["brackets"][1]["maintenance_amount"] == pytest.approx(1_200)
        assert main(words) == 0
        assert capsys.readouterr().out.count("nothing added") == 2
        mixed = ["data", "fetch", "bybit", BTC, "--kind", "ohlcv", "--kind", "brackets"]
        # The bars end weeks before the venue's clock: what should have come since is unknown.
        assert main([*mixed, "--timeframe", "1h"]) == 1
        out = capsys.readouterr().out
        assert "47 rows added" in out
        assert "should have been served by now, unknown" in out
        assert main(["data", "fetch", "binanceusdm,bybit", BTC, "--kind", "brackets"]) == 1
        out, err = capsys.readouterr()
        assert "import-brackets binanceusdm" in err
        assert f"bybit/brackets/{BTC}: 6 brackets up to 5,000,000, seen 2026-11-22 08:12" in out
        assert main([*words, "--since", "2022-01-01"]) == 2
        assert "brackets are those of now" in capsys.readouterr().err
    file = str(saved(tmp_path, answer()))
    take = ["data", "import-brackets", "binanceusdm", file, "--as-of"]
    assert main([*take, "2023-05-06"]) == 0
    assert "used from 2023-05-07; added to" in capsys.readouterr().out
    assert main([*take, "2999-01-01"]) == 2
    assert sorted(path.name for path in (venues / "brackets").glob("*.toml")) == [
        "binanceusdm.toml",
        "bybit.toml",
        "okx.toml",
    ]


ETH = "ETH/USDT:USDT"


@pytest.mark.parametrize("venue", ["bybit", "gate", "okx"])
def test_a_contract_that_no_rulebook_lists_comes_with_its_brackets(venues, venue):
    there = World(markets=(market(), market(symbol=ETH)), now=NOW)
    with serve(there) as exchange:
        client = client_of(exchange, venue)
        listed = client.market(ETH)
        (kept,) = keep_brackets([fetch_brackets(client, ETH)], venues)
        (again,) = keep_brackets([fetch_brackets(client, ETH)], venues)
    assert (kept.listed, kept.added, kept.like) == (True, True, BTC)
    assert (again.listed, again.added) == (False, False)
    book = load_rulebook(venues / f"{venue}.toml", seen=seen_brackets(venues, venue))
    own, other = book.at(dt.date(2026, 11, 23), ETH), book.at(dt.date(2026, 11, 23), BTC)
    contract = own.contract
    assert (contract.symbol, contract.kind) == (ETH, "linear")
    assert contract.contract_size == listed["contractSize"]
    assert contract.tick == listed["precision"]["price"]
    assert contract.lot == pytest.approx(listed["contractSize"] * listed["precision"]["amount"])
    assert own.brackets == kept.table.brackets
    # What ccxt does not say is that of the contract it is like: fees, intervals and formula.
    assert (own.fees, own.funding_hours, own.formula) == (
        other.fees, other.funding_hours, other.formula
    )  # fmt: skip
    row = tomllib.loads(kept.path.read_text("utf-8"))["contracts"][0]
    assert row["like"] == BTC
    assert "through ccxt" in row["source"]


def with_market(least=5.0, **changes):
    """A file of ccxt's market and its tiers, as a holder of a key would save them."""
    steps = {"price": 0.01, "amount": 0.001}
    listed = {"symbol": ETH, "linear": True, "contractSize": 1.0, "precision": steps}
    listed |= {"limits": {"cost": {"min": least}}, **changes}
    floor, tiers = 0.0, []
    for cap, rate, leverage in OTHER:
        tiers.append(
            {"minNotional": floor, "maxNotional": cap, "maintenanceMarginRate": rate,
             "maxLeverage": leverage, "info": {}}
        )  # fmt: skip
        floor = cap
    return {"market": listed, "tiers": tiers}


def test_a_saved_file_brings_the_contract_and_an_account_trades_it(tmp_path, venues):
    file = saved(tmp_path, with_market())
    (kept,) = import_saved(file, "binanceusdm", venues, as_of="2023-05-06")
    assert (kept.symbol, kept.listed, kept.added) == (ETH, True, True)
    account, _ = load_account(
        Account(contract=ETH, rules="binanceusdm", funding_policy="missing-is-zero"),
        catalog=None, venues=venues,
    )  # fmt: skip
    index = pd.date_range("2023-06-01", periods=3, tz="UTC", name="open_time")
    bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close"], 2_000.0), index)
    small, whole = (
        backtest(bars, pd.Series(0.4, index), timeframe="1d", initial_equity=cash, account=account)
        for cash in (10.0, 30.0)
    )
    assert small.fills.empty  # 4 of the least 5
    assert "less than 5, the least that ETH/USDT:USDT takes" in " ".join(small.fidelity)
    assert whole.fills["quantity"].tolist() == [0.005]  # 12 in whole lots of 0.001
    assert whole.account.contract.tick == 0.01


def test_the_least_order_is_filled_in_where_a_rulebook_does_not_know_it(tmp_path, venues):
    document = with_market(symbol=BTC)
    (kept,) = import_saved(saved(tmp_path, document), "binanceusdm", venues, as_of="2023-05-06")
    assert (kept.listed, kept.like) == (True, BTC)
    book = load_rulebook(venues / "binanceusdm.toml", seen=kept.path)
    contract = book.at(dt.date(2024, 1, 1), BTC).contract
    assert (contract.min_notional, contract.tick, contract.lot) == (5.0, 0.1, 0.001)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"linear": None}, "says no linear or inverse"),
        ({"contractSize": None}, "has contractSize None, which is no number"),
        ({"precision": {"price": 0.0, "amount": 1.0}}, "must have steps above 0; got contractSize"),
        ({"linear": False}, "a contract that is inverse must be one of"),
    ],
)
def test_a_market_that_does_not_say_what_it_is_is_refused(tmp_path, venues, changes, said):
    with pytest.raises((SchemaError, InputError), match=said):
        import_saved(saved(tmp_path, with_market(**changes)), "binanceusdm", venues,
                     as_of="2023-05-06")  # fmt: skip
