"""A store behind a URL: the same as on a disk, in memory and on a server that speaks S3."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.data.fetching import bars_of, client_of, hold_to_truth
from tests.exchange import World, generate, serve

from delever.cli.app import main
from delever.data.catalog import Catalog
from delever.data.disk import Disk
from delever.data.exchange.fetch import fetch
from delever.data.mender import Mender, Signature
from delever.data.references import Reference
from delever.data.remote import Remote, _host
from delever.data.store import Store
from delever.errors import ConfigError, NotStoredError, StoreError
from delever.frames import validate

REFERENCE = Reference.parse("v/ohlcv/BTC/USD/1d")
ORIGIN = {"file": "a.csv"}


def bars(rows: int = 500) -> pd.DataFrame:
    prices = np.random.default_rng(1).uniform(1, 2, size=(500, 2))[:rows]
    frame = pd.DataFrame(
        {
            "open": prices[:, 0],
            "high": prices.max(axis=1),
            "low": prices.min(axis=1),
            "close": prices[:, 1],
            "volume": prices.sum(axis=1),
        },
        index=pd.date_range("2019-11-01", periods=rows, tz="UTC", unit="ns"),
    )
    return validate(frame, "ohlcv", "1d", where="x")


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Remote]:
    import fsspec

    url = f"memory://{tmp_path.name}"
    yield Remote(url=url)
    fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)


@pytest.fixture(params=["memory", "bucket"])
def remote(request: pytest.FixtureRequest) -> Remote:
    place: Remote = request.getfixturevalue(request.param)
    return place


def locks(place: Remote) -> list[str]:
    return [name for name in place._listed(REFERENCE.folder) if name.startswith(".lock")]


def contents(place: Remote | Disk) -> dict[str, bytes]:
    folder = REFERENCE.folder
    return {name: place.read(f"{folder}/{name}") for name in place.names(folder)}


def test_the_same_objects_as_on_a_disk(remote: Remote, tmp_path: Path):
    disk = Disk(root=tmp_path)
    for place in (remote, disk):
        store = Store(files=place)
        assert store.folders() == []
        with pytest.raises(NotStoredError):
            store.load(REFERENCE)
        store.add(bars().iloc[:300], REFERENCE, origin=ORIGIN)
        store.add(bars().iloc[200:], REFERENCE, origin=ORIGIN)
        assert store.folders() == [REFERENCE.folder]
        assert store.problems(REFERENCE.folder) == []
    assert contents(remote) == contents(disk)
    assert len(contents(remote)) == 4
    pd.testing.assert_frame_equal(
        Store(files=remote).load(REFERENCE).frame, bars(), check_freq=False
    )


def test_changes_by_hand_leave_the_same_objects_as_on_a_disk(remote: Remote, tmp_path: Path):
    disk = Disk(root=tmp_path)
    by = Signature(who="ann", when=pd.Timestamp("2021-01-01", tz="UTC"), why="a test")
    day = bars().index[100]
    for place in (remote, disk):
        mender = Mender(files=place)
        mender.add(bars(), REFERENCE, origin=ORIGIN)
        mender.drop(REFERENCE, bars().index[450], None, by)
        mender.quarantine(REFERENCE, day, day + pd.Timedelta(1), by)
        mender.remove(REFERENCE, by)
        assert mender.folders() == []
        mender.undo(REFERENCE)
    assert contents(remote) == contents(disk)
    for place in (remote, disk):
        mender = Mender(files=place)
        assert len(mender.load(REFERENCE).frame) == 449
        assert len(mender.forget(REFERENCE.folder)) == 2
        assert mender.problems(REFERENCE.folder) == []
    assert contents(remote) == contents(disk)


def test_a_flipped_byte_is_found(remote: Remote):
    store = Store(files=remote)
    store.add(bars(), REFERENCE, origin=ORIGIN)
    (name, *_) = remote.names(REFERENCE.folder)
    data = bytearray(remote.read(f"{REFERENCE.folder}/{name}"))
    data[len(data) // 2] ^= 1
    remote.write(REFERENCE.folder, {name: bytes(data)})
    assert "its sha256 must be" in store.problems(REFERENCE.folder)[0]


def test_writers_at_once_lose_no_row(remote: Remote):
    threads = [
        threading.Thread(
            target=Store(files=remote).add,
            args=(bars().iloc[begin::3], REFERENCE),
            kwargs={"origin": ORIGIN, "wait": 60.0},
        )
        for begin in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pd.testing.assert_frame_equal(
        Store(files=remote).load(REFERENCE).frame, bars(), check_freq=False
    )
    assert locks(remote) == []


def test_a_second_writer_is_refused_and_told_who_the_first_is(remote: Remote):
    store = Store(files=remote)
    with (
        remote.lock(REFERENCE.folder, wait=0.0),
        pytest.raises(StoreError, match=f"process {os.getpid()} on .* is writing"),
    ):
        store.add(bars(), REFERENCE, origin=ORIGIN, wait=0.05)
    assert store.add(bars(), REFERENCE, origin=ORIGIN, wait=0.0).added == 500


def test_the_lock_of_a_writer_that_died_here_holds_nobody_up(remote: Remote):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for host, added in ((_host(), True), ("elsewhere.example", False)):
        holder = json.dumps({"host": host, "pid": dead.pid}).encode()
        remote.write(REFERENCE.folder, {".lock-a": holder, ".lock-z": holder})
        store = Store(files=remote)
        if added:
            assert store.add(bars(), REFERENCE, origin=ORIGIN, wait=0.0).added == 500
            assert locks(remote) == []
        else:
            with pytest.raises(StoreError, match=r"on elsewhere\.example is writing"):
                store.add(bars(), REFERENCE, origin=ORIGIN, wait=0.0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted(Remote):
    """A connection on which somebody else acts before each request in turn."""

    other: Callable[[], None]
    left: list[int]

    def _open(self) -> tuple[object, str]:
        self.left[0] -= 1
        if self.left[0] == -1:
            self.other()
        return Remote._open(self)


@pytest.mark.parametrize("dead", [False, True])
def test_two_writers_never_hold_a_lock_at_once_wherever_they_meet(memory: Remote, dead: bool):
    """The second takes, or gives up, the lock before each request that the first sends."""
    memory.write("elsewhere", {"a": b""})
    met = set()
    for step in range(12):
        url = f"{memory.url}/{step}"
        if dead:
            gone = json.dumps({"host": _host(), "pid": 2**22 + 1}).encode()
            Remote(url=url).write(REFERENCE.folder, {".lock-5": gone})
        events: list[str] = []
        held = contextlib.ExitStack()

        def second(url: str = url, events: list[str] = events, held: ExitStack = held) -> None:
            try:
                held.enter_context(Remote(url=url).lock(REFERENCE.folder, wait=0.0))
                events.append("second")
            except StoreError:
                events.append("refused")

        first = Interrupted(url=url, other=second, left=[step])
        with held:
            try:
                with first.lock(REFERENCE.folder, wait=0.0):
                    events.append("first")
                    assert "second" not in events
            except StoreError:
                assert events == ["second"]
        met.add(tuple(events))
        assert locks(Remote(url=url)) == []
    assert {("second",), ("refused", "first")} <= met


class PowerCutError(BaseException):
    """Nothing after it happens."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dying(Remote):
    """A connection that ends after a number of changes."""

    left: list[int]

    def _step(self) -> None:
        self.left[0] -= 1
        if self.left[0] < 0:
            raise PowerCutError

    def write(self, folder: str, files: Mapping[str, bytes]) -> None:
        for name, data in files.items():
            self._step()
            Remote.write(self, folder, {name: data})

    def remove(self, name: str) -> None:
        if ".lock" not in name:
            self._step()
        Remote.remove(self, name)


