"""The store: what it writes, what it refuses, and what a crash at any moment leaves behind."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delever.data.disk import Disk
from delever.data.parts import content_id
from delever.data.references import Reference
from delever.data.store import Store
from delever.errors import ConflictError, NotStoredError, StoreError
from delever.frames import validate

REFERENCE = Reference.parse("v/ohlcv/BTC/USD/1d")
ORIGIN = {"file": "a.csv", "sha256": "0" * 64}


def bars(start: str = "2019-11-01", rows: int = 500) -> pd.DataFrame:
    """The first rows of one seeded history."""
    rng = np.random.default_rng(0)
    drawn = rng.uniform(1, 2, size=(1000, 3))[:rows]
    prices = drawn[:, :2]
    frame = pd.DataFrame(
        {
            "open": prices[:, 0],
            "high": prices.max(axis=1),
            "low": prices.min(axis=1),
            "close": prices[:, 1],
            "volume": drawn[:, 2],
        },
        index=pd.date_range(start, periods=rows, tz="UTC", unit="ns"),
    )
    return validate(frame, "ohlcv", "1d", where="x")


def store_at(folder: Path) -> Store:
    return Store(files=Disk(root=folder))


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file that is not a lock: content and time of change."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {name: data for name, (data, _) in files(folder).items()}


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, check_freq=False, check_exact=True)


def test_rows_come_back_as_they_went_in(tmp_path: Path):
    frame = bars()
    change = store_at(tmp_path).add(frame, REFERENCE, origin=ORIGIN, notes=["a", "a"])
    assert (change.added, change.present) == (500, 0)
    dataset = store_at(tmp_path).load(REFERENCE)
    same(dataset.frame, frame)
    assert dataset.reference == REFERENCE
    assert dataset.id == content_id(frame, "1d") == change.manifest.id
    assert dataset.publication_lag == pd.Timedelta(days=1)
    assert dataset.notes == ("a",)
    assert dataset.provenance == (ORIGIN,)


def test_a_data_set_is_a_manifest_and_a_part_a_year(tmp_path: Path):
    store_at(tmp_path).add(bars(), REFERENCE, origin=ORIGIN)
    folder = tmp_path / "v" / "ohlcv" / "BTC%2FUSD" / "1d"
    manifest = json.loads((folder / "dataset.json").read_text())
    assert manifest["reference"] == "v/ohlcv/BTC/USD/1d"
    assert manifest["rows"] == 500
    assert (manifest["start"], manifest["end"]) == ("2019-11-01T00:00:00Z", "2021-03-14T00:00:00Z")
    assert [part["name"][:5] for part in manifest["parts"]] == ["2019-", "2020-", "2021-"]
    assert [part["rows"] for part in manifest["parts"]] == [61, 366, 73]
    for part in manifest["parts"]:
        assert part["name"] == f"{part['start'][:4]}-{part['sha256'][:8]}.parquet"
        table = pd.read_parquet(folder / part["name"]).set_index("open_time")
        same(table, bars().loc[part["start"] : part["end"]])


def test_another_program_reads_the_parts(tmp_path: Path):
    store_at(tmp_path).add(bars(), REFERENCE, origin=ORIGIN)
    parts = sorted(tmp_path.rglob("*.parquet"))
    table = pd.concat([pd.read_parquet(part) for part in parts]).set_index("open_time")
    same(table, bars())


def test_importing_twice_changes_no_byte_and_no_time(tmp_path: Path):
    store = store_at(tmp_path)
    store.add(bars(), REFERENCE, origin=ORIGIN)
    before = files(tmp_path)
    change = store.add(bars(), REFERENCE, origin={"file": "b.csv"})
    assert (change.added, change.present) == (0, 500)
    assert files(tmp_path) == before


def test_two_stores_of_the_same_imports_are_the_same_bytes(tmp_path: Path):
    for name in ("one", "other"):
        store = store_at(tmp_path / name)
        store.add(bars().iloc[:300], REFERENCE, origin=ORIGIN)
        store.add(bars().iloc[200:], REFERENCE, origin=ORIGIN)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


@settings(max_examples=6)
@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 60)), min_size=1, max_size=4))
def test_the_id_and_the_parts_do_not_depend_on_the_order_of_imports(
    tmp_path_factory: pytest.TempPathFactory, spans: list[tuple[int, int]]
):
    frame = bars("2019-12-01", 150)
    pieces = [frame.iloc[start : start + rows] for start, rows in spans]
    every = frame.loc[frame.index.isin(pd.concat(pieces).index)]
    for order in (pieces, pieces[::-1]):
        folder = tmp_path_factory.mktemp("order")
        for piece in order:
            store_at(folder).add(piece, REFERENCE, origin=ORIGIN)
        dataset = store_at(folder).load(REFERENCE)
        same(dataset.frame, every)
        assert dataset.id == content_id(every, "1d")
        assert store_at(folder).problems(REFERENCE.folder) == []
        manifest = store_at(folder).manifest(REFERENCE.folder)
        assert {part.name for part in manifest.parts} == {p.name for p in folder.rglob("*.parquet")}


def test_a_later_import_touches_only_the_parts_it_falls_into(tmp_path: Path):
    store = store_at(tmp_path)
    store.add(bars().iloc[:450], REFERENCE, origin=ORIGIN)
    before = files(tmp_path)
    change = store.add(bars().iloc[440:], REFERENCE, origin={"file": "b.csv"})
    assert (change.added, change.present) == (50, 10)
    after = files(tmp_path)
    kept = {name for name in after if before.get(name) == after[name]}
    assert sorted(name.rsplit("/", 1)[1][:5] for name in kept) == ["2019-", "2020-"]
    assert len(after) == 4
    assert [record["file"] for record in store.load(REFERENCE).provenance] == ["a.csv", "b.csv"]


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (
            bars().assign(close=lambda f: f["close"].where(f.index < "2020-02-02", f["high"])),
            ["must agree with what is stored", "2020-02-", "close is stored as"],
        ),
        (
            bars().iloc[10:20].assign(low=0.5),
            ["10 rows", "2019-11-11", "low is stored as", "got 0.5"],
        ),
    ],
)
def test_rows_that_disagree_are_refused_and_nothing_changes(
    tmp_path: Path, frame: pd.DataFrame, said: list[str]
):
    store = store_at(tmp_path)
    store.add(bars(), REFERENCE, origin=ORIGIN)
    before = files(tmp_path)
    more = pd.concat([frame, bars("2030-01-01", 3)])
    with pytest.raises(ConflictError) as error:
        store.add(more, REFERENCE, origin=ORIGIN)
    for words in said:
        assert words in str(error.value)
    assert files(tmp_path) == before


def test_the_first_disagreement_is_named_with_both_values(tmp_path: Path):
    store = store_at(tmp_path)
    store.add(bars(rows=3), REFERENCE, origin=ORIGIN)
    other = bars(rows=3)
    stored = float(other["volume"].iloc[1])
    other.iloc[1:, 4] += 1.0
    with pytest.raises(ConflictError) as error:
        store.add(other, REFERENCE, origin=ORIGIN)
    said = "2 rows must agree with what is stored; first at 2019-11-02 00:00, volume is stored as"
    assert f"{said} {stored!r}, got {stored + 1!r}" in str(error.value)


@pytest.mark.parametrize("start", ["2019-11-01", "2019-12-01", "2020-06-01"])
def test_bars_without_volume_do_not_join_bars_with(tmp_path: Path, start: str):
    with_volume, without = bars(rows=40), bars(start, 2).assign(volume=np.nan)
    for first, second, has in ((with_volume, without, "with"), (without, with_volume, "without")):
        store = store_at(tmp_path / has)
        store.add(first, REFERENCE, origin=ORIGIN)
        before = files(tmp_path)
        with pytest.raises(ConflictError, match=f"is stored {has} volumes"):
            store.add(second, REFERENCE, origin=ORIGIN)
        assert files(tmp_path) == before


def test_readings_undefined_in_both_agree_and_columns_may_come_in_another_order(tmp_path: Path):
    reference = Reference.parse("v/series/x/1d")
    index = pd.date_range("2021-01-01", periods=2, tz="UTC")
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": [np.nan, 2.0]}, index=index)
    frame = validate(frame, "series", "1d", where="x")
    store = store_at(tmp_path)
    store.add(frame, reference, origin=ORIGIN)
    change = store.add(frame[["b", "a"]], reference, origin=ORIGIN)
    assert (change.added, change.present) == (0, 2)
    with pytest.raises(ConflictError, match="stored with the columns a, b; got a;"):
        store.add(frame[["a"]], reference, origin=ORIGIN)


def test_another_publication_lag_is_refused(tmp_path: Path):
    store = store_at(tmp_path)
    lag = pd.Timedelta(hours=32)
    store.add(bars(rows=3), REFERENCE, origin=ORIGIN, publication_lag=lag)
    before = files(tmp_path)
    with pytest.raises(ConflictError, match="publication lag of 1 days 08:00:00; got 1 days 00"):
        store.add(bars(), REFERENCE, origin=ORIGIN, publication_lag=pd.Timedelta(days=1))
    assert files(tmp_path) == before
    store.add(bars(), REFERENCE, origin=ORIGIN)
    assert store.load(REFERENCE).publication_lag == lag


def test_a_new_note_is_kept_even_when_no_row_is_new(tmp_path: Path):
    store = store_at(tmp_path)
    store.add(bars(rows=3), REFERENCE, origin=ORIGIN, notes=["one"])
    store.add(bars(rows=3), REFERENCE, origin=ORIGIN, notes=["two", "one"])
    dataset = store.load(REFERENCE)
    assert dataset.notes == ("one", "two")
    assert dataset.provenance == (ORIGIN,)


def test_what_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(NotStoredError, match="no data set is stored in v/ohlcv"):
        store_at(tmp_path / "absent").load(REFERENCE)
    assert store_at(tmp_path / "absent").folders() == []


class PowerCutError(BaseException):
    """Nothing after it happens, not even cleaning up."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dying(Disk):
    """A disk whose machine loses power after a number of changes; the change may be half made."""

    left: list[int]
    torn: bool

    def _step(self, name: str, data: bytes) -> None:
        self.left[0] -= 1
        if self.left[0] < 0:
            if self.torn and data:
                target = self.root / (name + ".tmp")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data[: len(data) // 2])
            raise PowerCutError

    def write(self, folder: str, files: Mapping[str, bytes]) -> None:
        for name, data in files.items():
            self._step(f"{folder}/{name}", data)
            Disk.write(self, folder, {name: data})

    def remove(self, name: str) -> None:
        self._step(name, b"")
        Disk.remove(self, name)


@pytest.mark.parametrize("torn", [False, True])
def test_a_crash_at_any_moment_leaves_the_old_data_set_or_the_new_one(tmp_path: Path, torn: bool):
    old, new = bars().iloc[:450], bars()
    never = tmp_path / "never"
    for frame in (old, new):
        store_at(never).add(frame, REFERENCE, origin=ORIGIN)
    seen = set()
    for step in range(20):
        folder = tmp_path / f"crash{step}"
        store_at(folder).add(old, REFERENCE, origin=ORIGIN)
        dying = Store(files=Dying(root=folder, left=[step], torn=torn))
        try:
            dying.add(new, REFERENCE, origin=ORIGIN)
        except PowerCutError:
            finished = False
        else:
            finished = True
        dataset = store_at(folder).load(REFERENCE)
        assert store_at(folder).problems(REFERENCE.folder) == []
        seen.add(len(dataset.frame))
        same(dataset.frame, bars().iloc[: len(dataset.frame)])
        # One more import and the store is what it would be had nothing happened.
        store_at(folder).add(new, REFERENCE, origin=ORIGIN)
        later = bars("2021-03-15", 2)
        store_at(folder).add(later, REFERENCE, origin=ORIGIN)
        if step == 0:
            store_at(never).add(later, REFERENCE, origin=ORIGIN)
        assert contents(folder) == contents(never)
        if finished:
            break
    assert finished
    assert seen == {450, 500}


def test_a_disk_that_refuses_is_said_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = store_at(tmp_path)
    store.add(bars().iloc[:450], REFERENCE, origin=ORIGIN)
    before = files(tmp_path)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"cannot write .*2021-.*: No space left on device"):
        store.add(bars(), REFERENCE, origin=ORIGIN)
    assert files(tmp_path) == before


