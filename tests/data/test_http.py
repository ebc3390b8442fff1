"""Series from the web: a server on the loopback, rows by hand."""

from __future__ import annotations

import json
import threading
import tomllib
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
from tests.data.fetching import Patience

from delever.cli.app import main
from delever.data.bounds import OverdueError, in_time
from delever.data.web import HttpSource, read_series, rows_of, web_sources
from delever.errors import ConfigError, InputError, SchemaError, VenueError

SHIPPED = Path(__file__).parents[2] / "data" / "sources.toml"
DATE = "Wed, 06 Jan 2021 12:00:00 GMT"
FNG = {
    "name": "Fear and Greed Index",
    "data": [
        {"value": "95", "value_classification": "Extreme Greed", "timestamp": "1609891200"},
        {"value": "94", "value_classification": "Extreme Greed", "timestamp": "1609804800"},
        {"value": "", "value_classification": "", "timestamp": "1609718400"},
        {"value": "93", "value_classification": "Extreme Greed", "timestamp": "1609632000"},
    ],
}
FRED = (
    "observation_date,VIXCLS\n2020-12-31,22.75\n2021-01-01,.\n2021-01-04,26.97\n2021-01-05,25.34\n"
)


@contextmanager
def serving(*answers):
    """Answers one after the other, the last for ever: status, body, headers."""
    left, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            status, body, headers = left.pop(0) if len(left) > 1 else left[0]
            self.send_response_only(status)
            for name, value in {"Date": DATE, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: int(headers.get("X-Cut", len(body)))])

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/{{host}}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def read(source, *answers, **given):
    with serving(*answers) as (api_url, asked):
        data = read_series(replace(source, api_url=api_url), pacing=Patience().pacing(), **given)
    return data, asked


def ok(body):
    return 200, body if isinstance(body, bytes) else json.dumps(body).encode(), {}


def test_the_shipped_sources_are_well_formed():
    sources = web_sources(SHIPPED)
    assert set(sources) == set(tomllib.loads(SHIPPED.read_text())["series"])
    assert {"fear_greed", "vix", "treasury_10y", "gld", "slv", "igv", "hash_rate"} <= set(sources)
    assert sources["fear_greed"].publication_lag == pd.Timedelta(hours=8)
    for source in sources.values():
        assert source.publication_lag > pd.Timedelta(0)
        assert source.url.startswith("https://")


def test_fear_and_greed_as_its_publisher_writes_it():
    source = web_sources(SHIPPED)["fear_greed"]
    data, asked = read(source, ok(FNG))
    assert asked == ["/api.alternative.me/fng/?limit=0&format=json"]
    assert str(data.reference) == "alternative/series/fear_greed/1d"
    # Oldest first; the 4th has no value; the 6th of January was known at 08:00, before noon.
    assert data.frame["fear_greed"].tolist() == [93.0, 94.0, 95.0]
    assert [stamp.day for stamp in data.frame.index] == [3, 5, 6]
    assert data.publication_lag == pd.Timedelta(hours=8)
    early, _ = read(source, ok(FNG), now=pd.Timestamp("2021-01-06 07:59", tz="UTC"))
    assert early.frame["fear_greed"].tolist() == [93.0, 94.0]


def test_a_fred_csv_leaves_holidays_out():
    source = web_sources(SHIPPED)["vix"]
    data, asked = read(source, ok(FRED.encode()))
    assert asked == ["/fred.stlouisfed.org/graph/fredgraph.csv?id=VIXCLS"]
    # On the 6th at noon the 4th is known (40 h after midnight of the 4th), the 5th is not.
    assert data.frame["vix"].tolist() == [22.75, 26.97]
    assert [str(stamp.date()) for stamp in data.frame.index] == ["2020-12-31", "2021-01-04"]