def test_a_writer_cut_off_at_any_moment_leaves_the_old_data_set_or_the_new_one(memory: Remote):
    seen = set()
    for step in range(20):
        url = f"{memory.url}/{step}"
        store = Store(files=Remote(url=url))
        store.add(bars(450), REFERENCE, origin=ORIGIN)
        try:
            Store(files=Dying(url=url, left=[step])).add(bars(), REFERENCE, origin=ORIGIN)
        except PowerCutError:
            finished = False
        else:
            finished = True
        rows = store.load(REFERENCE).frame
        assert store.problems(REFERENCE.folder) == []
        seen.add(len(rows))
        pd.testing.assert_frame_equal(rows, bars(len(rows)), check_freq=False)
        if finished:
            break
    assert finished
    assert seen == {450, 500}


def test_a_workspace_says_where_its_store_is(
    memory: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    catalog = Catalog(tmp_path)
    (tmp_path / "store.toml").write_text(f'url = "{memory.url}/a"\n')
    catalog.add(bars(), REFERENCE)
    assert Store(files=Remote(url=f"{memory.url}/a")).folders() == [REFERENCE.folder]
    monkeypatch.setenv("DELEVER_STORE", f"{memory.url}/b")
    assert catalog.list() == []
    for folder in ("elsewhere", str(tmp_path / "elsewhere"), f"file://{tmp_path}/elsewhere"):
        monkeypatch.setenv("DELEVER_STORE", folder)
        catalog.add(bars(), REFERENCE)
        assert (tmp_path / "elsewhere" / REFERENCE.folder / "dataset.json").is_file()
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("url = ", "must be TOML"),
        ('url = "memory://x"\nbucket = "y"', "got bucket"),
        ("url = 3", "url = 3"),
        ('[options]\na = "b"', "url = None"),
        ('url = "nosuchthing://x"', "that fsspec opens; got 'nosuchthing://x'"),
    ],
)
def test_a_store_that_cannot_be_is_refused(tmp_path: Path, text: str, said: str):
    (tmp_path / "store.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        Catalog(tmp_path).list()


def test_a_bucket_that_is_not_there_is_said_and_not_made(bucket: Remote):
    import fsspec

    missing = Remote(url="s3://nobody-made-this/store", options=bucket.options)
    with pytest.raises(StoreError, match=r"cannot write .* it does not exist"):
        Store(files=missing).add(bars(), REFERENCE, origin=ORIGIN)
    assert not fsspec.filesystem("s3", **bucket.options).exists("nobody-made-this")


def test_a_store_that_is_not_there_is_not_an_empty_one(
    bucket: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    missing = Remote(url="s3://nobody-made-this/store", options=bucket.options)
    with pytest.raises(StoreError, match=r"there is no nobody-made-this behind s3://.* wrongly"):
        Store(files=missing).folders()
    assert Store(files=bucket).folders() == []  # the bucket is there
    away = tmp_path / "not" / "mounted"
    monkeypatch.setenv("DELEVER_STORE", str(away))
    catalog = Catalog(tmp_path)
    for call in (catalog.list, lambda: catalog.load(REFERENCE)):
        with pytest.raises(StoreError, match=f"there is no folder {away}: nothing was stored"):
            call()
    catalog.add(bars(), REFERENCE)  # which makes it
    assert len(catalog.list()) == 1
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DELEVER_STORE", "~/not/mounted")
    assert len(catalog.list()) == 1


def test_a_store_in_memory_says_that_it_forgets(workspace, monkeypatch, capsys, tmp_path: Path):
    monkeypatch.setenv("DELEVER_STORE", f"memory://{tmp_path.name}")
    bars(9).to_csv(tmp_path / "a.csv")
    words = ["--venue", "v", "--symbol", "BTC/USD"]
    for command in (["import", str(tmp_path / "a.csv"), *words], ["list"]):
        assert main(["data", *command]) == 0
        said = capsys.readouterr().out
        assert "note: the store memory://" in said
        assert "is forgotten when this process ends" in said
    monkeypatch.delenv("DELEVER_STORE")
    assert main(["data", "list"]) == 0
    assert "forgotten" not in capsys.readouterr().out


def test_a_fetch_into_a_store_behind_a_url_ends_like_one_onto_a_disk(
    remote: Remote, tmp_path: Path
):
    market = generate("BTC/USDT:USDT", rows=2500)
    options = "".join(f'{name} = "{value}"\n' for name, value in remote.options.items())
    far, near = tmp_path / "far", tmp_path / "near"
    far.mkdir()
    (far / "store.toml").write_text(f'url = "{remote.url}"\n[options]\n{options}')
    with serve(World(markets=(market,))) as exchange:
        for root in (far, near):
            for rows in (900, 2500):
                exchange.now = int(market.times[rows - 1]) + 61_000
                fetch(client_of(exchange, "bybit"), Catalog(root), bars_of("bybit"), batch=1000)
    assert hold_to_truth(Catalog(far), bars_of("bybit"), market) == 2500
    assert Catalog(far).load(bars_of("bybit")).id == Catalog(near).load(bars_of("bybit")).id
    assert not (far / "store").exists()