def test_a_second_writer_waits_or_is_refused(tmp_path: Path):
    store = store_at(tmp_path)
    with store.files.lock(REFERENCE.folder, wait=0.0):
        with pytest.raises(StoreError, match="another process is writing"):
            store.add(bars(), REFERENCE, origin=ORIGIN, wait=0.05)
        other = Reference.parse("v/ohlcv/ETH/USD/1d")
        assert store.add(bars(), other, origin=ORIGIN, wait=0.0).added == 500
    assert store.add(bars(), REFERENCE, origin=ORIGIN, wait=0.0).added == 500


def test_writers_at_once_lose_no_row(tmp_path: Path):
    frame = bars()
    pieces = [frame.iloc[start::5] for start in range(5)]
    threads = [
        threading.Thread(
            target=store_at(tmp_path).add,
            args=(piece, REFERENCE),
            kwargs={"origin": ORIGIN, "wait": 60.0},
        )
        for piece in pieces
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same(store_at(tmp_path).load(REFERENCE).frame, frame)
    assert store_at(tmp_path).problems(REFERENCE.folder) == []


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Overtaken(Disk):
    """A disk on which a writer comes between the reading of a manifest and of its parts."""

    pending: list[pd.DataFrame]
    turn: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def read(self, name: str) -> bytes:
        with self.turn:
            if name.endswith(".parquet") and self.pending:
                store_at(self.root).add(self.pending.pop(), REFERENCE, origin=ORIGIN)
        return Disk.read(self, name)


def test_a_reader_overtaken_by_a_writer_reads_one_state_whole(tmp_path: Path):
    store_at(tmp_path).add(bars().iloc[:450], REFERENCE, origin=ORIGIN)
    reader = Store(files=Overtaken(root=tmp_path, pending=[bars()]))
    dataset = reader.load(REFERENCE)
    same(dataset.frame, bars())
    assert dataset.id == content_id(bars(), "1d")


@contextmanager
def damaged(folder: Path, glob: str) -> Iterator[Path]:
    path = sorted(folder.rglob(glob))[0]
    data = path.read_bytes()
    yield path
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def test_verify_finds_what_is_broken(tmp_path: Path):
    store = store_at(tmp_path)
    store.add(bars(), REFERENCE, origin=ORIGIN)
    folder = REFERENCE.folder
    with damaged(tmp_path, "2019-*.parquet") as path:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        assert "2019-" in store.problems(folder)[0]
        assert "is damaged: its sha256 must be" in store.problems(folder)[0]
        with pytest.raises(StoreError, match=r"2019-.* is damaged"):
            store.load(REFERENCE)
    with damaged(tmp_path, "2020-*.parquet") as path:
        path.unlink()
        assert "2020-" in store.problems(folder)[0]
        assert "is missing" in store.problems(folder)[0]
        with pytest.raises(StoreError, match="is missing"):
            store.load(REFERENCE)
        with pytest.raises(StoreError, match="is missing"):
            store.add(bars(rows=600), REFERENCE, origin=ORIGIN)
    assert store.problems(folder) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 99}, "has format 99; this version reads 2"),
        ({"id": "0" * 64}, "its id must be"),
        ({"reference": "v/ohlcv/ETH/USD/1d"}, "describes v/ohlcv/ETH/USD/1d"),
        ({"reference": "nonsense"}, "is damaged"),
        ({"columns": ["open"]}, "its id must be"),
        ({"parts": []}, "must name parts"),
        ({"parts": None}, "is damaged"),
        ({"publication_lag": "soon"}, "is damaged"),
    ],
)
def test_a_manifest_that_does_not_fit_is_found(
    tmp_path: Path, change: dict[str, object], said: str
):
    store = store_at(tmp_path)
    store.add(bars(rows=3), REFERENCE, origin=ORIGIN)
    path = tmp_path / REFERENCE.folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert said in store.problems(REFERENCE.folder)[0]


