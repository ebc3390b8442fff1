"""A zoo of files: what is right is stored as it is, what is wrong is refused with the mend."""

from __future__ import annotations

import gzip
import io
import shutil
from dataclasses import replace

import pandas as pd
import pytest
from tests.data.zoo import GERMAN, KINDS, Kind, Specimen, bars

import delever as dl
from delever.errors import DeleverError
from delever.study.workspaces.workspace import Workspace, init


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose store is emptied for each file."""
    made = init(tmp_path_factory.mktemp("zoo") / "workspace")
    (made.root / "german.toml").write_text(GERMAN)
    return made


def stored(specimen: Specimen, place: Workspace) -> dict[str, pd.DataFrame] | str:
    """What the store holds after an import, by reference; or the words of the refusal."""
    shutil.rmtree(place.root / "data" / "store", ignore_errors=True)
    folder = place.root / "files"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path = folder / specimen.file
    path.write_bytes(specimen.data)
    said = dict(specimen.said)
    if str(said.get("layout", "")).endswith(".toml"):
        said["layout"] = str(place.root / str(said["layout"]))
    try:
        done = dl.import_data(path, workspace=place, **said)
    except DeleverError as error:
        assert not place.catalog.store.folders()  # to list would copy the sample anew
        return str(error)
    assert not done.failed
    references = [str(report.entry.reference) for report in done.reports]
    return {name: place.catalog.load(name).frame for name in references}


def check(specimen: Specimen, place: Workspace) -> None:
    got = stored(specimen, place)
    if specimen.refused is not None:
        assert isinstance(got, str), f"stored: {got}"
        assert specimen.refused in got
        assert specimen.file in got or "timezone" in got  # that is wrong whatever the file
        assert "\n" not in got
        return
    assert not isinstance(got, str), got
    assert list(got) == [specimen.reference]
    frame = got[specimen.reference]
    pd.testing.assert_frame_equal(
        frame, specimen.truth, check_names=False, check_freq=False, rtol=0, atol=0
    )


def variants(kind: Kind) -> list[Specimen]:
    """A layout right, right in other clothes, and wrong in one way each."""
    head, rows = list(kind.head), kind.rows
    text = kind.text([*head, *rows])

    def made(name: str, data: str | bytes, refused: str | None = None, **said: object) -> Specimen:
        raw = data.encode() if isinstance(data, str) else data
        whole = kind.specimen(name=f"{kind.name}, {name}", data=kind.pack(raw), refused=refused)
        return whole.saying(**said)

    def lines(name: str, changed: list[str], refused: str | None, **said: object) -> Specimen:
        return made(name, kind.text([*head, *changed]), refused, **said)

    cut = text.rstrip("\n")[:-1]
    swapped = [*rows[:9], rows[10], rows[9], *rows[11:]]
    late = [kind.row(stamp + pd.Timedelta(days=7305), one) for stamp, one in kind.truth.iterrows()]
    seldom = (
        rows[::4] if kind.truth.index[1] - kind.truth.index[0] > pd.Timedelta("1h") else rows[::5]
    )
    other = "ETH/USD"
    return [
        kind.specimen(),
        made("marked", "\ufeff" + text),
        made("an empty line above", "\n" + text),
        made("line ends of Windows", text.replace("\n", "\r\n")),
        made("UTF-16", text.encode("utf-16")),
        made("UTF-16 without a mark", text.encode("utf-16-le"), "a zero byte"),
        made("a byte that is no text", text.encode() + b"\xff\n", "text in UTF-8 is required"),
        made("no row", kind.text(head), "row" if head else "an empty file"),
        made("cut in a number", cut, "must end with a line break" if kind.last_is_read else None),
        made("cut before its end", text[: text.rstrip().rindex(kind.separator)], "cells"),
        lines("a row twice", [*rows[:9], *rows[8:]], kind.twice),
        lines("rows swapped", swapped, None if kind.sorts else "is earlier than the row before"),
        lines(
            "a cell missing", [*rows[:5], rows[5].partition(kind.separator)[2], *rows[6:]], "cells"
        ),
        lines("text for a number", kind.broken(rows, "n/a"), "a number such as 0"),
        lines("a mark for thousands", kind.broken(rows, '"1\'000"'), "a number such as 0"),
        lines("of the future", late, "after tomorrow"),
        lines("every fourth row", seldom, "were said", timeframe=kind.timeframe),
        made("another timeframe said", text, kind.other, timeframe="2h"),
        *([made("another coin said", text, "ETH", symbol=other)] if kind.says_symbol else []),
        *(
            [made("zone of its own", text, "--timezone", timezone="Asia/Tokyo")]
            if kind.zoned
            else []
        ),
        *([made("header gone", kind.text(rows), kind.headless)] if head else []),
    ]


PLAIN, COUNTED, GECKO, KAGGLE, KRAKEN, VIEW, YAHOO, CDD, ARCHIVE, METATRADER = (
    next(kind for kind in KINDS if kind.name == name)
    for name in (
        *("plain", "counted", "coingecko", "kaggle", "kraken", "tradingview", "yahoo"),
        *("cryptodatadownload", "archive", "metatrader 5"),
    )
)


def plain(name: str, data: str | bytes, refused: str | None = None, **changes: object) -> Specimen:
    raw = data.encode() if isinstance(data, str) else data
    return replace(PLAIN.specimen(name=name, data=raw, refused=refused), **changes)


def as_table(write: str, frame: pd.DataFrame) -> bytes:
    whole = io.BytesIO()
    getattr(frame, write)(whole)
    return whole.getvalue()


def specials() -> list[Specimen]:
    """What only some layouts can be, right or wrong."""
    head, rows = PLAIN.head[0], PLAIN.rows
    text = PLAIN.text([head, *rows])
    weeks = bars(pd.date_range("2023-01-02", periods=30, freq="7D", tz="UTC", unit="ns"))
    weekly = PLAIN.text([head, *(PLAIN.row(stamp, one) for stamp, one in weeks.iterrows())])
    months = bars(pd.date_range("2022-01-01", periods=30, freq="MS", tz="UTC", unit="ns"))
    monthly = PLAIN.text([head, *(PLAIN.row(stamp, one) for stamp, one in months.iterrows())])
    truth = PLAIN.truth
    table = truth.rename_axis("open_time").reset_index()
    naive = table.assign(open_time=table["open_time"].dt.tz_localize(None))
    counted = table.assign(open_time=table["open_time"].astype("int64") // 1_000_000)
    pair = PLAIN.text(
        [f"{head},symbol", *(f"{row},BTC/USD" for row in rows[:-1]), f"{rows[-1]},ETH/USD"]
    )
    gaps = [*KAGGLE.rows[:9], "1709251740.0,NaN,NaN,NaN,NaN,NaN,NaN,NaN", *KAGGLE.rows[10:]]
    days = text.replace("T00:00:00Z", "")
    partial = [VIEW.row(stamp, one).rpartition(",")[0] for stamp, one in VIEW.truth.iterrows()]
    return [
        plain("weeks", weekly, truth=weeks, reference="kraken/ohlcv/BTC/USD/1w"),
        plain("weeks called days", weekly, "give --timeframe 1w").saying(timeframe="1d"),
        plain("months", monthly, "31d"),
        plain("months called days", monthly, "import finer bars").saying(timeframe="1d"),
        plain("one row", PLAIN.text([head, rows[0]]), "one row does not say"),
        plain("named for another coin", text, "named for ETH", file="eth_usd_1d.csv"),
        plain("named for another venue", text, "named for bitstamp", file="BTCUSD_bitstamp.csv"),
        plain("named for its own", text, file="kraken-XBTUSD-1d.csv"),
        plain("two coins in a column", pair, "the file says ETH/USD"),
        plain("one coin in a column", pair.replace("ETH", "BTC")),
        plain("days without a zone", days, "a time zone is required"),
        plain("days of Greenwich", days).saying(timezone="UTC"),
        plain("days of Tokyo", days, "is not an open time of 1d bars").saying(
            timezone="Asia/Tokyo"
        ),
        plain("a zone that is none", days, "tz database").saying(timezone="Mars"),
        plain("one row without a zone", text.replace("05T00:00:00Z", "05"), "a time zone is requ"),
        plain("a day that is none", text.replace("01-30T", "01-32T"), "there is no such day"),
        plain("years of two digits", text.replace("2024-", "24-"), "a time stamp is required"),
        plain("a unit that is not asked for", text, "leave --stamp-unit out").saying(
            stamp_unit="s"
        ),
        plain("parquet", as_table("to_parquet", table), file="bars.parquet"),
        plain("feather", as_table("to_feather", table.rename(columns=str.title)), file="b.feather"),
        plain("parquet without a zone", as_table("to_parquet", naive), "zone", file="b.parquet"),
        plain("feather of Greenwich", as_table("to_feather", naive), file="b.feather").saying(
            timezone="UTC"
        ),
        plain("counted parquet", as_table("to_parquet", counted), "-unit ms", file="b.parquet"),
        plain("its unit said", as_table("to_parquet", counted), file="b.parquet").saying(
            stamp_unit="ms"
        ),
        plain("half a parquet", as_table("to_parquet", table)[:-9], "readable", file="b.parquet"),
        plain("half a gzip", gzip.compress(text.encode())[:-9], "cut short", file="b.csv.gz"),
        plain("no gzip", text, "gzip", file="b.csv.gz"),
        plain("another ending", text, "must end in .csv", file="b.xlsx"),
        COUNTED.specimen(name="seconds for ms", refused="it may count ms").saying(stamp_unit="s"),
        COUNTED.specimen(name="no unit", refused="give --stamp-unit ms").saying(stamp_unit=None),
        GECKO.specimen(name="prices as bars", refused="missing open").saying(kind="ohlcv"),
        KAGGLE.specimen(
            [*KAGGLE.head, *gaps], name="empty rows", truth=KAGGLE.truth.drop(KAGGLE.truth.index[9])
        ),
        VIEW.specimen(
            [VIEW.head[0].rpartition(",")[0], *partial],
            name="no volume",
            truth=VIEW.truth.assign(volume=float("nan")),
        ),
        VIEW.specimen(
            name="minutes in its name",
            file="KRAKEN_BTCUSD, 15.csv",
            refused="rows of 15m were said",
        ),
        *(
            kind.specimen(name=f"{kind.name} of another venue", refused=f"file says {says}").saying(
                venue="bybit"
            )
            for kind, says in ((YAHOO, "yahoo"), (KRAKEN, "kraken"), (ARCHIVE, "binance"))
        ),
        plain(
            "a symbol in a table",
            as_table("to_parquet", table.assign(Symbol="ETH/USD")),
            "ETH/USD",
            file="b.parquet",
        ),
        plain(
            "numbers called so", as_table("to_parquet", table.assign(market=1.5)), file="b.parquet"
        ),
        METATRADER.specimen(
            [
                *METATRADER.head,
                *(
                    METATRADER.row(stamp, one)
                    for stamp, one in METATRADER.truth.assign(volume=0).iterrows()
                ),
            ],
            name="no volume reported",
            truth=METATRADER.truth.assign(volume=float("nan")),
        ),
        CDD.specimen(
            [CDD.head[0], CDD.head[1].replace("date", "symbol"), *CDD.rows],
            name="a name twice",
            refused="the file says 2024-03-02 05:00:00",
        ),
        VIEW.specimen(
            name="a perpetual", file="KRAKEN_BTCUSD.P, 60.csv", refused="BTC/USD:USD"
        ).saying(symbol="BTC/USD"),
        plain(
            "a venue in a column",
            pair.replace("symbol", "exchange")
            .replace("BTC/USD", "Bitstamp")
            .replace("ETH/USD", "Bitstamp"),
            "the file says Bitstamp",
        ),
        VIEW.specimen(name="months in its name", file="KRAKEN_BTCUSD, 1M.csv"),
        YAHOO.specimen(
            name="its name of another coin", file="ETH-USD.csv", refused="ETH-USD"
        ).saying(symbol="BTC/USD"),
        CDD.specimen(
            [CDD.head[0], CDD.head[1].replace("Volume BTC", "Volume ETH"), *CDD.rows],
            name="volume of another coin",
            refused="missing volume",
        ),
        CDD.specimen(name="a renamed file", file="data.csv", refused="give --symbol"),
        CDD.specimen(
            [*CDD.head, *(row.replace("BTC/USD", "LTC/USD") for row in CDD.rows)],
            name="a column of another coin",
            refused="LTC/USD",
        ),
    ]


VARIANTS = [variants(kind) for kind in KINDS]
ZOO = [
    pytest.param(one, id=one.name, marks=[] if not n or (n + m) % 2 else [pytest.mark.exhaustive])
    for m, specimens in enumerate(VARIANTS)
    for n, one in enumerate(specimens)
] + [pytest.param(one, id=one.name) for one in specials()]


@pytest.mark.parametrize("specimen", ZOO)
def test_a_file_is_stored_as_it_is_or_refused(specimen: Specimen, place: Workspace):
    check(specimen, place)