def test_rows_in_lists_and_files_without_a_header():
    base = HttpSource(
        name="x",
        url="http://h/x",
        format="json",
        venue="v",
        timeframe="1d",
        publication_lag=pd.Timedelta(days=1),
        columns={"a": "1"},
        stamp="0",
        stamp_unit="ms",
    )
    frame = rows_of(b"[[86400000, 2.5], [0, null], [172800000, 3]]", base)
    assert frame["a"].tolist() == [2.5, 3.0]
    assert frame.index.day.tolist() == [2, 3]
    text = replace(base, format="csv", header=False, stamp_unit="")
    assert rows_of(b'1970-01-02 00:00:00,"1,234.5"\n', text)["a"].tolist() == [1234.5]
    for odd in ("0,5", "12,34", "1234,567"):  # a fraction as some write it is no number of units
        with pytest.raises(SchemaError, match="a value must be a number"):
            rows_of(f'1970-01-02 00:00:00,"{odd}"\n'.encode(), text)


@pytest.mark.parametrize(
    "trouble",
    [
        (503, b"", {}),
        (429, b"", {"Retry-After": "20"}),
        (200, b"", {}),
        (200, b"<html>Maintenance</html>", {}),
        (200, FRED.encode(), {"X-Cut": "20"}),
    ],
    ids=["503", "429", "empty", "html", "cut"],
)
def test_trouble_that_passes_leaves_no_trace(trouble):
    data, asked = read(web_sources(SHIPPED)["vix"], trouble, trouble, ok(FRED.encode()))
    assert len(asked) == 3
    assert data.frame["vix"].tolist() == [22.75, 26.97]


def test_trouble_that_lasts_is_said():
    source = web_sources(SHIPPED)["vix"]
    with pytest.raises(VenueError, match=r"failed 8 times, last with status 503"):
        read(source, (503, b"", {}))
    with pytest.raises(VenueError, match=r"answers 404, .* correct the url of series.vix"):
        read(source, (404, b"", {}))
    with pytest.raises(VenueError, match="has no row that was known"):
        read(source, ok(FRED.encode()), now=pd.Timestamp("2020-01-01", tz="UTC"))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"date,VIX\n2021-01-04,1\n", "they lack VIXCLS; found date, VIX"),
        (b"date,VIXCLS\n2021-01-04,1,2\n", "line 2 must hold 2 cells; it holds 3"),
        (b"date,VIXCLS\n2021-01-04,high\n", "a value must be a number such as .*; got 'high'"),
        (b"date,VIXCLS\nyesterday,1\n", "stamps must be ISO dates"),
        (b"\xff\xfe\x00", "the body must be csv"),
        (b"date,VIXCLS\n2021-01-04,1\n2021-01-04,2\n", "repeats the stamp"),
    ],
)
def test_a_body_that_is_something_else_is_refused(body, words):
    with pytest.raises(SchemaError, match=words):
        read(web_sources(SHIPPED)["vix"], ok(body))


def test_a_document_that_is_something_else_is_refused():
    source = web_sources(SHIPPED)["fear_greed"]
    for body, words in [
        (b"{", "the body must be json"),
        (b'{"rows": []}', "rows must be found at data; there is no data"),
        (b'{"data": 3}', "rows must be a list; got int"),
    ]:
        with pytest.raises(SchemaError, match=words):
            read(source, ok(body))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("url", "it lacks url"),
        ('format = "xml"', "format must be csv or json; got 'xml'"),
        ('stamp_unit = "days"', "stamp_unit must be s, ms, us"),
        ('publication_lag = "soon"', "publication lag must be"),
        ("columns = {}", "columns must be a table of names"),
        ("speed = 1", "got speed"),
        ('url = "file:///etc/passwd"', "url must be an address such as http:// or https://HOST"),
        ('url = "https://[::1/x"', "url must be an address .*Invalid IPv6 URL"),
        ('url = "https://h:99999/x"', "url must be an address .*0-65535"),
        ('url = "https:///x"', "it names no host"),
        ('url = "https://h/a b"', "it holds a space or a control character"),
        ('api_url = "http://"', "api_url must be an address .*names no host"),
        ("url = 3", "url must be text; got 3"),
    ],
)
def test_a_description_that_cannot_be_is_refused(tmp_path, change, words):
    lines = {
        "url": 'url = "https://h/x"',
        "format": 'format = "csv"',
        "venue": 'venue = "v"',
        "timeframe": 'timeframe = "1d"',
        "publication_lag": 'publication_lag = "8h"',
        "columns": 'columns = { a = "b" }',
    }
    name = change.split(" ")[0]
    lines[name] = change if "=" in change else ""
    path = tmp_path / "sources.toml"
    path.write_text("[series.x]\n" + "\n".join(lines.values()))
    with pytest.raises(InputError, match=words):  # ConfigError is one
        web_sources(path)