def test_a_manifest_cut_short_is_found(tmp_path: Path):
    store = store_at(tmp_path)
    store.add(bars(rows=3), REFERENCE, origin=ORIGIN)
    path = tmp_path / REFERENCE.folder / "dataset.json"
    path.write_bytes(path.read_bytes()[:100])
    assert "dataset.json is damaged" in store.problems(REFERENCE.folder)[0]
    with pytest.raises(StoreError, match="is damaged"):
        store.add(bars(), REFERENCE, origin=ORIGIN)


def test_a_part_of_other_rows_is_found_even_with_a_fitting_checksum(tmp_path: Path):
    store = store_at(tmp_path)
    store.add(bars(rows=3), REFERENCE, origin=ORIGIN)
    elsewhere = store_at(tmp_path / "other")
    elsewhere.add(bars(rows=4), REFERENCE, origin=ORIGIN)
    part = next((tmp_path / "other").rglob("*.parquet"))
    place = tmp_path / REFERENCE.folder
    manifest = json.loads((place / "dataset.json").read_text())
    other = json.loads((part.parent / "dataset.json").read_text())
    (place / manifest["parts"][0]["name"]).write_bytes(part.read_bytes())
    manifest["parts"][0]["sha256"] = other["parts"][0]["sha256"]
    (place / "dataset.json").write_text(json.dumps(manifest))
    assert "must hold 3 rows" in store.problems(REFERENCE.folder)[0]


def test_intraday_parts_are_months(tmp_path: Path):
    reference = Reference.parse("v/ohlcv/BTC/USD/4h")
    index = pd.date_range("2020-12-30", periods=60, freq="4h", tz="UTC")
    frame = validate(bars(rows=60).set_axis(index, axis=0), "ohlcv", "4h", where="x")
    change = store_at(tmp_path).add(frame, reference, origin=ORIGIN)
    assert [part.period for part in change.manifest.parts] == ["2020-12", "2021-01"]
    assert store_at(tmp_path).load(reference).id == content_id(frame, "4h")
