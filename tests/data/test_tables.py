"""Kinds, venues and vendors are tables: no room branches on their names, and rows add up."""

from __future__ import annotations

import ast
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from tests.data.fetching import Patience, bars_of, client_of
from tests.exchange import World, generate, serve
from tests.sources import GROUP, SOURCE, sources

from delever.cli.app import main
from delever.data.catalog import Catalog
from delever.data.exchange.client import connect
from delever.data.exchange.fetch import fetch
from delever.data.exchange.quirks import VENUES
from delever.data.exchange.venue import Series, Venue
from delever.data.references import Reference
from delever.data.sources_file import VenueSettings
from delever.data.vendors.foreign import FileDescription, Found, Vendor, frame_of, numbers, one_set
from delever.data.vendors.registry import VENDORS, read_foreign
from delever.errors import ConfigError
from delever.kinds import KINDS


@cache
def words(path: Path) -> frozenset[str]:
    """Names and texts of the code of a module, docstrings and comments left out."""
    found = set()
    for node in ast.walk(sources()[path][1]):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found |= {node.name, *node.name.strip("_").lower().split("_")}
    return frozenset(found)


@pytest.mark.xdist_group(GROUP)
def test_no_room_but_the_quirks_names_a_venue():
    for path in (SOURCE / "data").rglob("*.py"):
        if path.stem in ("quirks", "binance_archive", "charts"):  # but vendors of files
            continue
        used = {word.strip("_").lower() for word in words(path)}
        assert not used & set(VENUES), path


@pytest.mark.xdist_group(GROUP)
@pytest.mark.parametrize("kind", ["long_short_ratio", "open_interest", "premium", "dvol", "mark"])
def test_a_kind_of_series_is_named_by_its_row_and_by_the_venues_that_serve_it(kind):
    places = {path.stem for path in (SOURCE / "data").rglob("*.py") if kind in words(path)}
    assert places <= {"quirks"}
    assert kind in words(SOURCE / "kinds.py")


def test_every_kind_is_served_by_ccxt_or_by_a_venues_own_reader():
    import ccxt

    generic = ccxt.kraken()
    served = {kind for venue in VENUES.values() for kind in venue.series}
    assert served | {"series"} == set(KINDS)
    for venue in VENUES.values():
        for kind, series in venue.series.items():
            method = KINDS[kind].ccxt
            assert bool(method) != (series.read is not None), (venue.name, kind)
            if method and not method.endswith("OHLCV"):
                assert hasattr(generic, generic.un_camel_case(method))


def test_a_venue_from_outside_goes_before_those_known(tmp_path):
    market = generate("BTC/USD", rows=250)
    own = Venue(name="bitstamp", series={"ohlcv": Series(rows=100, wide=False, note="by hand")})
    with serve(World(markets=(market,))) as exchange:
        settings = VenueSettings(api_url=exchange.api_url, workers=1)
        pacing = Patience().pacing(wall=lambda: exchange.now / 1000)
        client = connect("bitstamp", settings, pacing, venues={own.name: own})
        assert client.venue is own
        done = fetch(client, Catalog(tmp_path / "own"), bars_of("bitstamp"))
        plain = client_of(exchange, "bitstamp")
        known = fetch(plain, Catalog(tmp_path / "known"), bars_of("bitstamp"))
    asked = {entry.request.params.get("limit") for entry in exchange.requests("*/ohlc/*")}
    assert {"100", "1000"} <= asked
    assert replace(done, notes=()) == replace(known, notes=())


def ticks(path: Path, reference: Reference) -> Found:
    names = ("day", "open", "high", "low", "close")
    table = frame_of(path.read_text(), path.name, needs=names)
    days = pd.DatetimeIndex(pd.to_datetime(table.pop("day"), utc=True))
    bars = numbers(table, path.name).assign(volume=float("nan")).set_axis(days, axis=0)
    return Found(reference=reference, frame=bars, provenance={"file": path.name})


def test_a_vendor_from_outside_is_read_like_those_known(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("day,open,high,low,close\n2021-01-04,1,3,1,2\n2021-01-05,2,2,1,1\n")
    said = FileDescription(venue="v", symbol="BTC/USD")
    vendor = Vendor(name="ticks", reads="a CSV of Ticks Ltd", read=one_set(ticks))
    contents = read_foreign([path], "ticks", said, vendors=(vendor,))
    (one,) = contents.found
    assert str(one.reference) == "v/ohlcv/BTC/USD/1d"
    report = Catalog(tmp_path).add(one.frame, one.reference, provenance=one.provenance)
    assert report.added == 2
    with pytest.raises(ConfigError, match=r"--from must be one of binance-archive, .*got 'ticks'"):
        read_foreign([path], "ticks", said)


EXTENSION = """
import pandas as pd
from delever.data.exchange.venue import Series, Venue
from delever.data.vendors.foreign import Found, Vendor, frame_of, numbers, one_set

def ticks(path, reference):
    table = frame_of(path.read_text(), path.name, needs=("day", "close"))
    days = pd.DatetimeIndex(pd.to_datetime(table.pop("day"), utc=True))
    frame = numbers(table, path.name).set_axis(days, axis=0)
    return Found(reference=reference, frame=frame, provenance={"file": path.name})

VENDORS = (Vendor(name="ticks", reads="a CSV of Ticks Ltd", read=one_set(ticks)),)
VENUES = (Venue(name="bitstamp", series={"ohlcv": Series(rows=70, wide=False)}),)
"""


def test_the_command_line_knows_what_a_workspace_adds(
    workspace, monkeypatch, capsys, tmp_path, hurried
):
    (workspace.root / "extensions").mkdir(exist_ok=True)
    (workspace.root / "extensions" / "mine.py").write_text(EXTENSION)
    path = tmp_path / "x.csv"
    path.write_text("day,close\n2021-01-04,2\n2021-01-05,1\n")
    words = ["--from", "ticks", "--venue", "v", "--symbol", "TICKS", "--kind", "series"]
    assert main(["data", "import", str(path), *words]) == 0
    assert "v/series/TICKS/1d: 2 rows added" in capsys.readouterr().out
    with serve(World(markets=(generate("BTC/USD", rows=24 * 5, timeframe="1h"),))) as exchange:
        monkeypatch.setenv("DELEVER_API_URL", exchange.api_url)
        assert main(["data", "fetch", "bitstamp", "BTC/USD", "--timeframe", "1h"]) == 0
    assert "70" in {entry.request.params.get("limit") for entry in exchange.requests("*/ohlc/*")}


def test_vendors_have_names_of_their_own_and_say_what_they_read():
    assert len({vendor.name for vendor in VENDORS}) == len(VENDORS)
    assert all(vendor.reads for vendor in VENDORS)