def test_the_command_line_stores_a_series_with_its_lag(workspace, monkeypatch, capsys):
    with serving(ok(FNG)) as (api_url, _):
        monkeypatch.setenv("DELEVER_API_URL", api_url)
        assert main(["data", "fetch", "fear_greed"]) == 0
        assert "3 rows added, 0 agree" in capsys.readouterr().out
        assert main(["data", "fetch", "fear_greed"]) == 0
        assert "0 rows added, 3 agree" in capsys.readouterr().out
    data = workspace.catalog.load("alternative/series/fear_greed/1d")
    assert data.publication_lag == pd.Timedelta(hours=8)
    assert data.provenance[0]["url"] == "https://api.alternative.me/fng/?limit=0&format=json"
    changed = {"data": [{"value": "1", "timestamp": "1609891200"}]}
    with serving(ok(changed)) as (api_url, _):
        monkeypatch.setenv("DELEVER_API_URL", api_url)
        assert main(["data", "fetch", "fear_greed"]) == 1
        assert "must agree with what is stored" in capsys.readouterr().err


@pytest.mark.parametrize(
    "address", ["mirror", "file:///etc", "ftp://mirror/{host}", "http://", "http://[::1/{host}"]
)
def test_an_address_that_is_not_on_the_web_is_refused(address):
    source = replace(web_sources(SHIPPED)["vix"], api_url=address)
    with pytest.raises(ConfigError, match=r"api_url, in sources\.toml or .* must be an address"):
        read_series(source)


def test_a_redirect_is_followed_on_its_host_and_refused_to_another():
    moved = (302, b"", {"Location": "/elsewhere"})
    source = web_sources(SHIPPED)["vix"]
    with serving(moved, ok(FRED.encode())) as (api_url, asked):
        found = read_series(replace(source, api_url=api_url), pacing=Patience().pacing())
        assert len(found.frame) == 2
        assert asked[-1] == "/elsewhere"
    away = (302, b"", {"Location": "http://localhost:1/vix"})
    said = "redirects to http://localhost:1, which was not followed"
    with serving(away) as (api_url, asked), pytest.raises(VenueError, match=said):
        read_series(replace(source, api_url=api_url), pacing=Patience().pacing())
    assert len(asked) == 1


def test_a_body_beyond_its_bound_and_a_wait_beyond_what_is_waited_are_refused(monkeypatch):
    source = web_sources(SHIPPED)["vix"]
    monkeypatch.setattr("delever.data.web.LARGEST_BODY", 50)
    with serving(ok(FRED.encode())) as (api_url, _), pytest.raises(SchemaError, match="holds more"):
        read_series(replace(source, api_url=api_url), pacing=Patience().pacing())
    later = (503, b"", {"Retry-After": "7200"})
    said = r"asks to be left alone for 2\.0 h, longer than the 10 min that are waited"
    with serving(later) as (api_url, asked), pytest.raises(VenueError, match=said):
        read_series(replace(source, api_url=api_url), pacing=Patience().pacing())
    assert len(asked) == 1


def test_a_call_is_given_up_when_its_time_is_over_and_fails_as_it_would():
    begun = threading.Event()
    with pytest.raises(OverdueError, match="no whole answer after"):
        in_time(0.01, lambda: begun.wait(0.5))
    begun.set()
    assert in_time(5.0, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        in_time(5.0, lambda: 1 // 0)
