"""The catalogue: the sample, imports from files and frames, and what it says when asked wrongly."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from delever.data.catalog import Catalog
from delever.data.exchange.jobs import Job, usual_timeframe
from delever.data.references import Reference
from delever.data.sample_data import load_sample
from delever.errors import ConflictError, InputError, NotStoredError, SchemaError, StoreError

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
SAMPLE_NAME = "sample/ohlcv/BTC/USD/1d"
BITSTAMP = "bitstamp/ohlcv/BTC/USD/1d"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "data", SAMPLE)


def write(
    path: Path, rows: list[str], header: str = "timestamp,open,high,low,close,volume"
) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


DAYS = [
    "2021-05-17T00:00:00Z,10,12,9,11,1",
    "2021-05-18T00:00:00Z,11,13,10,12,2",
    "2021-05-21T00:00:00Z,12,12,8,9,3",
]


def test_the_sample_is_a_data_set_that_says_what_it_lacks(catalog: Catalog):
    dataset = catalog.load(SAMPLE_NAME)
    assert len(dataset.frame) == 5385
    assert dataset.notes == ("close-only: intraday extremes unseen",)
    assert dataset.gaps.empty
    assert dataset.frame["volume"].isna().all()
    assert dataset.provenance[0]["package"] == "hypertrial"
    # 2017-12-17: the close of that cycle's high, known from elsewhere to the dollar's hundreds
    assert dataset.frame.loc["2017-12-17", "close"] == pytest.approx(19_141, rel=0.01)
    entry = catalog.list()[0]
    assert (str(entry.reference), entry.rows, entry.id) == (SAMPLE_NAME, 5385, dataset.id)


def test_the_sample_lies_in_the_workspace_by_default(tmp_path: Path):
    shutil.copytree(SAMPLE, tmp_path / "sample")
    assert Catalog(tmp_path).load(SAMPLE_NAME).id == Catalog(tmp_path, SAMPLE).load(SAMPLE_NAME).id


def test_a_sample_that_was_read_before_is_what_lies_there_now(tmp_path: Path):
    shutil.copytree(SAMPLE, tmp_path / "sample")
    first = load_sample(tmp_path / "sample")
    first.frame.iloc[0, 0] = -1.0
    whole = load_sample(tmp_path / "sample")
    assert whole.frame.iloc[0, 0] > 0.0
    path, about = tmp_path / "sample" / "btc_usd_1d.csv", tmp_path / "sample" / "metadata.json"
    path.write_text("\n".join(path.read_text().split("\n")[:-11]) + "\n")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    about.write_text(json.dumps(json.loads(about.read_text()) | {"sha256": sha256}))
    shorter = load_sample(tmp_path / "sample")
    assert len(shorter.frame) == len(whole.frame) - 10
    assert shorter.id != whole.id


def test_a_sample_that_was_changed_is_refused(tmp_path: Path):
    shutil.copytree(SAMPLE, tmp_path / "sample")
    catalog = Catalog(tmp_path)
    path = tmp_path / "sample" / "btc_usd_1d.csv"
    path.write_text(path.read_text().replace("0.0808,", "0.0809,", 1))
    with pytest.raises(StoreError, match="must have the sha256 4c6bd690"):
        catalog.load(SAMPLE_NAME)
    assert "sha256" in catalog.check()[0].problems[0]
    path.unlink()
    with pytest.raises(StoreError, match=r"cannot read .*btc_usd_1d"):
        catalog.list()
    (tmp_path / "sample" / "metadata.json").write_text("{}")
    with pytest.raises(StoreError, match=r"metadata\.json is damaged"):
        catalog.load(SAMPLE_NAME)


@pytest.mark.parametrize(
    ("described", "said"),
    [
        (None, "metadata.json is missing, which describes what lies there; restore it"),
        ('{"kind": "candles", "symbol": "B", "timeframe": "1d"}', "kind must be one of"),
        ("[" * 100_000, "RecursionError"),
        ("[]", "TypeError"),
    ],
)
def test_a_sample_without_a_sound_description_is_a_finding(tmp_path: Path, described, said):
    shutil.copytree(SAMPLE, tmp_path / "sample")
    about = tmp_path / "sample" / "metadata.json"
    about.unlink()
    if described is not None:
        about.write_text(described)
    catalog = Catalog(tmp_path)
    (check,) = catalog.check()
    assert said in check.problems[0]
    assert said in catalog.survey().broken[0].problems[0]
    with pytest.raises(StoreError, match=r"metadata\.json"):
        catalog.load(SAMPLE_NAME)


def test_a_damaged_description_hides_no_other_data_set(catalog: Catalog, tmp_path: Path):
    other = "other/ohlcv/BTC/USD/1d"
    for name in (BITSTAMP, other):
        catalog.add(write(tmp_path / "btc.csv", DAYS), name)
    manifest = next((tmp_path / "data" / "store" / "bitstamp").rglob("dataset.json"))
    manifest.write_bytes(manifest.read_bytes()[:-40])
    found = catalog.survey()
    assert [str(entry.reference) for entry in found.entries] == [SAMPLE_NAME, other]
    assert [one.name for one in found.broken] == ["bitstamp/ohlcv/BTC%2FUSD/1d"]
    assert "is damaged" in found.broken[0].problems[0]
    with pytest.raises(StoreError, match=r"dataset\.json is damaged"):
        catalog.list()
    with pytest.raises(NotStoredError, match="there are: .*" + other):
        catalog.load("x/funding/qqqqqqqq/8h")
    assert len(catalog.load(other).frame) == 3


def test_a_download_goes_on_beside_a_damaged_neighbour(catalog: Catalog, tmp_path: Path):
    rates = write(tmp_path / "f.csv", ["2021-05-17T00:00:00Z,0.0001"], "timestamp,funding_rate")
    catalog.add(rates, "bybit/funding/BTC/USDT:USDT/4h")
    catalog.add(write(tmp_path / "btc.csv", DAYS), BITSTAMP)
    next((tmp_path / "data" / "store" / "bitstamp").rglob("dataset.json")).write_text("{")
    job = Job(venue="bybit", kind="funding", symbol="BTC/USDT:USDT")
    # Known from what is stored: the venue, of which there is none here, is not asked.
    assert usual_timeframe(None, catalog, job) == "4h"  # type: ignore[arg-type]


def test_links_are_followed_and_a_link_back_ends(catalog: Catalog, tmp_path: Path):
    catalog.add(write(tmp_path / "btc.csv", DAYS), BITSTAMP)
    store = tmp_path / "data" / "store"
    (store / "bitstamp").rename(tmp_path / "elsewhere")
    (store / "bitstamp").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(store)
    assert [str(entry.reference) for entry in catalog.list()] == [SAMPLE_NAME, BITSTAMP]
    assert catalog.check(BITSTAMP)[0].problems == ()


@pytest.mark.parametrize("reason", ["closed", "link to nowhere", "link in a circle"])
def test_a_folder_that_cannot_be_looked_into_is_named(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
):
    catalog.add(write(tmp_path / "btc.csv", DAYS), "other/ohlcv/BTC/USD/1d")
    catalog.add(write(tmp_path / "btc.csv", DAYS), BITSTAMP)
    closed = tmp_path / "data" / "store" / "bitstamp"
    if reason == "closed":  # as to a user without the right; the superuser has it

        def looked(path: str, scan=os.scandir):
            if str(path) == str(closed):
                raise PermissionError(13, "Permission denied", str(path))
            return scan(path)

        monkeypatch.setattr(os, "scandir", looked)
    else:
        shutil.rmtree(closed)
        closed.symlink_to(closed if "circle" in reason else tmp_path / "unplugged")
    found = catalog.survey()
    assert [entry.reference.venue for entry in found.entries] == ["sample", "other"]
    assert [one.name for one in found.broken] == ["bitstamp"]
    assert [one.name for one in catalog.check() if one.problems] == ["bitstamp"]


def test_a_data_set_that_cannot_be_read_is_not_called_absent(catalog: Catalog, tmp_path: Path):
    catalog.add(write(tmp_path / "btc.csv", DAYS), BITSTAMP)
    manifest = next((tmp_path / "data" / "store").rglob("dataset.json"))
    manifest.unlink()
    manifest.symlink_to(manifest)
    with pytest.raises(StoreError, match="cannot read"):
        catalog.load(BITSTAMP)
    assert "cannot read" in catalog.check(BITSTAMP)[0].problems[0]


@pytest.mark.parametrize("broken", ["file", "link"])
def test_a_store_that_is_no_folder_is_said(catalog: Catalog, tmp_path: Path, broken: str):
    store = tmp_path / "data" / "store"
    store.parent.mkdir()
    if broken == "file":
        store.write_text("in the way")
    else:
        store.symlink_to("nowhere")
    bars = write(tmp_path / "btc.csv", DAYS)
    for call in (catalog.list, catalog.check, lambda: catalog.add(bars, BITSTAMP)):
        with pytest.raises(StoreError, match="the store must be a folder"):
            call()


def test_a_description_nested_without_end_is_damaged_and_hides_nothing(
    catalog: Catalog, tmp_path: Path
):
    catalog.add(write(tmp_path / "btc.csv", DAYS), BITSTAMP)
    next((tmp_path / "data" / "store").rglob("dataset.json")).write_text("[" * 100_000)
    found = catalog.survey()
    assert [str(entry.reference) for entry in found.entries] == [SAMPLE_NAME]
    assert "RecursionError" in found.broken[0].problems[0]


def test_a_span_without_rows_is_said_of_the_sample_too(catalog: Catalog):
    with pytest.raises(NotStoredError, match="has no rows from 2030-01-01"):
        catalog.load(SAMPLE_NAME, pd.Timestamp("2030-01-01", tz="UTC"))


def test_a_workspace_without_a_sample_is_fine(tmp_path: Path):
    catalog = Catalog(tmp_path)
    assert catalog.list() == []
    assert catalog.check() == ()
    with pytest.raises(NotStoredError, match="there are: none"):
        catalog.load(SAMPLE_NAME)


def test_a_file_becomes_a_data_set(catalog: Catalog, tmp_path: Path):
    header = "timestamp,open,high,low,close,volume,source"
    path = write(tmp_path / "btc.csv", [f"{row},x" for row in DAYS], header)
    report = catalog.add(path, BITSTAMP)
    assert (report.added, report.present) == (3, 0)
    assert report.ignored == ("source",)
    assert report.gaps["bars"].tolist() == [2]
    assert report.entry.gaps == 1
    dataset = catalog.load(Reference.parse(BITSTAMP))
    assert dataset.frame["close"].tolist() == [11, 12, 9]
    assert dataset.id == report.entry.id
    assert dataset.provenance[0]["file"] == "btc.csv"
    assert [str(entry.reference) for entry in catalog.list()] == [SAMPLE_NAME, BITSTAMP]


def test_a_frame_and_a_file_of_the_same_rows_have_one_id(catalog: Catalog, tmp_path: Path):
    path = write(tmp_path / "btc.csv", DAYS)
    frame = pd.read_csv(path, parse_dates=["timestamp"], index_col="timestamp")
    one = catalog.add(path, "a/ohlcv/B/1d")
    other = catalog.add(frame, "b/ohlcv/B/1d")
    assert one.entry.id == other.entry.id
    again = catalog.add(frame, "a/ohlcv/B/1d")
    assert (again.added, again.present) == (0, 3)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([DAYS[0].replace("Z", ""), *DAYS[1:]], "a time zone is required"),
        ([DAYS[0], *DAYS], "repeats the stamp"),
        ([DAYS[0].replace("10,12", "10,8"), *DAYS[1:]], "high >= max"),
        ([DAYS[0].replace("9,11", "9,"), *DAYS[1:]], "close = nan"),
    ],
)
def test_a_refused_file_leaves_no_trace(
    catalog: Catalog, tmp_path: Path, rows: list[str], said: str
):
    with pytest.raises(SchemaError, match=said):
        catalog.add(write(tmp_path / "bad.csv", rows), BITSTAMP)
    assert not (tmp_path / "data").exists()


def test_a_refused_file_leaves_what_is_stored_alone(catalog: Catalog, tmp_path: Path):
    before = catalog.add(write(tmp_path / "good.csv", DAYS), BITSTAMP).entry
    with pytest.raises(ConflictError, match=r"volume is stored as 3\.0, got 4\.0"):
        catalog.add(write(tmp_path / "other.csv", [DAYS[2].replace(",3", ",4")]), BITSTAMP)
    assert catalog.list()[1] == before


def test_the_lag_is_what_the_import_says_and_stays(catalog: Catalog, tmp_path: Path):
    path = write(tmp_path / "fng.csv", ["2021-05-17T00:00:00Z,30"], "timestamp,fng")
    catalog.add(path, "alternative/series/fng/1d", publication_lag=pd.Timedelta(hours=8))
    assert catalog.load("alternative/series/fng/1d").publication_lag == pd.Timedelta(hours=8)
    with pytest.raises(ConflictError, match="publication lag"):
        catalog.add(path, "alternative/series/fng/1d", publication_lag=pd.Timedelta(0))


def test_bars_known_before_they_close_and_readings_before_their_stamp_are_refused(
    catalog: Catalog, tmp_path: Path
):
    path = write(tmp_path / "btc.csv", DAYS)
    with pytest.raises(InputError, match="known when they close"):
        catalog.add(path, BITSTAMP, publication_lag=pd.Timedelta(hours=23))
    with pytest.raises(InputError, match="must not be negative"):
        catalog.add(path, "a/series/x/1d", publication_lag=pd.Timedelta(hours=-1))


def test_nothing_can_be_imported_into_the_sample(catalog: Catalog, tmp_path: Path):
    with pytest.raises(InputError, match="must not be 'sample'"):
        catalog.add(write(tmp_path / "btc.csv", DAYS), SAMPLE_NAME)


def test_what_is_not_stored_is_answered_with_what_is(catalog: Catalog, tmp_path: Path):
    catalog.add(write(tmp_path / "btc.csv", DAYS), BITSTAMP)
    with pytest.raises(NotStoredError, match=f"did you mean {BITSTAMP}"):
        catalog.load("bitstamp/ohlcv/BTC/USDT/1d")
    with pytest.raises(NotStoredError, match=f"there are: {SAMPLE_NAME}, {BITSTAMP}"):
        catalog.load("x/funding/qqqqqqqq/8h")
    with pytest.raises(NotStoredError, match="no data set sample/ohlcv/ETH/USD/1d"):
        catalog.load("sample/ohlcv/ETH/USD/1d")
    with pytest.raises(NotStoredError):
        catalog.check("bitstamp/ohlcv/BTC/USDT/1d")


def test_a_check_reads_everything_again(catalog: Catalog, tmp_path: Path):
    catalog.add(write(tmp_path / "btc.csv", DAYS), BITSTAMP)
    catalog.add(write(tmp_path / "btc.csv", DAYS), "other/ohlcv/BTC/USD/1d")
    assert [check.problems for check in catalog.check()] == [(), (), ()]
    (check,) = catalog.check(BITSTAMP)
    assert check.coverage[["state", "bars"]].to_numpy().tolist() == [
        ["present", 2],
        ["unknown", 2],
        ["present", 1],
    ]
    assert (check.unknown, catalog.check(SAMPLE_NAME)[0].unknown) == (2, 0)
    part = next((tmp_path / "data" / "store" / "bitstamp").rglob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-1])
    broken = {check.name: check.problems for check in catalog.check()}
    assert list(broken) == [SAMPLE_NAME, "bitstamp/ohlcv/BTC%2FUSD/1d", "other/ohlcv/BTC/USD/1d"]
    assert [len(problems) for problems in broken.values()] == [0, 1, 0]


def test_symbols_cannot_leave_the_store(catalog: Catalog, tmp_path: Path):
    path = write(tmp_path / "btc.csv", DAYS)
    for symbol in ("../../../outside", "..", "/etc/outside", "a/../../b", "C:\\outside"):
        catalog.add(path, Reference(venue="v", kind="ohlcv", symbol=symbol, timeframe="1d"))
    written = {path.name for path in (tmp_path / "data").iterdir()}
    assert written == {"store"}
    assert {path.name for path in tmp_path.iterdir()} == {"btc.csv", "data"}
    assert len(catalog.list()) == 6


def test_real_files_are_read_whole(catalog: Catalog, shared_data: Path):
    def csv_rows(path: Path) -> pd.DataFrame:
        header, *lines = csv.reader(path.read_text().splitlines())
        values = [[float(cell or "nan") for cell in line[1:]] for line in lines]
        return pd.DataFrame(values, columns=header[1:], index=[line[0] for line in lines])

    files = sorted(shared_data.glob("*.csv"))
    assert len(files) >= 15
    for path in files:
        rows = csv_rows(path)
        timeframe = next(t for t in ("8h", "4h", "1h", "1d") if f"_{t}" in path.name)
        traded = "close" in rows and path.name not in ("vix_1d.csv", "tlt_1d.csv")
        kind = "ohlcv" if traded else "funding" if "funding_rate" in rows else "series"
        report = catalog.add(path, f"v/{kind}/{path.name.split('.')[0]}/{timeframe}")
        stored = catalog.load(report.entry.reference).frame
        assert report.added == len(rows)
        np.testing.assert_array_equal(stored.to_numpy(), rows.to_numpy(dtype="float64"))
        assert stored.index.equals(pd.DatetimeIndex(rows.index).as_unit("ns"))


@pytest.mark.parametrize(
    ("name", "timeframe", "gaps", "longest"),
    [
        ("btc_usd_1d_bitstamp.csv", "1d", 23, 3),
        ("btcusdt_1h_binance.csv.gz", "1h", 28, 33),
        ("btcusdt_perp_1h_binance.csv.gz", "1h", 0, 0),
        ("btcusdt_perp_4h_binance.csv.gz", "4h", 0, 0),
        ("btc_usd_1d_yahoo.csv", "1d", 0, 0),
        ("fear_greed_1d.csv", "1d", 2, 3),
        ("funding_btcusdt_8h_binance.csv", "8h", 0, 0),
    ],
)
def test_gaps_of_real_files(
    catalog: Catalog, shared_data: Path, name: str, timeframe: str, gaps: int, longest: int
):
    kind = "funding" if "funding" in name else "series" if "fear" in name else "ohlcv"
    report = catalog.add(shared_data / name, f"v/{kind}/x/{timeframe}")
    assert len(report.gaps) == report.entry.gaps == gaps
    assert max(report.gaps["bars"], default=0) == longest


@pytest.mark.parametrize("name", ["vix_1d.csv", "tlt_1d.csv"])
def test_real_files_whose_highs_lie_below_their_closes_are_no_bars(
    catalog: Catalog, shared_data: Path, name: str
):
    with pytest.raises(SchemaError, match=r"high >= max\(open, close\) is required"):
        catalog.add(shared_data / name, "v/ohlcv/x/1d")


def test_the_manifest_holds_no_path_of_this_machine(catalog: Catalog, tmp_path: Path):
    catalog.add(write(tmp_path / "btc.csv", DAYS), BITSTAMP)
    manifest = next((tmp_path / "data").rglob("dataset.json")).read_text()
    assert str(tmp_path) not in manifest
    assert json.loads(manifest)["provenance"][0]["rows"] == 3
